/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the files of `millrace dag` share.
 *
 * Context: a short-lived single-threaded process. Memory: the caller's.
 */
#pragma once

#define CONTROL_LAYER

#include "control/cli/cli.h"

/** "/api/v1/dags/DAG/runs/RUN" + rest, names percent-encoded, into ret [size]. @param run  NULL: none */
const char *cli_dag_path(char *ret, size_t size, const char *dag, const char *run,
			 const char *rest);
/** The verbs that only look. @return CLI_USAGE: not one of them */
int cli_dagview(struct cli *cli, const char *verb);
/** `last` stands for the newest run. @return CLI_OK with its id in ret [size]; else it was told */
int cli_dagview_resolve(struct cli *cli, const char *dag, const char *name, char *ret, size_t size);
/** Print a run with its task instances. */
void cli_dagview_run(const json_t *run);

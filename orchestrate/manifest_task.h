/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One task of a manifest: its options and what it does, by kind.
 *
 * Context: any thread. Memory: heap. Limits: those of dag.h.
 */
#pragma once

#include "orchestrate/dag.h"
#include "orchestrate/manifest_value.h"

/** What a task may name. */
struct manifest_task_names {
	const json_t *files;  /* of the folder */
	const json_t *topics; /* declared ones */
};

/** Options that `defaults` may hold too, over what is in ret_task. */
void manifest_task_options(struct manifest_report *report, const struct yamltree_node *map,
			   struct dag_task *ret_task);
/** The map `defaults`. @param[out] ret_task  Airflow's defaults, and what the map changes */
void manifest_task_defaults(struct manifest_report *report, const struct yamltree_node *node,
			    struct dag_task *ret_task);
/** @param[in,out] ret_task  holds the defaults; name, kind, options and spec are put in */
void manifest_task_read(struct manifest_report *report, const struct yamltree_node *name,
			const struct yamltree_node *node, const struct manifest_task_names *names,
			struct dag_task *ret_task);
/** @return name of a pipeline or a task is right: letters, digits, _ and -; a pipeline's may have dots */
bool manifest_task_name_check(struct manifest_report *report, const struct yamltree_node *node,
			      const char *name, bool may_have_dots);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * `millrace sql` and `millrace table`: an engine of one's own on the data directory, without a box or beside it.
 *
 * Context: a short-lived process. Memory: worker.memory.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"

enum sqlshell_format { SQLSHELL_TABLE, SQLSHELL_CSV, SQLSHELL_JSON };

struct sqlshell_request {
	enum sqlshell_format format;
	const char *sql; /* NULL: from the file; that too NULL: standard input */
	const char *file;
	const char *show;  /* "list", "history", "schema": tables instead of SQL; NULL: SQL */
	const char *table; /* of history, schema */
};

/** @return "table", "csv", "json" as a format; -1: none of these */
int sqlshell_format(const char *name);
/** @return exit status: 0; 1 failed, told on stderr; 4 no such table; 130 interrupted */
int sqlshell_run(const struct config *config, const struct sqlshell_request *request);

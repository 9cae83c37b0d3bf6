/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * An attempt as the kinds of task see it: what is asked, an engine to do it with, where the answer goes.
 *
 * Context: the attempt's thread; `stop` is set by others. Memory: heap.
 */
#pragma once

#include <jansson.h>
#include <limits.h>
#include <stdatomic.h>

#include "base/config.h"
#include "base/defs.h"

#include "compute/duck/topics.h"
#include "compute/table/delta.h"
#include "compute/worker/attemptlog.h"
#include "compute/worker/taskspec.h"

#define TASKJOB_MESSAGE_MAX 4096
#define TASKJOB_AGAIN       1 /* of the kinds: run the whole again, with a fresh engine */

/** Why an attempt has to end before its time. */
enum taskjob_stop { TASKJOB_GO_ON, TASKJOB_CANCELLED, TASKJOB_TIMEOUT, TASKJOB_MEMORY };

struct taskjob {
	const struct config *config;
	const struct taskspec *spec;
	struct duck *duck;
	const struct partitions *table; /* NULL: no box is running */
	struct attemptlog *log;
	atomic_int *stop; /* enum taskjob_stop */
	char **views;     /* [view_count] tables that the engine knows already */
	uint32_t view_count;
	json_t *result;     /* NULL: none yet */
	const char *reason; /* of a failure, as in compute/task.h */
	char message[TASKJOB_MESSAGE_MAX];
};

/** Say why the attempt fails. @return -1 */
int taskjob_fail(struct taskjob *job, const char *reason, const char *format, ...)
	PRINTF_LIKE(3, 4);
/** The same for what SQL ended with. */
int taskjob_fail_status(struct taskjob *job, enum duck_status status, const char *message);
/** The same for an error of compute/table. @param status  of its SQL; DUCK_OK: not that */
int taskjob_fail_delta(struct taskjob *job, int error, enum duck_status status, const char *table,
		       const char *message);

/** Run statements. @param[out] ret_result  as duck_run(). @return 0; -1 it failed, and said so */
NODISCARD int taskjob_sql(struct taskjob *job, const char *sql, struct duck_result **ret_result);

/**
 * Make topic() known, and columns of the topics that the message declares. Bad records of those with a
 * quarantine are kept aside, not an error.
 *
 * @return 0; -1
 */
NODISCARD int taskjob_topics(struct taskjob *job);

/** Path of "bronze.flights". @return false: not the name of a table, or too long */
bool taskjob_table_path(const struct config *config, const char *name, char *ret_path, size_t size);

/**
 * Make the Delta tables that the SQL names known to the engine, at their newest versions. Those that do not exist
 * are left for the engine to complain of, but a declared quarantine is empty then.
 *
 * @return 0; -1
 */
NODISCARD int taskjob_views(struct taskjob *job, const char *sql);
/** One table, at a snapshot. @param after  as of delta_select() */
NODISCARD int taskjob_view(struct taskjob *job, const char *name,
			   const struct delta_snapshot *snapshot, int64_t after);
void taskjob_forget_views(struct taskjob *job);

/**
 * The statements with the last one, where it is a query, cut to so many rows: results are held in memory.
 *
 * @return caller frees; NULL: no memory
 */
char *taskjob_limited(const char *sql, int64_t limit);
/**
 * The first rows of a result: {"columns":[{"name","type"}],"data":[[text or null]],"rows":n,"truncated":bool},
 * no larger than TASK_RESULT_MAX.
 *
 * @return new reference; NULL: no memory
 */
json_t *taskjob_rows(struct duck_result *result, int64_t limit);

/* ---- the kinds: 0 job->result is there; -1 failed; TASKJOB_AGAIN ---- */

int tasksql_run(struct taskjob *job);
int taskcheck_run(struct taskjob *job);
int taskquery_run(struct taskjob *job);
int tasktables_run(struct taskjob *job);

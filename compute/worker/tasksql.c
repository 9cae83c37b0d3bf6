/* SPDX-License-Identifier: Apache-2.0 */
/* Kind sql: plan, run, commit; see compute/task.h for the rule of exactly once. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/task.h"
#include "compute/worker/taskbad.h"
#include "compute/worker/taskjob.h"
#include "compute/worker/taskplan.h"

#define ROWS_MAX 100

/** What a commit waits for. */
struct permission {
	struct taskjob *job;
	int fence; /* held; -1: not yet */
	bool has_quarantined;
	int error; /* of the quarantine */
};

/** The fence is held from here until the write has returned; the bad records go first. */
static int may_commit(void *context)
{
	struct permission *permission = context;
	struct taskjob *job = permission->job;
	int error;

	if (atomic_load(job->stop) != TASKJOB_GO_ON)
		return -ECANCELED;
	if (job->spec->fence != NULL && permission->fence < 0) {
		error = task_fence_hold(job->spec->fence, job->spec->attempt, &permission->fence);
		if (error != 0)
			return error;
	}
	if (!permission->has_quarantined) {
		permission->error = taskbad_write(job);
		permission->has_quarantined = permission->error == 0;
	}
	return permission->error;
}

static int64_t bad_count(const struct taskjob *job)
{
	uint32_t count;

	(void)topics_bad(job->duck, &count);
	return count;
}

static void log_plan(struct taskjob *job, const struct taskplan *plan)
{
	for (uint32_t i = 0; i < plan->input_count; i++) {
		const struct taskplan_input *input = &plan->inputs[i];

		if (input->is_topic)
			attemptlog_line(job->log, "info",
					"topic %s: %" PRId64 " records in %u partitions",
					input->name, input->records, input->range_count);
		else if (input->snapshot == NULL)
			attemptlog_line(job->log, "info", "table %s is not there yet", input->name);
		else
			attemptlog_line(job->log, "info",
					"table %s: version %" PRId64 " (seen: %" PRId64 ")",
					input->name, delta_version(input->snapshot), input->from);
	}
}

/** Everything before the last statement runs now. @return the last one, to be freed; NULL: failed */
static char *run_first_statements(struct taskjob *job)
{
	const char *sql = job->spec->sql;
	size_t first_size, size;
	const char *begin = duck_first_statement(sql, &first_size);
	const char *last = duck_last_statement(sql, &size);
	char *first = strndup(sql, (size_t)(last - sql));
	char *query = strndup(last, size);
	int result = 0;

	if (first == NULL || query == NULL)
		result = taskjob_fail(job, "memory", "no memory for the SQL");
	if (result == 0 && last != begin) /* not for comments alone */
		result = taskjob_sql(job, first, NULL);
	free(first);
	if (result == 0)
		return query;
	free(query);
	return NULL;
}

static json_t *commit_info(const struct taskjob *job, const struct taskplan *plan)
{
	const struct taskspec *spec = job->spec;

	return json_pack("{ss ss ss sI sI so}", "dag", spec->dag, "task", spec->task, "run",
			 spec->run, "try", (json_int_t)spec->try_number, "attempt",
			 (json_int_t)spec->attempt, "read", taskplan_json(plan));
}

static int write_table(struct taskjob *job, const struct taskplan *plan, const char *path,
		       const char *query, struct delta_written *ret_written)
{
	const struct taskspec *spec = job->spec;
	struct permission permission = { .job = job, .fence = -1 };
	char message[TASKJOB_MESSAGE_MAX] = "";
	enum duck_status status = DUCK_OK;
	json_t *info = commit_info(job, plan);
	const struct delta_write write = {
		.path = path,
		.query = query,
		.mode = spec->mode,
		.predicate = spec->replace_where,
		.key = spec->key,
		.key_count = spec->key_count,
		.partition_by = spec->partition_by,
		.partition_count = spec->partition_count,
		.merge_schema = spec->merge_schema,
		.txns = plan->txns,
		.txns_before = plan->before,
		.txn_count = plan->txn_count,
		.operation = spec->mode == DELTA_MERGE ? "MERGE" : "WRITE",
		.info = info,
		.may_commit = may_commit,
		.context = &permission,
	};
	int error = delta_write(job->duck, &write, ret_written, &status, message, sizeof(message));

	json_decref(info);
	if (permission.fence >= 0)
		(void)close(permission.fence);
	if (error == 0)
		return 0;
	if (error == ERR_DUPLICATE || error == -EBUSY) {
		(void)taskjob_fail(job, "conflict",
				   "table %s was written by another at the same time: %s",
				   spec->writes, message);
		return TASKJOB_AGAIN;
	}
	if (permission.error != 0)
		return -1; /* the quarantine has said what */
	return taskjob_fail_delta(job, error, status, spec->writes, message);
}

static json_t *written_json(const struct taskjob *job, const struct taskplan *plan,
			    const struct delta_written *written)
{
	return json_pack("{sI sI sI sb sI so}", "rows", (json_int_t)written->rows, "bytes",
			 (json_int_t)written->bytes, "version", (json_int_t)written->version,
			 "nothing_new", plan->is_nothing_new, "bad", (json_int_t)bad_count(job),
			 "read", taskplan_json(plan));
}

/** Inputs that are not watched are read at their newest versions. */
static int open_inputs(struct taskjob *job, const char *path, struct delta_snapshot **ret_target,
		       struct taskplan **ret_plan)
{
	char message[TASKJOB_MESSAGE_MAX] = "";
	int error = delta_open(path, DELTA_VERSION_NEWEST, job->duck, ret_target, message,
			       sizeof(message));

	if (error != 0 && error != -ENOENT)
		return taskjob_fail_delta(job, error, DUCK_OK, job->spec->writes, message);
	return taskplan_make(job, *ret_target, ret_plan);
}

static int run_write(struct taskjob *job)
{
	CLEANUP(delta_closep) struct delta_snapshot *target = NULL;
	CLEANUP(taskplan_freep) struct taskplan *plan = NULL;
	struct delta_written written = { .version = -1 };
	char path[PATH_MAX];
	char *query;
	int result;

	if (!taskjob_table_path(job->config, job->spec->writes, path, sizeof(path)))
		return taskjob_fail(job, "user", "%s: the path is too long", job->spec->writes);
	if (open_inputs(job, path, &target, &plan) != 0)
		return -1;
	log_plan(job, plan);
	if (plan->is_nothing_new) {
		attemptlog_line(job->log, "info", "nothing new since the last run: nothing to do");
		written.version = target != NULL ? delta_version(target) : -1;
		job->result = written_json(job, plan, &written);
		return 0;
	}
	if (taskjob_views(job, job->spec->sql) != 0)
		return -1;
	query = run_first_statements(job);
	if (query == NULL)
		return -1;
	result = write_table(job, plan, path, query, &written);
	free(query);
	if (result != 0)
		return result;
	attemptlog_line(job->log, "info",
			"table %s: %" PRId64 " rows, %" PRId64 " bytes, version %" PRId64
			", %" PRId64 " bad records",
			job->spec->writes, written.rows, written.bytes, written.version,
			bad_count(job));
	job->result = written_json(job, plan, &written);
	return 0;
}

/** Without a target the query's first rows are the result. */
static int run_query(struct taskjob *job)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;

	if (taskjob_views(job, job->spec->sql) != 0 ||
	    taskjob_sql(job, job->spec->sql, &result) != 0)
		return -1;
	job->result = taskjob_rows(result, ROWS_MAX);
	return 0;
}

int tasksql_run(struct taskjob *job)
{
	if (taskjob_topics(job) != 0)
		return -1;
	return job->spec->writes != NULL ? run_write(job) : run_query(job);
}

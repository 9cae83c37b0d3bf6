/* SPDX-License-Identifier: Apache-2.0 */
/* Kind query: rows for people. */
#include <stdlib.h>

#include "compute/worker/taskjob.h"

#define LIMIT_DEFAULT 1000

int taskquery_run(struct taskjob *job)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	const int64_t limit = job->spec->limit != 0 ? job->spec->limit : LIMIT_DEFAULT;
	char *sql = taskjob_limited(job->spec->sql, limit + 1);
	int error;

	if (sql == NULL)
		return taskjob_fail(job, "memory", "no memory for the SQL");
	error = taskjob_topics(job);
	if (error == 0)
		error = taskjob_views(job, job->spec->sql);
	if (error == 0)
		error = taskjob_sql(job, sql, &result);
	free(sql);
	if (error == 0)
		job->result = taskjob_rows(result, limit);
	return error;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Kind query: rows for people. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compute/worker/taskjob.h"

#define LIMIT_DEFAULT 1000

/** @return whether the word begins the text, in any case */
static bool is_word(const char *text, size_t size, const char *word)
{
	const size_t length = strlen(word);

	return size >= length && strncasecmp(text, word, length) == 0 &&
	       (size == length || !(isalnum((unsigned char)text[length]) || text[length] == '_'));
}

/** A query looks: it leaves no file behind, neither alone nor under EXPLAIN ANALYZE. */
static bool is_read_only(const char *sql)
{
	static const char *const lookers[] = { "select", "with",     "from",      "values", "table",
					       "show",   "describe", "summarize", "pragma" };
	size_t size;

	for (sql = duck_first_statement(sql, &size); size > 0;
	     sql = duck_first_statement(sql + size, &size)) {
		const char *word = sql;
		bool is_looker = false;

		while (is_word(word, size, "explain") || is_word(word, size, "analyze")) {
			const size_t length = strlen("explain");

			word = duck_first_statement(word + length, &size);
		}
		for (size_t i = 0; i < ARRAY_COUNT(lookers); i++)
			is_looker |= is_word(word, size, lookers[i]) || (*word == '(');
		if (!is_looker)
			return false;
		sql = word;
	}
	return true;
}

int taskquery_run(struct taskjob *job)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	const int64_t limit = job->spec->limit != 0 ? job->spec->limit : LIMIT_DEFAULT;
	char *sql = taskjob_limited(job->spec->sql, limit + 1);
	int error;

	if (!is_read_only(job->spec->sql)) {
		free(sql);
		return taskjob_fail(
			job, "user",
			"a query only reads (SELECT, EXPLAIN, DESCRIBE, SHOW, SUMMARIZE); a "
			"pipeline's task writes tables");
	}
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

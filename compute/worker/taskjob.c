/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/taskjob.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#include "compute/task.h"

#define LOG_DIR "log"
#define FILE_GONE                                                                                  \
	"\n\nA file of a table is gone. Put it back from a copy, or move the table's folder away " \
	"and run the task that writes it again"

/* ---- failures ---- */

int taskjob_fail(struct taskjob *job, const char *reason, const char *format, ...)
{
	va_list args;

	job->reason = reason;
	va_start(args, format);
	(void)vsnprintf(job->message, sizeof(job->message), format, args);
	va_end(args);
	return -1;
}

int taskjob_fail_status(struct taskjob *job, enum duck_status status, const char *message)
{
	if (status != DUCK_POISONED && job->duck != NULL &&
	    topics_failure(job->duck) == ERR_RETENTION)
		return taskjob_fail(job, "retention", "%s", message);
	switch (status) {
	case DUCK_MEMORY:
		return taskjob_fail(
			job, "memory",
			"%s. The attempt may use %lld MiB before it spills: raise "
			"worker.memory or worker.spill.max, free space in %s, or let "
			"the SQL do less at once",
			message,
			(long long)((job->spec->memory != 0 ? job->spec->memory
							    : job->config->worker_memory) >>
				    20),
			job->config->worker_spill_dir);
	case DUCK_IO:
		return taskjob_fail(job, "io", "%s%s", message,
				    strstr(message, "No files found") != NULL ? FILE_GONE : "");
	case DUCK_INTERRUPTED:
		return taskjob_fail(job, "worker", "the SQL was interrupted");
	case DUCK_POISONED:
		return taskjob_fail(job, "worker",
				    "the SQL engine broke and was replaced; the attempt can be "
				    "made again: %s",
				    message);
	case DUCK_OK:
	case DUCK_USER:
		break;
	}
	return taskjob_fail(job, "user", "%s", message);
}

/** What people need to hear for an error that came with no SQL. */
static const char *delta_reason(int error)
{
	switch (error) {
	case -EBUSY:
		return "conflict";
	case ERR_FENCED:
		return "fenced";
	case ERR_RETENTION:
		return "retention";
	case ERR_CONFIG:
	case ERR_UNSUPPORTED:
		return "schema";
	case ERR_MALFORMED:
		return "user";
	case ERR_POISONED:
		return "worker";
	case -ENOMEM:
		return "memory";
	default:
		return "io";
	}
}

int taskjob_fail_delta(struct taskjob *job, int error, enum duck_status status, const char *table,
		       const char *message)
{
	if (error == -ENOSPC || error == -EDQUOT)
		return taskjob_fail(job, "io",
				    "table %s: the disk is full (%s): nothing was committed. Free "
				    "space in %s; the next try takes up the same rows",
				    table, message, job->config->tables_dir);
	if (error == ERR_FENCED)
		return taskjob_fail(job, "fenced",
				    "table %s: this attempt was given up, another one has its "
				    "place: nothing was committed",
				    table);
	if (status != DUCK_OK)
		return taskjob_fail_status(job, status, message);
	if (error == ERR_CORRUPT)
		return taskjob_fail(
			job, "io",
			"table %s: its log is damaged: %s. Nothing was written. Put the "
			"file back from a copy, or move the table's folder away and run "
			"the task again: it takes up what its inputs still hold",
			table, message);
	return taskjob_fail(job, delta_reason(error), "table %s: %s", table,
			    message[0] != '\0' ? message : err_str(error));
}

/* ---- SQL ---- */

int taskjob_sql(struct taskjob *job, const char *sql, struct duck_result **ret_result)
{
	char message[TASKJOB_MESSAGE_MAX];
	enum duck_status status = duck_run(job->duck, sql, ret_result, message, sizeof(message));

	return status == DUCK_OK ? 0 : taskjob_fail_status(job, status, message);
}

int taskjob_topics(struct taskjob *job)
{
	char log_dir[CONFIG_TEXT_MAX + sizeof(LOG_DIR) + 1], message[TASKJOB_MESSAGE_MAX] = "";
	struct topics_config config = { .log_dir = log_dir, .table = job->table };
	const json_t *topic;
	const char *name;
	int error;

	(void)snprintf(log_dir, sizeof(log_dir), "%s/" LOG_DIR, job->config->data_dir);
	error = topics_register(job->duck, &config);
	if (error != 0)
		return taskjob_fail(job, "worker", "topic() cannot be used: %s", err_str(error));
	json_object_foreach((json_t *)(uintptr_t)job->spec->topics, name, topic)
	{
		const struct topics_declaration declaration = {
			.columns = json_object_get(topic, "columns"),
			.keep_bad = json_is_string(json_object_get(topic, "quarantine")),
		};

		error = topics_declare(job->duck, name, &declaration, message, sizeof(message));
		if (error != 0)
			return taskjob_fail(job, "user", "topic %s: %s", name, message);
	}
	return 0;
}

/* ---- tables ---- */

bool taskjob_table_path(const struct config *config, const char *name, char *ret_path, size_t size)
{
	const char *dot = strchr(name, '.');

	return taskspec_is_table(name) &&
	       (size_t)snprintf(ret_path, size, "%s/%.*s/%s", config->tables_dir, (int)(dot - name),
				name, dot + 1) < size;
}

static bool is_known(const struct taskjob *job, const char *name)
{
	for (uint32_t i = 0; i < job->view_count; i++) {
		if (strcmp(job->views[i], name) == 0)
			return true;
	}
	return false;
}

static int make_view(struct taskjob *job, const char *name, const char *select)
{
	const size_t size = strlen(select) + 4 * TASK_NAME_MAX + 128;
	char **grown = reallocarray(job->views, job->view_count + 1, sizeof(*grown));
	char *sql = malloc(size);
	int result = -1;

	if (grown != NULL)
		job->views = grown;
	if (sql == NULL || grown == NULL || (grown[job->view_count] = strdup(name)) == NULL) {
		free(sql);
		return taskjob_fail(job, "memory", "no memory for a view");
	}
	job->view_count++;
	(void)snprintf(sql, size,
		       "CREATE SCHEMA IF NOT EXISTS \"%.*s\"; "
		       "CREATE OR REPLACE VIEW \"%.*s\".\"%s\" AS %s",
		       (int)strcspn(name, "."), name, (int)strcspn(name, "."), name,
		       strchr(name, '.') + 1, select);
	result = taskjob_sql(job, sql, NULL);
	free(sql);
	return result;
}

int taskjob_view(struct taskjob *job, const char *name, const struct delta_snapshot *snapshot,
		 int64_t after)
{
	char *select = delta_select(snapshot, after);
	int result;

	if (select == NULL)
		return taskjob_fail(job, "memory", "no memory for table %s", name);
	result = make_view(job, name, select);
	free(select);
	return result;
}

static bool is_quarantine(const struct taskjob *job, const char *name)
{
	const json_t *topic;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)job->spec->topics, key, topic)
	{
		const char *table = json_string_value(json_object_get(topic, "quarantine"));

		if (table != NULL && strcmp(table, name) == 0)
			return true;
	}
	return false;
}

static int add_view(struct taskjob *job, const char *name)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = NULL;
	char path[PATH_MAX], message[TASKJOB_MESSAGE_MAX] = "";
	int error;

	if (is_known(job, name) || !taskjob_table_path(job->config, name, path, sizeof(path)))
		return 0;
	error = delta_open(path, DELTA_VERSION_NEWEST, job->duck, &snapshot, message,
			   sizeof(message));
	if (error == -ENOENT && is_quarantine(job, name))
		return make_view(job, name,
				 "SELECT NULL::VARCHAR topic, NULL::INTEGER \"partition\", "
				 "NULL::BIGINT \"offset\", NULL::TIMESTAMPTZ \"timestamp\", "
				 "NULL::VARCHAR reason, NULL::BLOB \"value\", NULL::VARCHAR dag, "
				 "NULL::VARCHAR run_id WHERE false");
	if (error == -ENOENT)
		return 0;
	if (error != 0)
		return taskjob_fail_delta(job, error, DUCK_OK, name, message);
	return taskjob_view(job, name, snapshot, -1);
}

int taskjob_views(struct taskjob *job, const char *sql)
{
	char message[TASKJOB_MESSAGE_MAX];
	char **names = NULL;
	uint32_t count = 0;
	int result = 0;
	enum duck_status status =
		duck_table_names(job->duck, sql, &names, &count, message, sizeof(message));

	if (status != DUCK_OK)
		return taskjob_fail_status(job, status, message);
	for (uint32_t i = 0; i < count && result == 0; i++)
		result = add_view(job, names[i]);
	duck_names_free(names, count);
	return result;
}

void taskjob_forget_views(struct taskjob *job)
{
	duck_names_free(job->views, job->view_count);
	job->views = NULL;
	job->view_count = 0;
}

/* ---- rows ---- */

char *taskjob_limited(const char *sql, int64_t limit)
{
	static const char *const queries[] = { "select", "with", "from", "values", "table" };
	size_t size;
	const char *last = duck_last_statement(sql, &size);
	bool is_query = *last == '(';
	char *limited = NULL;

	for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
		const size_t word = strlen(queries[i]);

		is_query |= size > word && strncasecmp(last, queries[i], word) == 0 &&
			    !isalnum((unsigned char)last[word]) && last[word] != '_';
	}
	if (!is_query)
		return strdup(sql);
	/* A line of its own for the end: the query may close with a comment. */
	if (asprintf(&limited, "%.*sSELECT * FROM (%.*s\n) LIMIT %" PRId64, (int)(last - sql), sql,
		     (int)size, last, limit) < 0)
		return NULL;
	return limited;
}

static int add_row(struct duck_result *result, uint32_t row, json_t *data, size_t *bytes)
{
	const uint32_t columns = duck_result_columns(result);
	json_t *cells = json_array();

	for (uint32_t column = 0; column < columns; column++) {
		size_t size;
		const char *text = duck_result_text(result, column, row, &size);
		json_t *cell = text != NULL ? json_stringn(text, size) : json_null();

		*bytes += text != NULL ? size + 8 : 8;
		if (json_array_append_new(cells, cell != NULL ? cell : json_string("?")) != 0)
			break;
	}
	return json_array_append_new(data, cells);
}

json_t *taskjob_rows(struct duck_result *result, int64_t limit)
{
	json_t *columns = json_array(), *data = json_array();
	int64_t rows = 0;
	bool is_truncated = false;
	size_t bytes = 0;
	uint32_t count;

	for (uint32_t i = 0; i < duck_result_columns(result); i++)
		(void)json_array_append_new(columns, json_pack("{ss ss}", "name",
							       duck_result_name(result, i), "type",
							       duck_result_type(result, i)));
	while (!is_truncated && (count = duck_result_chunk(result)) > 0) {
		for (uint32_t row = 0; row < count && !is_truncated; row++) {
			is_truncated = rows >= limit || bytes > TASK_RESULT_MAX / 2;
			if (!is_truncated && add_row(result, row, data, &bytes) == 0)
				rows++;
		}
	}
	return json_pack("{so so sI sb}", "columns", columns, "data", data, "rows",
			 (json_int_t)rows, "truncated", is_truncated);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds tables and table: what lies below tables.dir. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/task.h"
#include "compute/worker/taskjob.h"

#define HISTORY_MAX 100

static json_t *time_json(int64_t time_ms)
{
	const time_t seconds = (time_t)(time_ms / 1000);
	struct tm parts;
	char text[48];
	size_t size;

	if (gmtime_r(&seconds, &parts) == NULL)
		return json_null();
	size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	(void)snprintf(text + size, sizeof(text) - size, ".%03d000Z", (int)(time_ms % 1000));
	return json_string(text);
}

/** The newest commit's time; 0: not known. */
static int64_t updated_ms(const char *path)
{
	char message[256];
	json_t *history = delta_history(path, 1, message, sizeof(message));
	const json_t *time = json_object_get(json_array_get(history, 0), "timestamp");
	const int64_t time_ms = json_integer_value(time);

	json_decref(history);
	return time_ms;
}

static json_t *table_json(const char *name, const char *path, const struct delta_snapshot *snapshot)
{
	const struct delta_file *files;
	const int64_t rows = delta_rows(snapshot), time_ms = updated_ms(path);
	int64_t bytes = 0;
	uint32_t count;

	files = delta_files(snapshot, &count);
	for (uint32_t i = 0; i < count; i++)
		bytes += files[i].size;
	return json_pack("{ss sI so sI sI so}", "name", name, "version",
			 (json_int_t)delta_version(snapshot), "rows",
			 rows >= 0 ? json_integer(rows) : json_null(), "bytes", (json_int_t)bytes,
			 "files", (json_int_t)count, "updated_at",
			 time_ms != 0 ? time_json(time_ms) : json_null());
}

static void add_table(struct taskjob *job, const char *name, json_t *tables)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = NULL;
	char path[PATH_MAX], message[512] = "";
	int error;

	if (!taskjob_table_path(job->config, name, path, sizeof(path)))
		return;
	error = delta_open(path, DELTA_VERSION_NEWEST, job->duck, &snapshot, message,
			   sizeof(message));
	if (error == -ENOENT)
		return;
	if (message[0] == '\0')
		(void)snprintf(message, sizeof(message), "%s", err_str(error));
	(void)json_array_append_new(
		tables, error == 0 ? table_json(name, path, snapshot)
				   : json_pack("{ss ss}", "name", name, "error", message));
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && entry->d_name[0] != '_';
}

static int list_schema(struct taskjob *job, const char *schema, json_t *tables)
{
	char path[PATH_MAX], name[2 * TASK_NAME_MAX + 8];
	struct dirent **entries;
	int count;

	(void)snprintf(path, sizeof(path), "%s/%s", job->config->tables_dir, schema);
	count = scandir(path, &entries, is_shown, alphasort);
	for (int i = 0; i < count; i++) {
		if ((size_t)snprintf(name, sizeof(name), "%s.%s", schema, entries[i]->d_name) <
		    sizeof(name))
			add_table(job, name, tables);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return 0;
}

static int list_tables(struct taskjob *job)
{
	json_t *tables = json_array();
	struct dirent **entries;
	int count = scandir(job->config->tables_dir, &entries, is_shown, alphasort);

	for (int i = 0; i < count; i++) {
		(void)list_schema(job, entries[i]->d_name, tables);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	job->result = json_pack("{so}", "tables", tables);
	return 0;
}

/** Timestamps as text, as everywhere in the API. */
static json_t *history_json(const char *path)
{
	char message[256];
	json_t *history = delta_history(path, HISTORY_MAX, message, sizeof(message));
	json_t *commit;
	size_t i;

	json_array_foreach(history, i, commit)
	{
		const json_t *time = json_object_get(commit, "timestamp");

		if (json_is_integer(time))
			(void)json_object_set_new(commit, "timestamp",
						  time_json(json_integer_value(time)));
	}
	return history != NULL ? history : json_array();
}

static json_t *schema_json(const struct delta_snapshot *snapshot)
{
	json_t *columns = json_array();
	const json_t *field;
	size_t i;

	json_array_foreach(json_object_get(delta_schema(snapshot), "fields"), i, field)
	{
		json_t *type = json_object_get(field, "type");
		char *text = json_is_string(type) ? NULL : json_dumps(type, JSON_COMPACT);

		(void)json_array_append_new(
			columns, json_pack("{sO ss* sO}", "name", json_object_get(field, "name"),
					   "type", text != NULL ? text : json_string_value(type),
					   "nullable", json_object_get(field, "nullable")));
		free(text);
	}
	return columns;
}

static int show_table(struct taskjob *job)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = NULL;
	const char *name = job->spec->table;
	char path[PATH_MAX], message[TASKJOB_MESSAGE_MAX] = "";
	int error;

	if (!taskjob_table_path(job->config, name, path, sizeof(path)))
		return taskjob_fail(job, "user", "%s: schema.table is wanted", name);
	error = delta_open(path, DELTA_VERSION_NEWEST, job->duck, &snapshot, message,
			   sizeof(message));
	if (error == -ENOENT)
		return taskjob_fail(job, "user", "there is no table %s", name);
	if (error != 0)
		return taskjob_fail_delta(job, error, DUCK_OK, name, message);
	job->result = table_json(name, path, snapshot);
	(void)json_object_set_new(job->result, "schema", schema_json(snapshot));
	(void)json_object_set_new(job->result, "partition_columns",
				  json_deep_copy(delta_partition_columns(snapshot)));
	(void)json_object_set_new(job->result, "history", history_json(path));
	return 0;
}

int tasktables_run(struct taskjob *job)
{
	return job->spec->kind == TASKSPEC_TABLE ? show_table(job) : list_tables(job);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#include "compute/table/delta_job.h"

#define DELTA_OUTSIDE "a row of the query does not satisfy the predicate"

/* ---- the rows as the files hold them ---- */

/* Partition values are written as Delta's text, so that the folders' names are right. */
static void put_partition(FILE *out, const char *name, const char *type)
{
	(void)fputs(strcmp(type, "timestamp") == 0       ? "strftime("
		    : strcmp(type, "timestamp_ntz") == 0 ? "strftime("
							 : "CAST(",
		    out);
	delta_text_name(out, name);
	(void)fputs(strcmp(type, "timestamp") == 0       ? ", '%Y-%m-%dT%H:%M:%S.%fZ')"
		    : strcmp(type, "timestamp_ntz") == 0 ? ", '%Y-%m-%d %H:%M:%S.%f')"
							 : " AS VARCHAR)",
		    out);
}

/* SELECT of the table's columns from a query's. */
int delta_copy_put_rows(struct delta_job *job, FILE *out, const json_t *source)
{
	json_t *field;
	size_t index;
	int failed = 0;

	(void)fputs("SELECT ", out);
	json_array_foreach(json_object_get(job->schema, "fields"), index, field)
	{
		const char *name = delta_schema_field_name(field);

		if (failed != 0)
			break;
		(void)fputs(index > 0 ? ", CAST(" : "CAST(", out);
		if (delta_schema_field(source, name) == NULL) {
			(void)fputs("NULL", out);
		} else if (json_is_false(json_object_get(field, "nullable"))) {
			(void)fputs("coalesce(", out);
			delta_text_name(out, name);
			(void)fputs(", error('a column that must not be null has a null'))", out);
		} else {
			delta_text_name(out, name);
		}
		(void)fputs(" AS ", out);
		failed = delta_schema_sql(json_object_get(field, "type"), out, &job->error);
		(void)fputs(") AS ", out);
		delta_text_name(out, name);
	}
	(void)fputs(" FROM ", out);
	return failed;
}

/* Rows of the query whose key the table lacks, one for each key. */
static int put_merge(struct delta_job *job, FILE *out)
{
	const struct delta_write *write = job->write;
	char *table = NULL;
	int failed;

	(void)fputs("SELECT DISTINCT ON (", out);
	for (uint32_t i = 0; i < write->key_count; i++) {
		(void)fputs(i > 0 ? ", q." : "q.", out);
		delta_text_name(out, write->key[i]);
	}
	(void)fputs(") q.* FROM (", out);
	failed = delta_copy_put_rows(job, out, job->query);
	delta_plan_put_query(out, write->query);
	(void)fputs(") q", out);
	if (failed != 0 || job->snapshot == NULL || job->snapshot->file_count == 0)
		return failed;
	table = delta_select(job->snapshot, -1);
	if (table == NULL)
		return -ENOMEM;
	(void)fprintf(out, " ANTI JOIN (%s) t ON ", table);
	free(table);
	for (uint32_t i = 0; i < write->key_count; i++) {
		(void)fputs(i > 0 ? " AND q." : "q.", out);
		delta_text_name(out, write->key[i]);
		(void)fputs(" IS NOT DISTINCT FROM t.", out);
		delta_text_name(out, write->key[i]);
	}
	return 0;
}

int delta_copy_put_source(struct delta_job *job, FILE *out)
{
	int failed;

	if (job->write->mode == DELTA_MERGE)
		return put_merge(job, out);
	failed = delta_copy_put_rows(job, out, job->query);
	delta_plan_put_query(out, job->write->query);
	if (job->write->mode == DELTA_REPLACE_WHERE)
		(void)fprintf(out,
			      " WHERE CASE WHEN (\n%s\n) THEN true ELSE error('" DELTA_OUTSIDE
			      "') END",
			      job->write->predicate);
	return failed;
}

/* COPY of rows, which `put` writes as a SELECT with the table's columns, into data files. */
static int put_copy(struct delta_job *job, FILE *out, int (*put)(struct delta_job *job, FILE *out))
{
	bool partitioned = json_array_size(job->partitions) > 0;
	char id[DELTA_ID_SIZE];
	char *path = NULL;
	json_t *column;
	size_t index;
	int failed;

	delta_text_id(id);
	if (asprintf(&path, "%s/%s%s.parquet", job->write->path, job->prefix, id) < 0)
		return -ENOMEM;
	(void)fputs("COPY (SELECT * ", out);
	json_array_foreach(job->partitions, index, column)
	{
		const char *name = json_string_value(column);

		(void)fputs(index == 0 ? "REPLACE (" : ", ", out);
		put_partition(out, name,
			      json_string_value(json_object_get(
				      delta_schema_field(job->schema, name), "type")));
		(void)fputs(" AS ", out);
		delta_text_name(out, name);
	}
	(void)fputs(partitioned ? ") FROM (" : "FROM (", out);
	failed = put(job, out);
	(void)fputs(")) TO ", out);
	delta_text_literal(out, partitioned ? job->write->path : path);
	(void)fputs(" (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, RETURN_STATS", out);
	if (partitioned)
		(void)fprintf(out, ", APPEND, FILENAME_PATTERN '%s{uuidv7}'", job->prefix);
	else
		(void)fputs(", USE_TMP_FILE false", out);
	json_array_foreach(job->partitions, index, column)
	{
		(void)fputs(index == 0 ? ", PARTITION_BY (" : ", ", out);
		delta_text_name(out, json_string_value(column));
	}
	(void)fputs(partitioned ? "))" : ")", out);
	free(path);
	return failed;
}

/* ---- data files ---- */

/* What COPY says it wrote: path below the table, rows, bytes. */
struct written_files {
	json_t *paths; /* array of absolute paths */
	int64_t *rows;
	int64_t *bytes;
	uint32_t count;
};

static void written_files_free(struct written_files *files)
{
	json_decref(files->paths);
	free(files->rows);
	free(files->bytes);
}

static int take_file(struct written_files *files, struct duck_result *result, uint32_t row)
{
	int64_t *rows = realloc(files->rows, (files->count + 1) * sizeof(*rows));
	int64_t *bytes;
	char *path;
	int failed;

	if (rows == NULL)
		return -ENOMEM;
	files->rows = rows;
	bytes = realloc(files->bytes, (files->count + 1) * sizeof(*bytes));
	if (bytes == NULL)
		return -ENOMEM;
	files->bytes = bytes;
	path = delta_text_value(result, 0, row);
	failed = path == NULL || json_array_append_new(files->paths, json_string(path)) < 0;
	free(path);
	if (failed)
		return -ENOMEM;
	files->rows[files->count] = duck_result_integer(result, 1, row);
	files->bytes[files->count] = duck_result_integer(result, 2, row);
	files->count++;
	return 0;
}

static int copy(struct delta_job *job, int (*put)(struct delta_job *job, FILE *out),
		struct written_files *files)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	char *sql = NULL;
	uint32_t count;
	size_t size;
	int failed;
	FILE *out = open_memstream(&sql, &size);

	if (out == NULL)
		return -ENOMEM;
	failed = put_copy(job, out, put);
	if (delta_text_end(out, &sql) != 0 && failed == 0)
		failed = -ENOMEM;
	if (failed != 0) {
		free(sql);
		return failed;
	}
	failed = delta_plan_run(job, sql, &result);
	if (failed == ERR_MALFORMED && strstr(job->error.text, DELTA_OUTSIDE) != NULL)
		return delta_text_fail(&job->error, ERR_CONFIG, DELTA_OUTSIDE ": %.300s",
				       job->write->predicate);
	files->paths = json_array();
	while (failed == 0 && (count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; failed == 0 && i < count; i++)
			failed = take_file(files, result, i);
	}
	return failed;
}

/* An add for each file that has rows; the others are removed by the end of the write. */
static int add_file(struct delta_job *job, const struct written_files *files, uint32_t i,
		    const json_t *stats)
{
	const char *path = json_string_value(json_array_get(files->paths, i));
	size_t root = strlen(job->write->path);
	const char *below = path + root + 1;
	json_t *values;
	char *uri;
	int failed = 0;

	if (strncmp(path, job->write->path, root) != 0 || path[root] != '/')
		return delta_text_fail(&job->error, -EIO, "file %.300s is not where it should be",
				       path);
	values = delta_stats_partition(job->partitions, below);
	uri = delta_text_uri_encode(below);
	if (values == NULL)
		failed = delta_text_fail(&job->error, -EIO,
					 "the folders of %.300s do not fit the partitions", path);
	else if (uri == NULL || json_array_append_new(job->paths, json_string(below)) < 0 ||
		 json_array_append_new(job->adds,
				       json_pack("{s:{s:s, s:O, s:I, s:I, s:b, s:O}}", "add",
						 "path", uri, "partitionValues", values, "size",
						 (json_int_t)files->bytes[i], "modificationTime",
						 (json_int_t)clock_wall_ms(), "dataChange", 1,
						 "stats", stats)) < 0)
		failed = -ENOMEM;
	json_decref(values);
	free(uri);
	return failed;
}

/* Run a COPY and make adds of its files. @return rows; an error */
int64_t delta_copy_files(struct delta_job *job, int (*put)(struct delta_job *job, FILE *out))
{
	CLEANUP(json_decrefp) json_t *stats = NULL;
	struct written_files files = { .paths = NULL };
	int64_t rows = 0;
	int failed = copy(job, put, &files);

	if (failed == 0) {
		struct delta_stats_files wanted = { job->schema, job->partitions, files.paths,
						    files.rows };

		failed = delta_stats_read(job->duck, &wanted, &stats, &job->error);
	}
	for (uint32_t i = 0; failed == 0 && i < files.count; i++) {
		if (files.rows[i] == 0) { /* COPY of no rows makes a file */
			(void)unlink(json_string_value(json_array_get(files.paths, i)));
			continue;
		}
		rows += files.rows[i];
		job->bytes += files.bytes[i];
		failed = add_file(job, &files, i, json_array_get(stats, i));
	}
	written_files_free(&files);
	return failed != 0 ? failed : rows;
}

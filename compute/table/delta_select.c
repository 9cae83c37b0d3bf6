/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define BRANCHES_MAX 200 /* combinations of partition values that get a branch of their own */
#define FILE_COLUMN  "_millrace_file"

/* ---- which files ---- */

/* Files that commits in (after, version] added: rows that are new, whether or not they were compacted since. */
struct span {
	struct delta_state state; /* files: those added and not removed but by compaction */
	bool is_append_only;
};

static int visit_span(void *context, const char *kind, json_t *body, struct delta_error *error)
{
	struct span *span = context;
	const json_t *change = json_object_get(body, "dataChange");
	bool is_change = change == NULL || !json_is_false(change);

	if (strcmp(kind, "remove") == 0 && is_change)
		span->is_append_only = false;
	if (is_change && (strcmp(kind, "add") == 0 || strcmp(kind, "remove") == 0))
		return delta_state_apply(&span->state, kind, body, error);
	return 0;
}

/* @return 0; -ENOENT, ERR_CORRUPT, ...: the span cannot be known */
static int read_span(const struct delta_snapshot *snapshot, int64_t after, struct span *span)
{
	struct delta_error error = { (char[8]){ 0 }, 8 };
	struct delta_log log;
	int result;

	span->is_append_only = true;
	result = delta_state_init(&span->state);
	if (result == 0)
		result = delta_log_open(snapshot->path, false, &log, &error);
	if (result != 0)
		return result;
	for (int64_t v = after + 1; result == 0 && v <= snapshot->version; v++) {
		span->state.version = v;
		result = delta_log_read(&log, v, visit_span, span, &error);
	}
	delta_log_close(&log);
	return result;
}

static bool is_there(const struct delta_snapshot *snapshot, const char *path)
{
	struct stat st;
	char *full = NULL;
	bool there;

	if (path[0] == '/')
		return stat(path, &st) == 0;
	if (asprintf(&full, "%s/%s", snapshot->path, path) < 0)
		return false;
	there = stat(full, &st) == 0;
	free(full);
	return there;
}

bool delta_is_append_only_since(const struct delta_snapshot *snapshot, int64_t version)
{
	struct span span;
	const char *path;
	json_t *add;
	bool result = read_span(snapshot, version, &span) == 0 && span.is_append_only;

	/* What compaction replaced may have been vacuumed already. */
	json_object_foreach(span.state.files, path, add)
	{
		if (result && json_object_get(snapshot->state.files, path) == NULL)
			result = is_there(snapshot, path);
	}
	delta_state_free(&span.state);
	return result;
}

/* ---- the SQL ---- */

struct query {
	const struct delta_snapshot *snapshot;
	const json_t *partitions;
	const char *file_column; /* NULL: none */
	FILE *out;
};

static void put_sql_type(FILE *out, const json_t *type)
{
	struct delta_error error = { (char[8]){ 0 }, 8 };

	/* The schema was checked when it was read. */
	(void)!delta_schema_sql(type, out, &error);
}

static bool is_partition(const struct query *query, const json_t *field)
{
	return delta_schema_names(query->partitions, delta_schema_field_name(field));
}

/* Columns in the order of the schema: those of the files by name, those of partitions by `put`. */
static void put_columns(const struct query *query, const char *table,
			void (*put)(const struct query *query, const char *name,
				    const json_t *values),
			const json_t *values)
{
	json_t *field;
	size_t index;

	json_array_foreach(json_object_get(query->snapshot->schema, "fields"), index, field)
	{
		const char *name = delta_schema_field_name(field);

		(void)fputs(index > 0 ? ", CAST(" : "CAST(", query->out);
		if (is_partition(query, field)) {
			put(query, name, values);
		} else {
			(void)fputs(table, query->out);
			delta_text_name(query->out, name);
		}
		(void)fputs(" AS ", query->out);
		put_sql_type(query->out, json_object_get(field, "type"));
		(void)fputs(") AS ", query->out);
		delta_text_name(query->out, name);
	}
	if (query->file_column != NULL) {
		(void)fprintf(query->out, ", %s%s AS ", table, FILE_COLUMN);
		delta_text_name(query->out, query->file_column);
	}
}

static void put_value(const struct query *query, const char *name, const json_t *values)
{
	const char *text = NULL;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)values, key, value)
	{
		if (strcasecmp(key, name) == 0)
			text = json_string_value(value);
	}
	if (text == NULL || text[0] == '\0')
		(void)fputs("NULL", query->out);
	else
		delta_text_literal(query->out, text);
}

static void put_joined(const struct query *query, const char *name, const json_t *values)
{
	(void)values;
	(void)fputs("p.", query->out);
	delta_text_name(query->out, name);
}

static void put_path(const struct query *query, const char *path)
{
	char *full = NULL;

	if (path[0] == '/')
		delta_text_literal(query->out, path);
	else if (asprintf(&full, "%s/%s", query->snapshot->path, path) >= 0)
		delta_text_literal(query->out, full);
	free(full);
}

/*
 * The files' columns with all that the schema has: columns that no file has come from an empty relation, those
 * that some lack are null in their rows.
 */
static void put_source(const struct query *query, const json_t *adds, bool with_file)
{
	const char *path;
	json_t *field;
	json_t *add;
	size_t index;
	bool any = false;

	(void)fputs("(SELECT * FROM (SELECT ", query->out);
	json_array_foreach(json_object_get(query->snapshot->schema, "fields"), index, field)
	{
		if (is_partition(query, field))
			continue;
		(void)fputs(any ? ", CAST(NULL AS " : "CAST(NULL AS ", query->out);
		put_sql_type(query->out, json_object_get(field, "type"));
		(void)fputs(") AS ", query->out);
		delta_text_name(query->out, delta_schema_field_name(field));
		any = true;
	}
	if (with_file)
		(void)fputs(any ? ", '' AS " FILE_COLUMN : "'' AS " FILE_COLUMN, query->out);
	else if (!any)
		(void)fputs("NULL", query->out);
	(void)fputs(") WHERE false UNION ALL BY NAME SELECT * FROM read_parquet([", query->out);
	any = false;
	json_object_foreach((json_t *)(uintptr_t)adds, path, add)
	{
		(void)fputs(any ? "," : "", query->out);
		put_path(query, path);
		any = true;
	}
	(void)fputs("], union_by_name=true, hive_partitioning=false", query->out);
	if (with_file)
		(void)fputs(", filename='" FILE_COLUMN "'", query->out);
	(void)fputs("))", query->out);
}

static void put_branch(const struct query *query, const json_t *adds, const json_t *values)
{
	(void)fputs("SELECT ", query->out);
	put_columns(query, "", put_value, values);
	(void)fputs(" FROM ", query->out);
	put_source(query, adds, query->file_column != NULL);
}

/* Very many partitions: their values come by a join on the file. */
static void put_join(const struct query *query, const json_t *adds)
{
	json_t *column;
	const char *path;
	json_t *add;
	size_t index;
	bool any = false;

	(void)fputs("SELECT ", query->out);
	put_columns(query, "f.", put_joined, NULL);
	(void)fputs(" FROM ", query->out);
	put_source(query, adds, true);
	(void)fputs(" AS f JOIN (VALUES ", query->out);
	json_object_foreach((json_t *)(uintptr_t)adds, path, add)
	{
		(void)fputs(any ? ",(" : "(", query->out);
		put_path(query, path);
		json_array_foreach((json_t *)(uintptr_t)query->partitions, index, column)
		{
			(void)fputc(',', query->out);
			put_value(query, json_string_value(column),
				  json_object_get(add, "partitionValues"));
		}
		(void)fputc(')', query->out);
		any = true;
	}
	(void)fputs(") AS p(" FILE_COLUMN, query->out);
	json_array_foreach((json_t *)(uintptr_t)query->partitions, index, column)
	{
		(void)fputc(',', query->out);
		delta_text_name(query->out, json_string_value(column));
	}
	(void)fputs(") ON f." FILE_COLUMN " = p." FILE_COLUMN, query->out);
}

/* Files by their partition values: {text of the values: {path: add}}. */
static json_t *group_files(const json_t *adds)
{
	CLEANUP(json_decrefp) json_t *groups = json_object();
	const char *path;
	json_t *add;

	json_object_foreach((json_t *)(uintptr_t)adds, path, add)
	{
		char *key = json_dumps(json_object_get(add, "partitionValues"),
				       JSON_COMPACT | JSON_SORT_KEYS);
		json_t *group = key != NULL ? json_object_get(groups, key) : NULL;
		bool failed = key == NULL;

		if (key != NULL && group == NULL) {
			group = json_object();
			failed = json_object_set_new(groups, key, group) < 0;
		}
		failed = failed || json_object_set_nocheck(group, path, add) < 0;
		free(key);
		if (failed)
			return NULL;
	}
	return TAKE_PTR(groups);
}

static int put_query(const struct query *query, const json_t *adds)
{
	CLEANUP(json_decrefp) json_t *groups = group_files(adds);
	const char *key;
	json_t *group;
	bool any = false;

	if (groups == NULL)
		return -ENOMEM;
	if (json_object_size(adds) == 0) {
		CLEANUP(json_decrefp) json_t *none = json_object();

		(void)fputs("SELECT ", query->out);
		put_columns(query, "", put_value, none);
		(void)fputs(" FROM (SELECT '' AS " FILE_COLUMN, query->out);
		for (size_t i = 0;
		     i < json_array_size(json_object_get(query->snapshot->schema, "fields")); i++) {
			(void)fputs(", NULL AS ", query->out);
			delta_text_name(
				query->out,
				delta_schema_field_name(json_array_get(
					json_object_get(query->snapshot->schema, "fields"), i)));
		}
		(void)fputs(") WHERE false", query->out);
		return 0;
	}
	if (json_object_size(groups) > BRANCHES_MAX) {
		put_join(query, adds);
		return 0;
	}
	json_object_foreach(groups, key, group)
	{
		const json_t *first = json_object_iter_value(json_object_iter(group));

		(void)fputs(any ? " UNION ALL " : "", query->out);
		put_branch(query, group, json_object_get(first, "partitionValues"));
		any = true;
	}
	return 0;
}

char *delta_select_sql(const struct delta_snapshot *snapshot, const json_t *adds,
		       const char *file_column)
{
	struct query query = { snapshot, delta_partition_columns(snapshot), file_column, NULL };
	char *sql = NULL;
	size_t size;
	int result;

	query.out = open_memstream(&sql, &size);
	if (query.out == NULL)
		return NULL;
	result = put_query(&query, adds);
	if (delta_text_end(query.out, &sql) == 0 && result != 0) {
		free(sql);
		sql = NULL;
	}
	return sql;
}

char *delta_select(const struct delta_snapshot *snapshot, int64_t after)
{
	struct span span;
	char *sql = NULL;

	if (after < 0)
		return delta_select_sql(snapshot, snapshot->state.files, NULL);
	if (read_span(snapshot, after, &span) == 0)
		sql = delta_select_sql(snapshot, span.state.files, NULL);
	delta_state_free(&span.state);
	return sql;
}

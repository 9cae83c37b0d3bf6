/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define STRING_CHARS_MAX 32 /* of a bound, as in Spark */
#define NULL_PARTITION   "__HIVE_DEFAULT_PARTITION__"

int64_t delta_stats_rows(const char *stats)
{
	static const char lead[] = "{\"numRecords\":";
	CLEANUP(json_decrefp) json_t *parsed = NULL;
	const json_t *rows;

	/* Nearly every writer begins like that, and parsing is the most of opening a large table. */
	if (strncmp(stats, lead, sizeof(lead) - 1) == 0) {
		const char *at = stats + sizeof(lead) - 1;
		char *end;
		long long number = strtoll(at, &end, 10);

		if (end > at && number >= 0 && (*end == ',' || *end == '}'))
			return number;
	}
	parsed = json_loads(stats, 0, NULL);
	rows = json_object_get(parsed, "numRecords");
	return json_is_integer(rows) && json_integer_value(rows) >= 0 ? json_integer_value(rows)
								      : -1;
}

/* ---- partition values ---- */

json_t *delta_stats_partition(const json_t *partitions, const char *path)
{
	CLEANUP(json_decrefp) json_t *values = json_object();
	json_t *column;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)partitions, index, column)
	{
		const char *slash = strchr(path, '/');
		const char *equal = strchr(path, '=');
		char *text;
		char *value;
		bool is_null;
		int failed;

		if (slash == NULL || equal == NULL || equal > slash)
			return NULL;
		text = strndup(equal + 1, (size_t)(slash - equal - 1));
		value = text != NULL ? delta_text_uri_decode(text) : NULL;
		free(text);
		if (value == NULL)
			return NULL;
		/* In Delta the empty text is null. */
		is_null = value[0] == '\0' || strcmp(value, NULL_PARTITION) == 0;
		failed = json_object_set_new(values, json_string_value(column),
					     is_null ? json_null() : json_string(value));
		free(value);
		if (failed < 0)
			return NULL;
		path = slash + 1;
	}
	return strchr(path, '/') == NULL ? TAKE_PTR(values) : NULL;
}

/* ---- statistics: one query over the footers, one row per file ---- */

struct leaf {
	char *path; /* as parquet_metadata() has it */
	const char *type;
};

struct leaves {
	struct leaf at[DELTA_INDEXED_MAX];
	uint32_t count;
};

static void leaves_free(struct leaves *leaves)
{
	for (uint32_t i = 0; i < leaves->count; i++)
		free(leaves->at[i].path);
}

/* Plain columns, also within structs; a comma in a name would make the path in the footer ambiguous. */
static bool is_indexed(const json_t *field, const json_t *partitions)
{
	const char *name = delta_schema_field_name(field);
	const json_t *type = json_object_get(field, "type");

	return !delta_schema_names(partitions, name) && strchr(name, ',') == NULL &&
	       (json_is_string(type) || json_object_get(type, "fields") != NULL);
}

static int collect(const json_t *fields, const json_t *partitions, const char *prefix,
		   struct leaves *leaves)
{
	json_t *field;
	size_t index;
	int result = 0;

	json_array_foreach((json_t *)(uintptr_t)fields, index, field)
	{
		const json_t *type = json_object_get(field, "type");
		char *path = NULL;

		if (leaves->count == DELTA_INDEXED_MAX || !is_indexed(field, partitions))
			continue;
		if (asprintf(&path, "%s%s%s", prefix, prefix[0] != '\0' ? ", " : "",
			     delta_schema_field_name(field)) < 0)
			return -ENOMEM;
		if (json_is_string(type)) {
			leaves->at[leaves->count++] =
				(struct leaf){ path, json_string_value(type) };
			continue;
		}
		result = collect(json_object_get(type, "fields"), NULL, path, leaves);
		free(path);
		if (result != 0)
			return result;
	}
	return 0;
}

/* A plain type in SQL; integers and floats in their widest. */
static const char *sql_type(const char *type)
{
	if (strcmp(type, "timestamp") == 0)
		return "TIMESTAMPTZ";
	if (strcmp(type, "timestamp_ntz") == 0)
		return "TIMESTAMP";
	if (strcmp(type, "string") == 0 || strcmp(type, "binary") == 0)
		return "VARCHAR";
	if (strcmp(type, "float") == 0)
		return "DOUBLE";
	return type[0] == 'd' || strcmp(type, "boolean") == 0 ? type : "BIGINT";
}

/*
 * A bound of leaf `l` over the row groups of one file, as column "lo<l>" or "hi<l>". A column that lacks the bound in
 * some row group, though it has values there, has none at all; texts, which lack it when they are long, get the
 * widest then, for some readers take a missing bound for one that nothing satisfies.
 */
static void put_bound(FILE *out, const char *type, uint32_t l, const char *bound)
{
	bool is_max = bound[0] == 'h';

	(void)fprintf(
		out,
		", CASE WHEN bool_and(TRY_CAST(%s AS %s) IS NOT NULL OR n >= v) FILTER (l = %u) "
		"THEN %s(TRY_CAST(%s AS %s)) FILTER (l = %u)",
		bound, sql_type(type), l, is_max ? "max" : "min", bound, sql_type(type), l);
	if (strcmp(type, "string") == 0)
		(void)fputs(is_max ? " ELSE chr(1114111)" : " ELSE ''", out);
	(void)fprintf(out, " END AS %s%u", bound, l);
}

/* The bound as the text of a JSON value. */
static void put_json(FILE *out, const char *type, uint32_t l, const char *bound)
{
	bool is_max = bound[0] == 'h';
	char value[16];

	(void)snprintf(value, sizeof(value), "%s%u", bound, l);
	(void)fputs(", CAST(", out);
	if (strcmp(type, "binary") == 0)
		(void)fputs("NULL", out);
	else if (strcmp(type, "string") == 0)
		(void)fprintf(out,
			      "to_json(CASE WHEN length(%s) <= %d THEN %s ELSE left(%s, %d)%s END)",
			      value, STRING_CHARS_MAX, value, value, STRING_CHARS_MAX,
			      is_max ? " || chr(1114111)" : "");
	else if (strncmp(type, "timestamp", 9) == 0) /* in milliseconds, the upper one rounded up */
		(void)fprintf(out,
			      "CASE WHEN isfinite(%s) AND year(%s) BETWEEN 1 AND 9998 THEN '\"' || "
			      "strftime(%s%s, '%%Y-%%m-%%dT%%H:%%M:%%S.%%g%s') || '\"' END",
			      value, value, value, is_max ? " + INTERVAL 999 MICROSECOND" : "",
			      type[9] == '\0' ? "Z" : "");
	else if (strcmp(type, "date") == 0)
		(void)fprintf(out,
			      "CASE WHEN isfinite(%s) AND year(%s) BETWEEN 1 AND 9999 THEN '\"' || "
			      "CAST(%s AS VARCHAR) || '\"' END",
			      value, value, value);
	else if (strcmp(type, "double") == 0 || strcmp(type, "float") == 0)
		(void)fprintf(out, "CASE WHEN isfinite(%s) THEN %s END", value, value);
	else
		(void)fputs(value, out);
	(void)fputs(" AS VARCHAR)", out);
}

static void put_files(FILE *out, const json_t *files)
{
	json_t *file;
	size_t index;

	(void)fputs("parquet_metadata([", out);
	json_array_foreach((json_t *)(uintptr_t)files, index, file)
	{
		(void)fputs(index > 0 ? "," : "", out);
		delta_text_literal(out, json_string_value(file));
	}
	(void)fputs("])", out);
}

static char *make_query(const struct leaves *leaves, const json_t *files)
{
	char *sql = NULL;
	size_t size;
	FILE *out = open_memstream(&sql, &size);

	if (out == NULL)
		return NULL;
	(void)fputs("SELECT f", out);
	for (uint32_t l = 0; l < leaves->count; l++) {
		put_json(out, leaves->at[l].type, l, "lo");
		put_json(out, leaves->at[l].type, l, "hi");
		(void)fprintf(out, ", coalesce(n%u, 0)", l);
	}
	(void)fputs(" FROM (SELECT f", out);
	for (uint32_t l = 0; l < leaves->count; l++) {
		put_bound(out, leaves->at[l].type, l, "lo");
		put_bound(out, leaves->at[l].type, l, "hi");
		(void)fprintf(out, ", CAST(sum(n) FILTER (l = %u) AS BIGINT) AS n%u", l, l);
	}
	(void)fputs(" FROM (SELECT file_name AS f, list_position([''", out);
	for (uint32_t l = 0; l < leaves->count; l++) {
		(void)fputc(',', out);
		delta_text_literal(out, leaves->at[l].path);
	}
	(void)fputs("], path_in_schema) - 2 AS l, stats_min_value AS lo, stats_max_value AS hi, "
		    "stats_null_count AS n, num_values AS v FROM ",
		    out);
	put_files(out, files);
	(void)fputs(") GROUP BY f)", out);
	return delta_text_end(out, &sql) == 0 ? sql : NULL;
}

/* ---- from the rows to Delta's JSON ---- */

struct row {
	struct duck_result *result;
	uint32_t row;
	uint32_t which; /* 0 minValues, 1 maxValues, 2 nullCount */
	uint32_t count; /* of leaves */
	uint32_t next;  /* leaf, in the order of collect() */
};

/* A leaf without the bound is left out: readers take a null for a bound that nothing satisfies. */
static void put_object(FILE *out, const json_t *fields, const json_t *partitions, struct row *row)
{
	bool any = false;
	json_t *field;
	size_t index;

	(void)fputc('{', out);
	json_array_foreach((json_t *)(uintptr_t)fields, index, field)
	{
		const json_t *type = json_object_get(field, "type");
		const char *text = "";
		size_t size = 0;
		char *key;

		if (row->next == row->count || !is_indexed(field, partitions))
			continue;
		if (json_is_string(type))
			text = duck_result_text(row->result, 1 + row->next++ * 3 + row->which,
						row->row, &size);
		key = text != NULL ? json_dumps(json_object_get(field, "name"), JSON_ENCODE_ANY)
				   : NULL;
		if (key == NULL)
			continue;
		(void)fprintf(out, "%s%s:%.*s", any ? "," : "", key, (int)size, text);
		if (!json_is_string(type))
			put_object(out, json_object_get(type, "fields"), NULL, row);
		free(key);
		any = true;
	}
	(void)fputc('}', out);
}

static json_t *make_stats(const json_t *schema, const json_t *partitions, int64_t rows,
			  struct row *row)
{
	static const char *const parts[] = { "minValues", "maxValues", "nullCount" };
	char *text = NULL;
	json_t *value;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	(void)fprintf(out, "{\"numRecords\":%" PRId64, rows);
	for (row->which = 0; row->which < ARRAY_COUNT(parts); row->which++) {
		row->next = 0;
		(void)fprintf(out, ",\"%s\":", parts[row->which]);
		put_object(out, json_object_get(schema, "fields"), partitions, row);
	}
	(void)fputc('}', out);
	if (delta_text_end(out, &text) != 0)
		return NULL;
	value = json_string(text);
	free(text);
	return value;
}

/* Put each file's statistics in its place of `stats`; `places`: {path: index}. */
static int take_rows(const struct delta_stats_files *files, uint32_t leaf_count,
		     struct duck_result *result, const json_t *places, json_t *stats)
{
	uint32_t count;

	while ((count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			struct row row = { .result = result, .row = i, .count = leaf_count };
			char *path = delta_text_value(result, 0, i);
			const json_t *place = json_object_get(places, path != NULL ? path : "");
			int64_t at = json_integer_value(place);

			free(path);
			if (place != NULL &&
			    json_array_set_new(stats, (size_t)at,
					       make_stats(files->schema, files->partitions,
							  files->rows[at], &row)) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

int delta_stats_read(struct duck *duck, const struct delta_stats_files *files, json_t **ret_stats,
		     struct delta_error *error)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	CLEANUP(json_decrefp) json_t *stats = json_array();
	CLEANUP(json_decrefp) json_t *places = json_object();
	struct leaves leaves = { .count = 0 };
	enum duck_status status;
	char *sql = NULL;
	int failed =
		collect(json_object_get(files->schema, "fields"), files->partitions, "", &leaves);

	for (size_t i = 0; failed == 0 && i < json_array_size(files->paths); i++) {
		if (json_array_append_new(stats, json_sprintf("{\"numRecords\":%" PRId64 "}",
							      files->rows[i])) < 0 ||
		    json_object_set_new_nocheck(places,
						json_string_value(json_array_get(files->paths, i)),
						json_integer((json_int_t)i)) < 0)
			failed = -ENOMEM;
	}
	if (failed == 0 && leaves.count > 0 && json_array_size(stats) > 0) {
		sql = make_query(&leaves, files->paths);
		status = sql != NULL ? duck_run(duck, sql, &result, error->text, error->size)
				     : DUCK_MEMORY;
		/* Bounds that SQL cannot read are left out: a table without them is whole. */
		failed = status == DUCK_USER ? 0 : delta_text_status(status, error->text);
		if (failed == 0 && status == DUCK_OK)
			failed = take_rows(files, leaves.count, result, places, stats);
	}
	free(sql);
	leaves_free(&leaves);
	if (failed == 0)
		*ret_stats = TAKE_PTR(stats);
	return failed;
}

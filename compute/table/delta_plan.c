/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#include "compute/table/delta_job.h"

int delta_plan_run(struct delta_job *job, char *sql, struct duck_result **ret_result)
{
	if (sql == NULL)
		return -ENOMEM;
	job->status = duck_run(job->duck, sql, ret_result, job->error.text, job->error.size);
	free(sql);
	return delta_text_status(job->status, job->error.text);
}

void delta_plan_put_query(FILE *out, const char *query)
{
	size_t size = strlen(query);

	while (size > 0 && strchr("; \t\r\n", query[size - 1]) != NULL)
		size--;
	(void)fprintf(out, "(\n%.*s\n)", (int)size, query);
}

/* ---- the query's columns ---- */

static int take_column(struct delta_job *job, struct duck_result *result, uint32_t row)
{
	char *name = delta_text_value(result, 0, row);
	char *text = delta_text_value(result, 1, row);
	json_t *type = NULL;
	char why[256];
	int failed = -ENOMEM;

	if (name != NULL && text != NULL)
		failed = delta_schema_from_sql(text, &type, &job->error);
	if (failed == 0 &&
	    json_array_append_new(json_object_get(job->query, "fields"),
				  json_pack("{s:s, s:o, s:b, s:{}}", "name", name, "type", type,
					    "nullable", 1, "metadata")) < 0)
		failed = -ENOMEM;
	if (failed == ERR_CONFIG) {
		(void)snprintf(why, sizeof(why), "%s", job->error.text);
		(void)delta_text_fail(&job->error, failed, "column %.100s: %s", name, why);
	}
	free(name);
	free(text);
	return failed;
}

int delta_plan_describe(struct delta_job *job)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	char *sql = NULL;
	uint32_t count;
	size_t size;
	int failed;
	FILE *out = open_memstream(&sql, &size);

	if (out == NULL)
		return -ENOMEM;
	(void)fputs("DESCRIBE SELECT * FROM ", out);
	delta_plan_put_query(out, job->write->query);
	failed = delta_text_end(out, &sql);
	if (failed == 0)
		failed = delta_plan_run(job, sql, &result);
	job->query = json_pack("{s:s, s:[]}", "type", "struct", "fields");
	while (failed == 0 && (count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; failed == 0 && i < count; i++)
			failed = take_column(job, result, i);
	}
	return failed;
}

/* ---- does it fit the table ---- */

static int check_key(struct delta_job *job)
{
	const struct delta_write *write = job->write;

	for (uint32_t i = 0; i < write->key_count; i++) {
		if (delta_schema_field(job->query, write->key[i]) == NULL)
			return delta_text_fail(&job->error, ERR_CONFIG,
					       "key column %.100s is not in the query",
					       write->key[i]);
	}
	if (write->mode == DELTA_MERGE && write->key_count == 0)
		return delta_text_fail(&job->error, ERR_CONFIG, "a merge needs key columns");
	if (write->mode == DELTA_REPLACE_WHERE && write->predicate == NULL)
		return delta_text_fail(&job->error, ERR_CONFIG, "replace_where needs a predicate");
	return 0;
}

/* The same names in the same order, or none given. */
static int check_partitions(struct delta_job *job, const json_t *columns)
{
	const struct delta_write *write = job->write;
	bool agree = write->partition_count == json_array_size(columns);
	char *text;

	for (uint32_t i = 0; agree && i < write->partition_count; i++)
		agree = strcasecmp(write->partition_by[i],
				   json_string_value(json_array_get(columns, i))) == 0;
	if (agree || write->partition_count == 0)
		return 0;
	text = json_dumps(columns, JSON_COMPACT);
	(void)delta_text_fail(&job->error, ERR_CONFIG,
			      "the table is partitioned by %.300s, not as partition_by says",
			      text != NULL ? text : "?");
	free(text);
	return ERR_CONFIG;
}

static int new_partitions(struct delta_job *job)
{
	const struct delta_write *write = job->write;

	job->partitions = json_array();
	for (uint32_t i = 0; i < write->partition_count; i++) {
		const json_t *field = delta_schema_field(job->query, write->partition_by[i]);
		const char *type = json_string_value(json_object_get(field, "type"));

		if (field == NULL)
			return delta_text_fail(&job->error, ERR_CONFIG,
					       "partition column %.100s is not in the query",
					       write->partition_by[i]);
		if (type == NULL || strcmp(type, "binary") == 0)
			return delta_text_fail(&job->error, ERR_CONFIG,
					       "a table cannot be partitioned by %.100s: its type",
					       write->partition_by[i]);
		if (delta_schema_names(job->partitions, write->partition_by[i]))
			return delta_text_fail(&job->error, ERR_CONFIG,
					       "partition column %.100s is named twice",
					       write->partition_by[i]);
		if (json_array_append_new(job->partitions,
					  json_string(delta_schema_field_name(field))) < 0)
			return -ENOMEM;
	}
	if (json_array_size(json_object_get(job->query, "fields")) <= write->partition_count)
		return delta_text_fail(&job->error, ERR_CONFIG,
				       "a table needs a column besides those it is partitioned by");
	return 0;
}

/* Columns of another writer's table that may not be null, and settings that forbid what is asked for. */
static int check_rules(struct delta_job *job)
{
	const char *append_only = delta_state_setting(&job->snapshot->state, "delta.appendOnly");
	json_t *field;
	size_t index;

	if (append_only != NULL && strcasecmp(append_only, "true") == 0 &&
	    (job->write->mode == DELTA_OVERWRITE || job->write->mode == DELTA_REPLACE_WHERE))
		return delta_text_fail(&job->error, ERR_CONFIG,
				       "the table is append-only (delta.appendOnly)");
	json_array_foreach(json_object_get(job->snapshot->schema, "fields"), index, field)
	{
		const char *name = delta_schema_field_name(field);

		if (json_is_false(json_object_get(field, "nullable")) &&
		    delta_schema_field(job->query, name) == NULL)
			return delta_text_fail(&job->error, ERR_CONFIG,
					       "column %.100s must not be null and is not in the "
					       "query",
					       name);
	}
	return 0;
}

int delta_plan_fit(struct delta_job *job)
{
	int failed = check_key(job);

	if (failed != 0)
		return failed;
	if (job->snapshot == NULL) {
		failed = new_partitions(job);
		if (failed == 0)
			failed = delta_schema_grow(NULL, job->query, true, &job->schema,
						   &job->is_grown, &job->error);
		return failed;
	}
	job->partitions = json_deep_copy(delta_partition_columns(job->snapshot));
	failed = delta_state_writable(&job->snapshot->state, job->snapshot->schema, &job->error);
	if (failed == 0)
		failed = check_rules(job);
	if (failed == 0)
		failed = check_partitions(job, job->partitions);
	if (failed == 0)
		failed = delta_schema_grow(job->snapshot->schema, job->query,
					   job->write->merge_schema, &job->schema, &job->is_grown,
					   &job->error);
	return failed;
}

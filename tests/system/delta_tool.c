/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delta tables from the command line, for tests/system/delta.py: each argument is a JSON object with
 * an "op"; the answer to each is a line of JSON. Not installed.
 *
 *   {"op":"write","path":..,"query":..,"mode":"append|overwrite|replace_where|merge","predicate":..,"key":[..],
 *    "partition_by":[..],"merge_schema":bool,"txns":[[app,version]],"before":[..],"retries":n}
 *   {"op":"open","path":..,"version":n,"after":n,"sql":"SELECT ... FROM t"}    without sql: state only
 *   {"op":"history","path":..}   {"op":"vacuum","path":..,"older_ms":n}
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/table/delta.h"

#define LIST_MAX 64

static struct duck *duck;
static char message[2048];

static const char *text_of(const json_t *op, const char *name)
{
	return json_string_value(json_object_get(op, name));
}

static uint32_t list_of(const json_t *op, const char *name, const char **ret_list)
{
	const json_t *list = json_object_get(op, name);
	uint32_t count = 0;

	while (count < json_array_size(list) && count < LIST_MAX) {
		ret_list[count] = json_string_value(json_array_get(list, count));
		count++;
	}
	return count;
}

static enum delta_mode mode_of(const json_t *op)
{
	const char *mode = text_of(op, "mode");

	if (mode == NULL || strcmp(mode, "append") == 0)
		return DELTA_APPEND;
	if (strcmp(mode, "overwrite") == 0)
		return DELTA_OVERWRITE;
	return strcmp(mode, "merge") == 0 ? DELTA_MERGE : DELTA_REPLACE_WHERE;
}

static json_t *op_write(const json_t *op)
{
	static struct delta_txn txns[LIST_MAX];
	const char *key[LIST_MAX];
	const char *columns[LIST_MAX];
	int64_t before[LIST_MAX];
	const json_t *list = json_object_get(op, "txns");
	int64_t retries = json_integer_value(json_object_get(op, "retries"));
	enum duck_status status = DUCK_OK;
	struct delta_written written = { .version = -1 };
	struct delta_write write = {
		.path = text_of(op, "path"),
		.query = text_of(op, "query"),
		.mode = mode_of(op),
		.predicate = text_of(op, "predicate"),
		.key = key,
		.partition_by = columns,
		.merge_schema = json_is_true(json_object_get(op, "merge_schema")),
		.txns = txns,
		.info = json_object_get(op, "info"),
	};
	int failed;

	write.key_count = list_of(op, "key", key);
	write.partition_count = list_of(op, "partition_by", columns);
	while (write.txn_count < json_array_size(list) && write.txn_count < LIST_MAX) {
		const json_t *txn = json_array_get(list, write.txn_count);

		(void)snprintf(txns[write.txn_count].app_id, DELTA_APP_ID_MAX, "%s",
			       json_string_value(json_array_get(txn, 0)));
		txns[write.txn_count].version = json_integer_value(json_array_get(txn, 1));
		if (json_object_get(op, "before") != NULL) {
			before[write.txn_count] = json_integer_value(
				json_array_get(json_object_get(op, "before"), write.txn_count));
			write.txns_before = before;
		}
		write.txn_count++;
	}
	do {
		failed = delta_write(duck, &write, &written, &status, message, sizeof(message));
	} while (failed == -EBUSY && retries-- > 0);
	return json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:i}", "error", failed, "name",
			 err_str(failed), "message", failed != 0 ? message : "", "version",
			 (json_int_t)written.version, "rows", (json_int_t)written.rows, "bytes",
			 (json_int_t)written.bytes, "added", (int)written.files_added, "removed",
			 (int)written.files_removed, "attempts", (int)written.attempts);
}

static json_t *read_rows(const char *select, const char *sql, json_t *ret_types)
{
	struct duck_result *result = NULL;
	json_t *rows = json_array();
	uint32_t count;

	if (duck_runf(duck, &result, message, sizeof(message), "WITH t AS (%s) %s", select, sql) !=
	    DUCK_OK) {
		json_decref(rows);
		return json_string(message);
	}
	for (uint32_t c = 0; c < duck_result_columns(result); c++)
		(void)json_array_append_new(ret_types, json_string(duck_result_type(result, c)));
	while ((count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			json_t *row = json_array();

			for (uint32_t c = 0; c < duck_result_columns(result); c++) {
				size_t size;
				const char *text = duck_result_text(result, c, i, &size);

				(void)json_array_append_new(
					row, text != NULL ? json_stringn(text, size) : json_null());
			}
			(void)json_array_append_new(rows, row);
		}
	}
	duck_result_free(result);
	return rows;
}

static json_t *list_files(const struct delta_snapshot *snapshot)
{
	uint32_t count;
	const struct delta_file *files = delta_files(snapshot, &count);
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:O, s:s?, s:I, s:I, s:I}", "path", files[i].path,
					"partition", files[i].partition_values, "stats",
					files[i].stats, "size", (json_int_t)files[i].size, "rows",
					(json_int_t)files[i].rows, "version",
					(json_int_t)files[i].version));
	return list;
}

static json_t *op_open(const json_t *op)
{
	const json_t *version = json_object_get(op, "version");
	const json_t *after = json_object_get(op, "after");
	int64_t since = json_is_integer(after) ? json_integer_value(after) : -1;
	struct delta_snapshot *snapshot = NULL;
	json_t *answer;
	int failed = delta_open(text_of(op, "path"),
				json_is_integer(version) ? json_integer_value(version)
							 : DELTA_VERSION_NEWEST,
				duck, &snapshot, message, sizeof(message));

	if (failed != 0)
		return json_pack("{s:i, s:s, s:s}", "error", failed, "name", err_str(failed),
				 "message", message);
	answer = json_pack("{s:i, s:I, s:O, s:O, s:I, s:o, s:b}", "error", 0, "version",
			   (json_int_t)delta_version(snapshot), "schema", delta_schema(snapshot),
			   "partition_columns", delta_partition_columns(snapshot), "rows",
			   (json_int_t)delta_rows(snapshot), "files", list_files(snapshot),
			   "append_only", delta_is_append_only_since(snapshot, since));
	if (text_of(op, "app_id") != NULL)
		(void)json_object_set_new(answer, "txn",
					  json_integer(delta_txn(snapshot, text_of(op, "app_id"))));
	if (text_of(op, "sql") != NULL) {
		char *select = delta_select(snapshot, since);
		json_t *types = json_array();

		(void)json_object_set_new(answer, "data",
					  read_rows(select, text_of(op, "sql"), types));
		(void)json_object_set_new(answer, "types", types);
		if (json_is_true(json_object_get(op, "show")))
			(void)json_object_set_new(answer, "select", json_string(select));
		free(select);
	}
	delta_close(snapshot);
	return answer;
}

static json_t *run(const json_t *op)
{
	const char *name = text_of(op, "op");

	if (name != NULL && strcmp(name, "write") == 0)
		return op_write(op);
	if (name != NULL && strcmp(name, "open") == 0)
		return op_open(op);
	if (name != NULL && strcmp(name, "history") == 0) {
		json_t *history =
			delta_history(text_of(op, "path"), 1000, message, sizeof(message));

		return history != NULL ? history : json_string(message);
	}
	if (name != NULL && strcmp(name, "vacuum") == 0) {
		int64_t count = delta_vacuum(text_of(op, "path"),
					     json_integer_value(json_object_get(op, "older_ms")),
					     duck, message, sizeof(message));

		return json_pack("{s:I, s:s}", "removed", (json_int_t)count, "message",
				 count < 0 ? message : "");
	}
	return json_string("no such op");
}

int main(int argc, char **argv)
{
	struct duck_config config = { .memory_limit = 1 << 30, .threads = 2 };

	if (duck_load(message, sizeof(message)) != 0 ||
	    duck_open(&config, &duck, message, sizeof(message)) != 0) {
		(void)fprintf(stderr, "%s\n", message);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		json_t *op = json_loads(argv[i], 0, NULL);
		json_t *answer;

		if (op == NULL) {
			(void)fprintf(stderr, "not JSON: %s\n", argv[i]);
			return 2;
		}
		answer = run(op);
		(void)json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		(void)fputc('\n', stdout);
		(void)fflush(stdout);
		json_decref(answer);
		json_decref(op);
	}
	duck_close(duck);
	return 0;
}

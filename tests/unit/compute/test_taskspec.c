/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a start message is taken as compute/task.h says, and each field that is wrong is refused by its name.
   Shown with a full message, and with one wrong field at a time. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/worker/taskspec.h"

#include "cm.h"

static int parse(const char *text, struct taskspec **ret_spec, char *reason, size_t size)
{
	json_t *message = json_loads(text, 0, NULL);
	int result;

	assert_non_null(message);
	result = taskspec_parse(message, ret_spec, reason, size);
	json_decref(message);
	return result;
}

static void test_taskspec_takes_a_full_message(void **state)
{
	static const char text[] =
		"{\"op\":\"start\",\"attempt\":17,\"kind\":\"sql\",\"dag\":\"d\",\"task\":\"t\",\"run\":\"r\","
		"\"try\":2,\"log\":\"/l\",\"fence\":\"/f\",\"memory\":67108864,\"threads\":3,"
		"\"timeout_ms\":500,\"topics\":{\"raw.x\":{\"columns\":{},\"quarantine\":\"b.q\"}},"
		"\"sql\":\"SELECT 1\",\"reads\":{\"raw.x\":\"new\",\"b.y\":\"changed\"},"
		"\"writes\":\"s.t\",\"mode\":\"merge\",\"key\":[\"a\",\"b\"],\"partition_by\":[\"c\"],"
		"\"merge_schema\":true,\"on_lost\":\"skip\",\"hash\":\"h\",\"limit\":9,\"later\":1}";
	struct taskspec *spec;
	char reason[256];

	(void)state;
	assert_int_equal(parse(text, &spec, reason, sizeof(reason)), 0);
	assert_int_equal(spec->attempt, 17);
	assert_int_equal(spec->kind, TASKSPEC_SQL);
	assert_string_equal(spec->dag, "d");
	assert_int_equal(spec->try_number, 2);
	assert_int_equal(spec->memory, 67108864);
	assert_int_equal(spec->mode, DELTA_MERGE);
	assert_int_equal(spec->key_count, 2);
	assert_string_equal(spec->key[1], "b");
	assert_string_equal(spec->partition_by[0], "c");
	assert_true(spec->merge_schema && spec->skips_lost);
	assert_int_equal(spec->limit, 9);
	assert_int_equal(taskspec_read(spec, "raw.x"), TASKSPEC_NEW);
	assert_int_equal(taskspec_read(spec, "b.y"), TASKSPEC_CHANGED);
	assert_int_equal(taskspec_read(spec, "other"), TASKSPEC_ALL);
	taskspec_free(spec);
}

static void test_taskspec_names_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{ "{}", "attempt" },
		{ "{\"attempt\":\"1\",\"kind\":\"query\",\"sql\":\"x\"}", "attempt" },
		{ "{\"attempt\":1,\"kind\":\"dance\"}", "kind" },
		{ "{\"attempt\":1,\"kind\":\"query\"}", "sql" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":7}", "sql" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":\"x\",\"memory\":-1}", "memory" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":\"x\",\"memory\":5}", "memory" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":\"x\",\"threads\":5000}", "threads" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":\"x\",\"topics\":[]}", "topics" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":\"x\",\"topics\":{\"a\":1}}",
		  "topic a" },
		{ "{\"attempt\":1,\"kind\":\"query\",\"sql\":\"x\",\"topics\":{\"a\":{\"quarantine\":\"q\"}}}",
		  "quarantine" },
		{ "{\"attempt\":1,\"kind\":\"sql\",\"sql\":\"x\",\"reads\":{\"a\":\"some\"}}",
		  "all" },
		{ "{\"attempt\":1,\"kind\":\"sql\",\"sql\":\"x\",\"writes\":\"../x\"}", "writes" },
		{ "{\"attempt\":1,\"kind\":\"sql\",\"sql\":\"x\",\"mode\":\"upsert\"}", "append" },
		{ "{\"attempt\":1,\"kind\":\"sql\",\"sql\":\"x\",\"mode\":\"merge\"}", "key" },
		{ "{\"attempt\":1,\"kind\":\"sql\",\"sql\":\"x\",\"mode\":\"replace_where\"}",
		  "replace_where" },
		{ "{\"attempt\":1,\"kind\":\"sql\",\"sql\":\"x\",\"key\":[1]}", "key" },
		{ "{\"attempt\":1,\"kind\":\"check\"}", "checks" },
		{ "{\"attempt\":1,\"kind\":\"check\",\"checks\":[{\"name\":\"n\"}]}", "check 1" },
		{ "{\"attempt\":1,\"kind\":\"table\",\"table\":\"x\"}", "table" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct taskspec *spec;
		char reason[256] = "";

		if (parse(rows[i].text, &spec, reason, sizeof(reason)) != ERR_CONFIG)
			fail_msg("row %zu was taken", i);
		if (strstr(reason, rows[i].part) == NULL)
			fail_msg("row %zu: %s", i, reason);
	}
}

static void test_taskspec_is_table_leaves_no_folder(void **state)
{
	static const char *const good[] = { "a.b", "bronze.flights_2", "_x.y-z" };
	static const char *const bad[] = { "",        "a",     "a.",   ".b",   "..",
					   "a..b",    "a.b.c", "a/b",  "a.b/", "../a.b",
					   "a.\"b\"", "1a.b",  "a b.c" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		assert_true(taskspec_is_table(good[i]));
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(taskspec_is_table(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taskspec_takes_a_full_message),
		cmocka_unit_test(test_taskspec_names_what_is_wrong),
		cmocka_unit_test(test_taskspec_is_table_leaves_no_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

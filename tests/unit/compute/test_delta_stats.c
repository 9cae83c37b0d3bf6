/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: statistics are true for every row of a file: counts exact, bounds at or beyond the
   values, left out where they are not known. Shown by values that Parquet's footers have
   trouble with. */
#include "deltabox.h"

static json_t *stats_of(struct deltabox *box, const char *query)
{
	struct delta_snapshot *snapshot;
	uint32_t count;
	json_t *stats;

	assert_int_equal(deltabox_write(box, (struct delta_write){ .query = query,
								   .mode = DELTA_OVERWRITE,
								   .merge_schema = true }),
			 0);
	snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);
	stats = json_loads(delta_files(snapshot, &count)[0].stats, JSON_DECODE_ANY, NULL);
	assert_int_equal(count, 1);
	delta_close(snapshot);
	assert_non_null(stats);
	return stats;
}

static void expect(const json_t *stats, const char *part, const char *column, const char *wanted)
{
	char *text = json_dumps(json_object_get(json_object_get(stats, part), column),
				JSON_ENCODE_ANY | JSON_COMPACT);

	if ((text == NULL) != (wanted == NULL) || (text != NULL && strcmp(text, wanted) != 0))
		fail_msg("%s of %s: %s, wanted %s", part, column, text != NULL ? text : "none",
			 wanted != NULL ? wanted : "none");
	free(text);
}

static void test_bounds_are_those_of_the_values(void **state)
{
	json_t *stats = stats_of(
		*state,
		"SELECT i AS i, -i::TINYINT AS b, i * 1.25::DECIMAL(9,2) AS de, i / 4 AS d, 'v' || i AS s, "
		"DATE '2024-02-28' + i::INTEGER AS day, i = 3 AS flag, CASE WHEN i > 2 THEN i END AS some, "
		"TIMESTAMPTZ '2024-01-01 00:00:00.0001+00' + to_seconds(i) AS t, {'x': i, 'y': [i]} AS st "
		"FROM range(10) r(i)");

	assert_int_equal(json_integer_value(json_object_get(stats, "numRecords")), 10);
	expect(stats, "minValues", "i", "0");
	expect(stats, "maxValues", "i", "9");
	expect(stats, "minValues", "b", "-9");
	expect(stats, "maxValues", "de", "11.25");
	expect(stats, "maxValues", "d", "2.25");
	expect(stats, "minValues", "s", "\"v0\"");
	expect(stats, "maxValues", "day", "\"2024-03-08\"");
	expect(stats, "minValues", "flag", "false");
	expect(stats, "minValues", "some", "3");
	expect(stats, "nullCount", "some", "3");
	/* In milliseconds: down and up. */
	expect(stats, "minValues", "t", "\"2024-01-01T00:00:00.000Z\"");
	expect(stats, "maxValues", "t", "\"2024-01-01T00:00:09.001Z\"");
	expect(stats, "maxValues", "st", "{\"x\":9}");
	json_decref(stats);
}

static void test_bounds_that_are_not_known_are_left_out(void **state)
{
	json_t *stats = stats_of(
		*state,
		"SELECT CASE i WHEN 3 THEN 'nan'::DOUBLE ELSE i END AS nan, 'inf'::DOUBLE AS inf, "
		"NULL::VARCHAR AS nil, 'infinity'::TIMESTAMPTZ AS t, 'x'::BLOB AS bin, [i] AS l, "
		"repeat('ü', 400) || i AS long, repeat('z', 33) AS mid, chr(10) || '\"\\' AS esc, "
		"i AS \"a,b\", DATE '12000-01-01' AS far FROM range(10) r(i)");

	expect(stats, "maxValues", "nan", NULL);
	expect(stats, "minValues", "inf", NULL);
	expect(stats, "minValues", "nil", NULL);
	expect(stats, "nullCount", "nil", "10");
	expect(stats, "maxValues", "t", NULL);
	expect(stats, "maxValues", "bin", NULL);
	expect(stats, "maxValues", "l", NULL);
	expect(stats, "maxValues", "a,b", NULL);
	expect(stats, "maxValues", "far", NULL);
	expect(stats, "minValues", "long", "\"\"");
	expect(stats, "maxValues", "long", "\"\xf4\x8f\xbf\xbf\"");
	expect(stats, "maxValues", "mid", "\"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\xf4\x8f\xbf\xbf\"");
	expect(stats, "minValues", "esc", "\"\\n\\\"\\\\\"");
	json_decref(stats);
}

static void test_only_the_first_columns_are_indexed(void **state)
{
	struct deltabox *box = *state;
	char query[2000] = "SELECT 0 AS c0";
	json_t *stats;

	for (int i = 1; i < 50; i++)
		(void)snprintf(query + strlen(query), sizeof(query) - strlen(query), ", %d AS c%d",
			       i, i);
	stats = stats_of(box, query);
	assert_int_equal(json_object_size(json_object_get(stats, "minValues")), DELTA_INDEXED_MAX);
	expect(stats, "minValues", "c31", "31");
	json_decref(stats);
}

static void test_rows_are_read_from_any_writers_text(void **state)
{
	(void)state;
	assert_int_equal(delta_stats_rows("{\"numRecords\":12,\"x\":"), 12);
	assert_int_equal(delta_stats_rows("{\"numRecords\":12}"), 12);
	assert_int_equal(delta_stats_rows("{ \"minValues\":{}, \"numRecords\" : 7 }"), 7);
	assert_int_equal(delta_stats_rows("{\"numRecords\":-3}"), -1);
	assert_int_equal(delta_stats_rows("{\"numRecords\":\"5\"}"), -1);
	assert_int_equal(delta_stats_rows("{\"numRecords\":1.5}"), -1);
	assert_int_equal(delta_stats_rows("{}"), -1);
	assert_int_equal(delta_stats_rows("nonsense"), -1);
	assert_int_equal(delta_stats_rows(""), -1);
}

static void test_partition_values_come_from_folders(void **state)
{
	json_t *columns = json_pack("[s, s]", "p", "q");
	json_t *values = delta_stats_partition(columns, "p=a%2Fb/q=__HIVE_DEFAULT_PARTITION__/x");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(values, "p")), "a/b");
	assert_true(json_is_null(json_object_get(values, "q")));
	json_decref(values);
	values = delta_stats_partition(columns, "p=/q=1/x");
	assert_true(json_is_null(json_object_get(values, "p")));
	json_decref(values);
	assert_null(delta_stats_partition(columns, "p=1/x"));
	assert_null(delta_stats_partition(columns, "p=1/q/x=1"));
	assert_null(delta_stats_partition(columns, "p=1/q=2/r=3/x"));
	assert_null(delta_stats_partition(columns, "p=%zz/q=2/x"));
	json_decref(columns);
}

int main(void)
{
#define WITH_DUCK(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, deltabox_setup_duck, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DUCK(test_bounds_are_those_of_the_values),
		WITH_DUCK(test_bounds_that_are_not_known_are_left_out),
		WITH_DUCK(test_only_the_first_columns_are_indexed),
		cmocka_unit_test(test_rows_are_read_from_any_writers_text),
		cmocka_unit_test(test_partition_values_come_from_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

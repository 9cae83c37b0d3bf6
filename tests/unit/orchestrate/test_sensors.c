/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a poke counts the records below the watermarks of all partitions, sees files and times, and says
   what it saw. Shown with a table of the reader contract. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrate/sensors.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16], seen[400];
static struct partitions *table;

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/table", dir);
	return partitions_open(path, true, &table);
}

static int teardown(void **state)
{
	(void)state;
	partitions_close(table);
	temp_dir_remove(dir);
	return 0;
}

static void add(const char *topic, uint32_t partition, int64_t start, int64_t watermark)
{
	struct partition_view view = {
		.partition = partition,
		.start_offset = start,
		.high_watermark = watermark,
		.next_offset = watermark + 100,
	};

	memset(&view.topic_id, topic[0], sizeof(view.topic_id));
	(void)snprintf(view.topic, sizeof(view.topic), "%s", topic);
	assert_non_null(partitions_add(table, &view));
}

static enum engine_outcome poke(const char *name, const char *text, int64_t records, int64_t now_us)
{
	json_t *spec = json_pack("{s:s,s:I}", name, text, "records", (json_int_t)records);
	enum engine_outcome outcome = sensors_poke(spec, table, now_us, seen, sizeof(seen));

	json_decref(spec);
	return outcome;
}

static void test_sensors_count_records(void **state)
{
	json_t *spec = json_pack("{s:s,s:i}", "topic", "t", "records", 1);

	(void)state;
	assert_int_equal(sensors_poke(spec, NULL, 0, seen, sizeof(seen)), ENGINE_NOT_YET);
	json_decref(spec);
	assert_int_equal(poke("topic", "t", 1, 0), ENGINE_NOT_YET);
	assert_non_null(strstr(seen, "no topic t"));
	add("t", 0, 10, 30);
	add("t", 1, 0, 5);
	add("tt", 0, 0, 1000);
	assert_int_equal(poke("topic", "t", 26, 0), ENGINE_NOT_YET);
	assert_non_null(strstr(seen, "25 records"));
	assert_int_equal(poke("topic", "t", 25, 0), ENGINE_SUCCESS);
}

static void test_sensors_see_files(void **state)
{
	(void)state;
	assert_int_equal(poke("file", path, 0, 0), ENGINE_SUCCESS);
	assert_int_equal(poke("file", "/no/such/file", 0, 0), ENGINE_NOT_YET);
	assert_non_null(strstr(seen, "/no/such/file"));
}

static void test_sensors_see_times(void **state)
{
	(void)state;
	assert_int_equal(poke("time", "1970-01-01T00:00:10Z", 0, 9999999), ENGINE_NOT_YET);
	assert_int_equal(poke("time", "1970-01-01T00:00:10Z", 0, 10000000), ENGINE_SUCCESS);
	assert_int_equal(poke("time", "tomorrow", 0, 0), ENGINE_FAILED_FINAL);
	assert_non_null(strstr(seen, "tomorrow"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sensors_count_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sensors_see_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sensors_see_times, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

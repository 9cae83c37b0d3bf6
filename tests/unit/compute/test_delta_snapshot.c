/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a version is opened as it was, by number or by time, or the reason is told; a log with a gap is refused. Shown
   by logs made by hand. */
#include <errno.h>
#include <sys/time.h>

#include "deltabox.h"

#define ADD(path, rows)                                                                            \
	"{\"add\":{\"path\":\"" path                                                               \
	"\",\"partitionValues\":{},\"size\":10,\"modificationTime\":5,\"dataChange\":true,"        \
	"\"stats\":\"{\\\"numRecords\\\":" rows "}\"}}\n"

static int open_at(struct deltabox *box, int64_t version, struct delta_snapshot **ret_snapshot)
{
	return delta_open(box->path, version, box->duck, ret_snapshot, box->text,
			  sizeof(box->text));
}

static void test_versions_are_as_they_were(void **state)
{
	struct delta_snapshot *snapshot = NULL;
	struct deltabox *box = *state;
	const struct delta_file *files;
	uint32_t count;

	assert_int_equal(open_at(box, DELTA_VERSION_NEWEST, &snapshot), -ENOENT);
	deltabox_commit(box, 0, DELTABOX_PROTOCOL DELTABOX_METADATA ADD("a", "3"));
	deltabox_commit(box, 1, ADD("b", "4"));
	deltabox_commit(box, 2,
			"{\"remove\":{\"path\":\"a\",\"dataChange\":true}}\n" ADD("c", "null"));
	snapshot = deltabox_open(box, 1);
	files = delta_files(snapshot, &count);
	assert_int_equal(count, 2);
	assert_string_equal(files[1].path, "b");
	assert_int_equal(files[1].version, 1);
	assert_int_equal(files[1].rows, 4);
	assert_int_equal(files[1].size, 10);
	assert_int_equal(files[1].modified_ms, 5);
	assert_int_equal(delta_rows(snapshot), 7);
	assert_string_equal(delta_id(snapshot), "x");
	assert_int_equal(json_array_size(delta_partition_columns(snapshot)), 0);
	assert_true(json_is_object(delta_configuration(snapshot)));
	delta_close(snapshot);
	snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);
	assert_int_equal(delta_version(snapshot), 2);
	assert_int_equal(delta_rows(snapshot), -1);
	delta_close(snapshot);
	snapshot = NULL;
	assert_int_equal(open_at(box, 3, &snapshot), -ENOENT);
	assert_non_null(strstr(box->text, "the newest is 2"));
}

static void test_a_log_with_a_gap_is_refused(void **state)
{
	struct delta_snapshot *snapshot = NULL;
	struct deltabox *box = *state;

	deltabox_commit(box, 0, DELTABOX_PROTOCOL DELTABOX_METADATA);
	deltabox_commit(box, 2, ADD("a", "1"));
	assert_int_equal(open_at(box, 2, &snapshot), ERR_CORRUPT);
	assert_non_null(strstr(box->text, "00000000000000000001.json is missing"));
	snapshot = deltabox_open(box, 0);
	delta_close(snapshot);
}

static void test_a_log_must_say_what_the_table_is(void **state)
{
	static const char *const logs[] = {
		DELTABOX_METADATA,
		DELTABOX_PROTOCOL,
		DELTABOX_PROTOCOL
		"{\"metaData\":{\"schemaString\":\"nonsense\",\"partitionColumns\":[]}}",
		DELTABOX_PROTOCOL DELTABOX_METADATA
		"{\"metaData\":{\"schemaString\":"
		"\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[]}\",\"partitionColumns\":"
		"[\"none\"]}}",
		DELTABOX_PROTOCOL DELTABOX_METADATA "{\"add\":{\"path\":\"../../etc/passwd\"}}",
		"",
	};

	for (size_t i = 0; i < ARRAY_COUNT(logs); i++) {
		struct delta_snapshot *snapshot = NULL;
		struct deltabox *box = *state;

		deltabox_commit(box, 0, logs[i]);
		box->text[0] = '\0';
		assert_int_equal(open_at(box, 0, &snapshot), ERR_CORRUPT);
		assert_true(box->text[0] != '\0');
		assert_null(snapshot);
	}
}

static void set_time(struct deltabox *box, int64_t version, int64_t seconds)
{
	struct timeval times[2] = { { seconds, 0 }, { seconds, 0 } };
	char path[2 * TEMP_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s/%020" PRId64 ".json", box->path, DELTA_LOG_DIR,
		       version);
	assert_int_equal(utimes(path, times), 0);
}

static void test_time_travel_takes_the_newest_not_younger(void **state)
{
	static const struct {
		int64_t ms, version;
	} cases[] = {
		{ 999999, -1 }, { 1000000, 0 }, { 1999999, 0 }, { 2000000, 1 }, { INT64_MAX, 2 }
	};
	struct deltabox *box = *state;

	deltabox_commit(box, 0, DELTABOX_PROTOCOL DELTABOX_METADATA);
	deltabox_commit(box, 1, ADD("a", "1"));
	deltabox_commit(box, 2, ADD("b", "1"));
	for (int64_t v = 0; v < 3; v++)
		set_time(box, v, (v + 1) * 1000);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct delta_snapshot *snapshot = NULL;
		int error = delta_open_at_time(box->path, cases[i].ms, box->duck, &snapshot,
					       box->text, sizeof(box->text));

		assert_int_equal(error, cases[i].version < 0 ? -ENOENT : 0);
		if (error == 0)
			assert_int_equal(delta_version(snapshot), cases[i].version);
		delta_close(snapshot);
	}
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, deltabox_setup, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		PLAIN(test_versions_are_as_they_were),
		PLAIN(test_a_log_with_a_gap_is_refused),
		PLAIN(test_a_log_must_say_what_the_table_is),
		PLAIN(test_time_travel_takes_the_newest_not_younger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

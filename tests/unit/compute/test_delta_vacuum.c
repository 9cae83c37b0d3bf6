/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a vacuum removes what no version since then needs and nothing else, however the log
   spells its paths, and never outside the table. Shown on tables with strays, links and odd
   paths. */
#include <errno.h>
#include <sys/time.h>

#include "base/clock.h"

#include "deltabox.h"

#define HOUR_MS INT64_C(3600000)

static int64_t vacuum(struct deltabox *box, int64_t older_ms)
{
	return delta_vacuum(box->path, older_ms, box->duck, box->text, sizeof(box->text));
}

static void test_what_is_needed_stays(void **state)
{
	struct deltabox *box = *state;
	int64_t now;

	deltabox_append(box, "SELECT 1 AS id");
	assert_int_equal(deltabox_write(box, (struct delta_write){ .query = "SELECT 2 AS id",
								   .mode = DELTA_OVERWRITE }),
			 0);
	deltabox_put(box, "part-stray.parquet", "x");
	deltabox_put(box, "p=1/part-stray.parquet", "x");
	deltabox_put(box, "_other/x.parquet", "x");
	deltabox_put(box, ".x", "x");
	deltabox_put(box, DELTA_LOG_DIR "/" DELTA_TEMPORARY "dead.json", "x");
	deltabox_put(box, DELTA_LOG_DIR "/other.tmp", "x");
	now = clock_wall_ms();
	/* All is younger than an hour: writers may be at work. */
	assert_int_equal(vacuum(box, now - HOUR_MS), 0);
	assert_string_equal(deltabox_value(box, 0, -1, "SELECT max(id) FROM t"), "1");
	/* Two strays, the file that was overwritten, the commit that was never made. */
	assert_int_equal(vacuum(box, now + HOUR_MS), 4);
	assert_string_equal(deltabox_ids(box), "2");
	assert_true(deltabox_has(box, "_other/x.parquet"));
	assert_true(deltabox_has(box, ".x"));
	assert_true(deltabox_has(box, DELTA_LOG_DIR "/other.tmp"));
	assert_int_equal(vacuum(box, now + HOUR_MS), 0);
}

static void make_old(struct deltabox *box, const char *name)
{
	struct timeval times[2] = { { 1000, 0 }, { 1000, 0 } };
	char path[2 * TEMP_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", box->path, name);
	assert_int_equal(utimes(path, times), 0);
}

static void test_removed_files_stay_for_versions_since(void **state)
{
	struct deltabox *box = *state;

	deltabox_commit(box, 0,
			DELTABOX_PROTOCOL DELTABOX_METADATA
			"{\"add\":{\"path\":\"a\",\"partitionValues\":{},\"size\":1}}\n"
			"{\"add\":{\"path\":\"b\",\"partitionValues\":{},\"size\":1}}\n"
			"{\"add\":{\"path\":\"c\",\"partitionValues\":{},\"size\":1}}\n");
	deltabox_commit(
		box, 1,
		"{\"remove\":{\"path\":\"a\",\"deletionTimestamp\":5000000,\"dataChange\":true}}\n"
		"{\"remove\":{\"path\":\"b\",\"deletionTimestamp\":9000000,\"dataChange\":true}}\n"
		"{\"remove\":{\"path\":\"c\",\"dataChange\":true}}\n");
	for (const char *name = "abc"; *name != '\0'; name++) {
		char one[2] = { *name, '\0' };

		deltabox_put(box, one, "x");
		make_old(box, one);
	}
	assert_int_equal(vacuum(box, 7000000), 1);
	assert_false(deltabox_has(box, "a"));
	assert_true(deltabox_has(box, "b"));
	assert_true(deltabox_has(box, "c")); /* nobody says when */
}

static void test_a_file_is_known_however_it_is_spelled(void **state)
{
	struct deltabox *box = *state;
	char commit[3000];

	(void)snprintf(commit, sizeof(commit),
		       DELTABOX_PROTOCOL DELTABOX_METADATA
		       "{\"add\":{\"path\":\"./x//a%%20b\",\"partitionValues\":{},\"size\":1}}\n"
		       "{\"add\":{\"path\":\"file://%s/c\",\"partitionValues\":{},\"size\":1}}\n",
		       box->path);
	deltabox_commit(box, 0, commit);
	deltabox_put(box, "x/a b", "x");
	deltabox_put(box, "c", "x");
	deltabox_put(box, "d", "x");
	assert_int_equal(vacuum(box, clock_wall_ms() + HOUR_MS), 1);
	assert_true(deltabox_has(box, "x/a b"));
	assert_true(deltabox_has(box, "c"));
	assert_false(deltabox_has(box, "d"));
}

static void test_nothing_outside_is_touched(void **state)
{
	struct deltabox *box = *state;
	char outside[TEMP_PATH_SIZE];
	char link[2 * TEMP_PATH_SIZE];
	struct stat st;
	FILE *file;

	deltabox_append(box, "SELECT 1 AS id");
	temp_dir_path(box->dir, "outside", outside);
	file = fopen(outside, "we");
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	(void)snprintf(link, sizeof(link), "%s/p=1", box->path);
	assert_int_equal(symlink(box->dir, link), 0);
	assert_int_equal(vacuum(box, clock_wall_ms() + HOUR_MS), 0);
	assert_int_equal(stat(outside, &st), 0);
	deltabox_commit(box, 1, "{\"remove\":{\"path\":\"../outside\",\"deletionTimestamp\":1}}\n");
	assert_int_equal(vacuum(box, clock_wall_ms() + HOUR_MS), ERR_CORRUPT);
	assert_int_equal(stat(outside, &st), 0);
}

static void test_tables_that_cannot_be_written_are_left_alone(void **state)
{
	struct deltabox *box = *state;

	deltabox_commit(box, 0,
			DELTABOX_METADATA
			"{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":4}}");
	deltabox_put(box, "stray", "x");
	assert_int_equal(vacuum(box, clock_wall_ms() + HOUR_MS), ERR_UNSUPPORTED);
	assert_true(deltabox_has(box, "stray"));
}

int main(void)
{
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, deltabox_setup, deltabox_teardown)
#define WITH_DUCK(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, deltabox_setup_duck, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DUCK(test_what_is_needed_stays),
		PLAIN(test_removed_files_stay_for_versions_since),
		PLAIN(test_a_file_is_known_however_it_is_spelled),
		WITH_DUCK(test_nothing_outside_is_touched),
		PLAIN(test_tables_that_cannot_be_written_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the files of a log are found by their names alone, and a damaged commit is refused with its file and line.
   Shown by folders of odd names and a table of broken texts. */
#include <errno.h>

#include "deltabox.h"

static char message[512];
static struct delta_error error = { message, sizeof(message) };

static void test_files_are_known_by_name(void **state)
{
	static const char *const names[] = {
		"00000000000000000007.json",
		"00000000000000000000.json",
		"00000000000000000010.json",
		"00000000000000000005.checkpoint.parquet",
		"00000000000000000006.checkpoint.0000000002.0000000002.parquet",
		"00000000000000000006.checkpoint.0000000001.0000000002.parquet",
		/* and what is none of ours: */
		"00000000000000000006.checkpoint.0000000003.0000000002.parquet",
		"00000000000000000006.checkpoint.0000000001.0000099999.parquet",
		"00000000000000000009.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet",
		"00000000000000000001.00000000000000000003.compacted.json",
		"99999999999999999999.json",
		"0000000000000000001.json",
		"00000000000000000001.json.tmp",
		".00000000000000000001.json.crc",
		"-0000000000000000001.json",
		"_last_checkpoint",
	};
	struct deltabox *box = *state;
	struct delta_log log;
	char path[200];

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		(void)snprintf(path, sizeof(path), DELTA_LOG_DIR "/%s", names[i]);
		deltabox_put(box, path, "");
	}
	assert_int_equal(delta_log_open(box->path, false, &log, &error), 0);
	assert_int_equal(log.commit_count, 3);
	assert_int_equal(log.commits[0], 0);
	assert_int_equal(log.commits[2], 10);
	assert_true(delta_log_has(&log, 7));
	assert_false(delta_log_has(&log, 1));
	assert_int_equal(log.checkpoint_count, 3);
	assert_int_equal(log.checkpoints[0].version, 5);
	assert_int_equal(log.checkpoints[1].part, 1);
	assert_int_equal(log.checkpoints[2].part, 2);
	delta_log_close(&log);
}

static void test_no_log_is_no_table(void **state)
{
	struct deltabox *box = *state;
	struct delta_log log;

	assert_int_equal(delta_log_open(box->path, false, &log, &error), -ENOENT);
	deltabox_put(box, DELTA_LOG_DIR "/x", "");
	assert_int_equal(delta_log_open(box->path, false, &log, &error), -ENOENT);
	assert_int_equal(delta_log_open(box->path, true, &log, &error), 0);
	delta_log_close(&log);
}

static int count(void *context, const char *kind, json_t *body, struct delta_error *why)
{
	char *kinds = context;

	(void)why;
	assert_true(json_is_object(body));
	(void)strncat(kinds, kind, 60 - strlen(kinds));
	return 0;
}

static void test_actions_are_lines(void **state)
{
	static const char text[] = "{\"add\":{}}\n\r\n\n{\"remove\":{},\"x\":null}\r\n{\"txn\":{}}";
	char kinds[64] = "";

	(void)state;
	assert_int_equal(delta_log_parse("f", text, sizeof(text) - 1, count, kinds, &error), 0);
	assert_string_equal(kinds, "addremovetxn");
}

static void test_damage_is_named_with_file_and_line(void **state)
{
	static const char *const broken[] = {
		"{\"add\":{}",
		"[1]",
		"nonsense",
		"{\"add\":[]}",
		"{\"add\":1}",
		"{}}",
		"{\"add\":{\"path\":\"\xff\"}}",
		"{\"add\":{\"size\":99999999999999999999}}",
	};
	char text[200];
	char kinds[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
		kinds[0] = '\0';
		(void)snprintf(text, sizeof(text), "{\"txn\":{}}\n\n%s\n", broken[i]);
		assert_int_equal(
			delta_log_parse("five.json", text, strlen(text), count, kinds, &error),
			ERR_CORRUPT);
		assert_memory_equal(message, "five.json:3: ", 13);
	}
}

static int refuse(void *context, const char *kind, json_t *body, struct delta_error *why)
{
	(void)context;
	(void)body;
	return delta_text_fail(why, ERR_UNSUPPORTED, "no %s", kind);
}

static void test_the_visitors_error_is_told_with_the_line(void **state)
{
	struct deltabox *box = *state;
	struct delta_log log;

	deltabox_commit(box, 0, "\n{\"add\":{}}\n");
	assert_int_equal(delta_log_open(box->path, false, &log, &error), 0);
	assert_int_equal(delta_log_read(&log, 0, refuse, NULL, &error), ERR_UNSUPPORTED);
	assert_string_equal(message, "00000000000000000000.json:2: no add");
	assert_int_equal(delta_log_read(&log, 1, refuse, NULL, &error), -ENOENT);
	deltabox_commit(box, 1, "");
	assert_int_equal(delta_log_refresh(&log, &error), 0);
	assert_true(delta_log_has(&log, 1));
	delta_log_close(&log);
}

static void test_an_empty_commit_lost_its_rows_in_silence(void **state)
{
	struct deltabox *box = *state;
	struct delta_log log;
	char kinds[64] = "";

	deltabox_commit(box, 0, "");
	assert_int_equal(delta_log_open(box->path, false, &log, &error), 0);
	assert_int_equal(delta_log_read(&log, 0, count, kinds, &error), ERR_CORRUPT);
	assert_string_equal(message, "00000000000000000000.json is empty");
	delta_log_close(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files_are_known_by_name, deltabox_setup,
						deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_no_log_is_no_table, deltabox_setup,
						deltabox_teardown),
		cmocka_unit_test(test_actions_are_lines),
		cmocka_unit_test(test_damage_is_named_with_file_and_line),
		cmocka_unit_test_setup_teardown(test_the_visitors_error_is_told_with_the_line,
						deltabox_setup, deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_an_empty_commit_lost_its_rows_in_silence,
						deltabox_setup, deltabox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

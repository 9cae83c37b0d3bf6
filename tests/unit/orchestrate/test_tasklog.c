/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: every line of a log is JSON whatever was said, secrets are masked, and a long log keeps its
   beginning and end in bounded space. Shown by reading the files back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrate/tasklog.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16];

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/1.log", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_remove(dir);
	return 0;
}

/** @return array of the lines; each must be JSON */
static json_t *read_lines(void)
{
	json_t *lines = json_array();
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	assert_non_null(file);
	while (getline(&line, &size, file) > 0) {
		json_t *json = json_loads(line, 0, NULL);

		assert_non_null(json);
		assert_int_equal(strlen(json_string_value(json_object_get(json, "timestamp"))), 27);
		(void)json_array_append_new(lines, json);
	}
	free(line);
	(void)fclose(file);
	return lines;
}

static const char *event(const json_t *lines, size_t at)
{
	return json_string_value(json_object_get(json_array_get(lines, at), "event"));
}

static void test_tasklog_takes_any_bytes(void **state)
{
	static const char odd[] = "a\"b\\c\td\x01\xff\xc3\xa9\xed\xa0\x80\xf0\x9f\x98\x80\xc3";
	struct tasklog *log;
	json_t *lines;

	(void)state;
	assert_int_equal(tasklog_open(path, 65536, NULL, &log), 0);
	tasklog_line(log, "info", odd, sizeof(odd) - 1);
	tasklog_line(log, "error", "", 0);
	tasklog_close(log);
	lines = read_lines();
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(event(lines, 0),
			    "a\"b\\c\td\x01\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
			    "\xf0\x9f\x98\x80\xef\xbf\xbd");
	assert_string_equal(event(lines, 1), "");
	json_decref(lines);
}

static void test_tasklog_masks_the_longest_secret(void **state)
{
	json_t *masks = json_pack("[s,s,s,s]", "abc", "abcdef", "x", "efgh");
	char *masked;
	json_t *lines;

	(void)state;
	tasklog_append(path, masks, "info", "%s", "abcdefg abcabc ab x abcdefgh");
	lines = read_lines();
	assert_string_equal(event(lines, 0), "***g ****** ab x ***");
	masked = tasklog_mask("\0-efgh", 6, masks);
	assert_string_equal(masked, " -***");
	free(masked);
	json_decref(lines);
	json_decref(masks);
}

/* A line longer than what is read at once could not be read, nor anything behind it. */
static void test_tasklog_splits_long_lines(void **state)
{
	const size_t size = 2 * TASKLOG_TEXT_MAX + 5;
	char *text = malloc(size);
	struct tasklog *log;
	json_t *lines;
	FILE *file;
	char *line = NULL;
	size_t room = 0;

	(void)state;
	assert_non_null(text);
	memset(text, '\xff', size); /* takes the most */
	assert_int_equal(tasklog_open(path, 4 * TASKLOG_LINE_MAX, NULL, &log), 0);
	tasklog_line(log, "info", text, size);
	tasklog_close(log);
	free(text);
	lines = read_lines();
	assert_int_equal(json_array_size(lines), 3);
	assert_int_equal(strlen(event(lines, 2)), 5 * strlen("\xef\xbf\xbd"));
	json_decref(lines);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_in_range(getline(&line, &room, file), 6 * TASKLOG_TEXT_MAX, TASKLOG_LINE_MAX);
	free(line);
	(void)fclose(file);
}

/* The first line after the gap was half of one. */
static void test_tasklog_leaves_out_whole_lines(void **state)
{
	struct tasklog *log;
	struct stat stat_;
	json_t *lines;
	int last = 0;
	char text[32];
	bool has_gap = false;

	(void)state;
	assert_int_equal(tasklog_open(path, 65536, NULL, &log), 0);
	for (int i = 1; i <= 20000; i++)
		tasklog_line(log, "info", text, (size_t)snprintf(text, sizeof(text), "%d", i));
	tasklog_close(log);
	assert_int_equal(stat(path, &stat_), 0);
	assert_in_range(stat_.st_size, 60000, 66000);
	lines = read_lines();
	for (size_t i = 0; i < json_array_size(lines); i++) {
		int number = (int)strtol(event(lines, i), NULL, 10);

		has_gap |= strstr(event(lines, i), "left out") != NULL;
		if (number == 0)
			continue;
		assert_true(number == last + 1 || has_gap);
		last = number;
	}
	assert_string_equal(event(lines, 0), "1");
	assert_int_equal(last, 20000);
	assert_true(has_gap);
	json_decref(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tasklog_takes_any_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tasklog_masks_the_longest_secret, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_tasklog_splits_long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tasklog_leaves_out_whole_lines, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: lines are whole JSON objects, secrets do not appear, and the file stays below its bound but for the last
   line. Shown by reading the files back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compute/worker/attemptlog.h"

#include "cm.h"

static char path[] = "/tmp/test_attemptlog.XXXXXX";

static void test_attemptlog_masks_and_is_bounded(void **state)
{
	json_t *masks = json_pack("[s s]", "hunter2", "x");
	const int64_t size_max = 65536;
	struct attemptlog log;
	char *line = NULL;
	struct stat stat_now;
	size_t room = 0, lines = 0;
	char last[64] = "";
	FILE *file;

	(void)state;
	assert_int_equal(attemptlog_open(&log, path, size_max, masks), 0);
	for (int i = 0; i < 5000; i++)
		attemptlog_line(&log, "info", "line %d: hunter2 is \"quoted\"\n and xhunter2x", i);
	attemptlog_end(&log, "error", "the end of hunter2");
	attemptlog_close(&log);
	assert_int_equal(stat(path, &stat_now), 0);
	assert_true(stat_now.st_size < size_max && stat_now.st_size > size_max / 2);
	file = fopen(path, "re");
	assert_non_null(file);
	while (getline(&line, &room, file) > 0) {
		json_t *object = json_loads(line, 0, NULL);

		assert_non_null(object);
		assert_int_equal(json_object_size(object), 3);
		assert_null(strstr(line, "hunter2"));
		(void)snprintf(last, sizeof(last), "%s",
			       json_string_value(json_object_get(object, "event")));
		json_decref(object);
		lines++;
	}
	assert_true(lines > 100);
	assert_string_equal(last, "the end of ***");
	free(line);
	(void)fclose(file);
	json_decref(masks);
}

/** The events of the lines of the log, which is begun anew. */
static json_t *take_events(void)
{
	json_t *events = json_array();
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	assert_non_null(file);
	while (getline(&line, &room, file) > 0) {
		json_t *object = json_loads(line, 0, NULL);

		assert_non_null(object);
		(void)json_array_append(events, json_object_get(object, "event"));
		json_decref(object);
	}
	free(line);
	(void)fclose(file);
	assert_int_equal(truncate(path, 0), 0);
	return events;
}

/* Masks in the order of their list left "***er2 is". */
static void test_attemptlog_masks_the_longest_secret(void **state)
{
	json_t *masks = json_pack("[s s s]", "hunt", "hunter2", "r2d2"), *events;
	struct attemptlog log;

	(void)state;
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(attemptlog_open(&log, path, 65536, masks), 0);
	json_decref(masks); /* the log has its own */
	attemptlog_line(&log, "info", "hunter2 is hunting hunter2d2");
	attemptlog_end(&log, "error", "hunter2");
	attemptlog_close(&log);
	events = take_events();
	assert_string_equal(json_string_value(json_array_get(events, 0)), "*** is ***ing ***");
	assert_string_equal(json_string_value(json_array_get(events, 1)), "***");
	json_decref(events);
}

/* What did not fit was cut before it was masked, and a cut secret was none. */
static void test_attemptlog_masks_a_cut_secret(void **state)
{
	json_t *masks = json_pack("[s]", "hunter2"), *events;
	char message[32] = "it ends in the beginning hunter";
	struct attemptlog log;

	(void)state;
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(attemptlog_open(&log, path, 1 << 20, masks), 0);
	for (int before = 4080; before < 4100; before++)
		attemptlog_line(&log, "info", "%*s", before + 7, "hunter2");
	attemptlog_line(&log, "info", "short, it ends as it is: hunte");
	attemptlog_close(&log);
	events = take_events();
	assert_int_equal(json_array_size(events), 21);
	for (size_t i = 0; i < 20; i++)
		assert_null(strstr(json_string_value(json_array_get(events, i)), "hun"));
	assert_non_null(strstr(json_string_value(json_array_get(events, 20)), "hunte"));
	assert_int_equal(strlen(message), sizeof(message) - 1);
	attemptlog_mask(masks, message, sizeof(message));
	assert_string_equal(message, "it ends in the beginning ***");
	attemptlog_mask(NULL, message, sizeof(message));
	assert_string_equal(message, "it ends in the beginning ***");
	json_decref(events);
	json_decref(masks);
}

static void test_attemptlog_without_a_file_is_silent(void **state)
{
	struct attemptlog log;

	(void)state;
	assert_int_equal(attemptlog_open(&log, NULL, 100, NULL), 0);
	attemptlog_line(&log, "info", "nothing");
	attemptlog_end(&log, "info", "nothing");
	attemptlog_close(&log);
	assert_true(attemptlog_open(&log, "/nonexistent/x", 100, NULL) < 0);
	attemptlog_line(&log, "info", "nothing");
	attemptlog_close(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attemptlog_masks_and_is_bounded),
		cmocka_unit_test(test_attemptlog_masks_the_longest_secret),
		cmocka_unit_test(test_attemptlog_masks_a_cut_secret),
		cmocka_unit_test(test_attemptlog_without_a_file_is_silent),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	(void)close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return failed;
}

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

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: only the newest attempt of a task instance passes its fence, and a newer one waits for a commit
   under way. Shown with a file and a second thread. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#include "compute/task.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE];
static char path[TEMP_PATH_SIZE + 16];

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/fence", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_remove(dir);
	return 0;
}

static void test_task_fence_holds_off_older_attempts(void **state)
{
	int lock = -1;

	(void)state;
	assert_int_equal(task_fence_set(path, 99), 0);
	assert_int_equal(task_fence_hold(path, 99, &lock), 0);
	assert_int_equal(close(lock), 0);
	assert_int_equal(task_fence_set(path, 100), 0);
	assert_int_equal(task_fence_hold(path, 99, &lock), ERR_FENCED);
	assert_int_equal(task_fence_hold(path, 100, &lock), 0);
	assert_int_equal(close(lock), 0);
}

static void test_task_fence_without_a_file_is_an_error(void **state)
{
	int lock = -1;

	(void)state;
	(void)unlink(path);
	assert_true(task_fence_hold(path, 1, &lock) < 0);
	assert_int_equal(lock, -1);
}

static atomic_bool is_set;

static void *set_newer(void *argument)
{
	(void)argument;
	if (task_fence_set(path, 6) == 0)
		atomic_store(&is_set, true);
	return NULL;
}

static void test_task_fence_waits_for_a_commit_under_way(void **state)
{
	pthread_t thread;
	int lock = -1;

	(void)state;
	assert_int_equal(task_fence_set(path, 5), 0);
	assert_int_equal(task_fence_hold(path, 5, &lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, set_newer, NULL), 0);
	(void)poll(NULL, 0, 50);
	assert_false(atomic_load(&is_set));
	assert_int_equal(close(lock), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(atomic_load(&is_set));
	assert_int_equal(task_fence_hold(path, 5, &lock), ERR_FENCED);
}

static void test_task_socket_path_is_bounded(void **state)
{
	char small[8], large[64];

	(void)state;
	assert_int_equal(task_socket_path("/run/millrace", small, sizeof(small)), ERR_TOO_LARGE);
	assert_int_equal(task_socket_path("/run/millrace", large, sizeof(large)), 0);
	assert_string_equal(large, "/run/millrace/worker.sock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task_fence_holds_off_older_attempts),
		cmocka_unit_test(test_task_fence_without_a_file_is_an_error),
		cmocka_unit_test(test_task_fence_waits_for_a_commit_under_way),
		cmocka_unit_test(test_task_socket_path_is_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

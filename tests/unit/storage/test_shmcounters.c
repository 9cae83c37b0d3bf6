/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a reader sees what the writer counts; a file of another build is refused; a reader learns
 * that its writer left or started anew. Shown with both sides in one process.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/shmcounters.h"

#include "cm.h"

static void test_shmcounters_reader_sees_the_writer(void **state)
{
	struct shmcounters *writer, *reader, *again;
	char path[64];
	FILE *file;

	(void)state;
	(void)snprintf(path, sizeof(path), "/dev/shm/test_shmcounters.%d", (int)getpid());
	assert_int_equal(shmcounters_open(path, &reader), -2);
	assert_int_equal(shmcounters_create(path, 3, &writer), 0);
	assert_int_equal(shmcounters_open(path, &reader), 0);
	assert_int_equal(shmcounters_cores(reader), 3);
	assert_int_equal(shmcounters_pid(reader), getpid());
	counters_add(shmcounters_core(writer, 2), COUNTER_CORE_CYCLES, 5);
	hist_add(shmcounters_flush_ns(writer, 1), 1000);
	assert_int_equal(counters_get(shmcounters_core(reader, 2), COUNTER_CORE_CYCLES), 5);
	assert_int_equal(counters_get(shmcounters_core(reader, 1), COUNTER_CORE_CYCLES), 0);
	assert_int_equal(shmcounters_flush_ns(reader, 1)->count, 1);
	assert_int_equal(shmcounters_flush_ns(reader, 2)->count, 0);
	assert_false(shmcounters_is_retired(reader));
	assert_int_equal(shmcounters_create(path, 1, &again), 0);
	assert_true(shmcounters_is_retired(reader));
	shmcounters_close(reader);
	shmcounters_close(writer);
	assert_int_equal(shmcounters_open(path, &reader), 0);
	assert_int_equal(shmcounters_cores(reader), 1);
	shmcounters_close(again);
	assert_true(shmcounters_is_retired(reader));
	shmcounters_close(reader);
	file = fopen(path, "r+e");
	assert_non_null(file);
	assert_int_equal(fwrite("nonsense", 1, 8, file), 8);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(shmcounters_open(path, &reader), ERR_UNSUPPORTED);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(shmcounters_open(path, &reader), ERR_UNSUPPORTED);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shmcounters_reader_sees_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

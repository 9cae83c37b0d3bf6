/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: leases of living processes count, those of dead ones do not and their slots are used again,
   and a lease is given back by its holder alone. Shown with children that die holding one. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/partitions.h"
#include "storage/partitions_file.h"

#include "cm.h"
#include "temp_dir.h"

struct bench {
	char dir[TEMP_PATH_SIZE];
	char path[TEMP_PATH_SIZE];
	struct partitions *writer;
	struct partitions *reader;
};

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "table", bench.path);
	*state = &bench;
	if (partitions_open(bench.path, true, &bench.writer) != 0)
		return -1;
	return partitions_open(bench.path, false, &bench.reader);
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	partitions_close(bench->reader);
	partitions_close(bench->writer);
	temp_dir_remove(bench->dir);
	return 0;
}

static void test_partitions_lease_is_counted_until_released(void **state)
{
	struct bench *bench = *state;
	int slots[PARTITIONS_LEASES_MAX];

	assert_int_equal(partitions_lease_count(bench->writer), 0);
	for (int i = 0; i < PARTITIONS_LEASES_MAX; i++) {
		slots[i] = partitions_lease_take(bench->reader);
		assert_int_equal(slots[i], i);
	}
	assert_int_equal(partitions_lease_take(bench->reader), -ENFILE);
	assert_int_equal(partitions_lease_count(bench->writer), PARTITIONS_LEASES_MAX);
	partitions_lease_release(bench->reader, slots[9]);
	partitions_lease_release(bench->reader, slots[9]);
	assert_int_equal(partitions_lease_count(bench->writer), PARTITIONS_LEASES_MAX - 1);
	assert_int_equal(partitions_lease_take(bench->reader), 9);
}

static pid_t start_holder(const struct bench *bench)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves nobody behind */
		CHECK(partitions_lease_take(bench->reader) >= 0);
		CHECK(write(ready[1], "r", 1) == 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void test_partitions_lease_of_the_dead_is_void(void **state)
{
	struct bench *bench = *state;
	pid_t pid = start_holder(bench);

	/* It is not ours to release. */
	partitions_lease_release(bench->reader, 0);
	assert_int_equal(partitions_lease_count(bench->writer), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(partitions_lease_count(bench->writer), 0);
	assert_int_equal(bench->writer->leases->holder[0], 0);
	pid = start_holder(bench);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(partitions_lease_take(bench->reader), 0);
	assert_int_equal(partitions_lease_count(bench->writer), 1);
}

static void test_partitions_lease_outlives_the_writer(void **state)
{
	struct bench *bench = *state;
	int slot = partitions_lease_take(bench->reader);

	partitions_close(bench->writer);
	bench->writer = NULL;
	assert_int_equal(partitions_open(bench->path, true, &bench->writer), 0);
	assert_int_equal(partitions_lease_count(bench->writer), 1);
	partitions_lease_release(bench->reader, slot);
	assert_int_equal(partitions_lease_count(bench->writer), 0);
}

static void test_partitions_lease_of_another_start_is_void(void **state)
{
	struct bench *bench = *state;

	/* Our process id, but of a process that started at another time. */
	bench->writer->leases->holder[0] =
		UINT64_C(1) << PARTITIONS_LEASE_PID_BITS | (uint64_t)getpid();
	assert_int_equal(partitions_lease_count(bench->writer), 0);
}

static void test_partitions_lease_needs_its_file(void **state)
{
	struct bench *bench = *state;
	struct partitions *reader;
	char path[TEMP_PATH_SIZE];

	temp_dir_path(bench->dir, "table.leases", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(partitions_open(bench->path, false, &reader), 0);
	assert_int_equal(partitions_lease_take(reader), -ENOENT);
	assert_int_equal(partitions_lease_count(reader), 0);
	assert_false(partitions_is_unread(reader)); /* nobody knows */
	assert_true(partitions_is_unread(bench->writer));
	partitions_close(reader);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_partitions_lease_is_counted_until_released),
		ROW(test_partitions_lease_of_the_dead_is_void),
		ROW(test_partitions_lease_outlives_the_writer),
		ROW(test_partitions_lease_of_another_start_is_void),
		ROW(test_partitions_lease_needs_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

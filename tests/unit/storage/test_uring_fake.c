/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the fake does what it is told, in the order it is told, and nothing before. Shown on a real
   file with writes settled backwards, failed, cut short and delivered by polls alone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "cm.h"
#include "temp_dir.h"
#include "uring_fake.h"

struct waiter {
	struct uring_event event;
	int32_t result;
	uint32_t runs;
	uint32_t turn; /* which completion of all it was */
};

static uint32_t turns;

static void on_done(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct waiter *waiter = CONTAINER_OF(event, struct waiter, event);

	(void)flags;
	waiter->result = result;
	waiter->runs++;
	waiter->turn = ++turns;
}

struct bench {
	char dir[TEMP_PATH_SIZE];
	int fd;
	int slot;
	struct uring *uring;
	struct waiter waiters[3];
	char bytes[3][16];
};

static int setup(void **state)
{
	static struct bench bench;
	const struct uring_config config = { .entries = 8, .files_max = 2 };
	char path[TEMP_PATH_SIZE];

	memset(&bench, 0, sizeof(bench));
	turns = 0;
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "file", path);
	bench.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (bench.fd < 0 || uring_open(&config, &bench.uring) != 0)
		return -1;
	bench.slot = uring_file_add(bench.uring, bench.fd);
	for (uint32_t i = 0; i < 3; i++) {
		bench.waiters[i].event.fn = on_done;
		memset(bench.bytes[i], 'a' + (int)i, sizeof(bench.bytes[i]));
	}
	*state = &bench;
	return bench.slot < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	uring_close(bench->uring);
	(void)close(bench->fd);
	temp_dir_remove(bench->dir);
	return 0;
}

static void write_three(struct bench *bench)
{
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(uring_write(bench->uring, bench->slot, 0, bench->bytes[i], 16,
					     i * 16, &bench->waiters[i].event),
				 0);
}

static void test_uring_fake_settles_in_the_order_of_the_test(void **state)
{
	struct bench *bench = *state;
	char got[48] = { 0 };

	write_three(bench);
	assert_int_equal(uring_fake_count(bench->uring), 3);
	assert_int_equal(uring_disk_in_flight(bench->uring), 3);
	assert_int_equal(uring_poll(bench->uring), 0);
	assert_int_equal(pread(bench->fd, got, sizeof(got), 0), 0);
	uring_fake_perform(bench->uring, 2);
	uring_fake_complete(bench->uring, 0, -EIO);
	uring_fake_perform_part(bench->uring, 0, 4);
	assert_int_equal(bench->waiters[2].runs, 0);
	assert_int_equal(uring_poll(bench->uring), 3);
	assert_int_equal(uring_disk_in_flight(bench->uring), 0);
	assert_int_equal(bench->waiters[2].turn, 1);
	assert_int_equal(bench->waiters[2].result, 16);
	assert_int_equal(bench->waiters[0].turn, 2);
	assert_int_equal(bench->waiters[0].result, -EIO);
	assert_int_equal(bench->waiters[1].turn, 3);
	assert_int_equal(bench->waiters[1].result, 4);
	assert_int_equal(pread(bench->fd, got, sizeof(got), 0), 48);
	assert_memory_equal(got, "\0\0\0\0", 4);
	assert_memory_equal(got + 16, "bbbb\0\0\0\0", 8);
	assert_memory_equal(got + 32, "cccccccccccccccc", 16);
}

static void test_uring_fake_auto_mode_and_failures(void **state)
{
	struct bench *bench = *state;

	uring_fake_set_auto(bench->uring, true);
	uring_fake_fail_next(bench->uring, URING_FAKE_WRITE, 1, -ENOSPC);
	write_three(bench);
	assert_int_equal(uring_poll(bench->uring), 3);
	assert_int_equal(bench->waiters[0].result, -ENOSPC);
	assert_int_equal(bench->waiters[1].result, 16);
	assert_int_equal(uring_fsync(bench->uring, bench->slot, &bench->waiters[0].event), 0);
	assert_int_equal(uring_wait(bench->uring, 1000), 1);
	assert_int_equal(bench->waiters[0].result, 0);
	assert_int_equal(uring_fake_settled(bench->uring, URING_FAKE_WRITE), 3);
	assert_int_equal(uring_fake_settled(bench->uring, URING_FAKE_FSYNC), 1);
}

static void test_uring_fake_polls_wait_for_the_test(void **state)
{
	struct bench *bench = *state;

	uring_fake_set_auto(bench->uring, true);
	assert_int_equal(uring_poll_add(bench->uring, bench->fd, POLLIN, &bench->waiters[0].event),
			 0);
	assert_int_equal(uring_poll(bench->uring), 0);
	uring_fake_complete(bench->uring, 0, POLLIN);
	assert_int_equal(uring_poll(bench->uring), 1);
	assert_int_equal(bench->waiters[0].result, POLLIN);
	assert_int_equal(uring_poll_add(bench->uring, bench->fd, POLLIN, &bench->waiters[1].event),
			 0);
	assert_int_equal(uring_cancel(bench->uring, &bench->waiters[1].event), 0);
	assert_int_equal(uring_poll(bench->uring), 1);
	assert_int_equal(bench->waiters[1].result, -ECANCELED);
}

static void test_uring_fake_slots_keep_their_file(void **state)
{
	struct bench *bench = *state;
	char got[16];

	write_three(bench);
	uring_file_remove(bench->uring, bench->slot);
	assert_int_equal(uring_fake_perform_all(bench->uring), 3);
	assert_int_equal(uring_poll(bench->uring), 3);
	assert_int_equal(bench->waiters[2].result, 16);
	assert_int_equal(pread(bench->fd, got, 16, 32), 16);
	assert_int_equal(uring_file_add(bench->uring, bench->fd), 0);
	assert_int_equal(uring_file_add(bench->uring, bench->fd), 1);
	assert_int_equal(uring_file_add(bench->uring, bench->fd), -ENFILE);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_uring_fake_settles_in_the_order_of_the_test),
		ROW(test_uring_fake_auto_mode_and_failures),
		ROW(test_uring_fake_polls_wait_for_the_test),
		ROW(test_uring_fake_slots_keep_their_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

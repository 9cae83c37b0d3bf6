/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: disk operations reach the file and report what the kernel said, polls and waits end when
   they should, and a registered lock outlives its killed process until its last write has ended.
   Shown on the real kernel ring with an O_DIRECT file and with children killed in mid-write. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/uring.h"

#include "cm.h"
#include "temp_dir.h"

#define MEMORY_SIZE (1U << 20)
#define BLOCK       4096U

struct waiter {
	struct uring_event event;
	int32_t result;
	uint32_t runs;
};

static void on_done(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct waiter *waiter = CONTAINER_OF(event, struct waiter, event);

	(void)flags;
	waiter->result = result;
	waiter->runs++;
}

struct bench {
	char dir[TEMP_PATH_SIZE];
	int fd;
	struct uring *uring;
	uint8_t *memory; /* [MEMORY_SIZE], registered as buffer 0 */
	struct waiter waiter;
};

static uint8_t *map_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int open_direct(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

	/* tmpfs of older kernels has no O_DIRECT; everything else is tested all the same. */
	return fd >= 0 ? fd : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static int setup(void **state)
{
	static struct bench bench;
	const struct uring_config config = { .entries = 16, .files_max = 4 };
	char path[TEMP_PATH_SIZE];
	struct iovec buffer;

	memset(&bench, 0, sizeof(bench));
	bench.waiter.event.fn = on_done;
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "file", path);
	bench.fd = open_direct(path);
	bench.memory = map_memory(MEMORY_SIZE);
	buffer = (struct iovec){ .iov_base = bench.memory, .iov_len = MEMORY_SIZE };
	if (bench.fd < 0 || bench.memory == NULL || uring_open(&config, &bench.uring) != 0 ||
	    uring_buffers_register(bench.uring, &buffer, 1) != 0)
		return -1;
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	uring_close(bench->uring);
	(void)munmap(bench->memory, MEMORY_SIZE);
	(void)close(bench->fd);
	temp_dir_remove(bench->dir);
	return 0;
}

static void wait_for(struct bench *bench, const struct waiter *waiter, uint32_t runs)
{
	int64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	while (waiter->runs < runs && clock_now_ns() < end_ns)
		(void)uring_wait(bench->uring, 100 * NS_PER_MS);
	assert_int_equal(waiter->runs, runs);
}

static void test_uring_writes_syncs_and_reads(void **state)
{
	struct bench *bench = *state;
	struct waiter *waiter = &bench->waiter;
	uint8_t *back = bench->memory + 16 * BLOCK;
	int slot = uring_file_add(bench->uring, bench->fd);

	assert_int_equal(slot, 0);
	for (uint32_t i = 0; i < 4 * BLOCK; i++)
		bench->memory[i] = (uint8_t)(i * 7 + i / BLOCK);
	assert_int_equal(
		uring_write(bench->uring, slot, 0, bench->memory, 4 * BLOCK, BLOCK, &waiter->event),
		0);
	assert_int_equal(uring_disk_in_flight(bench->uring), 1);
	wait_for(bench, waiter, 1);
	assert_int_equal(waiter->result, 4 * BLOCK);
	assert_int_equal(uring_disk_in_flight(bench->uring), 0);
	assert_int_equal(uring_fsync(bench->uring, slot, &waiter->event), 0);
	wait_for(bench, waiter, 2);
	assert_int_equal(waiter->result, 0);
	assert_int_equal(
		uring_read(bench->uring, bench->fd, 0, back, 4 * BLOCK, BLOCK, &waiter->event), 0);
	wait_for(bench, waiter, 3);
	assert_int_equal(waiter->result, 4 * BLOCK);
	assert_memory_equal(back, bench->memory, 4 * BLOCK);
	/* Past the end of the file: short. */
	assert_int_equal(
		uring_read(bench->uring, bench->fd, 0, back, 4 * BLOCK, 4 * BLOCK, &waiter->event),
		0);
	wait_for(bench, waiter, 4);
	assert_int_equal(waiter->result, BLOCK);
	uring_file_remove(bench->uring, slot);
	assert_int_equal(uring_fsync(bench->uring, slot, &waiter->event), 0);
	wait_for(bench, waiter, 5);
	assert_int_equal(waiter->result, -EBADF);
}

/* The child's side: an ordinary user who may lock the ring and little more. @return what went wrong; 0 */
static int write_without_buffers(const struct bench *bench)
{
	const struct uring_config config = { .entries = 16, .files_max = 4 };
	const struct rlimit limit = { .rlim_cur = MEMORY_SIZE / 4, .rlim_max = MEMORY_SIZE / 4 };
	struct iovec buffer = { .iov_base = bench->memory, .iov_len = MEMORY_SIZE };
	struct waiter waiter = { .event.fn = on_done };
	struct uring *uring;
	int slot;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setresuid(65533, 65533, 65533) != 0)
		return 1;
	if (uring_open(&config, &uring) != 0 || uring_buffers_register(uring, &buffer, 1) != 0)
		return 2;
	if (uring_has_buffers(uring))
		return 3;
	memset(bench->memory, 'w', BLOCK);
	slot = uring_file_add(uring, bench->fd);
	if (slot < 0 || uring_write(uring, slot, 0, bench->memory, BLOCK, 0, &waiter.event) != 0)
		return 4;
	while (waiter.runs == 0)
		(void)uring_wait(uring, NS_PER_S);
	if (waiter.result != (int32_t)BLOCK ||
	    uring_read(uring, bench->fd, 0, bench->memory + BLOCK, BLOCK, 0, &waiter.event) != 0)
		return 5;
	while (waiter.runs == 1)
		(void)uring_wait(uring, NS_PER_S);
	if (waiter.result != (int32_t)BLOCK ||
	    memcmp(bench->memory, bench->memory + BLOCK, BLOCK) != 0)
		return 6;
	uring_close(uring);
	return 0;
}

static void test_uring_works_for_a_user_who_may_not_lock_memory(void **state)
{
	struct bench *bench = *state;
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(write_without_buffers(bench));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(uring_has_buffers(bench->uring));
}

static void test_uring_takes_more_operations_than_entries(void **state)
{
	struct bench *bench = *state;
	static struct waiter waiters[200];
	int slot = uring_file_add(bench->uring, bench->fd);

	memset(bench->memory, 0x5a, MEMORY_SIZE);
	for (uint32_t i = 0; i < ARRAY_COUNT(waiters); i++) {
		waiters[i] = (struct waiter){ .event.fn = on_done };
		assert_int_equal(uring_write(bench->uring, slot, 0, bench->memory + i * BLOCK,
					     BLOCK, (uint64_t)i * BLOCK, &waiters[i].event),
				 0);
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(waiters); i++) {
		wait_for(bench, &waiters[i], 1);
		assert_int_equal(waiters[i].result, BLOCK);
	}
	assert_int_equal(uring_disk_in_flight(bench->uring), 0);
}

static void test_uring_poll_finds_readiness_and_cancels(void **state)
{
	struct bench *bench = *state;
	struct waiter *waiter = &bench->waiter;
	uint64_t one = 1;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(uring_poll_add(bench->uring, fd, POLLIN, &waiter->event), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(uring_poll(bench->uring), 0);
	assert_int_equal(uring_disk_in_flight(bench->uring), 0);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	/* No wait: the flag of the shared ring is enough for a poll to find it. */
	for (int i = 0; i < 1000 && waiter->runs == 0; i++)
		(void)uring_poll(bench->uring);
	assert_int_equal(waiter->runs, 1);
	assert_int_equal(waiter->result & POLLIN, POLLIN);
	assert_int_equal(read(fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(uring_poll_add(bench->uring, fd, POLLIN, &waiter->event), 0);
	(void)uring_poll(bench->uring);
	assert_int_equal(uring_cancel(bench->uring, &waiter->event), 0);
	wait_for(bench, waiter, 2);
	assert_int_equal(waiter->result, -ECANCELED);
	(void)close(fd);
}

static void on_alarm(int number)
{
	(void)number;
}

static void test_uring_wait_ends_by_time_and_signal(void **state)
{
	struct bench *bench = *state;
	const struct sigaction action = { .sa_handler = on_alarm };
	int64_t begin = clock_now_ns();
	int64_t taken;

	assert_int_equal(uring_wait(bench->uring, 20 * NS_PER_MS), 0);
	taken = clock_now_ns() - begin;
	assert_true(taken >= 19 * NS_PER_MS);
	assert_int_equal(uring_wait(bench->uring, 0), 0);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	(void)alarm(1);
	assert_int_equal(uring_wait(bench->uring, -1), 0);
}

/* On two CPUs eight commits at once were all that the kernel had threads for. */
static void test_uring_many_commits_go_at_once(void **state)
{
	struct bench *bench = *state;
	unsigned workers[2] = { 0, 0 };

	assert_int_equal(io_uring_register_iowq_max_workers(uring_raw(bench->uring), workers), 0);
	assert_true(workers[0] >= 32);
}

static void test_uring_close_waits_for_disk(void **state)
{
	struct bench *bench = *state;
	const struct uring_config config = { .entries = 16, .files_max = 1 };
	struct iovec buffer = { .iov_base = bench->memory, .iov_len = MEMORY_SIZE };
	uint8_t got[16];
	struct uring *uring;
	int slot;

	assert_int_equal(uring_open(&config, &uring), 0);
	assert_int_equal(uring_buffers_register(uring, &buffer, 1), 0);
	slot = uring_file_add(uring, bench->fd);
	assert_int_equal(uring_file_add(uring, bench->fd), -ENFILE);
	memset(bench->memory, 'w', MEMORY_SIZE);
	assert_int_equal(
		uring_write(uring, slot, 0, bench->memory, MEMORY_SIZE, 0, &bench->waiter.event),
		0);
	uring_close(uring);
	assert_int_equal(bench->waiter.runs, 0);
	assert_int_equal(fcntl(bench->fd, F_SETFL, 0), 0); /* buffered, for an unaligned look */
	assert_int_equal(pread(bench->fd, got, sizeof(got), MEMORY_SIZE - 16), 16);
	assert_memory_equal(got, "wwwwwwwwwwwwwwww", 16);
	uring_close(NULL);
}

/* ---- the lock ---- */

#define LOCK_ROUNDS     8
#define LOCK_FILE_SIZE  (96U << 20)
#define LOCK_WRITE_SIZE (1U << 20)
#define LOCK_STAMP_STEP (512U << 10)

static void write_until_killed(const char *dir, int ready_fd, uint8_t stamp)
{
	const struct uring_config config = { .entries = 128, .files_max = 2 };
	static struct waiter waiters[LOCK_FILE_SIZE / LOCK_WRITE_SIZE];
	char path[TEMP_PATH_SIZE];
	struct iovec buffer = { .iov_base = map_memory(LOCK_WRITE_SIZE),
				.iov_len = LOCK_WRITE_SIZE };
	struct uring *uring;
	int lock;
	int slot;

	temp_dir_path(dir, "lock", path);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(flock(lock, LOCK_EX | LOCK_NB) == 0);
	temp_dir_path(dir, "data", path);
	CHECK(uring_open(&config, &uring) == 0);
	CHECK(uring_buffers_register(uring, &buffer, 1) == 0);
	CHECK(uring_file_add(uring, lock) >= 0);
	slot = uring_file_add(uring, open_direct(path));
	CHECK(slot >= 0);
	memset(buffer.iov_base, stamp, LOCK_WRITE_SIZE);
	for (uint32_t i = 0; i < ARRAY_COUNT(waiters); i++) {
		waiters[i].event.fn = on_done;
		CHECK(uring_write(uring, slot, 0, buffer.iov_base, LOCK_WRITE_SIZE,
				  (uint64_t)i * LOCK_WRITE_SIZE, &waiters[i].event) == 0);
	}
	(void)uring_poll(uring);
	CHECK(write(ready_fd, "r", 1) == 1);
	for (;;)
		(void)pause();
}

/*
 * The first byte of some blocks tells which round wrote them last. From the end, where writes that
 * are still under way arrive last.
 */
static void read_stamps(int fd, uint8_t *memory, uint8_t *ret_stamps)
{
	for (uint32_t at = LOCK_FILE_SIZE; at > 0; at -= LOCK_STAMP_STEP) {
		assert_int_equal(pread(fd, memory, BLOCK, at - BLOCK), BLOCK);
		*ret_stamps++ = memory[0];
	}
}

static void kill_while_writing(const char *dir, uint8_t stamp)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves nobody behind */
		write_until_killed(dir, ready[1], stamp);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(ready[0]);
}

static void test_uring_registered_lock_is_held_until_the_last_write(void **state)
{
	struct bench *bench = *state;
	static uint8_t before[LOCK_FILE_SIZE / LOCK_STAMP_STEP];
	static uint8_t after[LOCK_FILE_SIZE / LOCK_STAMP_STEP];
	uint8_t *memory = map_memory(LOCK_WRITE_SIZE);
	char path[TEMP_PATH_SIZE];
	int fd;

	temp_dir_path(bench->dir, "data", path);
	fd = open_direct(path);
	assert_non_null(memory);
	for (uint32_t at = 0; at < LOCK_FILE_SIZE; at += LOCK_WRITE_SIZE)
		assert_int_equal(pwrite(fd, memory, LOCK_WRITE_SIZE, at), LOCK_WRITE_SIZE);
	assert_int_equal(fsync(fd), 0);
	for (uint8_t round = 1; round <= LOCK_ROUNDS; round++) {
		int lock;

		kill_while_writing(bench->dir, round);
		temp_dir_path(bench->dir, "lock", path);
		lock = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(flock(lock, LOCK_EX), 0);
		read_stamps(fd, memory, before);
		(void)poll(NULL, 0, 30);
		read_stamps(fd, memory, after);
		assert_memory_equal(before, after, sizeof(before));
		(void)close(lock);
	}
	(void)close(fd);
	(void)munmap(memory, LOCK_WRITE_SIZE);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_uring_writes_syncs_and_reads),
		ROW(test_uring_works_for_a_user_who_may_not_lock_memory),
		ROW(test_uring_takes_more_operations_than_entries),
		ROW(test_uring_poll_finds_readiness_and_cancels),
		ROW(test_uring_wait_ends_by_time_and_signal),
		ROW(test_uring_many_commits_go_at_once),
		ROW(test_uring_close_waits_for_disk),
		ROW(test_uring_registered_lock_is_held_until_the_last_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

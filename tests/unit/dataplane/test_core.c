/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a core's ring holds the data directory's lock, so that a successor gets it only when the
 * kernel is done with the ring of a process that was killed. Shown on the real io_uring: the lock
 * stays taken after every descriptor of it was closed, until the ring is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "dataplane/core/core.h"

#include "cm.h"
#include "core_stub.h"

static char lock_path[] = "/tmp/millrace-test-core-XXXXXX";

/** @return whether the lock is free now */
static bool is_free(void)
{
	int fd = open(lock_path, O_RDWR | O_CLOEXEC);
	bool result;

	assert_true(fd >= 0);
	result = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (!result)
		assert_int_equal(errno, EWOULDBLOCK);
	(void)close(fd);
	return result;
}

static void test_core_ring_keeps_the_lock_of_the_directory(void **state)
{
	const struct chunk_identity identity = { .boot_id = "test" };
	static struct config config;
	static struct counters counters;
	struct core_args args = { .count = 1, .config = &config, .counters = &counters };
	struct core *core;
	char ring[64];

	(void)state;
	memset(&stub, 0, sizeof(stub));
	config_init(&config);
	args.lock_fd = mkstemp(lock_path);
	assert_true(args.lock_fd >= 0);
	assert_int_equal(flock(args.lock_fd, LOCK_EX | LOCK_NB), 0);
	(void)snprintf(ring, sizeof(ring), "/dev/shm/test_core.%d", (int)getpid());
	assert_int_equal(chunk_pool_open(ring, 4 << 20, &identity, &args.chunks), 0);
	args.mesh = mesh_new(1);
	core = core_new(&args);
	assert_non_null(core);
	assert_int_equal(core_ring_open(core), 0);
	(void)close(args.lock_fd);
	assert_false(is_free());
	core_ring_close(core);
	/* The kernel drops a ring's files a moment after its last reference. */
	for (int i = 0; i < 200 && !is_free(); i++)
		(void)poll(NULL, 0, 25);
	assert_true(is_free());
	chunk_pool_close(args.chunks);
	core_free(core);
	mesh_free(args.mesh);
	(void)unlink(lock_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_core_ring_keeps_the_lock_of_the_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a core's ring holds the data directory's lock, so that a successor gets it only when the
 * kernel is done with the ring of a process that was killed. Shown on the real io_uring: the lock
 * stays taken after every descriptor of it was closed, until the ring is gone.
 *
 * Claim: every nanosecond of the loop is counted once, as busy, idle, yielded or asleep, and work is
 * counted as busy in full. Shown in each idle mode by the sum, to the nanosecond, and by known work.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
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

static uint64_t counted(const struct core *core, enum counter which)
{
	return counters_get(core->counters, which);
}

static void *run(void *arg)
{
	struct core *core = arg;

	CHECK(core_ring_open(core) == 0);
	core_run(core);
	core_ring_close(core);
	return NULL;
}

static uint32_t port_work_each; /* of the port that run_for() gives the core; 0: it has none */

/* Run a core without sockets for a while. @return time that its loop took */
static int64_t run_for(const char *idle_mode, int64_t calibrate_percent, struct counters *counters)
{
	const struct chunk_identity identity = { .boot_id = "test" };
	struct mesh_item stop = { .run = core_on_stop };
	static struct config config;
	struct core_args args = {
		.count = 1, .config = &config, .counters = counters, .lock_fd = -1
	};
	struct core *core;
	pthread_t thread;
	int64_t took_ns;
	char ring[64];

	memset(&stub, 0, sizeof(stub));
	memset(counters, 0, sizeof(*counters));
	config_init(&config);
	(void)snprintf(config.idle_mode, sizeof(config.idle_mode), "%s", idle_mode);
	config.calibrate_percent = calibrate_percent;
	(void)snprintf(ring, sizeof(ring), "/dev/shm/test_core.%d", (int)getpid());
	assert_int_equal(chunk_pool_open(ring, 4 << 20, &identity, &args.chunks), 0);
	args.mesh = mesh_new(1);
	core = core_new(&args);
	assert_non_null(core);
	if (port_work_each > 0) {
		stub.has_interrupts = true;
		stub.work_each = port_work_each;
		core->wireport = (struct wireport *)&stub; /* the stub looks at none */
		core->is_serving = true;
	}
	assert_int_equal(pthread_create(&thread, NULL, run, core), 0);
	(void)poll(NULL, 0, 50);
	list_init(&stop.node);
	mesh_send(args.mesh, 1, 0, &stop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	took_ns = core->now_ns - core->begin_ns;
	chunk_pool_close(args.chunks);
	assert_int_equal(counted(core, COUNTER_CORE_BUSY_NS) + counted(core, COUNTER_CORE_IDLE_NS) +
				 counted(core, COUNTER_CORE_YIELD_NS) +
				 counted(core, COUNTER_CORE_SLEEP_NS),
			 took_ns);
	core_free(core);
	mesh_free(args.mesh);
	return took_ns;
}

static void test_core_counts_all_its_time(void **state)
{
	static const char *const modes[] = { "busy", "adaptive", "intr" };
	struct counters counters;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
		assert_true(run_for(modes[i], 0, &counters) > 0);
		assert_int_equal(counters_get(&counters, COUNTER_CORE_SLEEP_NS) > 0, i > 0);
		assert_true(counters_get(&counters, COUNTER_CORE_BUSY_NS) > 0); /* the stop */
	}
}

/* What came before its port was asked to wake it is found before it sleeps; while there is work nobody
   needs to wake it. */
static void test_core_looks_once_more_before_it_sleeps(void **state)
{
	struct counters counters;

	(void)state;
	port_work_each = 7;
	(void)run_for("intr", 30, &counters); /* known work ends each sleep soon */
	port_work_each = 0;
	assert_true(stub.sleeps > 3);
	assert_true(stub.looks >= stub.sleeps);
	assert_int_equal(stub.blind, 0);
	assert_int_equal(stub.noisy, 0);
}

static void test_core_counts_known_work_as_busy(void **state)
{
	struct counters counters;
	uint64_t known;

	(void)state;
	(void)run_for("adaptive", 30, &counters);
	known = counters_get(&counters, COUNTER_CORE_CALIBRATE_NS);
	assert_true(known >= 300000);
	assert_true(counters_get(&counters, COUNTER_CORE_BUSY_NS) >= known);
	assert_true(counters_get(&counters, COUNTER_CORE_BUSY_CYCLES) > 0);
	assert_true(counters_get(&counters, COUNTER_CORE_SLEEP_NS) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_core_ring_keeps_the_lock_of_the_directory),
		cmocka_unit_test(test_core_counts_all_its_time),
		cmocka_unit_test(test_core_looks_once_more_before_it_sleeps),
		cmocka_unit_test(test_core_counts_known_work_as_busy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

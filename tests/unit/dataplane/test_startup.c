/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a box starts on an empty directory, opens the partitions of a snapshot, refuses a second
 * owner with a code of its own, stops cleanly and starts again clean; after a start that was not
 * followed by a clean stop the leader epochs are raised; lists of CPUs are read strictly. Shown with
 * whole boxes in this process, on the kernel-socket transport.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/partitions.h"

#include "dataplane/core/startup_box.h"
#include "dataplane/nic/nic.h"
#include "dataplane/nic/nic_eal.h"

#include "cm.h"

struct place {
	char data[64], run[64];
	struct config config;
};

static void place_open(struct place *place)
{
	char path[128];

	(void)snprintf(place->data, sizeof(place->data), "/tmp/test_startup.XXXXXX");
	assert_non_null(mkdtemp(place->data));
	(void)snprintf(place->run, sizeof(place->run), "/dev/shm/test_startup.XXXXXX");
	assert_non_null(mkdtemp(place->run));
	(void)snprintf(path, sizeof(path), "%s/metadata", place->data);
	assert_int_equal(mkdir(path, 0755), 0);
	config_init(&place->config);
	(void)snprintf(place->config.data_dir, sizeof(place->config.data_dir), "%s", place->data);
	(void)snprintf(place->config.run_dir, sizeof(place->config.run_dir), "%s", place->run);
	(void)snprintf(place->config.ring_dir, sizeof(place->config.ring_dir), "%s", place->run);
	place->config.user[0] = '\0';
	place->config.ring_size = 16 << 20;
	place->config.connections_max = 16;
	place->config.port = 30000 + getpid() % 20000;
}

static void place_close(const struct place *place)
{
	char command[256];
	FILE *rm;

	(void)snprintf(command, sizeof(command), "rm -rf %s %s", place->data, place->run);
	rm = popen(command, "re");
	assert_non_null(rm);
	assert_int_equal(pclose(rm), 0);
}

static bool exists(const char *folder, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return access(path, F_OK) == 0;
}

static void put_snapshot(const struct place *place)
{
	struct snapshot_topic topic = { .name = "topic",
					.id.bytes = { 1, 2, 3 },
					.partition_count = 2,
					.leader_epoch = 4,
					.segment_size = 1 << 20,
					.segment_ms = 100000,
					.retention_ms = -1,
					.retention_size = -1,
					.message_size_max = 1 << 20 };
	struct snapshot snapshot = { .generation = 3, .topic_count = 1, .topics = &topic };
	char path[128];

	memcpy(snapshot.cluster_id, "abcdefghijklmnopqrstuv", 22);
	(void)snprintf(path, sizeof(path), "%s/%s", place->data, SNAPSHOT_FILE);
	assert_int_equal(snapshot_save(path, &snapshot), 0);
}

static int32_t epoch_of(const struct place *place)
{
	struct partitions *table;
	struct partition_view view;
	struct uuid id = { .bytes = { 1, 2, 3 } };
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/partitions", place->run);
	assert_int_equal(partitions_open(path, false, &table), 0);
	assert_int_equal(partitions_find(table, &id, 1, &view), 0);
	assert_string_equal(view.topic, "topic");
	assert_int_equal(view.error, 0);
	partitions_close(table);
	return view.leader_epoch;
}

static void test_startup_starts_empty_and_stops_clean(void **state)
{
	struct place place;
	struct box *box, *second;

	(void)state;
	place_open(&place);
	assert_int_equal(startup_open(&place.config, &box), STARTUP_OK);
	assert_true(exists(place.run, "ready.dataplane"));
	assert_true(exists(place.run, "dataplane.sock"));
	assert_int_equal(startup_open(&place.config, &second), STARTUP_LOCKED);
	assert_true(exists(place.run, "ready.dataplane"));
	assert_int_equal(startup_close(box), STARTUP_OK);
	assert_false(exists(place.run, "ready.dataplane"));
	assert_false(exists(place.run, "dataplane.sock"));
	assert_true(exists(place.data, "log/.kafka_cleanshutdown"));
	place_close(&place);
}

/* A killed dataplane's lock is let go a moment after its end: the one that is started at once waits. */
static void test_startup_waits_for_the_lock_of_a_killed_process(void **state)
{
	struct place place;
	struct box *box;
	char path[128], byte;
	int ready[2], fd, status;
	pid_t pid;

	(void)state;
	place_open(&place);
	assert_int_equal(startup_open(&place.config, &box), STARTUP_OK);
	assert_int_equal(startup_close(box), STARTUP_OK);
	(void)snprintf(path, sizeof(path), "%s/log/.lock", place.data);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		(void)poll(NULL, 0, 300);
		_exit(0);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	assert_int_equal(startup_open(&place.config, &box), STARTUP_OK);
	assert_int_equal(startup_close(box), STARTUP_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	place_close(&place);
}

static void test_startup_raises_epochs_after_an_unclean_stop_only(void **state)
{
	struct place place;
	struct box *box;
	char path[128];

	(void)state;
	place_open(&place);
	put_snapshot(&place);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(startup_open(&place.config, &box), STARTUP_OK);
		assert_int_equal(epoch_of(&place), 4);
		assert_true(exists(place.data, "log/topic-1"));
		assert_int_equal(startup_close(box), STARTUP_OK);
		assert_true(exists(place.data, "log/recovery-point-offset-checkpoint"));
	}
	(void)snprintf(path, sizeof(path), "%s/log/.kafka_cleanshutdown", place.data);
	assert_int_equal(unlink(path), 0);
	for (int i = 0; i < 2; i++) { /* the second start is clean, the raise stays */
		assert_int_equal(startup_open(&place.config, &box), STARTUP_OK);
		assert_int_equal(epoch_of(&place), 5);
		assert_int_equal(startup_close(box), STARTUP_OK);
	}
	place_close(&place);
}

static void test_startup_refuses_a_port_in_use(void **state)
{
	struct place one, two;
	struct box *box, *second;

	(void)state;
	place_open(&one);
	place_open(&two);
	two.config.port = one.config.port;
	assert_int_equal(startup_open(&one.config, &box), STARTUP_OK);
	assert_int_equal(startup_open(&two.config, &second), STARTUP_FAILED);
	assert_false(exists(two.run, "ready.dataplane"));
	assert_int_equal(startup_close(box), STARTUP_OK);
	place_close(&one);
	place_close(&two);
}

/* Nothing was appended by a start that failed: no recovery, no raised epochs. */
static void test_startup_failed_start_leaves_a_clean_stop_clean(void **state)
{
	struct place one, two;
	struct box *box, *second;
	int64_t port;

	(void)state;
	place_open(&one);
	place_open(&two);
	put_snapshot(&two);
	port = two.config.port = one.config.port + 100;
	assert_int_equal(startup_open(&two.config, &second), STARTUP_OK);
	assert_int_equal(startup_close(second), STARTUP_OK);
	assert_int_equal(startup_open(&one.config, &box), STARTUP_OK);
	two.config.port = one.config.port;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(startup_open(&two.config, &second), STARTUP_FAILED);
		assert_true(exists(two.data, "log/.kafka_cleanshutdown"));
	}
	two.config.port = port;
	assert_int_equal(startup_open(&two.config, &second), STARTUP_OK);
	assert_int_equal(epoch_of(&two), 4);
	assert_false(exists(two.data, "log/.kafka_cleanshutdown"));
	assert_int_equal(startup_close(second), STARTUP_OK);
	assert_int_equal(startup_close(box), STARTUP_OK);
	place_close(&one);
	place_close(&two);
}

/* "Bad address" would be all that io_uring says about such memory. */
static void test_startup_refuses_a_ring_dir_on_disk(void **state)
{
	struct place place;
	struct box *box;

	(void)state;
	place_open(&place);
	(void)snprintf(place.config.ring_dir, sizeof(place.config.ring_dir), "/proc");
	assert_int_equal(startup_open(&place.config, &box), STARTUP_USAGE);
	(void)snprintf(place.config.ring_dir, sizeof(place.config.ring_dir), "%s/none", place.run);
	assert_int_equal(startup_open(&place.config, &box), STARTUP_USAGE);
	assert_true(exists(place.data, "log/.kafka_cleanshutdown"));
	place_close(&place);
}

static uint64_t memory_of(const struct config *config, const struct nic_config *ports,
			  uint32_t count, const char *name)
{
	struct startup_memory_part parts[STARTUP_MEMORY_PARTS];
	uint64_t total = startup_memory(config, ports, count, parts), sum = 0, found = 0;

	for (size_t i = 0; i < STARTUP_MEMORY_PARTS; i++) {
		sum += parts[i].size;
		if (strcmp(parts[i].name, name) == 0)
			found = parts[i].size;
	}
	assert_int_equal(total, sum);
	return name[0] == '\0' ? total : found;
}

/* The sum says what each setting costs; one connection costs less than 64 KiB, most of it never touched. */
static void test_startup_memory_follows_the_settings(void **state)
{
	const struct nic_config ports[] = {
		{ "af_xdp:none0", .queues = 1, .mtu = 1500, .descriptors = 512, .buffers = 3072 },
		{ "memif:/none", .queues = 1, .mtu = 9000, .descriptors = 512, .buffers = 3072 },
	};
	struct config config, more;

	(void)state;
	config_init(&config);
	assert_int_equal(memory_of(&config, NULL, 0, "rings"), config.ring_size);
	assert_int_equal(memory_of(&config, NULL, 0, "tcp"), 0);
	assert_int_equal(memory_of(&config, NULL, 0, "packets"), 0);
	assert_true(memory_of(&config, ports, 1, "tcp") > 0);
	assert_true(memory_of(&config, ports, 1, "") > memory_of(&config, NULL, 0, ""));
	more = config;
	more.connections_max += 10000;
	assert_in_range((memory_of(&more, ports, 1, "") - memory_of(&config, ports, 1, "")) / 10000,
			4096, 65536);
	/* TCP's part of each port in full, buffers each its own, and the library once. */
	assert_int_equal(memory_of(&config, ports, 2, "tcp"),
			 2 * memory_of(&config, ports, 1, "tcp"));
	if (memory_of(&config, ports, 1, "packets") > 0) /* built with DPDK */
		assert_int_equal(memory_of(&config, ports, 2, "packets") + NIC_EAL_SIZE,
				 memory_of(&config, ports, 1, "packets") +
					 memory_of(&config, ports + 1, 1, "packets"));
	assert_int_equal(memory_of(&config, ports, 2, "sessions"),
			 memory_of(&config, ports, 1, "sessions"));
	more = config;
	more.cores = 3;
	assert_int_equal(memory_of(&more, NULL, 0, "sessions"),
			 3 * memory_of(&config, NULL, 0, "sessions"));
	more = config;
	more.socket_address[0] = '\0';
	assert_int_equal(memory_of(&more, NULL, 0, "sockets"), 0);
}

/* The port's misfit is what `millrace doctor` says of it, and the box serves kernel sockets all the same. */
static void test_startup_says_why_a_port_does_not_fit(void **state)
{
	struct place place;
	struct box *box;
	char path[128], line[512] = "";
	FILE *file;

	(void)state;
	place_open(&place);
	(void)snprintf(place.config.dpdk_port, sizeof(place.config.dpdk_port), "memif:%s/no/sock",
		       place.run);
	assert_int_equal(startup_open(&place.config, &box), STARTUP_OK);
	(void)snprintf(path, sizeof(path), "%s/transports", place.run);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	(void)fclose(file);
	assert_non_null(strstr(line, "its folder is not there"));
	assert_non_null(strstr(line, "make that folder"));
	assert_true(exists(place.run, "memory"));
	assert_int_equal(startup_close(box), STARTUP_OK);
	assert_false(exists(place.run, "memory"));
	place.config.dpdk_required = true;
	assert_int_equal(startup_open(&place.config, &box), STARTUP_FAILED);
	/* Settings that contradict each other are nobody's port. */
	place.config.dpdk_required = false;
	(void)snprintf(place.config.dpdk_address, sizeof(place.config.dpdk_address),
		       "10.0.0.2,10.0.1.2");
	assert_int_equal(startup_open(&place.config, &box), STARTUP_USAGE);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_startup_starts_empty_and_stops_clean),
		cmocka_unit_test(test_startup_waits_for_the_lock_of_a_killed_process),
		cmocka_unit_test(test_startup_raises_epochs_after_an_unclean_stop_only),
		cmocka_unit_test(test_startup_refuses_a_port_in_use),
		cmocka_unit_test(test_startup_failed_start_leaves_a_clean_stop_clean),
		cmocka_unit_test(test_startup_refuses_a_ring_dir_on_disk),
		cmocka_unit_test(test_startup_memory_follows_the_settings),
		cmocka_unit_test(test_startup_says_why_a_port_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a snapshot is loaded as it was saved or not at all. Shown by a round trip, by changing and
   by cutting off every byte, by files with a right checksum and wrong contents, and by snapshots
   that break a limit. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/snapshot.h"

#include "cm.h"
#include "temp_dir.h"

struct bench {
	char dir[TEMP_PATH_SIZE];
	char path[TEMP_PATH_SIZE];
	struct snapshot_topic topics[3];
	struct snapshot snapshot;
};

static int setup(void **state)
{
	static struct bench bench;
	static const char *const names[] = { "__consumer_offsets", "raw.flights", "ref_planes" };

	memset(&bench, 0, sizeof(bench));
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "snapshot", bench.path);
	for (uint32_t i = 0; i < 3; i++) {
		struct snapshot_topic *topic = &bench.topics[i];

		(void)snprintf(topic->name, sizeof(topic->name), "%s", names[i]);
		memset(topic->id.bytes, (int)i + 1, UUID_SIZE);
		topic->partition_count = (int32_t)(4 + i);
		topic->leader_epoch = (int32_t)i;
		topic->is_internal = i == 0;
		topic->segment_size = 1 << 30;
		topic->segment_ms = 604800000;
		topic->retention_ms = -1;
		topic->retention_size = 1000 + i;
		topic->message_size_max = 1048588;
		topic->append_time = i == 1;
		topic->is_compacted = i == 0;
	}
	bench.snapshot.generation = 12345678901234;
	(void)snprintf(bench.snapshot.cluster_id, sizeof(bench.snapshot.cluster_id), "%s",
		       "AAAAAAAAAAAAAAAAAAAAAQ");
	bench.snapshot.producer_id_first = 1000;
	bench.snapshot.producer_id_end = 2000;
	bench.snapshot.topic_count = 3;
	bench.snapshot.topics = bench.topics;
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	temp_dir_remove(bench->dir);
	return 0;
}

static void test_snapshot_round_trip(void **state)
{
	struct bench *bench = *state;
	CLEANUP(snapshot_freep) struct snapshot *got = NULL;

	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), 0);
	assert_int_equal(snapshot_load(bench->path, &got), 0);
	assert_true(got->generation == bench->snapshot.generation);
	assert_string_equal(got->cluster_id, bench->snapshot.cluster_id);
	assert_int_equal(got->producer_id_first, 1000);
	assert_int_equal(got->producer_id_end, 2000);
	assert_int_equal(got->topic_count, 3);
	assert_memory_equal(got->topics, bench->topics, sizeof(bench->topics));
}

static void test_snapshot_empty_and_replaced(void **state)
{
	struct bench *bench = *state;
	struct snapshot empty = { .generation = 1 };
	struct snapshot *got = NULL;

	assert_int_equal(snapshot_load(bench->path, &got), -ENOENT);
	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), 0);
	assert_int_equal(snapshot_save(bench->path, &empty), 0);
	assert_int_equal(snapshot_load(bench->path, &got), 0);
	assert_int_equal(got->topic_count, 0);
	assert_int_equal(got->generation, 1);
	snapshot_free(got);
	snapshot_free(NULL);
}

static size_t read_all(const char *path, uint8_t *ret_bytes, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got = read(fd, ret_bytes, size);

	assert_true(got > 0);
	(void)close(fd);
	return (size_t)got;
}

static int load_bytes(const char *path, const uint8_t *bytes, size_t size)
{
	struct snapshot *got = NULL;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int error;

	assert_int_equal(write(fd, bytes, size), size);
	(void)close(fd);
	error = snapshot_load(path, &got);
	if (error != 0)
		assert_null(got);
	snapshot_free(got);
	return error;
}

static void test_snapshot_finds_any_damage(void **state)
{
	struct bench *bench = *state;
	uint8_t good[1024];
	uint8_t bad[1024];
	size_t size;

	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), 0);
	size = read_all(bench->path, good, sizeof(good) - 1);
	assert_in_range(size, 200, sizeof(good) - 2);
	for (size_t at = 0; at < size; at++) {
		memcpy(bad, good, size);
		bad[at] ^= 0x40;
		assert_int_equal(load_bytes(bench->path, bad, size), ERR_CORRUPT);
		assert_int_equal(load_bytes(bench->path, good, at), ERR_CORRUPT);
	}
	memcpy(bad, good, size);
	bad[size] = 0;
	assert_int_equal(load_bytes(bench->path, bad, size + 1), ERR_CORRUPT);
	assert_int_equal(load_bytes(bench->path, good, size), 0);
}

/* The checksum as the file has it: all but its own four bytes. */
static void put_crc(uint8_t *bytes, size_t size)
{
	uint32_t crc = crc32c_extend(CRC32C_INIT, bytes, 12);

	bytes_store_u32(bytes + 12, crc32c_extend(crc, bytes + 16, size - 16));
}

static void test_snapshot_checks_contents_behind_a_right_checksum(void **state)
{
	struct bench *bench = *state;
	uint8_t good[1024];
	uint8_t bad[1024];
	size_t size;
	uint32_t refused = 0;

	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), 0);
	size = read_all(bench->path, good, sizeof(good));
	memcpy(bad, good, size);
	bytes_store_u32(bad + 4, 2);
	put_crc(bad, size);
	assert_int_equal(load_bytes(bench->path, bad, size), ERR_UNSUPPORTED);
	/* Whatever the contents say, loading ends in a snapshot or in an error, under sanitizers. */
	for (size_t at = 16; at < size; at++) {
		memcpy(bad, good, size);
		bad[at] ^= 0xff;
		put_crc(bad, size);
		if (load_bytes(bench->path, bad, size) != 0)
			refused++;
	}
	assert_in_range(refused, 50, size);
}

static void check_save_fails(const struct bench *bench)
{
	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), -EINVAL);
	assert_int_equal(access(bench->path, F_OK), -1);
}

static void test_snapshot_refuses_to_save_nonsense(void **state)
{
	struct bench *bench = *state;
	struct snapshot_topic *topic = &bench->topics[2];
	const struct snapshot_topic good = *topic;
	static const char *const names[] = { "", ".", "..", "a/b", "raw.flights", "r", "\xc3\xa4" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		memset(topic->name, 0, sizeof(topic->name));
		(void)snprintf(topic->name, sizeof(topic->name), "%s", names[i]);
		check_save_fails(bench);
	}
	memset(topic->name, 'z', sizeof(topic->name));
	check_save_fails(bench);
	*topic = good;
	topic->partition_count = 0;
	check_save_fails(bench);
	topic->partition_count = SNAPSHOT_PARTITIONS_MAX - 8;
	check_save_fails(bench);
	topic->partition_count = SNAPSHOT_PARTITIONS_MAX - 9;
	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), 0);
	assert_int_equal(unlink(bench->path), 0);
	*topic = good;
	memset(&topic->id, 0, sizeof(topic->id));
	check_save_fails(bench);
	*topic = good;
	bench->snapshot.producer_id_end = 999;
	check_save_fails(bench);
	bench->snapshot.producer_id_end = 1000;
	bench->snapshot.topic_count = SNAPSHOT_TOPICS_MAX + 1;
	check_save_fails(bench);
}

static void test_snapshot_holds_all_it_promises(void **state)
{
	struct bench *bench = *state;
	struct snapshot_topic *topics = calloc(SNAPSHOT_TOPICS_MAX, sizeof(*topics));
	struct snapshot *got = NULL;

	assert_non_null(topics);
	for (uint32_t i = 0; i < SNAPSHOT_TOPICS_MAX; i++) {
		topics[i] = bench->topics[0];
		(void)snprintf(topics[i].name, sizeof(topics[i].name), "%0*u",
			       SNAPSHOT_TOPIC_NAME_MAX, i);
		topics[i].partition_count = 6;
	}
	bench->snapshot.topics = topics;
	bench->snapshot.topic_count = SNAPSHOT_TOPICS_MAX;
	memset(bench->snapshot.cluster_id, 'c', sizeof(bench->snapshot.cluster_id) - 1);
	assert_int_equal(snapshot_save(bench->path, &bench->snapshot), 0);
	assert_int_equal(snapshot_load(bench->path, &got), 0);
	assert_memory_equal(got->topics, topics, SNAPSHOT_TOPICS_MAX * sizeof(*topics));
	snapshot_free(got);
	free(topics);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_snapshot_round_trip),
		ROW(test_snapshot_empty_and_replaced),
		ROW(test_snapshot_finds_any_damage),
		ROW(test_snapshot_checks_contents_behind_a_right_checksum),
		ROW(test_snapshot_refuses_to_save_nonsense),
		ROW(test_snapshot_holds_all_it_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: entries are Kafka's bytes, searches never lead past what they look for, files load as they
   were saved (also while mapped in place of the memory), and files that make no sense are refused.
   Shown against a plain list of batches. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "storage/segindex.h"

#include "cm.h"
#include "temp_dir.h"

#define BATCHES 3000
#define BASE    1000

struct bench {
	char dir[TEMP_PATH_SIZE];
	int fd;
	struct segindex index;
	uint32_t pos[BATCHES + 1];
};

static int setup(void **state)
{
	static struct bench bench;

	temp_dir_make(bench.dir);
	bench.fd = open(bench.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(bench.fd >= 0);
	*state = &bench;
	if (segindex_init(&bench.index, 16 * 1024 * 1024) != 0)
		return -1;
	segindex_begin(&bench.index, BASE);
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	segindex_fini(&bench->index);
	(void)close(bench->fd);
	temp_dir_remove(bench->dir);
	return 0;
}

/* Batch i: offsets BASE + 2i and 2i + 1, timestamp 5000 + i. */
static void add_all(struct bench *bench)
{
	uint32_t pos = 0;

	for (uint32_t i = 0; i < BATCHES; i++) {
		uint32_t size = 500 + i * 31 % 3000;

		bench->pos[i] = pos;
		segindex_add(&bench->index, pos, size, BASE + 2 * i + 1, 5000 + i);
		pos += size;
	}
	bench->pos[BATCHES] = pos;
}

static void check_searches(const struct bench *bench, const struct segindex *index)
{
	for (uint32_t i = 0; i < BATCHES; i++) {
		uint32_t pos = segindex_find(index, BASE + 2 * i);
		uint32_t skip = segindex_skip(index, bench->pos[i], BASE + 2 * i);
		int64_t offset = segindex_find_time(index, 5000 + i);

		assert_true(pos <= bench->pos[i]);
		assert_true(bench->pos[i] - pos <= 2 * 4096 + 3500);
		assert_true(skip <= bench->pos[i]);
		assert_true(offset <= BASE + 2 * (int64_t)i);
		assert_true(offset >= BASE + 2 * (int64_t)i - 40);
	}
	assert_int_equal(segindex_find(index, BASE), 0);
}

static void test_segindex_entries(void **state)
{
	struct bench *bench = *state;
	static const uint8_t expected[] = { 0, 0, 0, 5, 0, 0, 0x17, 0x70,
					    0, 0, 0, 9, 0, 0, 0x2e, 0xe0 };
	static const uint8_t expected_times[] = { 0, 0, 0, 0, 0, 0, 0, 70, 0, 0, 0, 1,
						  0, 0, 0, 0, 0, 0, 0, 80, 0, 0, 0, 9,
						  0, 0, 0, 0, 0, 0, 0, 90, 0, 0, 0, 11 };
	static const int64_t timestamps[] = { 70, 60, 65, 65, 80, 90 };

	for (uint32_t i = 0; i < 6; i++)
		segindex_add(&bench->index, i * 3000, 3000, BASE + 2 * i + 1, timestamps[i]);
	segindex_end(&bench->index);
	segindex_end(&bench->index); /* once is enough */
	assert_int_equal(bench->index.offset_count, 2);
	assert_memory_equal(bench->index.offsets, expected, sizeof(expected));
	assert_int_equal(bench->index.time_count, 3);
	assert_memory_equal(bench->index.times, expected_times, sizeof(expected_times));
}

static void test_segindex_searches(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(segindex_find(&bench->index, BASE + 7), 0);
	assert_int_equal(segindex_find_time(&bench->index, 7), BASE);
	add_all(bench);
	check_searches(bench, &bench->index);
}

static void test_segindex_files(void **state)
{
	struct bench *bench = *state;
	struct segindex other;

	add_all(bench);
	segindex_end(&bench->index);
	for (int is_final = 0; is_final < 2; is_final++) {
		assert_int_equal(segindex_save(&bench->index, bench->fd, is_final), 0);
		check_searches(bench, &bench->index);
		for (int is_active = 0; is_active < 2; is_active++) {
			assert_int_equal(segindex_init(&other, 16 * 1024 * 1024), 0);
			assert_int_equal(segindex_load(&other, bench->fd, BASE, bench->pos[BATCHES],
						       is_active),
					 0);
			check_searches(bench, &other);
			assert_int_equal(other.max_timestamp, 5000 + BATCHES - 1);
			assert_int_equal(other.max_timestamp_offset, BASE + 2 * BATCHES - 1);
			segindex_fini(&other);
		}
	}
	for (uint32_t i = 0; i < BATCHES; i++)
		assert_int_equal(segindex_find_file(bench->fd, BASE, BASE + 2 * i),
				 segindex_find(&bench->index, BASE + 2 * i));
	segindex_unlink(&bench->index, bench->fd);
	assert_int_equal(segindex_find_file(bench->fd, BASE, BASE + 100), 0);
}

static void test_segindex_bad_files(void **state)
{
	struct bench *bench = *state;
	struct segindex other;
	int fd;

	add_all(bench);
	assert_int_equal(segindex_save(&bench->index, bench->fd, false), 0);
	assert_int_equal(segindex_init(&other, 16 * 1024 * 1024), 0);
	/* longer than the log */
	assert_int_equal(segindex_load(&other, bench->fd, BASE, 8192, true), ERR_CORRUPT);
	/* another base */
	assert_int_equal(segindex_load(&other, bench->fd, BASE + 1, 1 << 24, true), ERR_CORRUPT);
	/* entries that go back */
	fd = openat(bench->fd, "00000000000000001000.index", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\0\0\0\0\0\0\0\0", 8, 80), 8);
	assert_int_equal(segindex_load(&other, bench->fd, BASE, 1 << 24, true), ERR_CORRUPT);
	/* half an entry */
	assert_int_equal(ftruncate(fd, 12), 0);
	assert_int_equal(segindex_load(&other, bench->fd, BASE, 1 << 24, true), ERR_CORRUPT);
	(void)close(fd);
	segindex_fini(&other);
}

static void spoil(struct bench *bench, const void *bytes, size_t size, off_t pos, off_t length)
{
	char name[TEMP_PATH_SIZE];
	int fd;

	temp_dir_path(bench->dir, "00000000000000001000.timeindex", name);
	fd = open(name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, pos), (ssize_t)size);
	if (length >= 0)
		assert_int_equal(ftruncate(fd, length), 0);
	assert_int_equal(close(fd), 0);
}

static void test_segindex_times_of_another_process(void **state)
{
	struct bench *bench = *state;
	const int64_t next = BASE + 2 * BATCHES;
	uint8_t late[4], early[8];
	off_t size;

	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 9000), BASE);
	assert_int_equal(segindex_newest_file(bench->fd, BASE, next), -1);
	add_all(bench);
	segindex_end(&bench->index);
	size = (off_t)bench->index.time_count * SEGINDEX_TIME_SIZE;
	assert_int_equal(segindex_save(&bench->index, bench->fd, true), 0);
	for (int64_t timestamp = 4990; timestamp < 5010 + BATCHES; timestamp += 3)
		assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, timestamp),
				 segindex_find_time(&bench->index, timestamp));
	assert_int_equal(segindex_newest_file(bench->fd, BASE, next), 5000 + BATCHES - 1);
	/* All of it is older; of another segment's end nothing is believed. */
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 90000), next);
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next - 1, 90000), BASE);
	bytes_store_u32(late, 2 * BATCHES);
	spoil(bench, late, sizeof(late), size - 4, -1);
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 90000), BASE);
	bytes_store_u32(late, 2 * BATCHES - 1);
	bytes_store_u64(early, 4000);
	spoil(bench, late, sizeof(late), size - 4, -1);
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 90000), next);
	spoil(bench, early, sizeof(early), size - 12, -1);
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 90000), BASE);
	spoil(bench, early, 0, 0, size - 1);
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 5100), BASE);
	spoil(bench, early, 0, 0, 0);
	assert_int_equal(segindex_find_time_file(bench->fd, BASE, next, 5100), BASE);
	assert_int_equal(segindex_newest_file(bench->fd, BASE, next), -1);
}

static void test_segindex_full(void **state)
{
	struct bench *bench = *state;
	struct segindex small;

	(void)bench;
	assert_int_equal(segindex_init(&small, 20000), 0);
	segindex_begin(&small, 0);
	for (uint32_t i = 0; i < 1000; i++)
		segindex_add(&small, i * 5000, 5000, i, i);
	segindex_end(&small);
	assert_true(small.offset_count < small.entries_max);
	assert_true(small.time_count <= small.entries_max);
	assert_true(segindex_find(&small, 900) <= 900 * 5000);
	segindex_fini(&small);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segindex_entries),
		TEST(test_segindex_searches),
		TEST(test_segindex_files),
		TEST(test_segindex_bad_files),
		TEST(test_segindex_times_of_another_process),
		TEST(test_segindex_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

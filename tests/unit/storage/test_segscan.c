/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a scan yields every batch up to the first that is not one, tells a clean end from damage, and
   reads nothing past its limit. Shown on a file of batches small and large, damaged byte by byte. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "storage/segfile.h"
#include "storage/segscan.h"

#include "cm.h"
#include "temp_dir.h"

#define BATCHES 12

static char dir[TEMP_PATH_SIZE];
static uint8_t log_bytes[4 * 1024 * 1024];
static uint32_t ends[BATCHES];
static uint32_t end;
static int fd;

static int setup(void **state)
{
	static uint8_t value[700000];
	char path[TEMP_PATH_SIZE];

	(void)state;
	temp_dir_make(dir);
	temp_dir_path(dir, "00000000000000000000.log", path);
	end = 0;
	for (uint32_t i = 0; i < BATCHES; i++) {
		struct batch_builder builder;
		int64_t size;

		memset(value, (int)i + 1, sizeof(value));
		batch_builder_init(&builder, log_bytes + end, sizeof(log_bytes) - end, 5, 0);
		batch_builder_add(&builder, NULL, 0, value, i % 4 == 3 ? 700000 - i : 50 * i);
		size = batch_builder_end(&builder, i, 0);
		if (size < 0)
			return -1;
		end += (uint32_t)size;
		ends[i] = end;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return segfile_write(fd, log_bytes, end, 0);
}

static int teardown(void **state)
{
	(void)state;
	(void)close(fd);
	temp_dir_remove(dir);
	return 0;
}

/* @return batches found; *ret_result what ended the scan */
static uint32_t scan(uint64_t pos, uint64_t limit, int *ret_result)
{
	struct segscan scan = { 0 };
	const uint8_t *bytes;
	struct batch batch;
	uint32_t count = 0;
	int result;

	segscan_begin(&scan, fd, pos, limit);
	while ((result = segscan_next(&scan, &batch, &bytes)) == 1) {
		assert_memory_equal(bytes, log_bytes + scan.pos - batch.size, batch.size);
		count++;
	}
	*ret_result = result;
	segscan_fini(&scan);
	return count;
}

static void test_segscan_all(void **state)
{
	int result;

	(void)state;
	assert_int_equal(scan(0, end, &result), BATCHES);
	assert_int_equal(result, 0);
	for (uint32_t i = 0; i < BATCHES; i++) {
		assert_int_equal(scan(ends[i], end, &result), BATCHES - 1 - i);
		assert_int_equal(result, 0);
	}
}

static void test_segscan_limit(void **state)
{
	int result;

	(void)state;
	for (uint32_t i = 0; i < BATCHES; i++) {
		assert_int_equal(scan(0, ends[i], &result), i + 1);
		assert_int_equal(result, 0);
		assert_int_equal(scan(0, ends[i] - 1, &result), i);
		assert_int_equal(result, ERR_CORRUPT);
	}
	/* past the file's end */
	assert_int_equal(scan(0, end + 100, &result), BATCHES);
	assert_int_equal(result, ERR_CORRUPT);
}

static void test_segscan_zeroes_are_a_clean_end(void **state)
{
	static const uint8_t zeros[5000];
	int result;

	(void)state;
	assert_int_equal(segfile_write(fd, zeros, sizeof(zeros), end), 0);
	for (uint32_t more = 1; more <= sizeof(zeros); more += 57) {
		assert_int_equal(scan(0, end + more, &result), BATCHES);
		assert_int_equal(result, 0);
	}
	assert_int_equal(segfile_write(fd, "\1", 1, end + 60), 0);
	assert_int_equal(scan(0, end + 1000, &result), BATCHES);
	assert_int_equal(result, ERR_CORRUPT);
}

static void test_segscan_every_damaged_byte_is_found(void **state)
{
	uint32_t begin = ends[4], finish = ends[5];
	int result;

	(void)state;
	for (uint32_t pos = begin; pos < finish; pos += pos - begin < 70 ? 1 : 29) {
		uint8_t byte = log_bytes[pos] ^ 0x40;

		/* Base offset and leader epoch are not under the checksum: the caller judges them. */
		if (pos - begin < 8 || (pos - begin >= 12 && pos - begin < 16))
			continue;
		assert_int_equal(segfile_write(fd, &byte, 1, pos), 0);
		assert_int_equal(scan(0, end, &result), 5);
		assert_int_equal(result, ERR_CORRUPT);
		assert_int_equal(segfile_write(fd, log_bytes + pos, 1, pos), 0);
	}
	assert_int_equal(scan(0, end, &result), BATCHES);
}

/* A limit that moves on while reading: bytes seen before it moved are looked at anew. */
static void test_segscan_growing_limit(void **state)
{
	static const uint8_t junk[100] = { 0xff };
	struct segscan scan = { 0 };
	const uint8_t *bytes;
	struct batch batch;

	(void)state;
	assert_int_equal(segfile_write(fd, junk, sizeof(junk), ends[1]), 0);
	segscan_begin(&scan, fd, 0, ends[1]);
	assert_int_equal(segscan_next(&scan, &batch, &bytes), 1);
	assert_int_equal(segscan_next(&scan, &batch, &bytes), 1);
	assert_int_equal(segscan_next(&scan, &batch, &bytes), 0);
	assert_int_equal(segfile_write(fd, log_bytes + ends[1], sizeof(junk), ends[1]), 0);
	scan.limit = ends[2];
	assert_int_equal(segscan_next(&scan, &batch, &bytes), 1);
	assert_int_equal(batch.base_offset, 2);
	segscan_fini(&scan);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segscan_all),
		TEST(test_segscan_limit),
		TEST(test_segscan_zeroes_are_a_clean_end),
		TEST(test_segscan_every_damaged_byte_is_found),
		TEST(test_segscan_growing_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: names are Kafka's 20 digits and nothing else passes for one, prepared space is zeroes on disk,
   and a small file is replaced whole or not at all. Shown on files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "storage/segfile.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE];
static int dir_fd;

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(dir_fd);
	temp_dir_remove(dir);
	return 0;
}

static void test_segfile_names(void **state)
{
	static const char *const bad[] = { "0000000000000000000.log",
					   "000000000000000000000.log",
					   "0000000000000000000a.log",
					   "00000000000000000000.index",
					   "00000000000000000000.log.deleted",
					   "99999999999999999999.log",
					   "09223372036854775808.log",
					   "",
					   ".log" };
	char name[SEGFILE_NAME_MAX];
	int64_t base = -1;

	(void)state;
	segfile_name(1234567, ".timeindex", name);
	assert_string_equal(name, "00000000000001234567.timeindex");
	assert_true(segfile_name_parse(name, ".timeindex", &base));
	assert_int_equal(base, 1234567);
	segfile_name(INT64_MAX, ".log", name);
	assert_true(segfile_name_parse(name, ".log", &base));
	assert_int_equal(base, INT64_MAX);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_false(segfile_name_parse(bad[i], ".log", &base));
}

/* The file of a megabyte that base 7 has now, without O_DIRECT. */
static int open_plain(struct stat *ret_stat)
{
	int plain = openat(dir_fd, "00000000000000000007.log", O_RDWR | O_CLOEXEC);

	assert_true(plain >= 0);
	assert_int_equal(fstat(plain, ret_stat), 0);
	assert_int_equal(ret_stat->st_size, 1024 * 1024);
	return plain;
}

static void test_segfile_prepare(void **state)
{
	static uint8_t bytes[SEGFILE_ALIGN * 3];
	struct stat stat;
	int fd = segfile_open(dir_fd, 7, O_RDWR | O_CREAT);
	int plain;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(segfile_prepare(fd, 0, 1024 * 1024), 0);
	plain = open_plain(&stat);
	/* Really written: no holes. */
	assert_true(stat.st_blocks * 512 >= 1024 * 1024);
	memset(bytes, 0x77, sizeof(bytes));
	assert_int_equal(segfile_write(plain, bytes, sizeof(bytes), 0), 0);
	assert_int_equal(segfile_prepare(fd, SEGFILE_ALIGN, 2 * SEGFILE_ALIGN), 0);
	assert_int_equal(segfile_read(plain, bytes, sizeof(bytes), 0), 0);
	assert_int_equal(bytes[SEGFILE_ALIGN - 1], 0x77);
	assert_int_equal(bytes[SEGFILE_ALIGN], 0);
	assert_int_equal(bytes[2 * SEGFILE_ALIGN - 1], 0);
	assert_int_equal(bytes[2 * SEGFILE_ALIGN], 0x77);
	assert_int_equal(segfile_read(plain, bytes, 100, 1024 * 1024 - 50), ERR_TRUNCATED);
	(void)close(plain);
	(void)close(fd);
	assert_int_equal(segfile_open(dir_fd, 8, O_RDWR), -ENOENT);
	fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	assert_int_equal(segfile_prepare(fd, 0, SEGFILE_ALIGN), -ENOSPC);
	(void)close(fd);
}

/* Behind the file's end nothing is written, and yet there is room and it reads as zeros. Bytes that are
   there already must not stay: recovery would take them for batches. */
static void test_segfile_reserve(void **state)
{
	static uint8_t bytes[SEGFILE_ALIGN * 3];
	struct stat stat;
	int fd = segfile_open(dir_fd, 7, O_RDWR | O_CREAT);
	int plain;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(segfile_reserve(fd, 0, 1024 * 1024), 0);
	plain = open_plain(&stat);
	assert_true(stat.st_blocks * 512 >= 1024 * 1024);
	assert_int_equal(lseek(plain, 0, SEEK_DATA), -1);
	assert_int_equal(errno, ENXIO);
	memset(bytes, 0x77, sizeof(bytes));
	assert_int_equal(segfile_write(plain, bytes, sizeof(bytes), 1024 * 1024), 0);
	assert_int_equal(segfile_reserve(fd, 1024 * 1024 + SEGFILE_ALIGN, 1200 * 1024), 0);
	assert_int_equal(segfile_read(plain, bytes, sizeof(bytes), 1024 * 1024), 0);
	assert_int_equal(bytes[SEGFILE_ALIGN - 1], 0x77);
	for (uint32_t i = SEGFILE_ALIGN; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	(void)close(plain);
	(void)close(fd);
	assert_int_equal(segfile_reserve(-1, 0, SEGFILE_ALIGN), -EBADF);
}

static void test_segfile_replace(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(segfile_load(dir_fd, "note", text, sizeof(text)), -ENOENT);
	assert_int_equal(segfile_replace(dir_fd, "note", "first", 5), 0);
	assert_int_equal(segfile_load(dir_fd, "note", text, sizeof(text)), 5);
	assert_string_equal(text, "first");
	assert_int_equal(segfile_replace(dir_fd, "note", "2nd", 3), 0);
	assert_int_equal(segfile_load(dir_fd, "note", text, sizeof(text)), 3);
	assert_string_equal(text, "2nd");
	assert_int_equal(faccessat(dir_fd, "note.tmp", F_OK, 0), -1);
	assert_int_equal(segfile_load(dir_fd, "note", text, 3), -EFBIG);
	assert_int_equal(segfile_replace(dir_fd, "no/such", "x", 1), -ENOENT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segfile_names),
		TEST(test_segfile_prepare),
		TEST(test_segfile_reserve),
		TEST(test_segfile_replace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the metadata log is a Kafka segment that survives a torn last batch and refuses damage in
 * its middle. Shown on real files in a temporary folder, with bytes cut off and changed by hand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"

#include "control/meta/metalog.h"

#include "cm.h"

#define FILE_IN_DIR "/__cluster_metadata-0/00000000000000000000.log"

struct fixture {
	char dir[64];
	char path[160];
	char seen[256]; /* values replayed, each ended by ';' */
	int64_t last_offset;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_metalog.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s" FILE_IN_DIR, f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char folder[128];

	(void)unlink(f->path);
	(void)snprintf(folder, sizeof(folder), "%s/__cluster_metadata-0", f->dir);
	(void)rmdir(folder);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static int note(void *context, int64_t offset, const uint8_t *value, uint32_t size)
{
	struct fixture *f = context;
	size_t used = strlen(f->seen);

	assert_true(used + size + 2 < sizeof(f->seen));
	memcpy(f->seen + used, value, size);
	f->seen[used + size] = ';';
	f->last_offset = offset;
	return 0;
}

static int reopen(struct fixture *f, struct metalog **ret_log)
{
	f->seen[0] = '\0';
	memset(f->seen, 0, sizeof(f->seen));
	return metalog_open(f->dir, note, f, ret_log);
}

static void append(struct metalog *log, const char *a, const char *b)
{
	struct metalog_record records[2] = {
		{ (const uint8_t *)a, (uint32_t)strlen(a) },
		{ (const uint8_t *)b, b != NULL ? (uint32_t)strlen(b) : 0 },
	};

	assert_int_equal(metalog_append(log, records, b != NULL ? 2 : 1, 1234), 0);
}

static void make(struct fixture *f)
{
	CLEANUP(metalog_closep) struct metalog *log = NULL;

	assert_int_equal(reopen(f, &log), 0);
	append(log, "one", "two");
	append(log, "three", NULL);
}

static off_t size_of(const struct fixture *f)
{
	struct stat stat_;

	assert_int_equal(stat(f->path, &stat_), 0);
	return stat_.st_size;
}

static void test_metalog_bytes(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[61];
	int fd;

	make(f);
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	(void)close(fd);
	assert_int_equal(bytes_load_u64(bytes), 0); /* base offset */
	assert_int_equal(bytes_load_u32(bytes + 12), METALOG_LEADER_EPOCH);
	assert_int_equal(bytes[16], 2);                            /* magic */
	assert_int_equal(bytes_load_u32(bytes + 23), 1);           /* last offset delta */
	assert_int_equal(bytes_load_u64(bytes + 27), 1234);        /* base timestamp */
	assert_int_equal((int64_t)bytes_load_u64(bytes + 43), -1); /* producer id */
	assert_int_equal(bytes_load_u32(bytes + 57), 2);           /* records */
}

static void test_metalog_replays_what_was_appended(void **state)
{
	CLEANUP(metalog_closep) struct metalog *log = NULL;
	struct fixture *f = *state;

	make(f);
	assert_int_equal(reopen(f, &log), 0);
	assert_string_equal(f->seen, "one;two;three;");
	assert_int_equal(f->last_offset, 2);
	assert_int_equal(metalog_next_offset(log), 3);
	append(log, "four", NULL);
	metalog_close(TAKE_PTR(log));
	assert_int_equal(reopen(f, &log), 0);
	assert_string_equal(f->seen, "one;two;three;four;");
}

static void test_metalog_every_torn_tail_is_cut(void **state)
{
	struct fixture *f = *state;
	off_t whole;
	off_t first;

	make(f);
	whole = size_of(f);
	first = whole - (61 + 5 + 6 + 1); /* the last batch: header, "three", record fields */
	for (off_t cut = whole - 1; cut > whole - 70; cut--) {
		struct metalog *log = NULL;

		assert_int_equal(truncate(f->path, cut), 0);
		assert_int_equal(reopen(f, &log), 0);
		assert_string_equal(f->seen, "one;two;");
		assert_true(size_of(f) <= cut && size_of(f) >= first - 8);
		append(log, "three", NULL);
		assert_int_equal(size_of(f), whole);
		metalog_close(log);
	}
	/* Zeros behind the end, as a crash of the file system leaves them. */
	assert_int_equal(truncate(f->path, whole + 4096), 0);
	{
		CLEANUP(metalog_closep) struct metalog *log = NULL;

		assert_int_equal(reopen(f, &log), 0);
		assert_string_equal(f->seen, "one;two;three;");
		assert_int_equal(size_of(f), whole);
	}
}

static void flip(const struct fixture *f, off_t at)
{
	int fd = open(f->path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

static void test_metalog_refuses_damage_in_the_middle(void **state)
{
	struct metalog *log = NULL;
	struct fixture *f = *state;
	off_t whole;

	make(f);
	whole = size_of(f);
	flip(f, 65);
	assert_int_equal(reopen(f, &log), ERR_CORRUPT);
	assert_null(log);
	assert_int_equal(size_of(f), whole); /* nothing was thrown away */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_metalog_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metalog_replays_what_was_appended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_metalog_every_torn_tail_is_cut, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_metalog_refuses_damage_in_the_middle, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: checkpoints are read and written in Kafka's text, and nothing else is taken for one. Shown
   by exact bytes, round trips, and a table of broken files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/err.h"
#include "storage/checkpoint.h"

#include "cm.h"
#include "temp_dir.h"

struct bench {
	char dir[TEMP_PATH_SIZE];
	int dir_fd;
};

static int setup(void **state)
{
	static struct bench bench;

	temp_dir_make(bench.dir);
	bench.dir_fd = open(bench.dir, O_RDONLY | O_DIRECTORY);
	*state = &bench;
	return bench.dir_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	(void)close(bench->dir_fd);
	temp_dir_remove(bench->dir);
	return 0;
}

static void put_file(const struct bench *bench, const char *text, size_t size)
{
	int fd = openat(bench->dir_fd, "file", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, size), size);
	(void)close(fd);
}

static void test_checkpoint_writes_what_kafka_reads(void **state)
{
	struct bench *bench = *state;
	static const struct checkpoint_entry entries[] = {
		{ "raw.flights", 1, INT64_MAX },
		{ "__consumer_offsets", 49, 0 },
	};
	static const char want[] =
		"0\n2\nraw.flights 1 9223372036854775807\n__consumer_offsets 49 0\n";
	char got[256] = "";
	int fd;

	assert_int_equal(checkpoint_save(bench->dir_fd, "file", entries, 2), 0);
	fd = openat(bench->dir_fd, "file", O_RDONLY);
	assert_int_equal(read(fd, got, sizeof(got)), sizeof(want) - 1);
	assert_string_equal(got, want);
	(void)close(fd);
	assert_int_equal(checkpoint_save(bench->dir_fd, "file", NULL, 0), 0);
	assert_int_equal(faccessat(bench->dir_fd, "file.tmp", F_OK, 0), -1);
}

static void test_checkpoint_finds_what_was_saved(void **state)
{
	struct bench *bench = *state;
	static struct checkpoint_entry entries[1000];
	CLEANUP(checkpoint_freep) struct checkpoint *checkpoint = NULL;

	for (uint32_t i = 0; i < ARRAY_COUNT(entries); i++) {
		(void)snprintf(entries[i].topic, sizeof(entries[i].topic), "topic-%u", i * 7 % 100);
		entries[i].partition = i;
		entries[i].offset = (int64_t)i * i;
	}
	memset(entries[999].topic, 'x', CHECKPOINT_TOPIC_MAX - 1);
	assert_int_equal(checkpoint_save(bench->dir_fd, CHECKPOINT_REPLICATION, entries, 1000), 0);
	assert_int_equal(checkpoint_load(bench->dir_fd, CHECKPOINT_REPLICATION, &checkpoint), 0);
	assert_int_equal(checkpoint->count, 1000);
	for (uint32_t i = 0; i < ARRAY_COUNT(entries); i++)
		assert_int_equal(checkpoint_find(checkpoint, entries[i].topic, i, -1),
				 (int64_t)i * i);
	assert_int_equal(checkpoint_find(checkpoint, "topic-1", 0, -7), -7);
	assert_int_equal(checkpoint_find(checkpoint, "topic", 0, -7), -7);
	assert_int_equal(checkpoint_find(NULL, "topic", 0, 5), 5);
}

static void test_checkpoint_refuses_broken_files(void **state)
{
	struct bench *bench = *state;
	struct checkpoint *checkpoint = NULL;
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "", ERR_MALFORMED },
		{ "0", ERR_MALFORMED },
		{ "0\n", ERR_MALFORMED },
		{ "1\n0\n", ERR_UNSUPPORTED },
		{ "x\n0\n", ERR_MALFORMED },
		{ "0\n-1\n", ERR_MALFORMED },
		{ "0\n1\n", ERR_MALFORMED },
		{ "0\n1\na 0\n", ERR_MALFORMED },
		{ "0\n1\na 0 x\n", ERR_MALFORMED },
		{ "0\n1\na 0 1 \n", ERR_MALFORMED },
		{ "0\n1\na -1 1\n", ERR_MALFORMED },
		{ "0\n1\na 0 -1\n", ERR_MALFORMED },
		{ "0\n1\na 4294967296 1\n", ERR_MALFORMED },
		{ "0\n1\na 0 9223372036854775808\n", ERR_MALFORMED },
		{ "0\n1\n 0 1\n", ERR_MALFORMED },
		{ "0\n1\na 0 1\nb 0 1\n", ERR_MALFORMED },
		{ "0\n2\na 0 1\n", ERR_MALFORMED },
		{ "0\n65537\na 0 1\n", ERR_TOO_LARGE },
		{ "0\n4294967297\na 0 1\n", ERR_MALFORMED },
	};

	assert_int_equal(checkpoint_load(bench->dir_fd, "file", &checkpoint), -ENOENT);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		put_file(bench, rows[i].text, strlen(rows[i].text));
		assert_int_equal(checkpoint_load(bench->dir_fd, "file", &checkpoint),
				 rows[i].error);
	}
	put_file(bench, "0\n1\na\0b 0 1\n", 12);
	assert_int_equal(checkpoint_load(bench->dir_fd, "file", &checkpoint), ERR_MALFORMED);
	assert_null(checkpoint);
	/* Kafka ends the last line too, but nothing hangs on it. */
	put_file(bench, "0\n1\na 0 1", 9);
	assert_int_equal(checkpoint_load(bench->dir_fd, "file", &checkpoint), 0);
	assert_int_equal(checkpoint_find(checkpoint, "a", 0, -1), 1);
	checkpoint_free(checkpoint);
}

static void test_checkpoint_refuses_long_topics(void **state)
{
	struct bench *bench = *state;
	struct checkpoint *checkpoint = NULL;
	char text[512];
	int size = snprintf(text, sizeof(text), "0\n1\n%0*d 0 1\n", CHECKPOINT_TOPIC_MAX, 0);

	put_file(bench, text, (size_t)size);
	assert_int_equal(checkpoint_load(bench->dir_fd, "file", &checkpoint), ERR_MALFORMED);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_checkpoint_writes_what_kafka_reads),
		ROW(test_checkpoint_finds_what_was_saved),
		ROW(test_checkpoint_refuses_broken_files),
		ROW(test_checkpoint_refuses_long_topics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: what a killed process had bound and not yet made durable is visited whole and in order, and
   nothing else is: nothing clean, dropped, foreign or damaged. Shown by a pool left behind, by
   changing every byte of header and directory, and by children killed while they bind in a loop. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/chunk.h"
#include "storage/chunk_dir.h"

#include "cm.h"
#include "temp_dir.h"

#define POOL_SIZE   (2U * CHUNK_SIZE_MAX)
#define VISITS_MAX  64
#define KILL_ROUNDS 40

struct visits {
	struct chunk_remains at[VISITS_MAX]; /* bytes is not kept */
	uint8_t first_byte[VISITS_MAX];
	uint32_t count;
	int stop_at; /* -1: never */
};

struct bench {
	char dir[TEMP_PATH_SIZE];
	char path[TEMP_PATH_SIZE];
	struct chunk_identity identity;
	struct visits visits;
};

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "ring", bench.path);
	memset(bench.identity.directory_id.bytes, 7, UUID_SIZE);
	(void)snprintf(bench.identity.boot_id, sizeof(bench.identity.boot_id), "this boot");
	bench.visits.stop_at = -1;
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	temp_dir_remove(bench->dir);
	return 0;
}

static int visit(void *ctx, const struct chunk_remains *remains)
{
	struct visits *visits = ctx;

	CHECK(visits->count < VISITS_MAX);
	if ((int)visits->count == visits->stop_at)
		return 77;
	visits->first_byte[visits->count] = remains->bytes[0];
	for (uint32_t i = 0; i < remains->size; i++)
		CHECK(remains->bytes[i] == remains->bytes[0]);
	visits->at[visits->count++] = *remains;
	return 0;
}

static int salvage(struct bench *bench)
{
	bench->visits.count = 0;
	return chunk_salvage(bench->path, &bench->identity, visit, &bench->visits);
}

static struct chunk *take_bound(struct chunk_pool *pool, uint32_t size, uint8_t topic,
				uint32_t partition, uint32_t pos)
{
	const struct uuid id = { .bytes = { topic } };
	struct chunk *chunk = chunk_take(pool, size);

	CHECK(chunk != NULL);
	memset(chunk->mem, topic * 16 + (int)(pos >> 16), chunk->size);
	chunk_bind(chunk, &id, partition, 1000, pos);
	return chunk;
}

static void on_evict(void *owner, struct chunk *chunk)
{
	(void)owner;
	chunk_unref(chunk);
}

/* Leaves a file with four dirty chunks: topic 1 at 0 and 64 KiB, topic 2 partitions 0 and 1. */
static void leave_remains(struct bench *bench)
{
	struct chunk_pool *pool;
	struct chunk *chunk;

	assert_int_equal(chunk_pool_open(bench->path, POOL_SIZE, &bench->identity, &pool), 0);
	(void)take_bound(pool, 65536, 2, 1, 0);
	(void)take_bound(pool, 131072, 1, 0, 65536);
	(void)take_bound(pool, 65536, 2, 0, 65536 * 3);
	(void)take_bound(pool, 65536, 1, 0, 0);
	chunk_set_clean(take_bound(pool, 65536, 3, 0, 0), on_evict, bench);
	chunk_unref(take_bound(pool, 65536, 4, 0, 0));
	chunk = take_bound(pool, 65536, 5, 0, 0);
	(void)chunk_ref(chunk);
	chunk_drop(chunk);
	(void)chunk_take(pool, 65536);
	chunk_pool_close(pool);
}

static void test_chunk_salvage_visits_dirty_chunks_in_order(void **state)
{
	struct bench *bench = *state;
	static const uint32_t want[4][4] = {
		/* topic, partition, pos, size */
		{ 1, 0, 0, 65536 },
		{ 1, 0, 65536, 131072 },
		{ 2, 0, 65536 * 3, 65536 },
		{ 2, 1, 0, 65536 },
	};

	leave_remains(bench);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(salvage(bench), 0);
		assert_int_equal(bench->visits.count, 4);
		for (uint32_t i = 0; i < 4; i++) {
			const struct chunk_remains *remains = &bench->visits.at[i];

			assert_int_equal(remains->topic_id.bytes[0], want[i][0]);
			assert_int_equal(remains->partition, want[i][1]);
			assert_int_equal(remains->segment_base, 1000);
			assert_int_equal(remains->pos, want[i][2]);
			assert_int_equal(remains->size, want[i][3]);
			assert_int_equal(bench->visits.first_byte[i],
					 want[i][0] * 16 + (want[i][2] >> 16));
		}
	}
	bench->visits.stop_at = 2;
	assert_int_equal(salvage(bench), 77);
	assert_int_equal(bench->visits.count, 2);
}

static void test_chunk_salvage_finds_nothing_where_nothing_is(void **state)
{
	struct bench *bench = *state;
	struct chunk_pool *pool;

	assert_int_equal(salvage(bench), 0);
	leave_remains(bench);
	bench->identity.boot_id[0]++;
	assert_int_equal(salvage(bench), 0);
	bench->identity.boot_id[0]--;
	bench->identity.directory_id.bytes[0]++;
	assert_int_equal(salvage(bench), 0);
	bench->identity.directory_id.bytes[0]--;
	assert_int_equal(bench->visits.count, 0);
	/* A new pool starts empty, whatever was in the file. */
	assert_int_equal(chunk_pool_open(bench->path, POOL_SIZE, &bench->identity, &pool), 0);
	assert_int_equal(salvage(bench), 0);
	assert_int_equal(bench->visits.count, 0);
	chunk_pool_close(pool);
	assert_int_equal(truncate(bench->path, 0), -1); /* gone */
	assert_int_equal(close(open(bench->path, O_CREAT | O_RDWR, 0600)), 0);
	assert_int_equal(salvage(bench), 0);
	assert_int_equal(truncate(bench->path, POOL_SIZE), 0);
	assert_int_equal(salvage(bench), 0);
	assert_int_equal(bench->visits.count, 0);
}

/* @return what salvage says with the byte at `pos` changed; the byte is put back */
static int salvage_flipped(struct bench *bench, int fd, off_t pos)
{
	uint8_t byte;
	uint8_t flipped;
	int result;

	assert_int_equal(pread(fd, &byte, 1, pos), 1);
	flipped = byte ^ 0x10;
	assert_int_equal(pwrite(fd, &flipped, 1, pos), 1);
	result = salvage(bench);
	assert_int_equal(pwrite(fd, &byte, 1, pos), 1);
	return result;
}

static void test_chunk_salvage_reports_every_damaged_byte(void **state)
{
	struct bench *bench = *state;
	int fd;

	leave_remains(bench);
	fd = open(bench->path, O_RDWR);
	assert_true(fd >= 0);
	for (off_t pos = 0; pos < (off_t)sizeof(struct chunk_dir_header); pos++) {
		assert_int_equal(salvage_flipped(bench, fd, pos), ERR_CORRUPT);
		assert_int_equal(bench->visits.count, 0);
	}
	/* The entry of the first chunk taken: damage is reported, the others are still visited. */
	for (off_t pos = 0; pos < (off_t)sizeof(struct chunk_dir_entry); pos++) {
		assert_int_equal(salvage_flipped(bench, fd, CHUNK_DIR_ENTRIES_AT + pos),
				 ERR_CORRUPT);
		assert_int_equal(bench->visits.count, 3);
	}
	assert_int_equal(salvage(bench), 0);
	assert_int_equal(ftruncate(fd, POOL_SIZE), 0);
	assert_int_equal(salvage(bench), ERR_CORRUPT);
	(void)close(fd);
}

static void rewrite_header(const char *path, const struct chunk_dir_header *header)
{
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, header, sizeof(*header), 0), sizeof(*header));
	(void)close(fd);
}

static void test_chunk_salvage_refuses_other_versions_and_sizes(void **state)
{
	struct bench *bench = *state;
	struct chunk_dir_header good;
	struct chunk_dir_header bad;
	int fd;

	leave_remains(bench);
	fd = open(bench->path, O_RDONLY);
	assert_int_equal(read(fd, &good, sizeof(good)), sizeof(good));
	(void)close(fd);
	bad = good;
	bad.version++;
	bad.crc = chunk_dir_header_crc(&bad);
	rewrite_header(bench->path, &bad);
	assert_int_equal(salvage(bench), ERR_UNSUPPORTED);
	bad = good;
	bad.unit_count = UINT32_MAX;
	bad.crc = chunk_dir_header_crc(&bad);
	rewrite_header(bench->path, &bad);
	assert_int_equal(salvage(bench), ERR_CORRUPT);
	bad = good;
	bad.area_pos += CHUNK_SIZE_MIN;
	bad.crc = chunk_dir_header_crc(&bad);
	rewrite_header(bench->path, &bad);
	assert_int_equal(salvage(bench), ERR_CORRUPT);
	rewrite_header(bench->path, &good);
	assert_int_equal(salvage(bench), 0);
	assert_int_equal(bench->visits.count, 4);
}

/* Bind, rebind, clean and free without end; every chunk is filled before it is bound. */
static void bind_until_killed(const struct bench *bench, int ready_fd)
{
	struct chunk *chunks[8] = { NULL };
	struct chunk_pool *pool;

	CHECK(chunk_pool_open(bench->path, POOL_SIZE, &bench->identity, &pool) == 0);
	for (uint32_t turn = 0;; turn++) {
		struct chunk **chunk = &chunks[turn % ARRAY_COUNT(chunks)];

		if (*chunk != NULL && turn % 3 == 0) {
			chunk_set_clean(*chunk, on_evict, NULL);
			chunk_unref(*chunk);
		} else if (*chunk != NULL) {
			chunk_unref(*chunk);
		}
		*chunk = take_bound(pool, 65536U << (turn % 2), (uint8_t)(1 + turn % 5), turn,
				    (turn % 7) << 16);
		if (turn == ARRAY_COUNT(chunks))
			CHECK(write(ready_fd, "r", 1) == 1);
	}
}

static void test_chunk_salvage_after_kill_at_any_instruction(void **state)
{
	struct bench *bench = *state;

	for (int round = 0; round < KILL_ROUNDS; round++) {
		int ready[2];
		char byte;
		pid_t pid;

		assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG,
				    SIGKILL); /* a failing test leaves nobody behind */
			bind_until_killed(bench, ready[1]);
		}
		(void)close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		(void)poll(NULL, 0, round % 3);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		(void)close(ready[0]);
		assert_int_equal(salvage(bench), 0);
		/* At most one of the eight was just being exchanged. */
		assert_in_range(bench->visits.count, 7, 8);
		for (uint32_t i = 0; i < bench->visits.count; i++) {
			const struct chunk_remains *remains = &bench->visits.at[i];
			uint32_t turn = remains->partition;

			assert_int_equal(remains->topic_id.bytes[0], 1 + turn % 5);
			assert_int_equal(remains->pos, (turn % 7) << 16);
			assert_int_equal(remains->size, 65536U << (turn % 2));
			assert_int_equal(bench->visits.first_byte[i],
					 (1 + turn % 5) * 16 + turn % 7);
		}
	}
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_chunk_salvage_visits_dirty_chunks_in_order),
		ROW(test_chunk_salvage_finds_nothing_where_nothing_is),
		ROW(test_chunk_salvage_reports_every_damaged_byte),
		ROW(test_chunk_salvage_refuses_other_versions_and_sizes),
		ROW(test_chunk_salvage_after_kill_at_any_instruction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

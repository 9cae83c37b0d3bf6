/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the pool gives disjoint, aligned memory until all of it is taken, puts freed pieces
   together again, evicts only clean chunks that nobody is sending, and removes its file only when
   nothing dirty is in it. Shown by filling and draining it in several orders and by random use
   against a map of owned units. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/prng.h"
#include "storage/chunk.h"

#include "cm.h"
#include "temp_dir.h"

#define POOL_SIZE (4U * CHUNK_SIZE_MAX)

struct bench {
	char dir[TEMP_PATH_SIZE];
	char path[TEMP_PATH_SIZE];
	struct chunk_identity identity;
	struct chunk_pool *pool;
	uint32_t evicted;
};

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "ring", bench.path);
	memset(bench.identity.directory_id.bytes, 7, UUID_SIZE);
	(void)snprintf(bench.identity.boot_id, sizeof(bench.identity.boot_id), "this boot");
	*state = &bench;
	return chunk_pool_open(bench.path, POOL_SIZE, &bench.identity, &bench.pool);
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	chunk_pool_close(bench->pool);
	temp_dir_remove(bench->dir);
	return 0;
}

static void bind(struct chunk *chunk, uint32_t pos)
{
	const struct uuid topic = { .bytes = { 1 } };

	chunk_bind(chunk, &topic, 0, 0, pos);
}

static void on_evict(void *owner, struct chunk *chunk)
{
	struct bench *bench = owner;

	bench->evicted++;
	chunk_unref(chunk);
}

static void test_chunk_rounds_sizes_up(void **state)
{
	struct bench *bench = *state;
	static const uint32_t sizes[][2] = {
		{ 1, CHUNK_SIZE_MIN },
		{ CHUNK_SIZE_MIN, CHUNK_SIZE_MIN },
		{ CHUNK_SIZE_MIN + 1, 2 * CHUNK_SIZE_MIN },
		{ CHUNK_SIZE_MAX / 2 + 1, CHUNK_SIZE_MAX },
		{ CHUNK_SIZE_MAX, CHUNK_SIZE_MAX },
	};

	assert_int_equal(chunk_pool_size(bench->pool), POOL_SIZE);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			struct chunk *chunk = chunk_take(bench->pool, sizes[i][0]);

			assert_non_null(chunk);
			assert_int_equal(chunk->size, sizes[i][1]);
			assert_int_equal(chunk->refs, 1);
			assert_int_equal((uintptr_t)chunk->mem % CHUNK_SIZE_MIN, 0);
			assert_int_equal(chunk_pool_available(bench->pool),
					 POOL_SIZE - chunk->size);
			memset(chunk->mem, 0xee, chunk->size);
			chunk_unref(chunk);
			assert_int_equal(chunk_pool_available(bench->pool), POOL_SIZE);
		}
	}
}

static void test_chunk_buffers_cover_all_chunks(void **state)
{
	struct bench *bench = *state;
	const struct iovec *buffers;
	struct chunk *chunk;

	assert_int_equal(chunk_pool_buffers(bench->pool, &buffers), 1);
	assert_int_equal(buffers[0].iov_len, POOL_SIZE);
	for (uint32_t i = 0; i < POOL_SIZE / CHUNK_SIZE_MAX; i++) {
		chunk = chunk_take(bench->pool, CHUNK_SIZE_MAX);
		assert_non_null(chunk);
		assert_int_equal(chunk->buffer, 0);
		assert_true(chunk->mem >= (uint8_t *)buffers[0].iov_base);
		assert_true(chunk->mem + chunk->size <=
			    (uint8_t *)buffers[0].iov_base + buffers[0].iov_len);
	}
	assert_null(chunk_take(bench->pool, 1));
	assert_int_equal(chunk_pool_available(bench->pool), 0);
}

static void test_chunk_pieces_merge(void **state)
{
	struct bench *bench = *state;
	struct chunk *chunks[POOL_SIZE / CHUNK_SIZE_MIN];

	for (uint32_t step = 1; step < 8; step += 2) {
		for (uint32_t i = 0; i < ARRAY_COUNT(chunks); i++) {
			chunks[i] = chunk_take(bench->pool, CHUNK_SIZE_MIN);
			assert_non_null(chunks[i]);
		}
		assert_null(chunk_take(bench->pool, CHUNK_SIZE_MIN));
		/* An odd step visits all of a power of two. */
		for (uint32_t i = 0; i < ARRAY_COUNT(chunks); i++)
			chunk_unref(chunks[i * step % ARRAY_COUNT(chunks)]);
		for (uint32_t i = 0; i < POOL_SIZE / CHUNK_SIZE_MAX; i++) {
			chunks[i] = chunk_take(bench->pool, CHUNK_SIZE_MAX);
			assert_non_null(chunks[i]);
		}
		for (uint32_t i = 0; i < POOL_SIZE / CHUNK_SIZE_MAX; i++)
			chunk_unref(chunks[i]);
	}
}

/* Clients that stop half way hold no more than their quarter, and leave small batches half of it. */
static void test_chunk_borrowed_ones_leave_room(void **state)
{
	struct bench *bench = *state;
	uint64_t quarter = chunk_pool_size(bench->pool) / 4, used = 0;
	struct chunk *chunks[256];
	uint32_t count = 0;

	while ((chunks[count] = chunk_borrow(bench->pool, CHUNK_SIZE_MAX / 2, CHUNK_FOR_FRAMES)) !=
	       NULL)
		used += chunks[count++]->size;
	assert_true(used > 0 && used <= quarter / 2 + CHUNK_SIZE_MAX / 2);
	while ((chunks[count] = chunk_borrow(bench->pool, 1, CHUNK_FOR_FRAMES)) != NULL)
		used += chunks[count++]->size;
	assert_int_equal(used, quarter);
	chunks[count] =
		chunk_borrow(bench->pool, 1, CHUNK_FOR_BATCHES); /* another use, another quarter */
	assert_non_null(chunks[count++]);
	while ((chunks[count] = chunk_take(bench->pool, CHUNK_SIZE_MIN)) != NULL)
		used += chunks[count++]->size;
	assert_int_equal(used + CHUNK_SIZE_MIN, chunk_pool_size(bench->pool));
	while (count > 0)
		chunk_unref(chunks[--count]);
	assert_int_equal(chunk_pool_available(bench->pool), chunk_pool_size(bench->pool));
	chunks[0] =
		chunk_borrow(bench->pool, CHUNK_SIZE_MAX / 2, CHUNK_FOR_FRAMES); /* given back */
	assert_non_null(chunks[0]);
	chunk_unref(chunks[0]);
}

static void forget_kept(void *owner, struct chunk *chunk)
{
	(*(uint32_t *)owner)++;
	chunk_unref(chunk);
}

/* What is kept counts as borrowed, and goes for those who borrow and for those who take. */
static void test_chunk_kept_ones_go_first(void **state)
{
	struct bench *bench = *state;
	uint64_t size = chunk_pool_size(bench->pool);
	struct chunk *chunks[256], *sent;
	uint32_t count = 0, gone = 0, kept = 0;

	while ((chunks[count] = chunk_borrow(bench->pool, CHUNK_SIZE_MIN, CHUNK_FOR_READS)) != NULL)
		count++;
	for (; kept < count; kept++)
		chunk_keep(chunks[kept], forget_kept, &gone);
	assert_int_equal(chunk_pool_available(bench->pool), size);
	sent = chunk_ref(chunks[0]);
	chunks[0] = chunk_borrow(bench->pool, CHUNK_SIZE_MIN, CHUNK_FOR_READS);
	assert_non_null(chunks[0]);
	assert_int_equal(gone, 1); /* not the one that is being sent */
	chunk_unref(chunks[0]);
	for (count = 0; (chunks[count] = chunk_take(bench->pool, CHUNK_SIZE_MIN)) != NULL;)
		count++;
	assert_int_equal(gone, kept - 1);
	chunk_drop(sent);
	assert_int_equal(chunk_pool_available(bench->pool), 0);
	chunk_unref(sent);
	assert_int_equal(chunk_pool_available(bench->pool), CHUNK_SIZE_MIN);
	while (count > 0)
		chunk_unref(chunks[--count]);
	assert_int_equal(chunk_pool_available(bench->pool), size);
}

static void test_chunk_evicts_oldest_clean_first(void **state)
{
	struct bench *bench = *state;
	struct chunk *chunks[POOL_SIZE / CHUNK_SIZE_MAX];
	struct chunk *taken;

	for (uint32_t i = 0; i < ARRAY_COUNT(chunks); i++) {
		chunks[i] = chunk_take(bench->pool, CHUNK_SIZE_MAX);
		bind(chunks[i], i * CHUNK_SIZE_MAX);
	}
	chunk_set_clean(chunks[2], on_evict, bench);
	chunk_set_clean(chunks[0], on_evict, bench);
	chunk_set_clean(chunks[1], on_evict, bench);
	assert_int_equal(chunk_pool_available(bench->pool), 3 * CHUNK_SIZE_MAX);
	(void)chunk_ref(chunks[2]); /* being sent */
	taken = chunk_take(bench->pool, CHUNK_SIZE_MIN);
	assert_ptr_equal(taken, chunks[0]);
	assert_int_equal(bench->evicted, 1);
	taken = chunk_take(bench->pool, CHUNK_SIZE_MAX);
	assert_ptr_equal(taken, chunks[1]);
	assert_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
	chunk_unref(chunks[2]);
	assert_ptr_equal(chunk_take(bench->pool, CHUNK_SIZE_MAX), chunks[2]);
	assert_int_equal(bench->evicted, 3);
}

static void test_chunk_spares_small_ones_beside_a_dirty_one(void **state)
{
	struct bench *bench = *state;
	struct chunk *chunks[POOL_SIZE / CHUNK_SIZE_MIN];
	uint32_t per_block = CHUNK_SIZE_MAX / CHUNK_SIZE_MIN;

	for (uint32_t i = 0; i < ARRAY_COUNT(chunks); i++) {
		chunks[i] = chunk_take(bench->pool, CHUNK_SIZE_MIN);
		bind(chunks[i], i * CHUNK_SIZE_MIN);
	}
	/* Every block but the last keeps one dirty chunk; the last becomes clean last. */
	for (uint32_t i = 0; i < ARRAY_COUNT(chunks); i++) {
		if (i % per_block != 5 || i / per_block == 3)
			chunk_set_clean(chunks[i], on_evict, bench);
	}
	assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
	assert_int_equal(bench->evicted, per_block);
	assert_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
	assert_int_equal(bench->evicted, per_block);
	assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MIN));
	assert_int_equal(bench->evicted, per_block + 1);
}

struct lender {
	struct bench *bench;
	struct chunk *chunks[2];
	uint32_t asked, asked_last;
};

static void give(void *ctx, bool is_last)
{
	struct lender *lender = ctx;
	struct chunk **chunk = &lender->chunks[is_last];

	lender->asked++;
	lender->asked_last += is_last;
	if (*chunk != NULL)
		chunk_set_clean(*chunk, on_evict, lender->bench);
	*chunk = NULL;
}

static void test_chunk_asks_holders_when_it_is_short(void **state)
{
	struct bench *bench = *state;
	struct lender lender = { .bench = bench };

	chunk_pool_on_short(bench->pool, give, &lender);
	for (uint32_t i = 0; i < POOL_SIZE / CHUNK_SIZE_MAX; i++) {
		struct chunk *chunk = chunk_take(bench->pool, CHUNK_SIZE_MAX);

		bind(chunk, i * CHUNK_SIZE_MAX);
		lender.chunks[i % 2] = chunk;
	}
	assert_int_equal(lender.asked, 0);
	assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
	assert_int_equal(lender.asked, 1);
	assert_int_equal(lender.asked_last, 0);
	assert_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
	assert_int_equal(lender.asked_last, 0); /* less would do */
	assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MIN));
	assert_int_equal(lender.asked_last, 1);
	assert_int_equal(bench->evicted, 2);
	assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MIN));
	assert_int_equal(lender.asked, 3); /* not while there is room */
}

static void test_chunk_drop_forgets_what_is_being_sent(void **state)
{
	struct bench *bench = *state;
	struct chunk *chunk = chunk_take(bench->pool, CHUNK_SIZE_MAX);

	bind(chunk, 0);
	chunk_set_clean(chunk, on_evict, bench);
	(void)chunk_ref(chunk);
	chunk_drop(chunk);
	for (uint32_t i = 1; i < POOL_SIZE / CHUNK_SIZE_MAX; i++)
		assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
	assert_null(chunk_take(bench->pool, CHUNK_SIZE_MIN));
	assert_int_equal(bench->evicted, 0);
	chunk_unref(chunk);
	assert_non_null(chunk_take(bench->pool, CHUNK_SIZE_MAX));
}

static void test_chunk_random_use_never_overlaps(void **state)
{
	struct bench *bench = *state;
	struct chunk *held[64] = { NULL };
	struct prng prng = { .state = 42 };
	uint64_t free_size = POOL_SIZE;

	for (uint32_t turn = 0; turn < 4000; turn++) {
		uint32_t i = (uint32_t)prng_below(&prng, ARRAY_COUNT(held));

		if (held[i] != NULL) {
			uint8_t mark = (uint8_t)(i + 1);

			assert_int_equal(held[i]->mem[0], mark);
			assert_int_equal(held[i]->mem[held[i]->size - 1], mark);
			held[i]->mem[0] = held[i]->mem[held[i]->size - 1] = 0;
			free_size += held[i]->size;
			chunk_unref(held[i]);
			held[i] = NULL;
			continue;
		}
		held[i] = chunk_take(bench->pool,
				     1 + (uint32_t)prng_below(&prng, CHUNK_SIZE_MAX / 4));
		if (held[i] == NULL)
			continue;
		free_size -= held[i]->size;
		assert_int_equal(held[i]->mem[0] | held[i]->mem[held[i]->size - 1], 0);
		held[i]->mem[0] = held[i]->mem[held[i]->size - 1] = (uint8_t)(i + 1);
		assert_int_equal(chunk_pool_available(bench->pool), free_size);
	}
}

static void test_chunk_file_stays_while_dirty(void **state)
{
	struct bench *bench = *state;
	struct chunk *chunk = chunk_take(bench->pool, CHUNK_SIZE_MIN);

	bind(chunk, 0);
	chunk_pool_close(bench->pool);
	bench->pool = NULL;
	assert_int_equal(access(bench->path, F_OK), 0);
	assert_int_equal(chunk_pool_open(bench->path, POOL_SIZE, &bench->identity, &bench->pool),
			 0);
	assert_int_equal(chunk_pool_available(bench->pool), POOL_SIZE);
	chunk = chunk_take(bench->pool, CHUNK_SIZE_MIN);
	bind(chunk, 0);
	bind(chunk, CHUNK_SIZE_MIN);
	chunk_set_clean(chunk, on_evict, bench);
	chunk_pool_close(bench->pool);
	bench->pool = NULL;
	assert_int_equal(access(bench->path, F_OK), -1);
}

static void test_chunk_refuses_impossible_files(void **state)
{
	struct bench *bench = *state;
	struct chunk_pool *pool = NULL;
	char path[TEMP_PATH_SIZE];
	struct statvfs fs;

	assert_int_equal(chunk_pool_open(bench->path, 0, &bench->identity, &pool), -EINVAL);
	assert_int_equal(chunk_pool_open(bench->path, UINT64_MAX / 2, &bench->identity, &pool),
			 -EINVAL);
	temp_dir_path(bench->dir, "none/ring", path);
	assert_int_equal(chunk_pool_open(path, POOL_SIZE, &bench->identity, &pool), -ENOENT);
	/* More than the tmpfs has; nothing may stay behind. */
	if (access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &fs) == 0) {
		(void)snprintf(path, sizeof(path), "/dev/shm/millrace-test-%d", getpid());
		assert_int_equal(chunk_pool_open(path, fs.f_blocks * fs.f_bsize + POOL_SIZE,
						 &bench->identity, &pool),
				 -ENOMEM);
		assert_int_equal(access(path, F_OK), -1);
	}
	assert_null(pool);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_chunk_rounds_sizes_up),
		ROW(test_chunk_buffers_cover_all_chunks),
		ROW(test_chunk_pieces_merge),
		ROW(test_chunk_borrowed_ones_leave_room),
		ROW(test_chunk_kept_ones_go_first),
		ROW(test_chunk_evicts_oldest_clean_first),
		ROW(test_chunk_spares_small_ones_beside_a_dirty_one),
		ROW(test_chunk_asks_holders_when_it_is_short),
		ROW(test_chunk_drop_forgets_what_is_being_sent),
		ROW(test_chunk_random_use_never_overlaps),
		ROW(test_chunk_file_stays_while_dirty),
		ROW(test_chunk_refuses_impossible_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

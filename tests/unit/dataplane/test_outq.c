/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: bytes come out as they went in, from any position, whatever mix of copies and chunk
 * references was queued; a full pool refuses whole pushes; nothing leaks: after clear the pool is
 * full again and every chunk has its reference back. Shown by a random walk against a flat copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

#include "dataplane/core/outq_impl.h"

#include "cm.h"

#define BLOCKS    16
#define FLAT_SIZE (1U << 20)

static void fill(uint8_t *bytes, size_t size, uint8_t seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(seed + i * 7);
}

static void assert_same(const struct outq *queue, uint64_t pos, const uint8_t *expected,
			uint64_t size)
{
	struct iovec iov[64];
	uint32_t count = outq_peek(queue, pos, iov, ARRAY_COUNT(iov));
	uint64_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		assert_true(at + iov[i].iov_len <= size);
		assert_memory_equal(iov[i].iov_base, expected + at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_int_equal(at, size);
}

static void test_outq_small_copies_share_a_block(void **state)
{
	struct outq_pool *pool = outq_pool_new(4);
	struct outq queue;
	uint8_t bytes[100];

	(void)state;
	fill(bytes, sizeof(bytes), 1);
	outq_init(&queue, pool);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(outq_push_copy(&queue, bytes, sizeof(bytes)), 0);
	assert_int_equal(pool->block_free_count, 3);
	assert_int_equal(queue.size, 4000);
	assert_int_equal(outq_push_copy(&queue, bytes, sizeof(bytes)), 0);
	assert_int_equal(pool->block_free_count, 2);
	outq_clear(&queue);
	assert_int_equal(pool->block_free_count, 4);
	outq_pool_free(pool);
}

static void test_outq_a_full_pool_refuses_whole_pushes(void **state)
{
	struct outq_pool *pool = outq_pool_new(2);
	struct chunk chunk = { .refs = 1 };
	struct outq queue;
	static uint8_t bytes[3 * OUTQ_BLOCK_SIZE];

	(void)state;
	outq_init(&queue, pool);
	assert_int_equal(outq_push_copy(&queue, bytes, sizeof(bytes)), -ENOBUFS);
	assert_int_equal(queue.size, 0);
	assert_int_equal(outq_push_copy(&queue, bytes, 2 * OUTQ_BLOCK_SIZE), 0);
	assert_int_equal(outq_push_copy(&queue, bytes, 1), -ENOBUFS);
	assert_int_equal(outq_push_chunk(&queue, bytes, 5, &chunk), -ENOBUFS);
	assert_int_equal(chunk.refs, 1);
	outq_pop(&queue, OUTQ_BLOCK_SIZE);
	assert_int_equal(outq_push_copy(&queue, bytes, 1), 0);
	outq_clear(&queue);
	outq_pool_free(pool);
}

/* One queue beside its flat copy; pos counts all bytes ever queued and popped. */
struct walk {
	struct prng prng;
	struct outq queue;
	struct chunk chunk;
	uint8_t *flat;
	uint64_t begin, end;
};

static void walk_step(struct walk *walk)
{
	uint32_t size = 1 + (uint32_t)prng_below(&walk->prng, 9000);
	uint32_t what = (uint32_t)prng_below(&walk->prng, 3);
	uint64_t pos;

	if (walk->end + size > FLAT_SIZE)
		what = 2;
	fill(walk->flat + walk->end, what < 2 ? size : 0, (uint8_t)size);
	if (what == 0) {
		if (outq_push_copy(&walk->queue, walk->flat + walk->end, size) == 0)
			walk->end += size;
	} else if (what == 1) {
		(void)chunk_ref(&walk->chunk);
		if (outq_push_chunk(&walk->queue, walk->flat + walk->end, size, &walk->chunk) == 0)
			walk->end += size;
		else
			walk->chunk.refs--;
	} else {
		size = (uint32_t)MIN((uint64_t)size, walk->queue.size);
		outq_pop(&walk->queue, size);
		walk->begin += size;
	}
	assert_int_equal(walk->queue.size, walk->end - walk->begin);
	pos = prng_below(&walk->prng, walk->queue.size + 1);
	assert_same(&walk->queue, pos, walk->flat + walk->begin + pos, walk->queue.size - pos);
}

static void test_outq_yields_what_was_queued(void **state)
{
	struct outq_pool *pool = outq_pool_new(BLOCKS);
	struct walk walk = { .prng = { 11 }, .flat = malloc(FLAT_SIZE), .chunk = { .refs = 1 } };

	(void)state;
	outq_init(&walk.queue, pool);
	for (uint32_t i = 0; i < 2000 && walk.end < FLAT_SIZE - 9000; i++)
		walk_step(&walk);
	assert_true(walk.begin > FLAT_SIZE / 4);
	outq_clear(&walk.queue);
	assert_int_equal(pool->block_free_count, BLOCKS);
	assert_int_equal(pool->extent_free_count, BLOCKS);
	assert_int_equal(walk.chunk.refs, 1);
	free(walk.flat);
	outq_pool_free(pool);
}

/* The chunk here has no pool: only its references count. */
void chunk_unref(struct chunk *chunk)
{
	assert_true(chunk->refs > 1);
	chunk->refs--;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outq_small_copies_share_a_block),
		cmocka_unit_test(test_outq_a_full_pool_refuses_whole_pushes),
		cmocka_unit_test(test_outq_yields_what_was_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

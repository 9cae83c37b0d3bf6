/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: bytes come out as they went in, from any position, whatever mix of copies and chunk
 * references was queued; a full pool refuses whole pushes; nothing leaks: after clear the pool is
 * full again and every chunk has its reference back. Shown by a random walk against a flat copy.
 *
 * Claim: bytes of a chunk that frames point to when they are popped keep the chunk and the extent until
 * the last frame is gone, on whatever thread; the owning core takes them back. Shown with a port that
 * counts, and frames that go on other threads all at once.
 */
#include <errno.h>
#include <pthread.h>
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

/* ---- frames that point into the queue ---- */

static uint64_t lent_frames[BLOCKS]; /* of each: and one for the queue */

static bool port_lent_end(struct nic *nic, struct nic_lent *lent)
{
	(void)nic;
	return __atomic_sub_fetch(&lent_frames[lent->books[0]], 1, __ATOMIC_ACQ_REL) == 0;
}

static const struct nic_ops port_ops = { .lent_end = port_lent_end };
static struct nic port = { .ops = &port_ops };

static void lend(struct nic_lent *lent, uint64_t id, uint64_t frames)
{
	assert_non_null(lent->on_back);
	lent->nic = &port;
	lent->books[0] = id;
	lent_frames[id] = 1 + frames;
}

static void frame_goes(struct nic_lent *lent)
{
	if (port_lent_end(&port, lent))
		lent->on_back(lent);
}

static void test_outq_popped_bytes_stay_while_frames_point_to_them(void **state)
{
	struct outq_pool *pool = outq_pool_new(2);
	struct chunk chunk = { .refs = 2 };
	struct outq_piece pieces[3];
	static uint8_t bytes[1000];
	struct outq queue;

	(void)state;
	outq_init(&queue, pool);
	assert_int_equal(outq_push_copy(&queue, bytes, 10), 0);
	assert_int_equal(outq_push_chunk(&queue, bytes, 1000, &chunk), 0);
	assert_int_equal(outq_pieces(&queue, 4, 500, pieces, 3), 2);
	assert_int_equal(pieces[0].size, 6);
	assert_null(pieces[0].lent);
	assert_ptr_equal(pieces[1].bytes, bytes);
	assert_int_equal(pieces[1].size, 494);
	assert_int_equal(outq_pieces(&queue, 4, 500, pieces, 1), 1);
	assert_int_equal(outq_pieces(&queue, 510, 500, pieces, 3), 1);
	assert_ptr_equal(pieces[0].bytes, bytes + 500);
	assert_int_equal(outq_pieces(&queue, 1010, 0, pieces, 3), 0);
	lend(pieces[0].lent, 0, 2);
	frame_goes(pieces[0].lent);
	outq_pop(&queue, 1010);
	assert_int_equal(outq_pool_lent_count(pool), 1);
	assert_int_equal(chunk.refs, 2);
	assert_int_equal(pool->extent_free_count, 1);
	outq_pool_collect(pool);
	assert_int_equal(outq_pool_lent_count(pool), 1);
	frame_goes(pieces[0].lent);
	assert_int_equal(chunk.refs, 2); /* until the core looks */
	outq_pool_collect(pool);
	assert_int_equal(outq_pool_lent_count(pool), 0);
	assert_int_equal(chunk.refs, 1);
	assert_int_equal(pool->extent_free_count, 2);
	outq_pool_free(pool);
}

/* Whose frames are gone when it is popped is free at once. */
static void test_outq_sent_bytes_are_free_when_popped(void **state)
{
	struct outq_pool *pool = outq_pool_new(2);
	struct chunk chunk = { .refs = 2 };
	struct outq_piece piece;
	static uint8_t bytes[100];
	struct outq queue;

	(void)state;
	outq_init(&queue, pool);
	assert_int_equal(outq_push_chunk(&queue, bytes, 100, &chunk), 0);
	assert_int_equal(outq_pieces(&queue, 0, 100, &piece, 1), 1);
	lend(piece.lent, 0, 1);
	frame_goes(piece.lent);
	outq_pop(&queue, 99);
	assert_int_equal(chunk.refs, 2);
	outq_pop(&queue, 1);
	assert_int_equal(chunk.refs, 1);
	assert_int_equal(outq_pool_lent_count(pool), 0);
	assert_int_equal(pool->extent_free_count, 2);
	outq_pool_free(pool);
}

static void *frames_go(void *ctx)
{
	struct nic_lent **lent = ctx;

	for (uint32_t i = 0; i < BLOCKS; i++)
		frame_goes(lent[i]);
	return NULL;
}

static void test_outq_frames_may_go_on_any_thread(void **state)
{
	struct outq_pool *pool = outq_pool_new(BLOCKS);
	struct chunk chunk = { .refs = 1 };
	struct nic_lent *lent[BLOCKS];
	static uint8_t bytes[10];
	struct outq queue;

	(void)state;
	outq_init(&queue, pool);
	for (uint32_t round = 0; round < 200; round++) {
		pthread_t threads[3];

		for (uint32_t i = 0; i < BLOCKS; i++) {
			struct outq_piece piece;

			assert_int_equal(outq_push_chunk(&queue, bytes, 10, chunk_ref(&chunk)), 0);
			assert_int_equal(outq_pieces(&queue, 10 * i, 10, &piece, 1), 1);
			lent[i] = piece.lent;
			lend(lent[i], i, ARRAY_COUNT(threads));
		}
		for (uint32_t i = 0; i < ARRAY_COUNT(threads); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, frames_go, lent), 0);
		outq_clear(&queue);
		for (uint32_t i = 0; i < ARRAY_COUNT(threads); i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		outq_pool_collect(pool);
		assert_int_equal(outq_pool_lent_count(pool), 0);
		assert_int_equal(chunk.refs, 1);
		assert_int_equal(pool->extent_free_count, BLOCKS);
	}
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
		cmocka_unit_test(test_outq_popped_bytes_stay_while_frames_point_to_them),
		cmocka_unit_test(test_outq_sent_bytes_are_free_when_popped),
		cmocka_unit_test(test_outq_frames_may_go_on_any_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

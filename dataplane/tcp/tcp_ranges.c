/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_ranges.h"

#include <errno.h>

#include "base/check.h"

#include "dataplane/core/hot.h"

static inline struct tcp_piece *piece_of(struct list *node)
{
	return LIST_ENTRY(node, struct tcp_piece, node);
}

static inline uint32_t end_of(const struct tcp_piece *piece)
{
	return piece->seq + piece->size;
}

void tcp_ranges_pool_init(struct tcp_piece_pool *pool, struct tcp_piece *pieces, uint32_t count,
			  void (*release)(void *ctx, void *buffer), void *ctx)
{
	list_init(&pool->spare);
	pool->spare_count = count;
	pool->release = release;
	pool->ctx = ctx;
	for (uint32_t i = 0; i < count; i++) {
		list_init(&pieces[i].node);
		list_push_back(&pool->spare, &pieces[i].node);
	}
}

void tcp_ranges_init(struct tcp_ranges *ranges)
{
	list_init(&ranges->early);
	list_init(&ranges->ready);
	ranges->count = 0;
}

/** Put a copy of `piece` in front of `next`. */
static int keep(struct tcp_ranges *ranges, struct tcp_piece_pool *pool,
		const struct tcp_piece *piece, struct list *next)
{
	struct list *node = list_pop_front(&pool->spare);
	struct tcp_piece *kept;

	if (node == NULL)
		return -ENOBUFS;
	pool->spare_count--;
	kept = piece_of(node);
	kept->seq = piece->seq;
	kept->bytes = piece->bytes;
	kept->size = piece->size;
	kept->buffer = piece->buffer;
	list_push_back(next, node);
	ranges->count++;
	return 0;
}

static void drop(struct tcp_ranges *ranges, struct tcp_piece_pool *pool, struct tcp_piece *piece)
{
	pool->release(pool->ctx, piece->buffer);
	list_remove(&piece->node);
	piece->size = 0;
	list_push_front(&pool->spare, &piece->node);
	pool->spare_count++;
	CHECK(ranges->count > 0);
	ranges->count--;
}

void tcp_ranges_clear(struct tcp_ranges *ranges, struct tcp_piece_pool *pool)
{
	LIST_EACH_SAFE(&ranges->ready, node)
	drop(ranges, pool, piece_of(node));
	LIST_EACH_SAFE(&ranges->early, node)
	drop(ranges, pool, piece_of(node));
	CHECK(ranges->count == 0);
}

static void trim_front(struct tcp_piece *piece, uint32_t seq)
{
	uint32_t size = seq - piece->seq;

	CHECK(size < piece->size);
	piece->seq = seq;
	piece->bytes += size;
	piece->size -= size;
}

int tcp_ranges_insert(struct tcp_ranges *ranges, struct tcp_piece_pool *pool,
		      const struct tcp_piece *piece, uint32_t count_max)
{
	struct tcp_piece fresh = *piece;
	struct list *prev = ranges->early.prev;
	struct list *next;
	int error;

	CHECK(fresh.size > 0);
	/* Most pieces belong at the end: look for the place from there. */
	while (prev != &ranges->early && tcp_seq_lt(fresh.seq, piece_of(prev)->seq))
		prev = prev->prev;
	if (prev == &ranges->early)
		prev = ranges->early.next;
	/* Pieces that begin at or before the fresh one, or where it begins after being cut, win. */
	for (; prev != &ranges->early && tcp_seq_leq(piece_of(prev)->seq, fresh.seq);
	     prev = prev->next) {
		if (tcp_seq_leq(end_of(piece_of(prev)), fresh.seq))
			continue;
		if (tcp_seq_leq(end_of(&fresh), end_of(piece_of(prev))))
			return -EEXIST;
		trim_front(&fresh, end_of(piece_of(prev)));
	}
	next = prev;
	if (ranges->count >= count_max)
		return -ENOBUFS;
	error = keep(ranges, pool, &fresh, next);
	if (error != 0)
		return error;
	prev = next->prev; /* the new piece */
	while (next != &ranges->early && tcp_seq_leq(end_of(piece_of(next)), end_of(&fresh))) {
		struct list *covered = next;

		next = next->next;
		drop(ranges, pool, piece_of(covered));
	}
	if (next != &ranges->early && tcp_seq_lt(piece_of(next)->seq, end_of(&fresh)))
		piece_of(prev)->size = piece_of(next)->seq - fresh.seq;
	CHECK(piece_of(prev)->size > 0);
	return 0;
}

int tcp_ranges_push_ready(struct tcp_ranges *ranges, struct tcp_piece_pool *pool,
			  const struct tcp_piece *piece, uint32_t count_max)
{
	CHECK(piece->size > 0);
	if (ranges->count >= count_max)
		return -ENOBUFS;
	return keep(ranges, pool, piece, &ranges->ready);
}

uint32_t tcp_ranges_absorb(struct tcp_ranges *ranges, struct tcp_piece_pool *pool, uint32_t next)
{
	LIST_EACH_SAFE(&ranges->early, node)
	{
		struct tcp_piece *piece = piece_of(node);

		if (tcp_seq_lt(next, piece->seq))
			break;
		if (tcp_seq_leq(end_of(piece), next)) {
			drop(ranges, pool, piece);
			continue;
		}
		if (piece->seq != next)
			trim_front(piece, next);
		next = end_of(piece);
		list_remove(node);
		list_push_back(&ranges->ready, node);
	}
	return next;
}

struct tcp_piece *tcp_ranges_ready(const struct tcp_ranges *ranges)
{
	return list_is_empty(&ranges->ready) ? NULL : piece_of(ranges->ready.next);
}

void tcp_ranges_consume(struct tcp_ranges *ranges, struct tcp_piece_pool *pool, uint32_t size)
{
	struct tcp_piece *piece = tcp_ranges_ready(ranges);

	CHECK(piece != NULL);
	CHECK(size <= piece->size);
	if (size == piece->size)
		drop(ranges, pool, piece);
	else if (size > 0)
		trim_front(piece, piece->seq + size);
}

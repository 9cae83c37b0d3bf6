/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Received payload that is kept: bytes in order that the owner has not taken ("ready"), and pieces
 * that arrived before what precedes them ("early"). The bytes stay in their packet buffers.
 *
 * Early pieces are sorted and never overlap; what arrived first wins, except that a piece inside a
 * newer one is replaced by it. A piece once kept is never dropped before the connection ends, so a
 * selective acknowledgement is never taken back.
 *
 * Context: owning core. Memory: nodes of a pool shared by all connections of a stack.
 * Limits: pool size, and `count_max` pieces per connection.
 */
#pragma once

#include "base/list.h"

#include "dataplane/tcp/tcp_seq.h"

struct tcp_piece {
	struct list node; /* of the pool, or of early or ready */
	const uint8_t *bytes;
	void *buffer; /* held packet buffer */
	uint32_t seq;
	uint32_t size; /* > 0 while in use */
};

struct tcp_piece_pool {
	struct list spare;
	uint32_t spare_count;
	void (*release)(void *ctx, void *buffer); /* called once for each piece put back */
	void *ctx;
};

struct tcp_ranges {
	struct list early;
	struct list ready;
	uint32_t count; /* pieces on both */
};

/** @param pieces  [count], borrowed for life */
void tcp_ranges_pool_init(struct tcp_piece_pool *pool, struct tcp_piece *pieces, uint32_t count,
			  void (*release)(void *ctx, void *buffer), void *ctx);

void tcp_ranges_init(struct tcp_ranges *ranges);
/** Release everything. */
void tcp_ranges_clear(struct tcp_ranges *ranges, struct tcp_piece_pool *pool);

/**
 * Keep an early piece; on success the caller holds `buffer`.
 *
 * @param piece      seq, bytes, size > 0 and buffer are set
 * @param count_max  pieces this connection may have
 * @return 0; -EEXIST all of it is kept already; -ENOBUFS no room
 */
NODISCARD int tcp_ranges_insert(struct tcp_ranges *ranges, struct tcp_piece_pool *pool,
				const struct tcp_piece *piece, uint32_t count_max);

/** Keep a piece that is in order, behind those already ready. @return 0; -ENOBUFS */
NODISCARD int tcp_ranges_push_ready(struct tcp_ranges *ranges, struct tcp_piece_pool *pool,
				    const struct tcp_piece *piece, uint32_t count_max);

/** Move early pieces that `next` has reached to ready. @return the position after them */
uint32_t tcp_ranges_absorb(struct tcp_ranges *ranges, struct tcp_piece_pool *pool, uint32_t next);

/** @return the oldest ready piece; NULL: none */
struct tcp_piece *tcp_ranges_ready(const struct tcp_ranges *ranges);

/** The owner took `size` bytes of the oldest ready piece, at most all. */
void tcp_ranges_consume(struct tcp_ranges *ranges, struct tcp_piece_pool *pool, uint32_t size);

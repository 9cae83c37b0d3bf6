/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the output queues' pool, shared by outq.c (every turn) and outq_pool.c (set-up).
 *
 * Context: owning core. Memory: one block per pool.
 */
#pragma once

#include "dataplane/core/outq.h"
#include "dataplane/nic/nic.h"

/** Blocks given back are linked through their own first bytes. */
struct outq_block {
	struct outq_block *next;
};

struct outq_extent {
	struct list node; /* of a queue, or of the pool's free list */
	const uint8_t *bytes;
	uint32_t size;
	struct chunk *chunk; /* NULL: copied bytes in `block` */
	uint8_t *block;      /* [OUTQ_BLOCK_SIZE] */
	struct nic_lent lent;
	struct outq_pool *pool;   /* set when it is lent */
	struct outq_extent *next; /* of pool->back */
};

struct outq_pool {
	uint32_t block_free_count;
	uint32_t extent_free_count;
	uint32_t count;                     /* of blocks and of extents */
	uint32_t blocks_used, extents_used; /* those behind were never given, and never touched */
	uint32_t lent_count;                /* popped, and pointed to by frames */
	struct outq_extent *back;           /* of these, those that are not any more; atomic */
	struct outq_block *free_blocks;
	struct list free_extents;
	uint8_t *blocks;
	struct outq_extent *extents;
};

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the output queues' pool, shared by outq.c (every turn) and outq_pool.c (set-up).
 *
 * Context: owning core. Memory: one block per pool.
 */
#pragma once

#include "dataplane/core/outq.h"

/** Blocks given back are linked through their own first bytes. */
struct outq_block {
	struct outq_block *next;
};

struct outq_extent {
	struct list node; /* of a queue, else of the pool's free list */
	const uint8_t *bytes;
	uint32_t size;
	struct chunk *chunk; /* NULL: copied bytes in `block` */
	uint8_t *block;      /* [OUTQ_BLOCK_SIZE] */
};

struct outq_pool {
	uint32_t block_free_count;
	uint32_t extent_free_count;
	uint32_t count;                     /* of blocks and of extents */
	uint32_t blocks_used, extents_used; /* those behind were never given, and never touched */
	struct outq_block *free_blocks;
	struct list free_extents;
	uint8_t *blocks;
	struct outq_extent *extents;
};

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dataplane/core/outq_impl.h"

uint64_t outq_pool_size(uint32_t blocks)
{
	return sizeof(struct outq_pool) +
	       (uint64_t)blocks * (OUTQ_BLOCK_SIZE + sizeof(struct outq_extent));
}

struct outq_pool *outq_pool_new(uint32_t blocks)
{
	struct outq_pool *pool = calloc(1, sizeof(*pool));

	CHECK(blocks > 0);
	if (pool == NULL)
		return NULL;
	pool->count = blocks;
	pool->blocks = aligned_alloc(OUTQ_BLOCK_SIZE, (size_t)blocks * OUTQ_BLOCK_SIZE);
	pool->extents = calloc(blocks, sizeof(*pool->extents));
	if (pool->blocks == NULL || pool->extents == NULL) {
		outq_pool_free(pool);
		return NULL;
	}
	list_init(&pool->free_extents);
	pool->block_free_count = blocks;
	pool->extent_free_count = blocks;
	return pool;
}

void outq_pool_free(struct outq_pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->blocks);
	free(pool->extents);
	free(pool);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/outq.h"

#include <errno.h>
#include <string.h>

#include "dataplane/core/outq_impl.h"

#include "dataplane/core/hot.h"

void outq_init(struct outq *queue, struct outq_pool *pool)
{
	list_init(&queue->extents);
	queue->size = 0;
	queue->popped = 0;
	queue->pool = pool;
}

uint32_t outq_pool_free_count(const struct outq_pool *pool)
{
	return MIN(pool->block_free_count, pool->extent_free_count);
}

/* Those given back come first, for they are warm; memory is touched by the need of a busy time only. */
static struct outq_extent *extent_take(struct outq_pool *pool)
{
	struct list *node = list_pop_front(&pool->free_extents);
	struct outq_extent *extent;

	CHECK(pool->extent_free_count > 0);
	pool->extent_free_count--;
	if (node != NULL)
		return LIST_ENTRY(node, struct outq_extent, node);
	CHECK(pool->extents_used < pool->count);
	extent = &pool->extents[pool->extents_used++];
	list_init(&extent->node);
	return extent;
}

static uint8_t *block_take(struct outq_pool *pool)
{
	struct outq_block *block = pool->free_blocks;

	CHECK(pool->block_free_count > 0);
	pool->block_free_count--;
	if (block != NULL) {
		pool->free_blocks = block->next;
		return (uint8_t *)block;
	}
	CHECK(pool->blocks_used < pool->count);
	return pool->blocks + (size_t)pool->blocks_used++ * OUTQ_BLOCK_SIZE;
}

static void extent_put(struct outq_pool *pool, struct outq_extent *extent)
{
	list_push_front(&pool->free_extents, &extent->node);
	pool->extent_free_count++;
	CHECK(pool->extent_free_count <= pool->count);
}

/* The last frame is gone. This may be another thread than the one whose chunk it is. */
static void on_back(struct nic_lent *lent)
{
	struct outq_extent *extent = CONTAINER_OF(lent, struct outq_extent, lent);
	struct outq_pool *pool = extent->pool;

	extent->next = __atomic_load_n(&pool->back, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&pool->back, &extent->next, extent, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

void outq_pool_collect(struct outq_pool *pool)
{
	struct outq_extent *extent;

	if (likely(__atomic_load_n(&pool->back, __ATOMIC_RELAXED) == NULL))
		return;
	extent = __atomic_exchange_n(&pool->back, NULL, __ATOMIC_ACQUIRE);
	while (extent != NULL) {
		struct outq_extent *next = extent->next;

		chunk_unref(extent->chunk);
		extent_put(pool, extent);
		CHECK(pool->lent_count > 0);
		pool->lent_count--;
		extent = next;
	}
}

uint32_t outq_pool_lent_count(const struct outq_pool *pool)
{
	return pool->lent_count;
}

static void extent_free(struct outq_pool *pool, struct outq_extent *extent)
{
	list_remove(&extent->node);
	if (extent->chunk == NULL) {
		struct outq_block *block = (struct outq_block *)(void *)extent->block;

		block->next = pool->free_blocks;
		pool->free_blocks = block;
		pool->block_free_count++;
	} else {
		/* Before it can come back. */
		pool->lent_count++;
		if (!nic_lent_end(&extent->lent))
			return;
		pool->lent_count--;
		chunk_unref(extent->chunk);
	}
	extent_put(pool, extent);
}

void outq_clear(struct outq *queue)
{
	outq_pop(queue, queue->size);
	CHECK(list_is_empty(&queue->extents));
}

/* @return bytes that still fit the newest extent's block; 0 when it is not a block */
static uint32_t tail_room(const struct outq *queue)
{
	const struct outq_extent *last;

	if (list_is_empty(&queue->extents))
		return 0;
	last = LIST_ENTRY(queue->extents.prev, struct outq_extent, node);
	if (last->chunk != NULL)
		return 0;
	return (uint32_t)(last->block + OUTQ_BLOCK_SIZE - (last->bytes + last->size));
}

int outq_push_copy(struct outq *queue, const void *bytes, size_t size)
{
	struct outq_pool *pool = queue->pool;
	const uint8_t *at = bytes;
	uint32_t room = tail_room(queue);
	size_t wanted;

	if (size > room) {
		wanted = (size - room + OUTQ_BLOCK_SIZE - 1) / OUTQ_BLOCK_SIZE;
		if (pool->block_free_count < wanted || pool->extent_free_count < wanted)
			return -ENOBUFS;
	}
	while (size > 0) {
		uint32_t part;
		struct outq_extent *last;

		if (room == 0) {
			last = extent_take(pool);
			last->block = block_take(pool);
			last->bytes = last->block;
			last->size = 0;
			last->chunk = NULL;
			list_push_back(&queue->extents, &last->node);
			room = OUTQ_BLOCK_SIZE;
		}
		last = LIST_ENTRY(queue->extents.prev, struct outq_extent, node);
		part = (uint32_t)MIN(size, (size_t)room);
		memcpy(last->block + (OUTQ_BLOCK_SIZE - room), at, part);
		last->size += part;
		queue->size += part;
		room -= part;
		at += part;
		size -= part;
	}
	return 0;
}

int outq_push_chunk(struct outq *queue, const uint8_t *bytes, uint32_t size, struct chunk *chunk)
{
	struct outq_extent *extent;

	CHECK(size > 0);
	if (queue->pool->extent_free_count == 0)
		return -ENOBUFS;
	extent = extent_take(queue->pool);
	extent->bytes = bytes;
	extent->size = size;
	extent->chunk = chunk;
	extent->block = NULL;
	extent->pool = queue->pool;
	extent->lent = (struct nic_lent){ .on_back = on_back };
	list_push_back(&queue->extents, &extent->node);
	queue->size += size;
	return 0;
}

uint32_t outq_peek(const struct outq *queue, uint64_t pos, struct iovec *ret_iov, uint32_t iov_max)
{
	uint32_t count = 0;

	LIST_EACH(&queue->extents, node)
	{
		const struct outq_extent *extent = LIST_ENTRY(node, struct outq_extent, node);

		if (count == iov_max)
			break;
		if (pos >= extent->size) {
			pos -= extent->size;
			continue;
		}
		/* iovec has no const form; nobody writes through it. */
		ret_iov[count].iov_base = (void *)(uintptr_t)(extent->bytes + pos);
		ret_iov[count].iov_len = extent->size - pos;
		pos = 0;
		count++;
	}
	return count;
}

uint32_t outq_pieces(const struct outq *queue, uint64_t pos, uint32_t size,
		     struct outq_piece *ret_pieces, uint32_t max)
{
	uint32_t count = 0;

	LIST_EACH(&queue->extents, node)
	{
		struct outq_extent *extent = LIST_ENTRY(node, struct outq_extent, node);
		struct outq_piece *piece = &ret_pieces[count];

		if (pos >= extent->size) {
			pos -= extent->size;
			continue;
		}
		if (count == max || size == 0)
			break;
		piece->bytes = extent->bytes + pos;
		piece->size = MIN(extent->size - (uint32_t)pos, size);
		piece->lent = extent->chunk != NULL ? &extent->lent : NULL;
		size -= piece->size;
		pos = 0;
		count++;
	}
	return count;
}

void outq_pop(struct outq *queue, uint64_t size)
{
	CHECK(size <= queue->size);
	queue->size -= size;
	queue->popped += size;
	while (size > 0) {
		struct outq_extent *first =
			LIST_ENTRY(queue->extents.next, struct outq_extent, node);

		CHECK(!list_is_empty(&queue->extents));
		if (size < first->size) {
			first->bytes += size;
			first->size -= (uint32_t)size;
			return;
		}
		size -= first->size;
		extent_free(queue->pool, first);
	}
}

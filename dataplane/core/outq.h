/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Output of one connection: a queue of extents, copied bytes in pool blocks and references into
 * ring chunks. The kernel-socket transport sends from its head; own TCP peeks at any position, to
 * send and to send again, and pops what was acknowledged.
 *
 * Frames may point to a queued chunk's bytes instead of copying them. What is popped meanwhile keeps
 * its reference on the chunk until the last such frame is gone: acknowledged bytes may still wait in a
 * port, when they were sent twice or the port is slow to say that it read them.
 *
 * Context: owning core; frames may go on any thread. Memory: blocks of the core's pool, fixed at start.
 * Limits: pool blocks; OUTQ_SIZE_MAX bytes queued, checked by the session.
 */
#pragma once

#include <sys/uio.h>

#include "base/defs.h"
#include "base/list.h"
#include "storage/chunk.h"

#define OUTQ_BLOCK_SIZE 4096
#define OUTQ_SIZE_MAX   (64U * 1024 * 1024)

struct outq_pool;
struct nic_lent;

/** @param blocks  number of OUTQ_BLOCK_SIZE blocks and of extent nodes. @return NULL out of memory */
struct outq_pool *outq_pool_new(uint32_t blocks);
/** @return bytes that such a pool takes at most */
uint64_t outq_pool_size(uint32_t blocks);
void outq_pool_free(struct outq_pool *pool);

/** @return blocks, and as many extents at least, that nobody has */
uint32_t outq_pool_free_count(const struct outq_pool *pool);

/** Take back what frames pointed to when it was popped, and is free now; once a turn. */
void outq_pool_collect(struct outq_pool *pool);
/** @return extents that were popped and are not free: frames point to their bytes */
uint32_t outq_pool_lent_count(const struct outq_pool *pool);

/** Queued bytes in one place. */
struct outq_piece {
	const uint8_t *bytes;
	uint32_t size;
	struct nic_lent *lent; /* they may be lent; NULL: they may not */
};

struct outq {
	struct list extents; /* struct outq_extent, oldest first */
	uint64_t size;       /* bytes queued */
	uint64_t popped;     /* bytes that went, ever */
	struct outq_pool *pool;
};

void outq_init(struct outq *queue, struct outq_pool *pool);
/** Drop everything. */
void outq_clear(struct outq *queue);

/** Append a copy of [size] bytes. @return 0; -ENOBUFS the pool is empty, nothing was appended */
NODISCARD int outq_push_copy(struct outq *queue, const void *bytes, size_t size);

/** Append bytes inside `chunk`; takes over one reference on success. @return 0; -ENOBUFS */
NODISCARD int outq_push_chunk(struct outq *queue, const uint8_t *bytes, uint32_t size,
			      struct chunk *chunk);

/**
 * Look at queued bytes from position `pos` (0: oldest).
 *
 * @return number of iovecs filled; they are valid until outq_pop() passes them
 */
uint32_t outq_peek(const struct outq *queue, uint64_t pos, struct iovec *ret_iov, uint32_t iov_max);

/**
 * The same, up to [size] bytes, for frames.
 *
 * @param size  bytes queued from `pos`, or fewer
 * @return number of pieces filled; fewer bytes than `size` when `max` is too small
 */
uint32_t outq_pieces(const struct outq *queue, uint64_t pos, uint32_t size,
		     struct outq_piece *ret_pieces, uint32_t max);

/** Drop the [size] oldest bytes. */
void outq_pop(struct outq *queue, uint64_t size);

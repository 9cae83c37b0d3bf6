/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Output of one connection of the load driver: small heads that are copied, and bodies (record
 * batches) that all requests share and nobody copies. Kernel sockets send from the oldest byte; own
 * TCP looks at any position, to send and to send again.
 *
 * Context: one thread. Memory: an array of pieces, sized at load_sendq_init(). Limits: its pieces.
 */
#pragma once

#include <sys/uio.h>

#include "base/defs.h"

#include "perf/load/load_sums.h"

#define LOAD_SENDQ_HEAD_MAX 512

struct load_sendq_piece {
	uint64_t begin; /* position since the queue was made */
	const uint8_t *body;
	const struct load_sums *sums; /* of `body`; NULL: none */
	uint32_t body_size;
	uint32_t head_size;
	uint8_t head[LOAD_SENDQ_HEAD_MAX];
};

struct load_sendq {
	struct load_sendq_piece *pieces; /* [mask + 1] */
	uint32_t mask;
	uint32_t first, end;     /* pieces, counted since the queue was made */
	uint64_t popped, queued; /* bytes, likewise */
};

/** @param pieces  requests queued at most. @return 0; -ENOMEM */
NODISCARD int load_sendq_init(struct load_sendq *queue, uint32_t pieces);
void load_sendq_free(struct load_sendq *queue);

/**
 * Append a head, copied, and a body, which stays where it is until it is popped.
 *
 * @param head_size  up to LOAD_SENDQ_HEAD_MAX
 * @return 0; -ENOBUFS
 */
NODISCARD int load_sendq_push(struct load_sendq *queue, const void *head, uint32_t head_size,
			      const void *body, uint32_t body_size);

/** @return bytes queued */
static inline uint64_t load_sendq_size(const struct load_sendq *queue)
{
	return queue->queued - queue->popped;
}

/** Look at queued bytes from position `pos` (0: oldest). @return iovecs filled */
uint32_t load_sendq_peek(const struct load_sendq *queue, uint64_t pos, struct iovec *ret_iov,
			 uint32_t iov_max);

/** Copy [size] queued bytes from position `pos`; so many are queued. */
void load_sendq_copy(const struct load_sendq *queue, uint64_t pos, void *to, size_t size);

/** The body pushed last has sums. */
void load_sendq_set_sums(struct load_sendq *queue, const struct load_sums *sums);

/** As load_sendq_copy(). @return the Internet checksum's sum of these bytes, at an even place */
uint64_t load_sendq_copy_sum(const struct load_sendq *queue, uint64_t pos, void *to, size_t size);

/** Drop the [size] oldest bytes; so many are queued. */
void load_sendq_pop(struct load_sendq *queue, uint64_t size);

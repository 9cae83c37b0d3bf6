/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A batch held in chunks outside the log: while its partition's tail is taken, or on its way to or
 * from another core.
 *
 * Context: the core that owns the chunk pool takes and releases; the bytes may be read elsewhere.
 * Memory: the core's chunk pool. Limits: STAGE_CHUNKS_MAX chunks of CHUNK_SIZE_MAX.
 */
#pragma once

#include "base/defs.h"
#include "storage/chunk.h"

#define STAGE_CHUNKS_MAX 17

struct stage {
	uint32_t size; /* bytes wanted; 0: nothing held */
	uint32_t chunk_count;
	struct chunk *chunks[STAGE_CHUNKS_MAX];
};

/** @return 0; -EAGAIN memory is short; ERR_TOO_LARGE over the limit. Nothing is held on failure. */
NODISCARD int stage_take(struct stage *stage, struct chunk_pool *pool, uint32_t size);

/** Contiguous memory at byte `at` < size. @param[out] ret_size bytes there, at least 1 */
uint8_t *stage_room(const struct stage *stage, uint32_t at, uint32_t *ret_size);

/** Drop the memory; harmless when nothing is held. */
void stage_release(struct stage *stage);

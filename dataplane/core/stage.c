/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/stage.h"

#include <errno.h>

#include "base/check.h"
#include "base/err.h"

#include "dataplane/core/hot.h"

int stage_take(struct stage *stage, struct chunk_pool *pool, uint32_t size)
{
	uint32_t left = size;

	CHECK(stage->size == 0);
	CHECK(size > 0);
	if (size > (STAGE_CHUNKS_MAX - 1) * CHUNK_SIZE_MAX)
		return ERR_TOO_LARGE;
	stage->chunk_count = 0;
	while (left > 0) {
		uint32_t piece = MIN(left, CHUNK_SIZE_MAX);
		struct chunk *chunk =
			chunk_borrow(pool, MAX(piece, CHUNK_SIZE_MIN), CHUNK_FOR_BATCHES);

		if (chunk == NULL) {
			stage->size = size;
			stage_release(stage);
			return -EAGAIN;
		}
		stage->chunks[stage->chunk_count++] = chunk;
		left -= piece;
	}
	stage->size = size;
	return 0;
}

uint8_t *stage_room(const struct stage *stage, uint32_t at, uint32_t *ret_size)
{
	uint32_t within = at % CHUNK_SIZE_MAX;

	CHECK(at < stage->size);
	*ret_size = MIN(stage->size - at, CHUNK_SIZE_MAX - within);
	return stage->chunks[at / CHUNK_SIZE_MAX]->mem + within;
}

void stage_release(struct stage *stage)
{
	if (stage->size == 0)
		return;
	for (uint32_t i = 0; i < stage->chunk_count; i++)
		chunk_unref(stage->chunks[i]);
	stage->size = 0;
	stage->chunk_count = 0;
}

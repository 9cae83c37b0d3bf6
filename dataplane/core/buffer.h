/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Memory of requests: frames being gathered, responses being built, fetch sessions. Small sizes come
 * from free lists made at start, larger ones are chunks of the core's ring.
 *
 * Context: owning core; buffers_new() and buffers_free() before and after it runs.
 * Memory: the sum in buffers_new(). Limits: BUFFER_SIZE_MAX bytes a buffer.
 */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "storage/chunk.h"

#define BUFFER_SIZE_MAX (2U * 1024 * 1024)
#define BUFFER_CLASSES  3

struct buffer {
	uint8_t *mem;
	uint32_t size;       /* usable bytes, at least what was asked for */
	struct chunk *chunk; /* large: where mem lies */
	struct list node;
};

struct buffers;

/** @param connections  sizes the free lists. @return NULL out of memory */
struct buffers *buffers_new(struct chunk_pool *chunks, uint32_t connections);
/** @return bytes that they take at most, chunks aside */
uint64_t buffers_size(uint32_t connections);
void buffers_free(struct buffers *buffers);

/** @return NULL when memory is short or size is over the limit */
struct buffer *buffer_take(struct buffers *buffers, uint32_t size);
/** NULL is accepted. */
void buffer_give(struct buffers *buffers, struct buffer *buffer);

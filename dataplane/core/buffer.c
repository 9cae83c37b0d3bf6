/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/buffer.h"

#include "base/check.h"

#include "dataplane/core/buffer_impl.h"

#include "dataplane/core/hot.h"

const uint32_t buffer_class_size[BUFFER_CLASSES] = { 1024, 4096, 16384 };

struct buffer *buffer_take(struct buffers *buffers, uint32_t size)
{
	struct list *node;
	struct buffer *buffer;

	if (size > BUFFER_SIZE_MAX)
		return NULL;
	for (uint32_t c = 0; c < BUFFER_CLASSES; c++) {
		if (size > buffer_class_size[c])
			continue;
		node = list_pop_front(&buffers->idle[c]);
		if (node != NULL)
			return LIST_ENTRY(node, struct buffer, node);
	}
	node = list_pop_front(&buffers->large);
	if (node == NULL)
		return NULL;
	buffer = LIST_ENTRY(node, struct buffer, node);
	buffer->chunk = chunk_borrow(buffers->chunks, MAX(size, CHUNK_SIZE_MIN), CHUNK_FOR_FRAMES);
	if (buffer->chunk == NULL) {
		list_push_front(&buffers->large, &buffer->node);
		return NULL;
	}
	buffer->mem = buffer->chunk->mem;
	buffer->size = buffer->chunk->size;
	return buffer;
}

void buffer_give(struct buffers *buffers, struct buffer *buffer)
{
	if (buffer == NULL)
		return;
	CHECK(!list_is_linked(&buffer->node));
	if (buffer->chunk != NULL) {
		chunk_unref(buffer->chunk);
		buffer->chunk = NULL;
		list_push_front(&buffers->large, &buffer->node);
		return;
	}
	for (uint32_t c = 0; c < BUFFER_CLASSES; c++) {
		if (buffer->size == buffer_class_size[c]) {
			list_push_front(&buffers->idle[c], &buffer->node);
			return;
		}
	}
	WRONG("a buffer of no class");
}

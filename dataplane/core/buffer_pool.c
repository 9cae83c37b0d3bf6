/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dataplane/core/buffer_impl.h"

/*
 * The written sum, for C connections: every connection may gather one small frame while one response
 * of it is built (2 C of 1 KiB), one connection in four is busy with a middle one (C/4 of 4 KiB),
 * one in sixteen with 16 KiB; at least 16 of each. Beyond that the chunk pool lends, with C + 64
 * descriptors. 1024 connections: 2 MiB + 1 MiB + 1 MiB.
 */
static void counts(uint32_t connections, uint32_t ret_count[BUFFER_CLASSES])
{
	ret_count[0] = MAX(2 * connections, 16U);
	ret_count[1] = MAX(connections / 4, 16U);
	ret_count[2] = MAX(connections / 16, 16U);
}

uint64_t buffers_size(uint32_t connections)
{
	uint64_t size = sizeof(struct buffers) + (connections + 64) * sizeof(struct buffer);
	uint32_t count[BUFFER_CLASSES];

	counts(connections, count);
	for (uint32_t c = 0; c < BUFFER_CLASSES; c++)
		size += (uint64_t)count[c] * (buffer_class_size[c] + sizeof(struct buffer));
	return size;
}

struct buffers *buffers_new(struct chunk_pool *chunks, uint32_t connections)
{
	struct buffers *buffers = calloc(1, sizeof(*buffers));
	uint32_t count[BUFFER_CLASSES];
	uint32_t total = connections + 64;
	size_t size = 0;

	if (buffers == NULL)
		return NULL;
	counts(connections, count);
	for (uint32_t c = 0; c < BUFFER_CLASSES; c++) {
		total += count[c];
		size += (size_t)count[c] * buffer_class_size[c];
	}
	buffers->chunks = chunks;
	buffers->all = calloc(total, sizeof(*buffers->all));
	buffers->memory = malloc(size);
	if (buffers->all == NULL || buffers->memory == NULL) {
		buffers_free(buffers);
		return NULL;
	}

	struct buffer *buffer = buffers->all;
	uint8_t *mem = buffers->memory;

	for (uint32_t c = 0; c < BUFFER_CLASSES; c++) {
		list_init(&buffers->idle[c]);
		for (uint32_t i = 0; i < count[c]; i++, buffer++) {
			buffer->mem = mem;
			buffer->size = buffer_class_size[c];
			mem += buffer->size;
			list_init(&buffer->node);
			list_push_back(&buffers->idle[c], &buffer->node);
		}
	}
	list_init(&buffers->large);
	for (; buffer < buffers->all + total; buffer++) {
		list_init(&buffer->node);
		list_push_back(&buffers->large, &buffer->node);
	}
	return buffers;
}

void buffers_free(struct buffers *buffers)
{
	if (buffers == NULL)
		return;
	free(buffers->all);
	free(buffers->memory);
	free(buffers);
}

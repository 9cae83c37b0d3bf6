/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of buffer.h, shared by its hot half (buffer.c) and its set-up (session_pool.c's kin).
 *
 * Context: see buffer.h. Memory: see buffer.h.
 */
#pragma once

#include "dataplane/core/buffer.h"

struct buffers {
	struct chunk_pool *chunks;
	struct list idle[BUFFER_CLASSES]; /* struct buffer, memory attached */
	struct list large;                /* struct buffer without memory, for chunks */
	struct buffer *all;
	uint8_t *memory;
};

extern const uint32_t buffer_class_size[BUFFER_CLASSES];

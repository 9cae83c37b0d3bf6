/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Kafka's frames out of a stream of bytes. A frame that lies whole in what was received is shown in
 * place; others are gathered. Of long frames only the first bytes may be wanted: a sink skips records.
 *
 * Context: one thread. Memory: one block a stream that grows to the longest frame, or `keep_max`.
 */
#pragma once

#include "base/defs.h"

struct load_frame {
	uint8_t *kept;
	size_t capacity;
	size_t keep_max; /* first bytes of a frame to show at most */
	uint32_t size;   /* of the frame under way */
	size_t have;     /* bytes of it that came; with prefix_have < 4: none */
	uint8_t prefix[4];
	uint8_t prefix_have;
};

/** @param bytes  [kept] first bytes of the frame, behind its size; @param size  the whole frame's */
typedef void load_frame_fn(void *ctx, const uint8_t *bytes, size_t kept, size_t size);

void load_frame_init(struct load_frame *frame, size_t keep_max);
void load_frame_free(struct load_frame *frame);

/** Take received bytes; `fn` sees each frame that they complete. @return 0; -ENOMEM; -EPROTO */
NODISCARD int load_frame_feed(struct load_frame *frame, const uint8_t *bytes, size_t size,
			      load_frame_fn *fn, void *ctx);

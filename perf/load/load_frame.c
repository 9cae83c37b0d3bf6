/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define FRAME_SIZE_MAX (1U << 30)

void load_frame_init(struct load_frame *frame, size_t keep_max)
{
	*frame = (struct load_frame){ .keep_max = keep_max };
}

void load_frame_free(struct load_frame *frame)
{
	free(frame->kept);
	frame->kept = NULL;
}

/* Bytes of the prefix. @return how many were taken; the size is known when all four came */
static size_t feed_prefix(struct load_frame *frame, const uint8_t *bytes, size_t size)
{
	size_t n = MIN(size, (size_t)(4 - frame->prefix_have));

	memcpy(frame->prefix + frame->prefix_have, bytes, n);
	frame->prefix_have = (uint8_t)(frame->prefix_have + n);
	if (frame->prefix_have == 4) {
		frame->size = bytes_load_u32(frame->prefix);
		frame->have = 0;
	}
	return n;
}

static int make_room(struct load_frame *frame, size_t size)
{
	uint8_t *grown;

	if (frame->capacity >= size)
		return 0;
	grown = realloc(frame->kept, size);
	if (grown == NULL)
		return -ENOMEM;
	frame->kept = grown;
	frame->capacity = size;
	return 0;
}

int load_frame_feed(struct load_frame *frame, const uint8_t *bytes, size_t size, load_frame_fn *fn,
		    void *ctx)
{
	while (size > 0) {
		size_t n, keep;

		if (frame->prefix_have < 4) {
			n = feed_prefix(frame, bytes, size);
			bytes += n;
			size -= n;
			if (frame->prefix_have == 4 && frame->size > FRAME_SIZE_MAX)
				return -EPROTO;
			if (frame->prefix_have < 4 || frame->size > 0)
				continue;
		}
		n = MIN(size, frame->size - frame->have);
		keep = MIN((size_t)frame->size, frame->keep_max);
		if (frame->have == 0 && n >= keep && n == frame->size) {
			fn(ctx, bytes, keep, frame->size);
		} else {
			if (frame->have < keep) {
				if (make_room(frame, keep) != 0)
					return -ENOMEM;
				memcpy(frame->kept + frame->have, bytes,
				       MIN(n, keep - frame->have));
			}
			if (frame->have + n == frame->size)
				fn(ctx, frame->kept, keep, frame->size);
		}
		frame->have += n;
		bytes += n;
		size -= n;
		if (frame->have == frame->size)
			frame->prefix_have = 0;
	}
	return 0;
}

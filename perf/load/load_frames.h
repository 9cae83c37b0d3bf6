/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Frames and nothing else: one end sends as many as its port takes, the other takes and forgets them.
 * What a port carries when nobody looks at it: the limit of all that is said over it.
 *
 * Context: one thread. Memory: the port's buffers.
 */
#pragma once

#include "base/defs.h"

struct load_frames;

/**
 * @param port         as dpdk.port of the box
 * @param mtu          bytes of each frame, the Ethernet header not counted
 * @param[out] reterr  [reterr_size] what failed
 * @return 0; -ENOMEM; -errno
 */
NODISCARD int load_frames_new(const char *port, uint16_t mtu, struct load_frames **ret_frames,
			      char *reterr, size_t reterr_size);
void load_frames_free(struct load_frames *frames);

/** @return whether somebody is at the other end */
bool load_frames_is_up(const struct load_frames *frames);
/** Send a burst. @return frames that the port took */
uint32_t load_frames_send(struct load_frames *frames);
/** Take a burst. @return frames */
uint32_t load_frames_take(struct load_frames *frames);

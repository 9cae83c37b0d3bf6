/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A network interface as raw frames (AF_PACKET): a mapped receive ring, batched sending.
 *
 * Context: one thread. Memory: the ring, 32 MiB. Limits: frames of NETEM_FRAME_MAX bytes.
 */
#pragma once

#include "base/defs.h"

#define NETEM_FRAME_MAX 3840
#define NETEM_BATCH     32

struct netem_frame {
	const uint8_t *bytes;
	uint32_t size;
	bool is_partial; /* the kernel left its checksum to a device */
};

struct netem_port {
	int fd;
	uint8_t *ring;
	uint32_t next; /* slot of the ring */
	uint64_t retries, failed, oversized;
};

/** @return 0; -errno */
NODISCARD int netem_port_open(struct netem_port *port, const char *interface);

/** @return whether a frame waits; it stays valid until netem_port_done() */
bool netem_port_peek(struct netem_port *port, struct netem_frame *ret_frame);
void netem_port_done(struct netem_port *port);

/** Send [count] frames, at most NETEM_BATCH; waits a little for a full queue. @return how many went */
uint32_t netem_port_send(struct netem_port *port, const struct netem_frame *frames, uint32_t count);

/** @return frames that found the ring full since the last call */
uint64_t netem_port_drops(struct netem_port *port);

void netem_port_close(struct netem_port *port);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Proportional rate reduction: during fast recovery the window goes down to its new size in step with
 * what arrives, and what is sent never stops for half a round trip nor bursts.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 9937 (once RFC 6937).
 */
#pragma once

#include "base/defs.h"

struct tcp_prr {
	uint64_t window;    /* bytes that may be in flight now */
	uint64_t delivered; /* bytes that arrived since recovery began */
	uint64_t sent;      /* bytes sent since then, new or again */
	uint64_t flight;    /* bytes out at its begin that recovery will see arrive */
};

/** What one acknowledgement told during recovery. */
struct tcp_prr_ack {
	uint64_t delivered; /* bytes newly known to have arrived */
	uint64_t flight;    /* bytes in the network after it */
	uint64_t threshold; /* window that recovery ends with */
	uint32_t mss;
	bool is_safe; /* the oldest hole is filled and no new one was found */
};

/** Recovery begins. @param flight  bytes out, those reported before this acknowledgement not counted */
void tcp_prr_begin(struct tcp_prr *prr, uint64_t flight);
/** Sets prr->window. */
void tcp_prr_on_ack(struct tcp_prr *prr, const struct tcp_prr_ack *ack);
void tcp_prr_sent(struct tcp_prr *prr, uint64_t size);

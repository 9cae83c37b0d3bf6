/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Congestion control: how many bytes may be in flight. It sees events, not packets, so another
 * algorithm needs only these five functions.
 *
 * Context: owning core. Memory: caller's struct.
 * Source: RFC 5681, RFC 6582 (NewReno), RFC 6928 (initial window of ten segments).
 */
#pragma once

#include "base/defs.h"

struct tcp_cc {
	uint64_t window;    /* bytes, at least one segment */
	uint64_t threshold; /* slow start below it */
	uint64_t credit;    /* bytes acknowledged towards the next growth in congestion avoidance */
	uint32_t mss;
};

void tcp_cc_init(struct tcp_cc *cc, uint32_t mss);
/** New data was acknowledged outside recovery. @param flight  bytes out before that */
void tcp_cc_on_ack(struct tcp_cc *cc, uint64_t acked, uint64_t flight);
/** Loss found by duplicate acknowledgements: once per window. */
void tcp_cc_on_loss(struct tcp_cc *cc, uint64_t flight);
/** The retransmission timer ran out. @param is_first  not a repetition for the same segment */
void tcp_cc_on_timeout(struct tcp_cc *cc, uint64_t flight, bool is_first);
/** Nothing was sent for longer than a timeout: what was learnt is stale. */
void tcp_cc_on_idle(struct tcp_cc *cc);

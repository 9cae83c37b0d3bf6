/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Pacing: a large window is spread over the round trip instead of being sent as fast as the port
 * takes it, which would fill and overflow a queue on the path.
 *
 * The rate is twice the window a round trip in slow start and 1.2 times beyond it, so that pacing
 * never holds back what acknowledgements allow on average. A burst of 16 KiB, as much as a first
 * window, or of a millisecond at the rate when that is more, goes at once; round trips below a
 * millisecond are not paced at all: there, timers cost more than queues.
 *
 * The round trip is the shortest one: in the smoothed one are our own queue, which acknowledgements
 * already account for, and the patience of a peer that delays them.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 9002 section 7.7, RFC 9438 section 5;
 * the factors and bounds are Linux's practice.
 */
#pragma once

#include "base/defs.h"

struct tcp_pace {
	uint64_t tenth_window; /* ten times what goes in a round trip; 0: not paced now */
	int64_t rtt_ns;
	int64_t next_ns; /* what was sent so far has taken its time then */
};

void tcp_pace_init(struct tcp_pace *pace);
/** Before sending: take up the rate. @param threshold  of slow start. @param rtt_ns  0: unknown */
void tcp_pace_begin(struct tcp_pace *pace, uint64_t window, uint64_t threshold, int64_t rtt_ns,
		    int64_t now_ns);
/** @return 0: send; else the time to try again */
int64_t tcp_pace_hold_ns(const struct tcp_pace *pace, int64_t now_ns);
/** @return bytes that may go together when something may */
uint32_t tcp_pace_burst(const struct tcp_pace *pace);
/** `size` bytes were sent, again or for the first time. */
void tcp_pace_sent(struct tcp_pace *pace, uint32_t size);

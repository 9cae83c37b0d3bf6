/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * CUBIC's part of congestion control: the window is a cubic function of the time since the last
 * reduction, flat around the window that was too large; where Reno would be faster, as fast as Reno.
 *
 * Integers only: windows in bytes, the curve in milliseconds, exact to the rounding of both.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 9438; the names in brackets are its.
 */
#pragma once

#include "base/defs.h"

struct tcp_cubic {
	uint64_t peak;     /* window before the last reduction, or less of it [W_max]; 0: none */
	uint64_t prior;    /* window before the last reduction [cwnd_prior]; 0: none yet */
	uint64_t origin;   /* where this epoch's curve is flat */
	uint64_t friendly; /* what Reno would have now [W_est] */
	uint64_t friendly_credit;
	uint64_t credit;   /* what growth by less than a byte left over */
	int64_t epoch_ns;  /* when this stage of congestion avoidance began; 0: not yet */
	int64_t heard_ns;  /* last call */
	uint64_t climb_ms; /* from the epoch to the origin [K] */
};

/** What growth depends on. */
struct tcp_cubic_input {
	uint64_t window; /* now */
	uint64_t acked;  /* bytes acknowledged */
	uint32_t mss;
	int64_t srtt_ns;
	int64_t now_ns;
};

void tcp_cubic_init(struct tcp_cubic *cubic);
/** Congestion avoidance (sections 4.2 to 4.5). @return the new window */
uint64_t tcp_cubic_grow(struct tcp_cubic *cubic, const struct tcp_cubic_input *input);
/** An acknowledgement that must not grow the window, as the owner has too little to send: time
    without load is no time on the curve (section 5.8). */
void tcp_cubic_wait(struct tcp_cubic *cubic, int64_t now_ns);
/** A loss or a mark (sections 4.6, 4.7). @param flight  bytes out. @return the new threshold */
uint64_t tcp_cubic_reduce(struct tcp_cubic *cubic, uint64_t window, uint64_t flight, uint32_t mss);
/** After a timeout: the old peak says nothing any more (section 4.8). */
void tcp_cubic_forget(struct tcp_cubic *cubic);
/** Slow start again, as after an idle time: the next growth begins an epoch. */
void tcp_cubic_restart(struct tcp_cubic *cubic);
/** @return the largest number whose cube is not above `x` */
uint64_t tcp_cubic_root(uint64_t x);

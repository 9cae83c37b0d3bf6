/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * NewReno's part of congestion control: one segment more for each window, half of it after a loss.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 5681 section 3.1, RFC 6582.
 */
#pragma once

#include "base/defs.h"

struct tcp_newreno {
	uint64_t credit; /* bytes acknowledged towards the next growth */
};

void tcp_newreno_init(struct tcp_newreno *newreno);
/** Congestion avoidance. @return the new window */
uint64_t tcp_newreno_grow(struct tcp_newreno *newreno, uint64_t window, uint32_t mss,
			  uint64_t acked);
/** A loss or a mark. @param flight  bytes out. @return the new threshold */
uint64_t tcp_newreno_reduce(struct tcp_newreno *newreno, uint64_t flight, uint32_t mss);

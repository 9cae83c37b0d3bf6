/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Sequence numbers: 32-bit positions on a circle, compared within half of it.
 *
 * Context: any thread. Memory: none. Source: RFC 9293 section 3.4.
 */
#pragma once

#include "base/defs.h"

/** A run of sequence numbers, `end` excluded. */
struct tcp_range {
	uint32_t start, end;
};

static inline bool tcp_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool tcp_seq_leq(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline uint32_t tcp_seq_max(uint32_t a, uint32_t b)
{
	return tcp_seq_lt(a, b) ? b : a;
}

static inline uint32_t tcp_seq_min(uint32_t a, uint32_t b)
{
	return tcp_seq_lt(a, b) ? a : b;
}

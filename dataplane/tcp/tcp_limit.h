/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * So many a second, for answers that strangers can provoke.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 5961 section 7.
 */
#pragma once

#include "base/prng.h"

struct tcp_limit {
	int64_t until_ns; /* end of the current second */
	uint32_t left;    /* in it */
	struct prng prng;
};

/** @return true: one more is allowed */
static inline bool tcp_limit_take(struct tcp_limit *limit, uint32_t per_second, int64_t now_ns)
{
	if (now_ns >= limit->until_ns) {
		limit->until_ns = now_ns + NS_PER_S;
		/* A number that varies, so that counting answers tells nothing about others' traffic. */
		limit->left = per_second / 2 + (uint32_t)prng_below(&limit->prng, per_second);
	}
	if (limit->left == 0)
		return false;
	limit->left--;
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Latency histogram with log-linear buckets (32 per power of two: 3 % resolution).
 *
 * Context: one writing thread; readers copy it torn-free per bucket, as with counters.
 * Memory: the struct itself; it may lie in shared memory. Limits: values 0 to 2^40 - 1, clamped.
 * Source: the bucket scheme of HdrHistogram.
 */
#pragma once

#include "base/defs.h"

#define HIST_SUB_BITS   5
#define HIST_VALUE_BITS 40
#define HIST_BUCKETS    ((HIST_VALUE_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t bucket[HIST_BUCKETS];
};

void hist_init(struct hist *hist);
void hist_add(struct hist *hist, uint64_t value);
/** @param per_million  500000: median. @return upper edge of the bucket; 0 when empty */
uint64_t hist_quantile(const struct hist *hist, uint32_t per_million);
/** @return how many values are at most `value`, as far as the buckets tell: edges are 3 % apart */
uint64_t hist_count_to(const struct hist *hist, uint64_t value);
/** Add all of `from` to `to`. */
void hist_merge(struct hist *to, const struct hist *from);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Counters: one aligned array per core, written by plain adds, read by anyone.
 *
 * The arrays live in one shared file so that another process reads them; a torn read is impossible
 * (aligned 64-bit stores) and a stale one is harmless.
 *
 * Context: a block belongs to one writing thread; readers are any thread or process.
 * Memory: COUNTERS_BLOCK_SIZE bytes a block. Limits: COUNTERS_CORES_MAX blocks.
 */
#pragma once

#include "base/defs.h"

enum counter {
#define COUNTER(upper, lower, unit, sentence) COUNTER_##upper,
#include "base/counters.def"
#undef COUNTER
	COUNTER_COUNT
};

#define COUNTERS_CORES_MAX 64

struct counters {
	CACHELINE uint64_t value[COUNTER_COUNT];
};

struct counter_info {
	const char *name;     /* snake case, without prefix and suffix */
	const char *unit;     /* plural noun */
	const char *sentence; /* what one count means */
};

/** Add to a counter of the calling core's own block. */
static inline void counters_add(struct counters *counters, enum counter which, uint64_t n)
{
	uint64_t *at = &counters->value[which];

	__atomic_store_n(at, *at + n, __ATOMIC_RELAXED);
}

static inline void counters_inc(struct counters *counters, enum counter which)
{
	counters_add(counters, which, 1);
}

static inline uint64_t counters_get(const struct counters *counters, enum counter which)
{
	return __atomic_load_n(&counters->value[which], __ATOMIC_RELAXED);
}

/** @param which  below COUNTER_COUNT */
const struct counter_info *counters_info(enum counter which);

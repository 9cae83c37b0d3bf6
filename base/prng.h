/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Randomness: a seeded generator for simulations and the kernel's for secrets.
 *
 * Context: `struct prng` belongs to one thread; prng_secure() is for any.
 * Source: splitmix64 (Steele, Lea, Flood 2014).
 */
#pragma once

#include "base/defs.h"

struct prng {
	uint64_t state; /* any value; the seed at first */
};

static inline uint64_t prng_next(struct prng *prng)
{
	uint64_t z = (prng->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/** @return a number in [0, bound); bound > 0 */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

/** @return true with probability `per_mille` / 1000 */
static inline bool prng_chance(struct prng *prng, uint32_t per_mille)
{
	return prng_below(prng, 1000) < per_mille;
}

/** Fill `bytes` [size] from the kernel's generator; aborts when there is none. */
void prng_secure(void *bytes, size_t size);

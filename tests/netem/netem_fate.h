/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What a link does to its nth packet: a pure function of the seed, the direction and n, so that the
 * same seed has the same fates in store for whichever stack sends.
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

/** One direction. Chances are out of 2^32. */
struct netem_settings {
	uint64_t loss, duplicate, corrupt, reorder, mark;
	uint32_t reorder_by; /* packets that overtake a reordered one, at most */
	int64_t delay_ns;
	int64_t jitter_ns;   /* up to so much more, evenly */
	uint64_t rate_mbit;  /* 0: unlimited */
	uint32_t queue_size; /* bytes that wait at the rate; more are dropped */
};

struct netem_fate {
	bool is_lost, is_duplicated, is_corrupted;
	bool is_marked;        /* told of congestion, if it can be (RFC 3168) */
	uint32_t overtaken_by; /* packets; 0: keeps its place */
	uint32_t corrupt_at;   /* which bit, to be taken modulo the bits there are */
	int64_t jitter_ns;
};

/** Defaults: nothing happens. */
void netem_settings_init(struct netem_settings *settings);

/**
 * Read "loss=0.01,duplicate=0.01,corrupt=0.01,reorder=0.1,reorder-by=8,mark=0.1,delay-us=20000,
 * jitter-us=0,rate-mbit=0,queue-kib=256", any of them, over what is set.
 *
 * @return 0; -EINVAL
 */
NODISCARD int netem_settings_parse(struct netem_settings *settings, const char *text);

/** @param n  packets of this direction before this one */
void netem_fate(const struct netem_settings *settings, uint64_t seed, uint32_t direction,
		uint64_t n, struct netem_fate *ret_fate);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * When requests are due. Open loop: number k of all connections is due at begin + k * interval,
 * whatever became of those before; its latency counts from then, so that a server that stands still is
 * charged for every request that should have gone out meanwhile. Closed loop: due whenever asked.
 *
 * Context: one thread; pure, `now` is an argument. Memory: the struct, one a connection.
 * Source: the problem is known as coordinated omission.
 */
#pragma once

#include "base/defs.h"

struct load_plan {
	int64_t begin_ns;
	double interval_ns; /* between requests of all connections; 0: closed loop */
	uint64_t next;      /* number of the next one of this connection */
	uint64_t step;      /* connections */
};

/**
 * @param rate   requests a second of all connections; 0: closed loop
 * @param index  of this connection among `count`
 */
void load_plan_init(struct load_plan *plan, double rate, uint32_t index, uint32_t count,
		    int64_t begin_ns);

/** @return when the next request is due; `now_ns` in a closed loop */
int64_t load_plan_due_ns(const struct load_plan *plan, int64_t now_ns);

/** The next request goes out. */
static inline void load_plan_take(struct load_plan *plan)
{
	plan->next += plan->step;
}

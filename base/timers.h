/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One-shot timers in an intrusive pairing heap: arming never allocates and never fails.
 *
 * Context: one thread owns a set. Memory: nodes live in their owners. Limits: none.
 * Source: Fredman et al., "The pairing heap", 1986.
 */
#pragma once

#include "base/defs.h"

struct timer {
	int64_t due_ns;                                  /* 0 while not armed */
	void (*fn)(struct timer *timer, int64_t now_ns); /* runs disarmed; may arm it again */
	struct timer *child, *next, *prev;               /* prev: parent or left sibling */
};

struct timers {
	struct timer *root; /* earliest; NULL when empty */
};

void timers_init(struct timers *timers);
void timer_init(struct timer *timer, void (*fn)(struct timer *timer, int64_t now_ns));

/** Arm, or move an armed timer. @param due_ns  > 0 */
void timer_arm(struct timers *timers, struct timer *timer, int64_t due_ns);
/** Disarm; harmless when not armed. */
void timer_disarm(struct timers *timers, struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer)
{
	return timer->due_ns != 0;
}

/** Run what is due, at most `max` timers. @return timers run */
uint32_t timers_run(struct timers *timers, int64_t now_ns, uint32_t max);

/** @return earliest due time; INT64_MAX when none is armed */
int64_t timers_next_ns(const struct timers *timers);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The only place that reads clocks. Everything else takes `now` as an argument.
 *
 * Context: any thread; all calls stay in user space (vDSO).
 */
#pragma once

#include "base/defs.h"

/** @return monotonic time in nanoseconds; never goes back, no relation to the calendar */
int64_t clock_now_ns(void);

/** @return calendar time in milliseconds since 1970-01-01 UTC, Kafka's timestamp unit */
int64_t clock_wall_ms(void);
/** @return the same in microseconds, the unit of schedules */
int64_t clock_wall_us(void);

/** @return the CPU's time stamp counter, for counting cycles on one core */
static inline uint64_t clock_cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return (uint64_t)clock_now_ns();
#endif
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Which instructions are counted: those between gate_count_begin() and gate_count_end(), less those
 * between gate_count_pause() and gate_count_resume(). Without callgrind these calls do nothing.
 *
 * Context: one thread. Memory: none.
 */
#pragma once

#include <valgrind/callgrind.h>

#include "base/check.h"

extern bool gate_is_counting;

static inline void gate_count_begin(void)
{
	CHECK(!gate_is_counting);
	gate_is_counting = true;
	CALLGRIND_TOGGLE_COLLECT;
}

static inline void gate_count_end(void)
{
	CALLGRIND_TOGGLE_COLLECT;
	gate_is_counting = false;
}

/** What a test's double does on behalf of hardware or the kernel is none of ours. */
static inline void gate_count_pause(void)
{
	if (gate_is_counting)
		CALLGRIND_TOGGLE_COLLECT;
}

static inline void gate_count_resume(void)
{
	if (gate_is_counting)
		CALLGRIND_TOGGLE_COLLECT;
}

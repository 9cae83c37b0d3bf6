/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include "base/check.h"

static const struct counter_info infos[COUNTER_COUNT] = {
#define COUNTER(upper, lower, unit, sentence) { #lower, unit, sentence },
#include "base/counters.def"
#undef COUNTER
};

const struct counter_info *counters_info(enum counter which)
{
	CHECK(which < COUNTER_COUNT);
	return &infos[which];
}

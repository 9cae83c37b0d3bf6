/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_plan.h"

void load_plan_init(struct load_plan *plan, double rate, uint32_t index, uint32_t count,
		    int64_t begin_ns)
{
	*plan = (struct load_plan){ .begin_ns = begin_ns,
				    .interval_ns = rate > 0 ? (double)NS_PER_S / rate : 0,
				    .next = index,
				    .step = count };
}

int64_t load_plan_due_ns(const struct load_plan *plan, int64_t now_ns)
{
	if (plan->interval_ns <= 0)
		return now_ns;
	return plan->begin_ns + (int64_t)(plan->interval_ns * (double)plan->next);
}

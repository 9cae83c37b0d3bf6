/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include "orchestrate/engine_impl.h"

enum condition {
	ANY_FAILED,
	ANY_SKIPPED,
	ALL_SUCCESS,
	ALL_SKIPPED,
	ALL_SUCCESS_OR_SKIPPED,
	ALL_DONE
};

/** The rules: of each, the first condition that holds decides; when none does, the task waits. */
static const struct {
	enum trigger_rule rule;
	enum condition when;
	enum rule_verdict then;
} clauses[] = {
	{ RULE_ALL_SUCCESS, ANY_FAILED, VERDICT_UPSTREAM_FAILED },
	{ RULE_ALL_SUCCESS, ANY_SKIPPED, VERDICT_SKIP },
	{ RULE_ALL_SUCCESS, ALL_SUCCESS, VERDICT_RUN },

	{ RULE_ALL_DONE, ALL_DONE, VERDICT_RUN },

	{ RULE_ONE_FAILED, ANY_FAILED, VERDICT_RUN },
	{ RULE_ONE_FAILED, ALL_DONE, VERDICT_SKIP },

	{ RULE_NONE_FAILED_MIN_ONE_SUCCESS, ANY_FAILED, VERDICT_UPSTREAM_FAILED },
	{ RULE_NONE_FAILED_MIN_ONE_SUCCESS, ALL_SKIPPED, VERDICT_SKIP },
	{ RULE_NONE_FAILED_MIN_ONE_SUCCESS, ALL_SUCCESS_OR_SKIPPED, VERDICT_RUN },
};

static bool holds(enum condition condition, const struct rule_counts *counts)
{
	uint32_t failed = counts->failed + counts->upstream_failed;

	switch (condition) {
	case ANY_FAILED:
		return failed > 0;
	case ANY_SKIPPED:
		return counts->skipped > 0;
	case ALL_SUCCESS:
		return counts->success == counts->total;
	case ALL_SKIPPED:
		return counts->skipped == counts->total;
	case ALL_SUCCESS_OR_SKIPPED:
		return counts->success + counts->skipped == counts->total;
	case ALL_DONE:
		return counts->success + counts->skipped + failed == counts->total;
	}
	CHECK(false);
}

enum rule_verdict engine_rules_decide(enum trigger_rule rule, const struct rule_counts *counts)
{
	if (counts->total == 0)
		return VERDICT_RUN;
	for (size_t i = 0; i < ARRAY_COUNT(clauses); i++)
		if (clauses[i].rule == rule && holds(clauses[i].when, counts))
			return clauses[i].then;
	return VERDICT_WAIT;
}

void engine_rules_count(struct rule_counts *counts, enum ti_state state, int change)
{
	uint32_t *count = NULL;

	switch (state) {
	case TI_SUCCESS:
		count = &counts->success;
		break;
	case TI_SKIPPED:
	case TI_REMOVED:
		count = &counts->skipped;
		break;
	case TI_FAILED:
		count = &counts->failed;
		break;
	case TI_UPSTREAM_FAILED:
		count = &counts->upstream_failed;
		break;
	case TI_NONE:
	case TI_SCHEDULED:
	case TI_QUEUED:
	case TI_RUNNING:
	case TI_UP_FOR_RETRY:
	case TI_UP_FOR_RESCHEDULE:
		return;
	}
	CHECK(count != NULL);
	*count += (uint32_t)change;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: every form of expect is understood and judged at its borders; all else is refused with the forms named. */
#include <math.h>
#include <string.h>

#include "base/err.h"

#include "compute/worker/taskcheck.h"

#include "cm.h"

static void test_taskcheck_judges_at_the_borders(void **state)
{
	static const struct {
		const char *expect;
		double value;
		bool holds;
	} rows[] = {
		{ "> 0", 1, true },
		{ "> 0", 0, false },
		{ ">= 1 ", 1, true },
		{ ">=1", 0.999, false },
		{ "< 0.01", 0.0099, true },
		{ "< 0.01", 0.01, false },
		{ "<= -3", -3, true },
		{ "= 0", 0, true },
		{ "== 0", 1, false },
		{ "!= 3", 3, false },
		{ "<> 3", 4, true },
		{ "between 1 and 9", 1, true },
		{ "BETWEEN 1 AND 9", 9, true },
		{ "between 1 and 9", 9.01, false },
		{ "> 0", (double)NAN, false },
		{ "= 0", (double)NAN, false },
		{ "!= 0", (double)NAN, false },
		{ "between 0 and 1", (double)NAN, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct taskcheck_rule rule;
		char reason[256];

		assert_int_equal(taskcheck_parse(rows[i].expect, &rule, reason, sizeof(reason)), 0);
		if (taskcheck_holds(&rule, rows[i].value) != rows[i].holds)
			fail_msg("row %zu: %s", i, rows[i].expect);
	}
}

static void test_taskcheck_parse_is_strict(void **state)
{
	static const char *const bad[] = { "",
					   "0",
					   ">",
					   "> x",
					   "> 1 2",
					   "between 1",
					   "between 1 and",
					   "between 9 and 1",
					   "nonesuch x",
					   "none at all",
					   "=> 1",
					   "> inf" };
	struct taskcheck_rule rule;
	char reason[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (taskcheck_parse(bad[i], &rule, reason, sizeof(reason)) != ERR_CONFIG)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(reason, "between 1 and 9"));
	}
	assert_int_equal(taskcheck_parse(" none ", &rule, reason, sizeof(reason)), 0);
	assert_int_equal(rule.kind, TASKCHECK_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taskcheck_judges_at_the_borders),
		cmocka_unit_test(test_taskcheck_parse_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

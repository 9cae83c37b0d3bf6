/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the four trigger rules decide as Airflow's trigger_rule_dep does, for every combination of upstream
 * states.
 *
 * Shown by all multisets of up to six upstream instances that succeeded, were skipped, failed, were upstream_failed
 * or have not finished, against the rules written out here once more, each in words of its own.
 */
#include "orchestrate/engine_impl.h"

#include "cm.h"

#define UPSTREAM_MAX 6U

/** s, k, f, uf, and u that have not finished. */
static enum rule_verdict expected(enum trigger_rule rule, uint32_t s, uint32_t k, uint32_t f,
				  uint32_t uf, uint32_t u)
{
	switch (rule) {
	case RULE_ALL_SUCCESS: /* a failure counts more than a skip; neither waits for the others */
		if (f + uf > 0)
			return VERDICT_UPSTREAM_FAILED;
		if (k > 0)
			return VERDICT_SKIP;
		return u == 0 ? VERDICT_RUN : VERDICT_WAIT;
	case RULE_ALL_DONE:
		return u == 0 ? VERDICT_RUN : VERDICT_WAIT;
	case RULE_ONE_FAILED: /* does not wait for the others */
		if (f > 0 || uf > 0)
			return VERDICT_RUN;
		return u == 0 ? VERDICT_SKIP : VERDICT_WAIT;
	case RULE_NONE_FAILED_MIN_ONE_SUCCESS:
		if (f > 0 || uf > 0)
			return VERDICT_UPSTREAM_FAILED;
		if (u > 0)
			return VERDICT_WAIT;
		return s > 0 ? VERDICT_RUN : VERDICT_SKIP;
	}
	return VERDICT_WAIT;
}

static uint32_t check_all(enum trigger_rule rule)
{
	uint32_t seen = 0;

	for (uint32_t s = 0; s <= UPSTREAM_MAX; s++)
		for (uint32_t k = 0; s + k <= UPSTREAM_MAX; k++)
			for (uint32_t f = 0; s + k + f <= UPSTREAM_MAX; f++)
				for (uint32_t uf = 0; s + k + f + uf <= UPSTREAM_MAX; uf++)
					for (uint32_t u = s + k + f + uf == 0;
					     s + k + f + uf + u <= UPSTREAM_MAX; u++) {
						const struct rule_counts counts = {
							s + k + f + uf + u, s, k, f, uf
						};

						assert_int_equal(engine_rules_decide(rule, &counts),
								 expected(rule, s, k, f, uf, u));
						seen++;
					}
	return seen;
}

static void all_success_over_all_combinations(void **state)
{
	(void)state;
	assert_int_equal(check_all(RULE_ALL_SUCCESS), 461);
}

static void all_done_over_all_combinations(void **state)
{
	(void)state;
	assert_int_equal(check_all(RULE_ALL_DONE), 461);
}

static void one_failed_over_all_combinations(void **state)
{
	(void)state;
	assert_int_equal(check_all(RULE_ONE_FAILED), 461);
}

static void none_failed_min_one_success_over_all_combinations(void **state)
{
	(void)state;
	assert_int_equal(check_all(RULE_NONE_FAILED_MIN_ONE_SUCCESS), 461);
}

static void without_upstream_every_rule_runs(void **state)
{
	const struct rule_counts none = { 0 };

	(void)state;
	for (int rule = RULE_ALL_SUCCESS; rule <= RULE_NONE_FAILED_MIN_ONE_SUCCESS; rule++)
		assert_int_equal(engine_rules_decide((enum trigger_rule)rule, &none), VERDICT_RUN);
}

static void counting_in_and_out_leaves_nothing(void **state)
{
	struct rule_counts counts = { 0 };

	(void)state;
	for (int ti = TI_NONE; ti <= TI_REMOVED; ti++)
		engine_rules_count(&counts, (enum ti_state)ti, 1);
	assert_int_equal(counts.success, 1);
	assert_int_equal(counts.skipped, 2); /* a removed one is not waited for */
	assert_int_equal(counts.failed, 1);
	assert_int_equal(counts.upstream_failed, 1);
	for (int ti = TI_NONE; ti <= TI_REMOVED; ti++)
		engine_rules_count(&counts, (enum ti_state)ti, -1);
	assert_int_equal(counts.success + counts.skipped + counts.failed + counts.upstream_failed,
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_success_over_all_combinations),
		cmocka_unit_test(all_done_over_all_combinations),
		cmocka_unit_test(one_failed_over_all_combinations),
		cmocka_unit_test(none_failed_min_one_success_over_all_combinations),
		cmocka_unit_test(without_upstream_every_rule_runs),
		cmocka_unit_test(counting_in_and_out_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

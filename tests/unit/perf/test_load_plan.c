/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: due times of an open loop do not depend on what was sent when, all connections together keep the
   rate, and a server that stands still is charged for every request due meanwhile. Shown in virtual time,
   beside a closed loop that hides the stall. */
#include "base/hist.h"

#include "cm.h"
#include "perf/load/load_plan.h"

static void test_load_plan_keeps_the_rate(void **state)
{
	struct load_plan plan[3];
	int64_t last_ns = 0;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		load_plan_init(&plan[i], 300, i, 3, 1000);
	/* Late or early, the k-th request of all is due at begin + k / 300 s. */
	for (uint32_t k = 0; k < 900; k++) {
		struct load_plan *mine = &plan[k % 3];
		int64_t due_ns = load_plan_due_ns(mine, 123456789);

		assert_true(due_ns - 1000 - (int64_t)k * NS_PER_S / 300 <= 1);
		assert_true(due_ns - 1000 - (int64_t)k * NS_PER_S / 300 >= -1);
		assert_true(due_ns >= last_ns);
		last_ns = due_ns;
		load_plan_take(mine);
	}
}

static void test_load_plan_closed_loop_is_due_at_once(void **state)
{
	struct load_plan plan;

	(void)state;
	load_plan_init(&plan, 0, 0, 1, 5);
	assert_int_equal(load_plan_due_ns(&plan, 77), 77);
	load_plan_take(&plan);
	assert_int_equal(load_plan_due_ns(&plan, 78), 78);
}

/* A server that answers in 100 us but stands still from 1 s to 1.5 s; one request at a time. */
static int64_t answered(int64_t sent_ns)
{
	int64_t stall_ns = NS_PER_S, end_ns = stall_ns + NS_PER_S / 2;
	int64_t done_ns = sent_ns + 100 * NS_PER_US;

	return done_ns > stall_ns && sent_ns < end_ns ? end_ns + 100 * NS_PER_US : done_ns;
}

static void test_load_plan_charges_a_stall_to_all_that_were_due(void **state)
{
	static struct hist open, closed;
	struct load_plan plan;
	int64_t now_ns = 0;

	(void)state;
	hist_init(&open);
	hist_init(&closed);
	load_plan_init(&plan, 1000, 0, 1, 0);
	while (now_ns < 3 * NS_PER_S) {
		int64_t due_ns = load_plan_due_ns(&plan, now_ns);
		int64_t sent_ns = MAX(due_ns, now_ns);

		load_plan_take(&plan);
		now_ns = answered(sent_ns);
		hist_add(&open, (uint64_t)(now_ns - due_ns));
		hist_add(&closed, (uint64_t)(now_ns - sent_ns)); /* the mistake */
	}
	/* 500 of 3000 were due in the stall, and waited 250 ms on average. */
	assert_true(hist_quantile(&open, 900000) > 150000000);
	assert_true(hist_quantile(&closed, 990000) < 200000);
	assert_true(open.count - hist_count_to(&open, 50000000) > 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_plan_keeps_the_rate),
		cmocka_unit_test(test_load_plan_closed_loop_is_due_at_once),
		cmocka_unit_test(test_load_plan_charges_a_stall_to_all_that_were_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

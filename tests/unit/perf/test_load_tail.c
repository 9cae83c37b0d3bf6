/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: each record's acknowledgement meets its arrival, in either order, once, by partition and offset;
   what lies outside the window is not counted and what never met is. */
#include "cm.h"
#include "perf/load/load_tail.h"

static void test_load_tail_meets_in_either_order(void **state)
{
	static struct load_tail tail;

	(void)state;
	assert_int_equal(load_tail_init(&tail, 2), 0);
	tail.begin_ns = 100;
	tail.end_ns = 10000;
	load_tail_on_ack(&tail, 0, 7, 150, 200);
	load_tail_on_batch(&tail, 1, 7, 230); /* the same offset of another partition */
	assert_int_equal(tail.after_ack.count, 0);
	load_tail_on_batch(&tail, 0, 7, 260);
	assert_int_equal(tail.after_ack.count, 1);
	assert_int_equal(tail.after_ack.sum, 60);
	assert_int_equal(tail.end_to_end.sum, 110);
	load_tail_on_ack(&tail, 1, 7, 210, 300); /* it came before it was acknowledged */
	assert_int_equal(tail.after_ack.count, 2);
	assert_int_equal(tail.after_ack.sum, 60);
	assert_int_equal(tail.end_to_end.sum, 130);
	load_tail_free(&tail);
}

static void test_load_tail_counts_inside_the_window(void **state)
{
	static struct load_tail tail;

	(void)state;
	assert_int_equal(load_tail_init(&tail, 1), 0);
	tail.begin_ns = 100;
	tail.end_ns = 200;
	load_tail_on_ack(&tail, 0, 0, 99, 150);
	load_tail_on_batch(&tail, 0, 0, 160);
	load_tail_on_ack(&tail, 0, 1, 200, 250);
	load_tail_on_batch(&tail, 0, 1, 260);
	assert_int_equal(tail.after_ack.count, 0);
	/* Due inside, however late it is. */
	load_tail_on_ack(&tail, 0, 2, 199, 50000);
	load_tail_on_batch(&tail, 0, 2, 60000);
	assert_int_equal(tail.after_ack.count, 1);
	load_tail_free(&tail);
}

static void test_load_tail_counts_what_never_met(void **state)
{
	static struct load_tail tail;

	(void)state;
	assert_int_equal(load_tail_init(&tail, 1), 0);
	load_tail_on_ack(&tail, 0, 5, 1, 2);
	load_tail_on_ack(&tail, 0, 5 + LOAD_TAIL_RECORDS, 1, 2);
	assert_int_equal(tail.lost, 1);
	load_tail_free(&tail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_tail_meets_in_either_order),
		cmocka_unit_test(test_load_tail_counts_inside_the_window),
		cmocka_unit_test(test_load_tail_counts_what_never_met),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

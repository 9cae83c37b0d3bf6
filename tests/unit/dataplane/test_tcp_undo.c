/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a reduction is undone when an old timestamp comes back, when each retransmitted byte is
 * reported twice, or when all arrives and none was sent again; once, and not by what belongs to another
 * recovery. Shown by values.
 */
#include "dataplane/tcp/tcp_undo.h"

#include "cm.h"

static struct tcp_undo begun(uint32_t resent)
{
	struct tcp_undo undo;

	tcp_undo_begin(&undo, 1000);
	if (resent > 0)
		tcp_undo_resent(&undo, resent, 50);
	return undo;
}

static void test_tcp_undo_eifel(void **state)
{
	struct tcp_undo undo = begun(0);

	(void)state;
	assert_false(tcp_undo_by_echo(&undo, 10)); /* nothing was sent again */
	undo = begun(100);
	tcp_undo_resent(&undo, 100, 70);
	assert_false(tcp_undo_by_echo(&undo, 50));
	assert_true(tcp_undo_by_echo(&undo, 49));
	assert_false(tcp_undo_by_echo(&undo, 49)); /* once */
	undo = begun(100);
	tcp_undo_end(&undo, 2000);
	assert_false(tcp_undo_by_echo(&undo, 49));
	undo = begun(0);
	tcp_undo_resent(&undo, 1, 5);
	assert_true(tcp_undo_by_echo(&undo, 0xfffffff0U)); /* the clock wraps */
}

static void test_tcp_undo_duplicates(void **state)
{
	struct tcp_undo undo = begun(2000);

	(void)state;
	assert_false(tcp_undo_by_duplicate(&undo, (struct tcp_range){ 0, 1000 })); /* older */
	assert_false(tcp_undo_by_duplicate(&undo, (struct tcp_range){ 1000, 2000 }));
	tcp_undo_end(&undo, 5000);
	tcp_undo_advance(&undo, 5000);
	assert_true(tcp_undo_by_duplicate(&undo, (struct tcp_range){ 2000, 3000 }));
	assert_false(tcp_undo_by_duplicate(&undo, (struct tcp_range){ 2000, 3000 }));
	undo = begun(1000);
	tcp_undo_end(&undo, 5000);
	tcp_undo_advance(&undo, 5001);
	assert_false(tcp_undo_by_duplicate(&undo, (struct tcp_range){ 1000, 2000 }));
}

static void test_tcp_undo_arrival(void **state)
{
	struct tcp_undo undo = begun(0);

	(void)state;
	assert_false(tcp_undo_by_arrival(&undo, 1));
	assert_true(tcp_undo_by_arrival(&undo, 0));
	assert_false(tcp_undo_by_arrival(&undo, 0)); /* once */
	undo = begun(100);
	assert_false(tcp_undo_by_arrival(&undo, 0)); /* that may be what arrived */
	undo = begun(0);
	tcp_undo_end(&undo, 2000);
	assert_false(tcp_undo_by_arrival(&undo, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_undo_eifel),
		cmocka_unit_test(test_tcp_undo_duplicates),
		cmocka_unit_test(test_tcp_undo_arrival),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

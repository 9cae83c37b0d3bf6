/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: windows grow and shrink as RFC 5681 and 6928 say; a window that was not used proves nothing;
 * a reduction for a loss that was none is taken back. Shown by values.
 */
#include "dataplane/tcp/tcp_cc.h"

#include "cm.h"

static uint32_t una; /* moves with each acknowledgement */

static void ack(struct tcp_cc *cc, uint64_t acked, uint64_t flight)
{
	una += (uint32_t)acked;
	tcp_cc_on_ack(cc, &(struct tcp_cc_ack){ .acked = acked,
						.flight = flight,
						.una = una,
						.nxt = una + (uint32_t)(flight - acked) });
}

static void test_tcp_cc_rfc5681(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	assert_int_equal(cc.window, 10000); /* RFC 6928 */
	ack(&cc, 1000, 1000);
	assert_int_equal(cc.window, 10000); /* not used: not grown */
	ack(&cc, 2000, 10000);
	assert_int_equal(cc.window, 12000); /* slow start */
	tcp_cc_on_loss(&cc, 12000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 6000);
	ack(&cc, 5999, 6000);
	assert_int_equal(cc.window, 6000);
	ack(&cc, 1, 6000);
	assert_int_equal(cc.window, 7000); /* one segment a window */
	tcp_cc_on_timeout(&cc, 7000, true, 1);
	assert_int_equal(cc.window, 1000);
	assert_int_equal(cc.threshold, 3500);
	tcp_cc_on_timeout(&cc, 1000, false, 1);
	assert_int_equal(cc.threshold, 3500); /* once for a window */
	ack(&cc, 1000, 1000);
	assert_int_equal(cc.window, 2000);
	ack(&cc, 2000, 2000);
	assert_int_equal(cc.window, 3500); /* slow start ends at the threshold */
	assert_int_equal(cc.newreno.credit, 500);
}

static void test_tcp_cc_idle_goes_back_by_slow_start(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	cc.window = 50000;
	tcp_cc_on_idle(&cc, 1);
	assert_int_equal(cc.window, 10000);
	assert_int_equal(cc.threshold, 37500);
	tcp_cc_on_idle(&cc, 2);
	assert_int_equal(cc.window, 10000);
	assert_int_equal(cc.threshold, 37500);
}

/** Acknowledgements of one burst: only the first sees a full window. */
static void test_tcp_cc_a_burst_counts_as_a_whole(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	for (uint64_t flight = 10000; flight > 0; flight -= 2000)
		ack(&cc, 2000, flight);
	assert_int_equal(cc.window, 20000);
	tcp_cc_on_loss(&cc, 20000, TCP_CC_LOSS, 1);
	for (uint64_t flight = 10000; flight > 0; flight -= 2000)
		ack(&cc, 2000, flight);
	assert_int_equal(cc.window, 11000);
	/* A loss right behind such a burst halves what was used, not what it left. */
	tcp_cc_on_loss(&cc, 1000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 5000);
}

static void test_tcp_cc_unused_window_stays(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 5000);
	for (int i = 0; i < 100; i++)
		ack(&cc, 3000, 3000);
	assert_int_equal(cc.window, 5000);
	tcp_cc_on_loss(&cc, 3000, TCP_CC_LOSS, 1); /* and only what was used counts */
	assert_int_equal(cc.window, 2000);
}

static void test_tcp_cc_undo(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	tcp_cc_undo(&cc); /* nothing to undo */
	assert_int_equal(cc.window, 10000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	tcp_cc_undo(&cc);
	assert_int_equal(cc.window, 10000);
	assert_true(cc.threshold == UINT64_MAX);
	tcp_cc_on_timeout(&cc, 10000, true, 1);
	tcp_cc_on_timeout(&cc, 10000, false, 2);
	assert_int_equal(cc.window, 1000);
	tcp_cc_undo(&cc);
	assert_int_equal(cc.window, 10000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 3);
	tcp_cc_undo(&cc);
	cc.window = 3000;
	tcp_cc_undo(&cc); /* once */
	assert_int_equal(cc.window, 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_cc_rfc5681),
		cmocka_unit_test(test_tcp_cc_idle_goes_back_by_slow_start),
		cmocka_unit_test(test_tcp_cc_a_burst_counts_as_a_whole),
		cmocka_unit_test(test_tcp_cc_unused_window_stays),
		cmocka_unit_test(test_tcp_cc_undo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: during recovery the window goes down in proportion to what arrives, no burst follows a heavy
 * loss, and the first hole always goes. Shown by the arithmetic of RFC 9937.
 */
#include "dataplane/tcp/tcp_prr.h"

#include "cm.h"

#define MSS 1000U

static void test_tcp_prr_goes_down_in_proportion(void **state)
{
	struct tcp_prr prr;
	uint64_t flight = 18000, sent = 0; /* 20 segments, one lost, one reported */

	(void)state;
	tcp_prr_begin(&prr, 20000);
	for (int i = 0; i < 18; i++) {
		struct tcp_prr_ack ack = { 1000, flight, 10000, MSS, false };

		tcp_prr_on_ack(&prr, &ack);
		assert_true(prr.window <= MAX(flight, UINT64_C(10000)) + MSS);
		while (flight + MSS <= prr.window) {
			tcp_prr_sent(&prr, MSS);
			flight += MSS;
			sent += MSS;
		}
		/* Half of what arrived, in whole segments, until the threshold is reached. */
		assert_true(sent <= (uint64_t)(i + 1) * 500 + 500);
		if (flight > 10000 + MSS)
			assert_true(sent + 500 >= (uint64_t)(i + 1) * 500);
		assert_true(flight >= 10000 - MSS);
		flight -= 1000;
	}
	assert_in_range(flight, 8000, 9000);
}

static void test_tcp_prr_heavy_loss_sends_what_arrives(void **state)
{
	struct tcp_prr prr;

	(void)state;
	tcp_prr_begin(&prr, 20000);
	/* 15 of 20 lost: four in flight, the window may be ten. */
	tcp_prr_on_ack(&prr, &(struct tcp_prr_ack){ 1000, 4000, 10000, MSS, false });
	assert_int_equal(prr.window, 5000);
	tcp_prr_sent(&prr, 1000);
	tcp_prr_on_ack(&prr, &(struct tcp_prr_ack){ 1000, 4000, 10000, MSS, false });
	assert_int_equal(prr.window, 5000);
	tcp_prr_sent(&prr, 1000);
	/* Progress: slow start up to the threshold. */
	tcp_prr_on_ack(&prr, &(struct tcp_prr_ack){ 1000, 4000, 10000, MSS, true });
	assert_int_equal(prr.window, 6000);
	tcp_prr_on_ack(&prr, &(struct tcp_prr_ack){ 9000, 9500, 10000, MSS, true });
	assert_int_equal(prr.window, 10000);
}

static void test_tcp_prr_first_hole_goes_at_once(void **state)
{
	struct tcp_prr prr;

	(void)state;
	tcp_prr_begin(&prr, 20000);
	tcp_prr_on_ack(&prr, &(struct tcp_prr_ack){ 0, 19000, 10000, MSS, false });
	assert_int_equal(prr.window, 20000);
	tcp_prr_sent(&prr, 1000);
	tcp_prr_on_ack(&prr, &(struct tcp_prr_ack){ 0, 20000, 10000, MSS, false });
	assert_int_equal(prr.window, 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_prr_goes_down_in_proportion),
		cmocka_unit_test(test_tcp_prr_heavy_loss_sends_what_arrives),
		cmocka_unit_test(test_tcp_prr_first_hole_goes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

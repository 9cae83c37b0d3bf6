/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: windows grow and shrink as RFC 5681 and 6928 say. Shown by values.
 */
#include "dataplane/tcp/tcp_cc.h"

#include "cm.h"

static void test_tcp_cc_rfc5681(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, 1000);
	assert_int_equal(cc.window, 10000); /* RFC 6928 */
	tcp_cc_on_ack(&cc, 1000, 1000);
	assert_int_equal(cc.window, 10000); /* not used: not grown */
	tcp_cc_on_ack(&cc, 2000, 10000);
	assert_int_equal(cc.window, 12000); /* slow start */
	tcp_cc_on_loss(&cc, 12000);
	assert_int_equal(cc.window, 6000);
	tcp_cc_on_ack(&cc, 5999, 6000);
	assert_int_equal(cc.window, 6000);
	tcp_cc_on_ack(&cc, 1, 6000);
	assert_int_equal(cc.window, 7000); /* one segment a window */
	tcp_cc_on_timeout(&cc, 7000, true);
	assert_int_equal(cc.window, 1000);
	assert_int_equal(cc.threshold, 3500);
	tcp_cc_on_timeout(&cc, 1000, false);
	assert_int_equal(cc.threshold, 3500); /* once for a window */
	cc.window = 50000;
	tcp_cc_on_idle(&cc);
	assert_int_equal(cc.window, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_cc_rfc5681),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: smoothing, bounds and backoff are those of RFC 6298. Shown by its own arithmetic.
 */
#include "dataplane/tcp/tcp_rtt.h"

#include "cm.h"

static void test_tcp_rtt_rfc6298(void **state)
{
	struct tcp_rtt rtt;

	(void)state;
	tcp_rtt_init(&rtt, 1 * NS_PER_MS);
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), NS_PER_S);
	tcp_rtt_sample(&rtt, 80 * NS_PER_MS); /* 2.2: R + 4 * R/2 */
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), 240 * NS_PER_MS);
	tcp_rtt_sample(&rtt, 160 * NS_PER_MS); /* 2.3: 90 + 4 * (40 * 3/4 + 80 / 4) */
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), 290 * NS_PER_MS);
	tcp_rtt_back_off(&rtt);
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), 580 * NS_PER_MS);
	for (int i = 0; i < 40; i++)
		tcp_rtt_back_off(&rtt);
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), TCP_RTO_MAX_NS);
	tcp_rtt_sample(&rtt, 90 * NS_PER_MS);
	assert_true(tcp_rtt_timeout_ns(&rtt) < NS_PER_S);
}

static void test_tcp_rtt_minimum_and_lost_handshake(void **state)
{
	struct tcp_rtt rtt;

	(void)state;
	tcp_rtt_init(&rtt, 200 * NS_PER_MS);
	tcp_rtt_handshake_lost(&rtt);
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), 3 * NS_PER_S);
	tcp_rtt_sample(&rtt, NS_PER_US);
	assert_int_equal(tcp_rtt_timeout_ns(&rtt), 200 * NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_rtt_rfc6298),
		cmocka_unit_test(test_tcp_rtt_minimum_and_lost_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

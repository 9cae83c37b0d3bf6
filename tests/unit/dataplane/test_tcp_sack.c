/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: blocks are reported most recent first and joined (RFC 2018), a duplicate once and before them
 * (RFC 2883). Shown by values.
 */
#include "dataplane/tcp/tcp_sack.h"

#include "cm.h"

static void test_tcp_sack_rfc2018_and_rfc2883(void **state)
{
	struct tcp_sack sack = { .count = 0 };
	struct tcp_range out[4];

	(void)state;
	tcp_sack_add(&sack, 10, 20);
	tcp_sack_add(&sack, 40, 50);
	assert_int_equal(tcp_sack_report(&sack, out, 4), 2);
	assert_int_equal(out[0].start, 40);
	tcp_sack_add(&sack, 20, 40); /* joins all */
	assert_int_equal(tcp_sack_report(&sack, out, 4), 1);
	assert_int_equal(out[0].start, 10);
	assert_int_equal(out[0].end, 50);
	tcp_sack_duplicate(&sack, 1, 5);
	assert_int_equal(tcp_sack_report(&sack, out, 4), 2);
	assert_int_equal(out[0].end, 5);
	tcp_sack_reported(&sack);
	assert_int_equal(tcp_sack_report(&sack, out, 4), 1);
	tcp_sack_advance(&sack, 50);
	assert_int_equal(tcp_sack_report(&sack, out, 4), 0);
	for (uint32_t i = 0; i < 20; i++)
		tcp_sack_add(&sack, 100 + 10 * i, 105 + 10 * i);
	assert_int_equal(tcp_sack_report(&sack, out, 3), 3);
	assert_int_equal(out[0].start, 290);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_sack_rfc2018_and_rfc2883),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

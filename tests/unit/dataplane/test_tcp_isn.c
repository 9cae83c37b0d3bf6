/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: numbers differ by tuple and secret and grow with a clock of 4 us (RFC 6528). Shown by values.
 */
#include "dataplane/tcp/tcp_isn.h"

#include "cm.h"

static void test_tcp_isn_rfc6528(void **state)
{
	static const struct siphash_key key = { 1, 2 }, other = { 1, 3 };
	static const struct tcp_tuple a = { 1, 2, 3, 4 }, b = { 1, 2, 3, 5 };
	uint32_t first = tcp_isn(&key, &a, NS_PER_S);

	(void)state;
	assert_int_equal(tcp_isn(&key, &a, 2 * NS_PER_S) - first, 250000);
	assert_int_not_equal(tcp_isn(&key, &b, NS_PER_S), first);
	assert_int_not_equal(tcp_isn(&other, &a, NS_PER_S), first);
	assert_int_not_equal(tcp_isn_ts_offset(&key, &a), tcp_isn_ts_offset(&key, &b));
	assert_int_not_equal(tcp_isn_ts_offset(&key, &a), tcp_isn(&key, &a, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_isn_rfc6528),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

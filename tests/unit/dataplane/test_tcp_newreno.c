/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a segment more for each window acknowledged, half the flight after a loss, never below two
 * segments (RFC 5681 section 3.1). Shown by values.
 */
#include "dataplane/tcp/tcp_newreno.h"

#include "cm.h"

static void test_tcp_newreno_grows_a_segment_a_window(void **state)
{
	struct tcp_newreno newreno;
	uint64_t window = 10000;

	(void)state;
	tcp_newreno_init(&newreno);
	for (int i = 0; i < 4; i++)
		window = tcp_newreno_grow(&newreno, window, 1000, 2499);
	assert_int_equal(window, 10000); /* 9996 bytes are no window yet */
	window = tcp_newreno_grow(&newreno, window, 1000, 104);
	assert_int_equal(window, 11000);
	window = tcp_newreno_grow(&newreno, window, 1000, 10899); /* 100 were left over */
	assert_int_equal(window, 11000);
	window = tcp_newreno_grow(&newreno, window, 1000, 1);
	assert_int_equal(window, 12000);
}

static void test_tcp_newreno_halves_the_flight(void **state)
{
	struct tcp_newreno newreno;

	(void)state;
	tcp_newreno_init(&newreno);
	assert_int_equal(tcp_newreno_grow(&newreno, 5000, 1000, 4999), 5000);
	assert_int_equal(tcp_newreno_reduce(&newreno, 12345, 1000), 6172);
	assert_int_equal(tcp_newreno_grow(&newreno, 6172, 1000, 1), 6172); /* begins anew */
	assert_int_equal(tcp_newreno_reduce(&newreno, 3000, 1000), 2000);
	assert_int_equal(tcp_newreno_reduce(&newreno, 0, 1000), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_newreno_grows_a_segment_a_window),
		cmocka_unit_test(test_tcp_newreno_halves_the_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

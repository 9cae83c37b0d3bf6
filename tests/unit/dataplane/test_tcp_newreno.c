/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a segment more for each window acknowledged, half the flight after a loss, never below two
 * segments (RFC 5681 section 3.1). Shown by values.
 */
#include "dataplane/tcp/tcp_newreno.h"

#include "tcp_rig_play.h"

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

/** The acknowledgement that ends a recovery counted as one of a whole window, and grew the new one. */
static void test_tcp_newreno_the_end_of_a_recovery_grows_nothing(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { SEND, .size = 10000 }, { RIG_END },
	};
	static const struct rig_step lose[] = {
		{ SACK, 0, 1001, 10001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ IN, A, 1, 10001 },
		{ CWND, .size = 5000 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	rig.out_next = rig.out_count;
	rig_play(&rig, lose);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_newreno_grows_a_segment_a_window),
		cmocka_unit_test(test_tcp_newreno_halves_the_flight),
		cmocka_unit_test(test_tcp_newreno_the_end_of_a_recovery_grows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: timeouts double (RFC 6298 section 5.5), a shut window is probed for ever while the peer
 * answers (RFC 9293 section 3.8.6.1), silence ends a connection. Shown in virtual time.
 */
#include "tcp_rig_play.h"

static void test_tcp_timer_rfc6298_backs_off(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10 },
		{ OUT, A, 1, 1, 10 },
		{ WAIT, .size = 199 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1, 10 },
		{ WAIT, .size = 399 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1, 10 },
		{ WAIT, .size = 799 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1, 10 },
		{ IN, A, 1, 11 },
		{ BURST },
		{ WAIT, .size = 10000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_timer_rfc9293_zero_window_probe(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 0, UINT32_MAX },
		{ SEND, .size = 500 },
		{ QUIET },
		{ WAIT, .size = 200 },
		{ OUT, A, 1, 1, 1 },
		{ IN, A, 1, 1, 0, UINT32_MAX },
		{ WAIT, .size = 399 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1, 1 },
		{ IN, A, 1, 1, 0, 60000 },
		{ BURST },
		{ OUT, A, 1, 1, 500 },
		{ IN, A, 1, 501 },
		{ ACKED, .size = 500 },
		{ BURST },
		{ WAIT, .size = 9000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_timer_gives_up_after_silence(void **state)
{
	static const struct rig_step begin[] = { { IN, S },
						 { OUT, SA, 0, 1 },
						 { IN, A, 1, 1 },
						 { SEND, .size = 10 },
						 { OUT, A, 1, 1, 10 },
						 { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	for (int i = 0; i < 100 && !rig.is_closed; i++) {
		rig.now_ns = MAX(rig.now_ns, tcp_next_timer_ns(rig.stack));
		(void)tcp_poll(rig.stack, rig.now_ns);
	}
	assert_true(rig.is_closed);
	assert_int_equal(rig.reason, TCP_CLOSED_TIMEOUT);
	assert_int_equal(rig.out_count - rig.out_next, TCP_RETRIES_MAX);
	assert_int_equal(tcp_connection_count(rig.stack), 0);
	rig_close(&rig);
}

static void test_tcp_timer_rfc1122_keepalive(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ WAIT, .size = 30000 },
		{ OUT, A, 0, 1 },
		{ IN, A, 1, 1 },
		{ WAIT, .size = 29000 },
		{ QUIET },
		{ WAIT, .size = 1000 },
		{ OUT, A, 0, 1 },
		{ WAIT, .size = 10000 },
		{ OUT, A, 0, 1 },
		{ WAIT, .size = 10000 },
		{ OUT, A, 0, 1 },
		{ WAIT, .size = 10000 },
		{ OUT, A, 0, 1 },
		{ WAIT, .size = 10000 },
		{ OUT, A, 0, 1 },
		{ CLOSED, .size = 99 },
		{ WAIT, .size = 10000 },
		{ OUT, RA, 1, 1 },
		{ CLOSED, .size = TCP_CLOSED_TIMEOUT },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.keepalive_ms = 30000;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_timer_rfc6298_backs_off),
		cmocka_unit_test(test_tcp_timer_rfc9293_zero_window_probe),
		cmocka_unit_test(test_tcp_timer_gives_up_after_silence),
		cmocka_unit_test(test_tcp_timer_rfc1122_keepalive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the state machine follows RFC 9293 section 3.10.7 with RFC 5961 and 7323. Shown by tables of
 * segments in and out.
 */
#include "tcp_rig_play.h"

static void test_tcp_input_rfc9293_peer_closes_first(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, FA, 1, 1 },
		{ EOF_IS, .size = 1 },
		{ BURST },
		{ OUT, A, 1, 2 },
		{ STATE, .size = TCP_STATE_CLOSE_WAIT },
		{ SEND, .size = 10 },
		{ OUT, A, 1, 2, 10 }, /* half close: we may still send */
		{ IN, A, 2, 11 },
		{ ACKED, .size = 10 },
		{ SHUT },
		{ OUT, FA, 11, 2 },
		{ STATE, .size = TCP_STATE_LAST_ACK },
		{ IN, A, 2, 12 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ BURST },
		{ QUIET },
		{ IN, A, 2, 12 },
		{ OUT, R }, /* no TIME-WAIT on this side */
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc9293_we_close_first(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 5 },
		{ OUT, A, 1, 1, 5 },
		{ SHUT },
		{ OUT, FA, 6, 1 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_1 },
		{ IN, A, 1, 7 },
		{ ACKED, .size = 5 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ IN, PA, 1, 7, 3 },
		{ GOT, .size = 3 },
		{ BURST }, /* half close: it may still send */
		{ IN, FA, 4, 7 },
		{ EOF_IS, .size = 1 },
		{ OUT, A, 7, 5 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ BURST },
		{ QUIET },
		{ IN, FA, 4, 7 },
		{ OUT, A, 7, 5 }, /* TIME-WAIT answers */
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc9293_simultaneous_close(void **state)
{
	static const struct rig_step steps[] = {
		{ SHUT },         { OUT, FA, 1, 1 },
		{ IN, FA, 1, 1 }, { BURST },
		{ OUT, A, 2, 2 }, { STATE, .size = TCP_STATE_CLOSING },
		{ IN, A, 2, 2 },  { CLOSED, .size = TCP_CLOSED_NORMAL },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc5961_reset_needs_the_exact_number(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, R, 50000 },
		{ QUIET },
		{ IN, R, 100 },
		{ OUT, A, 1, 1 }, /* challenge */
		{ IN, R, 101 },
		{ QUIET }, /* not too often */
		{ CLOSED, .size = 99 },
		{ IN, R, 1 },
		{ CLOSED, .size = TCP_CLOSED_RESET },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc5961_syn_is_challenged(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S, 5000 },
		{ OUT, A, 1, 1 },
		{ STATE, .size = TCP_STATE_ESTABLISHED },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc5961_ack_of_what_was_never_sent(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 2, 10 },          { OUT, A, 1, 1 },   { GOT, .size = 0 },
		{ IN, A, 1, 0xffff0000, 10 }, { GOT, .size = 0 }, { RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc7323_paws(void **state)
{
	static const struct rig_step handshake[] = {
		{ TS, .size = 1000 }, { IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { RIG_END },
	};
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 10 },  { GOT, .size = 10 },  { TS, .size = 999 },
		{ IN, A, 11, 1, 10 }, { GOT, .size = 10 },  { BURST },
		{ OUT, A, 1, 11 },    { TS, .size = 1001 }, { IN, A, 11, 1, 10 },
		{ GOT, .size = 20 },  { TS, .size = 0 },    { IN, A, 21, 1, 10 },
		{ GOT, .size = 20 }, /* option is missing */
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, handshake);
	assert_true(rig.out[0].options.has_ts);
	assert_int_equal(rig.out[0].options.ts_echo, 1000);
	rig_play(&rig, steps);
	rig_close(&rig);
}

static void test_tcp_input_rfc9293_active_and_simultaneous_open(void **state)
{
	static const struct rig_step active[] = {
		{ OUT, S, 0, 0 },    { IN, SA, 0, 5 },
		{ OUT, R },          { QUIET }, /* not our number */
		{ IN, SA, 0, 1 },    { BURST },
		{ OUT, A, 1, 1 },    { STATE, .size = TCP_STATE_ESTABLISHED },
		{ SEND, .size = 7 }, { OUT, A, 1, 1, 7 },
		{ RIG_END },
	};
	static const struct rig_step simultaneous[] = {
		{ OUT, S, 0, 0 },  { IN, S, 0 },
		{ OUT, SA, 0, 1 }, { STATE, .size = TCP_STATE_SYN_RECEIVED },
		{ IN, SA, 0, 1 },  { BURST },
		{ OUT, A, 1, 1 },  { STATE, .size = TCP_STATE_ESTABLISHED },
		{ RIG_END },
	};
	static const struct rig_step refused[] = {
		{ OUT, S, 0, 0 },
		{ IN, RA, 0, 9 },
		{ CLOSED, .size = 99 },
		{ IN, RA, 0, 1 },
		{ CLOSED, .size = TCP_CLOSED_RESET },
		{ QUIET },
		{ RIG_END },
	};
	const struct rig_step *const cases[] = { active, simultaneous, refused };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct tcp_tuple tuple = { RIG_SELF, RIG_PEER, RIG_PORT, 1234 };
		struct tcp_config config = rig_config();
		struct rig rig;

		rig_open(&rig, &config);
		assert_int_equal(tcp_connect(rig.stack, &tuple, &rig, rig.now_ns, &rig.tcb), 0);
		assert_int_equal(tcp_connect(rig.stack, &tuple, &rig, rig.now_ns, &rig.tcb),
				 -EADDRINUSE);
		rig_play(&rig, cases[i]);
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_input_rfc9293_peer_closes_first),
		cmocka_unit_test(test_tcp_input_rfc9293_we_close_first),
		cmocka_unit_test(test_tcp_input_rfc9293_simultaneous_close),
		cmocka_unit_test(test_tcp_input_rfc5961_reset_needs_the_exact_number),
		cmocka_unit_test(test_tcp_input_rfc5961_syn_is_challenged),
		cmocka_unit_test(test_tcp_input_rfc5961_ack_of_what_was_never_sent),
		cmocka_unit_test(test_tcp_input_rfc7323_paws),
		cmocka_unit_test(test_tcp_input_rfc9293_active_and_simultaneous_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

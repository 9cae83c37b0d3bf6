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

/** Who has filled our window and then gives up says so from its very end. */
static void test_tcp_input_rfc5961_reset_at_the_end_of_the_window_is_asked(void **state)
{
	struct rig_step reset[] = { { IN, R }, { OUT, A, 1, 1 }, { RIG_END } };
	struct rig_step beyond[] = { { WAIT, .size = 200 }, { IN, R }, { QUIET }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ 0 });
	reset[0].seq = rig.tcb->rcv_edge - RIG_PEER_ISN;
	rig_play(&rig, reset);
	beyond[1].seq = reset[0].seq + 1;
	rig_play(&rig, beyond);
	assert_false(rig.is_closed);
	rig_close(&rig);
}

/** Section 7: of all connections together so many challenges a second. */
static void test_tcp_input_rfc5961_challenges_are_limited(void **state)
{
	static const struct rig_step none[] = { { IN, R, 100 }, { QUIET }, { RIG_END } };
	static const struct rig_step one[] = { { IN, R, 100 }, { OUT, A, 1, 1 }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ 0 });
	while (tcp_limit_take(&rig.stack->challenges, TCP_ANSWERS_PER_S, rig.now_ns))
		continue; /* others had them */
	rig_play(&rig, none);
	rig.now_ns += NS_PER_S;
	rig_play(&rig, one);
	rig_close(&rig);
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
	rig_open_mode(&rig, &config, (struct rig_mode){ .has_ts = true });
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
	/* The SYN was a ghost: what we say must be in the peer's window, so that it resets us. */
	static const struct rig_step crossed[] = {
		{ OUT, S, 0, 0 },
		{ IN, S, 0 },
		{ OUT, SA, 0, 1 },
		{ IN, SA, 5000, 1 },
		{ OUT, A, 1, 1 },
		{ IN, R, 1 },
		{ CLOSED, .size = TCP_CLOSED_RESET },
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
	const struct rig_step *const cases[] = { active, simultaneous, crossed, refused };

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

static void play_with_timestamps(const struct rig_step *steps)
{
	struct tcp_config config = rig_config();
	struct rig rig;

	rig_open_mode(&rig, &config, (struct rig_mode){ .has_ts = true });
	rig_play(&rig, steps);
	rig_close(&rig);
}

static void test_tcp_input_rfc7323_idle_for_24_days(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 10 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 1, 11 },
		{ WAIT, .size = 24U * 24 * 3600 * 1000 - 40 },
		{ TS, .size = 500 },
		{ IN, A, 11, 1, 10 },
		{ GOT, .size = 10 }, /* not a moment more: still a ghost */
		{ BURST },
		{ OUT, A, 1, 11 },
		{ WAIT, .size = 1 },
		{ IN, A, 11, 1, 10 },
		{ GOT, .size = 20 }, /* its clock went half round meanwhile */
		{ TS, .size = 499 },
		{ IN, A, 21, 1, 10 },
		{ GOT, .size = 20 }, /* and from here on it counts again */
		{ RIG_END },
	};

	(void)state;
	play_with_timestamps(steps);
}

static void test_tcp_input_rfc7323_reset_needs_no_timestamp(void **state)
{
	static const struct rig_step bare[] = {
		{ TS, .size = 0 },
		{ IN, R, 1 },
		{ CLOSED, .size = TCP_CLOSED_RESET },
		{ RIG_END },
	};
	static const struct rig_step old[] = {
		{ TS, .size = 7 },
		{ IN, R, 1 },
		{ CLOSED, .size = TCP_CLOSED_RESET },
		{ RIG_END },
	};

	(void)state;
	play_with_timestamps(bare);
	play_with_timestamps(old);
}

static void test_tcp_input_rfc7323_late_segment_moves_no_echo(void **state)
{
	static const struct rig_step early[] = {
		{ TS, .size = 1005 },
		{ IN, A, 11, 1, 10 },
		{ OUT, A, 1, 1 },
		{ RIG_END },
	};
	static const struct rig_step fill[] = {
		{ TS, .size = 1003 }, { IN, A, 1, 1, 10 }, { BURST },
		{ OUT, A, 1, 21 },    { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ .has_ts = true });
	rig_play(&rig, early); /* beyond the last acknowledgement: its time is not echoed */
	assert_int_equal(rig.out[rig.out_next - 1].options.ts_echo, 1000);
	rig_play(&rig, fill); /* section 4.3: the segment that fills the hole is */
	assert_int_equal(rig.out[rig.out_next - 1].options.ts_echo, 1003);
	rig_close(&rig);
}

static void test_tcp_input_rfc6093_urgent_data_is_data(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A | P | TCP_URG, 1, 1, 100 },
		{ GOT, .size = 100 },
		{ IN, A | TCP_URG, 101, 1, 50 },
		{ GOT, .size = 150 },
		{ IN, A | TCP_URG, 151, 1 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 1, 151 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc9293_half_close(void **state)
{
	static const struct rig_step steps[] = {
		{ SHUT },
		{ OUT, FA, 1, 1 },
		{ IN, A, 1, 2 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ IN, A, 1, 2, 1000 },
		{ IN, A, 1001, 2, 1000 },
		{ BURST },
		{ OUT, A, 2, 2001 },
		{ GOT, .size = 2000 },
		{ WAIT, .size = 50000 }, /* nothing hurries the peer */
		{ IN, A, 2001, 2, 1000 },
		{ GOT, .size = 3000 },
		{ IN, FA, 3001, 2 },
		{ EOF_IS, .size = 1 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ OUT, A, 2, 3002 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc9293_fin_and_data_cross(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10 },
		{ SHUT },
		{ OUT, A, 1, 1, 10 },
		{ OUT, FA, 11, 1 },
		{ IN, FA, 1, 1, 20 },
		{ GOT, .size = 20 },
		{ EOF_IS, .size = 1 },
		{ BURST },
		{ OUT, A, 12, 22 },
		{ STATE, .size = TCP_STATE_CLOSING },
		{ IN, A, 22, 12 },
		{ ACKED, .size = 10 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_input_rfc5961_reset_in_half_open_states(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, R, 50 }, { OUT, A, 1, 1 }, { IN, R, 60000 },
		{ QUIET }, { IN, R, 1 },      { QUIET },     { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	assert_int_equal(tcp_connection_count(rig.stack), 0);
	rig_close(&rig);
}

static void test_tcp_input_rfc5961_old_ack_within_a_window_is_harmless(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 500 }, { OUT, A, 1, 1, 500 },
		{ IN, A, 1, 501 },     { ACKED, .size = 500 },
		{ IN, A, 1, 100, 10 }, /* older than the last, no older than a window */
		{ GOT, .size = 10 },   { IN, A, 11, 501U - 60001, 10 },
		{ GOT, .size = 10 },   { BURST },
		{ OUT, A, 501, 11 },   { QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** One acknowledgement for all that is out is as good as one for each segment. */
static void test_tcp_input_stretch_ack(void **state)
{
	static const struct rig_step send[] = { { SEND, .size = 30000 }, { RIG_END } };
	static const struct rig_step answer[] = {
		{ IN, A, 1, 10001 },
		{ ACKED, .size = 10000 },
		{ BURST },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ 0 });
	rig_play(&rig, send);
	assert_int_equal(rig.out_count - rig.out_next, 10);
	rig_play(&rig, answer);
	assert_true(rig.out_count - rig.out_next > 20); /* and the window has grown */
	assert_int_equal(rig.out[rig.out_next + 10].seq - rig.isn, 10001);
	rig_close(&rig);
}

/* What a port has merged is taken as the segments that it was made of. */
static void test_tcp_input_merged_segment(void **state)
{
	static const struct rig_step steps[] = {
		{ MERGE, .size = 4 },
		{ IN, PA, 1, 1, 1601 },
		{ GOT, .size = 1601 },
		{ BURST },
		{ OUT, A, 1, 1602 }, /* one acknowledgement for all of it */
		/* Beside a hole each buffer is kept on its own, and reported as one block. */
		{ MERGE, .size = 3 },
		{ IN, A, 2602, 1, 1500 },
		{ HELD, .size = 3 },
		{ OUT, A, 1, 1602 },
		{ BURST },
		{ OUT, A, 1, 1602 },
		{ GOT, .size = 1601 },
		{ MERGE, .size = 2 },
		{ IN, A, 1602, 1, 1000 },
		{ GOT, .size = 4101 },
		{ HELD, .size = 0 },
		{ BURST },
		{ OUT, A, 1, 4102 },
		/* Partly old: the buffers of old bytes are answered, the others taken. */
		{ MERGE, .size = 3 },
		{ IN, A, 3602, 1, 1500 },
		{ GOT, .size = 5101 },
		{ BURST },
		{ OUT, A, 1, 5102 },
		/* A FIN stands behind the last byte, not behind the first buffer. */
		{ MERGE, .size = 3 },
		{ IN, FA, 5102, 1, 900 },
		{ GOT, .size = 6001 },
		{ EOF_IS, .size = 1 },
		{ BURST },
		{ OUT, A, 1, 6003 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/* A reader who takes nothing: the buffers are kept, and given back when the connection ends. */
static void test_tcp_input_merged_segment_refused(void **state)
{
	static const struct rig_step steps[] = {
		{ TAKE, .size = 700 }, { MERGE, .size = 3 }, { IN, FA, 1, 1, 1500 },
		{ GOT, .size = 700 },  { HELD, .size = 2 },  { EOF_IS, .size = 0 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_input_rfc9293_peer_closes_first),
		cmocka_unit_test(test_tcp_input_rfc9293_we_close_first),
		cmocka_unit_test(test_tcp_input_rfc9293_simultaneous_close),
		cmocka_unit_test(test_tcp_input_rfc5961_reset_needs_the_exact_number),
		cmocka_unit_test(test_tcp_input_rfc5961_reset_at_the_end_of_the_window_is_asked),
		cmocka_unit_test(test_tcp_input_rfc5961_challenges_are_limited),
		cmocka_unit_test(test_tcp_input_rfc5961_syn_is_challenged),
		cmocka_unit_test(test_tcp_input_rfc5961_ack_of_what_was_never_sent),
		cmocka_unit_test(test_tcp_input_rfc7323_paws),
		cmocka_unit_test(test_tcp_input_rfc9293_active_and_simultaneous_open),
		cmocka_unit_test(test_tcp_input_rfc7323_idle_for_24_days),
		cmocka_unit_test(test_tcp_input_rfc7323_reset_needs_no_timestamp),
		cmocka_unit_test(test_tcp_input_rfc7323_late_segment_moves_no_echo),
		cmocka_unit_test(test_tcp_input_rfc6093_urgent_data_is_data),
		cmocka_unit_test(test_tcp_input_rfc9293_half_close),
		cmocka_unit_test(test_tcp_input_rfc9293_fin_and_data_cross),
		cmocka_unit_test(test_tcp_input_rfc5961_reset_in_half_open_states),
		cmocka_unit_test(test_tcp_input_rfc5961_old_ack_within_a_window_is_harmless),
		cmocka_unit_test(test_tcp_input_stretch_ack),
		cmocka_unit_test(test_tcp_input_merged_segment),
		cmocka_unit_test(test_tcp_input_merged_segment_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

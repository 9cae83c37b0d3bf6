/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: output keeps to the windows, a FIN goes with the last data, a missing buffer only delays, and a
 * segment says which bytes of the queue it carries. Shown by tables of segments.
 */
#include "tcp_rig_play.h"

static void test_tcp_output_rfc6928_initial_window(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 50000 },
		RIG_TEN_OUT,
		{ IN, A, 1, 1001 },
		{ BURST },
		{ OUT, A, 10001, 1, 1000 },
		{ OUT, A, 11001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_output_fin_goes_with_the_last_data(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 0, 1000 },
		{ SEND, .size = 1500 },
		{ OUT, A, 1, 1, 1000 },
		{ SHUT },
		{ QUIET },
		{ IN, A, 1, 1001, 0, 1000 },
		{ BURST },
		{ OUT, FA, 1001, 1, 500 },
		{ WAIT, .size = 200 },
		{ OUT, FA, 1001, 1, 500 },
		{ IN, A, 1, 1502 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ ACKED, .size = 1500 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_output_missing_buffer_only_delays(void **state)
{
	static const struct rig_step steps[] = {
		{ NOBUF, .size = 2 },
		{ SEND, .size = 10 },
		{ QUIET },
		{ WAIT, .size = 2 },
		{ QUIET },
		{ WAIT, .size = 2 },
		{ OUT, A, 1, 1, 10 },
		{ NOBUF, .size = 1 },
		{ IN, A, 101, 11, 100 },
		{ QUIET },
		{ WAIT, .size = 2 },
		{ OUT, A, 11, 1 },
		{ WAIT, .size = 9000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_output_syn_again_takes_no_window_back(void **state)
{
	static const struct rig_step steps[] = {
		{ OUT, S },
		{ WINDOW, .size = 20000 },
		{ CREDIT, .size = 100 },
		{ WAIT, .size = 1000 },
		{ OUT, S },
		{ WINDOW, .size = 20000 },
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ WINDOW, .size = 20000 },
		{ RIG_END },
	};
	struct tcp_tuple tuple = { RIG_SELF, RIG_PEER, RIG_PORT, 1234 };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	assert_int_equal(tcp_connect(rig.stack, &tuple, &rig, rig.now_ns, &rig.tcb), 0);
	rig_play(&rig, steps);
	rig_close(&rig);
}

/** RFC 5681 section 4.1: what was learnt of the path is stale after a timeout's worth of silence. */
static void test_tcp_output_rfc5681_idle_time_closes_the_window(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10000 },   RIG_TEN_OUT,
		{ IN, A, 1, 10001 },       { BURST },
		{ CWND, .size = 20000 },   { WAIT, .size = 201 },
		{ SEND, .size = 30000 },   { CWND, .size = 10000 },
		{ FLIGHT, .size = 10000 }, { RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** The last segment of a small window asks for an answer, or the peer waits for the next one and we for
    the peer. One of a larger window has others beside it. */
static void test_tcp_output_rfc9293_small_window_ends_in_a_push(void **state)
{
	static const struct rig_step large[] = { { SEND, .size = 20000 },
						 RIG_TEN_OUT,
						 { RIG_END } };
	static const struct rig_step small[] = {
		{ SEND, .size = 20000 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ 0 });
	rig_play(&rig, large);
	for (uint32_t i = 1; i <= 10; i++)
		assert_int_equal(rig.out[i].flags, A);
	rig_close(&rig);
	rig_open_mode(&rig, &config, (struct rig_mode){ 0 });
	rig.tcb->cc.window = 3000;
	rig_play(&rig, small);
	for (uint32_t i = 1; i <= 2; i++)
		assert_int_equal(rig.out[i].flags, A);
	assert_int_equal(rig.out[3].flags, PA);
	rig_close(&rig);
}

/** Less than a segment of a window that was larger waits, but not for ever. */
static void test_tcp_output_rfc9293_sender_avoids_silly_windows(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 0, 1500 },
		{ SEND, .size = 5000 },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		{ IN, A, 1, 1001, 0, 400 },
		{ BURST },
		{ QUIET },
		{ WAIT, .size = 199 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1001, 1, 400 },
		{ IN, A, 1, 1401, 0, 1000 },
		{ BURST },
		{ OUT, A, 1401, 1, 1000 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** What the peer takes counts no options: they make room in the segment, and what is announced to it is
    the same with and without. */
static void test_tcp_output_rfc6691_options_take_their_room(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 988 },      { OUT, A, 1, 1, 988 },
		{ IN, A, 101, 989, 100 },   { OUT, A, 989, 1 },
		{ SACKED, 0, 101, 201, 0 }, { SEND, .size = 2000 },
		{ OUT, A, 989, 1, 976 },    { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ .rtt_ms = 20, .has_ts = true });
	assert_true(rig.out[0].options.has_ts);
	assert_int_equal(rig.out[0].options.mss, RIG_MSS);
	rig_play(&rig, steps);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_output_rfc6928_initial_window),
		cmocka_unit_test(test_tcp_output_fin_goes_with_the_last_data),
		cmocka_unit_test(test_tcp_output_missing_buffer_only_delays),
		cmocka_unit_test(test_tcp_output_syn_again_takes_no_window_back),
		cmocka_unit_test(test_tcp_output_rfc5681_idle_time_closes_the_window),
		cmocka_unit_test(test_tcp_output_rfc9293_small_window_ends_in_a_push),
		cmocka_unit_test(test_tcp_output_rfc9293_sender_avoids_silly_windows),
		cmocka_unit_test(test_tcp_output_rfc6691_options_take_their_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

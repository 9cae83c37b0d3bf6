/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: bytes leave the queue as they are acknowledged; three duplicates or SACK reports start fast
 * recovery, which resends holes only (RFC 5681, 6582, 8985); round trips are timed by our own clock
 * where one transmission was answered, else by timestamps. Shown by tables of segments.
 */
#include "tcp_rig_play.h"

static void test_tcp_ack_rfc5681_fast_retransmit(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 5000 },
		RIG_FIVE_OUT,
		{ IN, A, 1, 1 },
		{ BURST },
		{ IN, A, 1, 1 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		/* partial: the next hole at once (RFC 6582) */
		{ IN, A, 1, 2001 },
		{ BURST },
		{ OUT, A, 2001, 1, 1000 },
		{ QUIET },
		{ IN, A, 1, 5001 },
		{ ACKED, .size = 5000 },
		{ BURST },
		{ QUIET },
		{ WAIT, .size = 5000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, (struct rig_mode){ .no_sack = true });
}

static void test_tcp_ack_rfc6675_sacked_bytes_are_not_sent_again(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 5000 },
		RIG_FIVE_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 2001 },
		{ IN, A, 1, 1 },
		{ SACK, 0, 3001, 4001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ QUIET },
		{ SACK, 0, 3001, 5001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		/* as much as arrived, and one more since there is progress (RFC 9937) */
		{ WAIT, .size = 20 },
		{ SACK, 0, 3001, 5001 },
		{ IN, A, 1, 2001 },
		{ BURST },
		{ OUT, A, 2001, 1, 1000 },
		{ QUIET },
		{ IN, A, 1, 5001 },
		{ ACKED, .size = 5000 },
		{ BURST },
		{ WAIT, .size = 5000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, (struct rig_mode){ .rtt_ms = 20 });
}

/** Each of the first duplicates lets one new segment go, reported or not. */
static void test_tcp_ack_rfc3042_limited_transmit(void **state)
{
	static const struct rig_step begin[] = {
		{ SEND, .size = 12000 },
		RIG_TEN_OUT,
		{ WAIT, .size = 20 },
		{ RIG_END },
	};
	static const struct rig_step silent[] = {
		{ IN, A, 1, 1 }, { BURST },   { OUT, A, 10001, 1, 1000 },
		{ IN, A, 1, 1 }, { BURST },   { OUT, A, 11001, 1, 1000 },
		{ QUIET },       { RIG_END },
	};
	static const struct rig_step reported[] = {
		{ SACK, 0, 1001, 2001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 10001, 1, 1000 },
		{ SACK, 0, 1001, 3001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 11001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};
	struct rig_step steps[32];

	(void)state;
	memcpy(steps, begin, sizeof(begin));
	memcpy(steps + ARRAY_COUNT(begin) - 1, silent, sizeof(silent));
	rig_run_mode(steps, (struct rig_mode){ .rtt_ms = 20, .no_sack = true });
	memcpy(steps + ARRAY_COUNT(begin) - 1, reported, sizeof(reported));
	rig_run_mode(steps, (struct rig_mode){ .rtt_ms = 20 });
}

static void test_tcp_ack_old_segment_does_not_move_the_window(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10 },      { OUT, A, 1, 1, 10 },   { IN, A, 1, 11, 0, 500 },
		{ IN, A, 5, 1, 0, 60000 }, { SEND, .size = 2000 }, { QUIET },
		{ WAIT, .size = 200 },     { OUT, A, 11, 1, 500 }, { RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** Each answer is lost, what is sent again is answered with the echo of what arrived first: the time
    until that is no round trip, and timeouts don't grow by it. */
static void test_tcp_ack_rfc6298_old_echo_is_no_round_trip(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S },       { OUT, SA, 0, 1 }, { WAIT, .size = 20 },
		{ IN, A, 1, 1 }, { BURST },         { RIG_END },
	};
	static const struct rig_step lost[] = {
		{ SEND, .size = 100 }, { OUT, A, 1, 1, 100 },  { WAIT, .size = 1000 },
		{ OUT, A, 1, 1, 100 }, { WAIT, .size = 20 },   { ECHO, .size = 1020 },
		{ IN, A, 1, 101 },     { ACKED, .size = 100 }, { RIG_END },
	};
	static const struct rig_step next[] = {
		{ SEND, .size = 100 },   { OUT, A, 101, 1, 100 }, { WAIT, .size = 1000 },
		{ OUT, A, 101, 1, 100 }, { WAIT, .size = 30 },    { ECHO, .size = 30 },
		{ IN, A, 1, 201 },       { ACKED, .size = 200 },  { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig.ts = 5000;
	rig_play(&rig, begin);
	assert_int_equal(rig.tcb->rtt.smoothed_ns, 20 * NS_PER_MS);
	rig_play(&rig, lost);
	assert_int_equal(rig.tcb->rtt.smoothed_ns, 20 * NS_PER_MS);
	rig.out_next = rig.out_count;
	rig_play(&rig, next); /* the echo of the repetition itself is one */
	assert_true(rig.tcb->rtt.smoothed_ns > 20 * NS_PER_MS);
	rig_close(&rig);
}

/** The answer to the first segments is lost; a probe of new data brings another, for all of them. */
static void test_tcp_ack_rfc8985_probe_is_what_was_timed(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S },       { OUT, SA, 0, 1 },       { WAIT, .size = 20 },
		{ IN, A, 1, 1 }, { SEND, .size = 20000 }, { WAIT, .size = 40 },
		{ RIG_END },
	};
	static const struct rig_step late[] = {
		{ WAIT, .size = 20 },
		{ SACK, 0, 9881, 10869 },
		{ IN, A, 1, 8893 },
		{ RIG_END },
	};
	/* Sooner than any round trip: it was on its way when the timer ran out. */
	static const struct rig_step slow[] = {
		{ WAIT, .size = 4 },
		{ IN, A, 1, 8893 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	for (int i = 0; i < 2; i++) {
		rig_open(&rig, &config);
		rig.ts = 5000;
		rig_play(&rig, begin);
		assert_int_equal(rig.out[11].seq - rig.isn, 9881); /* the probe */
		rig_play(&rig, i == 0 ? late : slow);
		assert_int_equal(rig.tcb->rtt.smoothed_ns, (i == 0 ? 20 : 23) * NS_PER_MS);
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_ack_rfc5681_fast_retransmit),
		cmocka_unit_test(test_tcp_ack_rfc6675_sacked_bytes_are_not_sent_again),
		cmocka_unit_test(test_tcp_ack_rfc3042_limited_transmit),
		cmocka_unit_test(test_tcp_ack_old_segment_does_not_move_the_window),
		cmocka_unit_test(test_tcp_ack_rfc6298_old_echo_is_no_round_trip),
		cmocka_unit_test(test_tcp_ack_rfc8985_probe_is_what_was_timed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: what is lost is found and sent again, at the pace of RFC 9937, also when a retransmission or
 * the tail is lost; what only came late costs no window for long; the window is reduced once for each
 * loss. Shown by tables of segments in virtual time.
 */
#include "tcp_rig_play.h"

#define TEN_OUT { SEND, .size = 10000 }, RIG_TEN_OUT

static const struct rig_mode sack = { .rtt_ms = 20 };

/** A connection like rig_run_mode(steps, sack) has, for those who look inside. */
static void open_sack(struct rig *rig)
{
	struct tcp_config config = rig_config();

	rig_open_mode(rig, &config, sack);
}

static const struct rig_mode sack_ts = { .rtt_ms = 20, .has_ts = true };

static void test_tcp_recovery_rfc8985_waits_for_reordering(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 2001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ WAIT, .size = 4 },
		{ QUIET },
		{ FLIGHT, .size = 9000 },
		{ IN, A, 1, 2001 }, /* only late */
		{ CWND, .size = 12000 },
		{ WAIT, .size = 10 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step lost[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 2001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ WAIT, .size = 5 }, /* a quarter of the round trip */
		{ OUT, A, 1, 1, 1000 },
		{ FLIGHT, .size = 9000 },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
	rig_run_mode(lost, sack);
}

/** The retransmission is lost, too: what was sent after it arrives, a round trip passes. */
static void test_tcp_recovery_rfc8985_lost_retransmission(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ SEND, .size = 10000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 5001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 1 },
		{ SACK, 0, 1001, 10001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 10001, 1, 1000 },
		{ OUT, A, 11001, 1, 1000 },
		{ OUT, A, 12001, 1, 1000 },
		{ OUT, A, 13001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 10001, 11001 },
		{ SACK, 0, 1001, 10001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 20 },
		{ IN, A, 1, 14001 },
		{ ACKED, .size = 14000 },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

/** One segment arrived, so one may go: options are no part of what it counts. */
static void test_tcp_recovery_rfc9937_counts_no_options(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 4940 },
		{ OUT, A, 1, 1, 988 },
		{ OUT, A, 989, 1, 988 },
		{ OUT, A, 1977, 1, 988 },
		{ OUT, A, 2965, 1, 988 },
		{ OUT, A, 3953, 1, 988 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 989, 1977 },
		{ IN, A, 1, 1 },
		{ SACK, 0, 989, 2965 },
		{ IN, A, 1, 1 },
		{ SACK, 0, 989, 3953 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 988 },
		{ SEND, .size = 3000 },
		{ QUIET },
		{ SACK, 0, 989, 4941 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 4941, 1, 988 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack_ts);
}

static void test_tcp_recovery_rfc8985_tail_loss(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 3000 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ WAIT, .size = 39 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 2001, 1, 1000 }, /* the last, as a probe */
		{ CWND, .size = 10000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 2001, 3001 }, /* so the others are lost */
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 2001, 3001 },
		{ IN, A, 1, 1001 },
		{ BURST },
		{ OUT, A, 1001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ IN, A, 1, 3001 },
		{ ACKED, .size = 3000 },
		{ WAIT, .size = 5000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

/** New data is a better probe; a probe that repaired the only loss costs window like any loss. */
static void test_tcp_recovery_rfc8985_probes(void **state)
{
	static const struct rig_step fresh[] = {
		TEN_OUT,
		{ SEND, .size = 1000 }, /* more than the congestion window */
		{ QUIET },
		{ WAIT, .size = 40 },
		{ OUT, A, 10001, 1, 1000 },
		{ IN, A, 1, 11001 },
		{ WAIT, .size = 5000 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step repaired[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ IN, A, 1, 9001 },
		{ BURST },
		{ WAIT, .size = 80 }, /* one segment: its answer may be delayed */
		{ OUT, A, 9001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SEND, .size = 100 },
		{ OUT, A, 10001, 1, 100 },
		{ IN, A, 1, 10001 },
		{ IN, A, 1, 10101 },
		{ RIG_END },
	};
	struct rig rig;

	(void)state;
	rig_run_mode(fresh, sack);
	open_sack(&rig);
	rig_play(&rig, repaired);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_TLP_REPAIRS), 1);
	assert_true(rig.tcb->cc.window < 10000);
	assert_int_equal(rig.tcb->recovery, TCP_RECOVERY_NONE);
	rig_close(&rig);
}

/** A retransmission is the last that was sent, and lost, or its answer is: long before the timer one more
    segment finds out, and costs no other reduction. */
static void test_tcp_recovery_lost_retransmission_with_nothing_behind(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 10001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 39 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1, 1000 }, /* nothing is new: what is missing, not what was reported */
		{ WAIT, .size = 20 },
		{ CWND, .size = 5000 },
		{ IN, A, 1, 10001 },
		{ ACKED, .size = 10000 },
		{ CWND, .size = 5000 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step news[] = {
		{ SEND, .size = 4000 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ OUT, A, 3001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 4001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 10 },
		{ SEND, .size = 2000 },
		{ OUT, A, 4001, 1, 1000 },
		{ QUIET },
		{ WAIT, .size = 39 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 5001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 6001 },
		{ IN, A, 1, 1 }, /* it arrived, so the retransmission did not */
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
	rig_run_mode(news, sack);
}

/** Thought lost, and all of it arrives before any was sent again: nothing was lost. */
static void test_tcp_recovery_undo_by_arrival(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 5001 },
		{ IN, A, 1, 1 },
		{ CWND, .size = 5000 },
		{ IN, A, 1, 5001 }, /* in the same burst */
		{ CWND, .size = 15000 },
		{ BURST },
		{ RIG_END },
	};
	struct rig rig;

	(void)state;
	open_sack(&rig);
	rig_play(&rig, steps);
	assert_true(rig.tcb->rack.has_reordering);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RETRANSMITS), 0);
	rig_close(&rig);
}

/** The window is as before when the peer reports that the retransmission was for nothing. */
static void test_tcp_recovery_rfc3708_undo_by_duplicate(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 5001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 1 },
		{ IN, A, 1, 10001 },
		{ BURST },
		{ WAIT, .size = 20 },
		{ SACK, 0, 1, 1001 },
		{ IN, A, 1, 10001 },
		{ CWND, .size = 10000 },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

/** A reduction that was taken back is none: the next loss of the same window reduces it. */
static void test_tcp_recovery_loss_after_an_undo_counts(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 5001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 1 },
		{ SACK, 0, 1, 1001 },
		{ IN, A, 1, 5001 },
		{ CWND, .size = 15000 }, /* taken back, and grown */
		{ SACK, 0, 6001, 9001 },
		{ IN, A, 1, 5001 },
		{ BURST },
		{ QUIET },
		{ WAIT, .size = 15 },
		{ OUT, A, 5001, 1, 1000 },
		{ RIG_END },
	};
	struct rig rig;

	(void)state;
	open_sack(&rig);
	rig.tcb->ecn.marks = true; /* as agreed: then reductions of one window are one */
	rig_play(&rig, steps);
	assert_true(rig.tcb->cc.window < 15000);
	rig_close(&rig);
}

static void test_tcp_recovery_rfc3522_undo_by_timestamp(void **state)
{
	static const struct rig_step late[] = {
		{ SEND, .size = 4940 },   { OUT, A, 1, 1, 988 },
		{ OUT, A, 989, 1, 988 },  { OUT, A, 1977, 1, 988 },
		{ OUT, A, 2965, 1, 988 }, { OUT, A, 3953, 1, 988 },
		{ WAIT, .size = 20 },     { SACK, 0, 989, 3953 },
		{ IN, A, 1, 1 },          { BURST },
		{ OUT, A, 1, 1, 988 },    { WAIT, .size = 2 },
		{ ECHO, .size = 22 }, /* to the first transmission */
		{ IN, A, 1, 3953 },       { FLIGHT, .size = 988 },
		{ CWND, .size = 10000 },  { RIG_END },
	};
	static const struct rig_step timeout[] = {
		{ SEND, .size = 3000 },
		{ OUT, A, 1, 1, 988 },
		{ OUT, A, 989, 1, 988 },
		{ OUT, A, 1977, 1, 988 },
		{ OUT, A, 2965, 1, 36 },
		{ WAIT, .size = 40 },
		{ OUT, A, 2013, 1, 988 }, /* the probe */
		{ WAIT, .size = 200 },
		{ OUT, A, 1, 1, 988 },
		{ CWND, .size = 1000 },
		{ WAIT, .size = 100 }, /* the path was only slow */
		{ ECHO, .size = 340 },
		{ IN, A, 1, 3001 },
		{ CWND, .size = 10000 },
		{ WAIT, .size = 3000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(late, sack_ts);
	rig_run_mode(timeout, sack_ts);
}

/** After a timeout what was reported is not sent again, unless the peer dropped it. */
static void test_tcp_recovery_rfc8985_timeout_keeps_reports(void **state)
{
	static const struct rig_step timeout[] = {
		{ SEND, .size = 3000 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 2001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ WAIT, .size = 5 },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 40 },
		{ OUT, A, 2001, 1, 1000 }, /* a probe, which is lost like the others */
		{ WAIT, .size = 199 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		{ CWND, .size = 1000 },
		{ RIG_END },
	};
	static const struct rig_step after[] = {
		{ WAIT, .size = 20 },
		{ IN, A, 1, 2001 },
		{ BURST },
		{ OUT, A, 2001, 1, 1000 },
		{ IN, A, 1, 3001 },
		{ ACKED, .size = 3000 },
		{ RIG_END },
	};
	static const struct rig_step reneges[] = {
		{ SEND, .size = 3000 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 2001 },
		{ IN, A, 1, 1 },
		{ IN, A, 1, 1001 }, /* and no more: it dropped what it had */
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 2001, 1, 1000 }, /* a probe */
		{ WAIT, .size = 200 },
		{ OUT, A, 1001, 1, 1000 },
		{ RIG_END },
	};

	struct rig rig;

	(void)state;
	open_sack(&rig);
	rig_play(&rig, timeout);
	assert_int_equal(rig.tcb->sent.sacked, 1000);
	rig_play(&rig, after);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RENEGES), 0);
	rig_close(&rig);
	open_sack(&rig);
	rig_play(&rig, reneges);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RENEGES), 1);
	rig_close(&rig);
}

/** Without SACK, answers to what a timeout sent again needlessly look like signs of another loss. */
static void test_tcp_recovery_rfc6582_no_recovery_after_a_recovery(void **state)
{
	static const struct rig_step timeout[] = {
		{ SEND, .size = 3000 },    { OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 }, { OUT, A, 2001, 1, 1000 },
		{ WAIT, .size = 200 },     { OUT, A, 1, 1, 1000 },
		{ IN, A, 1, 1001 },        { BURST },
		{ OUT, A, 1001, 1, 1000 }, { OUT, A, 2001, 1, 1000 },
		{ IN, A, 1, 3001 },        { BURST },
		{ SEND, .size = 2000 },    { RIG_END },
	};
	static const struct rig_step repeated[] = {
		{ IN, A, 1, 3001 }, { IN, A, 1, 3001 },       { IN, A, 1, 3001 }, { BURST },
		{ QUIET },          { FLIGHT, .size = 2000 }, { IN, A, 1, 5001 }, { RIG_END },
	};
	static const struct rig_step lost[] = {
		{ IN, A, 1, 6001 }, { IN, A, 1, 6001 }, { IN, A, 1, 6001 },
		{ IN, A, 1, 6001 }, { BURST },          { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, (struct rig_mode){ .rtt_ms = 20, .no_sack = true });
	rig_play(&rig, timeout);
	rig.out_next = rig.out_count;
	rig_play(&rig, repeated);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_FAST_RETRANSMITS), 0);
	tcp_send(rig.tcb, 5000, rig.now_ns);
	rig.out_next = rig.out_count; /* more was sent than was repeated: now it counts */
	rig_play(&rig, lost);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_FAST_RETRANSMITS), 1);
	rig_close(&rig);
}

/** Nothing was sent for the first acknowledgements of a burst when the last begins a recovery. */
static void test_tcp_recovery_a_burst_counts_as_one(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 6001, 7001 },
		{ IN, A, 1, 1 },
		{ SACK, 0, 6001, 8001 },
		{ IN, A, 1, 1 },
		{ SACK, 0, 6001, 9001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

static void test_tcp_recovery_ranges_come_back(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ SACK, 0, 7001, 10001 },
		{ SACK, 0, 1001, 3001 },
		{ SACK, 0, 4001, 6001 },
		{ IN, A, 1, 1 },
		{ ABORT },
		{ CLOSED, .size = TCP_CLOSED_ABORT },
		{ RIG_END },
	};
	const struct tcp_sent_pool *pool;
	struct rig rig;
	uint32_t count;

	(void)state;
	open_sack(&rig);
	pool = &rig.stack->sent_pool;
	count = pool->spare_count;
	rig_play(&rig, steps);
	assert_int_equal(pool->spare_count, count);
	assert_int_equal(pool->reserved, rig.stack->config.connections_max);
	rig_close(&rig);
}

/** It has no room for early segments, so it can report none; the others follow by their times. */
static void test_tcp_recovery_peer_that_reports_nothing(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 5000 },
		RIG_FIVE_OUT,
		{ WAIT, .size = 20 },
		{ IN, A, 1, 1 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		{ WAIT, .size = 20 },
		{ IN, A, 1, 1001 },
		{ BURST },
		{ OUT, A, 1001, 1, 1000 },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

/** One reduction for a window with many holes; another for a loss after it. */
static void test_tcp_recovery_reduces_once_for_a_window(void **state)
{
	static const struct rig_step steps[] = {
		TEN_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 7001, 10001 },
		{ SACK, 0, 1001, 3001 },
		{ SACK, 0, 4001, 6001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 3001, 1, 1000 },
		{ OUT, A, 6001, 1, 1000 },
		{ FLIGHT, .size = 3000 },
		{ RIG_END },
	};
	struct rig rig;
	uint64_t window;

	(void)state;
	open_sack(&rig);
	rig_play(&rig, steps);
	window = rig.tcb->cc.window;
	assert_in_range(window, 5000, 7000);
	assert_int_equal(rig.tcb->recovery, TCP_RECOVERY_FAST);
	rig_play(&rig, (const struct rig_step[]){ { WAIT, .size = 20 },
						  { SACK, 0, 4001, 10001 },
						  { IN, A, 1, 3001 },
						  { IN, A, 1, 10001 },
						  { ACKED, .size = 10000 },
						  { RIG_END } });
	assert_int_equal(rig.tcb->recovery, TCP_RECOVERY_NONE);
	assert_true(rig.tcb->cc.window >= window);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_FAST_RETRANSMITS), 1);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RTO), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_recovery_rfc8985_waits_for_reordering),
		cmocka_unit_test(test_tcp_recovery_rfc8985_lost_retransmission),
		cmocka_unit_test(test_tcp_recovery_rfc9937_counts_no_options),
		cmocka_unit_test(test_tcp_recovery_rfc8985_tail_loss),
		cmocka_unit_test(test_tcp_recovery_rfc8985_probes),
		cmocka_unit_test(test_tcp_recovery_lost_retransmission_with_nothing_behind),
		cmocka_unit_test(test_tcp_recovery_undo_by_arrival),
		cmocka_unit_test(test_tcp_recovery_rfc3708_undo_by_duplicate),
		cmocka_unit_test(test_tcp_recovery_loss_after_an_undo_counts),
		cmocka_unit_test(test_tcp_recovery_rfc3522_undo_by_timestamp),
		cmocka_unit_test(test_tcp_recovery_rfc8985_timeout_keeps_reports),
		cmocka_unit_test(test_tcp_recovery_rfc6582_no_recovery_after_a_recovery),
		cmocka_unit_test(test_tcp_recovery_a_burst_counts_as_one),
		cmocka_unit_test(test_tcp_recovery_ranges_come_back),
		cmocka_unit_test(test_tcp_recovery_peer_that_reports_nothing),
		cmocka_unit_test(test_tcp_recovery_reduces_once_for_a_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: what goes out never exceeds the rate by more than a burst, reaches it, and short round trips
 * are left alone. Shown by driving a sender in virtual time against the formula, and a stack whose
 * window is larger than a burst.
 */
#include "dataplane/tcp/tcp_pace.h"

#include "tcp_rig_play.h"

/** Send as much as it allows for a while. @return bytes sent */
static uint64_t drive(struct tcp_pace *pace, uint64_t window, uint64_t threshold, int64_t rtt_ns,
		      int64_t *now_ns, int64_t duration_ns)
{
	int64_t end_ns = *now_ns + duration_ns;
	uint64_t sent = 0;

	for (;;) {
		int64_t due_ns;

		tcp_pace_begin(pace, window, threshold, rtt_ns, *now_ns);
		while ((due_ns = tcp_pace_hold_ns(pace, *now_ns)) == 0) {
			tcp_pace_sent(pace, 1000);
			sent += 1000;
			assert_true(sent < UINT64_C(100000000000));
		}
		assert_true(due_ns > *now_ns);
		if (due_ns > end_ns)
			break;
		*now_ns = due_ns;
	}
	*now_ns = end_ns;
	return sent;
}

static void test_tcp_pace_rate(void **state)
{
	static const struct {
		uint64_t window, threshold;
		int64_t rtt_ms;
		uint64_t a_second; /* bytes; factor * window / rtt */
	} rows[] = {
		{ 1000000, UINT64_MAX, 100, 20000000 }, /* twice in slow start */
		{ 1000000, 1000000, 100, 12000000 },    /* 1.2 times beyond it */
		{ 1000000, 1900000, 100, 12000000 },    /* ... and close to its end */
		{ 1000000, 2100000, 100, 20000000 },
		{ 100000, 1000, 20, 6000000 },
		{ 1000, 1000, 50, 24000 },
		{ 1 << 20, 1000, 1, 1258291200 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct tcp_pace pace;
		int64_t now_ns = 100 * NS_PER_S;
		uint64_t burst = MAX(UINT64_C(16384), rows[i].a_second / 1000), sent;

		tcp_pace_init(&pace);
		sent = drive(&pace, rows[i].window, rows[i].threshold, rows[i].rtt_ms * NS_PER_MS,
			     &now_ns, 10 * NS_PER_S);
		/* The burst that a sender that was quiet may begin with, and a segment; times are whole
		   nanoseconds, up to one in 794 too short */
		assert_true(sent <= rows[i].a_second * 10 / 794 * 795 + burst + 1000);
		assert_true(sent + burst + 1000 >= rows[i].a_second * 10);
	}
}

static void test_tcp_pace_burst_after_a_pause(void **state)
{
	struct tcp_pace pace;
	int64_t now_ns = 100 * NS_PER_S;
	uint64_t sent;

	(void)state;
	tcp_pace_init(&pace);
	(void)drive(&pace, 1000000, 1, 100 * NS_PER_MS, &now_ns, NS_PER_S);
	now_ns += 10 * NS_PER_S; /* which save nothing but a burst */
	sent = drive(&pace, 1000000, 1, 100 * NS_PER_MS, &now_ns, 0);
	assert_in_range(sent, 16000, 18000);
}

static void test_tcp_pace_short_round_trips_are_not_paced(void **state)
{
	struct tcp_pace pace;

	(void)state;
	tcp_pace_init(&pace);
	for (int64_t rtt_ns = 0; rtt_ns <= NS_PER_MS; rtt_ns += NS_PER_MS / 4) {
		tcp_pace_begin(&pace, 1000000, 1, rtt_ns, NS_PER_S);
		for (int i = 0; i < 2000; i++)
			tcp_pace_sent(&pace, 1000);
		assert_int_equal(tcp_pace_hold_ns(&pace, NS_PER_S) != 0, rtt_ns == NS_PER_MS);
	}
}

/** A stack with a window of 200000 bytes, a round trip of 20 ms: 16 KiB at once, then
    12000 bytes a millisecond. */
static void test_tcp_pace_spreads_a_large_window(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S }, { WAIT, .size = 20 }, { IN, A, 1, 1 }, { BURST }, { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;
	uint64_t before;

	(void)state;
	config.has_pacing = true;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	assert_int_equal(rig.tcb->rtt.smoothed_ns, 20 * NS_PER_MS);
	rig.tcb->snd_wnd = rig.tcb->snd_wnd_max = 1 << 20;
	rig.tcb->cc.window = rig.tcb->cc.threshold = 200000;
	rig.out_count = rig.out_next = 0;
	tcp_send(rig.tcb, 500000, rig.now_ns);
	for (int i = 0; i < 4; i++)
		tcp_burst_end(rig.stack, rig.now_ns);
	assert_in_range(rig.out_count, 17, 18);
	assert_true(counters_get(&rig.counters, COUNTER_TCP_PACED) > 0);
	for (int i = 0; i < 4; i++) {
		int64_t due_ns = tcp_next_timer_ns(rig.stack);

		assert_in_range(due_ns - rig.now_ns, NS_PER_MS, NS_PER_MS + NS_PER_MS / 10);
		rig.now_ns = due_ns;
		before = rig.out_count;
		(void)tcp_poll(rig.stack, rig.now_ns);
		assert_in_range(rig.out_count - before, 12, 13);
	}
	rig_close(&rig);
}

/** A peer that holds back its acknowledgements makes the smoothed round trip long, not the path. */
static void test_tcp_pace_delayed_acknowledgements_do_not_slow_a_short_path(void **state)
{
	static const struct rig_step syn[] = { { IN, S }, { RIG_END } };
	static const struct rig_step ack[] = { { IN, A, 1, 1 }, { BURST }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.has_pacing = true;
	rig_open(&rig, &config);
	rig_play(&rig, syn);
	rig.now_ns += 50 * NS_PER_US;
	rig_play(&rig, ack);
	rig.tcb->snd_wnd = rig.tcb->snd_wnd_max = 1 << 20;
	rig.tcb->cc.window = rig.tcb->cc.threshold = 100000;
	rig.tcb->rtt.smoothed_ns = 40 * NS_PER_MS;
	rig.out_count = rig.out_next = 0;
	tcp_send(rig.tcb, 500000, rig.now_ns);
	tcp_burst_end(rig.stack, rig.now_ns);
	assert_int_equal(rig.out_count, 100);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_PACED), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_pace_rate),
		cmocka_unit_test(test_tcp_pace_burst_after_a_pause),
		cmocka_unit_test(test_tcp_pace_short_round_trips_are_not_paced),
		cmocka_unit_test(test_tcp_pace_spreads_a_large_window),
		cmocka_unit_test(test_tcp_pace_delayed_acknowledgements_do_not_slow_a_short_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
	rig_run_mode(steps, (struct rig_mode){ .no_sack = true }); /* no probes before it */
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

/** RFC 6429: a peer that answers is probed for ever, one that doesn't is not. */
static void test_tcp_timer_rfc6429_probes_while_answered(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1, 0, UINT32_MAX }, { SEND, .size = 500 },
		{ QUIET }, { RIG_END },
	};
	static const struct rig_step answer[] = { { IN, A, 1, 1, 0, UINT32_MAX }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	for (uint32_t i = 1; i < 1000 && !rig.is_closed; i++) {
		rig.now_ns = MAX(rig.now_ns, tcp_next_timer_ns(rig.stack));
		(void)tcp_poll(rig.stack, rig.now_ns);
		rig.out_count = 1;
		if (counters_get(&rig.counters, COUNTER_TCP_WINDOW_PROBES) <= 100)
			rig_play(&rig, answer);
	}
	assert_true(rig.is_closed);
	assert_int_equal(rig.reason, TCP_CLOSED_TIMEOUT);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_WINDOW_PROBES),
			 100 + TCP_RETRIES_MAX);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_TIMEOUTS), 1);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RESETS_OUT), 1);
	rig_close(&rig);
}

/** Nothing else ends a connection whose peer vanished after our FIN. */
static void test_tcp_timer_half_closed_silence_is_probed(void **state)
{
	static const struct rig_step steps[] = {
		{ SHUT },
		{ OUT, FA, 1, 1 },
		{ IN, A, 1, 2 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ WAIT, .size = 59999 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 1 },
		{ IN, A, 1, 2 },
		{ WAIT, .size = 10000 },
		{ QUIET },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** Ten bytes go out, and nobody ever answers. @return how long that was borne */
static int64_t play_silence(struct rig *rig, const struct tcp_config *config)
{
	static const struct rig_step begin[] = { { SEND, .size = 10 },
						 { OUT, A, 1, 1, 10 },
						 { RIG_END } };
	int64_t begin_ns;

	rig_open_mode(rig, config, (struct rig_mode){ 0 });
	rig_play(rig, begin);
	begin_ns = rig->now_ns;
	for (int i = 0; i < 100 && !rig->is_closed; i++) {
		rig->now_ns = MAX(rig->now_ns, tcp_next_timer_ns(rig->stack));
		(void)tcp_poll(rig->stack, rig->now_ns);
	}
	assert_true(rig->is_closed);
	assert_int_equal(rig->reason, TCP_CLOSED_TIMEOUT);
	return rig->now_ns - begin_ns;
}

/** Timeouts of some milliseconds are soon many, but a peer may be away for longer. */
static void test_tcp_timer_rfc9293_short_timeouts_are_patient(void **state)
{
	struct tcp_config config = rig_config();
	struct rig rig;
	int64_t borne_ns;

	(void)state;
	config.rto_min_ms = 5;
	borne_ns = play_silence(&rig, &config);
	assert_true(borne_ns >= TCP_SILENCE_NS);
	assert_true(borne_ns < 3 * TCP_SILENCE_NS);
	rig_close(&rig);
}

static void test_tcp_timer_gives_up_after_silence(void **state)
{
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	assert_true(play_silence(&rig, &config) > TCP_SILENCE_NS);
	/* A loss probe first, and a word to a peer who may have heard all and only not be heard. */
	assert_int_equal(rig.out_count - rig.out_next, TCP_RETRIES_MAX + 2);
	assert_int_equal(rig.out[rig.out_count - 1].flags, TCP_RST | TCP_ACK);
	assert_int_equal(rig.out[rig.out_count - 1].seq, rig.isn + 11);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_TIMEOUTS), 1);
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

/** Our probes, or the answers to them, are lost, but the peer's own keepalives come: it is there. */
static void test_tcp_timer_peer_that_probes_is_not_given_up(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { BURST }, { RIG_END },
	};
	static const struct rig_step minute[] = {
		{ WAIT, .size = 30000 }, { OUT, A, 0, 1 },
		{ WAIT, .size = 10000 }, { OUT, A, 0, 1 },
		{ WAIT, .size = 5000 },  { IN, A, 0, 1 },
		{ OUT, A, 1, 1 },        { RIG_END },
	};
	static const struct rig_step end[] = { { CLOSED, .size = 99 }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.keepalive_ms = 30000;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	for (uint32_t i = 0; i < 5; i++)
		rig_play(&rig, minute);
	rig_play(&rig, end);
	rig_close(&rig);
}

static void test_tcp_timer_no_probe_with_nothing_queued(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 0, UINT32_MAX },
		{ SEND, .size = 1 },
		{ QUIET },
		{ WAIT, .size = 200 },
		{ OUT, A, 1, 1, 1 },
		{ IN, A, 1, 2, 0, UINT32_MAX }, /* the probe was all there was */
		{ ACKED, .size = 1 },
		{ WAIT, .size = 60000 },
		{ QUIET },
		{ CLOSED, .size = 99 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_timer_keepalive_settings(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },           { OUT, SA, 0, 1 },      { IN, A, 1, 1 },
		{ BURST },           { WAIT, .size = 4999 }, { QUIET },
		{ WAIT, .size = 1 }, { OUT, A, 0, 1 },       { WAIT, .size = 700 },
		{ OUT, A, 0, 1 },    { WAIT, .size = 699 },  { CLOSED, .size = 99 },
		{ WAIT, .size = 1 }, { OUT, RA, 1, 1 },      { CLOSED, .size = TCP_CLOSED_TIMEOUT },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.keepalive_ms = 5000;
	config.keepalive_interval_ms = 700;
	config.keepalive_probes = 2;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	rig_close(&rig);
}

/** Run timers up to `end_ns` or the end of the connection. */
static void run_timers(struct rig *rig, int64_t end_ns)
{
	while (!rig->is_closed && tcp_next_timer_ns(rig->stack) <= end_ns) {
		rig->now_ns = MAX(rig->now_ns, tcp_next_timer_ns(rig->stack));
		(void)tcp_poll(rig->stack, rig->now_ns);
	}
	if (!rig->is_closed)
		rig->now_ns = end_ns;
}

static void test_tcp_timer_rfc5482_user_timeout(void **state)
{
	static const struct rig_step open[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ SEND, .size = 20 },
		{ OUT, A, 1, 1, 20 },
		{ RIG_END },
	};
	static const struct rig_step progress[] = { { IN, A, 1, 11 }, { BURST }, { RIG_END } };
	static const struct rig_step end[] = { { IN, A, 1, 21 }, { BURST }, { RIG_END } };
	struct tcp_config config = rig_config();
	int64_t begin_ns;
	struct rig rig;

	(void)state;
	config.user_timeout_ms = 2900;
	rig_open(&rig, &config);
	rig_play(&rig, open);
	begin_ns = rig.now_ns;
	run_timers(&rig, begin_ns + 2800 * NS_PER_MS);
	rig_play(&rig, progress);
	run_timers(&rig, begin_ns + 5699 * NS_PER_MS);
	assert_false(rig.is_closed);
	run_timers(&rig, begin_ns + 60 * NS_PER_S);
	assert_true(rig.is_closed);
	assert_int_equal(rig.reason, TCP_CLOSED_TIMEOUT);
	assert_int_equal(rig.now_ns - begin_ns, 5700 * NS_PER_MS);
	assert_int_equal(rig.out[rig.out_count - 1].flags, RA);
	rig_close(&rig);

	rig_open(&rig, &config); /* nothing out: any silence is fine */
	rig_play(&rig, open);
	rig_play(&rig, end);
	run_timers(&rig, rig.now_ns + 600 * NS_PER_S);
	assert_false(rig.is_closed);
	rig_close(&rig);
}

/** A peer that takes back its window and answers probes is alive, whatever the user timeout says. */
static void test_tcp_timer_rfc5482_shut_window_is_no_timeout(void **state)
{
	static const struct rig_step open[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ SEND, .size = 500 },
		{ OUT, A, 1, 1, 500 },
		{ RIG_END },
	};
	static const struct rig_step shut[] = { { IN, A, 1, 1, 0, UINT32_MAX }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.user_timeout_ms = 1000;
	rig_open(&rig, &config);
	rig_play(&rig, open);
	for (int i = 0; i < 40; i++) {
		rig_play(&rig, shut);
		run_timers(&rig, rig.now_ns + 500 * NS_PER_MS);
	}
	assert_false(rig.is_closed);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_timer_rfc6298_backs_off),
		cmocka_unit_test(test_tcp_timer_rfc9293_zero_window_probe),
		cmocka_unit_test(test_tcp_timer_rfc6429_probes_while_answered),
		cmocka_unit_test(test_tcp_timer_half_closed_silence_is_probed),
		cmocka_unit_test(test_tcp_timer_gives_up_after_silence),
		cmocka_unit_test(test_tcp_timer_rfc9293_short_timeouts_are_patient),
		cmocka_unit_test(test_tcp_timer_rfc1122_keepalive),
		cmocka_unit_test(test_tcp_timer_peer_that_probes_is_not_given_up),
		cmocka_unit_test(test_tcp_timer_no_probe_with_nothing_queued),
		cmocka_unit_test(test_tcp_timer_keepalive_settings),
		cmocka_unit_test(test_tcp_timer_rfc5482_user_timeout),
		cmocka_unit_test(test_tcp_timer_rfc5482_shut_window_is_no_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

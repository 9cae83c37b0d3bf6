/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: for a peer without timestamps, a retransmission timeout is taken back when the answers show
 * that what was out had only been slow, and not when it was lost (RFC 5682). Shown by values, and by
 * segments of a path that stood still for a while.
 */
#include "dataplane/tcp/tcp_frto.h"

#include "tcp_rig_play.h"

static const struct rig_mode plain = { .rtt_ms = 20, .no_sack = true };
static const struct rig_mode sack = { .rtt_ms = 20 };

#define RECOVER 10000U
#define ADVANCE(una)                                                                               \
	{                                                                                          \
		una, true, false, true, 0, false                                                   \
	}
#define ADVANCE_ORIG(una, seq)                                                                     \
	{                                                                                          \
		una, true, false, true, seq, true                                                  \
	}
#define REPEAT                                                                                     \
	{                                                                                          \
		1, false, true, false, 0, false                                                    \
	}
#define REPORT(seq)                                                                                \
	{                                                                                          \
		1, false, false, true, seq, true                                                   \
	}
#define NOTHING                                                                                    \
	{                                                                                          \
		1, false, false, false, 0, false                                                   \
	}

static void test_tcp_frto_verdicts(void **state)
{
	static const struct {
		struct tcp_frto_ack first, second;
		bool asks, is_spurious;
	} rows[] = {
		{ ADVANCE(2000), ADVANCE_ORIG(3000, 2000), true, true },
		{ ADVANCE(2000), REPORT(5000), true, true },
		{ ADVANCE_ORIG(5000, 2000), ADVANCE_ORIG(6000, 5000), true, true },
		{ ADVANCE(2000), REPEAT, true, false },
		{ ADVANCE(2000), REPORT(RECOVER), true, false },  /* what asked arrived, no more */
		{ ADVANCE(2000), ADVANCE(3000), true, false },    /* of what was sent again */
		{ ADVANCE(RECOVER), REPORT(5000), false, false }, /* all was repaired at once */
		{ REPEAT, ADVANCE_ORIG(3000, 2000), false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct tcp_frto_ack nothing = NOTHING;
		struct tcp_frto frto = { 0 };

		assert_false(tcp_frto_on_ack(&frto, &rows[i].second)); /* none ran out */
		tcp_frto_begin(&frto, RECOVER);
		assert_false(tcp_frto_asks(&frto));
		assert_false(tcp_frto_on_ack(&frto, &rows[i].first));
		assert_int_equal(tcp_frto_asks(&frto), rows[i].asks);
		assert_false(tcp_frto_on_ack(&frto, &nothing));
		assert_int_equal(tcp_frto_asks(&frto), rows[i].asks);
		assert_int_equal(tcp_frto_on_ack(&frto, &rows[i].second), rows[i].is_spurious);
		assert_false(tcp_frto_asks(&frto));
		assert_false(tcp_frto_on_ack(&frto, &rows[i].second)); /* once */
	}
}

/** Reports beyond the oldest don't end the wait for its answer. */
static void test_tcp_frto_waits_for_the_oldest(void **state)
{
	static const struct tcp_frto_ack report = REPORT(5000), answer = ADVANCE(2000);
	struct tcp_frto frto;

	(void)state;
	tcp_frto_begin(&frto, RECOVER);
	assert_false(tcp_frto_on_ack(&frto, &report));
	assert_false(tcp_frto_on_ack(&frto, &answer));
	assert_true(tcp_frto_asks(&frto));
	tcp_frto_stop(&frto);
	assert_false(tcp_frto_on_ack(&frto, &report));
}

/** Ten segments are out and no answer comes in time. */
static const struct rig_step timeout[] = {
	{ SEND, .size = 13000 },
	RIG_TEN_OUT,
	{ WAIT, .size = 200 },
	{ OUT, A, 1, 1, 1000 },
	{ QUIET },
	{ CWND, .size = 1000 },
	{ WAIT, .size = 50 },
	{ IN, A, 1, 1001 },
	{ BURST },
	{ OUT, A, 10001, 1, 1000 },
	{ OUT, A, 11001, 1, 1000 },
	{ QUIET },
	{ RIG_END },
};

static uint64_t spurious(const struct rig *rig)
{
	return counters_get(&rig->counters, COUNTER_TCP_SPURIOUS);
}

static void test_tcp_frto_rfc5682_slow_path_costs_nothing(void **state)
{
	static const struct rig_step slow[] = {
		{ IN, A, 1, 2001 },
		{ BURST },
		{ OUT, A, 12001, 1, 1000 },
		{ QUIET }, /* nothing again */
		{ IN, A, 1, 10001 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 13001 },
		{ ACKED, .size = 13000 },
		{ WAIT, .size = 3000 },
		{ QUIET },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, plain);
	rig_play(&rig, timeout);
	rig_play(&rig, slow);
	assert_int_equal(spurious(&rig), 1);
	assert_true(rig.tcb->cc.window >= 10000);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RETRANSMITS), 1);
	rig_close(&rig);
}

static void test_tcp_frto_rfc5682_loss_is_repaired(void **state)
{
	static const struct rig_step lost[] = {
		{ IN, A, 1, 1001 }, /* one of what asked arrived */
		{ BURST },
		{ OUT, A, 1001, 1, 1000 },
		{ QUIET },
		{ IN, A, 1, 1001 },
		{ IN, A, 1, 10001 },
		{ BURST },
		{ OUT, A, 12001, 1, 1000 },
		{ IN, A, 1, 13001 },
		{ ACKED, .size = 13000 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, plain);
	rig_play(&rig, timeout);
	rig_play(&rig, lost);
	assert_int_equal(spurious(&rig), 0);
	rig_close(&rig);
}

/** With nothing new to ask with, what is thought lost goes at once. */
static void test_tcp_frto_rfc5682_nothing_new(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10000 },
		RIG_TEN_OUT,
		{ WAIT, .size = 200 },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 20 },
		{ IN, A, 1, 1001 },
		{ BURST },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, plain);
}

/** With SACK one report of what was sent once is enough; the probe of the tail came before. */
static void test_tcp_frto_rfc5682_reports(void **state)
{
	static const struct rig_step begin[] = {
		{ SEND, .size = 13000 },
		RIG_TEN_OUT,
		{ WAIT, .size = 40 },
		{ OUT, A, 10001, 1, 1000 },
		{ WAIT, .size = 200 },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 50 },
		{ IN, A, 1, 1001 },
		{ BURST },
		{ OUT, A, 11001, 1, 1000 },
		{ OUT, A, 12001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step slow[] = {
		{ SACK, 0, 2001, 3001 },
		{ IN, A, 1, 1001 },
		{ RIG_END },
	};
	static const struct rig_step lost[] = {
		{ WAIT, .size = 20 },
		{ SACK, 0, 11001, 12001 },
		{ IN, A, 1, 1001 },
		{ BURST },
		{ OUT, A, 1001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open_mode(&rig, &config, sack);
	rig_play(&rig, begin);
	rig_play(&rig, slow);
	assert_int_equal(spurious(&rig), 1);
	rig_close(&rig);
	rig_open_mode(&rig, &config, sack);
	rig_play(&rig, begin);
	rig_play(&rig, lost);
	assert_int_equal(spurious(&rig), 0);
	rig_close(&rig);
}

/** Timestamps say at the first answer whether it was a mistake: nobody asks. A second timeout in a row
    is no mistake. */
static void test_tcp_frto_leaves_it_to_others(void **state)
{
	static const struct rig_step out[] = {
		{ SEND, .size = 100 },
		{ OUT, A, 1, 1, 100 },
		{ WAIT, .size = 2000 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	for (int i = 0; i < 2; i++) {
		rig_open_mode(&rig, &config,
			      (struct rig_mode){ .rtt_ms = 20, .no_sack = true, .has_ts = i == 0 });
		rig_play(&rig, out);
		assert_true(counters_get(&rig.counters, COUNTER_TCP_RTO) > 0);
		assert_int_equal(rig.tcb->recovery, TCP_RECOVERY_LOSS);
		assert_int_equal(rig.tcb->frto.step, i == 0 ? TCP_FRTO_OFF : TCP_FRTO_WAITS);
		if (i == 1) {
			rig_play(&rig,
				 (const struct rig_step[]){ { WAIT, .size = 4000 }, { RIG_END } });
			assert_int_equal(rig.tcb->frto.step, TCP_FRTO_OFF);
		}
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_frto_verdicts),
		cmocka_unit_test(test_tcp_frto_waits_for_the_oldest),
		cmocka_unit_test(test_tcp_frto_rfc5682_slow_path_costs_nothing),
		cmocka_unit_test(test_tcp_frto_rfc5682_loss_is_repaired),
		cmocka_unit_test(test_tcp_frto_rfc5682_nothing_new),
		cmocka_unit_test(test_tcp_frto_rfc5682_reports),
		cmocka_unit_test(test_tcp_frto_leaves_it_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

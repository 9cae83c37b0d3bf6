/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: ECN is agreed on, marked, echoed and answered as RFC 3168 section 6.1 says. Shown by values,
 * and by segments of a stack that accepts, one that asks and one that does neither.
 */
#include "dataplane/tcp/tcp_ecn.h"

#include "tcp_rig_play.h"

#define ECE     TCP_ECE
#define CWR     TCP_CWR
#define ECE_CWR (TCP_ECE | TCP_CWR)

static struct tcp_ecn agreed(void)
{
	struct tcp_ecn ecn;

	tcp_ecn_init(&ecn, TCP_ECN_ACCEPT);
	assert_true(tcp_ecn_syn_in(&ecn, S | ECE_CWR));
	return ecn;
}

static void test_tcp_ecn_agreement(void **state)
{
	static const struct {
		enum tcp_ecn_policy policy;
		uint32_t syns;           /* sent before; 0: the peer's SYN comes first */
		uint8_t first_flags, in; /* of the first sent; the peer's */
		bool is_agreed;
	} rows[] = {
		{ TCP_ECN_ACCEPT, 0, 0, S | ECE_CWR, true },
		{ TCP_ECN_REQUEST, 0, 0, S | ECE_CWR, true },
		{ TCP_ECN_OFF, 0, 0, S | ECE_CWR, false },
		{ TCP_ECN_ACCEPT, 0, 0, S, false },
		{ TCP_ECN_ACCEPT, 0, 0, S | ECE, false }, /* neither is a set-up SYN */
		{ TCP_ECN_ACCEPT, 0, 0, S | CWR, false },
		{ TCP_ECN_REQUEST, 1, ECE_CWR, SA | ECE, true },
		{ TCP_ECN_REQUEST, 1, ECE_CWR, SA, false },
		{ TCP_ECN_REQUEST, 1, ECE_CWR, SA | ECE_CWR, false }, /* it reflects flags */
		{ TCP_ECN_REQUEST, 2, ECE_CWR, SA | ECE, false },     /* one did without */
		{ TCP_ECN_ACCEPT, 1, 0, SA | ECE, false },            /* nobody asked */
		{ TCP_ECN_REQUEST, 1, ECE_CWR, S | ECE_CWR, true },   /* both opened */
		{ TCP_ECN_ACCEPT, 1, 0, S | ECE_CWR, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct tcp_ecn ecn;

		tcp_ecn_init(&ecn, rows[i].policy);
		for (uint32_t j = 0; j < rows[i].syns; j++)
			assert_int_equal(tcp_ecn_syn_flags(&ecn, j > 0),
					 j > 0 ? 0 : rows[i].first_flags);
		assert_int_equal(tcp_ecn_syn_in(&ecn, rows[i].in), rows[i].is_agreed);
		assert_int_equal(tcp_ecn_codepoint(&ecn, true),
				 rows[i].is_agreed ? TCP_ECN_ECT0 : TCP_ECN_NOT_ECT);
		assert_int_equal(tcp_ecn_codepoint(&ecn, false), TCP_ECN_NOT_ECT);
		if ((rows[i].in & TCP_ACK) == 0)
			assert_int_equal(tcp_ecn_answer_flags(&ecn), rows[i].is_agreed ? ECE : 0);
	}
}

/** The peer fell back: so do we, and a late copy of its first SYN does not change that. */
static void test_tcp_ecn_peer_falls_back(void **state)
{
	struct tcp_ecn ecn = agreed();

	(void)state;
	assert_int_equal(tcp_ecn_answer_flags(&ecn), ECE);
	assert_true(tcp_ecn_syn_in(&ecn, S | ECE_CWR)); /* our answer was lost */
	assert_false(tcp_ecn_syn_in(&ecn, S));
	assert_int_equal(tcp_ecn_answer_flags(&ecn), 0);
	assert_false(tcp_ecn_syn_in(&ecn, S | ECE_CWR));
	assert_int_equal(tcp_ecn_codepoint(&ecn, true), TCP_ECN_NOT_ECT);
}

/** We fell back, yet the peer agreed to our first SYN: its marks are reported, ours not sent. */
static void test_tcp_ecn_late_answer_to_the_first_syn(void **state)
{
	struct tcp_ecn ecn;

	(void)state;
	tcp_ecn_init(&ecn, TCP_ECN_REQUEST);
	(void)tcp_ecn_syn_flags(&ecn, false);
	(void)tcp_ecn_syn_flags(&ecn, true);
	assert_false(tcp_ecn_syn_in(&ecn, SA | ECE));
	assert_true(tcp_ecn_data_in(&ecn, A, TCP_ECN_CE));
	assert_int_equal(tcp_ecn_flags(&ecn, false), ECE);
	assert_false(tcp_ecn_ack_in(&ecn, A | ECE, 100));
}

static void test_tcp_ecn_echo_until_cwr(void **state)
{
	struct tcp_ecn ecn = agreed(), none;

	(void)state;
	assert_false(tcp_ecn_data_in(&ecn, A, TCP_ECN_ECT0));
	assert_int_equal(tcp_ecn_flags(&ecn, false), 0);
	assert_true(tcp_ecn_data_in(&ecn, A, TCP_ECN_CE)); /* news: at once */
	assert_int_equal(tcp_ecn_flags(&ecn, false), ECE);
	assert_int_equal(tcp_ecn_flags(&ecn, true), ECE);
	assert_false(tcp_ecn_data_in(&ecn, A, TCP_ECN_CE));
	assert_false(tcp_ecn_data_in(&ecn, A, TCP_ECN_ECT0));
	assert_int_equal(tcp_ecn_flags(&ecn, false), ECE); /* still */
	assert_false(tcp_ecn_data_in(&ecn, A | CWR, TCP_ECN_ECT0));
	assert_int_equal(tcp_ecn_flags(&ecn, false), 0);
	assert_true(tcp_ecn_data_in(&ecn, A | CWR, TCP_ECN_CE)); /* marked again on the way */
	assert_int_equal(tcp_ecn_flags(&ecn, false), ECE);
	tcp_ecn_init(&none, TCP_ECN_ACCEPT);
	assert_false(tcp_ecn_syn_in(&none, S));
	assert_false(tcp_ecn_data_in(&none, A, TCP_ECN_CE));
	assert_int_equal(tcp_ecn_flags(&none, false), 0);
}

static void test_tcp_ecn_one_reduction_a_window(void **state)
{
	struct tcp_ecn ecn = agreed();

	(void)state;
	assert_false(tcp_ecn_ack_in(&ecn, A, 1000));
	assert_true(tcp_ecn_ack_in(&ecn, A | ECE, 2000));
	tcp_ecn_reduced(&ecn, 9000);
	assert_int_equal(tcp_ecn_flags(&ecn, false), 0); /* not on an acknowledgement */
	assert_int_equal(tcp_ecn_flags(&ecn, true), CWR);
	tcp_ecn_sent(&ecn, false);
	assert_int_equal(tcp_ecn_flags(&ecn, true), CWR);
	tcp_ecn_sent(&ecn, true);
	assert_int_equal(tcp_ecn_flags(&ecn, true), 0); /* once */
	/* All sent before the reduction is acknowledged, CWR is not: the peer still reports. */
	for (uint32_t ack = 3000; ack <= 9000; ack += 1000)
		assert_false(tcp_ecn_ack_in(&ecn, A | ECE, ack));
	assert_true(tcp_ecn_ack_in(&ecn, A | ECE, 9001)); /* another mark, or CWR was lost */
	tcp_ecn_reduced(&ecn, 12000);
	assert_int_equal(tcp_ecn_flags(&ecn, true), CWR);
}

/** Who agrees in a SYN, and what goes out then. */
static void test_tcp_ecn_listener(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S | ECE_CWR },
		{ OUT, SA | ECE, 0, 1 },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ IN, A, 1, 1 },
		{ SEND, .size = 1500 },
		{ OUT, A, 1, 1, 1000 },
		{ ECN, .size = TCP_ECN_ECT0 },
		{ OUT, A, 1001, 1, 500 },
		{ ECN, .size = TCP_ECN_ECT0 },
		/* marked data: at once, until CWR */
		{ MARK, .size = TCP_ECN_CE },
		{ IN, A, 1, 1501, 10 },
		{ BURST },
		{ OUT, A | ECE, 1501, 11 },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ SEND, .size = 10 },
		{ OUT, A | ECE, 1501, 11, 10 },
		{ ECN, .size = TCP_ECN_ECT0 },
		{ IN, A | CWR, 11, 1511, 10 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 1511, 21 },
		/* sent again: not markable */
		{ SEND, .size = 10 },
		{ OUT, A, 1511, 21, 10 },
		{ ECN, .size = TCP_ECN_ECT0 },
		{ WAIT, .size = 1200 },
		{ OUT, A, 1511, 21, 10 },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_ACCEPT;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_ECN_AGREED), 1);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_ECN_MARKED), 1);
	rig_close(&rig);
}

static void test_tcp_ecn_reduces_the_window(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S | ECE_CWR }, { OUT, SA | ECE, 0, 1 },
		{ IN, A, 1, 1 },     { SEND, .size = 10000 },
		{ RIG_END },
	};
	static const struct rig_step reported[] = { { IN, A | ECE, 1, 1001 },
						    { BURST },
						    { RIG_END } };
	static const struct rig_step drained[] = {
		{ IN, A | ECE, 1, 4001 },
		{ IN, A | ECE, 1, 10001 },
		{ SEND, .size = 2000 },
		{ OUT, A | CWR, 10001, 1, 1000 },
		{ OUT, A, 11001, 1, 1000 },
		{ QUIET },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_ACCEPT;
	config.congestion = TCP_CC_NEWRENO;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	rig.out_next = rig.out_count;
	assert_int_equal(rig.tcb->cc.window, 10000);
	rig_play(&rig, reported);
	assert_int_equal(rig.tcb->cc.window, 5000);
	rig_play(&rig, drained);
	assert_int_equal(rig.tcb->cc.window, 5000); /* once */
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_ECN_REDUCTIONS), 1);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_RETRANSMITS), 0);
	rig_close(&rig);
}

/** The way down takes the round trip: half of what arrives is replaced, from the first answer on. */
static void test_tcp_ecn_slows_down_in_step(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S | ECE_CWR }, { OUT, SA | ECE, 0, 1 },
		{ IN, A, 1, 1 },     { SEND, .size = 30000 },
		{ RIG_END },
	};
	static const struct rig_step steps[] = {
		{ IN, A | ECE, 1, 1001 },
		{ BURST },
		{ OUT, A | CWR, 10001, 1, 1000 },
		{ IN, A | ECE, 1, 2001 },
		{ BURST },
		{ IN, A | ECE, 1, 3001 },
		{ BURST },
		{ QUIET },
		{ IN, A | ECE, 1, 4001 },
		{ BURST },
		{ OUT, A, 11001, 1, 1000 },
		{ IN, A | ECE, 1, 5001 },
		{ BURST },
		{ QUIET },
		{ IN, A | ECE, 1, 6001 },
		{ BURST },
		{ OUT, A, 12001, 1, 1000 },
		{ IN, A, 1, 7001 },
		{ IN, A, 1, 8001 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 9001 },
		{ BURST },
		{ OUT, A, 13001, 1, 1000 },
		{ IN, A, 1, 10001 }, /* there: it grows again */
		{ BURST },
		{ OUT, A, 14001, 1, 1000 },
		{ QUIET },
		{ FLIGHT, .size = 5000 },
		{ CWND, .size = 5000 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_ACCEPT;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	rig.out_next = rig.out_count;
	rig_play(&rig, steps);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_ECN_REDUCTIONS), 1);
	rig_close(&rig);
}

/** A loss in a window that was reduced for a mark already reduces it no further. */
static void test_tcp_ecn_mark_and_loss_are_one_congestion(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S | ECE_CWR }, { OUT, SA | ECE, 0, 1 },
		{ IN, A, 1, 1 },     { SEND, .size = 10000 },
		{ RIG_END },
	};
	static const struct rig_step lost[] = {
		{ IN, A | ECE, 1, 1001 },         { BURST },   { SACK, 0, 2001, 7001 },
		{ IN, A | ECE, 1, 1001 },         { BURST },   { OUT, A, 1001, 1, 1000 },
		{ ECN, .size = TCP_ECN_NOT_ECT }, { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_ACCEPT;
	config.congestion = TCP_CC_NEWRENO;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	rig.out_next = rig.out_count;
	rig_play(&rig, lost);
	assert_int_equal(rig.tcb->cc.threshold, 5000);
	rig_close(&rig);
}

static void connect_rig(struct rig *rig, const struct tcp_config *config)
{
	struct tcp_tuple tuple = { RIG_SELF, RIG_PEER, RIG_PORT, 1234 };

	rig_open(rig, config);
	assert_int_equal(tcp_connect(rig->stack, &tuple, rig, rig->now_ns, &rig->tcb), 0);
}

static void test_tcp_ecn_active_open(void **state)
{
	static const struct rig_step agree[] = {
		{ OUT, S | ECE_CWR },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ IN, SA | ECE, 0, 1 },
		{ BURST },
		{ OUT, A, 1, 1 },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ SEND, .size = 5 },
		{ OUT, A, 1, 1, 5 },
		{ ECN, .size = TCP_ECN_ECT0 },
		{ RIG_END },
	};
	static const struct rig_step fall_back[] = {
		{ OUT, S | ECE_CWR },
		{ WAIT, .size = 1000 },
		{ OUT, S },
		{ IN, SA, 0, 1 },
		{ BURST },
		{ OUT, A, 1, 1 },
		{ SEND, .size = 5 },
		{ OUT, A, 1, 1, 5 },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ MARK, .size = TCP_ECN_CE },
		{ IN, A, 1, 6, 5 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 6, 6 },
		{ RIG_END },
	};
	static const struct rig_step plain[] = { { OUT, S }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_REQUEST;
	connect_rig(&rig, &config);
	rig_play(&rig, agree);
	rig_close(&rig);
	connect_rig(&rig, &config);
	rig_play(&rig, fall_back);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_ECN_AGREED), 0);
	rig_close(&rig);
	config.ecn = TCP_ECN_ACCEPT;
	connect_rig(&rig, &config);
	rig_play(&rig, plain);
	rig_close(&rig);
}

/** With a full backlog the agreement comes back in the cookie. */
static void test_tcp_ecn_survives_a_cookie(void **state)
{
	static const struct rig_step other[] = { { IN, S }, { RIG_END } };
	static const struct rig_step steps[] = {
		{ IN, S | ECE_CWR },  { OUT, SA | ECE, 0, 1 }, { IN, A, 1, 1 },
		{ SEND, .size = 10 }, { OUT, A, 1, 1, 10 },    { ECN, .size = TCP_ECN_ECT0 },
		{ RIG_END },
	};
	static const struct rig_step plain[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ SEND, .size = 10 },
		{ OUT, A, 1, 1, 10 },
		{ ECN, .size = 0 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_ACCEPT;
	for (int with = 0; with < 2; with++) {
		rig_open(&rig, &config);
		for (rig.port = 1; rig.port <= config.syn_backlog_max; rig.port++)
			rig_play(&rig, other);
		rig.out_next = rig.out_count;
		rig.ts = 5000;
		rig.echoes = true;
		rig_play(&rig, with ? steps : plain);
		assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_COOKIES_ACCEPTED), 1);
		assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_ECN_AGREED), with);
		rig_close(&rig);
	}
}

/** A probe beyond a shut window is not markable (section 6.1.6). */
static void test_tcp_ecn_window_probe(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S | ECE_CWR },
		{ OUT, SA | ECE, 0, 1 },
		{ IN, A, 1, 1, 0, UINT32_MAX },
		{ BURST },
		{ SEND, .size = 10 },
		{ QUIET },
		{ WAIT, .size = 1000 },
		{ OUT, A, 1, 1, 1 },
		{ ECN, .size = TCP_ECN_NOT_ECT },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.ecn = TCP_ECN_ACCEPT;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_ecn_agreement),
		cmocka_unit_test(test_tcp_ecn_peer_falls_back),
		cmocka_unit_test(test_tcp_ecn_late_answer_to_the_first_syn),
		cmocka_unit_test(test_tcp_ecn_echo_until_cwr),
		cmocka_unit_test(test_tcp_ecn_one_reduction_a_window),
		cmocka_unit_test(test_tcp_ecn_listener),
		cmocka_unit_test(test_tcp_ecn_reduces_the_window),
		cmocka_unit_test(test_tcp_ecn_slows_down_in_step),
		cmocka_unit_test(test_tcp_ecn_mark_and_loss_are_one_congestion),
		cmocka_unit_test(test_tcp_ecn_active_open),
		cmocka_unit_test(test_tcp_ecn_survives_a_cookie),
		cmocka_unit_test(test_tcp_ecn_window_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

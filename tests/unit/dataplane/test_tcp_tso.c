/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: full segments that may go now go as one, within the configured size, the queue, both windows
 * and the pace; the end of the queue, what is sent again, and what carries reports or the answer to a
 * mark go one by one. Shown by tables of segments, and by one limit at a time.
 */
#include "dataplane/tcp/tcp_tso.h"

#include "tcp_rig_play.h"

#define TSO_SIZE 4500

static void play(const struct rig_step *steps, uint16_t tso_size)
{
	struct tcp_config config = rig_config();
	static const struct rig_step open[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { BURST }, { RIG_END }
	};
	struct rig rig;

	config.tso_size = tso_size;
	rig_open(&rig, &config);
	rig_play(&rig, open);
	rig_play(&rig, steps);
	rig_close(&rig);
}

static void test_tcp_tso_full_segments_go_together(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10300 },
		{ OUT, A, 1, 1, 4000 },
		{ OUT, A, 4001, 1, 4000 },
		{ OUT, A, 8001, 1, 2000 }, /* the first window is ten segments */
		{ QUIET },
		{ IN, A, 1, 10001 },
		{ BURST },
		{ OUT, A, 10001, 1, 300 },
		{ RIG_END },
	};

	(void)state;
	play(steps, TSO_SIZE);
}

static void test_tcp_tso_short_end_goes_alone(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 3300 },   { OUT, A, 1, 1, 3000 },
		{ OUT, A, 3001, 1, 300 }, { SHUT },
		{ OUT, FA, 3301, 1 },     { RIG_END },
	};

	(void)state;
	play(steps, TSO_SIZE);
}

static void test_tcp_tso_fin_goes_with_full_ones(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 0, 1000 }, /* window */
		{ SEND, .size = 4000 },
		{ OUT, A, 1, 1, 1000 },
		{ SHUT },
		{ IN, A, 1, 1001, 0, 8000 },
		{ BURST },
		{ OUT, FA, 1001, 1, 3000 },
		{ QUIET },
		{ IN, A, 1, 4002 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ RIG_END },
	};

	(void)state;
	play(steps, TSO_SIZE);
}

static void test_tcp_tso_again_one_by_one(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 3000 },    { OUT, A, 1, 1, 3000 }, { WAIT, .size = 300 },
		{ OUT, A, 2001, 1, 1000 }, /* tail loss probe */
		{ WAIT, .size = 1000 },    { OUT, A, 1, 1, 1000 }, { RIG_END },
	};

	(void)state;
	play(steps, TSO_SIZE);
}

static void test_tcp_tso_off(void **state)
{
	static const struct rig_step steps[] = { { SEND, .size = 2000 },
						 { OUT, A, 1, 1, 1000 },
						 { OUT, A, 1001, 1, 1000 },
						 { RIG_END } };

	(void)state;
	play(steps, 0);
	play(steps, 1999);
}

static void test_tcp_tso_keeps_to_every_limit(void **state)
{
	static const struct rig_step open[] = {
		{ IN, S }, { IN, A, 1, 1 }, { BURST }, { RIG_END }
	};
	struct tcp_config config = rig_config();
	struct tcp_packet packet = { .flags = TCP_ACK };
	struct rig rig;
	struct tcb *tcb;

	(void)state;
	config.tso_size = 60000;
	rig_open(&rig, &config);
	rig_play(&rig, open);
	tcb = rig.tcb;
	tcb->snd_wnd = 1 << 20;
	tcb->cc.window = 1 << 20;
	tcb->queued = 100000;
	assert_int_equal(tcp_tso_size(tcb, 1000), 60000);
	tcb->queued = 50500;
	assert_int_equal(tcp_tso_size(tcb, 1000), 50000);
	tcb->snd_wnd = 40999;
	assert_int_equal(tcp_tso_size(tcb, 1000), 40000);
	tcb->cc.window = 30999;
	assert_int_equal(tcp_tso_size(tcb, 1000), 30000);
	tcb->pace.tenth_window = 300000;
	tcb->pace.rtt_ns = 1500 * NS_PER_US;
	assert_int_equal(tcp_tso_size(tcb, 1000), 20000);
	tcb->pace.rtt_ns = NS_PER_S;
	assert_int_equal(tcp_tso_size(tcb, 1000), 16000); /* a burst */
	assert_int_equal(tcp_tso_size(tcb, 999), 999);
	tcb->snd_max++;
	assert_int_equal(tcp_tso_size(tcb, 1000), 1000);
	tcb->snd_max--;
	assert_true(tcp_tso_allows(tcb, &packet));
	packet.flags |= TCP_CWR;
	assert_false(tcp_tso_allows(tcb, &packet));
	packet.flags = TCP_ACK;
	packet.options.sack_count = 1;
	assert_false(tcp_tso_allows(tcb, &packet));
	tcb->queued = 0;
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_tso_full_segments_go_together),
		cmocka_unit_test(test_tcp_tso_short_end_goes_alone),
		cmocka_unit_test(test_tcp_tso_fin_goes_with_full_ones),
		cmocka_unit_test(test_tcp_tso_again_one_by_one),
		cmocka_unit_test(test_tcp_tso_off),
		cmocka_unit_test(test_tcp_tso_keeps_to_every_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

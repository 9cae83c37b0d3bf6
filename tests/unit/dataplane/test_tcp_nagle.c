/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: unless asked for, short segments are not held back; when asked for, one waits only for another
 * short one to be acknowledged, for company, or for the end (RFC 9293 section 3.7.4, Minshall's variant).
 * Shown by tables of segments.
 */
#include "tcp_rig_play.h"

static const struct rig_step handshake[] = {
	{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { BURST }, { QUIET }, { RIG_END },
};

static void run(bool is_nodelay, const struct rig_step *steps)
{
	struct tcp_config config = rig_config();
	struct rig rig;

	rig_open(&rig, &config);
	rig_play(&rig, handshake);
	if (!is_nodelay)
		tcp_set_nodelay(rig.tcb, false);
	rig_play(&rig, steps);
	rig_close(&rig);
}

static void test_tcp_nagle_is_off_at_first(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10 },  { OUT, A, 1, 1, 10 }, { SEND, .size = 10 },
		{ OUT, A, 11, 1, 10 }, { SEND, .size = 10 }, { OUT, A, 21, 1, 10 },
		{ RIG_END },
	};

	(void)state;
	run(true, steps);
}

static void test_tcp_nagle_rfc9293_one_short_segment_at_a_time(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10 },
		{ OUT, A, 1, 1, 10 },
		{ SEND, .size = 10 },
		{ SEND, .size = 5 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 11 },
		{ BURST },
		{ OUT, A, 11, 1, 15 },
		{ QUIET },
		{ IN, A, 1, 26 },
		{ BURST },
		{ QUIET },
		{ SEND, .size = 700 },
		{ OUT, A, 26, 1, 700 },
		{ SEND, .size = 700 },
		{ QUIET },
		{ SEND, .size = 300 },
		{ OUT, A, 726, 1, 1000 }, /* company: a full one goes */
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	run(false, steps);
}

static void test_tcp_nagle_minshall_tail_follows_full_segments(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 2500 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 500 },
		{ SEND, .size = 10 },
		{ QUIET },
		{ IN, A, 1, 2001 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 2501 },
		{ BURST },
		{ OUT, A, 2501, 1, 10 },
		{ RIG_END },
	};

	(void)state;
	run(false, steps);
}

static void test_tcp_nagle_the_end_waits_for_nobody(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 10 },
		{ OUT, A, 1, 1, 10 },
		{ SEND, .size = 10 },
		{ QUIET },
		{ SHUT },
		{ OUT, FA, 11, 1, 10 },
		{ RIG_END },
	};

	(void)state;
	run(false, steps);
}

static void test_tcp_nagle_switched_off_lets_go(void **state)
{
	static const struct rig_step held[] = {
		{ SEND, .size = 10 }, { OUT, A, 1, 1, 10 }, { SEND, .size = 20 }, { QUIET },
		{ RIG_END },
	};
	static const struct rig_step goes[] = { { BURST }, { OUT, A, 11, 1, 20 }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, handshake);
	tcp_set_nodelay(rig.tcb, false);
	rig_play(&rig, held);
	tcp_set_nodelay(rig.tcb, true);
	rig_play(&rig, goes);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_nagle_is_off_at_first),
		cmocka_unit_test(test_tcp_nagle_rfc9293_one_short_segment_at_a_time),
		cmocka_unit_test(test_tcp_nagle_minshall_tail_follows_full_segments),
		cmocka_unit_test(test_tcp_nagle_the_end_waits_for_nobody),
		cmocka_unit_test(test_tcp_nagle_switched_off_lets_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

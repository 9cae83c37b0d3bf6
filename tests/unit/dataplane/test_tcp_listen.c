/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: only a sane SYN for an open port opens; half-open connections are capped and the oldest makes room
 * (RFC 4987); the rest is refused by RFC 9293 section 3.10.7.1. Shown by segments.
 */
#include "tcp_rig_play.h"

static void test_tcp_listen_refuses(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 5, 77 },  { OUT, R },       { IN, R, 5 },      { QUIET },   { IN, F, 5 },
		{ OUT, RA, 0, 6 }, { IN, S | F, 5 }, { OUT, RA, 0, 7 }, { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	assert_int_equal(tcp_connection_count(rig.stack), 0);
	rig_close(&rig);
}

static void test_tcp_listen_backlog_evicts_the_oldest(void **state)
{
	static const struct rig_step syn[] = { { IN, S }, { OUT, SA, 0, 1 }, { RIG_END } };
	static const struct rig_step ack[] = { { IN, A, 1, 1 }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	for (rig.port = 1; rig.port <= 50; rig.port++)
		rig_play(&rig, syn);
	assert_int_equal(rig.stack->embryo_count, 2);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_BACKLOG_EVICTIONS), 48);
	rig.port = 50;
	rig_play(&rig, ack); /* the newest got through */
	assert_int_equal(rig.accepted, 1);
	rig_close(&rig);
}

static void test_tcp_listen_all_connections_in_use(void **state)
{
	static const struct rig_step open[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { RIG_END }
	};
	static const struct rig_step ignored[] = { { IN, S }, { QUIET }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	for (rig.port = 1; rig.port <= 4; rig.port++)
		rig_play(&rig, open);
	rig_play(&rig, ignored);
	assert_int_equal(rig.accepted, 4);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_DROP_CONNECTIONS), 1);
	rig_close(&rig);
}

static void test_tcp_listen_lost_answer_and_rejecting_owner(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ WAIT, .size = 1000 },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 2 },
		{ OUT, R },
		{ IN, A, 1, 1 },
		{ OUT, RA, 1, 1 },
		{ CLOSED, .size = 99 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig.rejects = true;
	rig_play(&rig, steps);
	assert_int_equal(tcp_connection_count(rig.stack), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_listen_refuses),
		cmocka_unit_test(test_tcp_listen_backlog_evicts_the_oldest),
		cmocka_unit_test(test_tcp_listen_all_connections_in_use),
		cmocka_unit_test(test_tcp_listen_lost_answer_and_rejecting_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

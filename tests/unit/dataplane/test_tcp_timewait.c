/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a finished connection answers old segments, ignores resets (RFC 1337), gives way to a newer SYN
 * (RFC 6191), for which each case of section 2 has a row, and ends in time. Shown by segments.
 */
#include "tcp_rig_play.h"

static void test_tcp_timewait_rfc1337_and_rfc6191(void **state)
{
	static const struct rig_step steps[] = {
		{ SHUT },
		{ OUT, FA, 1, 1 },
		{ IN, FA, 1, 2 },
		{ OUT, A, 2, 2 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ IN, R, 2 },
		{ QUIET },
		{ WAIT, .size = 9000 },
		{ IN, FA, 1, 2 },
		{ OUT, A, 2, 2 }, /* time starts again */
		{ WAIT, .size = 9000 },
		{ IN, S, 1 },
		{ OUT, A, 2, 2 }, /* old */
		{ IN, S, 1000 },
		{ OUT, SA, 0, 1001 }, /* newer */
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_timewait_ends(void **state)
{
	static const struct rig_step steps[] = {
		{ SHUT },
		{ OUT, FA, 1, 1 },
		{ IN, FA, 1, 2 },
		{ OUT, A, 2, 2 },
		{ WAIT, .size = 10000 },
		{ IN, FA, 1, 2 },
		{ OUT, R },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** A SYN that may follow a finished connection. */
struct next_syn {
	uint32_t old_ts, ts, seq; /* timestamps: 0: none; the old connection ended at 2 */
	bool is_taken;
};

static void test_tcp_timewait_rfc6191_reuse(void **state)
{
	static const struct rig_step end[] = {
		{ IN, S },         { OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },   { SHUT },
		{ OUT, FA, 1, 1 }, { IN, FA, 1, 2 },
		{ OUT, A, 2, 2 },  { CLOSED, .size = TCP_CLOSED_NORMAL },
		{ RIG_END },
	};
	static const struct next_syn rows[] = {
		{ 1000, 1001, 0xff000000, true }, /* newer by its timestamp, whatever its number */
		{ 1000, 1000, 3, true },
		{ 1000, 1000, 1, false },
		{ 1000, 999, 50000, false },
		{ 1000, 0, 50000, true }, /* no timestamp: by its number */
		{ 1000, 0, 1, false },
		{ 0, 5, 0xff000000,
		  true }, /* old segments have no timestamp: dropped by the new one */
		{ 0, 0, 50000, true },
		{ 0, 0, 2, false },
	};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_step syn[] = { { IN, S, rows[i].seq }, { OUT, A, 2, 2 }, { RIG_END } };
		struct tcp_config config = rig_config();
		uint32_t old_isn;
		struct rig rig;

		rig_open(&rig, &config);
		rig.ts = rows[i].old_ts;
		rig_play(&rig, end);
		old_isn = rig.isn;
		rig.ts = rows[i].ts;
		if (rows[i].is_taken)
			syn[1] = (struct rig_step){ OUT, SA, 0, rows[i].seq + 1 };
		rig_play(&rig, syn);
		if (rows[i].is_taken) /* ours is beyond all that the old connection used */
			assert_true(tcp_seq_lt(old_isn + 65536, rig.isn));
		assert_int_equal(tcp_connection_count(rig.stack), rows[i].is_taken);
		rig_close(&rig);
	}
}

static void test_tcp_timewait_rfc7323_ghost_of_a_fin_starts_no_time_again(void **state)
{
	static const struct rig_step steps[] = {
		{ TS, .size = 1000 },
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ SHUT },
		{ OUT, FA, 1, 1 },
		{ IN, FA, 1, 2 },
		{ OUT, A, 2, 2 },
		{ WAIT, .size = 6000 },
		{ TS, .size = 999 },
		{ IN, FA, 1, 2 },
		{ OUT, A, 2, 2 },
		{ WAIT, .size = 4000 },
		{ IN, A, 2, 2 },
		{ OUT, R }, /* gone when it was due */
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	rig_close(&rig);
}

/** With a full backlog a new connection starts by a cookie, or later. */
static void test_tcp_timewait_reuse_while_flooded(void **state)
{
	static const struct rig_step end[] = {
		{ IN, S },         { OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },   { SHUT },
		{ OUT, FA, 1, 1 }, { IN, FA, 1, 2 },
		{ OUT, A, 2, 2 },  { CLOSED, .size = TCP_CLOSED_NORMAL },
		{ RIG_END },
	};
	static const struct rig_step flood[] = { { IN, S }, { OUT, SA, 0, 1 }, { RIG_END } };
	static const struct rig_step later[] = { { IN, S, 50000 }, { QUIET }, { RIG_END } };
	static const struct rig_step reuse[] = {
		{ IN, S, 50000 }, { OUT, SA, 0, 50001 }, { IN, A, 50001, 1 },
		{ QUIET },        { RIG_END },
	};

	(void)state;
	for (int has_ts = 0; has_ts < 2; has_ts++) {
		struct tcp_config config = rig_config();
		struct rig rig;

		rig_open(&rig, &config);
		rig.ts = has_ts != 0 ? 1000 : 0;
		rig_play(&rig, end);
		rig.is_closed = false;
		for (rig.port = 1; rig.port <= 2; rig.port++)
			rig_play(&rig, flood);
		rig.port = 1234;
		rig.ts += has_ts != 0;
		rig.echoes = true;
		rig_play(&rig, has_ts != 0 ? reuse : later);
		assert_int_equal(rig.accepted, 1 + has_ts);
		assert_int_equal(rig.stack->embryo_count, 2);
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_timewait_rfc1337_and_rfc6191),
		cmocka_unit_test(test_tcp_timewait_ends),
		cmocka_unit_test(test_tcp_timewait_reuse_while_flooded),
		cmocka_unit_test(test_tcp_timewait_rfc6191_reuse),
		cmocka_unit_test(test_tcp_timewait_rfc7323_ghost_of_a_fin_starts_no_time_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

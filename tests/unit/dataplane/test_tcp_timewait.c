/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a finished connection answers old segments, ignores resets (RFC 1337), gives way to a newer SYN
 * (RFC 6191) and ends in time. Shown by segments.
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_timewait_rfc1337_and_rfc6191),
		cmocka_unit_test(test_tcp_timewait_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

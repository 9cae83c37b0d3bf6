/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: lost bytes go again oldest first, before new data, in segments that keep to the ranges, with
 * the FIN where it belongs, and wait for a window and a buffer. Shown by tables of segments.
 */
#include "tcp_rig_play.h"

static const struct rig_mode sack = { .rtt_ms = 20 };

static void test_tcp_resend_oldest_first_then_new(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 3500 },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ OUT, A, 2001, 1, 1000 },
		{ OUT, A, 3001, 1, 500 },
		{ WAIT, .size = 20 },
		{ SACK, 0, 3001, 3501 },
		{ SACK, 0, 1501, 2001 }, /* borders that were none when it was sent */
		{ IN, A, 1, 1 },
		{ BURST },
		{ SEND, .size = 1000 },
		{ OUT, A, 3501, 1, 1000 },
		{ WAIT, .size = 5 },
		{ OUT, A, 1, 1, 1000 },
		{ WAIT, .size = 15 },
		{ SACK, 0, 1501, 2001 },
		{ SACK, 0, 3001, 4501 },
		{ IN, A, 1, 1001 },
		{ SEND, .size = 1000 },
		{ OUT, A, 1001, 1, 500 },
		{ OUT, A, 2001, 1, 1000 },
		{ IN, A, 1, 4501 },
		{ ACKED, .size = 4500 },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

static void test_tcp_resend_fin(void **state)
{
	static const struct rig_step steps[] = {
		{ SEND, .size = 1000 },
		{ OUT, A, 1, 1, 1000 },
		{ SHUT },
		{ OUT, FA, 1001, 1, 0 },
		{ WAIT, .size = 40 },
		{ OUT, FA, 2, 1, 999 }, /* the last segment's worth of numbers, as a probe */
		{ WAIT, .size = 20 },
		{ SACK, 0, 2, 1002 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ WAIT, .size = 5 },
		{ OUT, A, 1, 1, 1 },
		{ WAIT, .size = 99 },
		{ OUT, A, 1, 1, 1 }, /* a probe of what is missing */
		{ WAIT, .size = 200 },
		{ OUT, A, 1, 1, 1 },
		{ IN, A, 1, 1002 },
		{ STATE, .size = TCP_STATE_FIN_WAIT_2 },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(steps, sack);
}

static void test_tcp_resend_waits_for_a_buffer_and_a_window(void **state)
{
	static const struct rig_step buffer[] = {
		{ SEND, .size = 5000 },
		RIG_FIVE_OUT,
		{ WAIT, .size = 20 },
		{ NOBUF, .size = 1 },
		{ SACK, 0, 1001, 5001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ QUIET },
		{ WAIT, .size = 2 },
		{ OUT, A, 1, 1, 1000 },
		{ IN, A, 1, 5001 },
		{ WAIT, .size = 3000 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step window[] = {
		{ SEND, .size = 5000 },
		RIG_FIVE_OUT,
		{ WAIT, .size = 20 },
		{ SACK, 0, 1001, 5001 },
		{ IN, A, 1, 1, 0, UINT32_MAX }, /* it shut the window over what is out */
		{ BURST },
		{ QUIET },
		{ WAIT, .size = 199 },
		{ OUT, A, 1, 1, 1 },
		{ IN, A, 1, 1, 0, 60000 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ OUT, A, 1001, 1, 1000 },
		{ QUIET }, /* the loss had halved the window */
		{ IN, A, 1, 5001 },
		{ ACKED, .size = 5000 },
		{ WAIT, .size = 3000 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run_mode(buffer, sack);
	rig_run_mode(window, sack);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_resend_oldest_first_then_new),
		cmocka_unit_test(test_tcp_resend_fin),
		cmocka_unit_test(test_tcp_resend_waits_for_a_buffer_and_a_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

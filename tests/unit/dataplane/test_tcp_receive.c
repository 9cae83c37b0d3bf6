/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: payload reaches the owner in order and once; what comes early or is not taken is held within
 * caps; acknowledgements follow RFC 5681 section 4.2, SACK blocks RFC 2018, duplicates RFC 2883; the
 * window follows the owner's credit and is never taken back. Shown by tables of segments.
 */
#include "tcp_rig_play.h"

static void test_tcp_receive_rfc1122_delayed_ack(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 100 },
		{ BURST },
		{ QUIET },
		{ WAIT, .size = 39 },
		{ QUIET },
		{ WAIT, .size = 1 },
		{ OUT, A, 1, 101 },
		/* every second full segment at the end of the burst, one for both */
		{ IN, A, 101, 1, 1000 },
		{ BURST },
		{ QUIET },
		{ IN, A, 1101, 1, 1000 },
		{ QUIET },
		{ BURST },
		{ OUT, A, 1, 2101 },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_receive_rfc5681_early_piece_is_acked_at_once_with_sack(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 101, 1, 100 },     { OUT, A, 1, 1 },    { SACKED, 0, 101, 201, 0 },
		{ IN, A, 301, 1, 100 },     { OUT, A, 1, 1 },    { SACKED, 0, 301, 401, 0 },
		{ SACKED, 0, 101, 201, 1 }, /* RFC 2018: most recent first */
		{ HELD, .size = 2 },        { GOT, .size = 0 },  { IN, A, 1, 1, 100 },
		{ GOT, .size = 200 },       { BURST },           { OUT, A, 1, 201 },
		{ SACKED, 0, 301, 401, 0 }, { HELD, .size = 1 }, { IN, A, 201, 1, 100 },
		{ GOT, .size = 400 },       { HELD, .size = 0 }, { BURST },
		{ OUT, A, 1, 401 },         { RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/* A train behind one hole: its first segment and what comes behind another hole are answered at once,
   the rest with one acknowledgement at the end of the burst. */
static void test_tcp_receive_train_behind_a_hole_is_acked_once(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 101, 1, 100 },
		{ OUT, A, 1, 1 },
		{ SACKED, 0, 101, 201, 0 },
		{ IN, A, 201, 1, 100 },
		{ IN, A, 301, 1, 100 },
		{ QUIET },
		{ IN, A, 501, 1, 100 },
		{ OUT, A, 1, 1 },
		{ SACKED, 0, 501, 601, 0 },
		{ SACKED, 0, 101, 401, 1 },
		{ IN, A, 601, 1, 100 },
		{ QUIET },
		{ BURST },
		{ OUT, A, 1, 1 },
		{ SACKED, 0, 501, 701, 0 },
		{ SACKED, 0, 101, 401, 1 },
		{ BURST },
		{ QUIET },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_receive_rfc2883_duplicate_sack(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 1, 1, 100 },
		{ IN, A, 1, 1, 100 },
		{ BURST },
		{ OUT, A, 1, 101 },
		{ SACKED, 0, 1, 101, 0 },
		{ GOT, .size = 100 },
		{ IN, A, 51, 1, 100 },
		{ GOT, .size = 150 },
		{ BURST },
		{ OUT, A, 1, 151 },
		{ SACKED, 0, 51, 101, 0 },
		{ IN, A, 201, 1, 50 },
		{ OUT, A, 1, 151 },
		{ IN, A, 201, 1, 50 },
		{ OUT, A, 1, 151 },
		{ SACKED, 0, 201, 251, 0 },
		{ SACKED, 0, 201, 251, 1 },
		{ HELD, .size = 1 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_receive_keeps_what_the_owner_leaves(void **state)
{
	static const struct rig_step steps[] = {
		{ TAKE, .size = 30 },
		{ IN, A, 1, 1, 100 },
		{ IN, A, 101, 1, 100 },
		{ GOT, .size = 30 },
		{ HELD, .size = 2 },
		{ IN, FA, 201, 1 },
		{ EOF_IS, .size = 0 },
		{ BURST },
		{ OUT, A, 1, 202 },
		{ TAKE, .size = 100 },
		{ RESUME },
		{ GOT, .size = 130 },
		{ HELD, .size = 1 },
		{ EOF_IS, .size = 0 },
		{ TAKE, .size = 1000 },
		{ RESUME },
		{ GOT, .size = 200 },
		{ HELD, .size = 0 },
		{ EOF_IS, .size = 1 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_receive_window_closes_and_opens_with_credit(void **state)
{
	static const struct rig_step steps[] = {
		{ CREDIT, .size = 0 },
		{ IN, A, 1, 1, 1000 },
		{ IN, A, 1001, 1, 1000 },
		{ BURST },
		{ OUT, A, 1, 2001 },
		{ WINDOW, .size = 18000 }, /* never shrunk */
		{ CREDIT, .size = 19000 },
		{ BURST },
		{ QUIET }, /* a small step is not told */
		{ CREDIT, .size = 20000 },
		{ BURST },
		{ OUT, A, 1, 2001 },
		{ WINDOW, .size = 20000 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** The window moves by segments, also in acknowledgements that are due anyway. */
static void test_tcp_receive_rfc9293_receiver_avoids_silly_windows(void **state)
{
	static const struct rig_step steps[] = {
		{ CREDIT, .size = 0 },
		{ IN, A, 1, 1, 1000 },
		{ IN, A, 1001, 1, 1000 },
		{ BURST },
		{ OUT, A, 1, 2001 },
		{ WINDOW, .size = 18000 },
		{ CREDIT, .size = 18300 },
		{ IN, A, 2001, 1, 100 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 1, 2101 },
		{ WINDOW, .size = 17900 },
		{ CREDIT, .size = 18900 },
		{ IN, A, 2101, 1, 100 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 1, 2201 },
		{ WINDOW, .size = 18900 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

static void test_tcp_receive_beyond_a_shut_window(void **state)
{
	static const struct rig_step steps[] = {
		{ TAKE, .size = 0 },
		{ CREDIT, .size = 2000 },
		{ IN, A, 1, 1, 1000 },
		{ IN, A, 1001, 1, 1000 },
		{ IN, A, 2001, 1, 1000 },
		{ IN, A, 3001, 1, 1000 },
		{ IN, A, 4001, 1, 1000 },
		{ IN, A, 5001, 1, 1000 },
		{ IN, A, 6001, 1, 1000 },
		{ IN, A, 7001, 1, 1000 },
		{ IN, A, 8001, 1, 1000 },
		{ IN, A, 9001, 1, 1000 },
		{ IN, A, 10001, 1, 1000 },
		{ IN, A, 11001, 1, 1000 },
		{ IN, A, 12001, 1, 1000 },
		{ IN, A, 13001, 1, 1000 },
		{ IN, A, 14001, 1, 1000 },
		{ IN, A, 15001, 1, 1000 },
		{ HELD, .size = 16 },
		{ IN, A, 16001, 1, 1000 },
		{ HELD, .size = 16 }, /* a quarter of 64 pieces */
		{ BURST },
		{ OUT, A, 1, 16001 },
		{ WINDOW, .size = 4000 },
		{ IN, A, 20001, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 16001 }, /* beyond the edge */
		{ TAKE, .size = 16000 },
		{ RESUME },
		{ HELD, .size = 0 },
		{ GOT, .size = 16000 },
		{ RIG_END },
	};

	(void)state;
	rig_run(steps);
}

/** With no room for the rest of a segment, what was taken of it may reach into an early piece: that
    is in order then, and no block reports bytes that are acknowledged. */
static void test_tcp_receive_refused_rest_reaches_an_early_piece(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 51, 1, 100 }, { OUT, A, 1, 1 }, { IN, A, 1001, 1, 10 },
		{ OUT, A, 1, 1 },      { RIG_END },
	};
	static const struct rig_step end[] = {
		{ HELD, .size = 16 },
		{ TAKE, .size = 70 },
		{ IN, A, 1, 1, 100 },
		{ GOT, .size = 70 },
		{ BURST },
		{ OUT, A, 1, 151 },
		{ SACKED, 0, 1281, 1291, 0 },
		{ HELD, .size = 16 },
		{ TAKE, .size = 1000 },
		{ RESUME },
		{ GOT, .size = 150 },
		{ HELD, .size = 15 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig,
		 (const struct rig_step[]){
			 { IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { BURST }, { RIG_END } });
	rig_play(&rig, steps);
	for (uint32_t i = 1; i < 15; i++) /* a quarter of 64 pieces */
		rig_play(&rig, (const struct rig_step[]){ { IN, A, 1001 + 20 * i, 1, 10 },
							  { OUT, A, 1, 1 },
							  { RIG_END } });
	rig_play(&rig, end);
	rig_close(&rig);
}

/** When nearly all pieces are held, what owners refuse leaves the last of them to early segments. */
static void test_tcp_receive_refused_ones_leave_pieces_to_early_ones(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ TAKE, .size = 0 },
		{ IN, A, 1, 1, 100 },
		{ HELD, .size = 0 }, /* refused, and not kept: it comes again */
		{ BURST },
		{ OUT, A, 1, 1 },
		{ IN, A, 201, 1, 100 },
		{ HELD, .size = 1 },
		{ OUT, A, 1, 1 },
		{ SACKED, 0, 201, 301, 0 },
		{ TAKE, .size = 1000 },
		{ RESUME },
		{ IN, A, 1, 1, 200 },
		{ GOT, .size = 300 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct list others;
	struct list *node;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	list_init(&others);
	while (rig.stack->pieces.spare_count > config.held_pieces_max / 8) {
		node = list_pop_front(&rig.stack->pieces.spare);
		CHECK(node != NULL);
		list_push_back(&others, node);
		rig.stack->pieces.spare_count--;
	}
	rig_play(&rig, steps);
	while ((node = list_pop_front(&others)) != NULL) {
		list_push_back(&rig.stack->pieces.spare, node);
		rig.stack->pieces.spare_count++;
	}
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_receive_rfc1122_delayed_ack),
		cmocka_unit_test(test_tcp_receive_rfc5681_early_piece_is_acked_at_once_with_sack),
		cmocka_unit_test(test_tcp_receive_train_behind_a_hole_is_acked_once),
		cmocka_unit_test(test_tcp_receive_rfc2883_duplicate_sack),
		cmocka_unit_test(test_tcp_receive_keeps_what_the_owner_leaves),
		cmocka_unit_test(test_tcp_receive_window_closes_and_opens_with_credit),
		cmocka_unit_test(test_tcp_receive_rfc9293_receiver_avoids_silly_windows),
		cmocka_unit_test(test_tcp_receive_beyond_a_shut_window),
		cmocka_unit_test(test_tcp_receive_refused_rest_reaches_an_early_piece),
		cmocka_unit_test(test_tcp_receive_refused_ones_leave_pieces_to_early_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

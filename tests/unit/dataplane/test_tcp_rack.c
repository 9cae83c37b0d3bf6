/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: what was sent before something that arrived is lost after a round trip and the patience of RFC
 * 8985, retransmissions included; answers to earlier transmissions mislead nobody. Shown by values.
 */
#include "dataplane/tcp/tcp_rack.h"

#include "cm.h"

#define MSS 1000U
#define MS  NS_PER_MS

struct line {
	struct tcp_sent sent;
	struct tcp_sent_pool pool;
	struct tcp_sent_range nodes[64];
	struct tcp_rack rack;
	int64_t now_ns;
};

/** Segments 0 .. 9 of 1000 bytes, one each millisecond from 1000 ms on; a round trip is 40 ms. */
static void line_open(struct line *line)
{
	tcp_sent_pool_init(&line->pool, line->nodes, ARRAY_COUNT(line->nodes), 1);
	tcp_sent_init(&line->sent);
	tcp_rack_init(&line->rack, 0);
	tcp_rack_sample(&line->rack, 40 * MS, 960 * MS);
	for (uint32_t i = 0; i < 10; i++)
		tcp_sent_push(&line->sent, &line->pool,
			      (struct tcp_range){ i * MSS, i * MSS + MSS }, false, (1000 + i) * MS,
			      0);
}

static struct tcp_rack_look look_at(const struct line *line)
{
	return (struct tcp_rack_look){ .srtt_ns = 40 * MS, .mss = MSS, .now_ns = line->now_ns };
}

/** @return bytes newly lost after segments [first, last] arrived at `ms` */
static uint32_t arrive(struct line *line, uint32_t first, uint32_t last, int64_t ms,
		       int64_t *ret_next_ns)
{
	struct tcp_sent_news news = { 0 };
	struct tcp_rack_look look;
	uint32_t lost;

	line->now_ns = ms * MS;
	look = look_at(line);
	tcp_sent_sacked(&line->sent, &line->pool,
			(struct tcp_range){ first * MSS, last * MSS + MSS }, &news);
	tcp_rack_delivered(&line->rack, &news, line->now_ns);
	*ret_next_ns = tcp_rack_detect(&line->rack, &line->sent, &look, &lost);
	return lost;
}

static void test_tcp_rack_waits_a_quarter_round_trip(void **state)
{
	struct line line;
	struct tcp_rack_look look;
	int64_t next_ns;
	uint32_t lost;

	(void)state;
	line_open(&line);
	assert_int_equal(arrive(&line, 1, 1, 1041, &next_ns), 0);
	assert_true(next_ns == 1050 * MS); /* sent at 1000, 40 of round trip, 10 of patience */
	line.now_ns = 1049 * MS;
	look = look_at(&line);
	(void)tcp_rack_detect(&line.rack, &line.sent, &look, &lost);
	assert_int_equal(lost, 0);
	line.now_ns = 1050 * MS;
	look = look_at(&line);
	assert_true(tcp_rack_detect(&line.rack, &line.sent, &look, &lost) == 0);
	assert_int_equal(lost, MSS);
	assert_int_equal(tcp_sent_first_lost(&line.sent)->start, 0);
}

static void test_tcp_rack_three_reports_are_enough(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	assert_int_equal(arrive(&line, 1, 2, 1042, &next_ns), 0);
	assert_int_equal(arrive(&line, 3, 3, 1043, &next_ns), MSS);
	assert_true(next_ns == 0);
}

static void test_tcp_rack_reordering_makes_patient(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	assert_int_equal(arrive(&line, 1, 1, 1041, &next_ns), 0);
	assert_int_equal(arrive(&line, 0, 0, 1042, &next_ns), 0);
	assert_true(line.rack.has_reordering);
	assert_int_equal(arrive(&line, 4, 9, 1049, &next_ns), 0);
	assert_true(next_ns == 1053 * MS); /* of segment 3 */
	/* Each round with a needless retransmission adds a quarter, but one round only one. */
	tcp_rack_duplicate(&line.rack, 10, 0, 10000); /* but none was: the network doubled it */
	assert_int_equal(line.rack.patience, 1);
	tcp_rack_resent(&line.rack, 10000);
	tcp_rack_duplicate(&line.rack, 10, 0, 10000);
	tcp_rack_duplicate(&line.rack, 10, 9999, 20000);
	assert_int_equal(line.rack.patience, 2);
	for (int i = 0; i < 100; i++)
		tcp_rack_duplicate(&line.rack, 10, 20000, 20000);
	assert_true(line.rack.patience > 10);
	for (int i = 0; i < 16; i++)
		tcp_rack_recovered(&line.rack);
	assert_int_equal(line.rack.patience, 1);
}

static void test_tcp_rack_patience_ends_at_the_smoothed_round_trip(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	tcp_rack_reordered(&line.rack);
	tcp_rack_resent(&line.rack, 10000);
	for (uint32_t i = 0; i < 100; i++)
		tcp_rack_duplicate(&line.rack, 10, i, i);
	assert_int_equal(arrive(&line, 1, 5, 1045, &next_ns), 0);
	assert_true(next_ns == 1080 * MS);
}

static void test_tcp_rack_lost_retransmission(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	assert_int_equal(arrive(&line, 1, 4, 1044, &next_ns), MSS);
	tcp_sent_again(&line.sent, &line.pool, (struct tcp_range){ 0, MSS }, 1044 * MS);
	/* Sent later than all that is reported now: no verdict. */
	assert_int_equal(arrive(&line, 5, 9, 1049, &next_ns), 0);
	tcp_sent_push(&line.sent, &line.pool, (struct tcp_range){ 10 * MSS, 11 * MSS }, false,
		      1045 * MS, 0);
	assert_int_equal(arrive(&line, 10, 10, 1085, &next_ns), MSS);
	assert_int_equal(tcp_sent_first_lost(&line.sent)->start, 0);
}

/** An answer to the first transmission comes just after the second: no round trip is that short. */
static void test_tcp_rack_too_soon_is_an_answer_to_an_earlier_one(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	tcp_sent_again(&line.sent, &line.pool, (struct tcp_range){ 0, MSS }, 1030 * MS);
	assert_int_equal(arrive(&line, 0, 0, 1040, &next_ns), 0);
	assert_true(line.rack.latest.xmit_ns == 0);
	assert_int_equal(tcp_rack_min_ns(&line.rack), 40 * MS);
	assert_int_equal(arrive(&line, 1, 1, 1041, &next_ns), 0);
	assert_true(line.rack.rtt_ns == 40 * MS);
	assert_false(line.rack.has_reordering);
}

/** The original of what was sent again arrives after the retransmission: the short time between them is no
    round trip, or all that was sent before would be lost. */
static void test_tcp_rack_late_original_shortens_nothing(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	for (uint32_t i = 10; i < 14; i++)
		tcp_sent_push(&line.sent, &line.pool, (struct tcp_range){ i * MSS, i * MSS + MSS },
			      false, (1090 + i) * MS, 0);
	assert_int_equal(arrive(&line, 1, 9, 1109, &next_ns), MSS); /* a round trip of 100 */
	tcp_sent_again(&line.sent, &line.pool, (struct tcp_range){ 0, MSS }, 1109 * MS);
	assert_int_equal(arrive(&line, 0, 0, 1155, &next_ns), 0);
	assert_true(line.rack.latest.xmit_ns == 1109 * MS);
	assert_true(line.rack.rtt_ns == 100 * MS);
	assert_true(next_ns >= 1203 * MS);
}

/** New data follows a retransmission, and joins a range begun before it: it was not sent before. */
static void test_tcp_rack_data_behind_a_retransmission_is_not_lost(void **state)
{
	struct line line;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	assert_int_equal(arrive(&line, 1, 4, 1044, &next_ns), MSS);
	tcp_sent_push(&line.sent, &line.pool, (struct tcp_range){ 10 * MSS, 11 * MSS }, false,
		      1044 * MS, MS);
	tcp_sent_again(&line.sent, &line.pool, (struct tcp_range){ 0, MSS }, 1044 * MS + 1);
	tcp_sent_push(&line.sent, &line.pool, (struct tcp_range){ 11 * MSS, 12 * MSS }, false,
		      1044 * MS + 2, MS);
	assert_int_equal(arrive(&line, 5, 10, 1084, &next_ns), 0);
	assert_int_equal(arrive(&line, 0, 0, 1085, &next_ns), 0);
	assert_int_equal(line.sent.lost, 0);
}

static void test_tcp_rack_timeout_spares_what_was_just_sent(void **state)
{
	struct line line;
	struct tcp_rack_look look;
	int64_t next_ns;

	(void)state;
	line_open(&line);
	assert_int_equal(arrive(&line, 1, 1, 1041, &next_ns), 0);
	tcp_sent_push(&line.sent, &line.pool, (struct tcp_range){ 10 * MSS, 11 * MSS }, false,
		      1230 * MS, 0);
	line.now_ns = 1241 * MS;
	look = look_at(&line);
	assert_int_equal(tcp_rack_timeout(&line.rack, &line.sent, &look), 9 * MSS);
	assert_int_equal(tcp_sent_flight(&line.sent), MSS);
	assert_int_equal(line.sent.sacked, MSS);
}

static void test_tcp_rack_shortest_round_trip_is_forgotten(void **state)
{
	struct tcp_rack rack;

	(void)state;
	tcp_rack_init(&rack, 0);
	assert_true(tcp_rack_min_ns(&rack) == 0);
	tcp_rack_sample(&rack, 5 * MS, 1);
	tcp_rack_sample(&rack, 9 * MS, 30 * NS_PER_S);
	assert_true(tcp_rack_min_ns(&rack) == 5 * MS);
	tcp_rack_sample(&rack, 9 * MS, 70 * NS_PER_S);
	assert_true(tcp_rack_min_ns(&rack) == 5 * MS);
	tcp_rack_sample(&rack, 9 * MS, 140 * NS_PER_S);
	assert_true(tcp_rack_min_ns(&rack) == 9 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_rack_waits_a_quarter_round_trip),
		cmocka_unit_test(test_tcp_rack_three_reports_are_enough),
		cmocka_unit_test(test_tcp_rack_reordering_makes_patient),
		cmocka_unit_test(test_tcp_rack_patience_ends_at_the_smoothed_round_trip),
		cmocka_unit_test(test_tcp_rack_lost_retransmission),
		cmocka_unit_test(test_tcp_rack_too_soon_is_an_answer_to_an_earlier_one),
		cmocka_unit_test(test_tcp_rack_late_original_shortens_nothing),
		cmocka_unit_test(test_tcp_rack_data_behind_a_retransmission_is_not_lost),
		cmocka_unit_test(test_tcp_rack_timeout_spares_what_was_just_sent),
		cmocka_unit_test(test_tcp_rack_shortest_round_trip_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

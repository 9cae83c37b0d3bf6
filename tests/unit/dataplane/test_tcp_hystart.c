/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: slow start becomes careful, is resumed and ends as RFC 9406 says. Shown by scripts of round
 * trips; the thresholds in them are worked out from the RFC's constants.
 */
#include "dataplane/tcp/tcp_hystart.h"

#include "cm.h"

/** A round of `count` acknowledgements, all but the first of them a millisecond slower than it. */
static enum tcp_hystart_phase round_of(struct tcp_hystart *hystart, uint32_t count, int64_t rtt_ns)
{
	enum tcp_hystart_phase phase = TCP_HYSTART_FAST;

	for (uint32_t i = 0; i < count; i++)
		phase = tcp_hystart_on_ack(hystart, rtt_ns + (i > 0 ? NS_PER_MS : 0),
					   i + 1 == count);
	return phase;
}

static void test_tcp_hystart_thresholds(void **state)
{
	static const struct {
		int64_t first_ms, growth_ns; /* an eighth of the round trip, in 4 ms .. 16 ms */
	} rows[] = {
		{ 1, 4 * NS_PER_MS }, { 32, 4 * NS_PER_MS },   { 40, 5 * NS_PER_MS },
		{ 100, 12500000 },    { 128, 16 * NS_PER_MS }, { 500, 16 * NS_PER_MS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t first_ns = rows[i].first_ms * NS_PER_MS;
		struct tcp_hystart hystart;

		tcp_hystart_init(&hystart);
		assert_int_equal(round_of(&hystart, 10, first_ns), TCP_HYSTART_FAST);
		assert_int_equal(round_of(&hystart, 20, first_ns + rows[i].growth_ns - 1),
				 TCP_HYSTART_FAST);
		tcp_hystart_init(&hystart);
		assert_int_equal(round_of(&hystart, 10, first_ns), TCP_HYSTART_FAST);
		assert_int_equal(round_of(&hystart, 20, first_ns + rows[i].growth_ns),
				 TCP_HYSTART_CAREFUL);
	}
}

static void test_tcp_hystart_needs_eight_samples(void **state)
{
	struct tcp_hystart hystart;

	(void)state;
	tcp_hystart_init(&hystart);
	assert_int_equal(round_of(&hystart, 10, 10 * NS_PER_MS), TCP_HYSTART_FAST);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(tcp_hystart_on_ack(&hystart, 30 * NS_PER_MS, false),
				 TCP_HYSTART_FAST);
		assert_int_equal(tcp_hystart_on_ack(&hystart, 0, false), TCP_HYSTART_FAST);
	}
	assert_int_equal(tcp_hystart_on_ack(&hystart, 30 * NS_PER_MS, false), TCP_HYSTART_CAREFUL);
}

/** One short round trip in a round shows that the path is still empty. */
static void test_tcp_hystart_the_shortest_counts(void **state)
{
	struct tcp_hystart hystart;

	(void)state;
	tcp_hystart_init(&hystart);
	assert_int_equal(round_of(&hystart, 10, 10 * NS_PER_MS), TCP_HYSTART_FAST);
	assert_int_equal(tcp_hystart_on_ack(&hystart, 13 * NS_PER_MS, false), TCP_HYSTART_FAST);
	for (int i = 0; i < 50; i++)
		assert_int_equal(tcp_hystart_on_ack(&hystart, 40 * NS_PER_MS, false),
				 TCP_HYSTART_FAST);
}

static void test_tcp_hystart_over_after_five_careful_rounds(void **state)
{
	struct tcp_hystart hystart;

	(void)state;
	tcp_hystart_init(&hystart);
	(void)round_of(&hystart, 10, 10 * NS_PER_MS);
	/* The round in which it began counts as the first. */
	for (int i = 1; i <= 4; i++)
		assert_int_equal(round_of(&hystart, 10, 20 * NS_PER_MS), TCP_HYSTART_CAREFUL);
	assert_int_equal(round_of(&hystart, 10, 20 * NS_PER_MS), TCP_HYSTART_OVER);
}

static void test_tcp_hystart_resumes_when_it_was_jitter(void **state)
{
	struct tcp_hystart hystart;

	(void)state;
	tcp_hystart_init(&hystart);
	(void)round_of(&hystart, 10, 10 * NS_PER_MS);
	assert_int_equal(round_of(&hystart, 10, 20 * NS_PER_MS), TCP_HYSTART_CAREFUL);
	assert_int_equal(round_of(&hystart, 10, 20 * NS_PER_MS), TCP_HYSTART_CAREFUL);
	/* Too few samples to say so */
	assert_int_equal(round_of(&hystart, 7, 12 * NS_PER_MS), TCP_HYSTART_CAREFUL);
	assert_int_equal(round_of(&hystart, 8, 12 * NS_PER_MS), TCP_HYSTART_FAST);
	/* All begins anew, five rounds included. */
	assert_int_equal(round_of(&hystart, 10, 16 * NS_PER_MS), TCP_HYSTART_CAREFUL);
	for (int i = 2; i <= 4; i++)
		assert_int_equal(round_of(&hystart, 10, 16 * NS_PER_MS), TCP_HYSTART_CAREFUL);
	assert_int_equal(round_of(&hystart, 10, 16 * NS_PER_MS), TCP_HYSTART_OVER);
}

/** Acknowledgements 0.5 ms apart. @return how many there were when the path was full; 0: never */
static int run_train(int64_t rtt_ns, bool is_paced, int gap_at, int64_t gap_ns)
{
	struct tcp_hystart hystart;
	int64_t now_ns = NS_PER_S;

	tcp_hystart_init(&hystart);
	(void)tcp_hystart_on_ack(&hystart, rtt_ns, true);
	assert_false(tcp_hystart_on_train(&hystart, is_paced, now_ns));
	for (int i = 1; i < 100; i++) {
		now_ns += i == gap_at ? gap_ns : NS_PER_MS / 2;
		if (tcp_hystart_on_train(&hystart, is_paced, now_ns))
			return i;
	}
	return 0;
}

static void test_tcp_hystart_train_of_half_a_round_trip(void **state)
{
	(void)state;
	assert_int_equal(run_train(10 * NS_PER_MS, false, 0, 0), 11);
	assert_int_equal(run_train(10 * NS_PER_MS, true, 0, 0), 16);
	/* After a gap, the window went through and the path was empty, it is another train. */
	assert_int_equal(run_train(10 * NS_PER_MS, false, 5, 2 * NS_PER_MS), 8);
	assert_int_equal(run_train(10 * NS_PER_MS, false, 5, 2 * NS_PER_MS + 1), 16);
	assert_int_equal(run_train(4 * NS_PER_MS, false, 0, 0), 5);
	assert_int_equal(run_train(4 * NS_PER_MS, false, 2, NS_PER_MS + 1), 7);
	/* Below a millisecond, gaps are those of who polls. */
	assert_int_equal(run_train(NS_PER_MS - 1, false, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_hystart_thresholds),
		cmocka_unit_test(test_tcp_hystart_needs_eight_samples),
		cmocka_unit_test(test_tcp_hystart_the_shortest_counts),
		cmocka_unit_test(test_tcp_hystart_over_after_five_careful_rounds),
		cmocka_unit_test(test_tcp_hystart_resumes_when_it_was_jitter),
		cmocka_unit_test(test_tcp_hystart_train_of_half_a_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

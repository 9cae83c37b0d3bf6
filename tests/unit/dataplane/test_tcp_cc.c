/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: windows grow and shrink as RFC 5681 and 6928 say; a window that was not used proves nothing;
 * a reduction for a loss that was none is taken back; CUBIC's first slow start ends when the path is
 * full, before its queue is. Shown by values, and by a model of a path with a queue.
 */
#include "dataplane/tcp/tcp_cc.h"

#include "cm.h"

static uint32_t una; /* moves with each acknowledgement */

static void ack(struct tcp_cc *cc, uint64_t acked, uint64_t flight)
{
	una += (uint32_t)acked;
	tcp_cc_on_ack(cc, &(struct tcp_cc_ack){ .acked = acked,
						.flight = flight,
						.una = una,
						.nxt = una + (uint32_t)(flight - acked) });
}

static void test_tcp_cc_rfc5681(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	assert_int_equal(cc.window, 10000); /* RFC 6928 */
	ack(&cc, 1000, 1000);
	assert_int_equal(cc.window, 10000); /* not used: not grown */
	ack(&cc, 2000, 10000);
	assert_int_equal(cc.window, 12000); /* slow start */
	tcp_cc_on_loss(&cc, 12000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 6000);
	ack(&cc, 5999, 6000);
	assert_int_equal(cc.window, 6000);
	ack(&cc, 1, 6000);
	assert_int_equal(cc.window, 7000); /* one segment a window */
	tcp_cc_on_timeout(&cc, 7000, true, 1);
	assert_int_equal(cc.window, 1000);
	assert_int_equal(cc.threshold, 3500);
	tcp_cc_on_timeout(&cc, 1000, false, 1);
	assert_int_equal(cc.threshold, 3500); /* once for a window */
	ack(&cc, 1000, 1000);
	assert_int_equal(cc.window, 2000);
	ack(&cc, 2000, 2000);
	assert_int_equal(cc.window, 3500); /* slow start ends at the threshold */
	assert_int_equal(cc.newreno.credit, 500);
}

static void test_tcp_cc_cubic_leaves_seven_tenths(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_CUBIC, 1000);
	ack(&cc, 2000, 10000);
	assert_int_equal(cc.window, 12000);
	tcp_cc_on_loss(&cc, 12000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 8400);
	assert_int_equal(cc.threshold, 8400);
	assert_int_equal(cc.cubic.peak, 12000);
	tcp_cc_on_timeout(&cc, 8400, true, 1);
	assert_int_equal(cc.window, 1000);
	assert_int_equal(cc.threshold, 5880);
	assert_int_equal(cc.cubic.peak, 0); /* RFC 9438 section 4.8 */
}

/** RFC 9406 section 4.3: eight segments at one acknowledgement, unless sending is paced. */
static void test_tcp_cc_growth_at_one_acknowledgement(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_CUBIC, 1000);
	ack(&cc, 10000, 10000);
	assert_int_equal(cc.window, 18000);
	tcp_cc_init(&cc, TCP_CC_CUBIC, 1000);
	cc.is_paced = true;
	ack(&cc, 10000, 10000);
	assert_int_equal(cc.window, 20000);
}

#define PATH_NS    (20 * NS_PER_MS)
#define SEGMENT_NS (PATH_NS / 100)
#define OUT_MAX    8192U

/** A path that lets 100 segments through in its round trip of 20 ms; what is out beyond that waits in
    its queue. @return the window when slow start ended; 0: more than `queue` segments had to wait */
static uint64_t run_first_slow_start(enum tcp_cc_algorithm algorithm, int64_t queue)
{
	static int64_t sent_ns[OUT_MAX], due_ns[OUT_MAX];
	int64_t now_ns = NS_PER_S, last_ns = 0;
	struct tcp_cc cc;
	uint32_t sent = 0;

	tcp_cc_init(&cc, algorithm, 1000);
	for (uint32_t acked = 0; cc.window < cc.threshold; acked++) {
		struct tcp_cc_ack news = { .acked = 1000, .una = 1000 * (acked + 1) };

		for (; sent - acked < cc.window / 1000; sent++) {
			last_ns = MAX(now_ns + PATH_NS, last_ns + SEGMENT_NS);
			if (last_ns - now_ns - PATH_NS > queue * SEGMENT_NS)
				return 0;
			sent_ns[sent % OUT_MAX] = now_ns;
			due_ns[sent % OUT_MAX] = last_ns;
		}
		now_ns = news.now_ns = due_ns[acked % OUT_MAX];
		news.flight = 1000 * (uint64_t)(sent - acked);
		news.nxt = 1000 * sent;
		news.rtt_ns = news.srtt_ns = now_ns - sent_ns[acked % OUT_MAX];
		tcp_cc_on_ack(&cc, &news);
	}
	return cc.window;
}

/** The path is full by then and its queue, even a short one, is not. */
static void test_tcp_cc_first_slow_start_fills_the_path(void **state)
{
	(void)state;
	assert_in_range(run_first_slow_start(TCP_CC_CUBIC, 4000), 100000, 160000);
	assert_in_range(run_first_slow_start(TCP_CC_CUBIC, 60), 100000, 160000);
	assert_int_equal(run_first_slow_start(TCP_CC_NEWRENO, 60), 0); /* as RFC 5681 has it */
	assert_int_equal(run_first_slow_start(TCP_CC_NEWRENO, 4000), 0);
}

/** An owner who writes one segment at a time makes as long a train, and learns nothing from it. */
static void test_tcp_cc_a_train_of_little_use_ends_nothing(void **state)
{
	struct tcp_cc cc;
	int64_t now_ns = NS_PER_S;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_CUBIC, 1000);
	cc.window = 100000;
	una = 0;
	for (uint32_t i = 0; i < 500; i++) {
		una += 1000;
		now_ns += NS_PER_MS;
		tcp_cc_on_ack(&cc, &(struct tcp_cc_ack){ .acked = 1000,
							 .flight = 20000,
							 .una = una,
							 .nxt = una + 19000,
							 .rtt_ns = PATH_NS,
							 .srtt_ns = PATH_NS,
							 .now_ns = now_ns });
	}
	assert_int_equal(cc.threshold, UINT64_MAX);
}

static void test_tcp_cc_marks_do_not_grow_it(void **state)
{
	struct tcp_cc cc;
	struct tcp_cc_ack news = { .acked = 2000, .flight = 10000, .is_marked = true };

	(void)state;
	for (int algorithm = 0; algorithm < TCP_CC_ALGORITHM_COUNT; algorithm++) {
		tcp_cc_init(&cc, (enum tcp_cc_algorithm)algorithm, 1000);
		tcp_cc_on_ack(&cc, &news);
		assert_int_equal(cc.window, 10000);
		tcp_cc_on_loss(&cc, 10000, TCP_CC_ECN, 1);
		assert_int_equal(cc.window, algorithm == TCP_CC_CUBIC ? 7000 : 5000);
		for (int i = 0; i < 20; i++)
			tcp_cc_on_ack(&cc, &news);
		assert_int_equal(cc.window, cc.threshold);
		tcp_cc_undo(&cc); /* a mark is no mistake */
		assert_int_equal(cc.window, cc.threshold);
	}
}

static void test_tcp_cc_idle_goes_back_by_slow_start(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	cc.window = 50000;
	tcp_cc_on_idle(&cc, 1);
	assert_int_equal(cc.window, 10000);
	assert_int_equal(cc.threshold, 37500);
	tcp_cc_on_idle(&cc, 2);
	assert_int_equal(cc.window, 10000);
	assert_int_equal(cc.threshold, 37500);
}

/** Acknowledgements of one burst: only the first sees a full window. */
static void test_tcp_cc_a_burst_counts_as_a_whole(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	for (uint64_t flight = 10000; flight > 0; flight -= 2000)
		ack(&cc, 2000, flight);
	assert_int_equal(cc.window, 20000);
	tcp_cc_on_loss(&cc, 20000, TCP_CC_LOSS, 1);
	for (uint64_t flight = 10000; flight > 0; flight -= 2000)
		ack(&cc, 2000, flight);
	assert_int_equal(cc.window, 11000);
	/* A loss right behind such a burst halves what was used, not what it left. */
	tcp_cc_on_loss(&cc, 1000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 5000);
}

static void test_tcp_cc_unused_window_stays(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	assert_int_equal(cc.window, 5000);
	for (int i = 0; i < 100; i++)
		ack(&cc, 3000, 3000);
	assert_int_equal(cc.window, 5000);
	tcp_cc_on_loss(&cc, 3000, TCP_CC_LOSS, 1); /* and only what was used counts */
	assert_int_equal(cc.window, 2000);
}

static void test_tcp_cc_undo(void **state)
{
	struct tcp_cc cc;

	(void)state;
	tcp_cc_init(&cc, TCP_CC_NEWRENO, 1000);
	tcp_cc_undo(&cc); /* nothing to undo */
	assert_int_equal(cc.window, 10000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	tcp_cc_undo(&cc);
	assert_int_equal(cc.window, 10000);
	assert_true(cc.threshold == UINT64_MAX);
	tcp_cc_on_timeout(&cc, 10000, true, 1);
	tcp_cc_on_timeout(&cc, 10000, false, 2);
	assert_int_equal(cc.window, 1000);
	tcp_cc_undo(&cc);
	assert_int_equal(cc.window, 10000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 3);
	tcp_cc_undo(&cc);
	cc.window = 3000;
	tcp_cc_undo(&cc); /* once */
	assert_int_equal(cc.window, 3000);
	tcp_cc_init(&cc, TCP_CC_CUBIC, 1000);
	tcp_cc_on_loss(&cc, 10000, TCP_CC_LOSS, 1);
	tcp_cc_undo(&cc);
	assert_int_equal(cc.window, 10000);
	assert_int_equal(cc.cubic.peak, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_cc_rfc5681),
		cmocka_unit_test(test_tcp_cc_cubic_leaves_seven_tenths),
		cmocka_unit_test(test_tcp_cc_growth_at_one_acknowledgement),
		cmocka_unit_test(test_tcp_cc_first_slow_start_fills_the_path),
		cmocka_unit_test(test_tcp_cc_a_train_of_little_use_ends_nothing),
		cmocka_unit_test(test_tcp_cc_marks_do_not_grow_it),
		cmocka_unit_test(test_tcp_cc_idle_goes_back_by_slow_start),
		cmocka_unit_test(test_tcp_cc_a_burst_counts_as_a_whole),
		cmocka_unit_test(test_tcp_cc_unused_window_stays),
		cmocka_unit_test(test_tcp_cc_undo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

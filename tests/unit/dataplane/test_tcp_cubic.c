/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: windows follow the equations of RFC 9438. Shown beside a second implementation of them, in
 * segments, seconds and double precision, over trajectories with losses, by values worked out by hand,
 * and on a connection.
 */
#include "dataplane/tcp/tcp_cubic.h"

#include "tcp_rig_play.h"

#define MSS   1000U
#define START (1000 * NS_PER_S)

/** The equations as printed: segments and seconds. */
struct model {
	double window, peak, prior, friendly, climb, origin, epoch;
	bool has_epoch;
};

static double cube_root(double x)
{
	double root = x > 1 ? x : 1;

	for (int i = 0; i < 200; i++)
		root -= (root * root * root - x) / (3 * root * root);
	return root;
}

static double model_curve(const struct model *model, double t)
{
	double d = t - model->climb;

	return 0.4 * d * d * d + model->origin;
}

static void model_grow(struct model *model, double acked, double srtt, double now)
{
	double t, target, alpha;

	if (!model->has_epoch) {
		model->has_epoch = true;
		model->epoch = now;
		if (model->peak < model->window) { /* none, or slow start went beyond it */
			model->origin = model->window;
			model->climb = 0;
		} else {
			model->origin = model->peak;
			model->climb = cube_root((model->peak - model->window) / 0.4);
		}
		model->friendly = model->window;
	}
	t = now - model->epoch;
	alpha = model->friendly < model->prior ? 3 * (1 - 0.7) / (1 + 0.7) : 1;
	model->friendly += alpha * acked / model->window;
	if (model_curve(model, t) < model->friendly) {
		model->window = model->friendly;
		return;
	}
	target = model_curve(model, t + srtt);
	if (target < model->window)
		target = model->window;
	if (target > 1.5 * model->window)
		target = 1.5 * model->window;
	model->window += (target - model->window) / model->window * acked;
}

static void model_reduce(struct model *model)
{
	model->peak = model->window < model->peak ? model->window * (1 + 0.7) / 2 : model->window;
	model->prior = model->window;
	model->window *= 0.7;
	model->has_epoch = false;
}

/** Two windows side by side, acknowledged at the pace of one round trip a window. */
struct pair {
	struct tcp_cubic cubic;
	struct model model;
	uint64_t window;
	int64_t now_ns;
};

static void pair_reduce(struct pair *pair)
{
	pair->window = tcp_cubic_reduce(&pair->cubic, pair->window, pair->window, MSS);
	model_reduce(&pair->model);
}

/** @return largest difference met, in segments; in a segment more for each thousand of window */
static double pair_run(struct pair *pair, double seconds, int64_t srtt_ns, uint64_t acked)
{
	int64_t end_ns = pair->now_ns + (int64_t)(seconds * 1e9);
	double worst = 0;

	while (pair->now_ns < end_ns) {
		struct tcp_cubic_input input = { pair->window, acked, MSS, srtt_ns, pair->now_ns };
		double difference;

		pair->window = tcp_cubic_grow(&pair->cubic, &input);
		model_grow(&pair->model, (double)acked / MSS, (double)srtt_ns / 1e9,
			   (double)(pair->now_ns - START) / 1e9);
		difference = (double)pair->window / MSS - pair->model.window;
		difference = difference < 0 ? -difference : difference;
		difference /= 1 + pair->model.window / 1000;
		worst = difference > worst ? difference : worst;
		pair->now_ns += (int64_t)((double)srtt_ns * (double)acked / (double)pair->window);
	}
	return worst;
}

static void pair_open(struct pair *pair, uint64_t segments)
{
	*pair = (struct pair){ .window = segments * MSS, .now_ns = START };
	pair->model.window = (double)segments;
	tcp_cubic_init(&pair->cubic);
	pair_reduce(pair);
}

static void test_tcp_cubic_root_is_exact(void **state)
{
	(void)state;
	for (uint64_t i = 0; i <= 2642245; i = i < 2000 ? i + 1 : i + 997) {
		assert_int_equal(tcp_cubic_root(i * i * i), i);
		if (i > 1)
			assert_int_equal(tcp_cubic_root(i * i * i - 1), i - 1);
	}
	assert_int_equal(tcp_cubic_root(UINT64_MAX), 2642245);
}

/** K = cbrt((W_max - cwnd_epoch) / 0.4), W_max being 1/0.7 of the window after a reduction. */
static void test_tcp_cubic_k(void **state)
{
	static const struct {
		uint64_t segments, climb_ms; /* cbrt(0.3 * segments / 0.4), by a calculator */
	} rows[] = {
		{ 10, 1957 }, { 100, 4217 }, { 1000, 9085 }, { 20000, 24662 }, { 700000, 80671 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct tcp_cubic cubic;
		struct tcp_cubic_input input = { 0, MSS, MSS, NS_PER_MS, START };

		tcp_cubic_init(&cubic);
		input.window = rows[i].segments * MSS;
		input.window = tcp_cubic_reduce(&cubic, input.window, input.window, MSS);
		assert_int_equal(input.window, rows[i].segments * 700);
		(void)tcp_cubic_grow(&cubic, &input);
		assert_int_equal(cubic.climb_ms, rows[i].climb_ms);
	}
}

static void test_tcp_cubic_follows_the_curve(void **state)
{
	struct pair pair;
	uint64_t plateau;

	(void)state;
	pair_open(&pair, 1000);
	assert_true(pair_run(&pair, 9.0, 100 * NS_PER_MS, 2000) < 1);
	plateau = pair.window;
	/* Flat where it was too large before: concave up to there, convex from there. */
	assert_in_range(plateau, 995 * MSS, 1001 * MSS);
	assert_true(pair_run(&pair, 9.0, 100 * NS_PER_MS, 2000) < 1);
	assert_in_range(pair.window, 1250 * MSS, 1350 * MSS); /* 0.4 * 9^3 = 291.6 more */
	pair_reduce(&pair);
	assert_true(pair_run(&pair, 5.0, 100 * NS_PER_MS, 2000) < 1);
	pair_reduce(&pair); /* below the last peak: fast convergence */
	assert_true(pair.cubic.peak < pair.cubic.prior);
	assert_true(pair_run(&pair, 30.0, 100 * NS_PER_MS, 2000) < 1);
}

static void test_tcp_cubic_large_windows_and_stretched_acks(void **state)
{
	struct pair pair;

	(void)state;
	pair_open(&pair, 100000);
	assert_true(pair_run(&pair, 60.0, 50 * NS_PER_MS, 64 * MSS) < 1);
	pair_reduce(&pair);
	assert_true(pair_run(&pair, 60.0, 50 * NS_PER_MS, 64 * MSS) < 1);
}

/** Short round trips: Reno's line is above the curve (section 4.3). */
static void test_tcp_cubic_friendly_region(void **state)
{
	struct pair pair;
	uint64_t begin;

	(void)state;
	pair_open(&pair, 100);
	begin = pair.window;
	assert_true(pair_run(&pair, 0.05, NS_PER_MS, 2000) < 2);
	/* 50 round trips, 9/17 of a segment each */
	assert_in_range(pair.window - begin, 24 * MSS, 28 * MSS);
	assert_true(pair_run(&pair, 0.1, NS_PER_MS, 2000) < 2);
	/* From where it came from on, a whole segment a round trip: 70 + 9/17 * 57 = 100, + 93 */
	assert_in_range(pair.window, 190 * MSS, 196 * MSS);
	pair_reduce(&pair);
	assert_true(pair_run(&pair, 0.5, NS_PER_MS, 2000) < 2);
}

static void test_tcp_cubic_reduction(void **state)
{
	struct tcp_cubic cubic;

	(void)state;
	tcp_cubic_init(&cubic);
	assert_int_equal(tcp_cubic_reduce(&cubic, 100000, 100000, MSS), 70000);
	assert_int_equal(cubic.peak, 100000);
	assert_int_equal(tcp_cubic_reduce(&cubic, 80000, 50000, MSS), 35000); /* of the flight */
	assert_int_equal(cubic.peak, 68000);                                  /* 0.85 * 80000 */
	assert_int_equal(tcp_cubic_reduce(&cubic, 90000, 90000, MSS), 63000);
	assert_int_equal(cubic.peak, 90000);
	assert_int_equal(tcp_cubic_reduce(&cubic, 2000, 2000, MSS), 2000); /* two segments */
}

/** Sections 4.8 and 4.10: no peak is known, so the curve starts flat where slow start ended. */
static void test_tcp_cubic_after_a_timeout(void **state)
{
	struct tcp_cubic cubic;
	struct tcp_cubic_input input = { 50000, MSS, MSS, 100 * NS_PER_MS, START };
	uint64_t window;

	(void)state;
	tcp_cubic_init(&cubic);
	(void)tcp_cubic_reduce(&cubic, 100000, 100000, MSS);
	tcp_cubic_forget(&cubic);
	window = tcp_cubic_grow(&cubic, &input);
	assert_int_equal(cubic.climb_ms, 0);
	assert_int_equal(cubic.origin, 50000);
	assert_in_range(window, 50000, 50010);
}

/** Section 5.8: ten seconds without enough to send are no ten seconds on the curve. */
static void test_tcp_cubic_unused_time_does_not_count(void **state)
{
	struct pair pair;
	uint64_t before;

	(void)state;
	pair_open(&pair, 1000);
	assert_true(pair_run(&pair, 3.0, 100 * NS_PER_MS, 2000) < 1);
	before = pair.window;
	for (int i = 0; i < 100; i++) {
		pair.now_ns += 100 * NS_PER_MS;
		tcp_cubic_wait(&pair.cubic, pair.now_ns);
	}
	pair.model.epoch += 10;
	assert_true(pair_run(&pair, 0.1, 100 * NS_PER_MS, 2000) < 1);
	assert_in_range(pair.window, before, before + 10 * MSS);
	assert_true(pair_run(&pair, 10.0, 100 * NS_PER_MS, 2000) < 1);
}

/** A loss leaves seven tenths of the window, where NewReno leaves half; a timeout a segment. */
static void test_tcp_cubic_on_a_connection(void **state)
{
	static const struct rig_step begin[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ SEND, .size = 10000 },
		{ CWND, .size = 10000 },
		{ RIG_END },
	};
	static const struct rig_step lose[] = {
		{ SACK, 0, 1001, 10001 },
		{ IN, A, 1, 1 },
		{ BURST },
		{ OUT, A, 1, 1, 1000 },
		{ QUIET },
		{ IN, A, 1, 10001 },
		{ BURST },
		{ CWND, .size = 7000 },
		{ SEND, .size = 7000 },
		{ RIG_END },
	};
	/* The first is a tail loss probe. */
	static const struct rig_step time_out[] = {
		{ WAIT, .size = 3000 },
		{ WAIT, .size = 3000 },
		{ CWND, .size = 1000 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	config.congestion = TCP_CC_CUBIC;
	rig_open(&rig, &config);
	rig_play(&rig, begin);
	rig.out_next = rig.out_count;
	rig_play(&rig, lose);
	assert_int_equal(rig.tcb->cc.cubic.peak, 10000);
	rig_play(&rig, time_out);
	assert_int_equal(rig.tcb->cc.threshold, 4900);
	assert_int_equal(rig.tcb->cc.cubic.peak, 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_cubic_root_is_exact),
		cmocka_unit_test(test_tcp_cubic_k),
		cmocka_unit_test(test_tcp_cubic_follows_the_curve),
		cmocka_unit_test(test_tcp_cubic_large_windows_and_stretched_acks),
		cmocka_unit_test(test_tcp_cubic_friendly_region),
		cmocka_unit_test(test_tcp_cubic_reduction),
		cmocka_unit_test(test_tcp_cubic_after_a_timeout),
		cmocka_unit_test(test_tcp_cubic_unused_time_does_not_count),
		cmocka_unit_test(test_tcp_cubic_on_a_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

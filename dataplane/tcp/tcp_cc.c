/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_cc.h"

#include "base/check.h"

#include "dataplane/tcp/tcp_seq.h"

#include "dataplane/core/hot.h"

#define INITIAL_SEGMENTS 10
#define WINDOW_MAX       (UINT64_C(1) << 30) /* the largest scaled window there is */

/** RFC 6928 section 2 */
static uint64_t initial_window(uint32_t mss)
{
	return MIN(INITIAL_SEGMENTS * (uint64_t)mss, MAX(2 * (uint64_t)mss, UINT64_C(14600)));
}

void tcp_cc_init(struct tcp_cc *cc, enum tcp_cc_algorithm algorithm, uint32_t mss)
{
	CHECK(mss > 0);
	CHECK(algorithm < TCP_CC_ALGORITHM_COUNT);
	*cc = (struct tcp_cc){
		.window = initial_window(mss),
		.threshold = UINT64_MAX,
		.mss = mss,
		.algorithm = (uint8_t)algorithm,
	};
	tcp_newreno_init(&cc->newreno);
}

/** A window that was not filled has proven nothing (RFC 5681 section 4.1, RFC 7661). Judged over two
    rounds: several acknowledgements of one burst come before anything is sent again. */
static void watch(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	if (!cc->has_round || tcp_seq_leq(cc->round_end, ack->una)) {
		cc->has_round = true;
		cc->round_end = ack->nxt;
		cc->flight_peak = cc->flight_now;
		cc->flight_now = 0;
		cc->was_limited = cc->is_limited;
		cc->is_limited = false;
	}
	cc->flight_now = MAX(cc->flight_now, ack->flight);
	cc->flight_peak = MAX(cc->flight_peak, ack->flight);
	cc->is_limited |= ack->flight + cc->mss >= cc->window;
}

/** @return acknowledged bytes that are left for congestion avoidance */
static uint64_t slow_start(struct tcp_cc *cc, uint64_t acked)
{
	/* All bytes count: receivers answer a burst of segments with one acknowledgement. */
	uint64_t step = MIN(acked, cc->threshold - cc->window);

	if (2 * cc->flight_peak < cc->window)
		return 0;
	cc->window += step;
	return acked - step;
}

void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	uint64_t acked = ack->acked;

	watch(cc, ack);
	if (cc->window < cc->threshold)
		acked = slow_start(cc, acked);
	if (acked > 0 && (cc->is_limited || cc->was_limited) && cc->window >= cc->threshold)
		cc->window = tcp_newreno_grow(&cc->newreno, cc->window, cc->mss, acked);
	cc->window = MIN(cc->window, WINDOW_MAX);
}

/** @return the window that is really used: an acknowledgement just taken has emptied a part of it */
static uint64_t used_window(const struct tcp_cc *cc, uint64_t flight)
{
	return MIN(MAX(flight, cc->flight_peak), cc->window);
}

static void reduce(struct tcp_cc *cc, uint64_t flight)
{
	cc->undo = (struct tcp_cc_undo){
		.window = cc->window,
		.threshold = cc->threshold,
		.newreno = cc->newreno,
	};
	cc->threshold = tcp_newreno_reduce(&cc->newreno, used_window(cc, flight), cc->mss);
	cc->flight_peak = cc->flight_now = 0;
	cc->was_limited = cc->is_limited = false;
}

void tcp_cc_on_loss(struct tcp_cc *cc, uint64_t flight, enum tcp_cc_signal signal, int64_t now_ns)
{
	(void)signal;
	(void)now_ns;
	reduce(cc, flight);
	cc->window = cc->threshold;
}

void tcp_cc_on_timeout(struct tcp_cc *cc, uint64_t flight, bool is_first, int64_t now_ns)
{
	(void)now_ns;
	if (is_first)
		reduce(cc, flight);
	cc->window = cc->mss;
}

void tcp_cc_on_idle(struct tcp_cc *cc, int64_t now_ns)
{
	(void)now_ns;
	/* The way back is slow start, to where the window was (RFC 2861 section 3.2). */
	cc->threshold = MAX(cc->threshold, cc->window / 4 * 3);
	cc->window = MIN(cc->window, initial_window(cc->mss));
	tcp_newreno_init(&cc->newreno);
}

void tcp_cc_undo(struct tcp_cc *cc)
{
	if (cc->undo.window == 0)
		return;
	cc->window = MAX(cc->window, cc->undo.window);
	cc->threshold = cc->undo.threshold;
	cc->newreno = cc->undo.newreno;
	cc->undo.window = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_cc.h"

#include "base/check.h"

#include "dataplane/tcp/tcp_seq.h"

#include "dataplane/core/hot.h"

#define INITIAL_SEGMENTS 10
#define WINDOW_MAX       (UINT64_C(1) << 30) /* the largest scaled window there is */
#define TRAIN_SEGMENTS   16U                 /* fewer make no train of acknowledgements */

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
	tcp_hystart_init(&cc->hystart);
	tcp_cubic_init(&cc->cubic);
	tcp_newreno_init(&cc->newreno);
}

/** A window that was not filled has proven nothing (RFC 5681 section 4.1, RFC 7661). Judged over two
    rounds: several acknowledgements of one burst come before anything is sent again.
    @return true: a round ended */
static bool watch(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	bool ends_round = !cc->has_round || tcp_seq_leq(cc->round_end, ack->una);

	if (ends_round) {
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
	return ends_round;
}

/** Only the first slow start, which looks for the threshold, needs HyStart++ (RFC 9406 section 4.3).
    @return bytes to grow by at most */
static uint64_t hystart_step(struct tcp_cc *cc, const struct tcp_cc_ack *ack, bool ends_round)
{
	uint64_t step = ack->acked;
	bool is_full = tcp_hystart_on_train(&cc->hystart, cc->is_paced, ack->now_ns);
	enum tcp_hystart_phase phase = tcp_hystart_on_ack(&cc->hystart, ack->rtt_ns, ends_round);

	/* An owner who writes a little all the time makes a long train, too, of a path that is not
	   used. */
	if (is_full && (cc->is_limited || cc->was_limited) &&
	    cc->window >= TRAIN_SEGMENTS * (uint64_t)cc->mss)
		phase = TCP_HYSTART_OVER;
	if (!cc->is_paced)
		step = MIN(step, TCP_HYSTART_BURST_SEGMENTS * (uint64_t)cc->mss);
	switch (phase) {
	case TCP_HYSTART_FAST:
		break;
	case TCP_HYSTART_CAREFUL:
		step /= TCP_HYSTART_CAREFUL_DIVISOR;
		break;
	case TCP_HYSTART_OVER:
		cc->threshold = cc->window;
		return 0;
	}
	return step;
}

/** @return acknowledged bytes that are left for congestion avoidance */
static uint64_t slow_start(struct tcp_cc *cc, const struct tcp_cc_ack *ack, bool ends_round)
{
	bool is_first = cc->threshold == UINT64_MAX && cc->algorithm == TCP_CC_CUBIC;
	/* All bytes count: receivers answer a burst of segments with one acknowledgement. */
	uint64_t step = is_first ? hystart_step(cc, ack, ends_round) : ack->acked;
	uint64_t end = MIN(cc->threshold, WINDOW_MAX);

	if (ack->is_marked || 2 * cc->flight_peak < cc->window)
		return 0;
	step = cc->window < end ? MIN(step, end - cc->window) : 0;
	cc->window += step;
	return cc->window < cc->threshold ? 0 : ack->acked - step;
}

static void avoid_congestion(struct tcp_cc *cc, const struct tcp_cc_ack *ack, uint64_t acked)
{
	if (cc->algorithm == TCP_CC_NEWRENO) {
		cc->window = tcp_newreno_grow(&cc->newreno, cc->window, cc->mss, acked);
	} else {
		struct tcp_cubic_input input = { .window = cc->window,
						 .acked = acked,
						 .mss = cc->mss,
						 .srtt_ns = ack->srtt_ns,
						 .now_ns = ack->now_ns };

		cc->window = tcp_cubic_grow(&cc->cubic, &input);
	}
}

void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	bool ends_round = watch(cc, ack);
	uint64_t acked = ack->acked;

	if (cc->window < cc->threshold)
		acked = slow_start(cc, ack, ends_round);
	if (cc->window < cc->threshold || acked == 0)
		return;
	if (!ack->is_marked && (cc->is_limited || cc->was_limited))
		avoid_congestion(cc, ack, acked);
	else
		tcp_cubic_wait(&cc->cubic, ack->now_ns);
	cc->window = MIN(cc->window, WINDOW_MAX);
}

/** @return the window that is really used: an acknowledgement just taken has emptied a part of it */
static uint64_t used_window(const struct tcp_cc *cc, uint64_t flight)
{
	return MIN(MAX(flight, cc->flight_peak), cc->window);
}

static void reduce(struct tcp_cc *cc, uint64_t flight)
{
	uint64_t used = used_window(cc, flight);

	cc->undo = (struct tcp_cc_undo){
		.window = cc->window,
		.threshold = cc->threshold,
		.cubic = cc->cubic,
		.newreno = cc->newreno,
	};
	if (cc->algorithm == TCP_CC_NEWRENO)
		cc->threshold = tcp_newreno_reduce(&cc->newreno, used, cc->mss);
	else
		cc->threshold = tcp_cubic_reduce(&cc->cubic, cc->window, used, cc->mss);
	cc->flight_peak = cc->flight_now = 0;
	cc->was_limited = cc->is_limited = false;
}

void tcp_cc_on_loss(struct tcp_cc *cc, uint64_t flight, enum tcp_cc_signal signal, int64_t now_ns)
{
	(void)now_ns; /* CUBIC's clock starts when recovery is over */
	reduce(cc, flight);
	cc->window = cc->threshold;
	if (signal == TCP_CC_ECN)
		cc->undo.window = 0; /* a mark is never a mistake */
}

void tcp_cc_on_timeout(struct tcp_cc *cc, uint64_t flight, bool is_first, int64_t now_ns)
{
	(void)now_ns;
	if (is_first) {
		reduce(cc, flight);
		tcp_cubic_forget(&cc->cubic);
	}
	cc->window = cc->mss;
}

void tcp_cc_on_idle(struct tcp_cc *cc, int64_t now_ns)
{
	(void)now_ns;
	/* The way back is slow start, to where the window was (RFC 2861 section 3.2). */
	cc->threshold = MAX(cc->threshold, cc->window / 4 * 3);
	cc->window = MIN(cc->window, initial_window(cc->mss));
	tcp_hystart_init(&cc->hystart);
	tcp_cubic_restart(&cc->cubic);
	tcp_newreno_init(&cc->newreno);
}

void tcp_cc_undo(struct tcp_cc *cc)
{
	if (cc->undo.window == 0)
		return;
	cc->window = MAX(cc->window, cc->undo.window);
	cc->threshold = cc->undo.threshold;
	cc->cubic = cc->undo.cubic;
	cc->newreno = cc->undo.newreno;
	cc->undo.window = 0;
}

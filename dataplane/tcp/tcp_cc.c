/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_cc.h"

#include "base/check.h"

#include "dataplane/core/hot.h"

#define INITIAL_SEGMENTS 10
#define WINDOW_MAX       (UINT64_C(1) << 30) /* the largest scaled window there is */

/** RFC 6928 section 2 */
static uint64_t initial_window(uint32_t mss)
{
	return MIN(INITIAL_SEGMENTS * (uint64_t)mss, MAX(2 * (uint64_t)mss, UINT64_C(14600)));
}

static uint64_t half_of(const struct tcp_cc *cc, uint64_t flight)
{
	return MAX(flight / 2, 2 * (uint64_t)cc->mss);
}

void tcp_cc_init(struct tcp_cc *cc, uint32_t mss)
{
	CHECK(mss > 0);
	*cc = (struct tcp_cc){
		.window = initial_window(mss),
		.threshold = UINT64_MAX,
		.mss = mss,
	};
}

void tcp_cc_on_ack(struct tcp_cc *cc, uint64_t acked, uint64_t flight)
{
	bool is_slow_start = cc->window < cc->threshold;

	/* A window that was not filled has proven nothing (RFC 5681 section 4.1, RFC 7661). */
	if (is_slow_start ? 2 * flight < cc->window : flight + cc->mss < cc->window)
		return;
	if (is_slow_start) {
		/* All bytes count: receivers answer a burst of segments with one acknowledgement. */
		cc->window += acked;
	} else {
		cc->credit += acked;
		if (cc->credit >= cc->window) {
			cc->credit -= cc->window;
			cc->window += cc->mss;
		}
	}
	cc->window = MIN(cc->window, WINDOW_MAX);
}

void tcp_cc_on_loss(struct tcp_cc *cc, uint64_t flight)
{
	cc->threshold = half_of(cc, flight);
	cc->window = cc->threshold;
	cc->credit = 0;
}

void tcp_cc_on_timeout(struct tcp_cc *cc, uint64_t flight, bool is_first)
{
	if (is_first)
		cc->threshold = half_of(cc, flight);
	cc->window = cc->mss;
	cc->credit = 0;
}

void tcp_cc_on_idle(struct tcp_cc *cc)
{
	cc->window = MIN(cc->window, initial_window(cc->mss));
	cc->credit = 0;
}

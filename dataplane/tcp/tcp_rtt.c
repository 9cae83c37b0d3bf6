/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_rtt.h"

#include "dataplane/core/hot.h"

#define CLOCK_GRANULARITY_NS NS_PER_MS /* of the timestamps */
#define BACKOFF_MAX          16U

void tcp_rtt_init(struct tcp_rtt *rtt, int64_t min_ns)
{
	*rtt = (struct tcp_rtt){ .min_ns = min_ns, .base_ns = MAX(TCP_RTO_INITIAL_NS, min_ns) };
}

void tcp_rtt_sample(struct tcp_rtt *rtt, int64_t rtt_ns)
{
	rtt_ns = MIN(MAX(rtt_ns, INT64_C(1)), TCP_RTO_MAX_NS);
	if (rtt->smoothed_ns == 0) {
		rtt->smoothed_ns = rtt_ns;
		rtt->variation_ns = rtt_ns / 2;
	} else {
		int64_t error = rtt->smoothed_ns - rtt_ns;

		rtt->variation_ns += ((error < 0 ? -error : error) - rtt->variation_ns) / 4;
		rtt->smoothed_ns = MAX(rtt->smoothed_ns - error / 8, INT64_C(1));
	}
	rtt->base_ns = rtt->smoothed_ns + MAX(CLOCK_GRANULARITY_NS, 4 * rtt->variation_ns);
	rtt->base_ns = MIN(MAX(rtt->base_ns, rtt->min_ns), TCP_RTO_MAX_NS);
	rtt->backoff = 0;
}

void tcp_rtt_back_off(struct tcp_rtt *rtt)
{
	rtt->backoff = MIN(rtt->backoff + 1, BACKOFF_MAX);
}

void tcp_rtt_handshake_lost(struct tcp_rtt *rtt)
{
	if (rtt->smoothed_ns == 0)
		rtt->base_ns = MAX(TCP_RTO_SYN_NS, rtt->min_ns);
	rtt->backoff = 0;
}

int64_t tcp_rtt_timeout_ns(const struct tcp_rtt *rtt)
{
	return MIN(rtt->base_ns << rtt->backoff, TCP_RTO_MAX_NS);
}

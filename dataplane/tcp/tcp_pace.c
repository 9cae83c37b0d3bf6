/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_pace.h"

#include "dataplane/core/hot.h"

#define RTT_MIN_NS   NS_PER_MS
#define BURST_SIZE   16384
#define BURST_NS     NS_PER_MS
#define FACTOR_SLOW  20U /* tenths */
#define FACTOR_AVOID 12U

/** @return time that `size` bytes take at the rate */
static int64_t duration_ns(const struct tcp_pace *pace, uint32_t size)
{
	return (int64_t)((uint64_t)pace->rtt_ns * 10 * size / pace->tenth_window);
}

void tcp_pace_init(struct tcp_pace *pace)
{
	*pace = (struct tcp_pace){ 0 };
}

void tcp_pace_begin(struct tcp_pace *pace, uint64_t window, uint64_t threshold, int64_t rtt_ns,
		    int64_t now_ns)
{
	/* Near the threshold the rate goes down before the growth does. */
	uint64_t factor = window < threshold / 2 ? FACTOR_SLOW : FACTOR_AVOID;
	int64_t burst_ns;

	if (rtt_ns < RTT_MIN_NS) {
		pace->tenth_window = 0;
		return;
	}
	pace->tenth_window = window * factor;
	pace->rtt_ns = rtt_ns;
	/* Time that was not used is a burst, no more. */
	burst_ns = MAX(duration_ns(pace, BURST_SIZE), BURST_NS);
	pace->next_ns = MAX(pace->next_ns, now_ns - burst_ns);
}

int64_t tcp_pace_hold_ns(const struct tcp_pace *pace, int64_t now_ns)
{
	if (pace->tenth_window == 0 || pace->next_ns < now_ns)
		return 0;
	return pace->next_ns + BURST_NS; /* then a millisecond's worth goes together */
}

uint32_t tcp_pace_burst(const struct tcp_pace *pace)
{
	uint64_t size;

	if (pace->tenth_window == 0)
		return UINT32_MAX;
	size = pace->tenth_window * BURST_NS / ((uint64_t)pace->rtt_ns * 10);
	return (uint32_t)MIN(MAX(size, (uint64_t)BURST_SIZE), (uint64_t)UINT32_MAX);
}

void tcp_pace_sent(struct tcp_pace *pace, uint32_t size)
{
	if (pace->tenth_window != 0)
		pace->next_ns += duration_ns(pace, size);
}

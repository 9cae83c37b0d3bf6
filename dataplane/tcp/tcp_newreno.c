/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_newreno.h"

#include "dataplane/core/hot.h"

void tcp_newreno_init(struct tcp_newreno *newreno)
{
	*newreno = (struct tcp_newreno){ 0 };
}

uint64_t tcp_newreno_grow(struct tcp_newreno *newreno, uint64_t window, uint32_t mss,
			  uint64_t acked)
{
	newreno->credit += acked;
	if (newreno->credit < window)
		return window;
	newreno->credit -= window;
	return window + mss;
}

uint64_t tcp_newreno_reduce(struct tcp_newreno *newreno, uint64_t flight, uint32_t mss)
{
	newreno->credit = 0;
	return MAX(flight / 2, 2 * (uint64_t)mss);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_nagle.h"

#include "dataplane/core/hot.h"

/** Fewer bytes than a segment with the usual options carries. */
static bool is_short(const struct tcb *tcb, uint32_t size)
{
	return size + (tcb->has_ts ? TCP_OPTIONS_TS_SIZE : 0) < tcb->snd_mss;
}

bool tcp_nagle_allows(const struct tcb *tcb, uint32_t size)
{
	/* A FIN goes with the last bytes: no company will come. */
	if (tcb->is_nodelay || tcb->is_shut || !is_short(tcb, size))
		return true;
	/* The second test tells one that is out from one of half a circle ago. */
	return !tcp_seq_lt(tcb->snd_una, tcb->snd_small) ||
	       tcp_seq_lt(tcb->snd_max, tcb->snd_small);
}

void tcp_nagle_sent(struct tcb *tcb, uint32_t size, uint32_t end)
{
	if (is_short(tcb, size))
		tcb->snd_small = end;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_prr.h"

#include "dataplane/core/hot.h"

void tcp_prr_begin(struct tcp_prr *prr, uint64_t flight)
{
	*prr = (struct tcp_prr){ .flight = MAX(flight, UINT64_C(1)) };
}

void tcp_prr_on_ack(struct tcp_prr *prr, const struct tcp_prr_ack *ack)
{
	uint64_t allowed, credit;

	prr->delivered += ack->delivered;
	credit = prr->delivered > prr->sent ? prr->delivered - prr->sent : 0;
	if (ack->flight > ack->threshold) {
		uint64_t due = (prr->delivered * ack->threshold + prr->flight - 1) / prr->flight;

		allowed = due > prr->sent ? due - prr->sent : 0;
	} else {
		/* No more than arrived, or a segment more while the recovery makes progress. */
		allowed = MAX(credit, ack->delivered) + (ack->is_safe ? ack->mss : 0);
		allowed = MIN(allowed, ack->threshold - ack->flight);
	}
	if (prr->sent == 0)
		allowed = MAX(allowed, (uint64_t)ack->mss); /* the first hole goes at once */
	prr->window = ack->flight + allowed;
}

void tcp_prr_sent(struct tcp_prr *prr, uint64_t size)
{
	prr->sent += size;
}

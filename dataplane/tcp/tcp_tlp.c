/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_tlp.h"

#include "dataplane/core/hot.h"

#define TIMEOUT_INITIAL_NS (1 * NS_PER_S)

int64_t tcp_tlp_timeout_ns(int64_t srtt_ns, bool is_single)
{
	if (srtt_ns == 0)
		return TIMEOUT_INITIAL_NS;
	return MAX(2 * srtt_ns, TCP_TLP_MIN_NS) + (is_single ? TCP_TLP_ACK_DELAY_NS : 0);
}

void tcp_tlp_sent(struct tcp_tlp *tlp, uint32_t end, bool is_resend)
{
	*tlp = (struct tcp_tlp){ .end = end, .is_out = true, .is_resend = is_resend };
}

enum tcp_tlp_verdict tcp_tlp_on_ack(struct tcp_tlp *tlp, const struct tcp_tlp_ack *ack)
{
	enum tcp_tlp_verdict verdict = TCP_TLP_ENDED;
	bool has_duplicate = ack->duplicate.start != ack->duplicate.end;

	if (!tlp->is_out || tcp_seq_lt(ack->ack, tlp->end))
		return TCP_TLP_NOTHING;
	/* Section 7.4.2: both the probe and what it repeated arrived when the peer says so, or when it
	   repeats its acknowledgement; if it says more instead, only one of the two did. */
	if (tlp->is_resend && !(has_duplicate && tcp_seq_lt(ack->duplicate.start, tlp->end) &&
				tcp_seq_leq(tlp->end, ack->duplicate.end))) {
		if (tcp_seq_lt(tlp->end, ack->ack))
			verdict = TCP_TLP_REPAIRED;
		else if (!ack->is_repetition)
			return TCP_TLP_NOTHING;
	}
	tlp->is_out = false;
	return verdict;
}

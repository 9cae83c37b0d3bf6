/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_resend.h"

#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/core/hot.h"

/** Send one segment of [start, end) again. @return false: no buffer */
static bool resend(struct tcb *tcb, uint32_t start, uint32_t end, int64_t now_ns)
{
	uint32_t data_end = tcp_tcb_fin_seq(tcb);
	uint32_t size = tcp_seq_min(data_end, end) - start;
	uint8_t flags = 0;
	int64_t sent;

	size = MIN(size, tcp_tcb_payload_max(tcb));
	if (tcp_seq_lt(data_end, end) && start + size == data_end)
		flags = TCP_FIN;
	sent = tcp_output_segment(tcb, start, size, flags, now_ns);
	if (sent < 0)
		return false;
	end = start + (uint32_t)sent;
	if (flags != 0 && end == data_end)
		end++;
	tcp_recovery_resent(tcb, start, end, now_ns);
	return true;
}

enum tcp_resend tcp_resend_lost(struct tcb *tcb, int64_t now_ns)
{
	if (tcp_frto_asks(&tcb->frto))
		return TCP_RESEND_DONE; /* whether it is lost is being found out */
	for (uint32_t i = 0; i < TCP_SEGMENTS_PER_FLUSH; i++) {
		const struct tcp_sent_range *range = tcp_sent_first_lost(&tcb->sent);
		uint32_t flight = tcp_recovery_flight(tcb), size;

		if (range == NULL) {
			tcb->must_resend = false;
			return TCP_RESEND_DONE;
		}
		size = MIN(range->end - range->start, tcp_tcb_payload_max(tcb));
		if (tcb->snd_wnd == 0 ||
		    (!tcb->must_resend && flight > 0 && flight + size > tcp_recovery_window(tcb)))
			return TCP_RESEND_BLOCKED;
		if (!resend(tcb, range->start, range->end, now_ns))
			return TCP_RESEND_BLOCKED;
		tcb->must_resend = false;
		tcp_timer_probe(tcb, now_ns); /* of what was sent last, nothing else would tell */
	}
	return TCP_RESEND_MORE;
}

bool tcp_resend_last(struct tcb *tcb, int64_t now_ns, uint32_t *ret_end)
{
	const struct tcp_sent_range *range = tcp_sent_last_missing(&tcb->sent);
	uint32_t start, end;

	if (range == NULL)
		return false;
	/* Ranges before it are as good: what counts is that the segment is full. */
	end = range->end;
	start = end - MIN(end - tcb->snd_una, tcp_tcb_payload_max(tcb));
	if (tcb->sent.sacked > 0)
		start = tcp_seq_max(start, range->start);
	if (!resend(tcb, start, end, now_ns))
		return false;
	*ret_end = end;
	return true;
}

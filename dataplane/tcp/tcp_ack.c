/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_ack.h"

#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/core/hot.h"

/** @return true: the blocks told something new */
static bool take_sack_blocks(struct tcb *tcb, const struct tcp_packet *packet)
{
	const struct tcp_options *options = &packet->options;
	bool is_news = false;

	if (!tcb->has_sack)
		return false;
	for (uint32_t i = 0; i < options->sack_count; i++) {
		struct tcp_range block = options->sack[i];

		/* A duplicate report (RFC 2883) lies before the acknowledgement, or is no range. */
		if (!tcp_seq_lt(block.start, block.end) ||
		    !tcp_seq_lt(tcp_seq_max(tcb->snd_una, packet->ack), block.start) ||
		    tcp_seq_lt(tcb->snd_max, block.end))
			continue;
		is_news |= tcp_sacked_add(&tcb->sacked, block.start, block.end);
	}
	return is_news;
}

/** @return the round trip it measured; 0: none */
static int64_t measure(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	int64_t rtt_ns = 0;

	if (tcb->has_ts && packet->options.has_ts) {
		uint32_t ms = tcp_tcb_ts_now(tcb->ts_offset, now_ns) - packet->options.ts_echo;

		if (packet->options.ts_echo != 0 && (int32_t)ms >= 0)
			rtt_ns = MAX(ms * NS_PER_MS, INT64_C(1));
	} else if (tcb->timed_ns != 0 && tcp_seq_leq(tcb->timed_seq, packet->ack)) {
		rtt_ns = MAX(now_ns - tcb->timed_ns, INT64_C(1));
	}
	if (tcp_seq_leq(tcb->timed_seq, packet->ack))
		tcb->timed_ns = 0;
	if (rtt_ns != 0)
		tcp_rtt_sample(&tcb->rtt, rtt_ns);
	return rtt_ns;
}

/** Recovery ends when everything sent before it began is acknowledged; until then each partial
    acknowledgement uncovers the next hole (RFC 6582 section 3.2). */
static void step_recovery(struct tcb *tcb, const struct tcp_cc_ack *ack)
{
	uint32_t acked = (uint32_t)ack->acked;
	bool is_over = tcp_seq_leq(tcb->recover, tcb->snd_una);

	if (tcb->recovery == TCP_RECOVERY_FAST && !is_over) {
		tcb->must_resend = true;
		/* One segment filled the hole, the others are those that the duplicates told of. */
		if (acked > tcb->snd_mss)
			tcb->duplicate_size -= MIN(tcb->duplicate_size, acked - tcb->snd_mss);
		tcb->duplicate_size = MIN(tcb->duplicate_size, tcb->snd_max - tcb->snd_una);
		return;
	}
	if (tcb->recovery != TCP_RECOVERY_FAST)
		tcp_cc_on_ack(&tcb->cc, ack);
	tcb->duplicate_acks = tcb->duplicate_size = 0;
	if (is_over)
		tcb->recovery = TCP_RECOVERY_NONE;
}

/** `ack` is new. @return false: the connection ended */
static bool advance(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	uint32_t acked = packet->ack - tcb->snd_una;
	struct tcp_cc_ack ack = { .acked = acked,
				  .flight = tcb->snd_max - tcb->snd_una,
				  .now_ns = now_ns };
	uint32_t data = (uint32_t)MIN((uint64_t)acked, tcb->queued);

	if (acked > data) {
		CHECK(tcb->is_shut);
		CHECK(acked == data + 1);
		tcb->fin_acked = true;
	}
	ack.rtt_ns = measure(tcb, packet, now_ns);
	ack.srtt_ns = tcb->rtt.smoothed_ns;
	tcb->retries = 0;
	tcb->snd_una = packet->ack;
	tcb->snd_nxt = tcp_seq_max(tcb->snd_nxt, tcb->snd_una);
	tcb->queued -= data;
	if (tcb->queued == 0)
		tcp_timer_clear(tcb, TCP_TIMER_PERSIST);
	tcp_timer_clear(tcb, TCP_TIMER_USER); /* progress */
	tcp_sacked_advance(&tcb->sacked, tcb->snd_una);
	ack.una = tcb->snd_una;
	ack.nxt = tcb->snd_nxt;
	step_recovery(tcb, &ack);
	tcp_timer_retransmit(tcb, now_ns, true);
	tcp_tcb_dirty(tcb);
	if (data > 0)
		tcb->stack->ops.on_acked(tcb->owner, tcb, data);
	return tcb->state != TCP_STATE_CLOSED;
}

/** An acknowledgement of nothing new while bytes are out: a later segment arrived at the peer. */
static void duplicate(struct tcb *tcb, bool is_news, int64_t now_ns)
{
	if (!tcb->has_sack)
		tcb->duplicate_size += MIN((uint32_t)tcb->snd_mss,
					   tcb->snd_max - tcb->snd_una - tcb->duplicate_size);
	tcb->duplicate_acks++;
	tcp_tcb_dirty(tcb); /* limited transmit, or the next hole */
	if (tcb->recovery != TCP_RECOVERY_NONE)
		return;
	if (tcb->duplicate_acks < TCP_DUPLICATE_ACKS &&
	    !(is_news && tcb->sacked.size > (TCP_DUPLICATE_ACKS - 1U) * tcb->snd_mss))
		return;
	tcp_tcb_count(tcb, COUNTER_TCP_FAST_RETRANSMITS);
	tcp_cc_on_loss(&tcb->cc, tcb->snd_max - tcb->snd_una, TCP_CC_LOSS, now_ns);
	tcb->recovery = TCP_RECOVERY_FAST;
	tcb->recover = tcb->snd_max;
	tcb->resend_next = tcb->snd_una;
	tcb->must_resend = true;
}

/** RFC 9293 section 3.10.7.4: only from a segment newer than the last that told. One that is sent
    again has an old number but acknowledges more, so that counts as newer, too. */
static void update_window(struct tcb *tcb, const struct tcp_packet *packet)
{
	uint32_t window = (uint32_t)packet->window << tcb->snd_wscale;

	if (!tcp_seq_lt(tcb->snd_una, packet->ack) && !tcp_seq_lt(tcb->snd_wl1, packet->seq) &&
	    !(tcb->snd_wl1 == packet->seq && tcp_seq_leq(tcb->snd_wl2, packet->ack)))
		return;
	if (tcb->snd_wnd == 0 && window > 0)
		tcb->rtt.backoff = 0; /* it was doubled by probes, not by losses */
	if (window > tcb->snd_wnd)
		tcp_tcb_dirty(tcb);
	tcb->snd_wnd = window;
	tcb->snd_wnd_max = MAX(tcb->snd_wnd_max, window);
	tcb->snd_wl1 = packet->seq;
	tcb->snd_wl2 = packet->ack;
}

void tcp_ack_handshake(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	uint8_t scale = (packet->flags & TCP_SYN) != 0 ? 0 : tcb->snd_wscale;

	CHECK(packet->ack == tcb->iss + 1);
	(void)measure(tcb, packet, now_ns);
	if (tcb->retries > 0)
		tcp_rtt_handshake_lost(&tcb->rtt);
	tcb->retries = 0;
	tcb->snd_una = packet->ack;
	tcb->snd_wnd = tcb->snd_wnd_max = (uint32_t)packet->window << scale;
	tcb->snd_wl1 = packet->seq;
	tcb->snd_wl2 = packet->ack;
	tcp_timer_retransmit(tcb, now_ns, true);
}

bool tcp_ack_input(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	uint32_t window = (uint32_t)packet->window << tcb->snd_wscale;
	bool is_news;

	/* RFC 5961 section 5: neither beyond what was sent nor older than a window. */
	if (tcp_seq_lt(tcb->snd_max, packet->ack) ||
	    tcp_seq_lt(packet->ack, tcb->snd_una - tcb->snd_wnd_max)) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_ACK);
		tcp_output_challenge(tcb, now_ns);
		return false;
	}
	if (tcp_timer_is_set(tcb, TCP_TIMER_PERSIST) || tcb->snd_una == tcb->snd_max)
		tcb->retries = 0; /* the peer is there: probes and keepalives are answered */
	is_news = take_sack_blocks(tcb, packet);
	if (tcp_seq_lt(tcb->snd_una, packet->ack)) {
		update_window(tcb, packet);
		return advance(tcb, packet, now_ns);
	}
	if (packet->ack == tcb->snd_una && tcb->snd_una != tcb->snd_max &&
	    (is_news || (packet->size == 0 && (packet->flags & TCP_FIN) == 0 &&
			 window == tcb->snd_wnd && !tcp_timer_is_set(tcb, TCP_TIMER_PERSIST))))
		duplicate(tcb, is_news, now_ns);
	if (packet->ack == tcb->snd_una)
		update_window(tcb, packet);
	return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_ack.h"

#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/core/hot.h"

/** RFC 2883 section 4: the first block tells of something that came twice when it lies before the
    acknowledgement, or inside the second block. */
static bool is_duplicate(const struct tcb *tcb, const struct tcp_packet *packet)
{
	const struct tcp_range *blocks = packet->options.sack;

	if (tcp_seq_leq(blocks[0].end, packet->ack))
		return tcp_seq_lt(packet->ack - blocks[0].start, tcb->snd_wnd_max);
	return packet->options.sack_count > 1 && tcp_seq_leq(blocks[1].start, blocks[0].start) &&
	       tcp_seq_leq(blocks[0].end, blocks[1].end);
}

/** Note what the peer reports beyond its acknowledgement, and a duplicate. */
static void take_blocks(struct tcb *tcb, const struct tcp_packet *packet,
			struct tcp_recovery_ack *report)
{
	const struct tcp_options *options = &packet->options;

	for (uint32_t i = 0; i < options->sack_count; i++) {
		struct tcp_range block = options->sack[i];

		if (!tcp_seq_lt(block.start, block.end) || tcp_seq_lt(tcb->snd_max, block.end))
			continue;
		if (i == 0 && is_duplicate(tcb, packet))
			report->duplicate = block;
		else if (tcp_seq_lt(tcp_seq_max(tcb->snd_una, packet->ack), block.start))
			tcp_sent_sacked(&tcb->sent, &tcb->stack->sent_pool, block, &report->news);
	}
}

/** Bytes sent at `xmit_ns` were acknowledged. The answer may be to what a timer of ours sent since,
    the one before being lost: then the time until that is no round trip. @return when the round trip
    began, not too early */
static int64_t timed_from(const struct tcb *tcb, int64_t xmit_ns, int64_t now_ns)
{
	/* Sooner after the timer than any round trip: the answer was on its way. */
	if (xmit_ns >= tcb->prompted_ns || now_ns - tcb->prompted_ns < tcp_rack_min_ns(&tcb->rack))
		return xmit_ns;
	return tcb->prompted_ns;
}

/** A round trip is timed by our own clock when it is clear which transmission was answered, else by
    the timestamp that came back, which counts in milliseconds. @return it; 0: none */
static int64_t measure(struct tcb *tcb, const struct tcp_recovery_ack *report, int64_t now_ns)
{
	const struct tcp_sent_news *news = &report->news;
	int32_t ms;

	if (news->first.xmit_ns != 0) {
		tcp_rtt_sample(&tcb->rtt, now_ns - timed_from(tcb, news->oldest_ns, now_ns));
		return MAX(now_ns - news->first.xmit_ns, INT64_C(1));
	}
	if (!report->has_echo || report->cc.acked == 0)
		return 0;
	ms = (int32_t)(tcp_tcb_ts_now(tcb->ts_offset, now_ns) - report->echo);
	/* An echo from before the last transmission: the answer to an earlier one came late, or it was
	   lost and a segment that had arrived before is answered with the old echo. Then it is our own
	   timer that was measured, which would make the next timeout longer still (Karn). */
	if (ms < 0 ||
	    (news->again.xmit_ns != 0 && (ms - 1) * NS_PER_MS > now_ns - news->again.xmit_ns))
		return 0;
	tcp_rtt_sample(&tcb->rtt, MAX(ms, 1) * NS_PER_MS);
	return MAX(ms, 1) * NS_PER_MS;
}

/** `ack` is new: bytes leave the queue. @return bytes of payload among them */
static uint32_t advance(struct tcb *tcb, uint32_t ack, struct tcp_sent_news *news)
{
	uint32_t acked = ack - tcb->snd_una;
	uint32_t data = (uint32_t)MIN((uint64_t)acked, tcb->queued);

	if (acked > data) {
		CHECK(tcb->is_shut);
		CHECK(acked == data + 1);
		tcb->fin_acked = true;
	}
	tcb->retries = 0;
	tcb->snd_una = ack;
	tcb->snd_nxt = tcp_seq_max(tcb->snd_nxt, ack);
	tcb->queued -= data;
	if (tcb->queued == 0)
		tcp_timer_clear(tcb, TCP_TIMER_PERSIST);
	tcp_timer_clear(tcb, TCP_TIMER_USER); /* progress */
	tcp_sent_acked(&tcb->sent, &tcb->stack->sent_pool, ack, news);
	return data;
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
	struct tcp_recovery_ack report = {
		.cc.acked = 1,
		.has_echo = tcb->has_ts && packet->options.has_ts && packet->options.ts_echo != 0,
		.echo = packet->options.ts_echo,
	};

	CHECK(packet->ack == tcb->iss + 1);
	tcp_rack_init(&tcb->rack, packet->ack);
	if (tcb->timed_ns != 0) {
		tcp_rtt_sample(&tcb->rtt, now_ns - tcb->timed_ns);
		tcp_rack_sample(&tcb->rack, now_ns - tcb->timed_ns, now_ns);
		tcb->timed_ns = 0;
	} else {
		(void)measure(tcb, &report, now_ns);
	}
	if (tcb->retries > 0)
		tcp_rtt_handshake_lost(&tcb->rtt);
	tcb->retries = 0;
	tcb->snd_una = packet->ack;
	tcb->recover = tcb->iss;
	tcb->snd_wnd = tcb->snd_wnd_max = (uint32_t)packet->window << scale;
	tcb->snd_wl1 = packet->seq;
	tcb->snd_wl2 = packet->ack;
	tcp_timer_retransmit(tcb, now_ns, true);
}

/** RFC 5681 section 2: nothing but a repetition, because a later segment arrived at the peer. */
static bool is_repetition(const struct tcb *tcb, const struct tcp_packet *packet)
{
	return packet->ack == tcb->snd_una && tcb->snd_una != tcb->snd_nxt && packet->size == 0 &&
	       (packet->flags & TCP_FIN) == 0 && packet->options.sack_count == 0 &&
	       (uint32_t)packet->window << tcb->snd_wscale == tcb->snd_wnd &&
	       !tcp_timer_is_set(tcb, TCP_TIMER_PERSIST);
}

/** @return false: the connection ended in the callback */
static bool process(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	bool is_old = tcp_seq_lt(packet->ack, tcb->snd_una); /* overtaken by a later one */
	struct tcp_recovery_ack report = {
		.cc = { .acked = is_old ? 0 : packet->ack - tcb->snd_una,
			.flight = tcb->snd_nxt - tcb->snd_una,
			.now_ns = now_ns,
			.is_marked = (packet->flags & TCP_ECE) != 0 && tcb->ecn.marks },
		.has_echo = tcb->has_ts && packet->options.has_ts && packet->options.ts_echo != 0,
		.echo = packet->options.ts_echo,
		.is_repetition = is_repetition(tcb, packet),
	};
	uint32_t data = 0;

	if (tcb->has_sack)
		take_blocks(tcb, packet, &report);
	if (!is_old)
		update_window(tcb, packet);
	if (report.cc.acked > 0)
		data = advance(tcb, packet->ack, &report.news);
	else if (report.news.delivered == 0 && !report.is_repetition &&
		 report.duplicate.start == report.duplicate.end)
		return true; /* it only moved the window, or nothing */
	report.cc.rtt_ns = measure(tcb, &report, now_ns);
	report.cc.srtt_ns = tcb->rtt.smoothed_ns;
	report.cc.una = tcb->snd_una;
	report.cc.nxt = tcb->snd_nxt;
	if (report.cc.acked > 0)
		tcp_timer_retransmit(tcb, now_ns, true);
	tcp_recovery_on_ack(tcb, &report, now_ns);
	if (data > 0)
		tcb->stack->ops.on_acked(tcb->owner, tcb, data);
	return tcb->state != TCP_STATE_CLOSED;
}

bool tcp_ack_input(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	/* RFC 5961 section 5: neither beyond what was sent nor older than a window. */
	if (tcp_seq_lt(tcb->snd_max, packet->ack) ||
	    tcp_seq_lt(packet->ack, tcb->snd_una - tcb->snd_wnd_max)) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_ACK);
		tcp_output_challenge(tcb, now_ns);
		return false;
	}
	if (tcp_timer_is_set(tcb, TCP_TIMER_PERSIST) || tcb->snd_una == tcb->snd_nxt)
		tcb->retries = 0; /* the peer is there: probes and keepalives are answered */
	if (!tcp_seq_lt(packet->ack, tcb->snd_una) &&
	    tcp_ecn_ack_in(&tcb->ecn, packet->flags, packet->ack))
		tcp_recovery_on_mark(tcb, now_ns);
	return process(tcb, packet, now_ns);
}

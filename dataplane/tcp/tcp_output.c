/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_output.h"

#include "dataplane/tcp/tcp_nagle.h"
#include "dataplane/tcp/tcp_recovery.h"
#include "dataplane/tcp/tcp_resend.h"
#include "dataplane/tcp/tcp_timer.h"
#include "dataplane/tcp/tcp_tso.h"

#include "dataplane/core/hot.h"

#define WINDOW_FIELD_MAX 65535U
/* Segments sent within this part of a round trip count as sent at once: so few ranges of tcp_sent
   tell of a large window, and no round trip is wrong by more. */
#define SENT_SLACK_PART 128
#define PUSH_SEGMENTS   10 /* a window of fewer is small */

static bool emit(struct tcp_stack *stack, const struct tcp_segment_out *segment)
{
	if (!stack->ops.emit(stack->ctx, segment)) {
		counters_inc(stack->counters, COUNTER_TCP_NO_BUFFER);
		return false;
	}
	counters_add(stack->counters, COUNTER_TCP_SEGMENTS_OUT,
		     segment->mss == 0 ? 1 : (segment->payload_size - 1U) / segment->mss + 1);
	return true;
}

/** @return where the window could end now; the scale rounds it down */
static uint32_t window_candidate(const struct tcb *tcb)
{
	uint32_t space = MIN(tcb->credit, tcb->stack->config.window_max);

	space = space > tcb->kept ? space - tcb->kept : 0;
	space = MIN(space, WINDOW_FIELD_MAX << tcb->rcv_wscale);
	return tcb->rcv_nxt + (space >> tcb->rcv_wscale << tcb->rcv_wscale);
}

/** Receiver's silly window avoidance (RFC 9293 section 3.8.6.2.2): steps smaller than a segment are
    not told, unless the owner's whole room is that small. */
static uint32_t window_step(const struct tcb *tcb)
{
	uint32_t room = MIN(tcb->credit_max, tcb->stack->config.window_max);

	return MAX(MIN((uint32_t)tcb->stack->config.mss, room / 2), 1U);
}

/** Move the offered edge forward if that is worth it. @return window field */
static uint16_t offer_window(struct tcb *tcb)
{
	uint32_t candidate = window_candidate(tcb), scale = tcb->rcv_wscale, field;

	tcb->rcv_edge = tcp_seq_max(tcb->rcv_edge, tcb->rcv_nxt); /* a FIN may pass it */
	if (tcp_seq_lt(tcb->rcv_edge, candidate) && candidate - tcb->rcv_edge >= window_step(tcb))
		tcb->rcv_edge = candidate;
	/* Rounded up: rounding down would take back what was offered (RFC 7323 section 2.4). */
	field = (tcb->rcv_edge - tcb->rcv_nxt + (1U << scale) - 1) >> scale;
	field = MIN(field, WINDOW_FIELD_MAX);
	tcb->rcv_edge = tcp_seq_max(tcb->rcv_edge, tcb->rcv_nxt + (field << scale));
	return (uint16_t)field;
}

bool tcp_output_wants_update(const struct tcb *tcb)
{
	uint32_t candidate = window_candidate(tcb);
	uint32_t room = MIN(tcb->credit_max, tcb->stack->config.window_max);
	uint32_t gain;

	if (tcp_seq_leq(candidate, tcb->rcv_edge))
		return false;
	gain = candidate - tcb->rcv_edge;
	if (tcp_seq_leq(tcb->rcv_edge, tcb->rcv_nxt) && gain >= window_step(tcb))
		return true; /* it was shut */
	return gain >= MAX(MIN(2U * tcb->stack->config.mss, room / 2), 1U);
}

/** Options of any segment but a SYN. */
static void put_options(const struct tcb *tcb, struct tcp_options *options, int64_t now_ns)
{
	if (tcb->has_ts) {
		options->has_ts = true;
		options->ts_value = tcp_tcb_ts_now(tcb->ts_offset, now_ns);
		options->ts_echo = tcb->ts_recent;
	}
	if (tcb->has_sack)
		options->sack_count = (uint8_t)tcp_sack_report(
			&tcb->sack, options->sack, tcb->has_ts ? 3 : TCP_OPTIONS_SACK_MAX);
}

/** Any segment with an ACK clears what is owed. */
static void acked(struct tcb *tcb)
{
	tcb->rcv_acked = tcb->rcv_nxt;
	tcb->ack_now = false;
	tcp_sack_reported(&tcb->sack);
	tcp_timer_clear(tcb, TCP_TIMER_ACK);
}

/** Try again soon: emit() had no buffer. */
static void retry_soon(struct tcb *tcb, int64_t now_ns)
{
	tcp_timer_set(tcb, TCP_TIMER_SEND, now_ns + TCP_SEND_RETRY_NS);
}

int64_t tcp_output_segment(struct tcb *tcb, uint32_t seq, uint32_t size, uint8_t flags,
			   int64_t now_ns)
{
	struct tcp_segment_out segment = { .tcb = tcb };
	struct tcp_packet packet = { .tuple = tcb->tuple, .seq = seq, .ack = tcb->rcv_nxt };
	bool is_new_data = size > 0 && !tcp_seq_lt(seq, tcb->snd_max) &&
			   tcp_seq_leq(seq + size, tcb->snd_una + tcb->snd_wnd);
	uint32_t room;

	put_options(tcb, &packet.options, now_ns);
	packet.flags = flags | TCP_ACK | tcp_ecn_flags(&tcb->ecn, is_new_data);
	packet.window = offer_window(tcb);
	tcp_packet_build(&packet, &segment);
	room = tcb->snd_mss - (segment.header_size - TCP_HEADER_SIZE);
	CHECK(room <= tcb->snd_mss);
	if (size > room && tcp_tso_allows(tcb, &packet)) {
		segment.mss = (uint16_t)room;
	} else if (size > room) {
		size = room;
		segment.header[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	}
	segment.ecn = (uint8_t)tcp_ecn_codepoint(&tcb->ecn, is_new_data);
	segment.payload_size = (uint16_t)size;
	segment.payload_pos = size > 0 ? seq - tcb->snd_una : 0;
	if (!emit(tcb->stack, &segment)) {
		retry_soon(tcb, now_ns);
		return -1;
	}
	acked(tcb);
	tcp_ecn_sent(&tcb->ecn, is_new_data);
	tcp_pace_sent(&tcb->pace, size);
	if (size > 0) {
		counters_add(tcb->stack->counters, COUNTER_TCP_BYTES_OUT, size);
		tcb->sent_ns = now_ns;
	}
	return (int64_t)size;
}

void tcp_output_ack(struct tcb *tcb, int64_t now_ns)
{
	/* The highest number, or the peer would take the window in it for an old one; but inside the
	   peer's window, or it would not look at it. */
	uint32_t seq = tcp_seq_min(tcb->snd_max, tcb->snd_una + tcb->snd_wnd);

	tcb->ack_now = true; /* stays so when there is no buffer */
	(void)tcp_output_segment(tcb, seq, 0, 0, now_ns);
}

void tcp_output_challenge(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->challenge_ns != 0 && now_ns - tcb->challenge_ns < TCP_CHALLENGE_GAP_NS)
		return;
	if (!tcp_limit_take(&tcb->stack->challenges, TCP_ANSWERS_PER_S, now_ns))
		return;
	tcb->challenge_ns = now_ns;
	tcp_tcb_count(tcb, COUNTER_TCP_CHALLENGE_ACKS);
	tcp_output_ack(tcb, now_ns);
}

void tcp_output_syn(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_segment_out segment = { .tcb = tcb };
	bool is_answer = tcb->state == TCP_STATE_SYN_RECEIVED;
	struct tcp_packet packet = {
		.tuple = tcb->tuple,
		.seq = tcb->iss,
		.ack = is_answer ? tcb->rcv_nxt : 0,
		.flags = is_answer ? TCP_SYN | TCP_ACK : TCP_SYN,
		.options = {
			.has_mss = true,
			.mss = tcb->stack->config.mss,
			.has_ts = tcb->has_ts,
			.ts_value = tcp_tcb_ts_now(tcb->ts_offset, now_ns),
			.ts_echo = is_answer ? tcb->ts_recent : 0,
			.sack_permitted = tcb->has_sack,
			.has_wscale = tcb->has_wscale,
			.wscale = tcb->rcv_wscale,
		},
	};
	uint32_t window = MIN(tcb->credit, tcb->stack->config.window_max);

	packet.flags |= is_answer ? tcp_ecn_answer_flags(&tcb->ecn)
				  : tcp_ecn_syn_flags(&tcb->ecn, tcb->was_syn_sent);
	window = MIN(window, WINDOW_FIELD_MAX); /* of a SYN: never scaled (RFC 7323 section 2.2) */
	if (is_answer) {
		tcb->rcv_edge = tcp_seq_max(tcb->rcv_edge, tcb->rcv_nxt + window);
		tcb->rcv_acked = tcb->rcv_nxt;
		window = tcb->rcv_edge - tcb->rcv_nxt; /* an earlier SYN may have offered more */
	} else {
		tcb->rcv_edge = MAX(tcb->rcv_edge, window); /* from rcv_nxt, unknown yet */
		window = tcb->rcv_edge;
	}
	packet.window = (uint16_t)MIN(window, WINDOW_FIELD_MAX);
	tcp_packet_build(&packet, &segment);
	if (!emit(tcb->stack, &segment))
		return; /* its retransmission timer runs */
	/* Karn: a round trip is known only when one was sent. */
	tcb->timed_ns = tcb->was_syn_sent ? 0 : now_ns;
	tcb->was_syn_sent = true;
}

void tcp_output_reset(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_segment_out segment = { .tcb = tcb };
	struct tcp_packet packet = { .tuple = tcb->tuple,
				     .seq = tcb->snd_max,
				     .ack = tcb->rcv_nxt,
				     .flags = TCP_RST | TCP_ACK };

	if (tcb->state == TCP_STATE_SYN_SENT)
		return; /* nobody is there to reset */
	put_options(tcb, &packet.options, now_ns);
	packet.options.sack_count = 0;
	tcp_packet_build(&packet, &segment);
	(void)emit(tcb->stack, &segment); /* best effort: the peer's next segment is refused */
	tcp_tcb_count(tcb, COUNTER_TCP_RESETS_OUT);
}

void tcp_output_window_probe(struct tcb *tcb, int64_t now_ns)
{
	uint32_t size = (uint32_t)MIN(tcb->queued, (uint64_t)MAX(tcb->snd_wnd, 1U));
	int64_t sent;

	CHECK(tcb->queued > 0);
	size = MIN(size, tcp_tcb_payload_max(tcb));
	sent = tcp_output_segment(tcb, tcb->snd_una, size, 0, now_ns);
	if (sent > 0)
		tcb->snd_max = tcp_seq_max(tcb->snd_max, tcb->snd_una + (uint32_t)sent);
}

void tcp_output_keepalive(struct tcb *tcb, int64_t now_ns)
{
	(void)tcp_output_segment(tcb, tcb->snd_una - 1, 0, 0, now_ns);
}

void tcp_output_refuse(struct tcp_stack *stack, const struct tcp_packet *packet, int64_t now_ns)
{
	struct tcp_segment_out segment = { .tcb = NULL };
	struct tcp_packet reset = { .tuple = packet->tuple, .flags = TCP_RST };

	if ((packet->flags & TCP_RST) != 0 ||
	    !tcp_limit_take(&stack->resets, TCP_ANSWERS_PER_S, now_ns))
		return;
	if ((packet->flags & TCP_ACK) != 0) {
		reset.seq = packet->ack;
	} else {
		reset.ack = packet->seq + tcp_packet_length(packet);
		reset.flags |= TCP_ACK;
	}
	tcp_packet_build(&reset, &segment);
	(void)emit(stack, &segment); /* best effort */
	counters_inc(stack->counters, COUNTER_TCP_RESETS_OUT);
}

void tcp_output_timewait(struct tcp_stack *stack, const struct tcp_timewait *timewait,
			 int64_t now_ns)
{
	struct tcp_segment_out segment = { .tcb = NULL };
	struct tcp_packet packet = { .tuple = timewait->tuple,
				     .seq = timewait->snd_nxt,
				     .ack = timewait->rcv_nxt,
				     .window = WINDOW_FIELD_MAX,
				     .flags = TCP_ACK };

	packet.options.has_ts = timewait->has_ts;
	packet.options.ts_value = tcp_tcb_ts_now(timewait->ts_offset, now_ns);
	packet.options.ts_echo = timewait->ts_recent;
	tcp_packet_build(&packet, &segment);
	(void)emit(stack, &segment); /* the peer asks again */
}

enum next { NEXT_NOTHING, NEXT_WINDOW, NEXT_SEND };

/** What follows snd_nxt? @param is_probe  whatever the network holds. @param[out] ret_size  payload */
static enum next next_segment(const struct tcb *tcb, bool is_probe, uint32_t *ret_size)
{
	uint32_t out = tcb->snd_nxt - tcb->snd_una;
	uint64_t unsent = tcb->queued > out ? tcb->queued - out : 0;
	uint32_t window = tcb->snd_wnd > out ? tcb->snd_wnd - out : 0;
	uint32_t flight = tcp_recovery_flight(tcb);
	uint32_t size = (uint32_t)MIN(unsent, (uint64_t)tcp_tcb_payload_max(tcb));

	if (unsent == 0 && (!tcb->is_shut || tcb->fin_acked || out > tcb->queued))
		return NEXT_NOTHING;
	if (size > 0 && window < size) {
		/* Sender's silly window avoidance (RFC 9293 section 3.8.6.2.1) */
		if (window == 0 ||
		    (window < tcb->snd_wnd_max / 2 && window < tcp_tcb_payload_max(tcb)))
			return NEXT_WINDOW;
		size = window;
	}
	if (size > 0 && !is_probe && tcb->snd_nxt == tcb->snd_max && !tcp_nagle_allows(tcb, size))
		return NEXT_NOTHING;
	if (!is_probe && flight > 0 && flight + size > tcp_recovery_window(tcb))
		return NEXT_NOTHING; /* acknowledgements are on their way */
	*ret_size = size;
	return NEXT_SEND;
}

/** Is a segment of so many bytes the last that a small window allows? A peer that waits for a second
    segment before it answers, or its own delay, waits for nothing then; many answer a push sooner. */
static bool ends_small_window(const struct tcb *tcb, uint32_t size)
{
	uint32_t mss = tcp_tcb_payload_max(tcb);
	uint64_t window = tcp_recovery_window(tcb);

	return window < PUSH_SEGMENTS * (uint64_t)mss &&
	       tcp_recovery_flight(tcb) + size + mss > window;
}

/** Send `size` bytes, or a FIN, from snd_nxt. @return false: no buffer */
static bool send_next(struct tcb *tcb, uint32_t size, int64_t now_ns)
{
	bool is_new = !tcp_seq_lt(tcb->snd_nxt, tcb->snd_max);
	struct tcp_range range = { tcb->snd_nxt, tcb->snd_nxt };
	uint8_t flags = 0;
	int64_t sent;

	if (tcb->snd_nxt - tcb->snd_una + size == tcb->queued)
		flags = tcb->is_shut ? TCP_PSH | TCP_FIN : TCP_PSH;
	else if (ends_small_window(tcb, size))
		flags = TCP_PSH;
	if (size == 0)
		flags = TCP_FIN;
	sent = tcp_output_segment(tcb, tcb->snd_nxt, size, flags, now_ns);
	if (sent < 0)
		return false;
	range.end += (uint32_t)sent + ((flags & TCP_FIN) != 0 && (uint32_t)sent == size);
	tcp_sent_push(&tcb->sent, &tcb->stack->sent_pool, range, !is_new, now_ns,
		      tcb->rtt.smoothed_ns / SENT_SLACK_PART);
	if (!is_new)
		tcp_tcb_count(tcb, COUNTER_TCP_RETRANSMITS);
	tcp_prr_sent(&tcb->prr, range.end - range.start);
	tcb->snd_nxt = range.end;
	tcb->snd_max = tcp_seq_max(tcb->snd_max, tcb->snd_nxt);
	if (is_new && (uint32_t)sent == size && size > 0)
		tcp_nagle_sent(tcb, size, tcb->snd_max);
	tcp_timer_clear(tcb, TCP_TIMER_PERSIST);
	tcp_timer_retransmit(tcb, now_ns, false);
	return true;
}

/** @return false: the window allows a segment, its pace does not; a timer is set */
static bool keeps_pace(struct tcb *tcb, int64_t now_ns)
{
	int64_t hold_ns = tcp_pace_hold_ns(&tcb->pace, now_ns);

	if (hold_ns == 0)
		return true;
	tcp_timer_set(tcb, TCP_TIMER_PACE, hold_ns);
	tcp_tcb_count(tcb, COUNTER_TCP_PACED);
	return false;
}

/** Send from snd_nxt. @return false: more could go */
static bool send_queue(struct tcb *tcb, int64_t now_ns)
{
	uint32_t begin = tcb->snd_nxt, size = 0;
	enum next next = NEXT_SEND;

	for (uint32_t i = 0; i < TCP_SEGMENTS_PER_FLUSH && next == NEXT_SEND;
	     i += 1 + size / (tcp_tcb_payload_max(tcb) + 1)) {
		next = next_segment(tcb, false, &size);
		if (next == NEXT_SEND && tcb->stack->config.tso_size > 0)
			size = tcp_tso_size(tcb, size);
		if (next == NEXT_SEND &&
		    (!keeps_pace(tcb, now_ns) || !send_next(tcb, size, now_ns)))
			next = NEXT_NOTHING; /* a timer tries again */
	}
	if (next == NEXT_WINDOW && !tcp_timer_is_set(tcb, TCP_TIMER_RETRANSMIT) &&
	    !tcp_timer_is_set(tcb, TCP_TIMER_PERSIST))
		tcp_timer_set(tcb, TCP_TIMER_PERSIST, now_ns + tcp_rtt_timeout_ns(&tcb->rtt));
	if (tcb->snd_nxt != begin)
		tcp_timer_probe(tcb, now_ns);
	return next != NEXT_SEND;
}

void tcp_output_probe(struct tcb *tcb, int64_t now_ns)
{
	uint32_t size, end;

	tcb->prompted_ns = now_ns;
	if (next_segment(tcb, true, &size) == NEXT_SEND && send_next(tcb, size, now_ns))
		tcp_tlp_sent(&tcb->tlp, tcb->snd_nxt, false);
	else if (tcp_resend_last(tcb, now_ns, &end))
		tcp_tlp_sent(&tcb->tlp, end, true);
}

static bool may_send_data(const struct tcb *tcb)
{
	return tcb->state == TCP_STATE_ESTABLISHED || tcb->state == TCP_STATE_CLOSE_WAIT ||
	       tcb->state == TCP_STATE_FIN_WAIT_1 || tcb->state == TCP_STATE_CLOSING ||
	       tcb->state == TCP_STATE_LAST_ACK;
}

static void send_data(struct tcb *tcb, int64_t now_ns)
{
	enum tcp_resend resend;

	if (tcb->snd_una == tcb->snd_nxt && tcb->sent_ns != 0 &&
	    now_ns - tcb->sent_ns > tcp_rtt_timeout_ns(&tcb->rtt))
		tcp_cc_on_idle(&tcb->cc, now_ns);
	if (tcb->stack->config.has_pacing)
		tcp_pace_begin(&tcb->pace, tcb->cc.window, tcb->cc.threshold,
			       tcp_rack_min_ns(&tcb->rack), now_ns);
	/* What is lost goes before what is new. */
	resend = tcp_resend_lost(tcb, now_ns);
	tcb->arrived = 0;
	if (tcp_frto_asks(&tcb->frto) && resend == TCP_RESEND_DONE) {
		(void)send_queue(tcb, now_ns);
		if (tcb->snd_nxt != tcb->frto.recover)
			return;
		/* Nothing new may go: what is thought lost does (RFC 5682 section 2.1, step 2). */
		tcp_frto_stop(&tcb->frto);
		resend = tcp_resend_lost(tcb, now_ns);
	}
	if (resend == TCP_RESEND_MORE || (resend == TCP_RESEND_DONE && !send_queue(tcb, now_ns)))
		tcp_tcb_dirty(tcb);
}

void tcp_output_flush(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->state <= TCP_STATE_SYN_RECEIVED)
		return;
	tcp_timer_clear(tcb, TCP_TIMER_SEND);
	tcp_timer_clear(tcb, TCP_TIMER_PACE);
	if (may_send_data(tcb))
		send_data(tcb, now_ns);
	if (tcb->rcv_nxt - tcb->rcv_acked >= 2U * tcb->rcv_mss)
		tcb->ack_now = true;
	if (tcb->ack_now || tcp_output_wants_update(tcb))
		tcp_output_ack(tcb, now_ns);
	else if (tcb->rcv_nxt != tcb->rcv_acked && !tcp_timer_is_set(tcb, TCP_TIMER_ACK))
		tcp_timer_set(tcb, TCP_TIMER_ACK, now_ns + TCP_DELAYED_ACK_NS);
}

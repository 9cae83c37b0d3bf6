/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_input.h"

#include "dataplane/tcp/tcp_ack.h"
#include "dataplane/tcp/tcp_listen.h"
#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_receive.h"
#include "dataplane/tcp/tcp_timer.h"
#include "dataplane/tcp/tcp_timewait.h"

#include "dataplane/core/hot.h"

#define FLAGS_AT 13 /* in the header */

/** RFC 5961 section 3: only the exact number resets; one that merely fits the window is asked. The window's
    end fits, too: a peer that has filled it and gives up speaks from there. */
static void input_reset(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	tcp_tcb_count(tcb, COUNTER_TCP_RESETS_IN);
	if (packet->seq == tcb->rcv_nxt && tcb->state != TCP_STATE_DRAINING) {
		tcp_tcb_close(tcb, TCP_CLOSED_RESET);
		return;
	}
	tcp_tcb_count(tcb, COUNTER_TCP_DROP_RESET);
	if (tcp_seq_lt(tcb->rcv_nxt, packet->seq) && tcp_seq_leq(packet->seq, tcb->rcv_edge))
		tcp_output_challenge(tcb, now_ns);
}

/** RFC 7323 section 5.5: after so long the peer's clock may have gone half round. */
static bool is_ts_recent_stale(const struct tcb *tcb, int64_t now_ns)
{
	return now_ns - tcb->ts_recent_ns > TCP_PAWS_IDLE_NS;
}

/** RFC 7323 section 5.3: a segment older than the last is a ghost. @return false: drop it */
static bool is_timely(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	if (!tcb->has_ts)
		return true;
	if (!packet->options.has_ts) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_NO_TIMESTAMP);
		return false;
	}
	if (!tcp_seq_lt(packet->options.ts_value, tcb->ts_recent) ||
	    is_ts_recent_stale(tcb, now_ns))
		return true;
	tcp_tcb_count(tcb, COUNTER_TCP_DROP_PAWS);
	if (tcp_packet_length(packet) > 0) {
		tcb->ack_now = true;
		tcp_tcb_dirty(tcb);
	}
	return false;
}

/** RFC 7323 section 4.3: echo the timestamp of the segment that the next acknowledgement is due to. */
static void take_timestamp(struct tcb *tcb, const struct tcp_packet *packet, uint32_t seq,
			   int64_t now_ns)
{
	if (!tcb->has_ts || tcp_seq_lt(tcb->rcv_acked, seq) ||
	    (tcp_seq_lt(packet->options.ts_value, tcb->ts_recent) &&
	     !is_ts_recent_stale(tcb, now_ns)))
		return;
	tcb->ts_recent = packet->options.ts_value;
	tcb->ts_recent_ns = now_ns;
}

/** Our FIN was acknowledged. */
static void step_fin(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->state == TCP_STATE_FIN_WAIT_1) {
		tcb->state = TCP_STATE_FIN_WAIT_2;
		if (!tcp_timer_is_set(tcb, TCP_TIMER_IDLE))
			tcp_timer_set(tcb, TCP_TIMER_IDLE, now_ns + TCP_FIN_WAIT_IDLE_NS);
	} else if (tcb->state == TCP_STATE_CLOSING || tcb->state == TCP_STATE_LAST_ACK) {
		tcb->state = TCP_STATE_DRAINING;
		tcp_tcb_finish(tcb);
	}
}

/** The last step of the handshake. @return false: dropped, or it ended */
static bool complete_handshake(struct tcb *tcb, struct tcp_packet *packet, int64_t now_ns)
{
	if (packet->ack != tcb->iss + 1) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_ACK);
		tcp_listen_wrong_ack(tcb, packet, now_ns);
		return false;
	}
	tcp_ack_handshake(tcb, packet, now_ns);
	tcp_tcb_establish(tcb);
	return tcb->state != TCP_STATE_CLOSED;
}

static void input_syn_again(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	if (tcb->state == TCP_STATE_SYN_RECEIVED && packet->seq == tcb->irs &&
	    (packet->flags & TCP_ACK) == 0) {
		(void)tcp_ecn_syn_in(&tcb->ecn, packet->flags); /* it may do without now */
		tcp_output_syn(tcb, now_ns);                    /* our answer was lost */
		return;
	}
	if (tcb->state == TCP_STATE_SYN_RECEIVED && packet->seq == tcb->irs &&
	    packet->ack == tcb->iss + 1) {
		/* Simultaneous open: both sent SYN, then both sent SYN with ACK. */
		(void)tcp_ecn_syn_in(&tcb->ecn, packet->flags);
		tcp_ack_handshake(tcb, packet, now_ns);
		tcb->ack_now = true;
		tcp_tcb_establish(tcb);
		return;
	}
	tcp_output_challenge(tcb, now_ns); /* RFC 5961 section 4 */
}

/** A segment before the window: a keepalive, or something sent again because our answer was lost.
    Its numbers show that it is the peer's, so the peer is there. */
static void hear(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	if (tcb->state < TCP_STATE_ESTABLISHED || (packet->flags & TCP_ACK) == 0 ||
	    !tcp_seq_lt(packet->seq, tcb->rcv_nxt) ||
	    tcp_seq_lt(packet->seq, tcb->rcv_nxt - tcb->stack->config.window_max - 1) ||
	    tcp_seq_lt(packet->ack, tcb->snd_una - tcb->snd_wnd_max) ||
	    tcp_seq_lt(tcb->snd_max, packet->ack))
		return;
	tcb->heard_ns = now_ns;
	if (tcb->snd_una == tcb->snd_max)
		tcb->retries = 0;
}

static void input_open(struct tcb *tcb, struct tcp_packet *packet, int64_t now_ns)
{
	uint32_t seq = packet->seq;

	if ((packet->flags & TCP_RST) != 0) {
		input_reset(tcb, packet, now_ns);
		return;
	}
	if ((packet->flags & TCP_SYN) != 0) {
		input_syn_again(tcb, packet, now_ns);
		return;
	}
	if (!is_timely(tcb, packet, now_ns))
		return;
	if (!tcp_receive_trim(tcb, packet, now_ns)) {
		hear(tcb, packet, now_ns);
		return;
	}
	if ((packet->flags & TCP_ACK) == 0) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_NO_ACK);
		return;
	}
	if (tcb->state == TCP_STATE_SYN_RECEIVED && !complete_handshake(tcb, packet, now_ns))
		return;
	if (!tcp_ack_input(tcb, packet, now_ns))
		return;
	tcb->heard_ns = now_ns;
	take_timestamp(tcb, packet, seq, now_ns);
	if (tcb->fin_acked)
		step_fin(tcb, now_ns);
	if (tcb->state != TCP_STATE_CLOSED)
		tcp_receive_input(tcb, packet, now_ns);
}

/** RFC 9293 section 3.10.7.3 */
static void input_syn_sent(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	bool has_ack = (packet->flags & TCP_ACK) != 0;

	if (has_ack && packet->ack != tcb->iss + 1) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_ACK);
		tcp_output_refuse(tcb->stack, packet, now_ns);
		return;
	}
	if ((packet->flags & TCP_RST) != 0) {
		tcp_tcb_count(tcb, COUNTER_TCP_RESETS_IN);
		if (has_ack)
			tcp_tcb_close(tcb, TCP_CLOSED_RESET);
		return;
	}
	if ((packet->flags & TCP_SYN) == 0) {
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_NO_CONNECTION);
		return;
	}
	tcb->irs = packet->seq;
	tcb->rcv_nxt = packet->seq + 1;
	tcb->rcv_edge += tcb->rcv_nxt; /* it was the size of the window offered by our SYN */
	tcb->rcv_acked = packet->seq;
	tcb->heard_ns = now_ns;
	tcp_tcb_agree(tcb, &packet->options);
	(void)tcp_ecn_syn_in(&tcb->ecn, packet->flags);
	if (has_ack) {
		tcp_ack_handshake(tcb, packet, now_ns);
		tcb->ack_now = true;
		tcp_tcb_establish(tcb);
		return;
	}
	tcb->state = TCP_STATE_SYN_RECEIVED; /* simultaneous open */
	tcb->snd_wnd = packet->window;
	tcp_output_syn(tcb, now_ns);
	tcp_timer_retransmit(tcb, now_ns, true);
}

void tcp_input_packet(struct tcb *tcb, struct tcp_packet *packet, int64_t now_ns)
{
	if (tcb->state == TCP_STATE_SYN_SENT)
		input_syn_sent(tcb, packet, now_ns);
	else
		input_open(tcb, packet, now_ns);
}

/**
 * A segment in several buffers is what it was before the port merged it: a segment for each of them,
 * with the same header. The first carries CWR, as RFC 3168 section 6.1.2 has it, the last one FIN.
 */
static void input_pieces(struct tcb *tcb, const struct tcp_segment_in *segment,
			 struct tcp_packet *packet, int64_t now_ns)
{
	const struct tcp_packet first = *packet;
	uint32_t seq = first.seq + first.size;

	tcp_input_packet(tcb, packet, now_ns);
	for (uint32_t i = 0; i < segment->piece_count && tcb->state != TCP_STATE_CLOSED; i++) {
		const struct tcp_segment_piece *piece = &segment->pieces[i];
		struct tcp_packet next = first;

		next.seq = seq;
		next.bytes = piece->bytes;
		next.size = piece->size;
		next.buffer = piece->buffer;
		next.flags &= (uint8_t)~TCP_CWR;
		if (i + 1 == segment->piece_count)
			next.flags |= segment->bytes[FLAGS_AT] & TCP_FIN;
		seq += piece->size;
		tcp_input_packet(tcb, &next, now_ns);
	}
}

void tcp_input(struct tcp_stack *stack, const struct tcp_segment_in *segment, int64_t now_ns)
{
	struct tcp_packet packet;
	uint32_t id;

	tcp_tcb_enter(stack, now_ns);
	counters_inc(stack->counters, COUNTER_TCP_SEGMENTS_IN);
	if (tcp_packet_parse(segment, &packet) != 0) {
		counters_inc(stack->counters, COUNTER_TCP_DROP_MALFORMED);
		tcp_tcb_leave(stack);
		return;
	}
	if (unlikely(segment->piece_count > 0))
		packet.flags &= (uint8_t)~TCP_FIN; /* the last one's */
	id = tcp_table_find(&stack->table, &packet.tuple);
	if (id == TCP_TABLE_NONE)
		tcp_listen_input(stack, &packet, now_ns);
	else if (id < stack->config.connections_max && likely(segment->piece_count == 0))
		tcp_input_packet(&stack->tcbs[id], &packet, now_ns);
	else if (id < stack->config.connections_max)
		input_pieces(&stack->tcbs[id], segment, &packet, now_ns);
	else
		tcp_timewait_input(stack,
				   &stack->timewait_nodes[id - stack->config.connections_max],
				   &packet, now_ns);
	tcp_tcb_leave(stack);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_receive.h"

#include <errno.h>

#include "dataplane/tcp/tcp_output.h"

#include "dataplane/core/hot.h"

#define PIECES_SHARE   4 /* of what is spare, for one connection */
#define PIECES_RESERVE 8 /* an eighth of all is for what comes out of order */

/** An answer that the peer must get when it repeats itself, but not a reason for endless ping-pong. */
static void answer(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	if (tcp_packet_length(packet) > 0) {
		tcb->ack_now = true;
		tcp_tcb_dirty(tcb);
		return;
	}
	tcp_output_challenge(tcb, now_ns);
}

bool tcp_receive_trim(struct tcb *tcb, struct tcp_packet *packet, int64_t now_ns)
{
	uint32_t end = packet->seq + tcp_packet_length(packet);
	uint32_t edge = tcp_seq_max(tcb->rcv_edge, tcb->rcv_nxt);

	/* An empty segment may lie at the very edge: its sender has filled the window. A FIN takes no
	   room and may lie there too. */
	if (tcp_seq_lt(edge, packet->seq) ||
	    (tcp_packet_length(packet) > 0 ? tcp_seq_leq(end, tcb->rcv_nxt)
					   : tcp_seq_lt(end, tcb->rcv_nxt))) {
		if (packet->size > 0 && tcp_seq_leq(end, tcb->rcv_nxt) && tcb->has_sack)
			tcp_sack_duplicate(&tcb->sack, packet->seq, packet->seq + packet->size);
		tcp_tcb_count(tcb, COUNTER_TCP_DROP_WINDOW);
		answer(tcb, packet, now_ns);
		return false;
	}
	if (tcp_seq_lt(packet->seq, tcb->rcv_nxt)) {
		uint32_t before = tcb->rcv_nxt - packet->seq;

		if (tcb->has_sack)
			tcp_sack_duplicate(&tcb->sack, packet->seq, tcb->rcv_nxt);
		CHECK(before <= packet->size);
		packet->bytes += before;
		packet->size -= before;
		packet->seq = tcb->rcv_nxt;
		tcb->ack_now = true;
		tcp_tcb_dirty(tcb);
	}
	if (tcp_seq_lt(edge, packet->seq + packet->size)) {
		counters_add(tcb->stack->counters, COUNTER_TCP_DROP_BEYOND_WINDOW,
			     packet->seq + packet->size - edge);
		packet->size = edge - packet->seq;
		packet->flags &= (uint8_t)~TCP_FIN;
		tcb->ack_now = true;
		tcp_tcb_dirty(tcb);
	}
	return true;
}

/** @return bytes the owner took of [size]; it is blocked when that is fewer */
static uint32_t offer(struct tcb *tcb, const uint8_t *bytes, uint32_t size)
{
	size_t taken;

	tcb->is_offering = true;
	tcb->is_resumed = false;
	taken = tcb->stack->ops.on_data(tcb->owner, tcb, bytes, size);
	tcb->is_offering = false;
	CHECK(taken <= size);
	/* A tcp_resume() from inside counts when there was progress: else this would never end. */
	tcb->is_blocked = taken < size && !(tcb->is_resumed && taken > 0);
	return (uint32_t)taken;
}

void tcp_receive_offer(struct tcb *tcb)
{
	struct tcp_piece *piece;

	if (tcb->is_offering)
		return;
	while (!tcb->is_blocked && (piece = tcp_ranges_ready(&tcb->ranges)) != NULL) {
		uint32_t taken = offer(tcb, piece->bytes, piece->size);

		if (tcb->state == TCP_STATE_CLOSED)
			return;
		CHECK(tcb->kept >= taken);
		tcb->kept -= taken;
		tcp_ranges_consume(&tcb->ranges, &tcb->stack->pieces, taken);
	}
	if (tcb->fin_taken && tcb->kept == 0 && !tcb->eof_told) {
		tcb->eof_told = true;
		tcb->stack->ops.on_eof(tcb->owner, tcb);
		if (tcb->state != TCP_STATE_CLOSED)
			tcp_tcb_finish(tcb);
	}
}

static void refuse(struct tcb *tcb, uint32_t size)
{
	counters_add(tcb->stack->counters, COUNTER_TCP_DROP_NO_PIECE, size);
	tcb->ack_now = true;
}

/*
 * Pieces a connection may have: its full number while half of all are spare, then a share of these.
 * Connections whose owner takes nothing leave the last of them to those that lost a segment.
 */
static uint32_t early_max(const struct tcp_stack *stack)
{
	uint32_t spare = stack->pieces.spare_count;

	if (spare > stack->config.held_pieces_max / 2)
		return stack->pieces_max;
	return MIN(stack->pieces_max, spare / PIECES_SHARE + 1);
}

static uint32_t refused_max(const struct tcp_stack *stack)
{
	if (stack->pieces.spare_count <= stack->config.held_pieces_max / PIECES_RESERVE)
		return 0;
	return early_max(stack);
}

/** Whether a segment at `seq` only lengthens the block that is reported first. */
static bool is_next_of_newest(const struct tcb *tcb, uint32_t seq)
{
	return tcb->sack.count > 0 && tcb->sack.blocks[0].end == seq;
}

static void take_early(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	struct tcp_stack *stack = tcb->stack;
	uint32_t end = packet->seq + packet->size;
	struct tcp_piece piece = { .bytes = packet->bytes,
				   .buffer = packet->buffer,
				   .seq = packet->seq,
				   .size = packet->size };
	int error = packet->buffer == NULL ? -ENOBUFS
					   : tcp_ranges_insert(&tcb->ranges, &stack->pieces, &piece,
							       early_max(stack));
	bool is_next = is_next_of_newest(tcb, packet->seq);

	counters_inc(stack->counters, COUNTER_TCP_OUT_OF_ORDER);
	if (error == 0) {
		stack->ops.hold(stack->ctx, packet->buffer);
		tcp_sack_add(&tcb->sack, packet->seq, end);
	} else if (error == -EEXIST) {
		tcp_sack_duplicate(&tcb->sack, packet->seq, end);
		tcp_sack_add(&tcb->sack, packet->seq, end); /* held: the block that contains it */
	} else {
		refuse(tcb, packet->size);
	}
	/* At once and for each (RFC 5681 section 4.2), since the sender may count them. To one that reads
	   blocks, the last of a train behind the same hole says what all of them would: when all are
	   taken, one acknowledgement goes at the end of the burst. */
	if (tcb->has_sack && is_next && error == 0)
		tcb->ack_now = true;
	else
		tcp_output_ack(tcb, now_ns);
}

/** Early pieces that rcv_nxt has reached are in order now. */
static void absorb(struct tcb *tcb)
{
	uint32_t next = tcp_ranges_absorb(&tcb->ranges, &tcb->stack->pieces, tcb->rcv_nxt);

	tcb->kept += next - tcb->rcv_nxt;
	tcb->rcv_nxt = next;
	tcp_sack_advance(&tcb->sack, next);
	tcb->ack_now = true;
}

/** Offer in place what arrived in order; keep what the owner leaves. @return false: it ended */
static bool take_in_order(struct tcb *tcb, const struct tcp_packet *packet)
{
	struct tcp_stack *stack = tcb->stack;
	uint32_t taken = 0;
	bool fills_hole = !list_is_empty(&tcb->ranges.early);

	if (!tcb->is_blocked && tcb->kept == 0) {
		taken = offer(tcb, packet->bytes, packet->size);
		if (tcb->state == TCP_STATE_CLOSED)
			return false;
	}
	tcb->rcv_nxt += taken;
	if (taken < packet->size) {
		struct tcp_piece piece = { .bytes = packet->bytes + taken,
					   .buffer = packet->buffer,
					   .seq = packet->seq + taken,
					   .size = packet->size - taken };

		if (packet->buffer == NULL ||
		    tcp_ranges_push_ready(&tcb->ranges, &stack->pieces, &piece,
					  refused_max(stack)) != 0) {
			refuse(tcb, piece.size);
		} else {
			stack->ops.hold(stack->ctx, packet->buffer);
			tcb->kept += piece.size;
			tcb->rcv_nxt += piece.size;
		}
	}
	if (fills_hole)
		absorb(tcb);
	tcp_receive_offer(tcb);
	return tcb->state != TCP_STATE_CLOSED;
}

/** RFC 9293 section 3.10.7.4, eighth: the peer's FIN is next in order. */
static void take_fin(struct tcb *tcb)
{
	tcb->fin_taken = true;
	tcb->rcv_nxt++;
	tcb->ack_now = true;
	if (tcb->state == TCP_STATE_ESTABLISHED) {
		tcb->state = TCP_STATE_CLOSE_WAIT;
	} else {
		tcb->fin_first = true;
		tcb->state =
			tcb->state == TCP_STATE_FIN_WAIT_1 ? TCP_STATE_CLOSING : TCP_STATE_DRAINING;
	}
	tcp_receive_offer(tcb);
}

void tcp_receive_input(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns)
{
	if (tcb->fin_taken)
		return; /* nothing follows a FIN */
	if (packet->size > 0) {
		counters_add(tcb->stack->counters, COUNTER_TCP_BYTES_IN, packet->size);
		if (packet->ecn == TCP_ECN_CE)
			tcp_tcb_count(tcb, COUNTER_TCP_ECN_MARKED);
		tcb->ack_now |= tcp_ecn_data_in(&tcb->ecn, packet->flags, packet->ecn);
		if (packet->size > tcb->rcv_mss)
			tcb->rcv_mss =
				(uint16_t)MIN(packet->size, (uint32_t)tcb->stack->config.mss);
		tcp_tcb_dirty(tcb);
		if (packet->seq != tcb->rcv_nxt)
			take_early(tcb, packet, now_ns);
		else if (!take_in_order(tcb, packet))
			return;
	}
	if ((packet->flags & TCP_FIN) != 0 && !tcb->has_peer_fin) {
		tcb->has_peer_fin = true;
		tcb->rcv_fin = packet->seq + packet->size;
	}
	if (tcb->has_peer_fin && tcb->rcv_fin == tcb->rcv_nxt) {
		tcp_tcb_dirty(tcb);
		take_fin(tcb);
	} else if ((packet->flags & TCP_FIN) != 0 && packet->size == 0) {
		tcp_output_ack(tcb, now_ns); /* a FIN before its time is out of order, too */
	}
}

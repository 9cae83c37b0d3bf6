/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Plays a table of steps against one stack: segments in, segments expected out, time, owner's calls.
 * Sequence numbers are relative: the peer's to its SYN, ours to our SYN.
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

#include "cm.h"

#define RIG_PEER     0x0a000002U
#define RIG_SELF     0x0a000001U
#define RIG_PORT     9092
#define RIG_PEER_ISN 0xfffffff0U /* wraps soon */
#define RIG_OUT_MAX  128
#define RIG_MSS      1000

#define S  TCP_SYN
#define A  TCP_ACK
#define F  TCP_FIN
#define R  TCP_RST
#define P  TCP_PSH
#define SA (TCP_SYN | TCP_ACK)
#define FA (TCP_FIN | TCP_ACK)
#define PA (TCP_PSH | TCP_ACK)
#define RA (TCP_RST | TCP_ACK)

enum rig_do {
	RIG_END,
	IN,     /* flags, seq, ack, size, window */
	OUT,    /* flags (PSH ignored), seq, ack, size: the next segment sent */
	SACKED, /* seq .. ack: the last OUT has this block at index `size` */
	WINDOW, /* size: the last OUT offers this many bytes, scaled */
	QUIET,  /* nothing else was sent */
	WAIT,   /* size: milliseconds, then tcp_poll() */
	BURST,  /* tcp_burst_end() */
	SEND,   /* size */
	TAKE,   /* size: on_data takes this many bytes in all from now on */
	RESUME,
	CREDIT, /* size */
	SHUT,
	ABORT,
	GOT,    /* size: bytes the owner took since the start */
	ACKED,  /* size: bytes acknowledged to the owner since the start */
	EOF_IS, /* size: 0 or 1 */
	STATE,  /* size: enum tcp_state */
	CLOSED, /* size: enum tcp_close_reason */
	HELD,   /* size: buffers held */
	NOBUF,  /* size: emit() fails that many times */
	TS,     /* size: peer's timestamps run at this value; 0: none are sent */
	SACK, /* seq .. ack: the next IN carries this SACK block (our numbers); several: in order */
	ECHO, /* size: the next IN echoes our timestamp of so many milliseconds ago */
	FLIGHT, /* size: bytes thought to be in the network */
	CWND,   /* size: bytes of congestion window */
	ECN,    /* size: these two bits of the IP header went with the last OUT */
	MARK,   /* size: these come with the next IN */
	MERGE,  /* size: the next IN's payload lies in so many buffers */
};

struct rig_step {
	enum rig_do what;
	uint32_t flags, seq, ack, size, window;
};

#define RIG_PIECES_MAX 16

struct rig {
	struct tcp_stack *stack;
	struct counters counters;
	int64_t now_ns;
	struct tcp_packet out[RIG_OUT_MAX];
	uint32_t out_count, out_next;
	uint64_t payload_pos[RIG_OUT_MAX];
	struct tcb *tcb;
	uint32_t isn; /* ours */
	uint64_t got, acked, take_max;
	bool has_eof, is_closed, rejects;
	enum tcp_close_reason reason;
	int held;
	uint32_t no_buffer, ts;
	struct tcp_range sack[TCP_OPTIONS_SACK_MAX];
	uint32_t sack_count, echo;
	uint32_t accepted;
	uint8_t bytes[64][2048];
	uint32_t bytes_next;
	bool no_options, no_sack;
	bool echoes;    /* the peer sends our last timestamp back */
	uint8_t wscale; /* the peer's */
	uint32_t ts_echo;
	uint8_t mark;     /* of the network, on the next segment in */
	uint32_t buffers; /* of the next segment in */
	uint16_t port;
};

static inline bool rig_emit(void *ctx, const struct tcp_segment_out *segment)
{
	struct rig *rig = ctx;
	struct tcp_segment_in in = { RIG_SELF, RIG_PEER,    segment->header, segment->header_size,
				     NULL,     segment->ecn };
	struct tcp_packet *packet = &rig->out[rig->out_count];

	if (rig->no_buffer > 0) {
		rig->no_buffer--;
		return false;
	}
	assert_true(rig->out_count < RIG_OUT_MAX);
	assert_int_equal(tcp_packet_parse(&in, packet), 0);
	packet->size = segment->payload_size;
	rig->payload_pos[rig->out_count++] = segment->payload_pos;
	if ((packet->flags & TCP_SYN) != 0)
		rig->isn = packet->seq;
	rig->ts_echo = packet->options.ts_value;
	return true;
}

static inline void *rig_on_accept(void *ctx, struct tcb *tcb)
{
	struct rig *rig = ctx;

	rig->accepted++;
	rig->tcb = tcb;
	return rig->rejects ? NULL : rig;
}

static inline void rig_on_connect(void *owner, struct tcb *tcb)
{
	((struct rig *)owner)->accepted++;
	((struct rig *)owner)->tcb = tcb;
}

static inline size_t rig_on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct rig *rig = owner;
	size_t taken = MIN(rig->take_max, (uint64_t)size);

	(void)tcb;
	for (size_t i = 0; i < taken; i++)
		assert_int_equal(bytes[i], (uint8_t)(rig->got + i));
	rig->got += taken;
	rig->take_max -= taken;
	return taken;
}

static inline void rig_on_eof(void *owner, struct tcb *tcb)
{
	(void)tcb;
	((struct rig *)owner)->has_eof = true;
}

static inline void rig_on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	(void)tcb;
	((struct rig *)owner)->acked += size;
}

static inline void rig_on_close(void *owner, enum tcp_close_reason reason)
{
	struct rig *rig = owner;

	assert_false(rig->is_closed);
	rig->is_closed = true;
	rig->reason = reason;
}

static inline void rig_hold(void *ctx, void *buffer)
{
	(void)buffer;
	((struct rig *)ctx)->held++;
}

static inline void rig_release(void *ctx, void *buffer)
{
	(void)buffer;
	((struct rig *)ctx)->held--;
}

static inline struct tcp_config rig_config(void)
{
	return (struct tcp_config){ .connections_max = 4,
				    .held_pieces_max = 64,
				    .mss = RIG_MSS,
				    .window_max = 20000,
				    .rto_min_ms = 200,
				    .time_wait_ms = 10000,
				    .syn_backlog_max = 2,
				    .congestion = TCP_CC_NEWRENO, /* half is easy to follow */
				    .secret = { 1, 2 } };
}

static inline void rig_open(struct rig *rig, const struct tcp_config *config)
{
	static const struct tcp_ops ops = { rig_emit,     rig_on_accept, rig_on_connect,
					    rig_on_data,  rig_on_eof,    rig_on_acked,
					    rig_on_close, rig_hold,      rig_release };

	memset(rig, 0, sizeof(*rig));
	rig->now_ns = 100 * NS_PER_S;
	rig->take_max = UINT64_MAX;
	rig->port = 1234;
	rig->stack = tcp_stack_new(config, &ops, rig, &rig->counters, rig->now_ns);
	assert_non_null(rig->stack);
	assert_int_equal(tcp_listen(rig->stack, RIG_PORT), 0);
}

static inline void rig_close(struct rig *rig)
{
	tcp_stack_free(rig->stack);
	assert_int_equal(rig->held, 0);
}

/** Payload bytes count up from the stream's start (relative number 1). */
static inline void rig_in(struct rig *rig, const struct rig_step *step)
{
	uint8_t *bytes = rig->bytes[rig->bytes_next++ % 64];
	struct tcp_packet packet = {
		.tuple = { RIG_PEER, RIG_SELF, rig->port, RIG_PORT },
		.seq = RIG_PEER_ISN + step->seq,
		.ack = (step->flags & TCP_ACK) != 0 ? rig->isn + step->ack : 0,
		.flags = (uint8_t)step->flags,
		.window = (uint16_t)(step->window != 0 ? step->window : 60000),
	};
	struct tcp_segment_out out = { 0 };
	struct tcp_segment_in in = { RIG_PEER, RIG_SELF, bytes, 0, bytes, 0 };
	struct tcp_segment_piece pieces[RIG_PIECES_MAX];

	if (step->window == UINT32_MAX)
		packet.window = 0;
	if ((step->flags & TCP_SYN) != 0 && !rig->no_options)
		packet.options = (struct tcp_options){ .has_mss = true,
						       .mss = RIG_MSS,
						       .sack_permitted = !rig->no_sack,
						       .has_wscale = true,
						       .wscale = rig->wscale };
	packet.options.has_ts = rig->ts != 0;
	packet.options.ts_value = rig->ts;
	packet.options.ts_echo = rig->echoes ? rig->ts_echo : rig->echo;
	for (uint32_t i = 0; i < rig->sack_count; i++)
		packet.options.sack[i] = (struct tcp_range){ rig->isn + rig->sack[i].start,
							     rig->isn + rig->sack[i].end };
	packet.options.sack_count = (uint8_t)rig->sack_count;
	rig->sack_count = rig->echo = 0;
	tcp_packet_build(&packet, &out);
	memcpy(bytes, out.header, out.header_size);
	for (uint32_t i = 0; i < step->size; i++)
		bytes[out.header_size + i] = (uint8_t)(step->seq - 1 + i);
	in.size = out.header_size + step->size;
	in.ecn = rig->mark;
	rig->mark = 0;
	/* What a port has merged: the first part beside the header, the others each on its own. */
	for (uint32_t i = 1; i < rig->buffers; i++) {
		uint8_t *other = rig->bytes[rig->bytes_next++ % 64];
		uint32_t from = step->size * i / rig->buffers;
		uint32_t size = step->size * (i + 1) / rig->buffers - from;

		memcpy(other, bytes + out.header_size + from, size);
		memset(bytes + out.header_size + from, 0xdb, size);
		pieces[i - 1] = (struct tcp_segment_piece){ other, size, other };
		in.size -= size;
		in.pieces = pieces;
		in.piece_count = i;
	}
	rig->buffers = 0;
	tcp_input(rig->stack, &in, rig->now_ns);
}

static inline void rig_out(struct rig *rig, const struct rig_step *step, uint32_t line)
{
	const struct tcp_packet *packet = &rig->out[rig->out_next];

	if (rig->out_next == rig->out_count)
		fail_msg("step %u: nothing was sent", line);
	rig->out_next++;
	if ((packet->flags & ~TCP_PSH) != (int)(step->flags & ~TCP_PSH) ||
	    packet->size != step->size ||
	    ((step->flags & TCP_RST) == 0 && packet->seq - rig->isn != step->seq) ||
	    ((step->flags & TCP_ACK) != 0 && packet->ack - RIG_PEER_ISN != step->ack))
		fail_msg("step %u: sent flags %02x seq %u ack %u size %u", line, packet->flags,
			 packet->seq - rig->isn, packet->ack - RIG_PEER_ISN, packet->size);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence of segments, timer runs and owner's calls against live connections: the first byte
 * chooses sizes, then each step is one opcode byte and what it needs. Numbers in segments are given
 * relative to what the connection expects, so that a fuzzer gets past the sequence checks.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

#define STEPS_MAX  512
#define OWNERS_MAX 8

struct fuzz {
	struct tcp_stack *stack;
	struct counters counters;
	struct tcb *tcbs[OWNERS_MAX];
	bool is_shut[OWNERS_MAX];
	struct reader input;
	int64_t now_ns;
	int64_t held;
};

static bool on_emit(void *ctx, const struct tcp_segment_out *segment)
{
	(void)ctx;
	CHECK(segment->header_size >= TCP_HEADER_SIZE && segment->header_size <= 60);
	return true;
}

static void *adopt(struct fuzz *fuzz, struct tcb *tcb)
{
	for (uint32_t i = 0; i < OWNERS_MAX; i++)
		if (fuzz->tcbs[i] == NULL) {
			fuzz->tcbs[i] = tcb;
			fuzz->is_shut[i] = false;
			return &fuzz->tcbs[i];
		}
	return NULL;
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	return adopt(ctx, tcb);
}

static void on_connect(void *owner, struct tcb *tcb)
{
	CHECK(*(struct tcb **)owner == tcb);
}

static size_t on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	CHECK(*(struct tcb **)owner == tcb);
	switch (size > 0 ? bytes[0] & 0x7 : 0) {
	case 1:
		return size / 2;
	case 2:
		tcp_resume(tcb, tcb->stack->now_ns);
		return size / 3;
	case 3:
		tcp_abort(tcb, tcb->stack->now_ns);
		return size;
	case 4:
		return 0;
	default:
		return size;
	}
}

static void on_eof(void *owner, struct tcb *tcb)
{
	CHECK(*(struct tcb **)owner == tcb);
}

static void on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	CHECK(*(struct tcb **)owner == tcb);
	CHECK(size > 0);
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	CHECK(reason < TCP_CLOSED_REASON_COUNT);
	*(struct tcb **)owner = NULL;
}

/** A packet buffer of its own allocation, so that reading past or after it is seen. */
struct buffer {
	uint32_t refs;
	uint8_t bytes[];
};

static void buffer_unref(struct buffer *buffer)
{
	CHECK(buffer->refs > 0);
	if (--buffer->refs == 0)
		free(buffer);
}

static void on_hold(void *ctx, void *buffer)
{
	((struct buffer *)buffer)->refs++;
	((struct fuzz *)ctx)->held++;
}

static void on_release(void *ctx, void *buffer)
{
	buffer_unref(buffer);
	((struct fuzz *)ctx)->held--;
}

static const struct tcp_ops ops = { on_emit,  on_accept, on_connect, on_data,   on_eof,
				    on_acked, on_close,  on_hold,    on_release };

/** One segment: numbers relative to the connection of its port, when there is one. */
static void step_segment(struct fuzz *fuzz)
{
	struct reader *in = &fuzz->input;
	struct tcp_packet packet = { .tuple = { 0x0a000001, 0x0a000002, 9092, 0 } };
	struct tcp_segment_out out = { 0 };
	struct tcp_segment_in segment = { .source_address = 0x0a000002,
					  .destination_address = 0x0a000001 };
	uint16_t port = 1000 + reader_u8(in) % 4;
	const struct tcb *tcb = NULL;
	uint32_t size, id;
	struct buffer *buffer;
	uint8_t *copy, options;

	packet.tuple.peer_port = port;
	id = tcp_table_find(&fuzz->stack->table, &packet.tuple);
	if (id < fuzz->stack->config.connections_max)
		tcb = &fuzz->stack->tcbs[id];
	packet.flags = reader_u8(in) & 0x3f;
	packet.seq = (uint32_t)reader_i16(in) + (tcb != NULL ? tcb->rcv_nxt : 0);
	packet.ack = (uint32_t)reader_i16(in) + (tcb != NULL ? tcb->snd_max : 0);
	packet.window = reader_u16(in);
	options = reader_u8(in);
	packet.options = (struct tcp_options){ .has_mss = options & 1,
					       .has_wscale = options & 2,
					       .has_ts = options & 4,
					       .sack_permitted = options & 8,
					       .wscale = options >> 4,
					       .mss = 500 };
	if (packet.options.has_ts)
		packet.options.ts_value = (tcb != NULL ? tcb->ts_recent : 0) + reader_u8(in);
	if (options & 0x10 && (packet.flags & TCP_SYN) == 0) {
		packet.options.has_mss = packet.options.has_wscale = false;
		packet.options.sack_count = 2;
		for (int i = 0; i < 2; i++) {
			packet.options.sack[i].start = packet.ack + reader_u16(in);
			packet.options.sack[i].end = packet.options.sack[i].start + reader_u16(in);
		}
	}
	size = reader_u8(in) * 6U;
	tcp_packet_build(&packet, &out);
	bytes_store_u16(out.header, port); /* built as if sent by us: turn it round */
	bytes_store_u16(out.header + 2, 9092);
	buffer = malloc(sizeof(*buffer) + out.header_size + size);
	CHECK(buffer != NULL);
	buffer->refs = 1;
	copy = buffer->bytes;
	memcpy(copy, out.header, out.header_size);
	memset(copy + out.header_size, options, size);
	segment.bytes = copy;
	segment.size = out.header_size + size;
	segment.buffer = buffer;
	if (options == 0xee && segment.size > 12)
		copy[12] = (uint8_t)packet.window; /* a lying header length */
	tcp_input(fuzz->stack, &segment, fuzz->now_ns);
	buffer_unref(buffer);
}

static void step_owner(struct fuzz *fuzz, uint8_t what)
{
	uint32_t index = reader_u8(&fuzz->input) % OWNERS_MAX;
	uint32_t size = reader_u16(&fuzz->input);
	struct tcb *tcb = fuzz->tcbs[index];

	if (tcb == NULL)
		return;
	switch (what) {
	case 0:
		if (!fuzz->is_shut[index])
			tcp_send(tcb, size, fuzz->now_ns);
		break;
	case 1:
		tcp_resume(tcb, fuzz->now_ns);
		break;
	case 2:
		tcp_set_credit(tcb, size);
		break;
	case 3:
		fuzz->is_shut[index] = true;
		tcp_shutdown(tcb, fuzz->now_ns);
		break;
	default:
		tcp_abort(tcb, fuzz->now_ns);
	}
}

static void step_connect(struct fuzz *fuzz)
{
	struct tcp_tuple tuple = { 0x0a000001, 0x0a000002, 9092,
				   (uint16_t)(1000 + reader_u8(&fuzz->input) % 4) };
	void *owner = adopt(fuzz, NULL);
	uint32_t index = (uint32_t)((struct tcb **)owner - fuzz->tcbs);

	if (owner != NULL &&
	    tcp_connect(fuzz->stack, &tuple, owner, fuzz->now_ns, &fuzz->tcbs[index]) != 0)
		fuzz->tcbs[index] = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	struct tcp_config config = { .connections_max = 3,
				     .mss = 1460,
				     .rto_min_ms = 200,
				     .time_wait_ms = 1000,
				     .syn_backlog_max = 2,
				     .keepalive_ms = 5000 };

	CHECK(fuzz != NULL);
	reader_init(&fuzz->input, data, size);
	fuzz->now_ns = NS_PER_S;
	config.window_max = 1U + (uint32_t)reader_u8(&fuzz->input) * 500;
	config.held_pieces_max = reader_u8(&fuzz->input) % 32;
	fuzz->stack = tcp_stack_new(&config, &ops, fuzz, &fuzz->counters, fuzz->now_ns);
	CHECK(fuzz->stack != NULL);
	CHECK(tcp_listen(fuzz->stack, 9092) == 0);
	for (int i = 0; i < STEPS_MAX && reader_left(&fuzz->input) > 0; i++) {
		uint8_t what = reader_u8(&fuzz->input) % 16;

		fuzz->now_ns += NS_PER_MS;
		if (what < 8)
			step_segment(fuzz);
		else if (what < 13)
			step_owner(fuzz, what - 8);
		else if (what == 13)
			step_connect(fuzz);
		else if (what == 14)
			tcp_burst_end(fuzz->stack, fuzz->now_ns);
		else
			(void)tcp_poll(fuzz->stack,
				       fuzz->now_ns += reader_u8(&fuzz->input) * 50 * NS_PER_MS);
	}
	tcp_stack_free(fuzz->stack);
	CHECK(fuzz->held == 0);
	free(fuzz);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sequence of segments, timer runs and owner's calls against live connections, in server and client
 * role. A segment is by default what an honest peer would send next (numbers, timestamps, options);
 * each part of it may be changed, so that the fuzzer gets past the checks and then breaks one thing.
 * Any segment may come as a port hands over several that it merged: headers and first bytes in one
 * buffer, more payload in others, some of which nobody can hold.
 *
 * Claim: whatever comes, payload reaches the owner in order and once, an offered window is never taken
 * back, only queued bytes are sent and acknowledged, counts and memory stay within their limits. What is
 * next in order, within the window and finds room is taken to its last buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

#define STEPS_MAX   512
#define PORTS       8U
#define PORT_FIRST  1000U
#define FLOOD_FIRST 2000U
#define CONNECTIONS 6U
#define SELF        0x0a000001U
#define PEER        0x0a000002U
#define LISTENER    9092
#define PIECES_MAX  7U
#define MERGE_FIRST 250 /* a step from here on says how the next segments are merged */

/** What an honest peer knows of one port. */
struct peer {
	uint32_t next;    /* its next sequence number, before there is a connection */
	uint32_t out_end; /* end of what it last got */
	uint32_t old_end; /* that of before the last SYN */
	uint32_t ts;      /* timestamp of that */
};

struct owner {
	struct tcb *tcb;
	uint64_t sent, acked; /* bytes of the output queue: all, acknowledged */
	uint32_t next;        /* of the input */
	bool is_open, is_shut, has_eof;
};

struct fuzz {
	struct tcp_stack *stack;
	struct counters counters;
	struct reader input;
	struct owner owners[CONNECTIONS];
	struct peer peers[PORTS];
	uint32_t edges[CONNECTIONS], edge_iss[CONNECTIONS]; /* offered by each tcb */
	int64_t now_ns;
	uint32_t held, no_buffer;
	uint32_t sent_ranges; /* of the pool */
	/* further buffers of the next segments */
	uint16_t piece_sizes[PIECES_MAX];
	uint32_t piece_count, merges_left;
	bool is_unheld; /* they, and the first, cannot be held */
};

/** A packet buffer of its own allocation, so that reading past or after it is seen. */
struct buffer {
	uint32_t refs;
	uint8_t bytes[];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The byte at a sequence number. */
static uint8_t pattern(uint32_t seq)
{
	return (uint8_t)(seq * 0x9e3779b1U >> 24);
}

static void check_window(struct fuzz *fuzz, const struct tcb *tcb, const struct tcp_packet *packet)
{
	uint32_t index = (uint32_t)(tcb - fuzz->stack->tcbs), edge;

	if ((packet->flags & (TCP_RST | TCP_ACK)) != TCP_ACK)
		return;
	edge = packet->window;
	edge = packet->ack + ((packet->flags & TCP_SYN) != 0 ? edge : edge << tcb->rcv_wscale);
	if (fuzz->edge_iss[index] == tcb->iss) {
		/* A SYN again after a scaled window was told cannot say so much. */
		if ((packet->flags & TCP_SYN) != 0 && packet->window == UINT16_MAX)
			return;
		CHECK(tcp_seq_leq(fuzz->edges[index], edge));
	}
	fuzz->edges[index] = edge;
	fuzz->edge_iss[index] = tcb->iss;
}

static bool on_emit(void *ctx, const struct tcp_segment_out *segment)
{
	struct tcp_segment_in in = { .bytes = segment->header, .size = segment->header_size };
	const struct owner *owner = segment->tcb != NULL ? tcp_owner(segment->tcb) : NULL;
	uint32_t port = segment->tuple.peer_port - PORT_FIRST;
	struct tcp_packet packet;
	struct fuzz *fuzz = ctx;

	CHECK(segment->header_size >= TCP_HEADER_SIZE && segment->header_size <= 60);
	CHECK(tcp_packet_parse(&in, &packet) == 0);
	if (fuzz->no_buffer > 0) {
		fuzz->no_buffer--;
		return false;
	}
	if (segment->payload_size > 0) {
		CHECK(owner != NULL);
		CHECK(segment->payload_pos + segment->payload_size <= owner->sent - owner->acked);
		CHECK(segment->payload_size + segment->header_size - TCP_HEADER_SIZE <=
		      segment->tcb->snd_mss);
	}
	if (segment->tcb != NULL)
		check_window(fuzz, segment->tcb, &packet);
	if (port < PORTS) {
		struct peer *peer = &fuzz->peers[port];

		if ((packet.flags & TCP_SYN) != 0)
			peer->old_end = peer->out_end;
		peer->out_end = packet.seq + segment->payload_size + tcp_packet_length(&packet);
		peer->ts = packet.options.ts_value;
	}
	return true;
}

static struct owner *adopt(struct fuzz *fuzz, struct tcb *tcb)
{
	for (uint32_t i = 0; i < CONNECTIONS; i++)
		if (fuzz->owners[i].tcb == NULL) {
			fuzz->owners[i] = (struct owner){ .tcb = tcb };
			return &fuzz->owners[i];
		}
	return NULL;
}

static struct fuzz *fuzz_of(struct tcb *tcb)
{
	return tcb->stack->ctx;
}

static void send_some(struct fuzz *fuzz, struct owner *owner, uint32_t size)
{
	if (owner->tcb == NULL || owner->is_shut)
		return;
	owner->sent += size;
	tcp_send(owner->tcb, size, fuzz->now_ns);
}

static void shut(struct fuzz *fuzz, struct owner *owner)
{
	owner->is_shut = true;
	tcp_shutdown(owner->tcb, fuzz->now_ns);
}

/** What an owner may do inside a callback. */
static void act(struct fuzz *fuzz, struct owner *owner, uint8_t what)
{
	switch (what % 16) {
	case 1:
		tcp_resume(owner->tcb, fuzz->now_ns);
		break;
	case 2:
		tcp_abort(owner->tcb, fuzz->now_ns);
		break;
	case 3:
		send_some(fuzz, owner, what * 40U);
		break;
	case 4:
		shut(fuzz, owner);
		break;
	case 5:
		tcp_set_credit(owner->tcb, what * 100U);
		break;
	case 6:
		tcp_set_nodelay(owner->tcb, (what & 16) != 0);
		break;
	default:
		break;
	}
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	struct fuzz *fuzz = ctx;
	uint8_t what = reader_u8(&fuzz->input);
	struct owner *owner;

	if (what == 0xff)
		return NULL;
	owner = adopt(fuzz, tcb);
	CHECK(owner != NULL);
	owner->is_open = true;
	owner->next = tcb->irs + 1;
	return owner;
}

static void on_connect(void *opaque, struct tcb *tcb)
{
	struct owner *owner = opaque;

	CHECK(owner->tcb == tcb && !owner->is_open);
	owner->is_open = true;
	owner->next = tcb->irs + 1;
	act(fuzz_of(tcb), owner, reader_u8(&fuzz_of(tcb)->input));
}

static size_t on_data(void *opaque, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct owner *owner = opaque;
	struct fuzz *fuzz = fuzz_of(tcb);
	uint8_t what = reader_u8(&fuzz->input);
	size_t taken = (what & 0x80) == 0 ? size : (what & 0x40) != 0 ? size / 2 : 0;

	CHECK(owner->tcb == tcb && !owner->has_eof);
	for (size_t i = 0; i < size; i++)
		CHECK(bytes[i] == pattern(owner->next + (uint32_t)i));
	owner->next += (uint32_t)taken;
	act(fuzz, owner, what);
	return taken;
}

static void on_eof(void *opaque, struct tcb *tcb)
{
	struct owner *owner = opaque;

	CHECK(owner->tcb == tcb && !owner->has_eof);
	owner->has_eof = true;
	act(fuzz_of(tcb), owner, reader_u8(&fuzz_of(tcb)->input));
}

static void on_acked(void *opaque, struct tcb *tcb, uint64_t size)
{
	struct owner *owner = opaque;

	CHECK(owner->tcb == tcb && size > 0);
	owner->acked += size;
	CHECK(owner->acked <= owner->sent);
	act(fuzz_of(tcb), owner, reader_u8(&fuzz_of(tcb)->input));
}

static void on_close(void *opaque, enum tcp_close_reason reason)
{
	struct owner *owner = opaque;

	CHECK(reason < TCP_CLOSED_REASON_COUNT && owner->tcb != NULL);
	CHECK(reason != TCP_CLOSED_NORMAL || !owner->is_open || owner->acked == owner->sent);
	owner->tcb = NULL;
}

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

/** @return the connection of a port; NULL: none, or TIME-WAIT */
static const struct tcb *find(const struct fuzz *fuzz, uint16_t port)
{
	const struct tcp_tuple tuple = { SELF, PEER, LISTENER, port };
	uint32_t id = tcp_table_find(&fuzz->stack->table, &tuple);

	return id < fuzz->stack->config.connections_max ? &fuzz->stack->tcbs[id] : NULL;
}

/** The segment that an honest peer would send, with an acknowledgement of all. */
static struct tcp_packet honest(const struct fuzz *fuzz, uint16_t port, uint8_t flags)
{
	const struct peer *peer = &fuzz->peers[(port - PORT_FIRST) % PORTS];
	const struct tcb *tcb = find(fuzz, port);
	struct tcp_packet packet = { .tuple = { SELF, PEER, LISTENER, port },
				     .flags = flags,
				     .window = 60000 };
	bool is_syn = (flags & TCP_SYN) != 0;

	packet.seq = tcb != NULL && tcb->state != TCP_STATE_SYN_SENT ? tcb->rcv_nxt : peer->next;
	packet.ack = peer->out_end;
	packet.options.has_ts = is_syn || (tcb != NULL ? tcb->has_ts : peer->ts != 0);
	packet.options.ts_value = (uint32_t)(fuzz->now_ns / NS_PER_MS);
	packet.options.ts_echo = peer->ts;
	packet.options.has_mss = packet.options.has_wscale = packet.options.sack_permitted = is_syn;
	packet.options.mss = 1460;
	packet.options.wscale = 3;
	return packet;
}

static struct buffer *new_buffer(uint32_t size)
{
	struct buffer *buffer = calloc(1, sizeof(*buffer) + size);

	CHECK(buffer != NULL);
	buffer->refs = 1;
	return buffer;
}

/** What a port merged behind a segment, each in memory of its own. @return bytes of payload */
static uint32_t add_pieces(struct fuzz *fuzz, uint32_t seq, struct tcp_segment_piece *pieces,
			   struct buffer **buffers)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < fuzz->piece_count; i++) {
		uint32_t size = fuzz->piece_sizes[i];

		buffers[i] = new_buffer(size);
		for (uint32_t j = 0; j < size; j++)
			buffers[i]->bytes[j] = pattern(seq + at + j);
		pieces[i] =
			(struct tcp_segment_piece){ .bytes = buffers[i]->bytes,
						    .size = size,
						    .buffer = fuzz->is_unheld ? NULL : buffers[i] };
		at += size;
	}
	return at;
}

static uint64_t refused(const struct fuzz *fuzz)
{
	return counters_get(&fuzz->counters, COUNTER_TCP_DROP_NO_PIECE) +
	       counters_get(&fuzz->counters, COUNTER_TCP_DROP_WINDOW) +
	       counters_get(&fuzz->counters, COUNTER_TCP_DROP_BEYOND_WINDOW);
}

/** Hand over a segment of `size` bytes of payload at `seq`, and see that it is taken to its end. */
static void input(struct fuzz *fuzz, const struct tcp_segment_in *segment, uint16_t port,
		  uint32_t seq, uint32_t size)
{
	const struct tcb *tcb = find(fuzz, port);
	bool is_next = tcb != NULL && tcb->state >= TCP_STATE_ESTABLISHED && !tcb->has_peer_fin &&
		       tcb->rcv_nxt == seq;
	uint32_t iss = tcb != NULL ? tcb->iss : 0;
	uint64_t before = refused(fuzz);

	tcp_input(fuzz->stack, segment, fuzz->now_ns);
	if (is_next && tcb->state != TCP_STATE_CLOSED && tcb->iss == iss && tcb->rcv_nxt != seq &&
	    refused(fuzz) == before)
		CHECK(tcb->rcv_nxt - seq >= size);
}

/** Hand over a segment with `size` bytes of payload in its first buffer, whose place the header says. */
static void deliver(struct fuzz *fuzz, const struct tcp_packet *packet, uint8_t *header,
		    uint32_t header_size, uint32_t size)
{
	struct tcp_segment_piece pieces[PIECES_MAX];
	struct buffer *buffer = new_buffer(header_size + size), *more[PIECES_MAX];
	struct tcp_segment_in segment = { .source_address = PEER,
					  .destination_address = SELF,
					  .bytes = buffer->bytes,
					  .size = header_size + size,
					  .buffer = fuzz->is_unheld ? NULL : buffer,
					  .ecn = packet->window & 3,
					  .pieces = pieces,
					  .piece_count = fuzz->piece_count };
	uint32_t begin = (uint32_t)(header[12] >> 4) * 4;
	uint32_t seq = packet->seq + ((packet->flags & TCP_SYN) != 0);

	bytes_store_u16(header,
			packet->tuple.peer_port); /* built as if sent by us: turn it round */
	bytes_store_u16(header + 2, packet->tuple.local_port);
	memcpy(buffer->bytes, header, header_size);
	for (uint32_t i = MAX(begin, (uint32_t)TCP_HEADER_SIZE); i < segment.size; i++)
		buffer->bytes[i] = pattern(seq + i - begin);
	size = segment.size - begin + add_pieces(fuzz, seq + segment.size - begin, pieces, more);
	input(fuzz, &segment, packet->tuple.peer_port, seq, size);
	buffer_unref(buffer);
	for (uint32_t i = 0; i < segment.piece_count; i++)
		buffer_unref(more[i]);
	if (fuzz->merges_left > 0 && --fuzz->merges_left == 0) {
		fuzz->piece_count = 0;
		fuzz->is_unheld = false;
	}
}

static void deliver_built(struct fuzz *fuzz, const struct tcp_packet *packet, uint32_t size)
{
	struct tcp_segment_out out = { 0 };

	tcp_packet_build(packet, &out);
	deliver(fuzz, packet, out.header, out.header_size, size);
}

static uint16_t read_port(struct fuzz *fuzz)
{
	return (uint16_t)(PORT_FIRST + reader_u8(&fuzz->input) % PORTS);
}

static void change_options(struct reader *in, struct tcp_packet *packet)
{
	uint8_t what = reader_u8(in);

	packet->options.has_mss = what & 1;
	packet->options.has_wscale = what & 2;
	packet->options.has_ts = what & 4;
	packet->options.sack_permitted = what & 8;
	if ((what & 16) != 0)
		packet->options.ts_value += (uint32_t)reader_i16(in);
	if ((what & 32) != 0)
		packet->options.ts_echo += (uint32_t)reader_i8(in);
	if ((what & 64) != 0) {
		packet->options.mss = reader_u16(in);
		packet->options.wscale = reader_u8(in) % (TCP_WSCALE_MAX + 1);
	}
	for (; (what & 128) != 0 && packet->options.sack_count < 3;) {
		struct tcp_range *block = &packet->options.sack[packet->options.sack_count++];

		block->start = packet->ack + (uint32_t)reader_i16(in);
		block->end = block->start + reader_u16(in);
	}
}

/** Options as bytes, and maybe a header length that lies. */
static void deliver_raw(struct fuzz *fuzz, const struct tcp_packet *packet, uint32_t size)
{
	struct tcp_segment_out out = { 0 };
	uint8_t what = reader_u8(&fuzz->input);
	uint32_t options_size = what % 11 * 4U;
	const uint8_t *bytes = reader_bytes(&fuzz->input, options_size);

	tcp_packet_build(packet, &out);
	if (bytes != NULL) {
		memcpy(out.header + TCP_HEADER_SIZE, bytes, options_size);
		out.header_size = (uint16_t)(TCP_HEADER_SIZE + options_size);
		out.header[12] = (uint8_t)(out.header_size / 4 << 4);
	}
	if (what >= 0xf0)
		out.header[12] = (uint8_t)(what << 4);
	deliver(fuzz, packet, out.header, out.header_size, size);
}

static void step_segment(struct fuzz *fuzz)
{
	struct reader *in = &fuzz->input;
	uint16_t port = read_port(fuzz);
	uint8_t changes = reader_u8(in);
	struct tcp_packet packet = honest(fuzz, port, (changes & 1) != 0 ? reader_u8(in) : TCP_ACK);
	uint32_t size;

	if ((changes & 2) != 0)
		packet.seq += (uint32_t)reader_i16(in);
	if ((changes & 4) != 0)
		packet.ack += (uint32_t)reader_i16(in);
	if ((changes & 64) != 0)
		packet.ack = fuzz->peers[port - PORT_FIRST].old_end;
	if ((changes & 8) != 0)
		packet.window = reader_u16(in);
	if ((changes & 16) != 0)
		change_options(in, &packet);
	size = (changes & 32) != 0 ? reader_u8(in) * 6U : 0;
	if ((packet.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		fuzz->peers[port - PORT_FIRST].next = packet.seq + 1;
	if ((changes & 128) != 0)
		deliver_raw(fuzz, &packet, size);
	else
		deliver_built(fuzz, &packet, size);
}

/** A whole handshake; with a full backlog it is by cookie. */
static void step_open(struct fuzz *fuzz)
{
	uint16_t port = read_port(fuzz);
	uint8_t what = reader_u8(&fuzz->input);
	struct peer *peer = &fuzz->peers[port - PORT_FIRST];
	struct tcp_packet packet;

	if (find(fuzz, port) != NULL)
		return;
	peer->next += 100000;
	packet = honest(fuzz, port, TCP_SYN | (what & 0xc0));
	packet.options.has_ts = what & 1;
	packet.options.has_wscale = what & 2;
	packet.options.sack_permitted = what & 4;
	packet.ack = 0;
	deliver_built(fuzz, &packet, 0);
	peer->next++;
	packet = honest(fuzz, port, TCP_ACK);
	packet.options.has_ts = what & 1;
	deliver_built(fuzz, &packet, (what & 8) != 0 ? 500 : 0);
}

static void step_connect(struct fuzz *fuzz)
{
	uint16_t port = read_port(fuzz);
	uint8_t what = reader_u8(&fuzz->input);
	const struct tcp_tuple tuple = { SELF, PEER, LISTENER, port };
	struct owner *owner = adopt(fuzz, NULL);
	struct tcp_packet packet;

	if (owner == NULL)
		return;
	if (tcp_connect(fuzz->stack, &tuple, owner, fuzz->now_ns, &owner->tcb) != 0) {
		owner->tcb = NULL;
		return;
	}
	if ((what & 1) == 0)
		return;
	packet = honest(fuzz, port, TCP_SYN | (what & 2 ? TCP_ACK : 0) | (what & 0xc0));
	packet.options.has_ts = what & 4;
	packet.options.has_wscale = what & 8;
	packet.options.sack_permitted = what & 16;
	deliver_built(fuzz, &packet, 0);
	fuzz->peers[port - PORT_FIRST].next = packet.seq + 1;
}

/** SYNs from elsewhere. */
static void step_flood(struct fuzz *fuzz)
{
	for (uint8_t i = reader_u8(&fuzz->input) % 8; i > 0; i--) {
		struct tcp_packet packet = honest(fuzz, (uint16_t)(FLOOD_FIRST + i), TCP_SYN);

		deliver_built(fuzz, &packet, 0);
	}
}

/** The same acknowledgement several times: something is missing there. */
static void step_duplicates(struct fuzz *fuzz)
{
	uint16_t port = read_port(fuzz);
	uint8_t what = reader_u8(&fuzz->input);
	const struct tcb *tcb = find(fuzz, port);

	for (uint8_t i = 1 + what % 8; tcb != NULL && i > 0; i--) {
		struct tcp_packet packet = honest(fuzz, port, TCP_ACK);

		packet.ack = tcb->snd_una;
		packet.window = (uint16_t)(tcb->snd_wnd >> tcb->snd_wscale);
		if (tcb->has_sack && (what & 16) != 0) {
			packet.options.sack_count = 1;
			packet.options.sack[0].start = tcb->snd_una + (what >> 5) * 700U + 1;
			packet.options.sack[0].end = packet.options.sack[0].start + i * 700U;
		}
		deliver_built(fuzz, &packet, 0);
		if ((what & 8) != 0)
			tcp_burst_end(fuzz->stack, fuzz->now_ns);
		tcb = find(fuzz, port);
	}
}

static void step_owner(struct fuzz *fuzz)
{
	struct owner *owner = &fuzz->owners[reader_u8(&fuzz->input) % CONNECTIONS];
	uint8_t what = reader_u8(&fuzz->input);

	if (owner->tcb == NULL)
		return;
	if (what >= 0xf0)
		send_some(fuzz, owner, reader_u16(&fuzz->input));
	else
		act(fuzz, owner, what);
}

static void step_time(struct fuzz *fuzz)
{
	static const int64_t units[] = { 100 * NS_PER_US, 10 * NS_PER_MS, NS_PER_S,
					 24 * 3600 * NS_PER_S };
	uint8_t what = reader_u8(&fuzz->input);
	int64_t next_ns;

	fuzz->now_ns += (what >> 2) * units[what & 3];
	next_ns = tcp_next_timer_ns(fuzz->stack);
	if (what == 0 && next_ns != INT64_MAX) /* just when something is due */
		fuzz->now_ns = MAX(fuzz->now_ns, next_ns);
	(void)tcp_poll(fuzz->stack, fuzz->now_ns);
}

static void step_burst_end(struct fuzz *fuzz)
{
	tcp_burst_end(fuzz->stack, fuzz->now_ns);
}

static void step_no_buffer(struct fuzz *fuzz)
{
	fuzz->no_buffer = reader_u8(&fuzz->input) % 8;
}

/** The next segments come merged with others. */
static void step_merge(struct fuzz *fuzz)
{
	uint8_t what = reader_u8(&fuzz->input);

	fuzz->piece_count = what % (PIECES_MAX + 1);
	fuzz->is_unheld = what >= 0xe0;
	fuzz->merges_left = 1 + (what >> 3) % 4;
	for (uint32_t i = 0; i < fuzz->piece_count; i++)
		fuzz->piece_sizes[i] = (uint16_t)(reader_u8(&fuzz->input) * 6U);
}

static void step(struct fuzz *fuzz)
{
	static void (*const steps[])(struct fuzz *) = {
		step_segment,   step_segment,    step_segment, step_segment, step_open,
		step_connect,   step_flood,      step_owner,   step_owner,   step_owner,
		step_time,      step_time,       step_time,    step_time,    step_burst_end,
		step_no_buffer, step_duplicates,
	};
	uint8_t what = reader_u8(&fuzz->input);

	if (what >= MERGE_FIRST)
		step_merge(fuzz);
	else
		steps[what % ARRAY_COUNT(steps)](fuzz);
}

/** What is out lies in ranges without a gap, is summed up, and a timer goes on with it. */
static void check_sent(const struct tcb *tcb)
{
	uint32_t at = tcb->snd_una, sacked = 0, lost = 0;

	if (tcb->state <= TCP_STATE_SYN_RECEIVED)
		return;
	LIST_EACH(&tcb->sent.ranges, node)
	{
		const struct tcp_sent_range *range = LIST_ENTRY(node, struct tcp_sent_range, node);

		CHECK(range->start == at && tcp_seq_lt(range->start, range->end));
		CHECK(!range->is_lost || !range->is_sacked);
		at = range->end;
		sacked += range->is_sacked ? range->end - range->start : 0;
		lost += range->is_lost ? range->end - range->start : 0;
	}
	CHECK(at == tcb->snd_nxt && tcb->sent.size == at - tcb->snd_una);
	CHECK(tcb->sent.sacked == sacked && tcb->sent.lost == lost);
	CHECK(at == tcb->snd_una || tcb->deadline_ns[TCP_TIMER_RETRANSMIT] != 0);
}

static void check_stack(const struct fuzz *fuzz)
{
	const struct tcp_stack *stack = fuzz->stack;
	uint32_t open = 0, spare = 0, ranges = stack->sent_pool.spare_count;

	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		const struct tcb *tcb = &stack->tcbs[i];

		if (tcb->state == TCP_STATE_CLOSED)
			continue;
		open++;
		CHECK(tcb->state < TCP_STATE_COUNT);
		CHECK(tcp_seq_leq(tcb->snd_una, tcb->snd_nxt));
		CHECK(tcp_seq_leq(tcb->snd_nxt, tcb->snd_max));
		CHECK(tcb->snd_max - tcb->snd_una <= tcb->queued + 1);
		CHECK(tcb->state <= TCP_STATE_SYN_RECEIVED || tcb->cc.window > 0);
		CHECK(tcb->state <= TCP_STATE_SYN_RECEIVED || tcb->has_owner);
		check_sent(tcb);
		ranges += tcb->sent.count;
	}
	CHECK(ranges == fuzz->sent_ranges);
	LIST_EACH(&stack->spare, node)
	spare++;
	CHECK(open == stack->count && open + spare == CONNECTIONS);
	CHECK(stack->embryo_count <= stack->config.syn_backlog_max);
	CHECK(stack->table.count <= CONNECTIONS + stack->timewait_max);
	CHECK(fuzz->held + stack->pieces.spare_count == stack->config.held_pieces_max);
}

static struct tcp_stack *open_stack(struct fuzz *fuzz)
{
	uint8_t what = reader_u8(&fuzz->input);
	struct tcp_config config = { .connections_max = CONNECTIONS,
				     .mss = 1460,
				     .rto_min_ms = 200,
				     .time_wait_ms = 1000,
				     .syn_backlog_max = 2,
				     .keepalive_ms = 5000,
				     .congestion = (what & 4) != 0 ? TCP_CC_NEWRENO : TCP_CC_CUBIC,
				     .ecn = TCP_ECN_REQUEST,
				     .has_pacing = true,
				     .user_timeout_ms = (what & 1) != 0 ? 20000 : 0,
				     .secret = { 1, 2 } };
	struct tcp_stack *stack;

	config.window_max = 1U + (uint32_t)reader_u8(&fuzz->input) * ((what & 2) != 0 ? 5000 : 500);
	config.held_pieces_max = reader_u8(&fuzz->input) % 32;
	stack = tcp_stack_new(&config, &ops, fuzz, &fuzz->counters, fuzz->now_ns);
	CHECK(stack != NULL);
	CHECK(tcp_listen(stack, LISTENER) == 0);
	return stack;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));

	CHECK(fuzz != NULL);
	reader_init(&fuzz->input, data, size);
	fuzz->now_ns = NS_PER_S;
	fuzz->stack = open_stack(fuzz);
	fuzz->sent_ranges = fuzz->stack->sent_pool.spare_count;
	for (int i = 0; i < STEPS_MAX && reader_left(&fuzz->input) > 0; i++) {
		fuzz->now_ns += 10 * NS_PER_US; /* sequence numbers of a tuple differ */
		step(fuzz);
		check_stack(fuzz);
	}
	tcp_stack_free(fuzz->stack);
	CHECK(fuzz->held == 0);
	free(fuzz);
	return 0;
}

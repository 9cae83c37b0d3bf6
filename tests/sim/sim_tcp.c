/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: whatever the network and the readers do, two stacks carry every byte both ways, in order and
 * once, every connection ends, nothing stays held, and an offered window is never taken back.
 *
 * Shown by running pairs of stacks over a simulated link in virtual time. All choices (loss,
 * duplication, reordering, delay, window and buffer sizes, slow readers, aborts, missing transmit
 * buffers) come from one seed, so a failure is replayed by its seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"

#include "dataplane/tcp/tcp_tcb.h"

#define CONNECTIONS_MAX 6
#define PACKET_SIZE_MAX 2048
#define WIRE_MAX        4096
#define TIME_LIMIT_NS   (7200 * NS_PER_S)
#define EVENTS_MAX      3000000U
#define SERVER_PORT     9092
#define ADDRESS(side)   (0x0a4d0001U + (uint32_t)(side))

struct packet {
	uint8_t bytes[PACKET_SIZE_MAX];
	uint32_t size;
	uint32_t refs;
	int64_t due_ns;
	uint64_t order; /* of sending; breaks ties */
	int to;
	struct packet *next; /* free list */
};

/** One end of one connection. */
struct app {
	struct side *side;
	struct tcb *tcb; /* NULL: not open yet, or closed */
	uint32_t index;
	uint64_t size, sent, acked,
		received; /* bytes of our output: all, queued, acked; of input */
	bool is_slow, is_shut, was_open, has_eof, is_over, aborts, waits_for_eof;
	enum tcp_close_reason reason;
	int64_t wake_ns; /* next own action; INT64_MAX: none */
	uint32_t edge;   /* end of the window it offered */
	bool has_edge;
	uint8_t scale;
};

struct side {
	struct sim *sim;
	struct tcp_stack *stack;
	struct counters counters;
	struct app apps[CONNECTIONS_MAX];
	uint32_t held, held_max; /* buffers kept by the stack */
	int index;
};

struct sim {
	uint64_t seed;
	struct prng prng;
	int64_t now_ns;
	struct side sides[2];
	struct packet *packets, *free_packets;
	struct packet *wire[WIRE_MAX];
	uint32_t wire_count;
	uint64_t order;
	uint32_t connections;
	uint32_t loss, duplication, reordering, no_buffer; /* per mille */
	int64_t delay_ns, jitter_ns;
	bool has_keepalive;
	const char *failure;
};

static void fail(struct sim *sim, const char *why)
{
	if (sim->failure == NULL)
		sim->failure = why;
}

/** The byte at a position of a stream: any mix-up of positions or streams shows. */
static uint8_t pattern(uint32_t index, int side, uint64_t pos)
{
	uint64_t x =
		(pos / 7 + 1) * UINT64_C(0x9e3779b97f4a7c15) + index * 131U + (uint64_t)side * 17;

	return (uint8_t)(x >> 32 ^ pos);
}

static struct packet *packet_new(struct sim *sim)
{
	struct packet *packet = sim->free_packets;

	if (packet == NULL)
		return NULL;
	sim->free_packets = packet->next;
	packet->refs = 1;
	return packet;
}

static void packet_unref(struct sim *sim, struct packet *packet)
{
	CHECK(packet->refs > 0);
	if (--packet->refs > 0)
		return;
	memset(packet->bytes, 0xdd, packet->size); /* who reads on sees it */
	packet->next = sim->free_packets;
	sim->free_packets = packet;
}

static void put_on_wire(struct sim *sim, const struct packet *template, int64_t extra_ns)
{
	struct packet *packet;

	if (sim->wire_count == WIRE_MAX || (packet = packet_new(sim)) == NULL)
		return; /* a full link loses it */
	memcpy(packet->bytes, template->bytes, template->size);
	packet->size = template->size;
	packet->to = template->to;
	packet->order = sim->order++;
	packet->due_ns = sim->now_ns + sim->delay_ns + extra_ns;
	sim->wire[sim->wire_count++] = packet;
}

/** What every segment must respect, seen from outside the stacks. */
static void inspect(struct sim *sim, struct app *app, const struct tcp_segment_out *segment)
{
	const uint8_t *header = segment->header;
	struct app *peer = &sim->sides[!app->side->index].apps[app->index];
	uint32_t ack = bytes_load_u32(header + 8), end = bytes_load_u32(header + 4);
	bool is_syn = (header[13] & 0x02) != 0;
	uint32_t edge;

	end += segment->payload_size;
	edge = ack + ((uint32_t)bytes_load_u16(header + 14) << (is_syn ? 0 : app->scale));
	if (is_syn) {
		app->scale = segment->tcb->rcv_wscale;
		app->has_edge = false; /* a late SYN may open what was aborted: another numbering */
	}
	if ((header[13] & 0x10) == 0 || (header[13] & 0x04) != 0)
		return;
	if (app->has_edge && tcp_seq_lt(edge, app->edge))
		fail(sim, "an offered window was taken back");
	app->edge = edge;
	app->has_edge = true;
	if (segment->payload_size > 0 && peer->has_edge && tcp_seq_lt(peer->edge + 1, end))
		fail(sim, "more was sent than the peer offered");
	if (segment->tcb->ranges.count > app->side->stack->pieces_max)
		fail(sim, "more pieces are held than allowed");
}

static struct app *app_of(struct side *side, const struct tcp_tuple *tuple)
{
	uint16_t port = side->index == 0 ? tuple->local_port : tuple->peer_port;
	uint32_t index = port - 40000U;

	CHECK(index < CONNECTIONS_MAX);
	return &side->apps[index];
}

static bool on_emit(void *ctx, const struct tcp_segment_out *segment)
{
	struct side *side = ctx;
	struct sim *sim = side->sim;
	struct app *app = app_of(side, &segment->tuple);
	struct packet out = { .size = segment->header_size + (uint32_t)segment->payload_size,
			      .to = !side->index };

	if (prng_chance(&sim->prng, sim->no_buffer))
		return false;
	CHECK(out.size <= sizeof(out.bytes));
	if (segment->tcb != NULL)
		inspect(sim, app, segment);
	if (app->acked + segment->payload_pos + segment->payload_size > app->sent)
		fail(sim, "payload beyond the output queue");
	memcpy(out.bytes, segment->header, segment->header_size);
	for (uint32_t i = 0; i < segment->payload_size; i++)
		out.bytes[segment->header_size + i] =
			pattern(app->index, side->index, app->acked + segment->payload_pos + i);
	for (uint32_t copies = 1 + prng_chance(&sim->prng, sim->duplication); copies > 0;
	     copies--) {
		int64_t extra_ns = (int64_t)prng_below(&sim->prng, (uint64_t)sim->jitter_ns + 1);

		if (prng_chance(&sim->prng, sim->loss))
			continue;
		if (prng_chance(&sim->prng, sim->reordering))
			extra_ns +=
				(int64_t)prng_below(&sim->prng, 4 * (uint64_t)sim->delay_ns + 1);
		put_on_wire(sim, &out, extra_ns);
	}
	return true;
}

static void wake_in(struct app *app, uint64_t max_us)
{
	struct sim *sim = app->side->sim;

	app->wake_ns = MIN(app->wake_ns,
			   sim->now_ns + NS_PER_US * (int64_t)(1 + prng_below(&sim->prng, max_us)));
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	struct app *app = app_of(ctx, tcp_tuple(tcb));

	if (app->was_open)
		fail(app->side->sim, "a connection was accepted twice");
	app->tcb = tcb;
	app->was_open = true;
	wake_in(app, 1000);
	return app;
}

static void on_connect(void *owner, struct tcb *tcb)
{
	struct app *app = owner;

	app->tcb = tcb;
	app->was_open = true;
	wake_in(app, 1000);
}

static void send_some(struct app *app)
{
	struct sim *sim = app->side->sim;
	uint64_t left = app->size - app->sent;
	uint64_t size = MIN(left, 1 + prng_below(&sim->prng, app->is_slow ? 3000 : 60000));

	if (size == 0 || app->is_shut)
		return;
	app->sent += size;
	tcp_send(app->tcb, size, sim->now_ns);
}

static size_t on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct app *app = owner;
	struct sim *sim = app->side->sim;
	size_t taken = size;

	if (app->is_slow && prng_chance(&sim->prng, 400)) {
		taken = prng_below(&sim->prng, size + 1);
		wake_in(app, 20000);
		if (prng_chance(&sim->prng, 100))
			tcp_resume(tcb, sim->now_ns);
		if (prng_chance(&sim->prng, 300))
			tcp_set_credit(tcb, (uint32_t)prng_below(&sim->prng, 20000));
	}
	for (size_t i = 0; i < taken; i++)
		if (bytes[i] != pattern(app->index, !app->side->index, app->received + i))
			fail(sim, "received bytes differ from those sent");
	app->received += taken;
	if (app->has_eof)
		fail(sim, "data after the end");
	if (prng_chance(&sim->prng, 50))
		send_some(app);
	if (app->aborts && prng_chance(&sim->prng, 30))
		tcp_abort(tcb, sim->now_ns);
	return taken;
}

static void on_eof(void *owner, struct tcb *tcb)
{
	struct app *app = owner;

	(void)tcb;
	if (app->has_eof)
		fail(app->side->sim, "the end was told twice");
	app->has_eof = true;
	wake_in(app, 5000);
}

static void on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	struct app *app = owner;

	(void)tcb;
	app->acked += size;
	if (app->acked > app->sent)
		fail(app->side->sim, "more was acknowledged than sent");
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	struct app *app = owner;

	if (app->is_over)
		fail(app->side->sim, "a connection was closed twice");
	app->is_over = true;
	app->tcb = NULL;
	app->reason = reason;
	app->wake_ns = INT64_MAX;
}

static void on_hold(void *ctx, void *buffer)
{
	struct side *side = ctx;
	struct packet *packet = buffer;

	packet->refs++;
	side->held++;
	side->held_max = MAX(side->held_max, side->held);
}

static void on_release(void *ctx, void *buffer)
{
	struct side *side = ctx;

	CHECK(side->held > 0);
	side->held--;
	packet_unref(side->sim, buffer);
}

static const struct tcp_ops ops = {
	.emit = on_emit,
	.on_accept = on_accept,
	.on_connect = on_connect,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
	.hold = on_hold,
	.release = on_release,
};

/** An application acts: takes what it left, writes more, and in the end closes. */
static void app_wake(struct app *app)
{
	struct sim *sim = app->side->sim;

	app->wake_ns = INT64_MAX;
	if (app->tcb == NULL)
		return;
	tcp_set_credit(app->tcb, app->side->stack->config.window_max);
	tcp_resume(app->tcb, sim->now_ns);
	if (app->tcb != NULL && app->aborts && prng_chance(&sim->prng, 50))
		tcp_abort(app->tcb, sim->now_ns);
	if (app->tcb == NULL)
		return;
	if (app->sent < app->size) {
		send_some(app);
		wake_in(app, 10000);
	} else if (!app->is_shut && (!app->waits_for_eof || app->has_eof)) {
		app->is_shut = true;
		tcp_shutdown(app->tcb, sim->now_ns);
	}
}

static uint64_t pick(struct sim *sim, uint64_t low, uint64_t high)
{
	return low + prng_below(&sim->prng, high - low + 1);
}

static void side_open(struct sim *sim, int index)
{
	struct side *side = &sim->sides[index];
	struct tcp_config config = {
		.connections_max = CONNECTIONS_MAX,
		.held_pieces_max = prng_chance(&sim->prng, 300) ? (uint32_t)pick(sim, 0, 8) : 400,
		.mss = (uint16_t)pick(sim, 200, 1460),
		.window_max = prng_chance(&sim->prng, 300) ? (uint32_t)pick(sim, 1, 4000)
							   : (uint32_t)pick(sim, 4000, 1000000),
		.rto_min_ms = 200,
		.time_wait_ms = 120000,
		.syn_backlog_max = CONNECTIONS_MAX,
		.keepalive_ms = sim->has_keepalive ? 30000 : 0,
		.secret = { prng_next(&sim->prng), prng_next(&sim->prng) },
	};

	side->sim = sim;
	side->index = index;
	side->stack = tcp_stack_new(&config, &ops, side, &side->counters, sim->now_ns);
	CHECK(side->stack != NULL);
	for (uint32_t i = 0; i < sim->connections; i++) {
		uint64_t size =
			prng_chance(&sim->prng, 200) ? pick(sim, 0, 3) : pick(sim, 0, 150000);

		/* Windows of a few bytes or segments make long transfers: keep them short. */
		if (config.window_max < 100)
			size %= 2000;
		side->apps[i] = (struct app){
			.side = side,
			.index = i,
			.size = size,
			.is_slow = prng_chance(&sim->prng, 400),
			/* A lost reset leaves a peer that only keepalive can tell. */
			.aborts = sim->has_keepalive && prng_chance(&sim->prng, 120),
			.wake_ns = INT64_MAX,
		};
	}
	for (uint32_t i = 0; index == 1 && i < sim->connections; i++) {
		struct app *pair[2] = { &sim->sides[0].apps[i], &side->apps[i] };

		/* A few bytes of window on the other side bound what we may send in time, too. */
		if (sim->sides[0].stack->config.window_max < 100)
			pair[1]->size %= 2000;
		if (config.window_max < 100)
			pair[0]->size %= 2000;
		if (prng_chance(&sim->prng, 500)) /* else both close on their own */
			pair[prng_chance(&sim->prng, 500)]->waits_for_eof = true;
	}
}

static void sim_open(struct sim *sim, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->prng.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	sim->now_ns = NS_PER_S * (int64_t)pick(sim, 1, 5000000);
	sim->packets = calloc(2 * WIRE_MAX, sizeof(*sim->packets));
	CHECK(sim->packets != NULL);
	for (uint32_t i = 0; i < 2 * WIRE_MAX; i++) {
		sim->packets[i].next = sim->free_packets;
		sim->free_packets = &sim->packets[i];
	}
	sim->connections = (uint32_t)pick(sim, 1, CONNECTIONS_MAX);
	sim->loss = prng_chance(&sim->prng, 300) ? 0 : (uint32_t)pick(sim, 0, 120);
	sim->duplication = prng_chance(&sim->prng, 500) ? 0 : (uint32_t)pick(sim, 0, 100);
	sim->reordering = prng_chance(&sim->prng, 500) ? 0 : (uint32_t)pick(sim, 0, 300);
	sim->no_buffer = prng_chance(&sim->prng, 700) ? 0 : (uint32_t)pick(sim, 0, 200);
	sim->delay_ns = NS_PER_US * (int64_t)pick(sim, 20, 50000);
	sim->jitter_ns = prng_chance(&sim->prng, 500) ? 0 : sim->delay_ns / 10;
	sim->has_keepalive = prng_chance(&sim->prng, 500);
	side_open(sim, 0);
	side_open(sim, 1);
	CHECK(tcp_listen(sim->sides[1].stack, SERVER_PORT) == 0);
}

static void connect_all(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->connections; i++) {
		struct tcp_tuple tuple = { ADDRESS(0), ADDRESS(1), (uint16_t)(40000 + i),
					   SERVER_PORT };
		struct tcb *tcb;

		CHECK(tcp_connect(sim->sides[0].stack, &tuple, &sim->sides[0].apps[i], sim->now_ns,
				  &tcb) == 0);
	}
}

/** @return index of the packet due first; UINT32_MAX: the wire is empty */
static uint32_t first_on_wire(const struct sim *sim)
{
	uint32_t first = UINT32_MAX;

	for (uint32_t i = 0; i < sim->wire_count; i++)
		if (first == UINT32_MAX || sim->wire[i]->due_ns < sim->wire[first]->due_ns ||
		    (sim->wire[i]->due_ns == sim->wire[first]->due_ns &&
		     sim->wire[i]->order < sim->wire[first]->order))
			first = i;
	return first;
}

static void deliver(struct sim *sim, uint32_t index)
{
	struct packet *packet = sim->wire[index];
	struct side *side = &sim->sides[packet->to];
	struct tcp_segment_in segment = {
		.source_address = ADDRESS(!packet->to),
		.destination_address = ADDRESS(packet->to),
		.bytes = packet->bytes,
		.size = packet->size,
		.buffer = packet,
	};

	sim->wire[index] = sim->wire[--sim->wire_count];
	tcp_input(side->stack, &segment, sim->now_ns);
	packet_unref(sim, packet);
	/* A burst is one packet or several. */
	if (prng_chance(&sim->prng, 600))
		tcp_burst_end(side->stack, sim->now_ns);
}

/** @return time of the next event; INT64_MAX: nothing will happen any more */
static int64_t next_event_ns(const struct sim *sim, uint32_t first)
{
	int64_t next_ns = first == UINT32_MAX ? INT64_MAX : sim->wire[first]->due_ns;

	for (int side = 0; side < 2; side++) {
		next_ns = MIN(next_ns, tcp_next_timer_ns(sim->sides[side].stack));
		for (uint32_t i = 0; i < sim->connections; i++)
			next_ns = MIN(next_ns, sim->sides[side].apps[i].wake_ns);
	}
	return next_ns;
}

static void run(struct sim *sim)
{
	int64_t end_ns = sim->now_ns + TIME_LIMIT_NS;

	for (uint32_t events = 0; sim->failure == NULL; events++) {
		uint32_t first = first_on_wire(sim);
		int64_t next_ns = next_event_ns(sim, first);

		if (next_ns == INT64_MAX)
			return;
		if (next_ns > end_ns || events > EVENTS_MAX)
			fail(sim, "a connection stalled");
		sim->now_ns = MAX(sim->now_ns, next_ns);
		if (first != UINT32_MAX && sim->wire[first]->due_ns <= sim->now_ns)
			deliver(sim, first);
		for (int side = 0; side < 2; side++) {
			for (uint32_t i = 0; i < sim->connections; i++)
				if (sim->sides[side].apps[i].wake_ns <= sim->now_ns)
					app_wake(&sim->sides[side].apps[i]);
			if (tcp_next_timer_ns(sim->sides[side].stack) <= sim->now_ns)
				(void)tcp_poll(sim->sides[side].stack, sim->now_ns);
		}
	}
}

static void check_pair(struct sim *sim, struct app *client, struct app *server)
{
	if (!client->is_over || (server->was_open && !server->is_over))
		fail(sim, "a connection never ended");
	if (client->aborts || server->aborts || !server->was_open || !client->was_open)
		return;
	if (client->reason != TCP_CLOSED_NORMAL || server->reason != TCP_CLOSED_NORMAL)
		fail(sim, "a connection did not end normally");
	if (!client->has_eof || !server->has_eof)
		fail(sim, "the end was not told");
	if (client->received != server->size || server->received != client->size)
		fail(sim, "bytes are missing");
	if (client->acked != client->size || server->acked != server->size)
		fail(sim, "acknowledgements are missing");
}

static void check_end(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->connections; i++)
		check_pair(sim, &sim->sides[0].apps[i], &sim->sides[1].apps[i]);
	for (int i = 0; i < 2; i++) {
		struct side *side = &sim->sides[i];

		if (side->held != 0)
			fail(sim, "buffers are still held");
		if (tcp_connection_count(side->stack) != 0 || side->stack->embryo_count != 0)
			fail(sim, "a connection is left");
		if (side->stack->table.count != 0)
			fail(sim, "the flow table is not empty");
		if (side->stack->pieces.spare_count != side->stack->config.held_pieces_max)
			fail(sim, "pieces leaked");
		if (side->held_max > side->stack->config.held_pieces_max)
			fail(sim, "more buffers were held than allowed");
	}
}

struct totals {
	uint64_t retransmits, recoveries, timeouts, virtual_ns;
};

static const char *sim_seed(uint64_t seed, bool is_loud, struct totals *totals)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	const char *failure;
	int64_t begin_ns;

	CHECK(sim != NULL);
	sim_open(sim, seed);
	begin_ns = sim->now_ns;
	connect_all(sim);
	run(sim);
	if (sim->failure == NULL)
		check_end(sim);
	totals->virtual_ns += (uint64_t)(sim->now_ns - begin_ns);
	for (int i = 0; i < 2; i++) {
		const struct counters *counters = &sim->sides[i].counters;

		totals->retransmits += counters_get(counters, COUNTER_TCP_RETRANSMITS);
		totals->recoveries += counters_get(counters, COUNTER_TCP_FAST_RETRANSMITS);
		totals->timeouts += counters_get(counters, COUNTER_TCP_RTO);
		for (uint32_t j = 0; is_loud && j < COUNTER_COUNT; j++)
			if (counters_get(counters, j) != 0)
				printf("side %d %-24s %lu\n", i, counters_info(j)->name,
				       (unsigned long)counters_get(counters, j));
		for (uint32_t j = 0; is_loud && j < sim->connections; j++) {
			const struct app *app = &sim->sides[i].apps[j];

			printf("side %d connection %u: %lu of %lu sent, %lu acked, %lu received, "
			       "open %d eof %d shut %d over %d reason %d state %d\n",
			       i, j, (unsigned long)app->sent, (unsigned long)app->size,
			       (unsigned long)app->acked, (unsigned long)app->received,
			       app->was_open, app->has_eof, app->is_shut, app->is_over,
			       (int)app->reason, app->tcb != NULL ? app->tcb->state : -1);
		}
		tcp_stack_free(sim->sides[i].stack);
	}
	failure = sim->failure;
	free(sim->packets);
	free(sim);
	return failure;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 300, first = 1, failures = 0;
	bool is_single = false;
	struct totals totals = { 0 };

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
			seeds = strtoull(argv[i + 1], NULL, 10);
		} else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
			first = strtoull(argv[i + 1], NULL, 10);
			is_single = true;
		} else {
			fprintf(stderr, "usage: %s [--seeds N] [--seed K]\n", argv[0]);
			return 2;
		}
	}
	if (is_single)
		seeds = 1;
	for (uint64_t seed = first; seed < first + seeds; seed++) {
		const char *failure = sim_seed(seed, is_single, &totals);

		if (failure == NULL)
			continue;
		failures++;
		printf("FAILED seed %lu: %s\nreplay: %s --seed %lu\n", (unsigned long)seed, failure,
		       argv[0], (unsigned long)seed);
	}
	printf("%lu seeds, %lu failed; %lu retransmissions, %lu fast recoveries, %lu timeouts "
	       "in %lu s of virtual time\n",
	       (unsigned long)seeds, (unsigned long)failures, (unsigned long)totals.retransmits,
	       (unsigned long)totals.recoveries, (unsigned long)totals.timeouts,
	       (unsigned long)(totals.virtual_ns / NS_PER_S));
	return failures == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Moves packets, clocks and time. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#include "sim_tcp.h"

#define RING_PACKETS  256U /* what a suspended side's port keeps for it */
#define EVENTS_MAX    3000000U
#define JUDGE_EVERY   64U
#define TIMERS_A_STEP 64U
#define OPTION_NOP    1
#define OPTION_TS     8

int64_t sim_tcp_clock(const struct sim_side *side)
{
	return side->frozen_ns != 0 ? side->frozen_ns : side->sim->now_ns + side->offset_ns;
}

static bool is_asleep(const struct sim_side *side)
{
	return side->sim->now_ns < side->asleep_until_ns;
}

struct sim_pair *sim_tcp_pair_of(const struct sim_side *side, const struct tcp_tuple *tuple)
{
	uint16_t port = side->index == SIM_CLIENT ? tuple->local_port : tuple->peer_port;
	uint32_t index = port - SIM_PORT_FIRST;

	if (tuple->peer_address != SIM_ADDRESS(!side->index) ||
	    index >= side->sim->plan.connections)
		return NULL;
	return &side->sim->pairs[index];
}

static void mix(struct sim *sim, uint64_t word)
{
	sim->digest = (sim->digest ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	sim->digest ^= sim->digest >> 29;
}

static void mix_segment(struct sim *sim, const struct tcp_segment_out *segment)
{
	mix(sim, (uint64_t)sim->now_ns);
	for (uint32_t i = 0; i + 4 <= segment->header_size; i += 4)
		mix(sim, bytes_load_u32(segment->header + i));
	mix(sim, segment->payload_size);
}

/** The NIC had no buffer for it: for the peer that is the same as a loss. */
static bool refuse(struct sim *sim, struct sim_pair *pair, const struct tcp_segment_out *segment)
{
	if (pair != NULL)
		sim_tcp_judge_lost(pair, segment->header[13]);
	else
		sim->drops++;
	return false;
}

/** What some boxes on the way do to options they don't know. */
static void blank_timestamps(uint8_t *bytes, uint32_t header_size)
{
	struct tcp_segment_in in = { .bytes = bytes, .size = header_size };
	struct tcp_packet packet;

	if ((bytes[13] & TCP_SYN) == 0 || tcp_packet_parse(&in, &packet) != 0)
		return;
	for (uint32_t at = TCP_HEADER_SIZE; at < header_size;) {
		uint32_t length = bytes[at] == OPTION_NOP ? 1 : bytes[at + 1];

		if (bytes[at] == OPTION_TS)
			memset(bytes + at, OPTION_NOP, length);
		at += length;
	}
}

static bool emit_one(struct sim_side *side, const struct tcp_segment_out *segment)
{
	struct sim *sim = side->sim;
	struct sim_pair *pair = sim_tcp_pair_of(side, &segment->tuple);
	struct sim_net_packet *packet;
	struct sim_app *app;

	mix_segment(sim, segment);
	if (sim->is_emit_dead[side->index] || sim_tcp_chance(sim, sim->plan.no_buffer))
		return refuse(sim, pair, segment);
	if (pair == NULL) {
		sim->stranger_answers++;
		return true;
	}
	packet = sim_net_packet(sim->net);
	if (packet == NULL)
		return refuse(sim, pair, segment);
	app = &pair->apps[side->index];
	packet->to = (uint8_t)!side->index;
	packet->source = SIM_ADDRESS(side->index);
	packet->destination = SIM_ADDRESS(!side->index);
	packet->size = (uint32_t)segment->header_size + segment->payload_size;
	packet->payload = segment->payload_size;
	packet->ecn = segment->ecn;
	packet->owner = pair->index;
	CHECK(packet->size <= SIM_NET_PACKET_MAX);
	if (segment->tcb != NULL)
		sim_tcp_judge_emit(app, segment);
	memcpy(packet->bytes, segment->header, segment->header_size);
	if (sim->plan.blanks_ts)
		blank_timestamps(packet->bytes, segment->header_size);
	sim_tcp_app_pattern(app, app->acked + segment->payload_pos,
			    packet->bytes + segment->header_size, segment->payload_size);
	if (sim->is_traced)
		sim_tcp_trace_segment(sim, packet, "sent");
	sim_net_send(sim->net, packet, sim->now_ns);
	if (segment->tcb != NULL)
		sim_tcp_judge_sent(app, segment);
	return true;
}

/** A port that cuts: each packet has its own fate, as has each in a port's ring. */
bool sim_tcp_emit(void *ctx, const struct tcp_segment_out *segment)
{
	struct tcp_segment_out part = *segment;
	uint32_t seq = bytes_load_u32(segment->header + 4), done = 0;

	if (segment->mss == 0)
		return emit_one(ctx, segment);
	CHECK(segment->payload_size > segment->mss);
	CHECK((segment->header[13] & TCP_CWR) == 0);
	for (; done < segment->payload_size; done += part.payload_size) {
		part.payload_size =
			(uint16_t)MIN(segment->payload_size - done, (uint32_t)segment->mss);
		part.payload_pos = segment->payload_pos + done;
		bytes_store_u32(part.header + 4, seq + done);
		part.header[13] = segment->header[13];
		if (done + part.payload_size < segment->payload_size)
			part.header[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (!emit_one(ctx, &part) && done == 0)
			return false;
	}
	return true;
}

/** Hand one packet to its stack, or leave it in the ring of a side that sleeps. */
static void deliver(struct sim *sim)
{
	struct sim_net_packet *packet = sim_net_take(sim->net);
	struct sim_side *side = &sim->sides[packet->to];
	struct tcp_segment_in segment = {
		.source_address = packet->source,
		.destination_address = packet->destination,
		.bytes = packet->bytes,
		.size = packet->size,
		.buffer = sim->is_dry[packet->to] ? NULL : packet,
		.ecn = packet->ecn,
	};

	if (is_asleep(side) && side->waiting < RING_PACKETS) {
		side->waiting++;
		sim_net_postpone(sim->net, packet, side->asleep_until_ns);
		return;
	}
	if (is_asleep(side)) {
		sim_net_deaf(sim->net, packet);
	} else if (sim_net_is_intact(sim->net, packet)) {
		sim_tcp_judge_arrival(sim, packet);
		if (sim->is_traced)
			sim_tcp_trace_segment(sim, packet, "came");
		tcp_input(side->stack, &segment, sim_tcp_clock(side));
	}
	sim_net_unref(sim->net, packet);
}

/** A poll core takes what lies in its ring, then sends what that gave rise to. */
static void deliver_burst(struct sim *sim)
{
	const struct sim_net_packet *first = sim_net_first(sim->net);
	struct sim_side *side = &sim->sides[first->to];
	int64_t until_ns = sim->now_ns + sim->plan.poll_ns[first->to];
	uint32_t count = 0;

	do {
		deliver(sim);
		first = sim_net_first(sim->net);
	} while (++count < sim->plan.burst && first != NULL && first->due_ns <= until_ns &&
		 first->to == side->index && !is_asleep(side) && sim->failure == NULL);
	if (!is_asleep(side))
		tcp_burst_end(side->stack, sim_tcp_clock(side));
}

static int64_t side_next_ns(const struct sim_side *side)
{
	int64_t due_ns = tcp_next_timer_ns(side->stack);

	if (due_ns == INT64_MAX || (side->frozen_ns != 0 && due_ns > side->frozen_ns))
		return INT64_MAX;
	due_ns = side->frozen_ns != 0 ? side->sim->now_ns : due_ns - side->offset_ns;
	return MAX(due_ns, side->asleep_until_ns);
}

static int64_t next_event_ns(const struct sim *sim)
{
	const struct sim_net_packet *first = sim_net_first(sim->net);
	int64_t next_ns = timers_next_ns(&sim->timers);

	if (first != NULL)
		next_ns = MIN(next_ns, first->due_ns);
	for (int i = 0; i < 2; i++)
		next_ns = MIN(next_ns, side_next_ns(&sim->sides[i]));
	return next_ns;
}

static void step(struct sim *sim, int64_t next_ns)
{
	const struct sim_net_packet *first = sim_net_first(sim->net);

	sim->now_ns = MAX(sim->now_ns, next_ns);
	if (first != NULL && first->due_ns <= sim->now_ns)
		deliver_burst(sim);
	(void)timers_run(&sim->timers, sim->now_ns, TIMERS_A_STEP);
	for (int i = 0; i < 2; i++)
		if (side_next_ns(&sim->sides[i]) <= sim->now_ns)
			(void)tcp_poll(sim->sides[i].stack, sim_tcp_clock(&sim->sides[i]));
}

void sim_tcp_run(struct sim *sim)
{
	for (; sim->failure == NULL; sim->events++) {
		int64_t next_ns = next_event_ns(sim);

		if (next_ns == INT64_MAX)
			break;
		if (sim->events > EVENTS_MAX && !sim->is_measured)
			sim_tcp_fail(sim, NULL, "it never ends: too many events");
		if (sim->events % JUDGE_EVERY == 0 || next_ns > sim->now_ns + NS_PER_S)
			sim_tcp_judge_time(sim);
		step(sim, next_ns);
	}
}

/** A fault begins, or what it began ends. */
static void disturb(struct timer *timer, int64_t now_ns)
{
	struct sim_disturbance *it = CONTAINER_OF(timer, struct sim_disturbance, timer);
	struct sim_side *side = &it->sim->sides[it->side];

	it->is_on = !it->is_on;
	if (it->is_on && it->kind != SIM_JUMP)
		timer_arm(&it->sim->timers, timer, now_ns + it->for_ns);
	switch (it->kind) {
	case SIM_SLEEP:
		side->asleep_until_ns = it->is_on ? now_ns + it->for_ns : 0;
		side->waiting = 0;
		if (it->is_on && !it->flag)
			side->offset_ns -= it->for_ns; /* nobody reads the clock before it wakes */
		break;
	case SIM_JUMP:
		side->offset_ns += it->for_ns;
		break;
	case SIM_FREEZE:
		if (!it->is_on)
			side->offset_ns = side->frozen_ns - now_ns;
		side->frozen_ns = it->is_on ? now_ns + side->offset_ns : 0;
		break;
	case SIM_NO_BUFFER:
		it->sim->is_emit_dead[it->side] = it->is_on;
		break;
	case SIM_DRY:
		it->sim->is_dry[it->side] = it->is_on;
		break;
	case SIM_DISTURBANCE_COUNT:
		WRONG("no such disturbance");
	}
	if (it->sim->is_traced)
		sim_tcp_trace_note(it->sim, NULL,
				   it->is_on ? "disturbance begins" : "disturbance ends", it->kind);
}

void sim_tcp_open(struct sim *sim, struct sim_net *net, uint64_t seed)
{
	memset(sim, 0, sizeof(*sim));
	sim_net_reset(net);
	sim->net = net;
	sim->seed = seed;
	sim->prng.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	sim->now_ns = NS_PER_S * (int64_t)sim_tcp_pick(sim, 1, 5000000);
	sim->begin_ns = sim->end_ns = sim->now_ns;
	timers_init(&sim->timers);
	net->on_drop = sim_tcp_judge_drop;
	net->ctx = sim;
}

void sim_tcp_start(struct sim *sim)
{
	for (int i = 0; i < 2; i++) {
		struct sim_side *side = &sim->sides[i];

		side->sim = sim;
		side->index = i;
		/* Their clocks have nothing in common. */
		side->offset_ns = NS_PER_S * (int64_t)sim_tcp_pick(sim, 0, 5000000);
		side->stack = tcp_stack_new(&side->config, &sim_tcp_app_ops, side, &side->counters,
					    sim_tcp_clock(side));
		CHECK(side->stack != NULL);
	}
	CHECK(tcp_listen(sim->sides[SIM_SERVER].stack, SIM_SERVER_PORT) == 0);
	for (uint32_t i = 0; i < sim->plan.connections; i++) {
		sim->pairs[i].sim = sim;
		sim->pairs[i].index = i;
		timer_init(&sim->pairs[i].rest, sim_tcp_app_rest_over);
		sim_tcp_app_start(&sim->pairs[i]);
	}
	for (uint32_t i = 0; i < sim->plan.disturbance_count; i++) {
		struct sim_disturbance *it = &sim->plan.disturbances[i];
		int64_t due_ns = it->timer.due_ns;

		timer_init(&it->timer, disturb);
		timer_arm(&sim->timers, &it->timer, due_ns);
	}
	timer_init(&sim->stranger, sim_tcp_stranger_wake);
	if (sim->plan.flood + sim->plan.intruders + sim->plan.ghosts > 0)
		timer_arm(&sim->timers, &sim->stranger, sim->now_ns + sim->plan.stranger_gap_ns);
}

void sim_tcp_close(struct sim *sim)
{
	for (int i = 0; i < 2; i++)
		tcp_stack_free(sim->sides[i].stack);
	sim_net_reset(sim->net);
}

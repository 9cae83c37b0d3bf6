/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strangers: a flood of SYNs from addresses that never answer, with acknowledgements that guess at
 * what the server said; intruders who know the addresses and ports of a connection but not its
 * numbers (RFC 5961); ghosts, segments of a time when the numbers were the same, 4 GiB ago (RFC 7323
 * section 5).
 */
#include <string.h>

#include "sim_tcp.h"

static uint32_t random_u32(struct sim *sim)
{
	return (uint32_t)prng_next(&sim->prng);
}

/** Let a segment of a stranger arrive now. `packet` is as its sender builds it. */
static void inject(struct sim *sim, int to, const struct tcp_packet *packet)
{
	struct sim_net_packet *wire = sim_net_packet(sim->net);
	struct tcp_segment_out segment;

	if (wire == NULL)
		return;
	tcp_packet_build(packet, &segment);
	wire->to = (uint8_t)to;
	wire->source = packet->tuple.local_address;
	wire->destination = packet->tuple.peer_address;
	wire->owner = SIM_STRANGER;
	wire->payload = packet->size;
	wire->size = segment.header_size + packet->size;
	memcpy(wire->bytes, segment.header, segment.header_size);
	for (uint32_t i = 0; i < packet->size; i++)
		wire->bytes[segment.header_size + i] = (uint8_t)random_u32(sim);
	sim_net_inject(sim->net, wire, sim->now_ns);
}

static void flood(struct sim *sim)
{
	struct tcp_packet packet = {
		.tuple = { .local_address = SIM_STRANGER_ADDRESS + random_u32(sim) % 65536,
			   .peer_address = SIM_ADDRESS(SIM_SERVER),
			   .local_port = (uint16_t)sim_tcp_pick(sim, 1, 65535),
			   .peer_port = SIM_SERVER_PORT },
		.seq = random_u32(sim),
		.window = 65535,
		.flags = TCP_SYN,
	};

	packet.options.has_mss = sim_tcp_chance(sim, 900);
	packet.options.mss = (uint16_t)sim_tcp_pick(sim, 0, 9000);
	packet.options.has_ts = sim_tcp_chance(sim, 500);
	packet.options.ts_value = random_u32(sim);
	if (sim_tcp_chance(sim, 300)) {
		packet.flags =
			(uint8_t)(sim_tcp_chance(sim, 800) ? TCP_ACK : random_u32(sim) & 0x3f);
		packet.ack = random_u32(sim);
		packet.options.ts_echo = random_u32(sim);
		packet.size = (uint32_t)sim_tcp_pick(sim, 0, 64);
	}
	inject(sim, SIM_SERVER, &packet);
}

/** @return an end of some connection that is open; NULL: none */
static struct sim_app *pick_open(struct sim *sim)
{
	struct sim_pair *pair = &sim->pairs[prng_below(&sim->prng, sim->plan.connections)];
	struct sim_app *app = &pair->apps[sim_tcp_pick(sim, 0, 1)];

	return app->tcb != NULL ? app : NULL;
}

static struct tcp_packet forged(const struct sim_app *app, uint8_t flags)
{
	const struct tcp_tuple *tuple = tcp_tuple(app->tcb);

	return (struct tcp_packet){
		.tuple = { .local_address = tuple->peer_address,
			   .peer_address = tuple->local_address,
			   .local_port = tuple->peer_port,
			   .peer_port = tuple->local_port },
		.flags = flags,
		.window = 1000,
	};
}

/** Numbers are guessed well, but never exactly: that is as good as an attacker off the path gets. */
static void intrude(struct sim *sim)
{
	const struct sim_app *app = pick_open(sim);
	struct tcp_packet packet;
	uint32_t room;

	if (app == NULL || app->tcb->state < TCP_STATE_ESTABLISHED)
		return;
	room = app->tcb->rcv_edge - app->tcb->rcv_nxt;
	packet = forged(app, TCP_RST);
	packet.seq = app->tcb->rcv_nxt + 1 + (uint32_t)prng_below(&sim->prng, MAX(room, 1U));
	switch (sim_tcp_pick(sim, 0, 4)) {
	case 0:
		break;
	case 1:
		packet.flags = TCP_RST | TCP_ACK;
		packet.seq = app->tcb->rcv_edge + 1 + random_u32(sim) / 4;
		break;
	case 2:
		packet.flags = sim_tcp_chance(sim, 500) ? TCP_SYN : TCP_SYN | TCP_ACK;
		packet.ack = random_u32(sim);
		break;
	case 3: /* acknowledges what is not sent yet */
		packet.flags = TCP_ACK;
		packet.size = (uint32_t)sim_tcp_pick(sim, 0, 100);
		packet.ack = app->tcb->snd_max + 1 + random_u32(sim) / 4;
		break;
	default: /* no acknowledgement at all */
		packet.flags = sim_tcp_chance(sim, 500) ? TCP_FIN : 0;
		packet.size = (uint32_t)sim_tcp_pick(sim, 0, 100);
		break;
	}
	inject(sim, app->side->index, &packet);
}

static void haunt(struct sim *sim)
{
	const struct sim_app *app = pick_open(sim);
	const struct tcb *tcb;
	struct tcp_packet packet;

	if (app == NULL)
		return;
	tcb = app->tcb;
	if (tcb->state < TCP_STATE_ESTABLISHED || !tcb->has_ts ||
	    sim_tcp_clock(app->side) - tcb->ts_recent_ns > TCP_PAWS_IDLE_NS / 2)
		return;
	packet = forged(app, TCP_ACK | TCP_PSH);
	packet.seq = tcb->rcv_nxt +
		     (sim_tcp_chance(sim, 700) ? 0 : (uint32_t)sim_tcp_pick(sim, 0, 3000));
	packet.ack = tcb->snd_una;
	packet.size = (uint32_t)sim_tcp_pick(sim, 1, 200);
	packet.options.has_ts = true;
	packet.options.ts_value = tcb->ts_recent - 1 - random_u32(sim) % 1000000;
	packet.options.ts_echo = random_u32(sim);
	inject(sim, app->side->index, &packet);
}

void sim_tcp_stranger_wake(struct timer *timer, int64_t now_ns)
{
	struct sim *sim = CONTAINER_OF(timer, struct sim, stranger);
	struct sim_plan *plan = &sim->plan;

	if (plan->flood > 0) {
		plan->flood--;
		flood(sim);
	}
	if (plan->intruders > 0 && sim_tcp_chance(sim, 500)) {
		plan->intruders--;
		intrude(sim);
	}
	if (plan->ghosts > 0 && sim_tcp_chance(sim, 500)) {
		plan->ghosts--;
		haunt(sim);
	}
	if (plan->flood + plan->intruders + plan->ghosts > 0)
		timer_arm(&sim->timers, timer,
			  now_ns + 1 + (int64_t)sim_tcp_pick(sim, 0, plan->stranger_gap_ns));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed does. Every trait is drawn by itself, so traits meet each other in all combinations. */
#include "sim_tcp.h"

#define TSO_SIZE    60000
#define PERCENT     (SIM_NET_MILLION / 100)
#define DAY_NS      (24 * 3600 * NS_PER_S)
#define QUEUE_NS    (300 * NS_PER_MS) /* a calm bottleneck delays no longer: timeouts stay earned */
#define OUTAGE_MAX  (12 * NS_PER_S)
#define FREEZE_MAX  (5 * NS_PER_S)
#define SLEEP_MAX   (20 * NS_PER_S)
#define JUMP_MAX    (100 * NS_PER_S)
#define JUMBO_MSS   8960
#define FLOOD_LIMIT 1500

uint64_t sim_tcp_pick(struct sim *sim, uint64_t low, uint64_t high)
{
	return low + prng_below(&sim->prng, high - low + 1);
}

bool sim_tcp_chance(struct sim *sim, uint32_t per_mille)
{
	return per_mille > 0 && prng_chance(&sim->prng, per_mille);
}

/** @return a number of `low` .. `high`, each power of two as likely as the next */
static uint64_t pick_log(struct sim *sim, uint64_t low, uint64_t high)
{
	uint32_t steps = 0;

	while (high >> steps > low)
		steps++;
	high >>= sim_tcp_pick(sim, 0, steps);
	return sim_tcp_pick(sim, low, MAX(low, high));
}

static uint32_t maybe(struct sim *sim, uint32_t per_mille, uint64_t high)
{
	return sim_tcp_chance(sim, per_mille) ? (uint32_t)sim_tcp_pick(sim, 0, high) : 0;
}

static void plan_loss(struct sim *sim, struct sim_net_link *link)
{
	if (sim_tcp_chance(sim, 700))
		link->loss =
			(uint32_t)(sim_tcp_chance(sim, 500) ? sim_tcp_pick(sim, 0, 2 * PERCENT)
							    : sim_tcp_pick(sim, 0, 12 * PERCENT));
	link->ack_loss = maybe(sim, 150, 30 * PERCENT);
	link->corruption = maybe(sim, 200, 3 * PERCENT);
	link->mark = maybe(sim, 150, 5 * PERCENT);
	if (sim_tcp_chance(sim, 200)) {
		link->bad_ns = (int64_t)pick_log(sim, NS_PER_MS, 100 * NS_PER_MS);
		link->good_ns = (int64_t)pick_log(sim, 100 * NS_PER_MS, 3 * NS_PER_S);
		link->bad_loss = (uint32_t)sim_tcp_pick(sim, 30 * PERCENT, 100 * PERCENT);
	}
}

static void plan_bottleneck(struct sim *sim, struct sim_net_link *link)
{
	uint64_t most;

	if (!sim_tcp_chance(sim, 300))
		return;
	link->rate = pick_log(sim, 64000, 100000000);
	link->queue_max = (uint32_t)sim_tcp_pick(sim, 3, 100) * 1540;
	most = link->rate * (uint64_t)QUEUE_NS / NS_PER_S;
	if (sim->plan.is_calm)
		link->queue_max = (uint32_t)MIN(most, (uint64_t)link->queue_max);
	link->queue_max = MAX(link->queue_max, 3 * SIM_NET_PACKET_MAX);
	if (sim_tcp_chance(sim, 500))
		link->mark_at = link->queue_max / 4;
}

static void plan_order(struct sim *sim, struct sim_net_link *link)
{
	if (sim->plan.is_calm)
		return;
	link->duplication = maybe(sim, 300, 10 * PERCENT);
	link->reordering = maybe(sim, 350, 30 * PERCENT);
	link->late_ns = (int64_t)sim_tcp_pick(sim, 0, 4 * (uint64_t)link->delay_ns);
	if (sim_tcp_chance(sim, 100))
		link->late_ns = (int64_t)sim_tcp_pick(sim, 0, 2 * NS_PER_S);
}

static int64_t pick_time(struct sim *sim)
{
	return sim->now_ns + (int64_t)pick_log(sim, NS_PER_MS, 20 * NS_PER_S);
}

/** The fault that ends last is remembered: from then on there is only loss. */
static void lasts_until(struct sim *sim, int64_t until_ns)
{
	sim->end_ns = MAX(sim->end_ns, until_ns);
}

static void plan_outages(struct sim *sim)
{
	struct sim_net_link *links = sim->net->links;
	uint32_t count = sim_tcp_chance(sim, 120) ? (uint32_t)sim_tcp_pick(sim, 1, 3) : 0;

	for (uint32_t i = 0; i < count; i++) {
		struct sim_net_span span = { .from_ns = pick_time(sim) };
		uint64_t which = sim_tcp_pick(sim, 1, 3);

		span.until_ns = span.from_ns + (int64_t)pick_log(sim, NS_PER_MS, OUTAGE_MAX);
		for (int side = 0; side < 2; side++)
			if ((which >> side & 1) != 0)
				links[side].outages[i] = span;
		lasts_until(sim, span.until_ns);
	}
}

static void plan_links(struct sim *sim)
{
	int64_t delay_ns =
		NS_PER_US * (int64_t)(sim_tcp_chance(sim, 50) ? sim_tcp_pick(sim, 50000, 300000)
							      : pick_log(sim, 20, 50000));

	for (int side = 0; side < 2; side++) {
		struct sim_net_link *link = &sim->net->links[side];

		link->prng.state = prng_next(&sim->prng);
		link->delay_ns = delay_ns;
		if (sim_tcp_chance(sim, 500))
			link->jitter_ns = sim_tcp_chance(sim, 800) ? delay_ns / 10 : delay_ns;
		plan_loss(sim, link);
		plan_bottleneck(sim, link);
		plan_order(sim, link);
		sim->net->has_checksums |= link->corruption > 0;
	}
	plan_outages(sim);
}

static void plan_disturbance(struct sim *sim, enum sim_disturbance_kind kind)
{
	static const int64_t longest_ns[SIM_DISTURBANCE_COUNT] = {
		[SIM_SLEEP] = SLEEP_MAX,        [SIM_JUMP] = JUMP_MAX,    [SIM_FREEZE] = FREEZE_MAX,
		[SIM_NO_BUFFER] = 3 * NS_PER_S, [SIM_DRY] = 3 * NS_PER_S,
	};
	struct sim_disturbance *it = &sim->plan.disturbances[sim->plan.disturbance_count++];

	CHECK(sim->plan.disturbance_count <= SIM_DISTURBANCES_MAX);
	it->sim = sim;
	it->kind = kind;
	it->side = (int)sim_tcp_pick(sim, 0, 1);
	it->flag = sim_tcp_chance(sim, 500);
	it->for_ns = (int64_t)pick_log(sim, NS_PER_MS, (uint64_t)longest_ns[kind]);
	it->timer.due_ns = pick_time(sim); /* armed when the world starts */
	if (kind != SIM_JUMP)
		lasts_until(sim, it->timer.due_ns + it->for_ns);
}

static void plan_strangers(struct sim *sim)
{
	struct sim_plan *plan = &sim->plan;

	plan->stranger_gap_ns = (int64_t)pick_log(sim, 20 * NS_PER_US, 20 * NS_PER_MS);
	if (sim_tcp_chance(sim, 60))
		plan->flood = (uint32_t)sim_tcp_pick(sim, 50, FLOOD_LIMIT);
	plan->intruders = maybe(sim, 120, 100);
	plan->ghosts = maybe(sim, 120, 100);
}

void sim_tcp_plan(struct sim *sim)
{
	struct sim_plan *plan = &sim->plan;

	plan->is_calm = sim_tcp_chance(sim, 350);
	plan->connections =
		(uint32_t)(sim_tcp_chance(sim, 50) ? sim_tcp_pick(sim, 16, SIM_CONNECTIONS_MAX)
						   : sim_tcp_pick(sim, 1, 6));
	plan->start_ns = sim_tcp_chance(sim, 500) ? 0 : (int64_t)sim_tcp_pick(sim, 0, NS_PER_S);
	plan->has_keepalive = sim_tcp_chance(sim, 500);
	plan->burst = sim_tcp_chance(sim, 500) ? 1 : (uint32_t)sim_tcp_pick(sim, 2, 64);
	plan->no_buffer = maybe(sim, 200, 200);
	for (int side = 0; side < 2; side++)
		if (sim_tcp_chance(sim, 500))
			plan->poll_ns[side] = (int64_t)sim_tcp_pick(sim, 0, 200) * NS_PER_US;
	plan_links(sim);
	if (sim_tcp_chance(sim, 120))
		plan->rest_ns = (int64_t)sim_tcp_pick(sim, NS_PER_S, 300 * NS_PER_S);
	if (sim_tcp_chance(sim, 10) && !plan->has_keepalive)
		plan->rest_ns = (int64_t)sim_tcp_pick(sim, DAY_NS, 60 * DAY_NS);
	plan->has_reopen = sim_tcp_chance(sim, 150);
	for (uint32_t i = 0; i < plan->connections; i++) {
		sim->pairs[i].is_simultaneous = sim_tcp_chance(sim, 60);
		sim->pairs[i].generations =
			plan->has_reopen ? (uint32_t)sim_tcp_pick(sim, 0, 3) : 0;
	}
	if (plan->is_calm)
		return;
	plan->has_tiny_pool = sim_tcp_chance(sim, 250);
	plan->has_slow_apps = sim_tcp_chance(sim, 700);
	/* A lost reset leaves a peer that only keepalive can tell. */
	plan->has_aborts = plan->has_keepalive && sim_tcp_chance(sim, 300);
	for (unsigned kind = 0; kind < SIM_DISTURBANCE_COUNT; kind++)
		if (sim_tcp_chance(sim, 90))
			plan_disturbance(sim, kind);
	plan_strangers(sim);
	plan->flood_size = plan->flood;
	/* A cookie is no state: a client whose last word of the handshake is lost learns that only when
	   it speaks again. */
	plan->has_keepalive |= plan->flood > 0;
	plan->rest_ns = plan->flood > 0 ? 0 : plan->rest_ns;
}

void sim_tcp_plan_side(struct sim *sim, int index)
{
	struct sim_side *side = &sim->sides[index];
	uint64_t ways = prng_next(&sim->prng);

	side->config = (struct tcp_config){
		.connections_max = sim->plan.connections + 16,
		.held_pieces_max =
			sim->plan.has_tiny_pool ? (uint32_t)sim_tcp_pick(sim, 0, 8) : 4000,
		.mss = (uint16_t)(sim_tcp_chance(sim, 80) ? JUMBO_MSS
							  : sim_tcp_pick(sim, 200, 1460)),
		.window_max = (uint32_t)(!sim->plan.is_calm && sim_tcp_chance(sim, 300)
						 ? sim_tcp_pick(sim, 1, 4000)
						 : sim_tcp_pick(sim, 4000, 1000000)),
		.rto_min_ms = sim_tcp_chance(sim, 150) ? (uint32_t)sim_tcp_pick(sim, 5, 50) : 200,
		.time_wait_ms = sim_tcp_chance(sim, 500) ? 120000 : 2000,
		.syn_backlog_max = MAX(16U, sim->plan.connections),
		.keepalive_ms = sim->plan.has_keepalive ? 30000 : 0,
		.congestion = ways % 4 == 0 ? TCP_CC_NEWRENO : TCP_CC_CUBIC,
		.ecn = (uint8_t)(ways / 4 % TCP_ECN_POLICY_COUNT),
		.has_pacing = ways / 16 % 2 == 0,
		.tso_size = ways / 256 % 4 == 0 ? TSO_SIZE : 0,
		.user_timeout_ms = sim_tcp_chance(sim, 100) ? 120000 : 0,
		.secret = { prng_next(&sim->prng), prng_next(&sim->prng) },
	};
	/* Ghosts of old numbers are what timestamps are for, and peers that come back at once. */
	if (index == SIM_CLIENT)
		sim->plan.blanks_ts =
			ways / 32 % 8 == 0 && sim->plan.ghosts == 0 && !sim->plan.has_reopen;
	/* ... and to see that a repetition was needless before it is one of many. */
	sim->plan.is_calm = sim->plan.is_calm && !sim->plan.blanks_ts;
}

static uint64_t pick_size(struct sim *sim)
{
	if (sim_tcp_chance(sim, 200))
		return sim_tcp_pick(sim, 0, 3);
	if (sim->plan.connections > 6)
		return sim_tcp_pick(sim, 0, 8000);
	if (sim->plan.connections == 1 && sim_tcp_chance(sim, 150))
		return sim_tcp_pick(sim, 0, 1500000);
	return sim_tcp_pick(sim, 0, 120000);
}

void sim_tcp_plan_pair(struct sim *sim, struct sim_pair *pair)
{
	for (int side = 0; side < 2; side++) {
		struct sim_app *app = &pair->apps[side];
		bool has_slow = sim->plan.has_slow_apps;

		*app = (struct sim_app){ .side = &sim->sides[side], .pair = pair };
		timer_init(&app->wake, sim_tcp_app_wake);
		app->size = pick_size(sim);
		/* Windows of a few bytes make long transfers, either way: keep them short. */
		if (sim->sides[0].config.window_max < 200 || sim->sides[1].config.window_max < 200)
			app->size %= 2000;
		/* So do timeouts that nothing shortens: of a reader without room, to one whose handshake was a
		   cookie and that has neither reports nor timestamps. */
		if (sim->plan.has_tiny_pool)
			app->size %= 120000;
		app->is_slow = has_slow && sim_tcp_chance(sim, 400);
		app->is_stubborn = has_slow && sim_tcp_chance(sim, 200);
		app->is_shrinking = has_slow && sim_tcp_chance(sim, 200);
		app->has_nagle = sim_tcp_chance(sim, 300);
		app->aborts = sim->plan.has_aborts && sim_tcp_chance(sim, 300);
		app->rest_at = sim->plan.rest_ns > 0 ? sim_tcp_pick(sim, 0, app->size) : UINT64_MAX;
	}
	if (sim_tcp_chance(sim, 500)) /* else both close on their own */
		pair->apps[sim_tcp_pick(sim, 0, 1)].waits_for_eof = true;
}

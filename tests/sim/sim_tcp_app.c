/* SPDX-License-Identifier: Apache-2.0 */
/* The owner of connections on both sides: sends, reads as it likes, rests, closes, aborts. */
#include <string.h>

#include "sim_tcp.h"

static void wake_at(struct sim_app *app, int64_t at_ns)
{
	if (!timer_is_armed(&app->wake) || at_ns < app->wake.due_ns)
		timer_arm(&app->side->sim->timers, &app->wake, at_ns);
}

static void wake_in(struct sim_app *app, uint64_t max_us)
{
	struct sim *sim = app->side->sim;

	wake_at(app, sim->now_ns + NS_PER_US * (int64_t)sim_tcp_pick(sim, 1, max_us));
}

static uint64_t word_at(uint64_t stream, uint64_t pos)
{
	uint64_t z = stream + pos * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return z ^ z >> 29;
}

void sim_tcp_app_pattern(const struct sim_app *app, uint64_t pos, uint8_t *bytes, size_t size)
{
	uint64_t stream = app->pair->index + ((uint64_t)app->pair->generation << 8) +
			  ((uint64_t)app->side->index << 16);

	stream = (stream + 1) * UINT64_C(0xbf58476d1ce4e5b9);
	while (size > 0) {
		uint64_t word = word_at(stream, pos / 8);
		size_t skip = pos % 8, part = MIN(8 - skip, size);

		memcpy(bytes, (const uint8_t *)&word + skip, part);
		bytes += part;
		pos += part;
		size -= part;
	}
}

static void check_bytes(struct sim_app *app, const uint8_t *bytes, size_t size)
{
	const struct sim_app *peer = &app->pair->apps[!app->side->index];
	uint8_t expected[SIM_PATTERN_MAX];

	for (size_t done = 0; done < size; done += sizeof(expected)) {
		size_t part = MIN(size - done, sizeof(expected));

		sim_tcp_app_pattern(peer, app->received + done, expected, part);
		if (memcmp(bytes + done, expected, part) != 0)
			sim_tcp_fail(app->side->sim, app->pair,
				     "received bytes differ from those sent");
	}
}

static bool must_rest(const struct sim_app *app)
{
	return app->sent >= app->rest_at;
}

static void send_some(struct sim_app *app)
{
	struct sim *sim = app->side->sim;
	uint64_t left = MIN(app->size, app->rest_at) - app->sent;
	uint64_t size = MIN(left, sim_tcp_pick(sim, 1, app->is_slow ? 3000 : 60000));

	if (sim->is_measured || app->sends_all)
		size = left; /* the network is what is looked at, not the writer */
	if (size == 0 || app->is_shut)
		return;
	app->sent += size;
	if (sim->is_traced)
		sim_tcp_trace_note(sim, app, "sends", size);
	tcp_send(app->tcb, size, sim_tcp_clock(app->side));
}

/** Both sent what they had before the rest, and all of it was taken and acknowledged. */
static void check_rest(struct sim_pair *pair)
{
	struct sim *sim = pair->sim;

	if (pair->is_resting)
		return;
	for (int i = 0; i < 2; i++) {
		const struct sim_app *app = &pair->apps[i];

		if (app->tcb == NULL || !must_rest(app) || app->acked != app->sent ||
		    pair->apps[!i].received != app->sent)
			return;
	}
	pair->is_resting = true;
	pair->rest_since_ns = sim->now_ns;
	timer_arm(&sim->timers, &pair->rest, sim->now_ns + sim->plan.rest_ns);
	if (sim->is_traced)
		sim_tcp_trace_note(sim, &pair->apps[0], "rests, and the other end, for ms",
				   (uint64_t)(sim->plan.rest_ns / NS_PER_MS));
}

void sim_tcp_app_rest_over(struct timer *timer, int64_t now_ns)
{
	struct sim_pair *pair = CONTAINER_OF(timer, struct sim_pair, rest);

	pair->is_resting = false;
	pair->progress_ns = now_ns;
	for (int i = 0; i < 2; i++) {
		pair->apps[i].rest_at = UINT64_MAX;
		wake_in(&pair->apps[i], 1000);
	}
}

static void opened(struct sim_app *app, struct tcb *tcb)
{
	app->tcb = tcb;
	app->was_open = true;
	tcp_set_nodelay(tcb, !app->has_nagle);
	sim_tcp_judge_progress(app);
	wake_in(app, 1000);
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	struct sim_side *side = ctx;
	struct sim_pair *pair = sim_tcp_pair_of(side, tcp_tuple(tcb));
	struct sim_app *app;

	if (pair == NULL) {
		sim_tcp_fail(side->sim, NULL, "a stranger was accepted");
		return NULL;
	}
	app = &pair->apps[side->index];
	if (app->was_open)
		sim_tcp_fail(side->sim, pair, "a connection was accepted twice");
	opened(app, tcb);
	return app;
}

static void on_connect(void *owner, struct tcb *tcb)
{
	opened(owner, tcb);
}

/** Reads as its kind does. @return bytes it takes */
static size_t appetite(struct sim_app *app, struct tcb *tcb, size_t size)
{
	struct sim *sim = app->side->sim;
	size_t taken = size;

	if (sim->now_ns < app->deaf_until_ns)
		return 0;
	if (app->is_slow && sim_tcp_chance(sim, 400)) {
		taken = prng_below(&sim->prng, size + 1);
		wake_in(app, 20000);
		if (sim_tcp_chance(sim, 100))
			tcp_resume(tcb, sim_tcp_clock(app->side));
		if (sim_tcp_chance(sim, 300))
			tcp_set_credit(tcb, (uint32_t)prng_below(&sim->prng, 20000));
	}
	if (app->is_shrinking && sim_tcp_chance(sim, 300)) {
		uint32_t room = app->side->config.window_max >> sim_tcp_pick(sim, 0, 10);

		tcp_set_credit(tcb, (uint32_t)prng_below(&sim->prng, room + 1));
		wake_in(app, 50000);
	}
	if (app->is_stubborn && sim_tcp_chance(sim, 4)) {
		int64_t max_ns = sim_tcp_chance(sim, 800) ? 2 * NS_PER_S : 20 * NS_PER_S;

		app->deaf_until_ns = sim->now_ns + (int64_t)sim_tcp_pick(sim, 1, max_ns);
		wake_at(app, app->deaf_until_ns);
		tcp_set_credit(tcb, 0);
		taken = prng_below(&sim->prng, size + 1);
		if (sim->is_traced)
			sim_tcp_trace_note(
				sim, app, "is deaf for ms",
				(uint64_t)((app->deaf_until_ns - sim->now_ns) / NS_PER_MS));
	}
	return taken;
}

static size_t on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct sim_app *app = owner;
	struct sim *sim = app->side->sim;
	size_t taken = appetite(app, tcb, size);

	if (!sim->is_measured)
		check_bytes(app, bytes, taken);
	app->received += taken;
	if (app->has_eof)
		sim_tcp_fail(sim, app->pair, "data after the end");
	if (taken > 0)
		sim_tcp_judge_progress(app);
	if (sim_tcp_chance(sim, 50) && !must_rest(app))
		send_some(app);
	check_rest(app->pair);
	if (app->aborts && sim_tcp_chance(sim, 30))
		tcp_abort(tcb, sim_tcp_clock(app->side));
	return taken;
}

static void on_eof(void *owner, struct tcb *tcb)
{
	struct sim_app *app = owner;

	(void)tcb;
	if (app->has_eof)
		sim_tcp_fail(app->side->sim, app->pair, "the end was told twice");
	app->has_eof = true;
	sim_tcp_judge_progress(app);
	wake_in(app, 5000);
}

static void on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	struct sim_app *app = owner;

	(void)tcb;
	app->acked += size;
	if (app->acked > app->sent)
		sim_tcp_fail(app->side->sim, app->pair, "more was acknowledged than sent");
	sim_tcp_judge_progress(app);
	check_rest(app->pair);
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	struct sim_app *app = owner;
	struct sim *sim = app->side->sim;
	struct sim_pair *pair = app->pair;

	if (app->is_over)
		sim_tcp_fail(sim, pair, "a connection was closed twice");
	if (sim->is_traced)
		sim_tcp_trace_note(sim, app, "is closed, reason", reason);
	sim_tcp_judge_closed(app, reason);
	app->is_over = true;
	app->tcb = NULL;
	app->reason = reason;
	timer_disarm(&sim->timers, &app->wake);
	sim_tcp_judge_progress(app);
	if (!pair->apps[0].is_over || !pair->apps[1].is_over || pair->generations == 0)
		return;
	/* Again with the same addresses and ports, beside what is left of the old one. */
	pair->generations--;
	sim_tcp_judge_pair_over(pair);
	if (sim->failure == NULL) {
		pair->generation++;
		sim_tcp_app_start(pair);
	}
}

static void on_hold(void *ctx, void *buffer)
{
	struct sim_side *side = ctx;
	struct sim_net_packet *packet = buffer;

	packet->refs++;
	side->held++;
	side->held_max = MAX(side->held_max, side->held);
}

static void on_release(void *ctx, void *buffer)
{
	struct sim_side *side = ctx;

	CHECK(side->held > 0);
	side->held--;
	sim_net_unref(side->sim->net, buffer);
}

const struct tcp_ops sim_tcp_app_ops = {
	.emit = sim_tcp_emit,
	.on_accept = on_accept,
	.on_connect = on_connect,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
	.hold = on_hold,
	.release = on_release,
};

void sim_tcp_app_start(struct sim_pair *pair)
{
	struct sim *sim = pair->sim;
	int64_t at_ns = sim->now_ns + 1 + (int64_t)sim_tcp_pick(sim, 0, sim->plan.start_ns);

	/* What is late of the connection before is told from this one by timestamps, in ms. */
	if (pair->generation > 0)
		at_ns += 2 * NS_PER_MS;

	sim_tcp_plan_pair(sim, pair);
	pair->is_resting = pair->is_reset_lost = false;
	timer_disarm(&sim->timers, &pair->rest);
	pair->progress_ns = at_ns;
	wake_at(&pair->apps[SIM_CLIENT], at_ns);
	if (pair->is_simultaneous)
		wake_at(&pair->apps[SIM_SERVER], at_ns);
}

static void app_connect(struct sim_app *app)
{
	int side = app->side->index;
	uint16_t client = (uint16_t)(SIM_PORT_FIRST + app->pair->index), server = SIM_SERVER_PORT;
	struct tcp_tuple tuple = { .local_address = SIM_ADDRESS(side),
				   .peer_address = SIM_ADDRESS(!side) };
	struct tcb *tcb;
	int error;

	if (app->pair->is_simultaneous)
		server = (uint16_t)(SIM_PORT_BOTH + app->pair->index);
	tuple.local_port = side == SIM_CLIENT ? client : server;
	tuple.peer_port = side == SIM_CLIENT ? server : client;
	error = tcp_connect(app->side->stack, &tuple, app, sim_tcp_clock(app->side), &tcb);
	if (error != 0) /* what a late SYN left is there yet */
		wake_in(app, 100000);
	else if (!app->is_over)
		app->tcb = tcb;
}

/** Takes what it left, writes more, and in the end closes. */
static void act(struct sim_app *app)
{
	struct sim *sim = app->side->sim;

	tcp_set_credit(app->tcb, app->side->config.window_max);
	tcp_resume(app->tcb, sim_tcp_clock(app->side));
	if (app->tcb != NULL && app->aborts && sim_tcp_chance(sim, 50))
		tcp_abort(app->tcb, sim_tcp_clock(app->side));
	if (app->tcb == NULL)
		return;
	if (must_rest(app)) {
		check_rest(app->pair);
	} else if (app->sent < app->size) {
		send_some(app);
		wake_in(app, 10000);
	} else if (!app->is_shut && (!app->waits_for_eof || app->has_eof)) {
		app->is_shut = true;
		if (sim->is_traced)
			sim_tcp_trace_note(sim, app, "is done after", app->size);
		tcp_shutdown(app->tcb, sim_tcp_clock(app->side));
	}
}

void sim_tcp_app_wake(struct timer *timer, int64_t now_ns)
{
	struct sim_app *app = CONTAINER_OF(timer, struct sim_app, wake);

	if (now_ns < app->side->asleep_until_ns)
		wake_at(app, app->side->asleep_until_ns);
	else if (app->tcb == NULL && !app->was_open && !app->is_over)
		app_connect(app);
	else if (app->tcb != NULL && app->was_open && now_ns < app->deaf_until_ns)
		wake_at(app, app->deaf_until_ns);
	else if (app->tcb != NULL && app->was_open)
		act(app);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Losses chosen by hand, each for a mechanism that must repair it before the retransmission timer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_tcp.h"

#define DELAY_NS (10 * NS_PER_MS) /* one way */
#define MSS      1012             /* a segment carries 1000 bytes beside its timestamps */
#define SEGMENT  1000U

static const struct lesson {
	const char *name;
	uint32_t segments, losses[SIM_NET_PLANNED_MAX], resent;
} lessons[] = {
	{ "nothing is lost", 40, { 0 }, 0 },
	{ "RACK's timer: the first of two is lost", 2, { 1 }, 1 },
	{ "RACK: one of many is lost", 40, { 12 }, 1 },
	{ "RACK: one of many is lost, and again", 200, { 31, 71 }, 2 },
	/* The probe is the end of what is out with the FIN in it, which leaves one byte. The report of
	   it carries an old echo, as reports do, and yet answers the probe. */
	{ "the probe: the last before a FIN is lost", 5, { 5 }, 2 },
	{ "SACK: five of a window are lost", 40, { 12, 14, 16, 18, 20 }, 5 },
};

static void plan(struct sim *sim, const struct lesson *lesson)
{
	sim->plan.connections = 1;
	sim->plan.burst = 1;
	sim->plan.is_calm = true;
	for (int i = 0; i < 2; i++) {
		struct sim_net_link *link = &sim->net->links[i];

		link->prng.state = prng_next(&sim->prng);
		link->delay_ns = DELAY_NS;
		link->rate = 125000000;
		link->queue_max = 10000000;
		sim_tcp_plan_side(sim, i);
		sim->sides[i].config.mss = MSS;
		sim->sides[i].config.window_max = 1U << 20;
		sim->sides[i].config.held_pieces_max = 4000;
		sim->sides[i].config.rto_min_ms = 200;
		sim->sides[i].config.congestion = TCP_CC_CUBIC;
		sim->sides[i].config.ecn = TCP_ECN_OFF;
		sim->sides[i].config.has_pacing = false;
	}
	sim->plan.blanks_ts = false;
	memcpy(sim->net->links[SIM_CLIENT].planned, lesson->losses, sizeof(lesson->losses));
}

static const char *run(struct sim_net *net, const struct lesson *lesson, bool is_traced)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	const struct sim_app *client;
	const char *failure;

	CHECK(sim != NULL);
	sim_tcp_open(sim, net, 1);
	sim->is_traced = is_traced;
	plan(sim, lesson);
	sim_tcp_start(sim);
	client = &sim->pairs[0].apps[SIM_CLIENT];
	sim->pairs[0].apps[SIM_CLIENT].size = (uint64_t)lesson->segments * SEGMENT;
	sim->pairs[0].apps[SIM_CLIENT].has_nagle = false;
	sim->pairs[0].apps[SIM_CLIENT].sends_all = true;
	sim->pairs[0].apps[SIM_SERVER].size = 0;
	sim_tcp_run(sim);
	if (sim->failure == NULL)
		sim_tcp_judge_end(sim);
	if (counters_get(&sim->sides[SIM_CLIENT].counters, COUNTER_TCP_RTO) > 0)
		sim_tcp_fail(sim, NULL, "a timeout where none was needed");
	if (client->resent != lesson->resent)
		sim_tcp_fail(sim, NULL, "not just the lost segments were sent again");
	failure = sim->failure;
	sim_tcp_close(sim);
	free(sim);
	return failure;
}

uint32_t sim_tcp_lesson(struct sim_net *net)
{
	uint32_t failures = 0;

	for (uint32_t i = 0; i < ARRAY_COUNT(lessons); i++) {
		const char *failure = run(net, &lessons[i], false);

		if (failure == NULL)
			continue;
		failures++;
		printf("FAILED %s: %s\n", lessons[i].name, failure);
		(void)run(net, &lessons[i], true);
	}
	return failures;
}

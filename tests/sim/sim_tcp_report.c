/* SPDX-License-Identifier: Apache-2.0 */
/* Goodput in virtual time, so that algorithms can be compared: a table, nothing is asserted. */
#include <stdio.h>
#include <stdlib.h>

#include "sim_tcp.h"

#define DELAY_NS (10 * NS_PER_MS)   /* one way */
#define RATE     UINT64_C(12500000) /* 100 Mbit/s */
#define QUEUE    UINT32_C(250000)   /* one bandwidth-delay product */
#define TRANSFER UINT64_C(50000000)
#define RUNS     3U
#define MSS      1460

struct result {
	double mbit;
	uint64_t resent, timeouts, needless;
};

struct scenario {
	enum tcp_cc_algorithm algorithm;
	uint32_t loss, reordering; /* of a million */
	uint32_t queue;            /* bytes */
	bool has_pacing;
};

static struct result measure(struct sim_net *net, const struct scenario *scenario, uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct result result = { 0 };
	struct sim_app *client;

	CHECK(sim != NULL);
	sim_tcp_open(sim, net, seed);
	sim->is_measured = true;
	sim->plan.connections = 1;
	sim->plan.burst = 16;
	for (int i = 0; i < 2; i++) {
		struct sim_net_link *link = &net->links[i];

		link->prng.state = prng_next(&sim->prng);
		link->delay_ns = DELAY_NS;
		link->rate = RATE;
		link->queue_max = scenario->queue;
		link->loss = i == SIM_CLIENT ? scenario->loss : 0;
		link->reordering = scenario->reordering;
		link->late_ns = DELAY_NS / 4;
		sim_tcp_plan_side(sim, i);
		sim->sides[i].config.mss = MSS;
		sim->sides[i].config.window_max = 4U << 20;
		sim->sides[i].config.held_pieces_max = 16384;
		sim->sides[i].config.rto_min_ms = 200;
		sim->sides[i].config.time_wait_ms = 1;
		sim->sides[i].config.keepalive_ms = 0;
		sim->sides[i].config.user_timeout_ms = 0;
		sim->sides[i].config.congestion = (uint8_t)scenario->algorithm;
		sim->sides[i].config.ecn = TCP_ECN_OFF;
		sim->sides[i].config.has_pacing = scenario->has_pacing;
	}
	sim->plan.blanks_ts = false;
	sim_tcp_start(sim);
	client = &sim->pairs[0].apps[SIM_CLIENT];
	client->size = TRANSFER;
	sim->pairs[0].apps[SIM_SERVER].size = 0;
	sim_tcp_run(sim);
	if (sim->failure != NULL)
		printf("FAILED: %s\n", sim->failure);
	result.mbit =
		(double)client->acked * 8e3 / (double)(sim->pairs[0].progress_ns - sim->begin_ns);
	result.resent = client->resent;
	result.needless = client->resent_needless;
	result.timeouts = counters_get(&sim->sides[SIM_CLIENT].counters, COUNTER_TCP_RTO);
	sim_tcp_close(sim);
	free(sim);
	return result;
}

static int compare(const void *a, const void *b)
{
	double x = ((const struct result *)a)->mbit, y = ((const struct result *)b)->mbit;

	return (x > y) - (x < y);
}

int sim_tcp_report(struct sim_net *net)
{
	static const struct scenario links[] = {
		{ .queue = QUEUE },
		{ .queue = QUEUE / 2 },
		{ .queue = QUEUE / 4 },
		{ .queue = QUEUE / 2, .has_pacing = true },
		{ .queue = QUEUE, .reordering = 20000 },
		{ .queue = QUEUE, .loss = 1000 },
		{ .queue = QUEUE, .loss = 1000, .reordering = 20000 },
		{ .queue = QUEUE, .loss = 10000 },
		{ .queue = QUEUE, .loss = 10000, .reordering = 20000 },
		{ .queue = QUEUE, .loss = 50000 },
		{ .queue = QUEUE, .loss = 50000, .reordering = 20000 },
	};
	static const char *const names[TCP_CC_ALGORITHM_COUNT] = { "cubic", "newreno" };

	printf("one connection, %lu MB, %ld ms there and back, 100 Mbit/s; median of %u\n"
	       "%-12s %8s %8s %8s %8s %10s %10s %10s %10s\n",
	       (unsigned long)(TRANSFER / 1000000), (long)(2 * DELAY_NS / NS_PER_MS), RUNS,
	       "algorithm", "loss %", "late %", "queue kB", "paced", "Mbit/s", "resent", "needless",
	       "timeouts");
	for (uint32_t i = 0; i < TCP_CC_ALGORITHM_COUNT * ARRAY_COUNT(links); i++) {
		struct scenario scenario = links[i / TCP_CC_ALGORITHM_COUNT];
		struct result results[RUNS];
		const struct result *median = &results[RUNS / 2];

		scenario.algorithm = (enum tcp_cc_algorithm)(i % TCP_CC_ALGORITHM_COUNT);
		for (uint32_t run = 0; run < RUNS; run++)
			results[run] = measure(net, &scenario, run + 1);
		qsort(results, RUNS, sizeof(results[0]), compare);
		printf("%-12s %8.1f %8.1f %8u %8s %10.2f %10lu %10lu %10lu\n",
		       names[scenario.algorithm], scenario.loss / 1e4, scenario.reordering / 1e4,
		       scenario.queue / 1000, scenario.has_pacing ? "yes" : "no", median->mbit,
		       (unsigned long)median->resent, (unsigned long)median->needless,
		       (unsigned long)median->timeouts);
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: whatever the network, the readers, the clocks and strangers do, two stacks carry every byte
 * both ways, in order and once; every connection ends; nothing stays held or grows beyond its limit;
 * an offered window is never taken back, and never more is in flight than windows allow; nobody gives
 * up or repeats himself without cause.
 *
 * Shown by running pairs of stacks over a simulated network in virtual time. All choices come from
 * one seed, so a failure is replayed by its seed; some seeds are run twice to show that. Losses and
 * what was sent again are summed over seeds in which only losses disturb: there timeouts and needless
 * repetitions have to be rare, or a mechanism of recovery does not work.
 */
#include "sim_tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMS_SEEDS       1000U /* fewer say nothing about rates */
#define TIMEOUTS_PERCENT 4U
#define NEEDLESS_PERCENT 4U
#define TWICE_EVERY      25U /* seeds: this one is run again, for the same digest */

struct options {
	uint64_t first, seeds;
	bool is_single, has_trace, has_report, is_loud;
};

static void add_up(const struct sim *sim, struct sim_totals *totals)
{
	totals->virtual_ns += (uint64_t)(sim->now_ns - sim->begin_ns);
	totals->events += sim->events;
	totals->drops += sim->drops;
	for (int i = 0; i < 2; i++) {
		const struct counters *counters = &sim->sides[i].counters;
		uint64_t resent = counters_get(counters, COUNTER_TCP_RETRANSMITS);
		uint64_t timeouts = counters_get(counters, COUNTER_TCP_RTO);

		totals->segments += counters_get(counters, COUNTER_TCP_SEGMENTS_OUT);
		totals->recoveries += counters_get(counters, COUNTER_TCP_FAST_RETRANSMITS);
		totals->retransmits += resent;
		totals->timeouts += timeouts;
		if (!sim->plan.is_calm)
			continue;
		totals->calm_retransmits += resent;
		totals->calm_timeouts += timeouts;
		for (uint32_t j = 0; j < sim->plan.connections; j++)
			totals->calm_needless += sim->pairs[j].apps[i].resent_needless;
	}
	totals->calm_drops += sim->plan.is_calm ? sim->drops : 0;
}

/** @return why it failed; NULL: all held. @param[out] ret_digest  of all that was sent */
static const char *run_seed(struct sim_net *net, uint64_t seed, const struct options *options,
			    struct sim_totals *totals, uint64_t *ret_digest)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	const char *failure;
	char context[64];

	CHECK(sim != NULL);
	/* A CHECK of the stack that fails names the command, too. */
	snprintf(context, sizeof(context), "sim_tcp --seed %lu --trace", (unsigned long)seed);
	check_context(context);
	sim_tcp_open(sim, net, seed);
	sim->is_traced = options->has_trace;
	sim_tcp_plan(sim);
	sim_tcp_plan_side(sim, SIM_CLIENT);
	sim_tcp_plan_side(sim, SIM_SERVER);
	sim_tcp_start(sim);
	if (options->is_single)
		sim_tcp_trace_plan(sim);
	sim_tcp_run(sim);
	if (sim->failure == NULL)
		sim_tcp_judge_end(sim);
	if (options->is_single)
		sim_tcp_trace_end(sim);
	if (totals != NULL)
		add_up(sim, totals);
	if (sim->failure != NULL && options->is_single)
		printf("failed: %s, connection %d\n", sim->failure, (int)sim->failed_pair);
	failure = sim->failure;
	*ret_digest = sim->digest;
	sim_tcp_close(sim);
	check_context(NULL);
	free(sim);
	return failure;
}

static int parse(int argc, char **argv, struct options *options)
{
	*options = (struct options){ .first = 1, .seeds = 300 };
	for (int i = 1; i < argc; i++) {
		bool has_value = i + 1 < argc;

		if (strcmp(argv[i], "--trace") == 0) {
			options->has_trace = true;
		} else if (strcmp(argv[i], "--report") == 0) {
			options->has_report = true;
		} else if (has_value && strcmp(argv[i], "--seeds") == 0) {
			options->seeds = strtoull(argv[++i], NULL, 10);
		} else if (has_value && strcmp(argv[i], "--first") == 0) {
			options->first = strtoull(argv[++i], NULL, 10);
		} else if (has_value && strcmp(argv[i], "--seed") == 0) {
			options->first = strtoull(argv[++i], NULL, 10);
			options->is_single = true;
			options->seeds = 1;
		} else {
			fprintf(stderr,
				"usage: %s [--seeds N] [--first S] | --seed S [--trace] | --report\n",
				argv[0]);
			return -1;
		}
	}
	return 0;
}

/** Of what calm seeds lost, so many of a hundred may wait for a timeout, or be sent again needlessly. */
static bool are_sums_right(const struct sim_totals *totals)
{
	if (totals->seeds < SUMS_SEEDS)
		return true;
	if (100 * totals->calm_timeouts > TIMEOUTS_PERCENT * totals->calm_drops)
		printf("FAILED: losses wait for timeouts too often\n");
	else if (100 * totals->calm_needless > NEEDLESS_PERCENT * totals->calm_drops)
		printf("FAILED: too much is sent again needlessly\n");
	else
		return true;
	return false;
}

static void print_totals(const struct sim_totals *totals)
{
	printf("%lu seeds, %lu failed; %lu events, %lu s of virtual time\n"
	       "%lu segments sent, %lu lost; %lu sent again, %lu fast recoveries, %lu timeouts\n"
	       "calm seeds: %lu lost, %lu sent again, %lu of these needlessly, %lu timeouts\n",
	       (unsigned long)totals->seeds, (unsigned long)totals->failures,
	       (unsigned long)totals->events, (unsigned long)(totals->virtual_ns / NS_PER_S),
	       (unsigned long)totals->segments, (unsigned long)totals->drops,
	       (unsigned long)totals->retransmits, (unsigned long)totals->recoveries,
	       (unsigned long)totals->timeouts, (unsigned long)totals->calm_drops,
	       (unsigned long)totals->calm_retransmits, (unsigned long)totals->calm_needless,
	       (unsigned long)totals->calm_timeouts);
}

int main(int argc, char **argv)
{
	static struct sim_net net;
	struct sim_totals totals = { 0 };
	struct options options;

	if (parse(argc, argv, &options) != 0)
		return 2;
	CHECK(sim_net_new(&net));
	if (options.has_report) {
		int status = sim_tcp_report(&net);

		sim_net_free(&net);
		return status;
	}
	if (!options.is_single)
		totals.failures += sim_tcp_lesson(&net);
	for (uint64_t seed = options.first; seed < options.first + options.seeds; seed++) {
		uint64_t digest, again;
		const char *failure = run_seed(&net, seed, &options, &totals, &digest);

		totals.seeds++;
		if (failure == NULL && seed % TWICE_EVERY == 0 && !options.is_single) {
			(void)run_seed(&net, seed, &options, NULL, &again);
			if (again != digest)
				failure = "the same seed did something else";
		}
		if (failure == NULL)
			continue;
		totals.failures++;
		printf("FAILED seed %lu: %s\nreplay: %s --seed %lu --trace\n", (unsigned long)seed,
		       failure, argv[0], (unsigned long)seed);
		fflush(stdout);
	}
	totals.failures += !are_sums_right(&totals);
	print_totals(&totals);
	sim_net_free(&net);
	return totals.failures == 0 ? 0 : 1;
}

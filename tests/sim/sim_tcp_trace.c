/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what happens, a line a segment, in the manner of tcpdump; numbers count from the SYNs. */
#include <stdio.h>

#include "sim_tcp.h"

static void print_time(const struct sim *sim)
{
	int64_t ns = sim->now_ns - sim->begin_ns;

	printf("%6ld.%06ld ", (long)(ns / NS_PER_S), (long)(ns % NS_PER_S / NS_PER_US));
}

static void print_options(const struct tcp_options *options, uint32_t own_isn, uint32_t peer_isn)
{
	(void)own_isn;
	if (options->has_mss)
		printf(" mss %u", options->mss);
	if (options->has_wscale)
		printf(" wscale %u", options->wscale);
	if (options->sack_permitted)
		printf(" sackOK");
	if (options->has_ts)
		printf(" TS %u/%u", options->ts_value, options->ts_echo);
	for (uint32_t i = 0; i < options->sack_count; i++)
		printf(" sack %u:%u", options->sack[i].start - peer_isn,
		       options->sack[i].end - peer_isn);
}

void sim_tcp_trace_segment(const struct sim *sim, const struct sim_net_packet *packet,
			   const char *what)
{
	static const char letters[] = "FSRP.UEW";
	const struct sim_pair *pair =
		packet->owner == SIM_STRANGER ? NULL : &sim->pairs[packet->owner];
	struct tcp_segment_in in = { .bytes = packet->bytes, .size = packet->size };
	struct tcp_packet parsed;
	uint32_t own_isn = 0, peer_isn = 0;
	uint8_t flags = packet->bytes[13];

	print_time(sim);
	if (tcp_packet_parse(&in, &parsed) != 0) {
		printf("%-10s malformed\n", what);
		return;
	}
	if (pair != NULL) {
		own_isn = pair->apps[!packet->to].isn;
		peer_isn = pair->apps[packet->to].isn;
	}
	printf("%-10s %s:%u > %s:%u [", what, packet->to ? "A" : "B", parsed.tuple.peer_port,
	       packet->to ? "B" : "A", parsed.tuple.local_port);
	for (int i = 0; i < 8; i++)
		if ((flags >> i & 1) != 0)
			putchar(letters[i]);
	printf("] seq %u", parsed.seq - own_isn);
	if (parsed.size > 0)
		printf(":%u", parsed.seq - own_isn + parsed.size);
	if ((flags & TCP_ACK) != 0)
		printf(" ack %u", parsed.ack - peer_isn);
	printf(" win %u", parsed.window);
	print_options(&parsed.options, own_isn, peer_isn);
	printf(" len %u%s%s%s%s\n", parsed.size, packet->ecn == SIM_NET_CE ? " CE" : "",
	       packet->is_late ? " late" : "", packet->is_copy ? " copy" : "",
	       pair == NULL ? " of a stranger" : "");
}

void sim_tcp_trace_note(const struct sim *sim, const struct sim_app *app, const char *what,
			uint64_t number)
{
	print_time(sim);
	if (app != NULL)
		printf("%c %u %s %lu\n", app->side->index == SIM_CLIENT ? 'A' : 'B',
		       app->pair->index, what, (unsigned long)number);
	else
		printf("%s %lu\n", what, (unsigned long)number);
}

static void print_link(const struct sim_net_link *link, const char *name)
{
	printf("%s: of a million lost %u, acks %u, repeated %u, late %u, damaged %u, marked %u; "
	       "bad %u for %ld ms every %ld ms; delay %ld us, jitter %ld us, late by %ld us; "
	       "rate %lu B/s, queue %u, mark at %u\n",
	       name, link->loss, link->ack_loss, link->duplication, link->reordering,
	       link->corruption, link->mark, link->bad_loss, (long)(link->bad_ns / NS_PER_MS),
	       (long)(link->good_ns / NS_PER_MS), (long)(link->delay_ns / NS_PER_US),
	       (long)(link->jitter_ns / NS_PER_US), (long)(link->late_ns / NS_PER_US),
	       (unsigned long)link->rate, link->queue_max, link->mark_at);
	for (uint32_t i = 0; i < SIM_NET_OUTAGES_MAX; i++)
		if (link->outages[i].until_ns != 0)
			printf("%s: down for %ld ms\n", name,
			       (long)((link->outages[i].until_ns - link->outages[i].from_ns) /
				      NS_PER_MS));
}

void sim_tcp_trace_plan(const struct sim *sim)
{
	static const char *const names[SIM_DISTURBANCE_COUNT] = {
		"suspended",          "clock jumps",        "clock stands still",
		"no buffers to send", "no buffers to keep",
	};
	const struct sim_plan *plan = &sim->plan;

	printf("seed %lu: %u connections within %ld ms%s%s%s%s; no buffer %u of 1000; burst %u; "
	       "rest %ld ms; flood %u, intruders %u, ghosts %u\n",
	       (unsigned long)sim->seed, plan->connections, (long)(plan->start_ns / NS_PER_MS),
	       plan->is_calm ? ", calm" : "", plan->has_keepalive ? ", keepalive" : "",
	       plan->has_slow_apps ? ", slow" : "", plan->has_reopen ? ", reopened" : "",
	       plan->no_buffer, plan->burst, (long)(plan->rest_ns / NS_PER_MS), plan->flood,
	       plan->intruders, plan->ghosts);
	print_link(&sim->net->links[SIM_CLIENT], "A > B");
	print_link(&sim->net->links[SIM_SERVER], "B > A");
	for (int i = 0; i < 2; i++)
		printf("%c: mss %u, window %u, pieces %u, least timeout %u ms\n", 'A' + i,
		       sim->sides[i].config.mss, sim->sides[i].config.window_max,
		       sim->sides[i].config.held_pieces_max, sim->sides[i].config.rto_min_ms);
	for (uint32_t i = 0; i < plan->disturbance_count; i++) {
		const struct sim_disturbance *it = &plan->disturbances[i];

		printf("%c: %s after %ld ms for %ld ms%s\n", 'A' + it->side, names[it->kind],
		       (long)((it->timer.due_ns - sim->begin_ns) / NS_PER_MS),
		       (long)(it->for_ns / NS_PER_MS),
		       it->kind == SIM_SLEEP && it->flag ? ", its clock runs on" : "");
	}
}

void sim_tcp_trace_end(const struct sim *sim)
{
	for (int i = 0; i < 2; i++) {
		const struct sim_net_link *link = &sim->net->links[i];

		for (uint32_t j = 0; j < COUNTER_COUNT; j++)
			if (counters_get(&sim->sides[i].counters, j) != 0)
				printf("%c %-24s %lu\n", 'A' + i, counters_info(j)->name,
				       (unsigned long)counters_get(&sim->sides[i].counters, j));
		for (unsigned j = 0; j < SIM_NET_FATE_COUNT; j++)
			if (link->fates[j] != 0)
				printf("%c packets %-16s %lu\n", 'A' + i,
				       j == SIM_NET_SENT ? "sent" : sim_net_fate_name(j),
				       (unsigned long)link->fates[j]);
	}
	for (uint32_t i = 0; i < sim->plan.connections; i++)
		for (int j = 0; j < 2; j++) {
			const struct sim_app *app = &sim->pairs[i].apps[j];

			printf("%c %u: %lu of %lu sent, %lu acked, %lu received, open %d eof %d "
			       "shut %d over %d reason %d state %d; resent %u, needless %u, "
			       "drops %u\n",
			       'A' + j, i, (unsigned long)app->sent, (unsigned long)app->size,
			       (unsigned long)app->acked, (unsigned long)app->received,
			       app->was_open, app->has_eof, app->is_shut, app->is_over,
			       (int)app->reason, app->tcb != NULL ? app->tcb->state : -1,
			       app->resent, app->resent_needless, sim->pairs[i].drops);
		}
}

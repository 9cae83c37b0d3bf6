/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dataplane/tcp/tcp_tcb.h"
#include "dataplane/tcp/tcp_timer.h"
#include "dataplane/tcp/tcp_timewait.h"

#define PIECES_SHARE  4   /* one connection may hold a quarter of all pieces */
#define COOKIES_TAKEN 8   /* remembered for each connection; multiple of the ways */
#define PIECES_FLOOR  16U /* but at least these, if there are so many */
/* Ranges of sent bytes: some for each connection, and as many again as one busy connection may use. */
#define SENT_SHARE 8U

static uint32_t sent_ranges_of(const struct tcp_config *config)
{
	return config->connections_max * SENT_SHARE + TCP_SENT_RANGES_MAX;
}

static void init_pools(struct tcp_stack *stack)
{
	list_init(&stack->spare);
	list_init(&stack->dead);
	list_init(&stack->dirty);
	list_init(&stack->embryos);
	list_init(&stack->timewaits);
	list_init(&stack->timewaits_spare);
	for (uint32_t i = 0; i < stack->config.connections_max; i++) {
		list_init(&stack->tcbs[i].link);
		list_push_back(&stack->spare, &stack->tcbs[i].link);
	}
	for (uint32_t i = 0; i < stack->timewait_max; i++) {
		list_init(&stack->timewait_nodes[i].link);
		list_push_back(&stack->timewaits_spare, &stack->timewait_nodes[i].link);
	}
	tcp_sent_pool_init(&stack->sent_pool, stack->sent_ranges, sent_ranges_of(&stack->config),
			   stack->config.connections_max);
	tcp_ranges_pool_init(&stack->pieces, stack->piece_nodes, stack->config.held_pieces_max,
			     stack->ops.release, stack->ctx);
}

static bool is_valid(const struct tcp_config *config)
{
	return config->connections_max > 0 && config->connections_max < UINT32_MAX / 8 &&
	       config->mss >= TCP_PEER_MSS_MIN && config->window_max > 0 &&
	       config->window_max <= 1U << 30 && config->syn_backlog_max > 0 &&
	       config->rto_min_ms > 0 && config->congestion < TCP_CC_ALGORITHM_COUNT &&
	       config->ecn < TCP_ECN_POLICY_COUNT;
}

/* The table is at most half full of connections and as many TIME-WAIT notes. */
static uint32_t slots_of(const struct tcp_config *config)
{
	uint32_t count = 16;

	while (count / 2 < 2 * config->connections_max)
		count *= 2;
	return count;
}

uint64_t tcp_stack_size(const struct tcp_config *config)
{
	return sizeof(struct tcp_stack) +
	       config->connections_max *
		       (uint64_t)(sizeof(struct tcb) + sizeof(struct tcp_timewait) +
				  COOKIES_TAKEN * sizeof(uint64_t)) +
	       MAX(config->held_pieces_max, 1U) * (uint64_t)sizeof(struct tcp_piece) +
	       sent_ranges_of(config) * (uint64_t)sizeof(struct tcp_sent_range) +
	       slots_of(config) * (uint64_t)sizeof(struct tcp_table_slot);
}

struct tcp_stack *tcp_stack_new(const struct tcp_config *config, const struct tcp_ops *ops,
				void *ctx, struct counters *counters, int64_t now_ns)
{
	struct tcp_stack *stack = calloc(1, sizeof(*stack));
	uint32_t slot_count = slots_of(config);

	CHECK(is_valid(config));
	if (stack == NULL)
		return NULL;
	stack->config = *config;
	if (config->keepalive_interval_ms == 0)
		stack->config.keepalive_interval_ms = TCP_KEEPALIVE_INTERVAL_MS;
	if (config->keepalive_probes == 0)
		stack->config.keepalive_probes = TCP_KEEPALIVE_PROBES;
	stack->ops = *ops;
	stack->ctx = ctx;
	stack->counters = counters;
	stack->now_ns = now_ns;
	stack->timewait_max = config->connections_max;
	stack->pieces_max =
		MIN(MAX(config->held_pieces_max / PIECES_SHARE, PIECES_FLOOR), TCP_PIECES_MAX);
	stack->tcbs = calloc(config->connections_max, sizeof(*stack->tcbs));
	stack->timewait_nodes = calloc(stack->timewait_max, sizeof(*stack->timewait_nodes));
	stack->piece_nodes = calloc(MAX(config->held_pieces_max, 1U), sizeof(*stack->piece_nodes));
	stack->sent_ranges = calloc(sent_ranges_of(config), sizeof(*stack->sent_ranges));
	stack->slots = calloc(slot_count, sizeof(*stack->slots));
	stack->cookies.count = COOKIES_TAKEN * config->connections_max;
	stack->cookies.taken = calloc(stack->cookies.count, sizeof(*stack->cookies.taken));
	if (stack->tcbs == NULL || stack->timewait_nodes == NULL || stack->piece_nodes == NULL ||
	    stack->sent_ranges == NULL || stack->slots == NULL || stack->cookies.taken == NULL) {
		tcp_stack_free(stack);
		return NULL;
	}
	init_pools(stack);
	tcp_table_init(&stack->table, stack->slots, slot_count, &config->secret);
	timers_init(&stack->timers);
	timer_init(&stack->timewait_timer, tcp_timewait_run);
	stack->challenges.prng.state = config->secret.k0;
	stack->resets.prng.state = config->secret.k1;
	return stack;
}

void tcp_stack_free(struct tcp_stack *stack)
{
	if (stack == NULL)
		return;
	for (uint32_t i = 0; stack->tcbs != NULL && i < stack->config.connections_max; i++)
		if (stack->tcbs[i].state != TCP_STATE_CLOSED)
			tcp_ranges_clear(&stack->tcbs[i].ranges, &stack->pieces);
	free(stack->cookies.taken);
	free(stack->slots);
	free(stack->sent_ranges);
	free(stack->piece_nodes);
	free(stack->timewait_nodes);
	free(stack->tcbs);
	free(stack);
}

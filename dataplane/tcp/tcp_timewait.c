/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_timewait.h"

#include "dataplane/tcp/tcp_isn.h"
#include "dataplane/tcp/tcp_listen.h"
#include "dataplane/tcp/tcp_output.h"

#include "dataplane/core/hot.h"

#define ISN_GAP (1U << 17) /* beyond the old connection's largest unscaled window, twice */

static struct tcp_timewait *oldest(struct tcp_stack *stack)
{
	if (list_is_empty(&stack->timewaits))
		return NULL;
	return LIST_ENTRY(stack->timewaits.next, struct tcp_timewait, link);
}

/** Its time starts (again): it is the youngest. */
static void start(struct tcp_stack *stack, struct tcp_timewait *timewait, int64_t now_ns)
{
	timewait->due_ns = now_ns + MAX(stack->config.time_wait_ms, 1U) * NS_PER_MS;
	list_remove(&timewait->link);
	list_push_back(&stack->timewaits, &timewait->link);
	if (!timer_is_armed(&stack->timewait_timer))
		timer_arm(&stack->timers, &stack->timewait_timer, timewait->due_ns);
}

void tcp_timewait_enter(struct tcp_stack *stack, const struct tcp_timewait *left)
{
	struct tcp_timewait *timewait;
	struct list *node;

	if (list_is_empty(&stack->timewaits_spare)) {
		tcp_timewait_end(stack, oldest(stack));
		counters_inc(stack->counters, COUNTER_TCP_TIMEWAIT_EVICTIONS);
	}
	node = list_pop_front(&stack->timewaits_spare);
	CHECK(node != NULL);
	timewait = LIST_ENTRY(node, struct tcp_timewait, link);
	*timewait = *left;
	list_init(&timewait->link);
	tcp_table_insert(&stack->table, &timewait->tuple,
			 stack->config.connections_max +
				 (uint32_t)(timewait - stack->timewait_nodes));
	start(stack, timewait, stack->now_ns);
}

void tcp_timewait_end(struct tcp_stack *stack, struct tcp_timewait *timewait)
{
	tcp_table_remove(&stack->table, &timewait->tuple);
	list_remove(&timewait->link);
	list_push_front(&stack->timewaits_spare, &timewait->link);
}

uint32_t tcp_timewait_isn(const struct tcp_timewait *timewait, uint32_t isn)
{
	return tcp_seq_max(isn, timewait->snd_nxt + ISN_GAP);
}

/** RFC 6191 section 2: newer by timestamp, or by sequence number where timestamps do not tell */
static bool is_newer(const struct tcp_timewait *timewait, const struct tcp_packet *packet)
{
	if (packet->options.has_ts && !timewait->has_ts)
		return true; /* old segments carry none: the new connection drops them */
	if (packet->options.has_ts && packet->options.ts_value != timewait->ts_recent)
		return tcp_seq_lt(timewait->ts_recent, packet->options.ts_value);
	return tcp_seq_lt(timewait->rcv_nxt, packet->seq);
}

/** The peer's last FIN again, and no ghost of it (RFC 7323 section 5.3). */
static bool is_last_fin(struct tcp_timewait *timewait, const struct tcp_packet *packet)
{
	if ((packet->flags & TCP_FIN) == 0 ||
	    packet->seq + tcp_packet_length(packet) != timewait->rcv_nxt)
		return false;
	if (!timewait->has_ts)
		return true;
	if (!packet->options.has_ts || tcp_seq_lt(packet->options.ts_value, timewait->ts_recent))
		return false;
	timewait->ts_recent = packet->options.ts_value;
	return true;
}

void tcp_timewait_input(struct tcp_stack *stack, struct tcp_timewait *timewait,
			const struct tcp_packet *packet, int64_t now_ns)
{
	if ((packet->flags & TCP_RST) != 0) {
		counters_inc(stack->counters, COUNTER_TCP_DROP_RESET);
		return;
	}
	if ((packet->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN &&
	    is_newer(timewait, packet) && tcp_listen_is_open(stack, packet->tuple.local_port)) {
		uint32_t isn = tcp_isn(&stack->config.secret, &packet->tuple, now_ns);

		/* A cookie is not beyond the old numbers: only timestamps tell old segments then. */
		if (tcp_listen_is_full(stack) && !packet->options.has_ts)
			return;
		isn = tcp_timewait_isn(timewait, isn);
		tcp_timewait_end(stack, timewait);
		tcp_listen_syn(stack, packet, isn, now_ns);
		return;
	}
	if (is_last_fin(timewait, packet))
		start(stack, timewait, now_ns); /* our last acknowledgement was lost */
	else if (tcp_packet_length(packet) == 0 && packet->seq == timewait->rcv_nxt)
		return; /* a late acknowledgement needs no answer */
	if (timewait->answered_ns != 0 && now_ns - timewait->answered_ns < TCP_CHALLENGE_GAP_NS)
		return;
	timewait->answered_ns = now_ns;
	tcp_output_timewait(stack, timewait, now_ns);
}

void tcp_timewait_run(struct timer *timer, int64_t now_ns)
{
	struct tcp_stack *stack = CONTAINER_OF(timer, struct tcp_stack, timewait_timer);
	struct tcp_timewait *timewait;

	while ((timewait = oldest(stack)) != NULL && timewait->due_ns <= now_ns)
		tcp_timewait_end(stack, timewait);
	if (timewait != NULL)
		timer_arm(&stack->timers, timer, timewait->due_ns);
}

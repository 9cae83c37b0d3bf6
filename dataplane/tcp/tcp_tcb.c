/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_tcb.h"

#include <string.h>

#include "dataplane/tcp/tcp_isn.h"
#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_timer.h"
#include "dataplane/tcp/tcp_timewait.h"

#include "dataplane/core/hot.h"

void tcp_tcb_enter(struct tcp_stack *stack, int64_t now_ns)
{
	stack->depth++;
	stack->now_ns = now_ns;
}

void tcp_tcb_leave(struct tcp_stack *stack)
{
	struct list *node;

	CHECK(stack->depth > 0);
	if (--stack->depth > 0)
		return;
	while ((node = list_pop_front(&stack->dead)) != NULL)
		list_push_back(&stack->spare, node);
}

uint8_t tcp_tcb_scale_for(uint32_t window)
{
	uint8_t scale = 0;

	while (scale < TCP_WSCALE_MAX && window >> scale > 65535)
		scale++;
	return scale;
}

struct tcb *tcp_tcb_new(struct tcp_stack *stack, const struct tcp_tuple *tuple)
{
	struct list *node = list_pop_front(&stack->spare);
	const struct tcp_config *config = &stack->config;
	struct tcb *tcb;

	if (node == NULL)
		return NULL;
	tcb = LIST_ENTRY(node, struct tcb, link);
	memset(tcb, 0, sizeof(*tcb));
	tcb->stack = stack;
	tcb->tuple = *tuple;
	list_init(&tcb->dirty);
	list_init(&tcb->link);
	timer_init(&tcb->timer, tcp_timer_run);
	tcp_ranges_init(&tcb->ranges);
	tcp_sent_init(&tcb->sent);
	tcp_rtt_init(&tcb->rtt, config->rto_min_ms * NS_PER_MS);
	tcp_ecn_init(&tcb->ecn, config->ecn);
	tcp_pace_init(&tcb->pace);
	tcb->has_ts = tcb->has_sack = tcb->has_wscale = true; /* what we offer */
	tcb->is_nodelay = true;
	tcb->rcv_wscale = tcp_tcb_scale_for(config->window_max);
	tcb->credit = tcb->credit_max = config->window_max;
	tcb->rcv_mss = TCP_PEER_MSS_DEFAULT;
	tcb->snd_mss = TCP_PEER_MSS_DEFAULT;
	tcb->ts_offset = tcp_isn_ts_offset(&config->secret, tuple);
	tcb->heard_ns = stack->now_ns;
	tcp_table_insert(&stack->table, tuple, (uint32_t)(tcb - stack->tcbs));
	stack->count++;
	return tcb;
}

/** Take it out of table, lists and timers and give back what it holds. */
static void unlink_all(struct tcb *tcb)
{
	struct tcp_stack *stack = tcb->stack;

	CHECK(tcb->state != TCP_STATE_CLOSED);
	if (tcb->state == TCP_STATE_SYN_RECEIVED && list_is_linked(&tcb->link))
		stack->embryo_count--;
	tcb->state = TCP_STATE_CLOSED;
	list_remove(&tcb->link);
	list_remove(&tcb->dirty);
	timer_disarm(&stack->timers, &tcb->timer);
	memset(tcb->deadline_ns, 0, sizeof(tcb->deadline_ns));
	tcp_ranges_clear(&tcb->ranges, &stack->pieces);
	tcp_sent_clear(&tcb->sent, &stack->sent_pool);
	tcb->kept = 0;
	tcp_table_remove(&stack->table, &tcb->tuple);
	CHECK(stack->count > 0);
	stack->count--;
}

void tcp_tcb_close(struct tcb *tcb, enum tcp_close_reason reason)
{
	struct tcp_stack *stack = tcb->stack;

	bool is_embryo = tcb->state == TCP_STATE_SYN_RECEIVED && !tcb->has_owner;
	bool has_owner = tcb->has_owner;

	CHECK(stack->depth > 0);
	unlink_all(tcb);
	tcb->has_owner = false;
	/* Nobody outside knows an embryo, and its successor wants its place now. */
	list_push_back(is_embryo ? &stack->spare : &stack->dead, &tcb->link);
	if (has_owner)
		stack->ops.on_close(tcb->owner, reason);
}

void tcp_tcb_establish(struct tcb *tcb)
{
	struct tcp_stack *stack = tcb->stack;

	if (list_is_linked(&tcb->link)) {
		list_remove(&tcb->link);
		stack->embryo_count--;
	}
	tcb->state = tcb->is_shut ? TCP_STATE_FIN_WAIT_1 : TCP_STATE_ESTABLISHED;
	if (tcb->ecn.marks)
		tcp_tcb_count(tcb, COUNTER_TCP_ECN_AGREED);
	if (stack->config.keepalive_ms > 0)
		tcp_timer_set(tcb, TCP_TIMER_IDLE,
			      stack->now_ns + stack->config.keepalive_ms * NS_PER_MS);
	tcp_tcb_dirty(tcb);
	if (tcb->is_active) {
		stack->ops.on_connect(tcb->owner, tcb);
		return;
	}
	counters_inc(stack->counters, COUNTER_TCP_ACCEPTED);
	tcb->owner = stack->ops.on_accept(stack->ctx, tcb);
	if (tcb->state == TCP_STATE_CLOSED)
		return;
	tcb->has_owner = tcb->owner != NULL;
	if (!tcb->has_owner) {
		counters_inc(stack->counters, COUNTER_TCP_REFUSED);
		tcp_output_reset(tcb, stack->now_ns);
		tcp_tcb_close(tcb, TCP_CLOSED_ABORT);
	}
}

void tcp_tcb_agree(struct tcb *tcb, const struct tcp_options *packet_options)
{
	uint32_t mss = packet_options->has_mss ? packet_options->mss : TCP_PEER_MSS_DEFAULT;

	mss = MIN(MAX(mss, (uint32_t)TCP_PEER_MSS_MIN), (uint32_t)tcb->stack->config.mss);
	tcb->snd_mss = (uint16_t)mss;
	tcb->has_ts = tcb->has_ts && packet_options->has_ts;
	tcb->has_sack = tcb->has_sack && packet_options->sack_permitted;
	tcb->has_wscale = tcb->has_wscale && packet_options->has_wscale;
	tcb->snd_wscale = tcb->has_wscale ? packet_options->wscale : 0;
	if (!tcb->has_wscale)
		tcb->rcv_wscale = 0;
	tcb->ts_recent = packet_options->ts_value;
	tcb->ts_recent_ns = tcb->stack->now_ns;
	tcp_cc_init(&tcb->cc, tcb->stack->config.congestion, mss);
	tcb->cc.is_paced = tcb->stack->config.has_pacing;
}

void tcp_tcb_dirty(struct tcb *tcb)
{
	if (!list_is_linked(&tcb->dirty))
		list_push_back(&tcb->stack->dirty, &tcb->dirty);
}

void tcp_tcb_finish(struct tcb *tcb)
{
	struct tcp_stack *stack = tcb->stack;

	/* An owner that resumes from inside on_acked may hear of the end before the state follows the
	   acknowledgement of our FIN: who moves it calls again. */
	if (tcb->state != TCP_STATE_DRAINING || !tcb->eof_told)
		return;
	CHECK(tcb->fin_acked);
	if (tcb->ack_now || tcb->rcv_acked != tcb->rcv_nxt)
		tcp_output_ack(tcb, stack->now_ns);
	if (tcb->fin_first) {
		/* The table knows a tuple once: the connection leaves before its remains enter. */
		struct tcp_timewait left = { .tuple = tcb->tuple,
					     .snd_nxt = tcb->snd_max,
					     .rcv_nxt = tcb->rcv_nxt,
					     .ts_recent = tcb->ts_recent,
					     .ts_offset = tcb->ts_offset,
					     .has_ts = tcb->has_ts };

		unlink_all(tcb);
		tcp_timewait_enter(stack, &left);
		tcb->has_owner = false;
		list_push_back(&stack->dead, &tcb->link);
		stack->ops.on_close(tcb->owner, TCP_CLOSED_NORMAL);
		return;
	}
	tcp_tcb_close(tcb, TCP_CLOSED_NORMAL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp.h"

#include <errno.h>

#include "dataplane/tcp/tcp_isn.h"
#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_receive.h"
#include "dataplane/tcp/tcp_tcb.h"
#include "dataplane/tcp/tcp_timer.h"
#include "dataplane/tcp/tcp_timewait.h"

#include "dataplane/core/hot.h"

#define TIMERS_PER_POLL 256

int tcp_listen(struct tcp_stack *stack, uint16_t port)
{
	if (port == 0)
		return -EINVAL;
	stack->listening[port / 64] |= UINT64_C(1) << port % 64;
	return 0;
}

int tcp_connect(struct tcp_stack *stack, const struct tcp_tuple *tuple, void *owner, int64_t now_ns,
		struct tcb **ret_tcb)
{
	uint32_t id = tcp_table_find(&stack->table, tuple);
	uint32_t isn = tcp_isn(&stack->config.secret, tuple, now_ns);
	struct tcb *tcb;

	if (id != TCP_TABLE_NONE && id < stack->config.connections_max)
		return -EADDRINUSE;
	if (list_is_empty(&stack->spare))
		return -ENOBUFS;
	tcp_tcb_enter(stack, now_ns);
	if (id != TCP_TABLE_NONE) {
		struct tcp_timewait *old =
			&stack->timewait_nodes[id - stack->config.connections_max];

		isn = tcp_timewait_isn(old, isn);
		tcp_timewait_end(stack, old);
	}
	tcb = tcp_tcb_new(stack, tuple);
	CHECK(tcb != NULL);
	tcb->state = TCP_STATE_SYN_SENT;
	tcb->is_active = true;
	tcb->owner = owner;
	tcb->has_owner = true;
	tcb->iss = isn;
	tcb->snd_una = isn;
	tcb->snd_nxt = tcb->snd_max = isn + 1;
	counters_inc(stack->counters, COUNTER_TCP_CONNECTS);
	tcp_output_syn(tcb, now_ns);
	tcp_timer_retransmit(tcb, now_ns, true);
	tcp_tcb_leave(stack);
	*ret_tcb = tcb;
	return 0;
}

/** Every connection dirty now takes one turn; one that has more to send goes to the end. */
static void flush_dirty(struct tcp_stack *stack, int64_t now_ns)
{
	struct list *last = stack->dirty.prev, *node = NULL;

	while (node != last && (node = list_pop_front(&stack->dirty)) != NULL)
		tcp_output_flush(LIST_ENTRY(node, struct tcb, dirty), now_ns);
}

void tcp_burst_end(struct tcp_stack *stack, int64_t now_ns)
{
	tcp_tcb_enter(stack, now_ns);
	flush_dirty(stack, now_ns);
	tcp_tcb_leave(stack);
}

uint32_t tcp_poll(struct tcp_stack *stack, int64_t now_ns)
{
	uint32_t count;

	tcp_tcb_enter(stack, now_ns);
	count = timers_run(&stack->timers, now_ns, TIMERS_PER_POLL);
	flush_dirty(stack, now_ns);
	tcp_tcb_leave(stack);
	return count;
}

int64_t tcp_next_timer_ns(const struct tcp_stack *stack)
{
	return list_is_empty(&stack->dirty) ? timers_next_ns(&stack->timers) : stack->now_ns;
}

/** From outside the stack output starts at once; inside, at the end of the burst. */
static void flush_if_outermost(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->state == TCP_STATE_CLOSED)
		return;
	tcp_tcb_dirty(tcb);
	if (tcb->stack->depth > 1)
		return;
	list_remove(&tcb->dirty);
	tcp_output_flush(tcb, now_ns);
}

void tcp_send(struct tcb *tcb, uint64_t size, int64_t now_ns)
{
	struct tcp_stack *stack = tcb->stack;

	if (tcb->state == TCP_STATE_CLOSED)
		return;
	CHECK(!tcb->is_shut);
	tcp_tcb_enter(stack, now_ns);
	tcb->queued += size;
	flush_if_outermost(tcb, now_ns);
	tcp_tcb_leave(stack);
}

void tcp_resume(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_stack *stack = tcb->stack;

	if (tcb->state == TCP_STATE_CLOSED)
		return;
	tcp_tcb_enter(stack, now_ns);
	if (tcb->is_offering) {
		tcb->is_resumed = true;
	} else {
		tcb->is_blocked = false;
		tcp_receive_offer(tcb);
	}
	flush_if_outermost(tcb, now_ns);
	tcp_tcb_leave(stack);
}

void tcp_set_credit(struct tcb *tcb, uint32_t credit)
{
	tcb->credit = credit;
	tcb->credit_max = MAX(tcb->credit_max, credit);
	if (tcb->state >= TCP_STATE_ESTABLISHED && tcp_output_wants_update(tcb))
		tcp_tcb_dirty(tcb);
}

void tcp_set_nodelay(struct tcb *tcb, bool is_nodelay)
{
	if (tcb->state == TCP_STATE_CLOSED)
		return;
	tcb->is_nodelay = is_nodelay;
	if (tcb->state >= TCP_STATE_ESTABLISHED)
		tcp_tcb_dirty(tcb); /* what was held back may go */
}

void tcp_shutdown(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_stack *stack = tcb->stack;

	if (tcb->state == TCP_STATE_CLOSED || tcb->is_shut)
		return;
	tcp_tcb_enter(stack, now_ns);
	tcb->is_shut = true;
	if (tcb->state == TCP_STATE_SYN_SENT)
		tcp_tcb_close(tcb, TCP_CLOSED_NORMAL);
	else if (tcb->state == TCP_STATE_ESTABLISHED)
		tcb->state = TCP_STATE_FIN_WAIT_1;
	else if (tcb->state == TCP_STATE_CLOSE_WAIT)
		tcb->state = TCP_STATE_LAST_ACK;
	flush_if_outermost(tcb, now_ns);
	tcp_tcb_leave(stack);
}

void tcp_abort(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_stack *stack = tcb->stack;

	if (tcb->state == TCP_STATE_CLOSED)
		return;
	tcp_tcb_enter(stack, now_ns);
	tcp_output_reset(tcb, now_ns);
	tcp_tcb_close(tcb, TCP_CLOSED_ABORT);
	tcp_tcb_leave(stack);
}

const struct tcp_tuple *tcp_tuple(const struct tcb *tcb)
{
	return &tcb->tuple;
}

void *tcp_owner(const struct tcb *tcb)
{
	return tcb->owner;
}

uint32_t tcp_connection_count(const struct tcp_stack *stack)
{
	return stack->count;
}

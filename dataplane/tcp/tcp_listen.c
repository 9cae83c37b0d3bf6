/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_listen.h"

#include "dataplane/tcp/tcp_isn.h"
#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/core/hot.h"

#define MULTICAST_FIRST 0xe0000000U /* 224.0.0.0; above: multicast, reserved, broadcast */

/** Nobody can answer from there, or we would talk to ourselves (RFC 9293 section 3.9.2.3). */
static bool is_sane(const struct tcp_tuple *tuple)
{
	return tuple->peer_port != 0 && tuple->peer_address != 0 &&
	       tuple->peer_address < MULTICAST_FIRST && tuple->local_address < MULTICAST_FIRST &&
	       tuple->peer_address != tuple->local_address;
}

static void evict_oldest(struct tcp_stack *stack)
{
	struct tcb *oldest = LIST_ENTRY(stack->embryos.next, struct tcb, link);

	CHECK(stack->embryo_count > 0);
	counters_inc(stack->counters, COUNTER_TCP_BACKLOG_EVICTIONS);
	tcp_tcb_close(oldest, TCP_CLOSED_ABORT);
}

void tcp_listen_syn(struct tcp_stack *stack, const struct tcp_packet *packet, uint32_t isn,
		    int64_t now_ns)
{
	struct tcb *tcb;

	if (stack->embryo_count > 0 &&
	    (stack->embryo_count >= stack->config.syn_backlog_max || list_is_empty(&stack->spare)))
		evict_oldest(stack);
	tcb = tcp_tcb_new(stack, &packet->tuple);
	if (tcb == NULL) {
		counters_inc(stack->counters, COUNTER_TCP_DROP_CONNECTIONS);
		return;
	}
	tcb->state = TCP_STATE_SYN_RECEIVED;
	list_push_back(&stack->embryos, &tcb->link);
	stack->embryo_count++;
	tcb->iss = isn;
	tcb->snd_una = isn;
	tcb->snd_nxt = tcb->snd_max = isn + 1;
	tcb->irs = packet->seq;
	tcb->rcv_nxt = tcb->rcv_edge =
		packet->seq + 1; /* payload of a SYN is not taken: sent again */
	tcp_tcb_agree(tcb, &packet->options);
	tcb->snd_wnd = packet->window;
	tcp_output_syn(tcb, now_ns);
	tcp_timer_retransmit(tcb, now_ns, true);
}

void tcp_listen_input(struct tcp_stack *stack, const struct tcp_packet *packet, int64_t now_ns)
{
	if (!is_sane(&packet->tuple)) {
		counters_inc(stack->counters, COUNTER_TCP_DROP_ADDRESS);
		return;
	}
	if ((packet->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN &&
	    tcp_listen_is_open(stack, packet->tuple.local_port)) {
		uint32_t isn = tcp_isn(&stack->config.secret, &packet->tuple, now_ns);

		tcp_listen_syn(stack, packet, isn, now_ns);
		return;
	}
	counters_inc(stack->counters, COUNTER_TCP_DROP_NO_CONNECTION);
	tcp_output_refuse(stack, packet, now_ns);
}

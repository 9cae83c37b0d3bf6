/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_listen.h"

#include "dataplane/tcp/tcp_cookie.h"
#include "dataplane/tcp/tcp_input.h"
#include "dataplane/tcp/tcp_isn.h"
#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/core/hot.h"

#define MULTICAST_FIRST  0xe0000000U /* 224.0.0.0; above: multicast, reserved, broadcast */
#define WINDOW_FIELD_MAX 65535U

/** Nobody can answer from there, or we would talk to ourselves (RFC 9293 section 3.9.2.3). */
static bool is_sane(const struct tcp_tuple *tuple)
{
	return tuple->peer_port != 0 && tuple->peer_address != 0 &&
	       tuple->peer_address < MULTICAST_FIRST && tuple->local_address < MULTICAST_FIRST &&
	       tuple->peer_address != tuple->local_address;
}

static void refuse(struct tcp_stack *stack, const struct tcp_packet *packet, int64_t now_ns)
{
	counters_inc(stack->counters, COUNTER_TCP_DROP_NO_CONNECTION);
	tcp_output_refuse(stack, packet, now_ns);
}

bool tcp_listen_is_full(const struct tcp_stack *stack)
{
	return stack->embryo_count > 0 && (stack->embryo_count >= stack->config.syn_backlog_max ||
					   list_is_empty(&stack->spare));
}

static void evict_oldest(struct tcp_stack *stack)
{
	struct tcb *oldest = LIST_ENTRY(stack->embryos.next, struct tcb, link);

	CHECK(stack->embryo_count > 0);
	counters_inc(stack->counters, COUNTER_TCP_BACKLOG_EVICTIONS);
	tcp_tcb_close(oldest, TCP_CLOSED_ABORT);
}

/** @return a half-open connection; NULL: no room, counted */
static struct tcb *make_embryo(struct tcp_stack *stack, const struct tcp_tuple *tuple, uint32_t iss,
			       uint32_t irs, const struct tcp_options *offered)
{
	struct tcb *tcb;

	if (list_is_empty(&stack->spare) && stack->embryo_count > 0)
		evict_oldest(stack);
	tcb = tcp_tcb_new(stack, tuple);
	if (tcb == NULL) {
		counters_inc(stack->counters, COUNTER_TCP_DROP_CONNECTIONS);
		return NULL;
	}
	tcb->state = TCP_STATE_SYN_RECEIVED;
	list_push_back(&stack->embryos, &tcb->link);
	stack->embryo_count++;
	tcb->iss = tcb->snd_una = iss;
	tcb->snd_nxt = tcb->snd_max = iss + 1;
	tcb->irs = irs;
	tcb->rcv_nxt = tcb->rcv_edge = irs + 1; /* payload of a SYN is not taken: sent again */
	tcp_tcb_agree(tcb, offered);
	return tcb;
}

/** The window that our SYN offers: never scaled (RFC 7323 section 2.2). */
static uint16_t first_window(const struct tcp_stack *stack)
{
	return (uint16_t)MIN(stack->config.window_max, WINDOW_FIELD_MAX);
}

/** Answer a SYN and remember nothing. */
static void send_cookie(struct tcp_stack *stack, const struct tcp_packet *packet, int64_t now_ns)
{
	const struct siphash_key *secret = &stack->config.secret;
	const struct tcp_options *offered = &packet->options;
	uint32_t mss = offered->has_mss ? offered->mss : TCP_PEER_MSS_DEFAULT;
	struct tcp_segment_out segment = { .tcb = NULL };
	struct tcp_packet answer = { .tuple = packet->tuple,
				     .ack = packet->seq + 1,
				     .flags = TCP_SYN | TCP_ACK,
				     .window = first_window(stack) };
	struct tcp_ecn ecn;
	bool has_ecn;

	tcp_ecn_init(&ecn, stack->config.ecn);
	if (offered->has_ts) {
		has_ecn = tcp_ecn_syn_in(&ecn, packet->flags);
		answer.flags |= tcp_ecn_answer_flags(&ecn);
		answer.options = *offered;
		answer.options.ts_echo = offered->ts_value;
		answer.options.ts_value = tcp_cookie_ts(
			offered, has_ecn,
			tcp_tcb_ts_now(tcp_isn_ts_offset(secret, &packet->tuple), now_ns));
		answer.options.wscale = tcp_tcb_scale_for(stack->config.window_max);
		answer.options.sack_count = 0;
	}
	answer.options.has_mss = true;
	answer.options.mss = stack->config.mss;
	mss = MIN(mss, (uint32_t)stack->config.mss);
	answer.seq = tcp_cookie_make(secret, &packet->tuple, packet->seq, (uint16_t)mss, now_ns);
	stack->cookies_until_ns = now_ns + TCP_COOKIE_LIFE_NS;
	tcp_packet_build(&answer, &segment);
	if (!stack->ops.emit(stack->ctx, &segment)) {
		counters_inc(stack->counters, COUNTER_TCP_NO_BUFFER); /* the peer asks again */
		return;
	}
	counters_inc(stack->counters, COUNTER_TCP_SEGMENTS_OUT);
	counters_inc(stack->counters, COUNTER_TCP_COOKIES_SENT);
}

void tcp_listen_syn(struct tcp_stack *stack, const struct tcp_packet *packet, uint32_t isn,
		    int64_t now_ns)
{
	struct tcb *tcb;

	if (tcp_listen_is_full(stack)) {
		send_cookie(stack, packet, now_ns);
		return;
	}
	tcb = make_embryo(stack, &packet->tuple, isn, packet->seq, &packet->options);
	if (tcb == NULL)
		return;
	(void)tcp_ecn_syn_in(&tcb->ecn, packet->flags);
	tcb->snd_wnd = packet->window;
	tcp_output_syn(tcb, now_ns);
	tcp_timer_retransmit(tcb, now_ns, true);
}

/** The peer shows our cookie: open the connection that its SYN asked for, as if we remembered it. It
    takes nobody's place while there is one: an embryo may be an honest peer's whose last ACK was lost,
    and that believes to be connected. @return false: no room, the peer sends it again */
static bool open_by_cookie(struct tcp_stack *stack, struct tcp_packet *packet, uint16_t mss,
			   int64_t now_ns)
{
	struct tcp_options agreed = { .has_mss = true, .mss = mss };
	bool has_ecn = false;
	struct tcb *tcb;

	if (packet->options.has_ts) {
		agreed.has_ts = true;
		agreed.ts_value = packet->options.ts_value;
		tcp_cookie_read_ts(packet->options.ts_echo, &agreed, &has_ecn);
		packet->options.ts_echo = 0; /* its low bits are no time to measure by */
	}
	tcb = make_embryo(stack, &packet->tuple, packet->ack - 1, packet->seq - 1, &agreed);
	if (tcb == NULL)
		return false;
	if (has_ecn)
		(void)tcp_ecn_syn_in(&tcb->ecn, TCP_SYN | TCP_ECE | TCP_CWR);
	counters_inc(stack->counters, COUNTER_TCP_COOKIES_ACCEPTED);
	tcb->rcv_edge = tcb->rcv_nxt + first_window(stack);
	tcb->rcv_acked = tcb->rcv_nxt;
	tcp_timer_retransmit(tcb, now_ns, true);
	tcp_input_packet(tcb, packet, now_ns);
	return true;
}

/** May it be the acknowledgement of a cookie? */
static bool is_cookie_time(const struct tcp_stack *stack, const struct tcp_packet *packet,
			   int64_t now_ns)
{
	return now_ns < stack->cookies_until_ns &&
	       (packet->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
}

/** @param[out] ret_cookie  set for TCP_COOKIE_GOOD: one that opened nothing yet */
static enum tcp_cookie_kind check_cookie(struct tcp_stack *stack, struct tcp_packet *packet,
					 int64_t now_ns, struct tcp_cookie *ret_cookie)
{
	const struct siphash_key *secret = &stack->config.secret;
	enum tcp_cookie_kind kind = tcp_cookie_check(secret, &packet->tuple, packet->seq - 1,
						     packet->ack - 1, now_ns, ret_cookie);

	/* A keepalive probe has the number before: its sender has nothing to say, and its last
	   acknowledgement, which the probe repeats, was lost. */
	if (kind == TCP_COOKIE_LATER && tcp_packet_length(packet) == 0) {
		kind = tcp_cookie_check(secret, &packet->tuple, packet->seq, packet->ack - 1,
					now_ns, ret_cookie);
		if (kind == TCP_COOKIE_GOOD)
			packet->seq++;
	}
	if (kind == TCP_COOKIE_GOOD && tcp_cookie_was_taken(&stack->cookies, ret_cookie))
		kind = TCP_COOKIE_NONE;
	if (kind != TCP_COOKIE_GOOD)
		counters_inc(stack->counters, COUNTER_TCP_COOKIES_FAILED);
	return kind;
}

/** @return false: it has nothing to do with a cookie, refuse it */
static bool take_cookie(struct tcp_stack *stack, struct tcp_packet *packet, struct tcb *embryo,
			int64_t now_ns)
{
	struct tcp_cookie cookie;
	enum tcp_cookie_kind kind;

	if (!is_cookie_time(stack, packet, now_ns))
		return false;
	kind = check_cookie(stack, packet, now_ns, &cookie);
	if (kind != TCP_COOKIE_GOOD)
		return kind == TCP_COOKIE_LATER;
	if (embryo != NULL)
		tcp_tcb_close(embryo, TCP_CLOSED_ABORT);
	if (open_by_cookie(stack, packet, cookie.mss, now_ns))
		tcp_cookie_take(&stack->cookies, &cookie);
	return true;
}

void tcp_listen_wrong_ack(struct tcb *embryo, struct tcp_packet *packet, int64_t now_ns)
{
	struct tcp_stack *stack = embryo->stack;

	if (embryo->is_active || !take_cookie(stack, packet, embryo, now_ns))
		tcp_output_refuse(stack, packet, now_ns);
}

void tcp_listen_input(struct tcp_stack *stack, struct tcp_packet *packet, int64_t now_ns)
{
	if (!is_sane(&packet->tuple)) {
		counters_inc(stack->counters, COUNTER_TCP_DROP_ADDRESS);
		return;
	}
	if (!tcp_listen_is_open(stack, packet->tuple.local_port)) {
		refuse(stack, packet, now_ns);
	} else if ((packet->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) {
		if (!take_cookie(stack, packet, NULL, now_ns))
			refuse(stack, packet, now_ns);
	} else {
		uint32_t isn = tcp_isn(&stack->config.secret, &packet->tuple, now_ns);

		tcp_listen_syn(stack, packet, isn, now_ns);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/tcp/tcp_output.h"
#include "dataplane/tcp/tcp_recovery.h"

#include "dataplane/core/hot.h"

void tcp_timer_set(struct tcb *tcb, enum tcp_timer_kind kind, int64_t due_ns)
{
	CHECK(due_ns > 0);
	tcb->deadline_ns[kind] = due_ns;
	if (!timer_is_armed(&tcb->timer) || due_ns < tcb->timer.due_ns)
		timer_arm(&tcb->stack->timers, &tcb->timer, due_ns);
}

void tcp_timer_retransmit(struct tcb *tcb, int64_t now_ns, bool restart)
{
	int64_t user_ns = tcb->stack->config.user_timeout_ms * NS_PER_MS;

	if (tcb->snd_una == tcb->snd_nxt) {
		tcp_timer_clear(tcb, TCP_TIMER_RETRANSMIT);
		tcp_timer_clear(tcb, TCP_TIMER_USER);
		return;
	}
	if (restart || !tcp_timer_is_set(tcb, TCP_TIMER_RETRANSMIT))
		tcp_timer_set(tcb, TCP_TIMER_RETRANSMIT, now_ns + tcp_rtt_timeout_ns(&tcb->rtt));
	if (user_ns > 0 && !tcp_timer_is_set(tcb, TCP_TIMER_USER))
		tcp_timer_set(tcb, TCP_TIMER_USER, now_ns + user_ns);
}

void tcp_timer_probe(struct tcb *tcb, int64_t now_ns)
{
	const struct tcp_sent *sent = &tcb->sent;
	/* What comes out of order, or fills a hole, is answered at once. */
	bool is_single = sent->size <= tcp_tcb_payload_max(tcb) && sent->sacked == 0 &&
			 tcb->recovery == TCP_RECOVERY_NONE;
	int64_t due_ns;

	if (!tcb->has_sack || sent->size == 0 || tcb->tlp.is_out ||
	    tcb->recovery == TCP_RECOVERY_LOSS) {
		tcp_timer_clear(tcb, TCP_TIMER_PROBE);
		return;
	}
	due_ns = now_ns + tcp_tlp_timeout_ns(tcb->rtt.smoothed_ns, is_single);
	if (tcp_timer_is_set(tcb, TCP_TIMER_RETRANSMIT))
		due_ns = MIN(due_ns, tcb->deadline_ns[TCP_TIMER_RETRANSMIT]);
	tcp_timer_set(tcb, TCP_TIMER_PROBE, due_ns);
}

static void on_flush(struct tcb *tcb, enum tcp_timer_kind kind)
{
	if (kind == TCP_TIMER_ACK && tcb->rcv_acked != tcb->rcv_nxt)
		tcb->ack_now = true;
	tcp_tcb_dirty(tcb);
}

/** Nobody answers (RFC 9293 section 3.8.3, R2). A peer that hears the reset need not find out by itself:
    one with nothing to send never would. */
static void give_up(struct tcb *tcb, int64_t now_ns)
{
	tcp_tcb_count(tcb, COUNTER_TCP_TIMEOUTS);
	if (tcb->state > TCP_STATE_SYN_RECEIVED)
		tcp_output_reset(tcb, now_ns);
	tcp_tcb_close(tcb, TCP_CLOSED_TIMEOUT);
}

static void count_retry(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->retries == 0)
		tcb->silent_ns = now_ns;
	tcb->retries = (uint8_t)MIN(tcb->retries + 1, UINT8_MAX);
}

/** Short timeouts are soon many: both their number and the time count. */
static bool is_too_silent(const struct tcb *tcb, int64_t now_ns)
{
	return tcb->retries >= TCP_RETRIES_MAX && now_ns - tcb->silent_ns >= TCP_SILENCE_NS;
}

/** Nothing can be sent through a shut window but one byte, for ever while the peer answers. */
static void probe_window(struct tcb *tcb, int64_t now_ns)
{
	if (is_too_silent(tcb, now_ns)) {
		give_up(tcb, now_ns);
		return;
	}
	count_retry(tcb, now_ns);
	tcp_rtt_back_off(&tcb->rtt);
	tcp_tcb_count(tcb, COUNTER_TCP_WINDOW_PROBES);
	tcp_output_window_probe(tcb, now_ns);
	tcp_timer_clear(tcb, TCP_TIMER_RETRANSMIT);
	tcp_timer_set(tcb, TCP_TIMER_PERSIST, now_ns + tcp_rtt_timeout_ns(&tcb->rtt));
}

static void on_handshake_timeout(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->retries >= TCP_SYN_RETRIES_MAX) {
		give_up(tcb, now_ns);
		return;
	}
	count_retry(tcb, now_ns);
	tcp_rtt_back_off(&tcb->rtt);
	tcp_tcb_count(tcb, COUNTER_TCP_RETRANSMITS);
	tcp_output_syn(tcb, now_ns);
	tcp_timer_retransmit(tcb, now_ns, true);
}

/** RFC 8985 section 7.3: the answer to one more segment tells what became of the last ones. */
static void on_probe(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->sent.size == 0 || tcb->snd_wnd == 0)
		return;
	tcp_tcb_count(tcb, COUNTER_TCP_TLP_PROBES);
	tcp_output_probe(tcb, now_ns);
	tcp_timer_retransmit(tcb, now_ns, true);
}

/** RFC 6298 section 5.4 to 5.6. */
static void on_retransmit(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->snd_una == tcb->snd_nxt)
		return;
	if (tcb->state == TCP_STATE_SYN_SENT || tcb->state == TCP_STATE_SYN_RECEIVED) {
		on_handshake_timeout(tcb, now_ns);
		return;
	}
	if (tcb->snd_wnd == 0 && tcb->queued > 0) {
		/* The window was shut with bytes out: they are not lost but unwelcome. */
		tcp_recovery_forget(tcb);
		probe_window(tcb, now_ns);
		return;
	}
	if (is_too_silent(tcb, now_ns)) {
		give_up(tcb, now_ns);
		return;
	}
	tcp_recovery_on_timeout(tcb, now_ns);
	count_retry(tcb, now_ns);
	tcp_rtt_back_off(&tcb->rtt);
	tcp_timer_retransmit(tcb, now_ns, true);
}

/** RFC 1122 4.2.3.6; in FIN-WAIT-2 also without being configured, since nothing else ends it. */
static void on_idle(struct tcb *tcb, int64_t now_ns)
{
	const struct tcp_config *config = &tcb->stack->config;
	int64_t idle_ns = config->keepalive_ms * NS_PER_MS;
	int64_t interval_ns = config->keepalive_interval_ms * NS_PER_MS;

	if (idle_ns == 0)
		idle_ns = TCP_FIN_WAIT_IDLE_NS;
	if (tcb->heard_ns + idle_ns > now_ns) {
		tcp_timer_set(tcb, TCP_TIMER_IDLE, tcb->heard_ns + idle_ns);
		return;
	}
	tcp_timer_set(tcb, TCP_TIMER_IDLE, now_ns + MIN(idle_ns, interval_ns));
	if (tcb->snd_una != tcb->snd_nxt || tcp_timer_is_set(tcb, TCP_TIMER_PERSIST))
		return; /* those timers find out */
	if (config->keepalive_ms == 0 && tcb->state != TCP_STATE_FIN_WAIT_2)
		return;
	if (tcb->retries >= config->keepalive_probes) {
		give_up(tcb, now_ns);
		return;
	}
	count_retry(tcb, now_ns);
	tcp_tcb_count(tcb, COUNTER_TCP_KEEPALIVE_PROBES);
	tcp_output_keepalive(tcb, now_ns);
}

/** RFC 9293 section 3.8.3, RFC 5482: bytes are out, and the peer has acknowledged none for too long. */
static void on_user_timeout(struct tcb *tcb, int64_t now_ns)
{
	if (tcb->snd_una == tcb->snd_nxt)
		return; /* nothing is out; a probe of a shut window does not count */
	give_up(tcb, now_ns);
}

static void run_one(struct tcb *tcb, enum tcp_timer_kind kind, int64_t now_ns)
{
	tcp_timer_clear(tcb, kind);
	switch (kind) {
	case TCP_TIMER_ACK:
	case TCP_TIMER_SEND:
	case TCP_TIMER_PACE:
		on_flush(tcb, kind);
		break;
	case TCP_TIMER_REORDER:
		tcp_recovery_look(tcb, now_ns);
		break;
	case TCP_TIMER_PROBE:
		on_probe(tcb, now_ns);
		break;
	case TCP_TIMER_RETRANSMIT:
		on_retransmit(tcb, now_ns);
		break;
	case TCP_TIMER_PERSIST:
		probe_window(tcb, now_ns);
		break;
	case TCP_TIMER_IDLE:
		on_idle(tcb, now_ns);
		break;
	case TCP_TIMER_USER:
		on_user_timeout(tcb, now_ns);
		break;
	case TCP_TIMER_COUNT:
		WRONG("no such timer");
	}
}

void tcp_timer_run(struct timer *timer, int64_t now_ns)
{
	struct tcb *tcb = CONTAINER_OF(timer, struct tcb, timer);
	int64_t next_ns = INT64_MAX;

	for (unsigned kind = 0; kind < TCP_TIMER_COUNT; kind++) {
		if (tcb->deadline_ns[kind] != 0 && tcb->deadline_ns[kind] <= now_ns)
			run_one(tcb, kind, now_ns);
		if (tcb->state == TCP_STATE_CLOSED)
			return;
	}
	for (unsigned kind = 0; kind < TCP_TIMER_COUNT; kind++)
		if (tcb->deadline_ns[kind] != 0)
			next_ns = MIN(next_ns, tcb->deadline_ns[kind]);
	if (next_ns != INT64_MAX)
		timer_arm(&tcb->stack->timers, timer, next_ns);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_recovery.h"

#include "dataplane/tcp/tcp_timer.h"

#include "dataplane/core/hot.h"

uint32_t tcp_recovery_flight(const struct tcb *tcb)
{
	uint32_t flight = tcp_sent_flight(&tcb->sent);

	return flight > tcb->duplicate_size ? flight - tcb->duplicate_size : 0;
}

uint64_t tcp_recovery_window(const struct tcb *tcb)
{
	if (tcp_frto_asks(&tcb->frto))
		return MIN(tcb->cc.window, TCP_FRTO_SEGMENTS * (uint64_t)tcp_tcb_payload_max(tcb));
	return tcb->recovery == TCP_RECOVERY_FAST || tcb->is_slowing ? tcb->prr.window
								     : tcb->cc.window;
}

static struct tcp_rack_look look_of(const struct tcb *tcb, int64_t now_ns)
{
	return (struct tcp_rack_look){
		.srtt_ns = tcb->rtt.smoothed_ns,
		.mss = tcp_tcb_payload_max(tcb),
		.is_recovering = tcb->recovery != TCP_RECOVERY_NONE,
		.now_ns = now_ns,
	};
}

/** @return bytes newly thought lost */
static uint32_t detect(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_rack_look look = look_of(tcb, now_ns);
	uint32_t lost;
	int64_t next_ns = tcp_rack_detect(&tcb->rack, &tcb->sent, &look, &lost);

	counters_add(tcb->stack->counters, COUNTER_TCP_RACK_LOST, lost);
	if (next_ns > 0)
		tcp_timer_set(tcb, TCP_TIMER_REORDER, next_ns);
	else
		tcp_timer_clear(tcb, TCP_TIMER_REORDER);
	return lost;
}

/** The oldest segment is lost: duplicates say so where there are no reports. */
static void lose_oldest(struct tcb *tcb)
{
	(void)tcp_sent_lose_part(
		&tcb->sent, &tcb->stack->sent_pool,
		(struct tcp_range){ tcb->snd_una, tcb->snd_una + tcp_tcb_payload_max(tcb) });
	tcb->must_resend = true;
}

/** With SACK: a peer that has no room for what came early repeats itself and reports nothing. What
    else it dropped is found by RACK when the oldest arrives. */
static void count_silent_duplicates(struct tcb *tcb, const struct tcp_recovery_ack *ack)
{
	if (ack->cc.acked > 0 || ack->news.delivered > 0 || tcb->sent.sacked > 0)
		tcb->duplicate_acks = 0;
	else if (ack->is_repetition && ++tcb->duplicate_acks == TCP_DUPLICATE_ACKS &&
		 tcb->recovery == TCP_RECOVERY_NONE)
		lose_oldest(tcb);
}

/** Without SACK: what an acknowledgement tells. @return bytes that arrived, as far as it lets know */
static uint32_t count_duplicates(struct tcb *tcb, const struct tcp_recovery_ack *ack)
{
	uint32_t acked = (uint32_t)ack->cc.acked, mss = tcp_tcb_payload_max(tcb), counted;

	if (acked > 0 && tcb->recovery != TCP_RECOVERY_FAST) {
		tcb->duplicate_acks = tcb->duplicate_size = 0;
		if (tcp_seq_lt(tcb->recover, tcb->snd_una))
			tcb->recover = tcb->snd_una - 1; /* never half the numbers behind */
	} else if (acked > 0) {
		/* A partial one (RFC 6582 section 3.2): one segment filled the hole, the others are
		   those that the duplicates told of. */
		counted = MIN(tcb->duplicate_size, acked > mss ? acked - mss : 0U);
		tcb->duplicate_size = MIN(tcb->duplicate_size - counted, tcb->sent.size);
		lose_oldest(tcb);
		return acked - counted;
	} else if (ack->is_repetition && tcb->recovery == TCP_RECOVERY_NONE &&
		   tcp_seq_leq(tcb->snd_una, tcb->recover)) {
		return 0; /* of what the recovery sent again needlessly (RFC 6582 section 3.2) */
	} else if (ack->is_repetition && tcb->recovery != TCP_RECOVERY_LOSS) {
		tcb->duplicate_acks++;
		tcb->duplicate_size += MIN(mss, tcb->sent.size - tcb->duplicate_size);
		if (tcb->recovery == TCP_RECOVERY_NONE && tcb->duplicate_acks == TCP_DUPLICATE_ACKS)
			lose_oldest(tcb);
		return mss;
	}
	return acked;
}

/** Once for a window, be it for a loss or for a mark of the network. @return true: it was now */
static bool reduce_window(struct tcb *tcb, uint64_t flight, enum tcp_cc_signal signal,
			  int64_t now_ns)
{
	bool is_reduced = tcp_ecn_is_reduced(&tcb->ecn, tcb->snd_una);

	if (!is_reduced) {
		tcp_cc_on_loss(&tcb->cc, flight, signal, now_ns);
		tcb->undo.is_armed = false; /* it was for the one before */
	}
	tcp_ecn_reduced(&tcb->ecn, tcb->snd_max);
	return !is_reduced;
}

static void begin(struct tcb *tcb, uint32_t flight, int64_t now_ns)
{
	uint64_t left = tcb->sent.size - tcb->sent.sacked;

	tcp_tcb_count(tcb, COUNTER_TCP_FAST_RETRANSMITS);
	if (reduce_window(tcb, flight, TCP_CC_LOSS, now_ns))
		tcp_undo_begin(&tcb->undo, tcb->snd_una);
	/* A burst of acknowledgements counts as one: nothing was sent for the first of them yet. */
	tcp_prr_begin(&tcb->prr, left + tcb->arrived);
	tcb->is_slowing = false;
	tcb->tlp.is_out = false;
	tcp_timer_clear(tcb, TCP_TIMER_PROBE);
	tcb->recovery = TCP_RECOVERY_FAST;
	tcb->recover = tcb->snd_nxt;
}

static void pace_reduction(struct tcb *tcb, uint32_t delivered, bool is_safe)
{
	struct tcp_prr_ack ack = {
		.delivered = delivered,
		.flight = tcp_recovery_flight(tcb),
		.threshold = tcb->cc.threshold,
		.mss = tcp_tcb_payload_max(tcb),
		.is_safe = is_safe,
	};

	tcp_prr_on_ack(&tcb->prr, &ack);
}

/** The reduction was a mistake: what is thought lost only came late. */
static void undo(struct tcb *tcb)
{
	tcp_tcb_count(tcb, COUNTER_TCP_SPURIOUS);
	if (tcb->recovery != TCP_RECOVERY_LOSS)
		tcp_rack_reordered(&tcb->rack);
	tcp_frto_stop(&tcb->frto);
	tcb->undo.is_armed = false;
	tcp_cc_undo(&tcb->cc);
	tcp_ecn_undone(&tcb->ecn); /* the next loss counts, be it in the same window */
	tcp_sent_unlose(&tcb->sent);
	tcb->recovery = TCP_RECOVERY_NONE;
	tcb->must_resend = false;
	tcb->duplicate_acks = tcb->duplicate_size = 0;
}

/** Was the timeout a mistake? Asked of peers whose timestamps do not say so. */
static bool ask_frto(struct tcb *tcb, const struct tcp_recovery_ack *ack)
{
	struct tcp_frto_ack seen = { .una = tcb->snd_una,
				     .is_advance = ack->cc.acked > 0,
				     .is_repetition = ack->is_repetition,
				     .has_report = ack->news.delivered > 0,
				     .original = ack->news.lowest,
				     .has_original = ack->news.first.xmit_ns != 0 };
	bool asked = tcp_frto_asks(&tcb->frto);

	if (tcp_frto_on_ack(&tcb->frto, &seen))
		return tcb->undo.is_armed;
	/* The answer says that it was none: what asked is out beside what may be sent again. */
	tcb->must_resend |= asked && !tcp_frto_asks(&tcb->frto);
	return false;
}

/** What times and reports say about the order of arrival. */
static void learn(struct tcb *tcb, const struct tcp_recovery_ack *ack, int64_t now_ns)
{
	struct tcp_sent_news news = ack->news;
	bool is_spurious = false;

	/* An echo from before the retransmission: the answer is to the first transmission. That of a
	   report alone is older than what it reports (RFC 7323 section 4.3). */
	if (ack->has_echo && ack->cc.acked > 0 && news.again.xmit_ns != 0 &&
	    tcp_seq_lt(ack->echo, tcp_tcb_ts_now(tcb->ts_offset, news.again.xmit_ns)))
		news.again.xmit_ns = 0;
	tcp_rack_delivered(&tcb->rack, &news, now_ns);
	if (ack->duplicate.start != ack->duplicate.end) {
		tcp_tcb_count(tcb, COUNTER_TCP_DSACKS_IN);
		/* A probe that was not needed says nothing about the order of arrival. */
		if (!tcb->tlp.is_out || ack->duplicate.end != tcb->tlp.end)
			tcp_rack_duplicate(&tcb->rack, ack->duplicate.end - ack->duplicate.start,
					   tcb->snd_una, tcb->snd_nxt);
		is_spurious = tcp_undo_by_duplicate(&tcb->undo, ack->duplicate);
	}
	if (!is_spurious && ack->cc.acked > 0 && ack->has_echo)
		is_spurious = tcp_undo_by_echo(&tcb->undo, ack->echo);
	if (!is_spurious)
		is_spurious = tcp_undo_by_arrival(&tcb->undo, tcb->sent.lost);
	if (!is_spurious)
		is_spurious = ask_frto(tcb, ack);
	if (is_spurious)
		undo(tcb);
	tcp_undo_advance(&tcb->undo, tcb->snd_una);
}

/** The fate of a tail loss probe: one that repaired a loss is a sign of congestion like any other. */
static void judge_probe(struct tcb *tcb, const struct tcp_recovery_ack *ack, int64_t now_ns)
{
	struct tcp_tlp_ack seen = { tcb->snd_una, ack->duplicate, ack->is_repetition };

	if (tcp_tlp_on_ack(&tcb->tlp, &seen) != TCP_TLP_REPAIRED)
		return;
	tcp_tcb_count(tcb, COUNTER_TCP_TLP_REPAIRS);
	if (tcb->recovery != TCP_RECOVERY_NONE)
		return; /* that reduced it */
	(void)reduce_window(tcb, ack->cc.flight, TCP_CC_LOSS, now_ns);
}

void tcp_recovery_on_ack(struct tcb *tcb, const struct tcp_recovery_ack *ack, int64_t now_ns)
{
	uint32_t delivered = ack->news.delivered, lost;
	bool ends_fast = false; /* the last answer of a reduction grows nothing */

	learn(tcb, ack, now_ns);
	judge_probe(tcb, ack, now_ns);
	if (tcb->recovery != TCP_RECOVERY_NONE && tcp_seq_leq(tcb->recover, tcb->snd_una)) {
		ends_fast = tcb->recovery == TCP_RECOVERY_FAST;
		tcb->recovery = TCP_RECOVERY_NONE;
		tcb->must_resend = false;
		tcp_frto_stop(&tcb->frto);
		tcp_rack_recovered(&tcb->rack);
		tcp_undo_end(&tcb->undo, tcb->snd_nxt);
	}
	if (tcb->is_slowing && tcp_seq_leq(tcb->slow_end, tcb->snd_una)) {
		tcb->is_slowing = false;
		ends_fast = true;
	}
	lost = tcb->sent.lost;
	if (tcb->has_sack) {
		(void)detect(tcb, now_ns);
		count_silent_duplicates(tcb, ack);
	} else {
		delivered = count_duplicates(tcb, ack);
	}
	tcb->arrived += delivered;
	if (tcb->recovery == TCP_RECOVERY_NONE && tcb->sent.lost > 0) {
		begin(tcb, (uint32_t)ack->cc.flight, now_ns);
		delivered = tcb->arrived;
	}
	if (tcb->recovery == TCP_RECOVERY_FAST || tcb->is_slowing)
		pace_reduction(tcb, delivered, ack->cc.acked > 0 && tcb->sent.lost <= lost);
	else if (ack->cc.acked > 0 && !ends_fast)
		tcp_cc_on_ack(&tcb->cc, &ack->cc);
	if (ack->cc.acked > 0 || ack->news.delivered > 0)
		tcp_timer_probe(tcb, now_ns);
	tcp_tcb_dirty(tcb);
}

void tcp_recovery_on_mark(struct tcb *tcb, int64_t now_ns)
{
	tcp_tcb_count(tcb, COUNTER_TCP_ECN_REDUCTIONS);
	(void)reduce_window(tcb, tcb->snd_nxt - tcb->snd_una, TCP_CC_ECN, now_ns);
	if (tcb->recovery != TCP_RECOVERY_NONE || tcb->snd_una == tcb->snd_nxt)
		return;
	/* Nothing is lost, but the way down is the same: in step with what arrives. */
	tcp_prr_begin(&tcb->prr, tcb->sent.size - tcb->sent.sacked + tcb->arrived);
	tcb->is_slowing = true;
	tcb->slow_end = tcb->snd_nxt;
	pace_reduction(tcb, tcb->arrived, false);
}

void tcp_recovery_on_timeout(struct tcb *tcb, int64_t now_ns)
{
	struct tcp_rack_look look = look_of(tcb, now_ns);

	CHECK(tcb->sent.size > 0);
	tcp_tcb_count(tcb, COUNTER_TCP_RTO);
	tcp_cc_on_timeout(&tcb->cc, tcb->snd_nxt - tcb->snd_una, tcb->retries == 0, now_ns);
	tcp_ecn_reduced(&tcb->ecn, tcb->snd_max);
	if (!tcb->has_ts && tcb->recovery != TCP_RECOVERY_LOSS)
		tcp_frto_begin(&tcb->frto, tcb->snd_nxt);
	else
		tcp_frto_stop(&tcb->frto);
	tcb->is_slowing = false;
	if (tcb->retries == 0)
		tcp_undo_begin(&tcb->undo, tcb->snd_una);
	if (tcp_sent_has_oldest(&tcb->sent)) {
		/* It acknowledges less than it reported: it dropped what it had (RFC 2018 section 8). */
		tcp_tcb_count(tcb, COUNTER_TCP_RENEGES);
		tcp_sent_renege(&tcb->sent);
	}
	tcb->recovery = TCP_RECOVERY_LOSS;
	tcb->recover = tcb->snd_nxt;
	tcb->must_resend = true;
	tcb->prompted_ns = now_ns;
	tcb->duplicate_acks = tcb->duplicate_size = 0;
	tcb->tlp.is_out = false;
	tcp_timer_clear(tcb, TCP_TIMER_PROBE);
	tcp_timer_clear(tcb, TCP_TIMER_REORDER);
	if (tcb->has_sack)
		(void)tcp_rack_timeout(&tcb->rack, &tcb->sent, &look);
	else
		(void)tcp_sent_lose_part(&tcb->sent, &tcb->stack->sent_pool,
					 (struct tcp_range){ tcb->snd_una, tcb->snd_nxt });
	tcp_tcb_dirty(tcb);
}

void tcp_recovery_look(struct tcb *tcb, int64_t now_ns)
{
	uint32_t flight = tcb->snd_nxt - tcb->snd_una;

	if (detect(tcb, now_ns) == 0)
		return;
	if (tcb->recovery == TCP_RECOVERY_NONE)
		begin(tcb, flight, now_ns);
	if (tcb->recovery == TCP_RECOVERY_FAST)
		pace_reduction(tcb, 0, false);
	tcp_tcb_dirty(tcb);
}

void tcp_recovery_forget(struct tcb *tcb)
{
	tcp_sent_clear(&tcb->sent, &tcb->stack->sent_pool);
	tcb->snd_nxt = tcb->snd_una;
	tcb->recovery = TCP_RECOVERY_NONE;
	tcb->must_resend = false;
	tcb->tlp.is_out = false;
	tcb->undo.is_armed = tcb->is_slowing = false;
	tcp_frto_stop(&tcb->frto);
	tcb->duplicate_acks = tcb->duplicate_size = 0;
	tcp_timer_clear(tcb, TCP_TIMER_PROBE);
	tcp_timer_clear(tcb, TCP_TIMER_REORDER);
}

void tcp_recovery_resent(struct tcb *tcb, uint32_t start, uint32_t end, int64_t now_ns)
{
	tcp_tcb_count(tcb, COUNTER_TCP_RETRANSMITS);
	tcp_sent_again(&tcb->sent, &tcb->stack->sent_pool, (struct tcp_range){ start, end },
		       now_ns);
	tcp_rack_resent(&tcb->rack, end - start);
	tcp_undo_resent(&tcb->undo, end - start, tcp_tcb_ts_now(tcb->ts_offset, now_ns));
	tcp_prr_sent(&tcb->prr, end - start);
	/* The oldest has a whole timeout to arrive, again. */
	if (start == tcb->snd_una)
		tcp_timer_retransmit(tcb, now_ns, true);
}

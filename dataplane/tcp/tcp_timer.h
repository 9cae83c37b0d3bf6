/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Timers of a connection: several deadlines, one node, armed at the earliest deadline or before it.
 * Moving a deadline back, as every acknowledgement does, leaves the node alone.
 *
 * Context: owning core. Source: RFC 6298 section 5, RFC 8985, RFC 9293 sections 3.8.1 and 3.8.4,
 * RFC 1122 4.2.3.
 */
#pragma once

#include "dataplane/tcp/tcp_tcb.h"

/** @param due_ns  > 0 */
void tcp_timer_set(struct tcb *tcb, enum tcp_timer_kind kind, int64_t due_ns);

static inline void tcp_timer_clear(struct tcb *tcb, enum tcp_timer_kind kind)
{
	tcb->deadline_ns[kind] = 0;
}

static inline bool tcp_timer_is_set(const struct tcb *tcb, enum tcp_timer_kind kind)
{
	return tcb->deadline_ns[kind] != 0;
}

/** Arm or disarm the retransmission timer by whether anything is out; `restart` on progress. */
void tcp_timer_retransmit(struct tcb *tcb, int64_t now_ns, bool restart);

/** Something was sent or acknowledged: arm the tail loss probe, two round trips from now but no later
    than the retransmission, or disarm it while it makes no sense (RFC 8985 section 7.2). */
void tcp_timer_probe(struct tcb *tcb, int64_t now_ns);

/** Runs when the node is due. */
void tcp_timer_run(struct timer *timer, int64_t now_ns);

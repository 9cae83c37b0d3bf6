/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * From what acknowledgements and timers tell to what is sent again and how fast: joins the parts of
 * loss recovery (RACK, tail loss probe, PRR, undoing, congestion control) on one connection.
 *
 * With SACK, RACK says what is lost. Three duplicate acknowledgements that report nothing say that the
 * oldest segment is, and without SACK each partial one that the next is (NewReno).
 *
 * Context: owning core. Source: RFC 8985, RFC 9937, RFC 6582, RFC 5681, RFC 6298 section 5.
 */
#pragma once

#include "dataplane/tcp/tcp_tcb.h"

/** What one acknowledgement told. */
struct tcp_recovery_ack {
	struct tcp_sent_news news;
	struct tcp_cc_ack cc;       /* cc.acked 0: nothing new */
	struct tcp_range duplicate; /* reported to have come twice; empty: none */
	uint32_t echo;              /* our timestamp that came back */
	bool has_echo;
	bool is_repetition; /* an acknowledgement and nothing else, with nothing new */
};

/** After snd_una moved and the reports were noted. */
void tcp_recovery_on_ack(struct tcb *tcb, const struct tcp_recovery_ack *ack, int64_t now_ns);

/** The peer reports that the network marked something (RFC 3168 section 6.1.2). */
void tcp_recovery_on_mark(struct tcb *tcb, int64_t now_ns);

/** The retransmission timer ran out with something out; `tcb->retries` times before in a row. */
void tcp_recovery_on_timeout(struct tcb *tcb, int64_t now_ns);

/** The reordering timer ran out. */
void tcp_recovery_look(struct tcb *tcb, int64_t now_ns);

/** What is out is not welcome: the window was shut over it. It will be sent anew. */
void tcp_recovery_forget(struct tcb *tcb);

/** [start, end) was sent again. */
void tcp_recovery_resent(struct tcb *tcb, uint32_t start, uint32_t end, int64_t now_ns);

/** @return bytes thought to be in the network */
uint32_t tcp_recovery_flight(const struct tcb *tcb);

/** @return bytes that may be */
uint64_t tcp_recovery_window(const struct tcb *tcb);

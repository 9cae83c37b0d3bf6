/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Everything that is sent: what a connection owes, and answers for no connection. What is sent again
 * is chosen in tcp_resend.
 *
 * Context: owning core. Source: RFC 9293 section 3.8.6, RFC 8985 section 7.3, RFC 5961.
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

#define TCP_SEGMENTS_PER_FLUSH 64U /* a large window takes turns with other connections */

/** Send what the windows allow of the output queue, a FIN when its time has come, and an owed
    acknowledgement when none went along. */
void tcp_output_flush(struct tcb *tcb, int64_t now_ns);

/**
 * Build and emit one segment of an open connection.
 *
 * @param size  payload wanted; less is sent when the options leave less room
 * @return payload bytes sent; -1: no buffer, a timer tries again
 */
int64_t tcp_output_segment(struct tcb *tcb, uint32_t seq, uint32_t size, uint8_t flags,
			   int64_t now_ns);

/** Tail loss probe: new data if the peer's window allows, else the last segment once more. */
void tcp_output_probe(struct tcb *tcb, int64_t now_ns);

/** Acknowledge at once. */
void tcp_output_ack(struct tcb *tcb, int64_t now_ns);

/** SYN, or SYN with ACK in SYN-RECEIVED. */
void tcp_output_syn(struct tcb *tcb, int64_t now_ns);

/** Reset the peer. */
void tcp_output_reset(struct tcb *tcb, int64_t now_ns);

/** One byte beyond a shut window. */
void tcp_output_window_probe(struct tcb *tcb, int64_t now_ns);

/** An old sequence number, which the peer must answer. */
void tcp_output_keepalive(struct tcb *tcb, int64_t now_ns);

/** Acknowledge something suspicious, not too often (RFC 5961 section 7). */
void tcp_output_challenge(struct tcb *tcb, int64_t now_ns);

/** Answer a segment for no connection with a reset; never a reset with one. */
void tcp_output_refuse(struct tcp_stack *stack, const struct tcp_packet *packet, int64_t now_ns);

/** Acknowledge once more for a connection in TIME-WAIT. */
void tcp_output_timewait(struct tcp_stack *stack, const struct tcp_timewait *timewait,
			 int64_t now_ns);

/** @return true: the offered window may grow by enough to tell the peer */
bool tcp_output_wants_update(const struct tcb *tcb);

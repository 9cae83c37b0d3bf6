/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What an acknowledgement does to the send side: bytes leave the queue, round trips are measured, what
 * the peer reports is noted, its window moves. What follows from it for recovery: tcp_recovery.
 *
 * Context: owning core. Source: RFC 9293 section 3.10.7.4, RFC 2018, RFC 2883, RFC 6298, RFC 5961.
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

/** @return false: the segment must be dropped, or the connection ended in a callback */
bool tcp_ack_input(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns);

/** Our SYN was acknowledged: what the first acknowledgement tells. */
void tcp_ack_handshake(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns);

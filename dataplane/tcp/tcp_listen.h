/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Passive open: which ports are served, and the half-open connections ("embryos"). When too many are
 * half open the oldest makes room, so a flood of SYNs delays newcomers but never locks them out.
 *
 * Context: owning core. Limits: config.syn_backlog_max embryos.
 * Source: RFC 9293 section 3.10.7.2, RFC 4987 section 3.3 (recycling the oldest).
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

static inline bool tcp_listen_is_open(const struct tcp_stack *stack, uint16_t port)
{
	return (stack->listening[port / 64] >> port % 64 & 1) != 0;
}

/** A segment for no connection. */
void tcp_listen_input(struct tcp_stack *stack, const struct tcp_packet *packet, int64_t now_ns);

/** A SYN for an open port. @param isn  our initial sequence number */
void tcp_listen_syn(struct tcp_stack *stack, const struct tcp_packet *packet, uint32_t isn,
		    int64_t now_ns);

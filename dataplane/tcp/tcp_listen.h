/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Passive open: which ports are served, and the half-open connections ("embryos"). When too many are
 * half open, SYNs are answered with cookies and forgotten: a flood of them locks nobody out. An embryo
 * gives up its place only when there is no other, to a peer that brings a cookie back.
 *
 * While cookies are out, a segment of no connection that brings one but is not its peer's first is not
 * answered with a reset: the first was lost, and will come again.
 *
 * Context: owning core. Limits: config.syn_backlog_max embryos.
 * Source: RFC 9293 section 3.10.7.2, RFC 4987 sections 3.3 (recycling the oldest) and 3.6 (cookies).
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

static inline bool tcp_listen_is_open(const struct tcp_stack *stack, uint16_t port)
{
	return (stack->listening[port / 64] >> port % 64 & 1) != 0;
}

/** A segment for no connection. */
void tcp_listen_input(struct tcp_stack *stack, struct tcp_packet *packet, int64_t now_ns);

/**
 * An embryo's peer acknowledges another number than ours. One of its SYNs may have been answered by a
 * cookie and another one made the embryo: the cookie counts then, and the embryo ends.
 */
void tcp_listen_wrong_ack(struct tcb *embryo, struct tcp_packet *packet, int64_t now_ns);

/** @return whether SYNs are answered with cookies: as many are half open as may be, or they are all
    that could make room */
bool tcp_listen_is_full(const struct tcp_stack *stack);

/** A SYN for an open port. @param isn  our initial sequence number, unless it is a cookie */
void tcp_listen_syn(struct tcp_stack *stack, const struct tcp_packet *packet, uint32_t isn,
		    int64_t now_ns);

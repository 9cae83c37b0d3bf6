/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Passive open: which ports are served, and the half-open connections ("embryos"). When too many are
 * half open, SYNs are answered with cookies and forgotten: a flood of them locks nobody out. An embryo
 * gives up its place only when there is no other, to a peer that has shown to be real: by a cookie it
 * brings back, or by the TIME-WAIT note of the connection before.
 *
 * While cookies are out, a segment of no connection that takes sequence space is not answered with a
 * reset when its cookie is wrong: it may be the second of a flight whose first was lost, and the first
 * will come again.
 *
 * Context: owning core. Limits: config.syn_backlog_max embryos, and those of peers that are real.
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
 * cookie and another one made the embryo: the cookie counts then, and the embryo ends. While cookies
 * are out a peer that shows none is not reset: it may have sent the one that does before.
 */
void tcp_listen_wrong_ack(struct tcb *embryo, struct tcp_packet *packet, int64_t now_ns);

/** A SYN for an open port from a peer that is real, or when there is room.
    @param isn  our initial sequence number */
void tcp_listen_syn(struct tcp_stack *stack, const struct tcp_packet *packet, uint32_t isn,
		    int64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The receive side: payload that fits the window is offered to the owner in order, or kept.
 *
 * Context: owning core. Source: RFC 9293 section 3.10.7.4 (seventh and eighth), RFC 5681 section
 * 4.2, RFC 2018, RFC 2883.
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

/** Cut what was received before and what does not fit from the packet; reports duplicates.
    @return false: nothing acceptable is left of it, an acknowledgement is owed or was sent */
bool tcp_receive_trim(struct tcb *tcb, struct tcp_packet *packet, int64_t now_ns);

/** Take a trimmed packet's payload and FIN. The connection may have ended on return. */
void tcp_receive_input(struct tcb *tcb, const struct tcp_packet *packet, int64_t now_ns);

/** Offer kept bytes again and tell of the end when it is reached. */
void tcp_receive_offer(struct tcb *tcb);

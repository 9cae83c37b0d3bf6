/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The state machine: what a segment means to an open or half-open connection.
 *
 * Context: owning core. Source: RFC 9293 section 3.10.7, RFC 7323 section 5, RFC 5961.
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

/** The connection may have ended on return. */
void tcp_input_packet(struct tcb *tcb, struct tcp_packet *packet, int64_t now_ns);

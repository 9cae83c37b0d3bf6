/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * TIME-WAIT: a small note that keeps old segments of a finished connection from harming a new one.
 * It ends after two segment lifetimes, when a newer SYN reuses the tuple, or when room is needed.
 *
 * Context: owning core. Limits: stack->timewait_max notes; the oldest makes room.
 * Source: RFC 9293 section 3.6, RFC 6191 (reuse), RFC 1337 (resets are ignored).
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

/** @param left  tuple, numbers and timestamps of the finished connection; copied */
void tcp_timewait_enter(struct tcp_stack *stack, const struct tcp_timewait *left);

/** Forget one now. */
void tcp_timewait_end(struct tcp_stack *stack, struct tcp_timewait *timewait);

/** A segment for one; a newer SYN becomes a new connection. */
void tcp_timewait_input(struct tcp_stack *stack, struct tcp_timewait *timewait,
			const struct tcp_packet *packet, int64_t now_ns);

/** @return an initial sequence number beyond what the finished connection used */
uint32_t tcp_timewait_isn(const struct tcp_timewait *timewait, uint32_t isn);

/** Forgets what is due. */
void tcp_timewait_run(struct timer *timer, int64_t now_ns);

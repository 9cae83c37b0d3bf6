/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Segments of one header: where the owner's port cuts a long payload into packets by itself (TCP
 * segmentation offload), full segments that may go now are handed to emit() together. For all the rest
 * of the stack they are as many segments, sent at the same time; what is lost is sent again one by one.
 *
 * Context: owning core. Memory: none. Limits: tcp_config.tso_size. Source: RFC 3168 section 6.1.2.
 */
#pragma once

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

/**
 * How much may go with the next new segment: full segments, as many as both windows, the pace and the
 * configuration allow. What was sent before goes a segment at a time: a part of it may be enough.
 *
 * @param size  of the next segment
 * @return bytes of all of them; `size` when it goes alone
 */
uint32_t tcp_tso_size(const struct tcb *tcb, uint32_t size);

/** Whether segments may have copies of this header: only one may say that a mark was acted on, and
    reports leave less room than a full segment has. */
static inline bool tcp_tso_allows(const struct tcb *tcb, const struct tcp_packet *packet)
{
	return tcb->stack->config.tso_size > 0 && packet->options.sack_count == 0 &&
	       (packet->flags & TCP_CWR) == 0;
}

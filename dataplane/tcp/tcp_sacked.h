/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Selective acknowledgement, send side: what the peer reported to hold beyond the cumulative
 * acknowledgement, so that it is not sent again.
 *
 * Context: owning core. Memory: caller's struct. Limits: TCP_SACKED_MAX ranges; a report that needs
 * one more is ignored, which costs a needless retransmission at most.
 * Source: RFC 6675 section 3 (the scoreboard).
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

#define TCP_SACKED_MAX 16

struct tcp_sacked {
	struct tcp_range ranges[TCP_SACKED_MAX]; /* ascending, never touching */
	uint32_t count;
	uint32_t size; /* bytes in all ranges */
};

/** @return true: the report said something new */
bool tcp_sacked_add(struct tcp_sacked *sacked, uint32_t start, uint32_t end);
/** Everything before `una` is acknowledged. */
void tcp_sacked_advance(struct tcp_sacked *sacked, uint32_t una);
/** @return `seq`, or the end of the range that holds it */
uint32_t tcp_sacked_skip(const struct tcp_sacked *sacked, uint32_t seq);
/** @return start of the first range at or after `seq`; `limit` when there is none before it */
uint32_t tcp_sacked_next(const struct tcp_sacked *sacked, uint32_t seq, uint32_t limit);
/** @return reported bytes before `seq` */
uint32_t tcp_sacked_below(const struct tcp_sacked *sacked, uint32_t seq);
/** @return end of the highest range; `otherwise` when there is none */
uint32_t tcp_sacked_high(const struct tcp_sacked *sacked, uint32_t otherwise);

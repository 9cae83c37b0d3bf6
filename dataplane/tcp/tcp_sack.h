/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Selective acknowledgement, receive side: the blocks to report, most recent first, and the
 * duplicate to report before them.
 *
 * Context: owning core. Memory: caller's struct. Limits: TCP_SACK_BLOCKS_MAX blocks remembered; an
 * older one is forgotten, which costs the peer a retransmission at most.
 * Source: RFC 2018 section 4, RFC 2883.
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

#define TCP_SACK_BLOCKS_MAX 6

struct tcp_sack {
	struct tcp_range blocks[TCP_SACK_BLOCKS_MAX]; /* most recently touched first */
	struct tcp_range duplicate;                   /* empty: none to report */
	uint32_t count;
};

/** [start, end) arrived out of order and is held. */
void tcp_sack_add(struct tcp_sack *sack, uint32_t start, uint32_t end);
/** [start, end) arrived again. */
void tcp_sack_duplicate(struct tcp_sack *sack, uint32_t start, uint32_t end);
/** Everything before `next` is acknowledged cumulatively now. */
void tcp_sack_advance(struct tcp_sack *sack, uint32_t next);
/**
 * Blocks for one acknowledgement.
 *
 * @param ret_blocks  [max]
 * @return blocks written, the duplicate first
 */
uint32_t tcp_sack_report(const struct tcp_sack *sack, struct tcp_range *ret_blocks, uint32_t max);
/** The acknowledgement was sent: a duplicate is reported once. */
void tcp_sack_reported(struct tcp_sack *sack);

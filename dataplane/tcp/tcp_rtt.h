/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Round-trip time and the retransmission timeout made of it.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 6298.
 */
#pragma once

#include "base/defs.h"

#define TCP_RTO_INITIAL_NS (1 * NS_PER_S)
#define TCP_RTO_SYN_NS     (3 * NS_PER_S) /* section 5.7: when the handshake was timed out */
#define TCP_RTO_MAX_NS     (60 * NS_PER_S)

struct tcp_rtt {
	int64_t smoothed_ns;  /* 0: no sample yet */
	int64_t variation_ns; /* mean deviation */
	int64_t base_ns;      /* timeout before backoff */
	int64_t min_ns;       /* lower bound of base_ns */
	uint32_t backoff;     /* doublings since the last sample or progress */
};

void tcp_rtt_init(struct tcp_rtt *rtt, int64_t min_ns);
/** One measured round trip; never of a retransmitted segment unless timestamps tell (Karn). */
void tcp_rtt_sample(struct tcp_rtt *rtt, int64_t rtt_ns);
/** The timer ran out: the next timeout is twice as long. */
void tcp_rtt_back_off(struct tcp_rtt *rtt);
/** The handshake needed a retransmission and gave no sample. */
void tcp_rtt_handshake_lost(struct tcp_rtt *rtt);
/** @return the timeout now, bounded by TCP_RTO_MAX_NS */
int64_t tcp_rtt_timeout_ns(const struct tcp_rtt *rtt);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Tail loss probe: when no answer comes for two round trips, one segment is sent so that its answer
 * tells what of the tail was lost, long before the retransmission timer would.
 *
 * In a fast recovery, too, which RFC 8985 section 7.2 leaves to that timer: a retransmission is the last
 * thing sent when the window is small, and when it is lost, or its answer, RACK has nothing to tell by.
 * The window was reduced by then, and it is one segment.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 8985 section 7.
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

/* A peer with one segment to answer may wait so long; that is the usual delay, not the longest allowed
   (RFC 8985 section 7.2 leaves the choice). A needless probe costs one packet. */
#define TCP_TLP_ACK_DELAY_NS (40 * NS_PER_MS)
/* Peers that share a machine with others answer late by this much, however near they are. */
#define TCP_TLP_MIN_NS (2 * NS_PER_MS)

enum tcp_tlp_verdict {
	TCP_TLP_NOTHING,  /* no probe is out, or its fate is still open */
	TCP_TLP_ENDED,    /* the probe was not needed, or carried new data */
	TCP_TLP_REPAIRED, /* it repaired a loss that nothing else noticed */
};

struct tcp_tlp {
	uint32_t end;   /* of the probe: what was sent last, or is missing last */
	bool is_out;    /* a probe is out and its fate open */
	bool is_resend; /* it carried old data */
};

/** One acknowledgement, as far as it matters here. */
struct tcp_tlp_ack {
	uint32_t ack;
	struct tcp_range duplicate; /* reported to have come twice; empty: none */
	bool is_repetition;         /* no data, no report, nothing new at all */
};

/** @param srtt_ns  0: none yet. @param is_single  one segment is out. @return time until the probe */
int64_t tcp_tlp_timeout_ns(int64_t srtt_ns, bool is_single);

void tcp_tlp_sent(struct tcp_tlp *tlp, uint32_t end, bool is_resend);

enum tcp_tlp_verdict tcp_tlp_on_ack(struct tcp_tlp *tlp, const struct tcp_tlp_ack *ack);

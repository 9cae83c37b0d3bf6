/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Congestion control: how many bytes may be in flight. It sees events, not packets: what is common
 * to all algorithms (slow start, validation of the window, timeouts, idle times, undoing) is here,
 * growth and reduction in congestion avoidance are in the algorithm's own file. CUBIC's first slow
 * start is HyStart++; NewReno stays as RFC 5681 has it.
 *
 * Context: owning core. Memory: caller's struct.
 * Source: RFC 5681, RFC 6582, RFC 6928 (initial window of ten segments), RFC 7661, RFC 9406, RFC 9438.
 */
#pragma once

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_cubic.h"
#include "dataplane/tcp/tcp_hystart.h"
#include "dataplane/tcp/tcp_newreno.h"

enum tcp_cc_signal {
	TCP_CC_LOSS, /* a segment is thought lost */
	TCP_CC_ECN,  /* the network marked one (RFC 3168) */
};

/** What one acknowledgement of new data told. */
struct tcp_cc_ack {
	uint64_t acked;    /* bytes */
	uint64_t flight;   /* bytes out before it */
	uint32_t una, nxt; /* oldest and next number after it: rounds are told by them */
	int64_t rtt_ns;    /* round trip it measured; 0: none */
	int64_t srtt_ns;   /* smoothed; 0: none yet */
	int64_t now_ns;
	bool is_marked; /* it reports a mark of the network: no reason to grow */
};

/** What a reduction changed, to take it back. */
struct tcp_cc_undo {
	uint64_t window; /* 0: nothing to undo */
	uint64_t threshold;
	struct tcp_cubic cubic;
	struct tcp_newreno newreno;
};

struct tcp_cc {
	uint64_t window;      /* bytes, at least one segment */
	uint64_t threshold;   /* slow start below it; UINT64_MAX: no congestion met yet */
	uint64_t flight_peak; /* most bytes out in this round or the one before */
	uint64_t flight_now;  /* most bytes out in this round */
	uint32_t round_end;   /* its acknowledgement ends the round */
	uint32_t mss;
	uint8_t algorithm; /* enum tcp_cc_algorithm */
	bool is_paced;     /* the owner spreads what it sends: set after tcp_cc_init() */
	bool has_round;    /* round_end is valid */
	bool was_limited;  /* the window was full at some time of the last round */
	bool is_limited;   /* ... of this round */
	struct tcp_hystart hystart;
	struct tcp_cubic cubic;
	struct tcp_newreno newreno;
	struct tcp_cc_undo undo;
};

void tcp_cc_init(struct tcp_cc *cc, enum tcp_cc_algorithm algorithm, uint32_t mss);
/** New data was acknowledged outside recovery. */
void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack);
/** The network is congested: call it once per window. */
void tcp_cc_on_loss(struct tcp_cc *cc, uint64_t flight, enum tcp_cc_signal signal, int64_t now_ns);
/** The retransmission timer ran out. @param is_first  not a repetition for the same segment */
void tcp_cc_on_timeout(struct tcp_cc *cc, uint64_t flight, bool is_first, int64_t now_ns);
/** Nothing was sent for longer than a timeout: what was learnt is stale. */
void tcp_cc_on_idle(struct tcp_cc *cc, int64_t now_ns);
/** The last reduction was for a loss that was none (D-SACK, Eifel): take it back, once. */
void tcp_cc_undo(struct tcp_cc *cc);

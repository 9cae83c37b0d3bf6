/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * HyStart++: the first slow start ends when round trips grow, before the queue on the path overflows.
 * A round whose shortest round trip is clearly longer than the last one's makes slow start careful;
 * after five careful rounds it is over, unless the round trips were shorter again before.
 *
 * A queue shorter than a round trip's worth overflows in the very round that fills the path, which no
 * such comparison sees. The train of acknowledgements does, by which HyStart found the end before: one
 * without gaps that lasts half a round trip says that the window sent as fast as it goes fills the
 * path, and slow start is over. What is paced takes half of it by itself, so there it is three quarters.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 9406; Ha and Rhee, "Taming the elephants:
 * New TCP slow start", 2011, section 4.2 (the train).
 */
#pragma once

#include "base/defs.h"

#define TCP_HYSTART_BURST_SEGMENTS  8 /* section 4.3: L, growth at one acknowledgement, not paced */
#define TCP_HYSTART_CAREFUL_DIVISOR 4 /* CSS_GROWTH_DIVISOR */

enum tcp_hystart_phase {
	TCP_HYSTART_FAST,    /* standard slow start */
	TCP_HYSTART_CAREFUL, /* conservative slow start: a quarter of the growth */
	TCP_HYSTART_OVER,    /* congestion avoidance begins */
};

struct tcp_hystart {
	int64_t last_ns;     /* shortest round trip of the last round; INT64_MAX: none */
	int64_t current_ns;  /* ... of this round */
	int64_t baseline_ns; /* ... of the round that made it careful */
	uint32_t samples;    /* of this round */
	uint32_t rounds;     /* careful ones that ended */
	bool is_careful;
	int64_t shortest_ns; /* shortest round trip of all; INT64_MAX: none */
	int64_t train_ns;    /* when the train of acknowledgements began */
	int64_t wagon_ns;    /* its last one */
};

void tcp_hystart_init(struct tcp_hystart *hystart);
/**
 * An acknowledgement during the first slow start.
 *
 * @param rtt_ns      the round trip it measured; 0: none
 * @param ends_round  all that was sent before the round began is acknowledged
 */
enum tcp_hystart_phase tcp_hystart_on_ack(struct tcp_hystart *hystart, int64_t rtt_ns,
					  bool ends_round);
/** The same acknowledgement as a part of the train. @return true: the path is full */
bool tcp_hystart_on_train(struct tcp_hystart *hystart, bool is_paced, int64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Forward RTO-recovery: was a retransmission timeout a mistake, as the path was only slow for a while?
 * Peers with timestamps tell at once (tcp_undo); this is for those without.
 *
 * After the timeout only the oldest segment goes again. When its answer acknowledges more than before
 * but not all that was out, new data goes before anything else that is thought lost. Does the next
 * answer tell of bytes that were sent only once, before the timeout, then these had been on their way
 * all the time. If it tells of others, or repeats itself, they are lost.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 5682 sections 2.1 and 3.1 (with SACK).
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

#define TCP_FRTO_SEGMENTS 2U /* new ones that ask */

enum tcp_frto_step {
	TCP_FRTO_OFF,
	TCP_FRTO_WAITS, /* for the answer to what was sent again */
	TCP_FRTO_ASKS,  /* new data is to go, or is out: nothing goes again before its answer */
};

struct tcp_frto {
	uint8_t step;     /* enum tcp_frto_step */
	uint32_t recover; /* snd_nxt at the timeout */
};

/** What one acknowledgement told. */
struct tcp_frto_ack {
	uint32_t una;
	bool is_advance;    /* it acknowledges more than before */
	bool is_repetition; /* ... or says the same again */
	bool has_report;    /* it reports something that arrived and was not known to */
	uint32_t original;  /* the first of what it tells for the first time and was sent once */
	bool has_original;  /* `original` is valid */
};

/** The timer ran out, not for the second time in a row. @param recover  snd_nxt */
void tcp_frto_begin(struct tcp_frto *frto, uint32_t recover);
/** Something else knows better, or there is nothing new to ask with. */
void tcp_frto_stop(struct tcp_frto *frto);
/** @return true: the timeout was a mistake; it is over then */
bool tcp_frto_on_ack(struct tcp_frto *frto, const struct tcp_frto_ack *ack);

static inline bool tcp_frto_asks(const struct tcp_frto *frto)
{
	return frto->step == TCP_FRTO_ASKS;
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Explicit congestion notification: routers mark packets instead of dropping them. Both ends agree in
 * their SYNs; the receiver of a mark reports it on every acknowledgement until the sender says that
 * it has slowed down, and the sender slows down once a window.
 *
 * Only new data is sent as markable: neither acknowledgements, retransmissions nor window probes.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 3168 section 6.1.
 */
#pragma once

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_seq.h"

/** The two bits of the IP header. */
enum tcp_ecn_codepoint {
	TCP_ECN_NOT_ECT, /* routers drop it */
	TCP_ECN_ECT1,
	TCP_ECN_ECT0, /* routers may mark it */
	TCP_ECN_CE,   /* a router marked it: congestion experienced */
};

struct tcp_ecn {
	uint8_t policy;       /* enum tcp_ecn_policy */
	bool has_asked;       /* a SYN of ours asked for it */
	bool is_plain;        /* a SYN of ours or of the peer's did without */
	bool echoes;          /* agreed: the peer's marked packets are reported */
	bool marks;           /* agreed: our data may be marked */
	bool owes_echo;       /* report on every acknowledgement until the peer has slowed down */
	bool owes_cwr;        /* tell that we did, on the next new data */
	bool is_reduced;      /* in this window already: up to reduced_end */
	uint32_t reduced_end; /* end of what was sent before the reduction */
};

void tcp_ecn_init(struct tcp_ecn *ecn, enum tcp_ecn_policy policy);

/** @return flags for a SYN of ours. @param is_again  one was lost: somebody may dislike the flags */
uint8_t tcp_ecn_syn_flags(struct tcp_ecn *ecn, bool is_again);
/** @return flags for our answer to a SYN */
uint8_t tcp_ecn_answer_flags(const struct tcp_ecn *ecn);
/** A SYN, or SYN with ACK, of the peer; a repeated one, too. @return true: agreed */
bool tcp_ecn_syn_in(struct tcp_ecn *ecn, uint8_t flags);

/** Payload inside the window arrived. @return true: acknowledge at once, to report a mark */
bool tcp_ecn_data_in(struct tcp_ecn *ecn, uint8_t flags, enum tcp_ecn_codepoint codepoint);
/** A valid acknowledgement. @return true: reduce the window now, then call tcp_ecn_reduced() */
bool tcp_ecn_ack_in(struct tcp_ecn *ecn, uint8_t flags, uint32_t ack);
/** The window was reduced, for a mark or a loss: that counts until `snd_max` is passed. */
void tcp_ecn_reduced(struct tcp_ecn *ecn, uint32_t snd_max);

/** @return true: something sent before the last reduction is not acknowledged yet */
static inline bool tcp_ecn_is_reduced(const struct tcp_ecn *ecn, uint32_t snd_una)
{
	return ecn->is_reduced && tcp_seq_lt(snd_una, ecn->reduced_end);
}

/** The last reduction was taken back. */
static inline void tcp_ecn_undone(struct tcp_ecn *ecn)
{
	ecn->is_reduced = false;
}

/** @return flags to add to a segment. @param is_new_data  payload never sent before, no probe */
uint8_t tcp_ecn_flags(const struct tcp_ecn *ecn, bool is_new_data);
/** @return the code point that goes with it */
enum tcp_ecn_codepoint tcp_ecn_codepoint(const struct tcp_ecn *ecn, bool is_new_data);
/** It was sent. */
void tcp_ecn_sent(struct tcp_ecn *ecn, bool is_new_data);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * SYN cookies: what a half-open connection would remember goes into the numbers of our answer and
 * comes back with its acknowledgement, so a flood of SYNs costs no memory and locks nobody out.
 *
 * Our initial sequence number holds, from the top, 13 bits of a keyed hash of the tuple, the period of
 * time and the peer's number, 16 bits of one without that number, and 3 bits of an index of segment
 * sizes. The second hash knows later segments of a peer whose first one was lost. The low 6 bits of our
 * timestamp hold window scale, SACK and ECN; a peer without timestamps gets none of the three.
 *
 * Context: any thread. Memory: the caller's. Limits: a cookie is good in the period it was made in and
 * in the next one. A stranger's guess is right once in 2^32 / 16.
 * Source: RFC 4987 section 3.6 and appendix A.
 */
#pragma once

#include "base/siphash.h"

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_options.h"

#define TCP_COOKIE_PERIOD_NS (64 * NS_PER_S)
#define TCP_COOKIE_LIFE_NS   (2 * TCP_COOKIE_PERIOD_NS) /* no cookie is good for longer */

/** @param mss  the largest segment both sides take @return an initial sequence number */
uint32_t tcp_cookie_make(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			 uint32_t peer_isn, uint16_t mss, int64_t now_ns);

enum tcp_cookie_kind {
	TCP_COOKIE_NONE,  /* not ours, or too old */
	TCP_COOKIE_LATER, /* ours, but the segment is not the first of its peer */
	TCP_COOKIE_GOOD,
};

/** A cookie that came back. */
struct tcp_cookie {
	uint64_t id;  /* its own */
	uint16_t mss; /* at most the one it was made with */
};

/** @param[out] ret_cookie  set for TCP_COOKIE_GOOD only */
enum tcp_cookie_kind tcp_cookie_check(const struct siphash_key *secret,
				      const struct tcp_tuple *tuple, uint32_t peer_isn,
				      uint32_t number, int64_t now_ns,
				      struct tcp_cookie *ret_cookie);

#define TCP_COOKIE_WAYS 4

/**
 * Cookies that opened a connection: each does so once, or the first segment of a connection, sent again
 * after its end, would open another one and be taken twice. Many newer ones push out an older one.
 */
struct tcp_cookies {
	uint64_t *taken; /* [count], caller's memory, all zero at first; newest first in each set */
	uint32_t count;  /* multiple of TCP_COOKIE_WAYS */
};

/** @return whether it opened a connection already */
bool tcp_cookie_was_taken(const struct tcp_cookies *cookies, const struct tcp_cookie *cookie);
/** It opens one now. */
void tcp_cookie_take(struct tcp_cookies *cookies, const struct tcp_cookie *cookie);

/** @return `ts_now` or a little before it, with what is agreed in its low bits */
uint32_t tcp_cookie_ts(const struct tcp_options *agreed, bool has_ecn, uint32_t ts_now);

/** Read window scale, SACK and ECN from the timestamp that the peer echoes. */
void tcp_cookie_read_ts(uint32_t ts_echo, struct tcp_options *options, bool *ret_has_ecn);

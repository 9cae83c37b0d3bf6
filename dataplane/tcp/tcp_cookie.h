/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * SYN cookies: what a half-open connection would remember goes into the numbers of our answer and
 * comes back with its acknowledgement, so a flood of SYNs costs no memory and locks nobody out.
 *
 * Our initial sequence number is a keyed hash of the tuple, the peer's number and the current period,
 * with the index of a segment size in its low 3 bits. The low 6 bits of our timestamp hold the window
 * scale, SACK and ECN; a peer without timestamps gets none of the three.
 *
 * Context: any thread. Memory: the caller's. Limits: a cookie is good in the period it was made in and in the
 * next one. A stranger's guess is right once in 2^32 / 16.
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

/**
 * Did we make `cookie` lately?
 *
 * @param[out] ret_mss  at most the one it was made with
 * @return a number of its own for it; 0: no
 */
uint64_t tcp_cookie_check(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			  uint32_t peer_isn, uint32_t cookie, int64_t now_ns, uint16_t *ret_mss);

/**
 * Cookies that opened a connection: each does so once, or the first segment of a connection, sent again
 * after its end, would open another one and be taken twice. A newer one may push out an older one.
 */
struct tcp_cookies {
	uint64_t *taken; /* [count], caller's memory, all zero at first */
	uint32_t count;
};

/** @param id  from tcp_cookie_check() @return whether it opened a connection already */
bool tcp_cookie_was_taken(const struct tcp_cookies *cookies, uint64_t id);
/** It opens one now. */
void tcp_cookie_take(struct tcp_cookies *cookies, uint64_t id);

/** @return `ts_now` or a little before it, with what is agreed in its low bits */
uint32_t tcp_cookie_ts(const struct tcp_options *agreed, bool has_ecn, uint32_t ts_now);

/** Read window scale, SACK and ECN from the timestamp that the peer echoes. */
void tcp_cookie_read_ts(uint32_t ts_echo, struct tcp_options *options, bool *ret_has_ecn);

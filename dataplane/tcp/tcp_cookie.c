/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_cookie.h"

#include <string.h>

#include "dataplane/core/hot.h"

#define MSS_MASK    7U
#define COMMON_MASK 0x0007fff8U /* without the peer's number */
#define OWN_MASK    0xfff80000U /* with it */
#define TS_MASK     63U
#define TS_WSCALE   15U /* all ones: no window scaling */
#define TS_SACK     16U
#define TS_ECN      32U
#define PERIODS_MAX 2

/* The smallest that is used at all, the default (RFC 9293 section 3.7.1), and those of links with MTUs
   of 1260, 1440, 1480, 1500, 3200 and 9000. */
static const uint16_t sizes[MSS_MASK + 1] = { 88, 536, 1220, 1400, 1440, 1460, 3160, 8960 };

/** What is hashed; no padding. */
struct material {
	struct tcp_tuple tuple;
	uint32_t peer_isn;
	uint64_t period;
	uint32_t index;
	uint32_t has_peer_isn;
};

_Static_assert(sizeof(struct material) == sizeof(struct tcp_tuple) + 20, "padding is hashed");

static uint64_t hash_of(const struct siphash_key *secret, const struct material *material)
{
	/* Another key than initial sequence numbers have: those of strangers' choosing teach nothing. */
	const struct siphash_key key = { ~secret->k0, secret->k1 ^ UINT64_C(0x636f6f6b6965) };

	return siphash(&key, material, sizeof(*material));
}

/** @param[out] ret_id  a hash that covers all @return the sequence number */
static uint32_t number_of(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			  uint32_t peer_isn, uint64_t period, uint32_t index, uint64_t *ret_id)
{
	struct material material = { .tuple = *tuple, .period = period, .index = index };
	uint64_t common = hash_of(secret, &material);

	material.peer_isn = peer_isn;
	material.has_peer_isn = 1;
	*ret_id = hash_of(secret, &material);
	/* On top what differs: two connections of a tuple have numbers far from each other. */
	return ((uint32_t)*ret_id & OWN_MASK) | ((uint32_t)common & COMMON_MASK) | index;
}

static uint64_t period_of(int64_t now_ns)
{
	return (uint64_t)(now_ns / TCP_COOKIE_PERIOD_NS);
}

uint32_t tcp_cookie_make(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			 uint32_t peer_isn, uint16_t mss, int64_t now_ns)
{
	uint32_t index = MSS_MASK;
	uint64_t id;

	while (index > 0 && sizes[index] > mss)
		index--;
	return number_of(secret, tuple, peer_isn, period_of(now_ns), index, &id);
}

enum tcp_cookie_kind tcp_cookie_check(const struct siphash_key *secret,
				      const struct tcp_tuple *tuple, uint32_t peer_isn,
				      uint32_t number, int64_t now_ns,
				      struct tcp_cookie *ret_cookie)
{
	enum tcp_cookie_kind kind = TCP_COOKIE_NONE;
	uint32_t index = number & MSS_MASK;

	for (uint64_t age = 0; age < PERIODS_MAX; age++) {
		uint64_t id;
		uint32_t made =
			number_of(secret, tuple, peer_isn, period_of(now_ns) - age, index, &id);

		if (made == number) {
			*ret_cookie = (struct tcp_cookie){ .id = id, .mss = sizes[index] };
			return TCP_COOKIE_GOOD;
		}
		if (((made ^ number) & COMMON_MASK) == 0)
			kind = TCP_COOKIE_LATER;
	}
	return kind;
}

/** @return the set it belongs to, told by bits that the peer does not see */
static uint64_t *set_of(const struct tcp_cookies *cookies, const struct tcp_cookie *cookie)
{
	uint32_t sets = cookies->count / TCP_COOKIE_WAYS;

	return &cookies->taken[(uint32_t)(cookie->id >> 32) % sets * TCP_COOKIE_WAYS];
}

bool tcp_cookie_was_taken(const struct tcp_cookies *cookies, const struct tcp_cookie *cookie)
{
	const uint64_t *set = set_of(cookies, cookie);

	for (uint32_t way = 0; way < TCP_COOKIE_WAYS; way++)
		if (set[way] == cookie->id)
			return true;
	return false;
}

void tcp_cookie_take(struct tcp_cookies *cookies, const struct tcp_cookie *cookie)
{
	uint64_t *set = set_of(cookies, cookie);

	memmove(set + 1, set, (TCP_COOKIE_WAYS - 1) * sizeof(*set));
	set[0] = cookie->id;
}

uint32_t tcp_cookie_ts(const struct tcp_options *agreed, bool has_ecn, uint32_t ts_now)
{
	uint32_t bits = agreed->has_wscale ? agreed->wscale : TS_WSCALE;
	uint32_t ts;

	if (agreed->sack_permitted)
		bits |= TS_SACK;
	if (has_ecn)
		bits |= TS_ECN;
	ts = (ts_now & ~TS_MASK) | bits;
	/* Later segments of the connection carry the clock as it is: never ahead of it. */
	return (int32_t)(ts - ts_now) > 0 ? ts - (TS_MASK + 1) : ts;
}

void tcp_cookie_read_ts(uint32_t ts_echo, struct tcp_options *options, bool *ret_has_ecn)
{
	uint32_t wscale = ts_echo & TS_WSCALE;

	options->has_wscale = wscale <= TCP_WSCALE_MAX;
	options->wscale = options->has_wscale ? (uint8_t)wscale : 0;
	options->sack_permitted = (ts_echo & TS_SACK) != 0;
	*ret_has_ecn = (ts_echo & TS_ECN) != 0;
}

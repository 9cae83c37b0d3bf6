/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_cookie.h"

#include "dataplane/core/hot.h"

#define MSS_MASK    7U
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
	uint64_t index;
};

_Static_assert(sizeof(struct material) == sizeof(struct tcp_tuple) + 4 + 16, "padding is hashed");

static uint64_t hash_of(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			uint32_t peer_isn, uint64_t period, uint32_t index)
{
	/* Another key than initial sequence numbers have: those of strangers' choosing teach nothing. */
	const struct siphash_key key = { ~secret->k0, secret->k1 ^ UINT64_C(0x636f6f6b6965) };
	const struct material material = {
		.tuple = *tuple, .peer_isn = peer_isn, .period = period, .index = index
	};

	return siphash(&key, &material, sizeof(material));
}

/** @return the sequence number: a part of the hash, and the index */
static uint32_t cookie_of(uint64_t hash, uint32_t index)
{
	return ((uint32_t)hash & ~MSS_MASK) | index;
}

static uint64_t period_of(int64_t now_ns)
{
	return (uint64_t)(now_ns / TCP_COOKIE_PERIOD_NS);
}

uint32_t tcp_cookie_make(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			 uint32_t peer_isn, uint16_t mss, int64_t now_ns)
{
	uint32_t index = MSS_MASK;

	while (index > 0 && sizes[index] > mss)
		index--;
	return cookie_of(hash_of(secret, tuple, peer_isn, period_of(now_ns), index), index);
}

uint64_t tcp_cookie_check(const struct siphash_key *secret, const struct tcp_tuple *tuple,
			  uint32_t peer_isn, uint32_t cookie, int64_t now_ns, uint16_t *ret_mss)
{
	uint32_t index = cookie & MSS_MASK;

	for (uint64_t age = 0; age < PERIODS_MAX; age++) {
		uint64_t hash = hash_of(secret, tuple, peer_isn, period_of(now_ns) - age, index);

		if (cookie_of(hash, index) != cookie)
			continue;
		*ret_mss = sizes[index];
		return MAX(hash, UINT64_C(1));
	}
	return 0;
}

/** Its place is told by bits that the peer does not see. */
static uint64_t *place(const struct tcp_cookies *cookies, uint64_t id)
{
	return &cookies->taken[(id >> 32) % cookies->count];
}

bool tcp_cookie_was_taken(const struct tcp_cookies *cookies, uint64_t id)
{
	return *place(cookies, id) == id;
}

void tcp_cookie_take(struct tcp_cookies *cookies, uint64_t id)
{
	*place(cookies, id) = id;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_isn.h"

#include "dataplane/core/hot.h"

#define ISN_TICK_NS INT64_C(4000)

uint32_t tcp_isn(const struct siphash_key *secret, const struct tcp_tuple *tuple, int64_t now_ns)
{
	return (uint32_t)siphash(secret, tuple, sizeof(*tuple)) + (uint32_t)(now_ns / ISN_TICK_NS);
}

uint32_t tcp_isn_ts_offset(const struct siphash_key *secret, const struct tcp_tuple *tuple)
{
	/* Another key, so that the timestamp a peer sees tells it nothing about sequence numbers. */
	const struct siphash_key key = { secret->k0 ^ UINT64_C(0x7473), ~secret->k1 };

	return (uint32_t)siphash(&key, tuple, sizeof(*tuple));
}

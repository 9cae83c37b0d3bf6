/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_sacked.h"

#include <string.h>

#include "base/check.h"

#include "dataplane/core/hot.h"

static void recount(struct tcp_sacked *sacked)
{
	sacked->size = 0;
	for (uint32_t i = 0; i < sacked->count; i++)
		sacked->size += sacked->ranges[i].end - sacked->ranges[i].start;
}

bool tcp_sacked_add(struct tcp_sacked *sacked, uint32_t start, uint32_t end)
{
	struct tcp_range *ranges = sacked->ranges;
	uint32_t first = 0, after, before = sacked->size;

	CHECK(tcp_seq_lt(start, end));
	while (first < sacked->count && tcp_seq_lt(ranges[first].end, start))
		first++;
	/* Ranges first .. after-1 touch the new one and become part of it. */
	for (after = first; after < sacked->count && tcp_seq_leq(ranges[after].start, end);
	     after++) {
		start = tcp_seq_min(start, ranges[after].start);
		end = tcp_seq_max(end, ranges[after].end);
	}
	if (after == first && sacked->count == TCP_SACKED_MAX)
		return false;
	memmove(&ranges[first + 1], &ranges[after], (sacked->count - after) * sizeof(*ranges));
	ranges[first] = (struct tcp_range){ start, end };
	sacked->count = sacked->count - (after - first) + 1;
	recount(sacked);
	return sacked->size != before;
}

void tcp_sacked_advance(struct tcp_sacked *sacked, uint32_t una)
{
	uint32_t gone = 0;

	while (gone < sacked->count && tcp_seq_leq(sacked->ranges[gone].end, una))
		gone++;
	sacked->count -= gone;
	memmove(sacked->ranges, sacked->ranges + gone, sacked->count * sizeof(*sacked->ranges));
	if (sacked->count > 0)
		sacked->ranges[0].start = tcp_seq_max(sacked->ranges[0].start, una);
	recount(sacked);
}

uint32_t tcp_sacked_skip(const struct tcp_sacked *sacked, uint32_t seq)
{
	for (uint32_t i = 0; i < sacked->count; i++)
		if (tcp_seq_leq(sacked->ranges[i].start, seq) &&
		    tcp_seq_lt(seq, sacked->ranges[i].end))
			return sacked->ranges[i].end;
	return seq;
}

uint32_t tcp_sacked_next(const struct tcp_sacked *sacked, uint32_t seq, uint32_t limit)
{
	for (uint32_t i = 0; i < sacked->count; i++)
		if (tcp_seq_leq(seq, sacked->ranges[i].start))
			return tcp_seq_min(sacked->ranges[i].start, limit);
	return limit;
}

uint32_t tcp_sacked_below(const struct tcp_sacked *sacked, uint32_t seq)
{
	uint32_t size = 0;

	for (uint32_t i = 0; i < sacked->count && tcp_seq_lt(sacked->ranges[i].start, seq); i++)
		size += tcp_seq_min(sacked->ranges[i].end, seq) - sacked->ranges[i].start;
	return size;
}

uint32_t tcp_sacked_high(const struct tcp_sacked *sacked, uint32_t otherwise)
{
	return sacked->count > 0 ? sacked->ranges[sacked->count - 1].end : otherwise;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_sack.h"

#include "base/check.h"

#include "dataplane/core/hot.h"

void tcp_sack_add(struct tcp_sack *sack, uint32_t start, uint32_t end)
{
	struct tcp_range block = { start, end };
	struct tcp_range kept[TCP_SACK_BLOCKS_MAX];
	uint32_t count = 0;

	CHECK(tcp_seq_lt(start, end));
	/* The block with the newest segment goes first (RFC 2018 section 4); those it touches join it. */
	for (uint32_t i = 0; i < sack->count; i++) {
		struct tcp_range other = sack->blocks[i];

		if (tcp_seq_leq(other.start, block.end) && tcp_seq_leq(block.start, other.end)) {
			block.start = tcp_seq_min(block.start, other.start);
			block.end = tcp_seq_max(block.end, other.end);
		} else {
			kept[count++] = other;
		}
	}
	count = MIN(count, (uint32_t)TCP_SACK_BLOCKS_MAX - 1);
	sack->blocks[0] = block;
	for (uint32_t i = 0; i < count; i++)
		sack->blocks[i + 1] = kept[i];
	sack->count = count + 1;
}

void tcp_sack_duplicate(struct tcp_sack *sack, uint32_t start, uint32_t end)
{
	CHECK(tcp_seq_lt(start, end));
	sack->duplicate = (struct tcp_range){ start, end };
}

void tcp_sack_advance(struct tcp_sack *sack, uint32_t next)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sack->count; i++)
		if (tcp_seq_lt(next, sack->blocks[i].start))
			sack->blocks[count++] = sack->blocks[i];
	sack->count = count;
}

uint32_t tcp_sack_report(const struct tcp_sack *sack, struct tcp_range *ret_blocks, uint32_t max)
{
	uint32_t count = 0;

	if (count < max && sack->duplicate.start != sack->duplicate.end)
		ret_blocks[count++] = sack->duplicate;
	for (uint32_t i = 0; i < sack->count && count < max; i++)
		ret_blocks[count++] = sack->blocks[i];
	return count;
}

void tcp_sack_reported(struct tcp_sack *sack)
{
	sack->duplicate.start = sack->duplicate.end;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hist.h"

#include <string.h>

#define SUB_COUNT (1U << HIST_SUB_BITS)

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/* Values below SUB_COUNT have a bucket each; above, every power of two has SUB_COUNT of them. */
static uint32_t bucket_of(uint64_t value)
{
	if (value < SUB_COUNT)
		return (uint32_t)value;
	uint32_t log2 = 63 - (uint32_t)__builtin_clzll(value);
	uint32_t shift = log2 - HIST_SUB_BITS;

	return ((shift + 1) << HIST_SUB_BITS) + (uint32_t)((value >> shift) & (SUB_COUNT - 1));
}

static uint64_t bucket_upper(uint32_t bucket)
{
	if (bucket < SUB_COUNT)
		return bucket;
	uint32_t shift = (bucket >> HIST_SUB_BITS) - 1;
	uint64_t sub = SUB_COUNT + (bucket & (SUB_COUNT - 1));

	return ((sub + 1) << shift) - 1;
}

void hist_init(struct hist *hist)
{
	memset(hist, 0, sizeof(*hist));
}

void hist_add(struct hist *hist, uint64_t value)
{
	value = MIN(value, (UINT64_C(1) << HIST_VALUE_BITS) - 1);
	uint64_t *bucket = &hist->bucket[bucket_of(value)];

	store(bucket, *bucket + 1);
	store(&hist->sum, hist->sum + value);
	store(&hist->count, hist->count + 1);
	if (value > hist->max)
		store(&hist->max, value);
}

uint64_t hist_quantile(const struct hist *hist, uint32_t per_million)
{
	uint64_t count = load(&hist->count);
	/* Rank of the wanted value, 1 to count; 128 bits because count may be large. */
	uint64_t rank = (uint64_t)(((unsigned __int128)count * per_million + 999999) / 1000000);
	uint64_t seen = 0;

	if (count == 0)
		return 0;
	rank = MAX(rank, (uint64_t)1);
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		seen += load(&hist->bucket[i]);
		if (seen >= rank)
			return MIN(bucket_upper(i), load(&hist->max));
	}
	return load(&hist->max);
}

uint64_t hist_count_to(const struct hist *hist, uint64_t value)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS && bucket_upper(i) <= value; i++)
		count += load(&hist->bucket[i]);
	return count;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += load(&from->bucket[i]);
	to->count += load(&from->count);
	to->sum += load(&from->sum);
	to->max = MAX(to->max, load(&from->max));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct core_time {
	uint64_t busy_ns;
	uint64_t other_ns; /* idle and asleep */
};

/** One sample's growth by topic. */
struct slot {
	struct rates_topic *topics; /* [count], sorted by id; only those that grew */
	uint32_t count;
	uint32_t capacity;
	struct core_time cores[COUNTERS_CORES_MAX]; /* growth */
};

struct rates {
	int64_t last_ns;            /* of the last sample; 0: none */
	struct positions last;      /* positions of the last sample */
	struct rates_second totals; /* counters at the last sample, since the dataplane's start */
	struct core_time cores[COUNTERS_CORES_MAX];
	struct slot slots[RATES_WINDOW];
	struct rates_second history[RATES_HISTORY];
	uint32_t taken; /* intervals so far; the newest is taken - 1, modulo the arrays */
};

struct rates *rates_new(void)
{
	return calloc(1, sizeof(struct rates));
}

void rates_free(struct rates *rates)
{
	if (rates == NULL)
		return;
	positions_fini(&rates->last);
	for (uint32_t i = 0; i < RATES_WINDOW; i++)
		free(rates->slots[i].topics);
	free(rates);
}

static int64_t growth(int64_t before, int64_t after)
{
	return MAX(after - before, INT64_C(0));
}

/** @return the slot's entry of the topic, which is its last one or a new one; NULL out of memory */
static struct rates_topic *slot_topic(struct slot *slot, const struct uuid *id)
{
	if (slot->count > 0 && uuid_equal(&slot->topics[slot->count - 1].id, id))
		return &slot->topics[slot->count - 1];
	if (slot->count == slot->capacity) {
		uint32_t capacity = MAX(2 * slot->capacity, 16U);
		struct rates_topic *grown =
			reallocarray(slot->topics, capacity, sizeof(*slot->topics));

		if (grown == NULL)
			return NULL;
		slot->topics = grown;
		slot->capacity = capacity;
	}
	slot->topics[slot->count] = (struct rates_topic){ .id = *id };
	return &slot->topics[slot->count++];
}

/* Both arrays have the same order, so one pass finds the partitions that are in both. */
static int compare_positions(const struct rates *rates, const struct positions *now,
			     struct slot *slot)
{
	const struct position *before = rates->last.all;
	const struct position *end = before + rates->last.count;

	for (uint32_t i = 0; i < now->count; i++) {
		const struct position *after = &now->all[i];
		struct rates_topic *topic;

		while (before < end && positions_compare(before, after) < 0)
			before++;
		if (before == end)
			break;
		if (positions_compare(before, after) != 0 ||
		    (before->high_watermark >= after->high_watermark &&
		     before->size >= after->size))
			continue;
		topic = slot_topic(slot, &after->topic_id);
		if (topic == NULL)
			return -ENOMEM;
		topic->records += growth(before->high_watermark, after->high_watermark);
		topic->bytes += growth(before->size, after->size);
	}
	return 0;
}

static int remember_positions(struct rates *rates, const struct positions *now)
{
	if (now->count > rates->last.capacity) {
		struct position *grown = reallocarray(rates->last.all, now->count, sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		rates->last.all = grown;
		rates->last.capacity = now->count;
	}
	if (now->count > 0)
		memcpy(rates->last.all, now->all, now->count * sizeof(*now->all));
	rates->last.count = now->count;
	return 0;
}

static void count_cores(struct rates *rates, const struct rates_input *input, struct slot *slot,
			struct rates_second *ret_totals)
{
	memset(slot->cores, 0, sizeof(slot->cores));
	for (uint32_t i = 0; i < input->core_count; i++) {
		const struct counters *counters = input->cores[i];
		struct core_time now = {
			counters_get(counters, COUNTER_CORE_BUSY_NS),
			counters_get(counters, COUNTER_CORE_IDLE_NS) +
				counters_get(counters, COUNTER_CORE_YIELD_NS) +
				counters_get(counters, COUNTER_CORE_SLEEP_NS),
		};
		struct core_time *before = &rates->cores[i];

		/* Lower than before: the dataplane started anew, from zero. */
		if (now.busy_ns < before->busy_ns || now.other_ns < before->other_ns)
			*before = (struct core_time){ 0, 0 };
		slot->cores[i].busy_ns = now.busy_ns - before->busy_ns;
		slot->cores[i].other_ns = now.other_ns - before->other_ns;
		*before = now;
		ret_totals->bytes_in += (int64_t)counters_get(counters, COUNTER_PRODUCE_BYTES);
		ret_totals->bytes_out += (int64_t)counters_get(counters, COUNTER_FETCH_BYTES);
		ret_totals->requests += (int64_t)counters_get(counters, COUNTER_SESSION_REQUESTS);
	}
}

int rates_take(struct rates *rates, const struct rates_input *input)
{
	struct slot *slot = &rates->slots[rates->taken % RATES_WINDOW];
	struct rates_second *second = &rates->history[rates->taken % RATES_HISTORY];
	struct rates_second totals = { .elapsed_ns = input->now_ns - rates->last_ns };
	int error;

	CHECK(input->core_count <= COUNTERS_CORES_MAX);
	slot->count = 0;
	error = compare_positions(rates, input->positions, slot);
	if (error == 0)
		error = remember_positions(rates, input->positions);
	if (error != 0)
		return error;
	count_cores(rates, input, slot, &totals);
	for (uint32_t i = 0; i < slot->count; i++) {
		if (!input->is_internal(input->ctx, &slot->topics[i].id))
			totals.records_in += slot->topics[i].records;
	}
	if (rates->last_ns != 0) {
		*second = (struct rates_second){
			.elapsed_ns = totals.elapsed_ns,
			.bytes_in = growth(rates->totals.bytes_in, totals.bytes_in),
			.bytes_out = growth(rates->totals.bytes_out, totals.bytes_out),
			.records_in = totals.records_in,
			.requests = growth(rates->totals.requests, totals.requests),
		};
		rates->taken++;
	}
	rates->last_ns = input->now_ns;
	rates->totals = totals;
	return 0;
}

bool rates_history(const struct rates *rates, uint32_t age, struct rates_second *ret_second)
{
	if (age >= MIN(rates->taken, (uint32_t)RATES_HISTORY))
		return false;
	*ret_second = rates->history[(rates->taken - 1 - age) % RATES_HISTORY];
	return true;
}

struct rates_second rates_total(const struct rates *rates)
{
	struct rates_second sum = { 0 }, second;

	for (uint32_t age = 0; age < RATES_WINDOW && rates_history(rates, age, &second); age++) {
		sum.elapsed_ns += second.elapsed_ns;
		sum.bytes_in += second.bytes_in;
		sum.bytes_out += second.bytes_out;
		sum.records_in += second.records_in;
		sum.requests += second.requests;
	}
	return sum;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uuid)); /* an entry begins with its id */
}

struct rates_topic rates_topic(const struct rates *rates, const struct uuid *topic_id)
{
	struct rates_topic sum = { .id = *topic_id };
	uint32_t slots = MIN(rates->taken, (uint32_t)RATES_WINDOW);

	_Static_assert(offsetof(struct rates_topic, id) == 0, "compared by its first bytes");
	for (uint32_t i = 0; i < slots; i++) {
		const struct slot *slot = &rates->slots[i];
		const struct rates_topic *found =
			slot->count > 0 ? bsearch(topic_id, slot->topics, slot->count,
						  sizeof(*slot->topics), compare_ids)
					: NULL;

		if (found == NULL)
			continue;
		sum.bytes += found->bytes;
		sum.records += found->records;
	}
	return sum;
}

double rates_busy(const struct rates *rates, uint32_t core)
{
	uint32_t slots = MIN(rates->taken, (uint32_t)RATES_WINDOW);
	uint64_t busy_ns = 0, all_ns = 0;

	CHECK(core < COUNTERS_CORES_MAX);
	for (uint32_t i = 0; i < slots; i++) {
		busy_ns += rates->slots[i].cores[core].busy_ns;
		all_ns +=
			rates->slots[i].cores[core].busy_ns + rates->slots[i].cores[core].other_ns;
	}
	return all_ns > 0 ? (double)busy_ns / (double)all_ns : 0.0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spsc.h"

#include <stdlib.h>

#include "base/check.h"

/*
 * Indexes grow without bound and are masked on use. Each side keeps a copy of the other side's index
 * and looks at the shared one only when the copy says full or empty, so in the steady state the
 * cache lines of the indexes do not travel.
 */
struct spsc {
	uint32_t mask;
	struct {
		CACHELINE uint32_t tail; /* written by the producer */
		uint32_t head_seen;
	} producer;
	struct {
		CACHELINE uint32_t head; /* written by the consumer */
		uint32_t tail_seen;
	} consumer;
	CACHELINE void *items[];
};

struct spsc *spsc_new(uint32_t capacity)
{
	struct spsc *ring;

	CHECK(IS_POW2(capacity));
	CHECK(capacity <= UINT32_C(1) << 30);
	ring = aligned_alloc(CACHELINE_SIZE, ALIGN_UP(sizeof(*ring) + capacity * sizeof(void *),
						      (size_t)CACHELINE_SIZE));
	if (ring == NULL)
		return NULL;
	ring->mask = capacity - 1;
	ring->producer.tail = ring->producer.head_seen = 0;
	ring->consumer.head = ring->consumer.tail_seen = 0;
	return ring;
}

void spsc_free(struct spsc *ring)
{
	free(ring);
}

bool spsc_push(struct spsc *ring, void *item)
{
	uint32_t tail = ring->producer.tail;

	CHECK(item != NULL);
	if (tail - ring->producer.head_seen > ring->mask) {
		ring->producer.head_seen = __atomic_load_n(&ring->consumer.head, __ATOMIC_ACQUIRE);
		if (tail - ring->producer.head_seen > ring->mask)
			return false;
	}
	ring->items[tail & ring->mask] = item;
	__atomic_store_n(&ring->producer.tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

void *spsc_pop(struct spsc *ring)
{
	uint32_t head = ring->consumer.head;
	void *item;

	if (head == ring->consumer.tail_seen) {
		ring->consumer.tail_seen = __atomic_load_n(&ring->producer.tail, __ATOMIC_ACQUIRE);
		if (head == ring->consumer.tail_seen)
			return NULL;
	}
	item = ring->items[head & ring->mask];
	__atomic_store_n(&ring->consumer.head, head + 1, __ATOMIC_RELEASE);
	return item;
}

bool spsc_is_empty(const struct spsc *ring)
{
	return __atomic_load_n(&ring->producer.tail, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&ring->consumer.head, __ATOMIC_RELAXED);
}

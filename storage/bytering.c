/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/bytering.h"

#include <string.h>

#include "base/check.h"
#include "base/err.h"

#define BYTERING_MAGIC   UINT32_C(0x676e5242) /* "BRng" */
#define RECORD_ALIGN     8U
#define PADDING          UINT32_MAX /* size of a record that only fills the ring's end */
#define CAPACITY_MAX     (UINT32_C(1) << 30)
#define RECORDS_SKIP_MAX 2 /* a record and the padding before it */

/*
 * Positions grow without bound and are masked on use; the data area holds records, each a header
 * and its bytes, aligned to 8. A record is contiguous: where it would reach over the end of the
 * area, a padding record fills the rest and it begins at the start. Padding and record become
 * visible by one store of `tail`, so a producer killed at any instruction leaves nothing halfway.
 *
 * `capacity` and its complement are both checked on every use: a peer's stray write shows as
 * ERR_CORRUPT or a full ring, not as an access outside the mapping.
 */
struct bytering {
	uint32_t magic;
	uint32_t capacity;
	uint32_t capacity_inverse;
	struct {
		CACHELINE uint64_t tail; /* written by the producer */
		uint64_t head_seen;
		uint64_t claimed_at; /* position of the claimed record's header */
		uint32_t claimed_size;
	} producer;
	struct {
		CACHELINE uint64_t head; /* written by the consumer */
		uint64_t peeked_end;     /* position behind the record in hand; 0: none in hand */
	} consumer;
	CACHELINE uint8_t data[];
};

struct record {
	uint32_t size; /* bytes behind this header; PADDING */
	uint32_t reserved;
};
_Static_assert(sizeof(struct record) == RECORD_ALIGN, "headers keep records aligned");

size_t bytering_memory_size(uint32_t capacity)
{
	return sizeof(struct bytering) + capacity;
}

struct bytering *bytering_init(void *memory, uint32_t capacity)
{
	struct bytering *ring = memory;

	CHECK(IS_POW2(capacity));
	CHECK(capacity >= CACHELINE_SIZE);
	CHECK(capacity <= CAPACITY_MAX);
	CHECK((uintptr_t)memory % CACHELINE_SIZE == 0);
	memset(ring, 0, sizeof(*ring));
	ring->capacity = capacity;
	ring->capacity_inverse = ~capacity;
	__atomic_store_n(&ring->magic, BYTERING_MAGIC, __ATOMIC_RELEASE);
	return ring;
}

/* @return the ring's capacity; 0 when somebody wrote over it */
static uint32_t capacity_of(const struct bytering *ring)
{
	uint32_t capacity = __atomic_load_n(&ring->capacity, __ATOMIC_RELAXED);
	uint32_t inverse = __atomic_load_n(&ring->capacity_inverse, __ATOMIC_RELAXED);

	return capacity == ~inverse ? capacity : 0;
}

struct bytering *bytering_attach(void *memory, size_t memory_size, uint32_t capacity)
{
	struct bytering *ring = memory;

	if (!IS_POW2(capacity) || capacity < CACHELINE_SIZE || capacity > CAPACITY_MAX ||
	    memory_size < bytering_memory_size(capacity) || (uintptr_t)memory % CACHELINE_SIZE != 0)
		return NULL;
	if (__atomic_load_n(&ring->magic, __ATOMIC_ACQUIRE) != BYTERING_MAGIC ||
	    capacity_of(ring) != capacity)
		return NULL;
	return ring;
}

void *bytering_claim(struct bytering *ring, uint32_t size)
{
	uint32_t capacity = capacity_of(ring);
	uint64_t tail = ring->producer.tail;
	uint64_t need = sizeof(struct record) + ALIGN_UP((uint64_t)size, RECORD_ALIGN);
	uint64_t at;
	uint64_t padding = 0;

	if (capacity == 0 || size > capacity / 4 || tail % RECORD_ALIGN != 0)
		return NULL;
	at = tail & (capacity - 1);
	if (at + need > capacity)
		padding = capacity - at;
	if (tail + padding + need - ring->producer.head_seen > capacity) {
		ring->producer.head_seen = __atomic_load_n(&ring->consumer.head, __ATOMIC_ACQUIRE);
		if (tail + padding + need - ring->producer.head_seen > capacity)
			return NULL;
	}
	if (padding > 0) {
		((struct record *)(void *)(ring->data + at))->size = PADDING;
		at = 0;
	}
	ring->producer.claimed_at = tail + padding;
	ring->producer.claimed_size = size;
	return ring->data + at + sizeof(struct record);
}

void bytering_publish(struct bytering *ring, uint32_t size)
{
	uint32_t capacity = capacity_of(ring);
	uint64_t at = ring->producer.claimed_at;
	struct record *record = (void *)(ring->data + (at & (capacity - 1)));

	if (capacity == 0)
		return;
	CHECK(at % RECORD_ALIGN == 0);
	CHECK(size <= ring->producer.claimed_size);
	record->size = size;
	record->reserved = 0;
	ring->producer.claimed_size = 0;
	__atomic_store_n(&ring->producer.tail,
			 at + sizeof(*record) + ALIGN_UP((uint64_t)size, RECORD_ALIGN),
			 __ATOMIC_RELEASE);
}

int bytering_peek(struct bytering *ring, const void **ret_record, uint32_t *ret_size)
{
	uint32_t capacity = capacity_of(ring);
	uint64_t head = ring->consumer.head;
	uint64_t tail = __atomic_load_n(&ring->producer.tail, __ATOMIC_ACQUIRE);

	if (tail == head)
		return 0;
	if (capacity == 0 || (tail | head) % RECORD_ALIGN != 0)
		return ERR_CORRUPT;
	for (int i = 0; i < RECORDS_SKIP_MAX; i++) {
		uint64_t at = head & (capacity - 1);
		uint64_t left = tail - head;
		const struct record *record = (const void *)(ring->data + at);
		uint32_t size;

		if (left > capacity || left < sizeof(*record))
			return ERR_CORRUPT;
		size = __atomic_load_n(&record->size, __ATOMIC_RELAXED);
		if (size == PADDING) {
			head += capacity - at;
			continue;
		}
		/* The size was read once: what is checked here is what the caller gets. */
		if (size > capacity / 4 || sizeof(*record) + (uint64_t)size > left ||
		    at + sizeof(*record) + size > capacity)
			return ERR_CORRUPT;
		ring->consumer.peeked_end =
			head + sizeof(*record) + ALIGN_UP((uint64_t)size, RECORD_ALIGN);
		*ret_record = record + 1;
		*ret_size = size;
		return 1;
	}
	return ERR_CORRUPT;
}

void bytering_release(struct bytering *ring)
{
	CHECK(ring->consumer.peeked_end != 0);
	__atomic_store_n(&ring->consumer.head, ring->consumer.peeked_end, __ATOMIC_RELEASE);
	ring->consumer.peeked_end = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/producers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"

#define SNAPSHOT_VERSION 1

struct producers_block {
	uint32_t capacity; /* power of two */
	struct producer slots[];
};

static struct producers_block *block_new(uint32_t capacity)
{
	struct producers_block *block =
		calloc(1, sizeof(*block) + capacity * sizeof(block->slots[0]));

	if (block == NULL)
		return NULL;
	block->capacity = capacity;
	for (uint32_t i = 0; i < capacity; i++)
		block->slots[i].id = -1;
	return block;
}

/* Home slot: ids are handed out in sequence, so they are spread by a multiplication. */
static uint32_t slot_of(const struct producers_block *block, int64_t id)
{
	uint64_t hash = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(hash >> 32) & (block->capacity - 1);
}

/* The slot of `id`, or the free slot where it belongs. The table is never full, so this ends. */
static struct producer *slot_find(struct producers_block *block, int64_t id)
{
	uint32_t i = slot_of(block, id);

	while (block->slots[i].id >= 0 && block->slots[i].id != id)
		i = (i + 1) & (block->capacity - 1);
	return &block->slots[i];
}

/* Remove by shifting back the run behind the hole (Knuth 6.4 R): no tombstones to gather. */
static void slot_remove(struct producers *producers, struct producer *slot)
{
	struct producers_block *block = producers->block;
	uint32_t mask = block->capacity - 1;
	uint32_t hole = (uint32_t)(slot - block->slots);

	for (uint32_t i = (hole + 1) & mask; block->slots[i].id >= 0; i = (i + 1) & mask) {
		uint32_t home = slot_of(block, block->slots[i].id);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			block->slots[hole] = block->slots[i];
			hole = i;
		}
	}
	block->slots[hole] = (struct producer){ .id = -1 };
	producers->count--;
}

int producers_init(struct producers *producers)
{
	*producers = (struct producers){ .block = block_new(PRODUCERS_SLOTS_MIN) };
	return producers->block != NULL ? 0 : -ENOMEM;
}

void producers_fini(struct producers *producers)
{
	free(producers->block);
	free(producers->spare);
	free(producers->retired);
	*producers = (struct producers){ 0 };
}

const struct producer *producers_find(const struct producers *producers, int64_t id)
{
	const struct producer *slot = slot_find(producers->block, id);

	return slot->id == id ? slot : NULL;
}

/* Sequences run from 0 to INT32_MAX and wrap to 0. */
static int32_t sequence_add(int32_t sequence, int32_t n)
{
	return (int32_t)(((uint32_t)sequence + (uint32_t)n) & INT32_MAX);
}

static const struct producer_batch *last_batch(const struct producer *producer)
{
	uint32_t last = (producer->batch_next + PRODUCERS_BATCHES - 1U) % PRODUCERS_BATCHES;

	return &producer->batches[last];
}

int producers_check(const struct producers *producers, const struct batch *batch,
		    int64_t *ret_offset, int64_t *ret_timestamp)
{
	const struct producer *producer;
	int32_t last_sequence;

	if (batch->producer_id < 0)
		return 0;
	producer = producers_find(producers, batch->producer_id);
	if (producer == NULL)
		return 0;
	if (batch->producer_epoch < producer->epoch)
		return ERR_FENCED;
	if (batch->producer_epoch > producer->epoch)
		return batch->base_sequence == 0 ? 0 : ERR_OUT_OF_ORDER;
	last_sequence = sequence_add(batch->base_sequence, batch->last_offset_delta);
	for (uint32_t i = 0; i < producer->batch_count; i++) {
		const struct producer_batch *seen = &producer->batches[i];

		if (seen->first_sequence == batch->base_sequence &&
		    seen->last_sequence == last_sequence) {
			*ret_offset = seen->last_offset - seen->offset_delta;
			*ret_timestamp = seen->timestamp;
			return ERR_DUPLICATE;
		}
	}
	if (producer->batch_count == 0 ||
	    batch->base_sequence == sequence_add(last_batch(producer)->last_sequence, 1))
		return 0;
	return ERR_OUT_OF_ORDER;
}

/* Move into `bigger`, leaving behind who has been silent for too long at `now_ms`. */
static void move(struct producers *producers, struct producers_block *bigger, int64_t now_ms)
{
	struct producers_block *old = producers->block;

	producers->count = 0;
	for (uint32_t i = 0; i < old->capacity; i++) {
		const struct producer *from = &old->slots[i];

		if (from->id < 0 || from->seen_ms < now_ms - PRODUCERS_EXPIRY_MS)
			continue;
		*slot_find(bigger, from->id) = *from;
		producers->count++;
	}
	producers->block = bigger;
}

/* Three quarters full: runs of occupied slots stay short. */
static bool is_full(const struct producers *producers)
{
	return producers->count >= producers->block->capacity / 4 * 3;
}

static void forget_oldest(struct producers *producers)
{
	struct producers_block *block = producers->block;
	struct producer *oldest = NULL;

	for (uint32_t i = 0; i < block->capacity; i++) {
		struct producer *slot = &block->slots[i];

		if (slot->id >= 0 && (oldest == NULL || slot->seen_ms < oldest->seen_ms))
			oldest = slot;
	}
	CHECK(oldest != NULL);
	slot_remove(producers, oldest);
}

static void make_room(struct producers *producers, int64_t now_ms)
{
	struct producers_block *old = producers->block;
	struct producers_block *spare;

	if (producers->count >= old->capacity / 2 && old->capacity < PRODUCERS_MAX &&
	    __atomic_load_n(&producers->spare, __ATOMIC_ACQUIRE) == NULL)
		__atomic_store_n(&producers->wanted, old->capacity * 2, __ATOMIC_RELEASE);
	if (!is_full(producers))
		return;
	if (__atomic_load_n(&producers->retired, __ATOMIC_ACQUIRE) == NULL) {
		spare = __atomic_exchange_n(&producers->spare, NULL, __ATOMIC_ACQ_REL);
		/* A wish that crossed the answer to the one before may have brought one as small. */
		if (spare != NULL && spare->capacity > old->capacity) {
			move(producers, spare, now_ms);
			spare = old;
		}
		if (spare != NULL) {
			__atomic_store_n(&producers->wanted, 0, __ATOMIC_RELEASE);
			__atomic_store_n(&producers->retired, spare, __ATOMIC_RELEASE);
		}
	}
	if (is_full(producers))
		forget_oldest(producers);
}

static void note(struct producers *producers, const struct batch *batch, int64_t now_ms)
{
	struct producer *producer = slot_find(producers->block, batch->producer_id);

	if (producer->id < 0) {
		*producer = (struct producer){ .id = batch->producer_id,
					       .epoch = batch->producer_epoch,
					       .coordinator_epoch = -1 };
		producers->count++;
	}
	if (batch->producer_epoch != producer->epoch) {
		producer->epoch = batch->producer_epoch;
		producer->batch_count = 0;
		producer->batch_next = 0;
	}
	producer->timestamp = batch->max_timestamp;
	producer->seen_ms = now_ms;
	if ((batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0)
		return; /* transaction markers carry no sequence */
	producer->batches[producer->batch_next] = (struct producer_batch){
		.first_sequence = batch->base_sequence,
		.last_sequence = sequence_add(batch->base_sequence, batch->last_offset_delta),
		.last_offset = batch_last_offset(batch),
		.offset_delta = batch->last_offset_delta,
		.timestamp = batch->max_timestamp,
	};
	producer->batch_next = (uint8_t)((producer->batch_next + 1) % PRODUCERS_BATCHES);
	if (producer->batch_count < PRODUCERS_BATCHES)
		producer->batch_count++;
}

void producers_note(struct producers *producers, const struct batch *batch, int64_t now_ms)
{
	if (batch->producer_id < 0)
		return;
	if (producers_find(producers, batch->producer_id) == NULL)
		make_room(producers, now_ms);
	note(producers, batch, now_ms);
}

bool producers_is_wanting(const struct producers *producers)
{
	return __atomic_load_n(&producers->retired, __ATOMIC_ACQUIRE) != NULL ||
	       (__atomic_load_n(&producers->wanted, __ATOMIC_ACQUIRE) != 0 &&
		__atomic_load_n(&producers->spare, __ATOMIC_ACQUIRE) == NULL);
}

void producers_housekeep(struct producers *producers)
{
	uint32_t wanted = __atomic_exchange_n(&producers->wanted, 0, __ATOMIC_ACQ_REL);

	free(__atomic_exchange_n(&producers->retired, NULL, __ATOMIC_ACQ_REL));
	/* Without memory the core forgets the oldest producer instead; it asks again. */
	if (wanted != 0 && __atomic_load_n(&producers->spare, __ATOMIC_ACQUIRE) == NULL)
		__atomic_store_n(&producers->spare, block_new(wanted), __ATOMIC_RELEASE);
}

void producers_replay(struct producers *producers, const struct batch *batch, int64_t now_ms)
{
	if (producers_is_wanting(producers))
		producers_housekeep(producers);
	producers_note(producers, batch, now_ms);
}

int64_t producers_encode(const struct producers *producers, void *memory, size_t size)
{
	const struct producers_block *block = producers->block;
	struct writer writer;

	writer_init(&writer, memory, size);
	writer_i16(&writer, SNAPSHOT_VERSION);
	writer_u32(&writer, 0);
	writer_u32(&writer, producers->count);
	for (uint32_t i = 0; i < block->capacity; i++) {
		const struct producer *producer = &block->slots[i];
		bool has_batch = producer->batch_count > 0;
		const struct producer_batch *last = last_batch(producer);

		if (producer->id < 0)
			continue;
		writer_i64(&writer, producer->id);
		writer_i16(&writer, producer->epoch);
		writer_i32(&writer, has_batch ? last->last_sequence : -1);
		writer_i64(&writer, has_batch ? last->last_offset : -1);
		writer_i32(&writer, has_batch ? last->offset_delta : 0);
		writer_i64(&writer, producer->timestamp);
		writer_i32(&writer, producer->coordinator_epoch);
		writer_i64(&writer, -1);
	}
	if (writer.error != 0)
		return writer.error;
	bytes_store_u32(writer.begin + 2,
			crc32c_extend(CRC32C_INIT, writer.begin + 6, writer_size(&writer) - 6));
	return (int64_t)writer_size(&writer);
}

static void decode_entry(struct producers *producers, struct reader *reader, int64_t now_ms)
{
	struct producer entry = { .id = reader_i64(reader),
				  .epoch = reader_i16(reader),
				  .seen_ms = now_ms };
	struct producer_batch last = { .last_sequence = reader_i32(reader),
				       .last_offset = reader_i64(reader),
				       .offset_delta = reader_i32(reader) };
	struct producer *slot;

	entry.timestamp = last.timestamp = reader_i64(reader);
	entry.coordinator_epoch = reader_i32(reader);
	(void)reader_i64(reader); /* open transaction: the log has none */
	if (entry.id < 0)
		return;
	if (last.last_offset >= 0 && last.last_sequence >= 0 && last.offset_delta >= 0) {
		last.first_sequence =
			(int32_t)(((uint32_t)last.last_sequence - (uint32_t)last.offset_delta) &
				  INT32_MAX);
		entry.batches[0] = last;
		entry.batch_count = entry.batch_next = 1;
	}
	slot = slot_find(producers->block, entry.id);
	if (slot->id < 0)
		producers->count++;
	*slot = entry;
}

int producers_decode(struct producers *producers, const void *bytes, size_t size, int64_t now_ms)
{
	struct producers_block *block;
	struct reader reader;
	uint32_t crc, count, capacity = PRODUCERS_SLOTS_MIN;
	int16_t version;

	reader_init(&reader, bytes, size);
	version = reader_i16(&reader);
	crc = reader_u32(&reader);
	count = reader_u32(&reader);
	if (reader.error != 0)
		return ERR_CORRUPT;
	if (version != SNAPSHOT_VERSION)
		return ERR_UNSUPPORTED;
	if (count > PRODUCERS_MAX / 4 * 3 ||
	    reader_left(&reader) != count * PRODUCERS_SNAPSHOT_ENTRY ||
	    crc32c_extend(CRC32C_INIT, (const uint8_t *)bytes + 6, size - 6) != crc)
		return ERR_CORRUPT;
	while (capacity / 2 < count && capacity < PRODUCERS_MAX)
		capacity *= 2;
	block = block_new(capacity);
	if (block == NULL)
		return -ENOMEM;
	free(producers->block);
	producers->block = block;
	producers->count = 0;
	for (uint32_t i = 0; i < count; i++)
		decode_entry(producers, &reader, now_ms);
	return 0;
}

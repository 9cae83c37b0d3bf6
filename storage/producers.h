/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Idempotent producers of one partition: the last five batches of each, as Kafka's brokers keep them.
 *
 * A batch with the sequence range of one of the five is a duplicate and is answered with the first
 * append's offset; otherwise its sequence must follow the last one. A producer the table does not
 * know may start anywhere.
 *
 * The table never allocates on the owning core: it is one block of slots (open addressing), and when
 * half full the core asks for a larger block, which the housekeeper makes and the core moves into.
 * When it fills up before that, or at PRODUCERS_MAX, the producer with the oldest batch is forgotten.
 *
 * Snapshot file (Kafka's `<offset>.snapshot`, big-endian):
 *   0 version 2 (1) | 2 CRC-32C 4 (of byte 6 to the end) | 6 count 4 | 10 entries of 46 bytes:
 *   producer id 8, epoch 2, last sequence 4, last offset 8, offset delta 4, timestamp 8,
 *   coordinator epoch 4, current transaction's first offset 8 (-1)
 *
 * Context: owning core, except where marked. Memory: about 200 bytes a slot. Source: KIP-98.
 */
#pragma once

#include "base/defs.h"
#include "storage/batch.h"

#define PRODUCERS_BATCHES         5
#define PRODUCERS_SLOTS_MIN       16
#define PRODUCERS_MAX             65536 /* slots */
#define PRODUCERS_SNAPSHOT_HEADER 10
#define PRODUCERS_SNAPSHOT_ENTRY  46
#define PRODUCERS_SNAPSHOT_SIZE(n)                                                                 \
	(PRODUCERS_SNAPSHOT_HEADER + (n) * (size_t)PRODUCERS_SNAPSHOT_ENTRY)
#define PRODUCERS_EXPIRY_MS INT64_C(86400000) /* producer.id.expiration.ms */

struct producer_batch {
	int32_t first_sequence;
	int32_t last_sequence;
	int64_t last_offset;
	int32_t offset_delta;
	int64_t timestamp; /* ms, the batch's largest */
};

struct producer {
	int64_t id; /* -1: free slot */
	int16_t epoch;
	uint8_t batch_count; /* 0 to PRODUCERS_BATCHES */
	uint8_t batch_next;  /* slot that the next batch takes */
	int32_t coordinator_epoch;
	int64_t timestamp; /* ms, largest of the last batch: the client's clock, for snapshots */
	int64_t seen_ms;   /* ms, our clock: decides who is forgotten */
	struct producer_batch batches[PRODUCERS_BATCHES];
};

struct producers_block;

struct producers {
	struct producers_block *block;
	uint32_t count;
	struct producers_block *spare;   /* atomic: housekeeper > core */
	struct producers_block *retired; /* atomic: core > housekeeper */
	uint32_t wanted;                 /* atomic: slots the core would like; 0: none */
};

/** @return 0; -ENOMEM. @context housekeeper */
NODISCARD int producers_init(struct producers *producers);
void producers_fini(struct producers *producers);

/**
 * Judge a client's batch.
 *
 * @param[out] ret_offset  ERR_DUPLICATE: base offset of the first append
 * @param[out] ret_timestamp  ERR_DUPLICATE: its largest timestamp
 * @return 0; ERR_DUPLICATE; ERR_OUT_OF_ORDER; ERR_FENCED
 */
NODISCARD int producers_check(const struct producers *producers, const struct batch *batch,
			      int64_t *ret_offset, int64_t *ret_timestamp);

/** Note an appended batch; base_offset and max_timestamp are final. */
void producers_note(struct producers *producers, const struct batch *batch, int64_t now_ms);

/** @return whether producers_housekeep() has something to do */
bool producers_is_wanting(const struct producers *producers);

/** Make a larger block, free the old one. @context housekeeper, any time */
void producers_housekeep(struct producers *producers);

/** producers_note() for a thread that may allocate and owns the log alone (recovery). */
void producers_replay(struct producers *producers, const struct batch *batch, int64_t now_ms);

/**
 * Encode a snapshot.
 *
 * @return bytes; ERR_TOO_LARGE when `size` is below PRODUCERS_SNAPSHOT_SIZE(producers->count)
 */
NODISCARD int64_t producers_encode(const struct producers *producers, void *memory, size_t size);

/** Replace the table by a snapshot. @return 0; ERR_CORRUPT; ERR_UNSUPPORTED; -ENOMEM. @context as replay */
NODISCARD int producers_decode(struct producers *producers, const void *bytes, size_t size,
			       int64_t now_ms);

/** Known producer. @return NULL none */
const struct producer *producers_find(const struct producers *producers, int64_t id);

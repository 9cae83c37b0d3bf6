/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Kafka's record batch, version 2: view, checks, header patch, and building of small batches.
 *
 *   0 baseOffset 8 | 8 batchLength 4 (from byte 12) | 12 partitionLeaderEpoch 4 | 16 magic 1
 *  17 crc 4 (CRC-32C of bytes 21..end) | 21 attributes 2 | 23 lastOffsetDelta 4 | 27 baseTimestamp 8
 *  35 maxTimestamp 8 | 43 producerId 8 | 51 producerEpoch 2 | 53 baseSequence 4 | 57 recordCount 4
 *  61 records
 *
 * Only bytes 0..7 and 12..15 may be changed by a broker without a new checksum.
 *
 * Context: any thread. Memory: the caller's. Source: KIP-98; DefaultRecordBatch.
 */
#pragma once

#include "base/bytes.h"
#include "base/defs.h"

#define BATCH_HEADER_SIZE     61
#define BATCH_LENGTH_END      12 /* batchLength counts from here */
#define BATCH_CRC_BEGIN       21 /* the checksum covers from here to the end */
#define BATCH_MAGIC           2
#define BATCH_LEADER_EPOCH_AT 12

#define BATCH_ATTRIBUTE_CODEC         0x07
#define BATCH_ATTRIBUTE_APPEND_TIME   0x08
#define BATCH_ATTRIBUTE_TRANSACTIONAL 0x10
#define BATCH_ATTRIBUTE_CONTROL       0x20

enum batch_codec {
	BATCH_CODEC_NONE,
	BATCH_CODEC_GZIP,
	BATCH_CODEC_SNAPPY,
	BATCH_CODEC_LZ4,
	BATCH_CODEC_ZSTD
};

struct batch {
	int64_t base_offset;
	uint32_t size; /* whole batch, 12 + batchLength */
	int32_t leader_epoch;
	uint8_t magic;
	uint32_t crc;
	uint16_t attributes;
	int32_t last_offset_delta;
	int64_t base_timestamp; /* ms */
	int64_t max_timestamp;  /* ms */
	int64_t producer_id;    /* -1: none */
	int16_t producer_epoch;
	int32_t base_sequence;
	int32_t record_count;
};

/** Read the fields of [BATCH_HEADER_SIZE] bytes. Nothing is judged but batchLength's range. */
NODISCARD int batch_decode(const uint8_t *header, struct batch *ret_batch);

enum batch_verdict {
	BATCH_OK,
	BATCH_BAD_SIZE, /* declared size differs from the space it came in, or below the header's */
	BATCH_TOO_LARGE,    /* over the topic's max.message.bytes */
	BATCH_BAD_MAGIC,    /* not version 2 */
	BATCH_BAD_COUNT,    /* count, last offset delta or base offset do not fit together */
	BATCH_BAD_CONTROL,  /* control batch from a client */
	BATCH_BAD_PRODUCER, /* producer id without sequence or epoch */
	BATCH_BAD_CODEC,    /* unknown codec */
};

/**
 * Judge a client's batch by its header; the checksum is judged separately when all bytes are there.
 *
 * @param size      bytes of the records field it came in: exactly one batch
 * @param size_max  max.message.bytes
 */
enum batch_verdict batch_check(const struct batch *batch, uint32_t size, uint32_t size_max);

/** Patch what the broker assigns into [16] header bytes: base offset and leader epoch. */
void batch_patch(uint8_t *header, int64_t base_offset, int32_t leader_epoch);

static inline int64_t batch_last_offset(const struct batch *batch)
{
	return batch->base_offset + batch->last_offset_delta;
}

/* ---- building, for the coordinators' own small batches; uncompressed ---- */

struct batch_builder {
	struct writer writer;
	int64_t base_timestamp;
	int64_t max_timestamp;
	int32_t record_count;
	uint16_t attributes;
};

/** Start a batch in the caller's memory. */
void batch_builder_init(struct batch_builder *builder, void *memory, size_t size, int64_t timestamp,
			uint16_t attributes);

/** Append one record; key or value NULL means null. Errors are sticky in builder->writer. */
void batch_builder_add(struct batch_builder *builder, const void *key, size_t key_size,
		       const void *value, size_t value_size);

/** Fill header and checksum. @return size of the batch; ERR_TOO_LARGE */
NODISCARD int64_t batch_builder_end(struct batch_builder *builder, int64_t base_offset,
				    int32_t leader_epoch);

/* ---- iterating over the records of an uncompressed (or decompressed) records section ---- */

struct batch_record {
	int32_t offset_delta;
	int64_t timestamp_delta;
	const uint8_t *key; /* NULL: null */
	int32_t key_size;
	const uint8_t *value; /* NULL: null */
	int32_t value_size;
	const uint8_t *headers; /* encoded, header_count of them, borrowed */
	int32_t header_count;
	uint32_t headers_size;
};

/** Read the next record. @return 0; ERR_TRUNCATED, ERR_MALFORMED */
NODISCARD int batch_record_next(struct reader *reader, struct batch_record *ret_record);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Produce: parsed while its bytes come, batches going straight to the partition's ring.
 *
 * A batch's header is gathered in scratch and judged; then the ring is reserved (or, while the tail
 * is taken, a stage) and the rest of the batch is received there, its checksum computed piece by
 * piece. The response is built along the way: names and indexes as they come, outcomes later at the
 * places kept for them.
 *
 * Context: owning core. Memory: one parser in each session; the response in a buffer of the pool.
 * Limits: topic names of PRODUCE_NAME_MAX bytes; responses of BUFFER_SIZE_MAX.
 * Source: Kafka protocol, Produce 3 to 13; KIP-516 (topic ids), facts of DefaultRecordBatch.
 */
#pragma once

#include <sys/uio.h>

#include "base/crc32c_copy.h"
#include "base/defs.h"
#include "base/list.h"
#include "base/uuid.h"
#include "storage/batch.h"

#define PRODUCE_NAME_MAX    255
#define PRODUCE_SCRATCH_MAX 256

struct session;
struct request;
struct partition_op;
struct topic;
struct topics;
struct partition;
struct core;

enum produce_state {
	PRODUCE_CORRELATION,
	PRODUCE_CLIENT_SIZE,
	PRODUCE_CLIENT,
	PRODUCE_HEADER_TAGS,
	PRODUCE_TXN_SIZE,
	PRODUCE_TXN,
	PRODUCE_ACKS,
	PRODUCE_TOPICS,
	PRODUCE_TOPIC, /* the next topic, or the end */
	PRODUCE_TOPIC_NAME_SIZE,
	PRODUCE_TOPIC_NAME,
	PRODUCE_TOPIC_ID,
	PRODUCE_PARTITIONS,
	PRODUCE_PARTITION, /* the next partition, or the topic's end */
	PRODUCE_INDEX,
	PRODUCE_RECORDS_SIZE,
	PRODUCE_BATCH_HEADER,
	PRODUCE_PLACE, /* header is good: find a place for the batch */
	PRODUCE_BATCH, /* receiving into the ring or the stage */
	PRODUCE_SKIP,  /* the outcome is known: drop the rest of the records */
	PRODUCE_PARTITION_TAGS,
	PRODUCE_TOPIC_TAGS,
	PRODUCE_END_TAGS,
	PRODUCE_COMPLETE,
	PRODUCE_STATE_COUNT
};

struct produce_parser {
	enum produce_state state;
	bool is_flexible;
	bool is_reserved;     /* the batch goes to the ring, else to op->stage */
	bool is_lent;         /* a transport is receiving into the room it was told */
	int16_t forced_error; /* of the request as a whole: every partition gets it */
	int16_t error;        /* of the partition being read */
	uint32_t got;         /* bytes in scratch */
	uint64_t varint;      /* value so far */
	uint32_t varint_bits;
	uint32_t tag_phase; /* see skip_tags() in produce.c */
	uint32_t tags_left;
	uint32_t skip; /* bytes to drop */
	uint32_t topics_left;
	uint32_t partitions_left;
	int32_t index; /* partition index */
	uint32_t name_size;
	uint32_t records_size;
	uint32_t response_at; /* of the partition being read */
	uint32_t at;          /* bytes of the batch that are in place */
	struct crc32c_copy copy;
	struct partition *partition;
	struct partition_op *op;
	const struct topics *table; /* that `topic` is valid in */
	const struct topic *topic;  /* NULL: unknown */
	struct uuid topic_id;       /* finds it again in a newer table */
	struct list reserving;      /* sessions->reserving */
	int64_t progress_ns;        /* of the reservation: time of the last bytes */
	struct batch batch;
	uint8_t scratch[PRODUCE_SCRATCH_MAX];
};

/** Begin to parse the request that the session just met. */
void produce_begin(struct session *session, struct request *request);

/**
 * Take bytes of the frame.
 *
 * @param size  at most what is left of the frame
 * @return bytes taken; fewer: the session is blocked or closing
 */
uint32_t produce_input(struct session *session, const uint8_t *bytes, uint32_t size);

/** @return memory for the next bytes of the batch under way, or false */
bool produce_room(struct session *session, struct iovec *ret_room);
/** Bytes were received there. */
void produce_filled(struct session *session, uint32_t size);

/**
 * Give up the batch under way. While a transport receives into its room, that waits for
 * session_filled() unless `is_gone`.
 */
void produce_abort(struct session *session, bool is_gone);

/** Send the response of a Produce request whose outcomes are all there. */
void produce_answer(struct request *request);

/** The log goes away: whoever holds its open reservation gives it up and gets an error. */
void produce_give_up(struct core *core, struct partition *partition);

/** Look after reservations that made no progress while others wait (demotion). */
void produce_check_contention(struct core *core, int64_t now_ns);

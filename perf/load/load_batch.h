/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the driver sends: one record batch, built once, and a head of a Produce request in front of it
 * for each partition. Requests are of version 8, the last whose records end the request, so that a
 * batch need not be copied behind a head.
 *
 * Context: one thread. Memory: the batch; heads are the caller's.
 */
#pragma once

#include "perf/load/load_sums.h"

#define LOAD_BATCH_PRODUCE_VERSION 8
#define LOAD_BATCH_HEAD_MAX        400
#define LOAD_BATCH_TOPIC_MAX       249

struct load_batch {
	uint8_t *bytes;
	struct load_sums sums; /* of `bytes` */
	uint32_t size;
	uint32_t records;
};

/**
 * Fill a batch of at most `batch_size` bytes with records whose values are random bytes; one record
 * when it is too small for one.
 *
 * @return 0; -ENOMEM
 */
NODISCARD int load_batch_new(struct load_batch *batch, uint32_t batch_size, uint32_t record_size,
			     int64_t timestamp_ms);
void load_batch_free(struct load_batch *batch);

/**
 * Write what stands before the batch in a request for one partition, its frame size included.
 *
 * @param head  [LOAD_BATCH_HEAD_MAX]
 * @return bytes of the head; -EINVAL the topic's name is too long
 */
NODISCARD int load_batch_head(const struct load_batch *batch, const char *topic, int32_t partition,
			      int16_t acks, uint8_t *head);

/** Number a head's request. */
void load_batch_number(uint8_t *head, int32_t correlation_id);

struct load_batch_ack {
	int32_t correlation_id;
	int32_t partition;
	int16_t error; /* of Kafka's protocol */
	int64_t base_offset;
};

/** Read the answer to such a request. @return 0; -EPROTO */
NODISCARD int load_batch_answer(const uint8_t *bytes, size_t size, struct load_batch_ack *ret_ack);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Read a partition's batches from its files, by the reader contract, in any process.
 *
 * Context: one thread per reader; blocks. Memory: one heap buffer, grown to the largest batch,
 * and 8 bytes a segment.
 * Limits: batches up to 32 MiB.
 */
#pragma once

#include "base/defs.h"
#include "storage/batch.h"
#include "storage/partitions.h"

struct segreader;

/**
 * @param log_dir  Kafka log directory (<data>/log)
 * @param table    mapped partitions table; borrowed until the reader is closed
 * @param offset   first offset wanted; -2: the log's start
 * @return 0; ERR_UNKNOWN; ERR_OFFLINE; ERR_RETENTION offset below the log's start; ERR_OFFSET_RANGE
 *         above the high watermark; -ENFILE no reader's lease is left; -errno
 */
NODISCARD int segreader_open(const char *log_dir, const struct partitions *table,
			     const struct uuid *topic_id, uint32_t partition, int64_t offset,
			     struct segreader **ret_reader);
void segreader_close(struct segreader *reader);

/**
 * Next whole batch below the high watermark, checksum verified.
 *
 * @param[out] ret_bytes  [ret_batch->size], borrowed until the next call
 * @return 1 a batch (the first may begin before the offset asked for); 0 none now (at the watermark);
 *         ERR_RETENTION; ERR_UNKNOWN the topic is gone; ERR_OFFLINE; ERR_CORRUPT; -errno
 */
NODISCARD int segreader_next(struct segreader *reader, struct batch *ret_batch,
			     const uint8_t **ret_bytes);
/**
 * segreader_next() for who wants batches with a max_timestamp of at least `since`: what the rolled
 * segments' time indexes show to be older is passed over unread. Older batches may still be returned.
 *
 * @return as segreader_next(); -EAGAIN a whole segment was passed: call again
 */
NODISCARD int segreader_next_since(struct segreader *reader, int64_t since, struct batch *ret_batch,
				   const uint8_t **ret_bytes);

/**
 * @return a time that some batch of the log reaches, as near to the newest as the time indexes of the
 *         last rolled segments know, if they are undamaged; -1: they know none
 */
int64_t segreader_newest(struct segreader *reader);
DEFINE_CLEANUP(struct segreader, segreader_close);

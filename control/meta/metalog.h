/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The metadata log's file: Kafka's record batches in <dir>/__cluster_metadata-0/
 * 00000000000000000000.log, readable by Kafka's own tools. One writer, no quorum; leader epoch 1.
 *
 * Each append is one batch, written and flushed before the call returns, so at most the last batch
 * can be torn: replay cuts it off. A bad batch with others behind it is corruption and refused.
 * The log grows for ever; snapshots (Kafka's .checkpoint files) are not written yet.
 *
 * Context: one thread; blocks on the disk. Memory: one batch while appending, the file while opening.
 * Limits: METALOG_SIZE_MAX bytes.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"

#define METALOG_SIZE_MAX     (INT64_C(1) << 31) /* Kafka's limit of one segment */
#define METALOG_LEADER_EPOCH 1

struct metalog;

struct metalog_record {
	const uint8_t *bytes; /* framed record value */
	uint32_t size;
};

/** One record of the log. @return 0; an error stops the replay and becomes metalog_open()'s */
typedef int metalog_replay_fn(void *context, int64_t offset, const uint8_t *value, uint32_t size);

/**
 * Open or create the log and replay it.
 *
 * @param dir  folder of the metadata, which exists
 * @return 0; ERR_CORRUPT; -errno; what `replay` returned
 */
NODISCARD int metalog_open(const char *dir, metalog_replay_fn *replay, void *context,
			   struct metalog **ret_log);
void metalog_close(struct metalog *log);
DEFINE_CLEANUP(struct metalog, metalog_close);

/** @return offset the next record gets */
int64_t metalog_next_offset(const struct metalog *log);

/**
 * Append the records as one batch and flush it. After an error the file's end is unknown: close.
 *
 * @param now_ms  calendar time
 * @return 0; ERR_TOO_LARGE; -errno
 */
NODISCARD int metalog_append(struct metalog *log, const struct metalog_record *records,
			     uint32_t count, int64_t now_ms);

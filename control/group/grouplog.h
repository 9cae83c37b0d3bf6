/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Groups and offsets as records of __consumer_offsets, in Kafka's formats: building the batches, and
 * applying records, live ones and replayed ones by the same path.
 *
 * A key is int16 version + OffsetCommitKey (1) or GroupMetadataKey (2); a value is int16 version +
 * OffsetCommitValue or GroupMetadataValue; a null value is a tombstone.
 *
 * Context: one thread. Memory: the caller's for building. Source: Kafka's GroupCoordinatorRecordHelpers.
 */
#pragma once

#define CONTROL_LAYER

#include "storage/batch.h"

#include "control/group/group.h"

#define GROUPLOG_KEY_MAX (40 * 1024) /* the longest key: two strings of Kafka's protocol and ids */

struct grouplog_offset {
	struct wire_string topic;
	int32_t partition;
	int32_t leader_epoch;
	int64_t offset;
	struct wire_string metadata;
	bool is_tombstone;
};

/** @return the partition of __consumer_offsets that holds a group: Java's hash of the id */
uint32_t grouplog_partition(struct wire_string group_id, uint32_t partitions);

/** Build a batch in [size] memory. @return its size; ERR_TOO_LARGE; -ENOMEM */
NODISCARD int64_t grouplog_group_batch(const struct group *group, int64_t wall_ms, void *memory,
				       size_t size);
/** @param is_last  also a tombstone for the group itself */
NODISCARD int64_t grouplog_offsets_batch(const char *group_id,
					 const struct grouplog_offset *offsets, int32_t count,
					 bool is_last, int64_t wall_ms, void *memory, size_t size);

/**
 * Apply the records of one batch.
 *
 * @return 0; ERR_UNSUPPORTED compressed; ERR_TRUNCATED, ERR_MALFORMED; ERR_TOO_LARGE a limit; -ENOMEM
 */
NODISCARD int grouplog_apply(struct groups *groups, const uint8_t *bytes,
			     const struct batch *batch);

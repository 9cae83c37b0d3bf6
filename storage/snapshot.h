/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The cluster snapshot: what the poll cores need of the cluster metadata, in one checksummed file
 * (<data>/SNAPSHOT_FILE). Control writes it (temporary file, fsync, rename) whenever the metadata
 * log changed; the dataplane loads it at start and again when control says so, so it starts and
 * serves without control.
 *
 * Layout, numbers big-endian: header { magic, version, size, CRC-32C of all the rest }, then the
 * fields below in their order, each string as u16 length + bytes.
 *
 * Context: cold path; an immutable value once built. Memory: one heap block per snapshot.
 * Limits: SNAPSHOT_TOPICS_MAX topics, SNAPSHOT_PARTITIONS_MAX partitions in all.
 */
#pragma once

#include "base/defs.h"
#include "base/uuid.h"

#define SNAPSHOT_FILE           "metadata/cluster.snapshot" /* in the data directory; control's */
#define SNAPSHOT_TOPICS_MAX     10000
#define SNAPSHOT_PARTITIONS_MAX 60000
#define SNAPSHOT_TOPIC_NAME_MAX 249 /* Kafka's limit */

struct snapshot_topic {
	char name[SNAPSHOT_TOPIC_NAME_MAX + 1];
	struct uuid id;
	int32_t partition_count;
	int32_t leader_epoch; /* of all its partitions, before any unclean-start raise */
	bool is_internal;     /* __consumer_offsets and kin */
	/* resolved topic configuration */
	int64_t segment_size;
	int64_t segment_ms;
	int64_t retention_ms;
	int64_t retention_size;
	int64_t message_size_max;
	bool append_time;
	bool is_compacted;
};

struct snapshot {
	uint64_t generation;       /* metadata offset it was made from; grows */
	char cluster_id[32];       /* 22 characters */
	int64_t producer_id_first; /* block of producer ids the cores may hand out */
	int64_t producer_id_end;   /* one past it */
	uint32_t topic_count;
	struct snapshot_topic *topics; /* sorted by name */
};

/**
 * Replace the file, durably.
 *
 * @return 0; -EINVAL a limit or an order of this header is broken; -errno
 */
NODISCARD int snapshot_save(const char *path, const struct snapshot *snapshot);
/** @return 0; -ENOENT; ERR_CORRUPT; ERR_UNSUPPORTED; -errno. Caller frees with snapshot_free(). */
NODISCARD int snapshot_load(const char *path, struct snapshot **ret_snapshot);
void snapshot_free(struct snapshot *snapshot);
DEFINE_CLEANUP(struct snapshot, snapshot_free);

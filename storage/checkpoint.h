/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Kafka's offset checkpoints of a log directory: one offset per partition, as text.
 *
 *     0                           version
 *     2                           number of lines that follow
 *     flights 0 4711              topic, partition, offset
 *     flights 1 4712
 *
 * A file is replaced whole (temporary file, fsync, rename, fsync of the folder), so a reader finds
 * the old one or the new one.
 *
 * Context: cold threads; blocks. Memory: one heap block per loaded file.
 * Limits: CHECKPOINT_ENTRIES_MAX lines. Source: org.apache.kafka.storage CheckpointFile.
 */
#pragma once

#include "base/defs.h"

#define CHECKPOINT_ENTRIES_MAX 65536
#define CHECKPOINT_TOPIC_MAX   250 /* with the terminating zero */

#define CHECKPOINT_RECOVERY_POINT "recovery-point-offset-checkpoint"
#define CHECKPOINT_REPLICATION    "replication-offset-checkpoint" /* high watermarks */
#define CHECKPOINT_LOG_START      "log-start-offset-checkpoint"

struct checkpoint_entry {
	char topic[CHECKPOINT_TOPIC_MAX];
	uint32_t partition;
	int64_t offset;
};

struct checkpoint {
	uint32_t count;
	struct checkpoint_entry entries[]; /* sorted by topic and partition */
};

/** @return 0; -errno. Entries need no order. */
NODISCARD int checkpoint_save(int log_dir_fd, const char *name,
			      const struct checkpoint_entry *entries, uint32_t count);

/** @return 0; -ENOENT; ERR_MALFORMED; ERR_UNSUPPORTED; ERR_TOO_LARGE; -errno */
NODISCARD int checkpoint_load(int log_dir_fd, const char *name, struct checkpoint **ret_checkpoint);
void checkpoint_free(struct checkpoint *checkpoint);
DEFINE_CLEANUP(struct checkpoint, checkpoint_free);

/** @return the partition's offset; `missing` when it has none, or `checkpoint` is NULL */
int64_t checkpoint_find(const struct checkpoint *checkpoint, const char *topic, uint32_t partition,
			int64_t missing);

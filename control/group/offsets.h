/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Committed offsets of one group, by topic name and partition.
 *
 * Context: one thread. Memory: heap; OFFSETS_MAX entries a group.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"

#include "dataplane/wire/wire.h"

#define OFFSETS_MAX          100000
#define OFFSETS_METADATA_MAX 4096 /* Kafka's offset.metadata.max.bytes */

struct offset {
	char *topic;
	int32_t partition;
	int32_t leader_epoch; /* -1: unknown */
	int64_t offset;
	int64_t commit_ms; /* calendar time of the commit */
	char *metadata;    /* zero-terminated, "" when none */
};

struct offsets {
	struct offset *all; /* [count], sorted by topic, partition */
	size_t count;
	size_t capacity;
};

void offsets_init(struct offsets *offsets);
void offsets_clear(struct offsets *offsets);

/** Set an entry. @return 0; -ENOMEM; ERR_TOO_LARGE at OFFSETS_MAX */
NODISCARD int offsets_set(struct offsets *offsets, struct wire_string topic, int32_t partition,
			  int64_t offset, int32_t leader_epoch, struct wire_string metadata,
			  int64_t commit_ms);
/** Forget an entry; harmless when there is none. */
void offsets_remove(struct offsets *offsets, struct wire_string topic, int32_t partition);
/** @return NULL none */
const struct offset *offsets_find(const struct offsets *offsets, struct wire_string topic,
				  int32_t partition);

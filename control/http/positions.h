/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A copy of the dataplane's partition table, sorted, so that many partitions are looked up cheaply.
 *
 * Context: one thread. Memory: heap, 72 bytes a partition.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"
#include "base/uuid.h"
#include "storage/partitions.h"

struct position {
	struct uuid topic_id;
	uint32_t partition;
	uint32_t core;
	int32_t leader_epoch;
	int32_t error; /* 0, ERR_POISONED or ERR_OFFLINE */
	int64_t start_offset;
	int64_t high_watermark;
	int64_t next_offset;
	int64_t size; /* bytes */
};

struct positions {
	struct position *all; /* [count], sorted by topic id, partition */
	uint32_t count;
	uint32_t capacity;
};

void positions_init(struct positions *positions);
void positions_fini(struct positions *positions);

/** Copy the table. @return 0; -ENOMEM and unchanged */
NODISCARD int positions_refresh(struct positions *positions, const struct partitions *table);

/** @return NULL: the dataplane does not have it */
const struct position *positions_find(const struct positions *positions,
				      const struct uuid *topic_id, uint32_t partition);

/** Order of the array: below 0, 0, above 0. */
int positions_compare(const struct position *a, const struct position *b);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The cluster metadata in memory: what all records of the metadata log together say. Live changes
 * go the same way as replayed ones, so both always agree.
 *
 * Context: one thread. Memory: heap, bounded by SNAPSHOT_TOPICS_MAX and SNAPSHOT_PARTITIONS_MAX.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"
#include "base/uuid.h"
#include "storage/snapshot.h"

#include "dataplane/wire/wire.h"

struct metaimage_config {
	char *name;
	char *value;
};

struct metaimage_topic {
	char name[SNAPSHOT_TOPIC_NAME_MAX + 1];
	struct uuid id;
	int32_t partition_count;
	struct metaimage_config *configs; /* [config_count], sorted by name */
	int32_t config_count;
};

struct metaimage {
	struct metaimage_topic **topics; /* [topic_count], sorted by name */
	size_t topic_count;
	size_t topic_capacity;
	struct metaimage_topic *recent; /* newest one; NULL: none */
	int64_t partition_count;        /* of all topics */
	int64_t next_producer_id;
	int32_t broker_id; /* registered; -1: not yet */
	int16_t metadata_version;
};

void metaimage_init(struct metaimage *image);
void metaimage_clear(struct metaimage *image);

/**
 * Apply one record of the log.
 *
 * @param value  [size] framed record
 * @return 0; ERR_UNSUPPORTED a record or version we do not know: a hard stop; ERR_TRUNCATED,
 *         ERR_MALFORMED; ERR_TOO_LARGE a limit; ERR_UNKNOWN about a topic that is not there; -ENOMEM
 */
NODISCARD int metaimage_apply(struct metaimage *image, const uint8_t *value, uint32_t size);

/** @return NULL unknown */
const struct metaimage_topic *metaimage_topic(const struct metaimage *image,
					      struct wire_string name);
const struct metaimage_topic *metaimage_topic_by_id(const struct metaimage *image,
						    const struct uuid *id);
/** @return the topic's own value; NULL when it has none */
const char *metaimage_config(const struct metaimage_topic *topic, const char *name);

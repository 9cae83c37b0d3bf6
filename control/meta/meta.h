/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The cluster metadata of this box: changes to it, written as a log (metalog.h), held as an image
 * (metaimage.h), and handed to the cores as a snapshot file (storage/snapshot.h).
 *
 * A change is in the image at once and gathered; meta_flush() makes all gathered changes durable by
 * one batch. Nobody is told of a change before that. When the write fails the image is ahead of the
 * log and the process must end: it comes back with what the log says.
 *
 * Context: one thread; meta_open(), meta_flush() and meta_save() block on the disk.
 * Memory: heap; see metaimage.h.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"
#include "base/defs.h"

#include "control/meta/metaimage.h"

#define META_PRODUCER_IDS 1000 /* ids of one block, as in Kafka */

struct meta;

/** @return 0; ERR_CORRUPT, ERR_UNSUPPORTED the log; -errno. @param now_ms  calendar time */
NODISCARD int meta_open(const struct config *config, int64_t now_ms, struct meta **ret_meta);
void meta_close(struct meta *meta);
DEFINE_CLEANUP(struct meta, meta_close);

const struct metaimage *meta_image(const struct meta *meta);
const char *meta_cluster_id(const struct meta *meta);
/** @return grows with every change */
uint64_t meta_generation(const struct meta *meta);

struct meta_setting {
	struct wire_string name;
	struct wire_string value;
};

/** Names, counts and settings are checked by the caller (admin.h). @return 0; ERR_TOO_LARGE; -ENOMEM */
NODISCARD int meta_create_topic(struct meta *meta, struct wire_string name, int32_t partitions,
				const struct meta_setting *settings, int32_t setting_count);
/** @param count  in all, above the present one. @return 0; ERR_TOO_LARGE; -ENOMEM */
NODISCARD int meta_add_partitions(struct meta *meta, const struct uuid *topic_id, int32_t count);
NODISCARD int meta_delete_topic(struct meta *meta, const struct uuid *topic_id);
/** The cores' block of producer ids runs low: take the next one. */
NODISCARD int meta_next_producer_ids(struct meta *meta);

/** @return true when changes wait for meta_flush() */
bool meta_is_dirty(const struct meta *meta);
/** Make all changes durable. @return 0; after an error the process must end */
NODISCARD int meta_flush(struct meta *meta, int64_t now_ms);
/** Write the snapshot file for the cores. @return 0; -errno */
NODISCARD int meta_save(const struct meta *meta);

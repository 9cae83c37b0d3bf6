/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Topics and partitions as the cores see them.
 *
 * A `struct topics` is an immutable table made by the housekeeper from one cluster snapshot; each
 * core holds the newest it was handed. A `struct partition` outlives the tables: one object per
 * partition and process, whose log and waiters only its owning core touches.
 *
 * A core gets a new table between two turns; pointers into a table (`struct topic`, its info) are
 * good for one turn only. A `struct partition` of a deleted topic stays allocated until the process
 * ends, because a slow request may still name it; its log is NULL.
 *
 * Context: lookups on any core; building on the housekeeper. Memory: heap of the housekeeper.
 */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "base/uuid.h"
#include "storage/seglog.h"
#include "storage/snapshot.h"

#include "dataplane/core/mesh.h"

struct core;

struct partition {
	struct uuid topic_id;
	uint32_t index;      /* within the topic */
	uint32_t owner;      /* core; fixed while the process lives */
	struct seglog *log;  /* owning core only; NULL until attached and after detach */
	struct list waiters; /* owning core only: fetches waiting for data (fetch.c) */
	struct list
		pending; /* owning core only: appends waiting for the flush (produce.c), by offset */
	struct list blocked; /* owning core only: appends waiting for ring memory */
	struct list dirty;   /* owning core only: linked in core->dirty while it wants a flush */
	struct partition_cell *cell;
	struct mesh_item housekeep; /* owner > housekeeper > owner: seglog_housekeep() wanted */
	void (*housekept)(void *core, struct mesh_item *housekeep); /* its way back */
	bool housekeep_queued;  /* owning core only: the item is out */
	bool housekeep_again;   /* owning core only: asked since */
	struct mesh_item nudge; /* housekeeper > owner: seglog_flush() wanted */
	uint32_t is_nudged;     /* atomic: that item is out; set by housekeeper, cleared by owner */
	struct seglog *opened;  /* housekeeper only: the log, from open to close */
	struct list later;      /* housekeeper only: in line for seglog_housekeep() */
	bool is_swept;          /* housekeeper only: mark of a walk over all partitions */
};

struct topic {
	const struct snapshot_topic *info; /* of the table's snapshot */
	struct partition **partitions;     /* [info->partition_count] */
};

struct topics {
	uint64_t generation;
	const struct snapshot *snapshot; /* owned by the table */
	uint32_t topic_count;
	struct topic *topics; /* sorted by name */
	uint32_t *by_id;      /* [topic_count] indexes into topics, sorted by topic id */
};

/** @return NULL unknown. @context any core */
const struct topic *topics_find(const struct topics *table, const char *name, size_t name_size);
/** @return NULL unknown. @context any core */
const struct topic *topics_find_id(const struct topics *table, const struct uuid *id);
/** @return NULL when the index is not a partition of the topic */
struct partition *topics_partition(const struct topic *topic, int32_t index);

/** @return the core that owns a partition of a box with `cores` cores */
uint32_t topics_owner(const struct uuid *topic_id, uint32_t partition, uint32_t cores);

/**
 * Build the table of a snapshot, reusing the partitions of `before` and making new ones (log NULL).
 *
 * @param before    NULL at start
 * @param snapshot  taken on success
 * @return NULL out of memory
 */
struct topics *topics_new(const struct topics *before, struct snapshot *snapshot, uint32_t cores);
/** Free the table, not the partitions. NULL is accepted. */
void topics_free(struct topics *table);

/** What differs between two tables. */
struct topics_visitor {
	void *ctx;
	/** In `after` only, or in both with the same partition object (`is_new` false). */
	void (*on_present)(void *ctx, const struct topic *topic, struct partition *partition,
			   bool is_new);
	/** In `before` only. */
	void (*on_removed)(void *ctx, struct partition *partition);
};

/** Visit the partitions of two tables, removed ones first. @param before  NULL: everything is new */
void topics_diff(const struct topics *before, const struct topics *after,
		 const struct topics_visitor *visitor);

/** @return a partition in its initial state, log NULL; NULL out of memory. Also for tests. */
struct partition *topics_partition_new(const struct uuid *topic_id, uint32_t index, uint32_t owner);
/** Its log is closed and no core runs any more. NULL is accepted. */
void topics_partition_free(struct partition *partition);

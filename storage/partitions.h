/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The reader contract: a shared table with one seqlock cell per partition, written by the dataplane,
 * read by control, workers and the command line.
 *
 * A reader takes a lease, opens all files of the partition, and reads below the smaller of high
 * watermark and file end. As long as there is a lease deletion only unlinks, so open files stay
 * readable; without any, a deleted segment's file may be written to anew, under another name.
 * Truncation happens only above file end.
 *
 * Context: cells have one writer each (the owning core); readers are any process.
 * Memory: one tmpfs file of fixed size. Limits: PARTITIONS_MAX cells, PARTITIONS_LEASES_MAX leases.
 */
#pragma once

#include "base/defs.h"
#include "base/uuid.h"

#define PARTITIONS_MAX        65536
#define PARTITIONS_LEASES_MAX 256
#define PARTITIONS_TOPIC_MAX  250

/** What a cell says, copied out whole. */
struct partition_view {
	struct uuid topic_id;
	uint32_t partition;
	uint32_t core; /* owning core */
	int32_t leader_epoch;
	int32_t error; /* 0, ERR_POISONED or ERR_OFFLINE */
	int64_t start_offset;
	int64_t high_watermark;
	int64_t last_stable_offset;
	int64_t next_offset;
	int64_t segment_base; /* segment that file_end lies in */
	int64_t file_end;     /* bytes of that segment's .log that are durable and contiguous */
	int64_t size;         /* bytes of all segments */
	char topic[PARTITIONS_TOPIC_MAX]; /* zero-terminated */
};

struct partitions;
struct partition_cell;

/**
 * Create (dataplane: is_writer, in the place of an old one) or map read-only.
 *
 * @return 0; -errno; ERR_UNSUPPORTED not a table of this version
 */
NODISCARD int partitions_open(const char *path, bool is_writer, struct partitions **ret_table);
/** NULL is accepted. A writer's table is retired, and stays on the file system. */
void partitions_close(struct partitions *table);
DEFINE_CLEANUP(struct partitions, partitions_close);

/** @return whether its writer has left or started anew: a reader should open the path again */
bool partitions_is_retired(const struct partitions *table);

/** @return a free cell, now carrying the name; NULL when the table is full. @context housekeeper */
struct partition_cell *partitions_add(struct partitions *table, const struct partition_view *view);
/** @context housekeeper, after the owning core let go */
void partitions_remove(struct partitions *table, struct partition_cell *cell);

/** Publish positions; topic and partition stay. @context owning core */
void partition_cell_write(struct partition_cell *cell, const struct partition_view *view);

/** @return false when the cell is free, or its writer died in the middle of a write */
bool partition_cell_read(const struct partition_cell *cell, struct partition_view *ret_view);

/** @return cells to visit with partitions_at(), free ones included */
uint32_t partitions_count(const struct partitions *table);
const struct partition_cell *partitions_at(const struct partitions *table, uint32_t index);
/** @return 0; ERR_UNKNOWN */
NODISCARD int partitions_find(const struct partitions *table, const struct uuid *topic_id,
			      uint32_t partition, struct partition_view *ret_view);

/* ---- leases: what a reader holds while it opens and reads files ---- */

/**
 * Take a lease for this process; a process may hold several. The lease of a dead process is void.
 *
 * @return slot >= 0; -ENFILE all are taken; -EACCES and other -errno: the leases cannot be written
 */
NODISCARD int partitions_lease_take(const struct partitions *table);
void partitions_lease_release(const struct partitions *table, int slot);

/** @return leases of living processes; those of dead ones are freed on the way. Not for a poll core. */
uint32_t partitions_lease_count(const struct partitions *table);

/**
 * Whether nobody can have files open that lost their names before this call: no lease is held, and readers can
 * take them. Not for a poll core.
 */
bool partitions_is_unread(const struct partitions *table);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * ListOffsets by timestamp, for the requests that cores hand over: read the partition's batches and
 * find the offset.
 *
 * Uncompressed batches are answered to the record, compressed ones to the batch: its first offset,
 * which is never behind the record asked for, so nobody misses a record. For the same reason a search
 * that ends at its limit is answered with the offset it came to.
 *
 * Rolled segments are passed over by their time indexes; the rest is read in the turns of the loop,
 * so many bytes or so long in each, all requests having their go. TIMELOOKUP_MAX_TIMESTAMP asks for
 * the latest record.
 *
 * Context: the event loop's thread. Memory: heap; 64 MiB for requests, more are refused with a
 * retriable error, and a reader each for 16 of them. Limits: TIMELOOKUP_READ_MAX bytes read for a
 * partition.
 */
#pragma once

#define CONTROL_LAYER

#include "storage/partitions.h"

#include "control/meta/call.h"
#include "control/meta/meta.h"

#define TIMELOOKUP_READ_MAX  (INT64_C(4) << 30)
#define TIMELOOKUP_TURN_SIZE (INT64_C(4) << 20) /* bytes read in a turn, by all, and a batch */
#define TIMELOOKUP_TURN_NS   (5 * NS_PER_MS)

#define TIMELOOKUP_LATEST        (-1)
#define TIMELOOKUP_EARLIEST      (-2)
#define TIMELOOKUP_MAX_TIMESTAMP (-3)

struct timelookup;

struct timelookup_ops {
	/** Answer a parked request. @param body  NULL: cannot be answered */
	void (*reply)(void *context, uint64_t token, const uint8_t *body, uint32_t size);
	/** The request will not be answered: its connection is gone. */
	void (*forget)(void *context, uint64_t token);
};

/** @param meta, ops  borrowed until timelookup_free(). @return NULL out of memory */
struct timelookup *timelookup_new(const struct meta *meta, const struct timelookup_ops *ops,
				  void *context);
/** Nothing is answered any more. */
void timelookup_free(struct timelookup *timelookup);
DEFINE_CLEANUP(struct timelookup, timelookup_free);

/** Connected. @param log_dir, table  <data>/log and the table; borrowed until the stop */
void timelookup_start(struct timelookup *timelookup, const char *log_dir,
		      const struct partitions *table);
/** The dataplane is gone: what is not found yet is answered with a retriable error. */
void timelookup_stop(struct timelookup *timelookup);
/** A connection closed: its requests are forgotten. @param connection  not 0 */
void timelookup_gone(struct timelookup *timelookup, uint64_t connection);

/** Answer a ListOffsets request, at once where nothing has to be read. */
enum call_result timelookup_list_offsets(struct timelookup *timelookup, struct call *call);
/** Look up for a turn. @return when to run again: now_ns, or INT64_MAX when nothing is left */
int64_t timelookup_run(struct timelookup *timelookup, int64_t now_ns);

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
 * Context: the event loop's thread; reads TIMELOOKUP_READ_MAX bytes at most for a partition.
 */
#pragma once

#define CONTROL_LAYER

#include "storage/partitions.h"

#include "control/meta/call.h"
#include "control/meta/meta.h"

#define TIMELOOKUP_READ_MAX (INT64_C(4) << 30)

#define TIMELOOKUP_LATEST        (-1)
#define TIMELOOKUP_EARLIEST      (-2)
#define TIMELOOKUP_MAX_TIMESTAMP (-3)

struct timelookup_result {
	int64_t offset;    /* -1: none */
	int64_t timestamp; /* -1: none */
	int32_t leader_epoch;
};

/**
 * First record with this timestamp or a later one (or, for TIMELOOKUP_MAX_TIMESTAMP, the latest).
 *
 * @param log_dir  <data>/log
 * @return KAFKA_NONE, also when there is no such record
 */
enum kafka_err timelookup_find(const char *log_dir, const struct partitions *table,
			       const struct uuid *topic_id, uint32_t partition, int64_t timestamp,
			       struct timelookup_result *ret_result);

/** Answer a ListOffsets request. @param table  NULL: not connected */
enum call_result timelookup_list_offsets(const struct meta *meta, const char *log_dir,
					 const struct partitions *table, struct call *call);

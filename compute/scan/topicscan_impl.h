/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of a scan, for topicscan*.c alone: the mapped segments and the walk over their batches.
 *
 * Nothing in a mapped file is believed: sizes are held against the map, offsets against what must come.
 * A page is touched only after it was populated by madvise(), which reports what would be a SIGBUS.
 *
 * Context: a scan is shared by its readers; its lock covers what is left to hand out. Memory: maps.
 */
#pragma once

#include <pthread.h>

#include "base/uuid.h"

#include "compute/scan/topicscan.h"

/** A segment's part of one range. */
struct topicscan_segment {
	const uint8_t *map; /* [limit] */
	uint64_t limit;     /* bytes: the durable end, or the file's end */
	uint64_t pos;       /* where its first batch of interest begins */
	int64_t expected;   /* that batch's offset */
	int64_t base;
	int64_t begin; /* offsets [begin, end) of it are wanted */
	int64_t end;
	uint32_t partition;
};

/** A run of whole batches, to be read by one reader. */
struct topicscan_extent {
	const struct topicscan_segment *segment;
	uint64_t pos;
	uint64_t end;
	int64_t expected; /* offset of the batch at pos */
	bool is_damaged;  /* at its end is no batch, though there should be one */
};

struct topicscan {
	const struct partitions *table;
	int lease;
	bool is_borrowed; /* ranges, segments and their maps are another's */
	struct uuid topic_id;
	char topic[PARTITIONS_TOPIC_MAX];
	int64_t since_ms, until_ms;
	uint32_t partition_count;
	struct topicscan_range *ranges; /* [range_count] */
	uint32_t range_count;
	struct topicscan_segment *segments; /* [segment_count] */
	uint32_t segment_count;
	uint32_t segment_room;
	uint32_t extent_count;
	pthread_mutex_t lock; /* of the cursor below */
	uint32_t segment;     /* next one to cut from */
	uint64_t pos;         /* in it; 0: from its begin */
	uint64_t advised;     /* up to where the kernel was asked to read ahead */
	int64_t expected;     /* offset of the batch at pos */
};

/** Hand out the next run. @return 1; 0 none are left; -EIO the file cannot be read there */
NODISCARD int topicscan_take(struct topicscan *scan, struct topicscan_extent *ret_extent);

/** Have [pos, pos + size) of a segment's map in memory. @return 0; -EIO */
NODISCARD int topicscan_populate(const struct topicscan_segment *segment, uint64_t pos,
				 uint64_t size);

/**
 * Judge the batch header at `pos`; at least the header is populated.
 *
 * @param end  file position that the batch may not go beyond
 * @return 0; ERR_CORRUPT its form, or it is not the batch that begins at `expected`
 */
NODISCARD int topicscan_judge(const struct topicscan_segment *segment, uint64_t pos, uint64_t end,
			      int64_t expected, struct batch *ret_batch);

/** Map what the request needs of the partitions' files; fills ranges and segments. */
NODISCARD int topicscan_open_files(struct topicscan *scan, const struct topicscan_request *request,
				   char *reterr, size_t reterr_size);

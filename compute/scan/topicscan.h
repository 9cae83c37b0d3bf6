/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Topics as something to scan: by the reader contract, in any process, by several threads at once.
 *
 * topicscan_open() takes a lease, fixes offset ranges at the watermarks (or last stable offsets) of the
 * moment, and opens every segment file of the ranges; the lease and the files are held until
 * topicscan_close(), so what deletion unlinks meanwhile is still read to its end. Files are mapped: values of
 * uncompressed batches lie in the map (`is_mapped`) and stay valid until topicscan_close(). Bytes at or
 * beyond the durable end are never touched.
 * The work is cut into extents (runs of whole batches in one segment, of about 2 MiB), handed to readers
 * as they ask; the offset index finds where a range begins, and need not be there. Control batches are
 * passed over. Offsets must be dense: a gap is damage.
 *
 * Memory: the maps (address space), per reader one decompression buffer.
 * Limits: TOPICSCAN_RANGES_MAX partitions.
 */
#pragma once

#include "base/defs.h"
#include "storage/batch.h"
#include "storage/partitions.h"

#define TOPICSCAN_RANGES_MAX 10000

/** Offsets [begin, end) of a partition. */
struct topicscan_range {
	uint32_t partition;
	int64_t begin; /* -1 in a request: the log's start */
	int64_t end;   /* -1 in a request: the watermark */
};

struct topicscan_request {
	const char *log_dir;            /* <data>/log */
	const struct partitions *table; /* borrowed until the scan is closed */
	const char *topic;
	const struct topicscan_range
		*ranges; /* [range_count] borrowed; none: all partitions, whole */
	uint32_t range_count;
	int64_t since_ms; /* records' timestamps at or after; INT64_MIN: any */
	int64_t until_ms; /* before; INT64_MAX: any */
};

struct topicscan_record {
	int64_t offset;
	int64_t timestamp_ms;
	const uint8_t *key; /* NULL: null */
	const uint8_t *value;
	const uint8_t *headers; /* encoded as in the batch: see batch_record */
	int32_t key_size, value_size;
	int32_t header_count;
	uint32_t headers_size;
	uint32_t partition;
	bool is_mapped; /* bytes stay valid until the scan is closed; else until the next record call */
};

struct topicscan;
struct topicscan_reader;

/**
 * @param[out] reterr  [reterr_size] a sentence for people: which partition, which offsets, what to do
 * @return 0; ERR_UNKNOWN no such topic; ERR_RETENTION a range begins below the log's start;
 *         ERR_OFFSET_RANGE it ends above the watermark; ERR_OFFLINE; -ENFILE no lease; -errno
 */
NODISCARD int topicscan_open(const struct topicscan_request *request, struct topicscan **ret_scan,
			     char *reterr, size_t reterr_size);
void topicscan_close(struct topicscan *scan);
DEFINE_CLEANUP(struct topicscan, topicscan_close);

/**
 * The same ranges and times once more, from their beginning: for a second statement, or a table named twice.
 *
 * @param scan  borrowed: its maps are used, it is closed last
 * @return 0; -ENOMEM
 */
NODISCARD int topicscan_again(const struct topicscan *scan, struct topicscan **ret_scan);

/** @return the ranges as fixed, one for each partition of the request, empty ones too */
const struct topicscan_range *topicscan_ranges(const struct topicscan *scan, uint32_t *ret_count);
const struct uuid *topicscan_topic_id(const struct topicscan *scan);
/** @return partitions of the topic at present, also outside the ranges */
uint32_t topicscan_partition_count(const struct topicscan *scan);
/** @return Σ of the ranges' offsets: an upper bound of the records */
int64_t topicscan_size(const struct topicscan *scan);
/** @return extents there are in all: no more readers than these find work */
uint32_t topicscan_extent_count(const struct topicscan *scan);

/** One per thread. @return 0; -ENOMEM */
NODISCARD int topicscan_reader_new(struct topicscan *scan, struct topicscan_reader **ret_reader);
void topicscan_reader_free(struct topicscan_reader *reader);
DEFINE_CLEANUP(struct topicscan_reader, topicscan_reader_free);

/**
 * The next record within the ranges and times, extent by extent; within an extent in order of offsets.
 *
 * @return 1; 0 no extents are left; ERR_CORRUPT checksum, form or codec of a batch (reterr says which);
 *         -errno
 */
NODISCARD int topicscan_next(struct topicscan_reader *reader, struct topicscan_record *ret_record,
			     char *reterr, size_t reterr_size);

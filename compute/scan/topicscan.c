/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/scan/topicscan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "storage/segscan.h"

#include "compute/scan/topicscan_impl.h"

#define EXTENT_SIZE (2U << 20) /* cut behind the batch that reaches it */
#define AHEAD_SIZE  (8U << 20) /* the kernel reads ahead of the cutting, in whole steps */
#define PAGE        4096U

int topicscan_populate(const struct topicscan_segment *segment, uint64_t pos, uint64_t size)
{
	uint64_t from = ALIGN_DOWN(pos, PAGE);
	/* The map is for reading only, though madvise() does not know const. */
	void *at = (void *)(uintptr_t)(segment->map + from);

	if (madvise(at, (size_t)(pos + size - from), MADV_POPULATE_READ) == 0 || errno == EINVAL)
		return 0; /* kernels before 5.14 do not know it */
	return -EIO;
}

static void advise(struct topicscan *scan, const struct topicscan_segment *segment)
{
	uint64_t from = MAX(ALIGN_DOWN(scan->pos, PAGE), scan->advised);
	uint64_t to = MIN(scan->pos + (uint64_t)AHEAD_SIZE, segment->limit);

	if (to <= from || (from > scan->pos + AHEAD_SIZE / 2 && to < segment->limit))
		return;
	(void)madvise((void *)(uintptr_t)(segment->map + from), (size_t)(to - from), MADV_WILLNEED);
	scan->advised = ALIGN_UP(to, PAGE);
}

int topicscan_judge(const struct topicscan_segment *segment, uint64_t pos, uint64_t end,
		    int64_t expected, struct batch *ret_batch)
{
	struct batch batch;

	/* Offsets are dense, so any other one means that batches are lost. */
	if (end - pos < BATCH_HEADER_SIZE || batch_decode(segment->map + pos, &batch) != 0 ||
	    batch.magic != BATCH_MAGIC || batch.size > end - pos ||
	    batch.size > SEGSCAN_BATCH_MAX || batch.base_offset != expected ||
	    batch.last_offset_delta < 0 || batch.record_count < 0 ||
	    batch.base_offset > INT64_MAX - batch.last_offset_delta - 1)
		return ERR_CORRUPT;
	*ret_batch = batch;
	return 0;
}

/* Go over batch headers until enough is gathered. What is beyond the range's last batch is never
   touched: of a segment that was just rolled it may be cut off. A bad header ends the segment; the
   extent's reader will say so. @return 0; -EIO */
static int cut(struct topicscan *scan, const struct topicscan_segment *segment,
	       struct topicscan_extent *extent)
{
	uint64_t pos = scan->pos;
	uint64_t populated = MIN(pos + (uint64_t)EXTENT_SIZE, segment->limit);
	int64_t expected = scan->expected;
	bool is_damaged = false;
	struct batch batch;

	if (topicscan_populate(segment, pos, populated - pos) != 0)
		populated = pos; /* batch by batch then */
	while (pos - scan->pos < EXTENT_SIZE && expected < segment->end && !is_damaged) {
		uint64_t header = MIN((uint64_t)BATCH_HEADER_SIZE, segment->limit - pos);

		if (pos + header > populated && topicscan_populate(segment, pos, header) != 0)
			return -EIO;
		if (topicscan_judge(segment, pos, segment->limit, expected, &batch) != 0) {
			is_damaged = true;
			continue;
		}
		if (pos + batch.size > populated &&
		    topicscan_populate(segment, pos, batch.size) != 0)
			return -EIO;
		pos += batch.size;
		expected = batch_last_offset(&batch) + 1;
	}
	*extent = (struct topicscan_extent){ segment, scan->pos, pos, scan->expected, is_damaged };
	scan->pos = pos;
	scan->expected = is_damaged ? segment->end : expected;
	return 0;
}

static void begin_segment(struct topicscan *scan)
{
	if (scan->segment == scan->segment_count)
		return;
	scan->pos = scan->segments[scan->segment].pos;
	scan->expected = scan->segments[scan->segment].expected;
	scan->advised = 0;
}

static int take_locked(struct topicscan *scan, struct topicscan_extent *ret_extent)
{
	const struct topicscan_segment *segment;
	int error;

	if (scan->segment == scan->segment_count)
		return 0;
	segment = &scan->segments[scan->segment];
	advise(scan, segment);
	error = cut(scan, segment, ret_extent);
	if (error != 0)
		return error;
	if (scan->expected >= segment->end) {
		scan->segment++;
		begin_segment(scan);
	}
	return 1;
}

int topicscan_take(struct topicscan *scan, struct topicscan_extent *ret_extent)
{
	int result;

	CHECK(pthread_mutex_lock(&scan->lock) == 0);
	result = take_locked(scan, ret_extent);
	CHECK(pthread_mutex_unlock(&scan->lock) == 0);
	return result;
}

static uint32_t count_extents(const struct topicscan *scan)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < scan->segment_count; i++) {
		const struct topicscan_segment *segment = &scan->segments[i];

		count += (segment->limit - segment->pos + EXTENT_SIZE - 1) / EXTENT_SIZE;
	}
	return (uint32_t)MIN(count, (uint64_t)UINT32_MAX);
}

int topicscan_open(const struct topicscan_request *request, struct topicscan **ret_scan,
		   char *reterr, size_t reterr_size)
{
	struct topicscan *scan = calloc(1, sizeof(*scan));
	int error;

	if (scan == NULL)
		return -ENOMEM;
	scan->table = request->table;
	scan->since_ms = request->since_ms;
	scan->until_ms = request->until_ms;
	CHECK(pthread_mutex_init(&scan->lock, NULL) == 0);
	/* Before any look at the table: what deletion does from here on does not reuse the files. */
	scan->lease = partitions_lease_take(request->table);
	if (scan->lease < 0) {
		error = scan->lease;
		(void)snprintf(reterr, reterr_size,
			       "no reader's lease could be had: %s; at most %d scans run at once",
			       strerror(-error), PARTITIONS_LEASES_MAX);
	} else {
		error = topicscan_open_files(scan, request, reterr, reterr_size);
	}
	if (error != 0) {
		topicscan_close(scan);
		return error;
	}
	scan->extent_count = count_extents(scan);
	begin_segment(scan);
	*ret_scan = scan;
	return 0;
}

int topicscan_again(const struct topicscan *scan, struct topicscan **ret_scan)
{
	struct topicscan *again = malloc(sizeof(*again));

	if (again == NULL)
		return -ENOMEM;
	*again = *scan;
	again->is_borrowed = true;
	again->lease = -1;
	again->segment = 0;
	CHECK(pthread_mutex_init(&again->lock, NULL) == 0);
	begin_segment(again);
	*ret_scan = again;
	return 0;
}

void topicscan_close(struct topicscan *scan)
{
	if (scan == NULL)
		return;
	for (uint32_t i = 0; i < scan->segment_count && !scan->is_borrowed; i++)
		(void)munmap((void *)(uintptr_t)scan->segments[i].map,
			     (size_t)scan->segments[i].limit);
	if (scan->lease >= 0)
		partitions_lease_release(scan->table, scan->lease);
	(void)pthread_mutex_destroy(&scan->lock);
	if (!scan->is_borrowed) {
		free(scan->segments);
		free(scan->ranges);
	}
	free(scan);
}

const struct topicscan_range *topicscan_ranges(const struct topicscan *scan, uint32_t *ret_count)
{
	*ret_count = scan->range_count;
	return scan->ranges;
}

const struct uuid *topicscan_topic_id(const struct topicscan *scan)
{
	return &scan->topic_id;
}

uint32_t topicscan_partition_count(const struct topicscan *scan)
{
	return scan->partition_count;
}

int64_t topicscan_size(const struct topicscan *scan)
{
	int64_t size = 0;

	for (uint32_t i = 0; i < scan->range_count; i++)
		size += scan->ranges[i].end - scan->ranges[i].begin;
	return size;
}

uint32_t topicscan_extent_count(const struct topicscan *scan)
{
	return scan->extent_count;
}

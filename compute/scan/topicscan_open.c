/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "storage/segfile.h"
#include "storage/segindex.h"
#include "storage/segscan.h"

#include "compute/scan/topicscan_impl.h"

#define PATH_SIZE 4096

/** A partition of the topic and its cell of the table. */
struct place {
	uint32_t partition;
	const struct partition_cell *cell;
};

struct opening {
	struct topicscan *scan;
	const struct topicscan_request *request;
	struct place *places; /* [place_count] sorted by partition */
	uint32_t place_count;
	int dir_fd;     /* folder of the partition at hand; -1 */
	int64_t *bases; /* [base_count] of its segments, sorted */
	size_t base_count;
	size_t base_room;
	struct partition_view view; /* of the partition at hand */
	char *reterr;
	size_t reterr_size;
};

/* What went wrong, in a sentence. @return `error` */
static PRINTF_LIKE(3, 4) int fail(struct opening *opening, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(opening->reterr, opening->reterr_size, format, args);
	va_end(args);
	return error;
}

/* Double an array when it is full. */
static int grow(void *array, size_t count, size_t *room, size_t size)
{
	size_t wanted = MAX(2 * count, (size_t)16);
	void *bigger;

	if (count < *room)
		return 0;
	memcpy(&bigger, array, sizeof(bigger));
	bigger = reallocarray(bigger, wanted, size);
	if (bigger == NULL)
		return -ENOMEM;
	memcpy(array, &bigger, sizeof(bigger));
	*room = wanted;
	return 0;
}

static int compare_places(const void *left, const void *right)
{
	uint32_t a = ((const struct place *)left)->partition;
	uint32_t b = ((const struct place *)right)->partition;

	return a < b ? -1 : a > b;
}

static int compare_bases(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

/* One look at the whole table: the topic's id and where its partitions are. */
static int find_topic(struct opening *opening)
{
	const struct topicscan_request *request = opening->request;
	struct topicscan *scan = opening->scan;
	uint32_t cells = partitions_count(request->table);
	struct partition_view view;
	size_t room = 0;

	for (uint32_t i = 0; i < cells; i++) {
		const struct partition_cell *cell = partitions_at(request->table, i);

		if (!partition_cell_read(cell, &view) || strcmp(view.topic, request->topic) != 0)
			continue;
		if (opening->place_count == 0)
			scan->topic_id = view.topic_id;
		else if (!uuid_equal(&scan->topic_id, &view.topic_id))
			return fail(opening, ERR_UNKNOWN,
				    "%s was just deleted and made anew: try again", request->topic);
		if (grow(&opening->places, opening->place_count, &room, sizeof(struct place)) != 0)
			return -ENOMEM;
		opening->places[opening->place_count++] = (struct place){ view.partition, cell };
		scan->partition_count = MAX(scan->partition_count, view.partition + 1);
	}
	if (opening->place_count == 0)
		return fail(opening, ERR_UNKNOWN, "there is no topic %s", request->topic);
	qsort(opening->places, opening->place_count, sizeof(struct place), compare_places);
	return 0;
}

/* Ranges of the request, or all partitions, whole. */
static int list_ranges(struct opening *opening)
{
	const struct topicscan_request *request = opening->request;
	struct topicscan *scan = opening->scan;
	uint32_t count = request->range_count > 0 ? request->range_count : scan->partition_count;

	if (count > TOPICSCAN_RANGES_MAX)
		return fail(opening, ERR_TOO_LARGE, "%s: %u partitions in one scan, at most %d",
			    request->topic, count, TOPICSCAN_RANGES_MAX);
	scan->ranges = calloc(count, sizeof(*scan->ranges));
	if (scan->ranges == NULL)
		return -ENOMEM;
	scan->range_count = count;
	for (uint32_t i = 0; i < count; i++)
		scan->ranges[i] = request->range_count > 0 ? request->ranges[i]
							   : (struct topicscan_range){ i, -1, -1 };
	return 0;
}

/* Look at a partition's cell again. */
static int look(struct opening *opening, uint32_t partition)
{
	const struct place key = { .partition = partition };
	const struct place *place =
		bsearch(&key, opening->places, opening->place_count, sizeof(key), compare_places);
	const char *topic = opening->request->topic;

	if (place == NULL && partition >= opening->scan->partition_count)
		return fail(opening, ERR_UNKNOWN, "%s has no partition %u, only 0 to %u", topic,
			    partition, opening->scan->partition_count - 1);
	if (place == NULL || !partition_cell_read(place->cell, &opening->view) ||
	    !uuid_equal(&opening->view.topic_id, &opening->scan->topic_id) ||
	    opening->view.error == ERR_OFFLINE)
		return fail(opening, ERR_OFFLINE,
			    "%s/%u is offline or just being opened: see the box's log", topic,
			    partition);
	return 0;
}

/* Fix a range at the positions of the moment. */
static int fix_range(struct opening *opening, const struct topicscan_range *wanted,
		     struct topicscan_range *ret_range)
{
	const struct partition_view *view = &opening->view;
	const char *topic = opening->request->topic;
	int64_t limit = MIN(view->high_watermark, view->last_stable_offset);
	int64_t begin = wanted->begin < 0 ? view->start_offset : wanted->begin;
	int64_t end = wanted->end < 0 ? limit : wanted->end;

	if (begin < view->start_offset)
		return fail(opening, ERR_RETENTION,
			    "%s/%u: offsets %" PRId64 " to %" PRId64
			    " were removed by retention; the log begins at %" PRId64
			    ". Read from there on, and raise the topic's retention.ms or "
			    "retention.bytes",
			    topic, wanted->partition, begin, view->start_offset - 1,
			    view->start_offset);
	if (begin > limit || end > limit)
		return fail(opening, ERR_OFFSET_RANGE,
			    "%s/%u: offset %" PRId64
			    " is not there yet; the log ends before %" PRId64,
			    topic, wanted->partition, MAX(begin, end), limit);
	if (begin > end && wanted->begin >= 0)
		return fail(opening, ERR_OFFSET_RANGE,
			    "%s/%u: a range from %" PRId64 " to %" PRId64 " ends before it begins",
			    topic, wanted->partition, begin, end);
	*ret_range = (struct topicscan_range){ wanted->partition, begin, MAX(begin, end) };
	return 0;
}

/* Open the partition's folder and list its segments. */
static int list_segments(struct opening *opening, uint32_t partition)
{
	const struct dirent *entry;
	char path[PATH_SIZE];
	int error = 0;
	int64_t base;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/%s-%u", opening->request->log_dir,
		     opening->request->topic, partition) >= PATH_SIZE)
		return -ENAMETOOLONG;
	dir = opendir(path);
	if (dir == NULL)
		return fail(opening, -errno, "%s: %s", path, strerror(errno));
	opening->base_count = 0;
	while (error == 0 && (entry = readdir(dir)) != NULL) {
		if (!segfile_name_parse(entry->d_name, ".log", &base))
			continue;
		error = grow(&opening->bases, opening->base_count, &opening->base_room,
			     sizeof(base));
		if (error == 0)
			opening->bases[opening->base_count++] = base;
	}
	opening->dir_fd = error == 0 ? dup(dirfd(dir)) : -1;
	if (error == 0 && opening->dir_fd < 0)
		error = -errno;
	(void)closedir(dir);
	if (error == 0 && opening->base_count > 0)
		qsort(opening->bases, opening->base_count, sizeof(base), compare_bases);
	return error;
}

/* Map the part of a segment's file that may be read. @return 0; -ENOENT; ERR_CORRUPT; -errno */
static int map_segment(struct opening *opening, struct topicscan_segment *segment)
{
	int fd = segfile_open(opening->dir_fd, segment->base, O_RDONLY);
	struct stat stat;
	int error = 0;
	void *map;

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) != 0) {
		error = -errno;
	} else {
		/* One that is followed by others is durable as a whole. */
		segment->limit = segment->base == opening->view.segment_base
					 ? (uint64_t)opening->view.file_end
					 : (uint64_t)stat.st_size;
		if (segment->limit == 0 || segment->limit > (uint64_t)stat.st_size ||
		    segment->base > opening->view.segment_base)
			error = ERR_CORRUPT;
	}
	if (error == 0) {
		map = mmap(NULL, (size_t)segment->limit, PROT_READ, MAP_SHARED, fd, 0);
		segment->map = map;
		error = map == MAP_FAILED ? -errno : 0;
	}
	(void)close(fd); /* the map keeps the file */
	return error;
}

/* Go near `offset` by the index, which may be missing or wrong: what it names must be a batch. */
static void seek(struct opening *opening, struct topicscan_segment *segment, int64_t offset)
{
	uint64_t pos = segindex_find_file(opening->dir_fd, segment->base, offset);
	const uint8_t *bytes = segment->map + pos;
	struct batch batch;

	segment->pos = 0;
	segment->expected = segment->base;
	if (pos == 0 || pos > segment->limit || segment->limit - pos < BATCH_HEADER_SIZE ||
	    topicscan_populate(segment, pos, BATCH_HEADER_SIZE) != 0 ||
	    batch_decode(bytes, &batch) != 0 || batch.base_offset < segment->base ||
	    batch.base_offset > offset ||
	    topicscan_judge(segment, pos, segment->limit, batch.base_offset, &batch) != 0 ||
	    topicscan_populate(segment, pos, batch.size) != 0 ||
	    crc32c_extend(CRC32C_INIT, bytes + BATCH_CRC_BEGIN, batch.size - BATCH_CRC_BEGIN) !=
		    batch.crc)
		return;
	segment->pos = pos;
	segment->expected = batch.base_offset;
}

/* A segment of the range, unless its time index shows that all of it is too old. */
static int add_segment(struct opening *opening, const struct topicscan_range *range, int64_t base,
		       int64_t next)
{
	struct topicscan *scan = opening->scan;
	struct topicscan_segment segment = { .base = base, .partition = range->partition };
	int64_t from;
	size_t room = scan->segment_room;
	int error;

	segment.begin = from = MAX(range->begin, base);
	segment.end = MIN(range->end, next);
	if (scan->since_ms != INT64_MIN && next != INT64_MAX && base < opening->view.segment_base)
		from = MAX(from,
			   segindex_find_time_file(opening->dir_fd, base, next, scan->since_ms));
	if (from >= segment.end)
		return 0;
	error = grow(&scan->segments, scan->segment_count, &room, sizeof(segment));
	if (error != 0)
		return error;
	scan->segment_room = (uint32_t)room;
	error = map_segment(opening, &segment);
	if (error != 0)
		return error;
	seek(opening, &segment, from);
	scan->segments[scan->segment_count++] = segment;
	return 0;
}

/* @return 0; -ENOENT a file of the range is not there; ERR_CORRUPT; -errno */
static int open_segments(struct opening *opening, const struct topicscan_range *range)
{
	size_t i = 0;
	int error = list_segments(opening, range->partition);

	while (i + 1 < opening->base_count && opening->bases[i + 1] <= range->begin)
		i++;
	if (error == 0 && (opening->base_count == 0 || opening->bases[i] > range->begin))
		error = -ENOENT;
	for (; error == 0 && i < opening->base_count && opening->bases[i] < range->end; i++)
		error = add_segment(opening, range, opening->bases[i],
				    i + 1 < opening->base_count ? opening->bases[i + 1]
								: INT64_MAX);
	if (opening->dir_fd >= 0)
		(void)close(opening->dir_fd);
	opening->dir_fd = -1;
	return error;
}

/* Fix and open one range. Retention may take files between the look at the table and their opening: the
   log's start has moved then. */
static int open_range(struct opening *opening, struct topicscan_range *range)
{
	const struct topicscan_range wanted = *range;
	struct topicscan *scan = opening->scan;
	uint32_t segments = scan->segment_count;
	int64_t start = -1;
	int error;

	for (;;) {
		error = look(opening, wanted.partition);
		if (error == 0)
			error = fix_range(opening, &wanted, range);
		if (error != 0 || range->begin == range->end)
			return error;
		if (opening->view.start_offset == start)
			return fail(opening, ERR_CORRUPT,
				    "%s/%u: a segment that holds offsets from %" PRId64
				    " to %" PRId64 " is missing",
				    scan->topic, wanted.partition, range->begin, range->end);
		start = opening->view.start_offset;
		error = open_segments(opening, range);
		if (error == ERR_CORRUPT)
			return fail(opening, error,
				    "%s/%u: a segment's file is shorter than the box said",
				    scan->topic, wanted.partition);
		if (error != -ENOENT)
			return error;
		while (scan->segment_count > segments) {
			const struct topicscan_segment *segment =
				&scan->segments[--scan->segment_count];

			(void)munmap((void *)(uintptr_t)segment->map, (size_t)segment->limit);
		}
	}
}

int topicscan_open_files(struct topicscan *scan, const struct topicscan_request *request,
			 char *reterr, size_t reterr_size)
{
	struct opening opening = { .scan = scan,
				   .request = request,
				   .dir_fd = -1,
				   .reterr = reterr,
				   .reterr_size = reterr_size };
	int error;

	(void)snprintf(reterr, reterr_size, "%s: the scan could not be opened", request->topic);
	(void)snprintf(scan->topic, sizeof(scan->topic), "%s", request->topic);
	error = find_topic(&opening);
	if (error == 0)
		error = list_ranges(&opening);
	for (uint32_t i = 0; error == 0 && i < scan->range_count; i++)
		error = open_range(&opening, &scan->ranges[i]);
	free(opening.bases);
	free(opening.places);
	return error;
}

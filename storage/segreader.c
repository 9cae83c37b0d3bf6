/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/segreader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/segfile.h"
#include "storage/segindex.h"
#include "storage/segscan.h"

#define NEWEST_SEGMENTS 8 /* looked at for the newest time */

struct segreader {
	const struct partitions *table;
	struct uuid topic_id;
	uint32_t partition;
	int lease;
	int dir_fd; /* the partition's folder */
	int fd;     /* of the segment; -1: none open */
	int64_t base;
	int64_t offset;     /* next one wanted */
	int64_t since;      /* batches that are older need not be returned; INT64_MIN: all */
	bool is_checked;    /* a batch of the segment was seen where the index said */
	int64_t *bases;     /* [bases_count] of the folder's segments, sorted */
	size_t bases_count; /* 0: not known */
	size_t bases_room;
	struct partition_view view;
	struct segscan scan;
};

/* Look at the table again. @return 0; ERR_RETENTION; ERR_UNKNOWN; ERR_OFFLINE */
static int refresh(struct segreader *reader)
{
	int error =
		partitions_find(reader->table, &reader->topic_id, reader->partition, &reader->view);

	if (error == 0 && reader->view.error == ERR_OFFLINE)
		error = ERR_OFFLINE;
	if (error == 0 && reader->offset < reader->view.start_offset)
		error = ERR_RETENTION;
	return error;
}

/* @return number of segments put into reader->bases, unsorted; -errno */
static int64_t list_segments(struct segreader *reader, DIR *dir)
{
	const struct dirent *entry;
	size_t count = 0;
	int64_t base;

	while ((entry = readdir(dir)) != NULL) {
		if (!segfile_name_parse(entry->d_name, ".log", &base))
			continue;
		if (count == reader->bases_room) {
			size_t room = MAX(2 * count, (size_t)64);
			int64_t *bases = realloc(reader->bases, room * sizeof(*bases));

			if (bases == NULL)
				return -ENOMEM;
			reader->bases = bases;
			reader->bases_room = room;
		}
		reader->bases[count++] = base;
	}
	return (int64_t)count;
}

static int compare_bases(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

/* Look at the folder again. */
static int load_segments(struct segreader *reader)
{
	int fd = openat(reader->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int64_t count;

	reader->bases_count = 0;
	if (dir == NULL) {
		int error = -errno;

		if (fd >= 0)
			(void)close(fd); /* a folder */
		return error;
	}
	count = list_segments(reader, dir);
	(void)closedir(dir);
	if (count < 0)
		return (int)count;
	reader->bases_count = (size_t)count;
	if (count > 1)
		qsort(reader->bases, reader->bases_count, sizeof(*reader->bases), compare_bases);
	return 0;
}

/* Number of known segments whose base is at or below `offset`. */
static size_t count_at_or_below(const struct segreader *reader, int64_t offset)
{
	size_t low = 0, high = reader->bases_count;

	while (low < high) {
		size_t i = low + (high - low) / 2;

		if (reader->bases[i] <= offset)
			low = i + 1;
		else
			high = i;
	}
	return low;
}

/* The segment to read `offset` from: the one with the largest base at or below it. What is known of
   the folder is right as long as it names a later segment: segments are added at the end only.
   @param[out] ret_next  base of the one after it; INT64_MAX: none. @return 0; -ENOENT; -errno */
static int find_segment(struct segreader *reader, int64_t offset, int64_t *ret_base,
			int64_t *ret_next)
{
	size_t n = count_at_or_below(reader, offset);

	if (n == reader->bases_count) {
		int error = load_segments(reader);

		if (error != 0)
			return error;
		n = count_at_or_below(reader, offset);
	}
	if (n == 0)
		return -ENOENT;
	*ret_base = reader->bases[n - 1];
	*ret_next = n < reader->bases_count ? reader->bases[n] : INT64_MAX;
	return 0;
}

/* End of what may be read of the open segment. */
static int find_limit(const struct segreader *reader, uint64_t *ret_limit)
{
	struct stat stat;

	if (reader->base == reader->view.segment_base) {
		*ret_limit = (uint64_t)reader->view.file_end;
		return 0;
	}
	/* Durable as a whole; zeroes may follow its batches until it is trimmed. */
	if (fstat(reader->fd, &stat) != 0)
		return -errno;
	*ret_limit = reader->base < reader->view.segment_base ? (uint64_t)stat.st_size : 0;
	return 0;
}

/* Of a segment that is followed by others: pass what is older than reader->since by its time index.
   @return true: all of it is older */
static bool pass_older(struct segreader *reader, int64_t base, int64_t next)
{
	int64_t offset;

	if (reader->since == INT64_MIN || next == INT64_MAX || base >= reader->view.segment_base)
		return false;
	offset = segindex_find_time_file(reader->dir_fd, base, next, reader->since);
	reader->offset = MAX(reader->offset, offset);
	return reader->offset >= next;
}

static void close_segment(struct segreader *reader)
{
	if (reader->fd >= 0)
		(void)close(reader->fd); /* nothing was written */
	reader->fd = -1;
}

/* Open the segment that holds reader->offset and go to a batch at or before it.
   @return 0; -EAGAIN the segment was passed over */
static int open_segment(struct segreader *reader)
{
	uint64_t limit;
	int64_t base = -1, next = -1;
	int error = find_segment(reader, reader->offset, &base, &next);
	uint32_t pos;

	if (error != 0)
		return error == -ENOENT ? ERR_RETENTION : error;
	close_segment(reader);
	if (pass_older(reader, base, next))
		return -EAGAIN;
	reader->fd = segfile_open(reader->dir_fd, base, O_RDONLY);
	if (reader->fd < 0)
		return reader->fd == -ENOENT ? ERR_RETENTION : reader->fd;
	reader->base = base;
	error = find_limit(reader, &limit);
	if (error != 0)
		return error;
	pos = segindex_find_file(reader->dir_fd, base, reader->offset);
	if (pos > limit)
		pos = 0;
	reader->is_checked = pos == 0;
	segscan_begin(&reader->scan, reader->fd, pos, limit);
	return 0;
}

/* Where a damaged offset index led is no batch, or one too far on: read from the segment's begin.
   @param result  of the first segscan_next(). @return whether to start over */
static bool was_misled(struct segreader *reader, int result, const struct batch *batch)
{
	if (reader->is_checked)
		return false;
	reader->is_checked = true;
	if (result == 1 && batch->base_offset <= reader->offset)
		return false;
	segscan_begin(&reader->scan, reader->fd, 0, reader->scan.limit);
	return true;
}

int segreader_open(const char *log_dir, const struct partitions *table, const struct uuid *topic_id,
		   uint32_t partition, int64_t offset, struct segreader **ret_reader)
{
	CLEANUP(segreader_closep) struct segreader *reader = calloc(1, sizeof(*reader));
	char path[4096];
	int error;

	if (reader == NULL)
		return -ENOMEM;
	reader->table = table;
	reader->topic_id = *topic_id;
	reader->partition = partition;
	reader->fd = reader->dir_fd = reader->lease = -1;
	reader->since = INT64_MIN;
	reader->offset = INT64_MAX; /* any start is right until we know it */
	error = refresh(reader);
	if (error != 0)
		return error;
	reader->offset = offset == -2 ? reader->view.start_offset : offset;
	if (reader->offset < reader->view.start_offset)
		return ERR_RETENTION;
	if (reader->offset > reader->view.high_watermark)
		return ERR_OFFSET_RANGE;
	reader->lease = partitions_lease_take(table);
	if (reader->lease < 0)
		return reader->lease;
	error = snprintf(path, sizeof(path), "%s/%s-%" PRIu32, log_dir, reader->view.topic,
			 partition);
	if (error < 0 || (size_t)error >= sizeof(path))
		return -ENAMETOOLONG;
	reader->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (reader->dir_fd < 0)
		return -errno;
	*ret_reader = TAKE_PTR(reader);
	return 0;
}

void segreader_close(struct segreader *reader)
{
	if (reader == NULL)
		return;
	if (reader->lease >= 0)
		partitions_lease_release(reader->table, reader->lease);
	close_segment(reader);
	if (reader->dir_fd >= 0)
		(void)close(reader->dir_fd);
	segscan_fini(&reader->scan);
	free(reader->bases);
	free(reader);
}

/* The bytes that may be read have no batch any more. @return 1 go on; 0 at the watermark; error */
static int at_limit(struct segreader *reader)
{
	bool was_last = reader->base == reader->view.segment_base;
	bool is_at_limit = reader->scan.pos == reader->scan.limit;
	int64_t before = reader->base;
	uint64_t limit;
	int error = was_last ? refresh(reader) : 0;

	if (error == 0)
		error = find_limit(reader, &limit);
	if (error != 0)
		return error;
	if (is_at_limit && limit > reader->scan.limit) {
		reader->scan.limit = limit;
		return 1;
	}
	if (reader->base == reader->view.segment_base)
		return is_at_limit ? 0 : ERR_CORRUPT;
	/* Batches may be missing at the end of a compacted segment, so any next one will do. */
	error = open_segment(reader);
	if (error == 0 && reader->base == before)
		error = ERR_CORRUPT; /* it ends below the next one's begin */
	return error == 0 ? 1 : error;
}

/* A segment that is trimmed while it is read ends earlier than its size said. */
static bool was_trimmed(struct segreader *reader)
{
	uint64_t limit;

	if (find_limit(reader, &limit) != 0 || limit >= reader->scan.limit)
		return false;
	reader->scan.limit = MAX(limit, reader->scan.pos);
	return true;
}

static int next_batch(struct segreader *reader, struct batch *ret_batch, const uint8_t **ret_bytes)
{
	struct batch batch;
	const uint8_t *bytes;
	int result;

	if (reader->offset >= reader->view.high_watermark) {
		result = refresh(reader);
		if (result != 0)
			return result;
		if (reader->offset >= reader->view.high_watermark)
			return 0;
	}
	if (reader->fd < 0) {
		result = open_segment(reader);
		if (result != 0)
			return result;
	}
	for (;;) {
		result = segscan_next(&reader->scan, &batch, &bytes);
		if (was_misled(reader, result, &batch))
			continue;
		if (result == ERR_CORRUPT && was_trimmed(reader))
			continue;
		/* What is behind the last batch of a segment that is not trimmed yet need not be zeroes. */
		if (result < 0 &&
		    (result != ERR_CORRUPT || reader->base >= reader->view.segment_base))
			return result;
		if (result <= 0) {
			result = at_limit(reader);
			if (result != 1)
				return result;
			continue;
		}
		if (batch_last_offset(&batch) < reader->offset)
			continue;
		if (batch_last_offset(&batch) >= reader->view.high_watermark) {
			reader->scan.pos -= batch.size;
			return 0;
		}
		reader->offset = batch_last_offset(&batch) + 1;
		*ret_batch = batch;
		*ret_bytes = bytes;
		return 1;
	}
}

int segreader_next(struct segreader *reader, struct batch *ret_batch, const uint8_t **ret_bytes)
{
	reader->since = INT64_MIN;
	return next_batch(reader, ret_batch, ret_bytes);
}

int segreader_next_since(struct segreader *reader, int64_t since, struct batch *ret_batch,
			 const uint8_t **ret_bytes)
{
	reader->since = since;
	return next_batch(reader, ret_batch, ret_bytes);
}

int64_t segreader_newest(struct segreader *reader)
{
	int64_t newest = -1;
	size_t from, last;

	/* Without the folder nothing is known of it. */
	if (load_segments(reader) != 0)
		return newest;
	last = count_at_or_below(reader, reader->view.segment_base - 1);
	from = count_at_or_below(reader, reader->view.start_offset);
	from = MAX(from, last > NEWEST_SEGMENTS ? last - NEWEST_SEGMENTS : 0);
	for (size_t i = from; i < last && i + 1 < reader->bases_count; i++)
		newest = MAX(newest, segindex_newest_file(reader->dir_fd, reader->bases[i],
							  reader->bases[i + 1]));
	return newest;
}

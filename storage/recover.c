/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a partition's folder.
 *
 * After a clean stop the files are what they say: indexes and producer snapshot are loaded and only the
 * tail behind the last index entry is looked at.
 *
 * Otherwise everything from the segment with the checkpoint on is read: each batch must have the right
 * size, magic, checksum and base offset. The log ends before the first that has not. If that end lies
 * at or above the checkpoint, what follows was never promised to anybody and is cut; if it lies below,
 * the disk lost what it had confirmed, and nothing is touched: the log is offline until somebody
 * decides. Data is made durable before it is read here, so the end that is found cannot be lost again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/recycle.h"
#include "storage/retain.h"
#include "storage/seglog_impl.h"
#include "storage/segscan.h"

#define METADATA_NAME     "partition.metadata"
#define SNAPSHOT_SIZE_MAX PRODUCERS_SNAPSHOT_SIZE(PRODUCERS_MAX)

/* A recovery under way. */
struct recovery {
	struct seglog *log;
	const struct seglog_open_args *args;
	struct segscan scan;
	int64_t *bases; /* of the .log files, ascending */
	size_t count;
	struct segment *stop; /* segment the log ends in */
	struct seglog_recovery found;
};

int seglog_salvage_write(int log_dir_fd, const char *topic, const struct chunk_remains *remains)
{
	char path[PARTITIONS_TOPIC_MAX + 16 + SEGFILE_NAME_MAX], name[SEGFILE_NAME_MAX];
	int fd, error;

	segfile_name(remains->segment_base, ".log", name);
	(void)snprintf(path, sizeof(path), "%s-%" PRIu32 "/%s", topic, remains->partition, name);
	fd = openat(log_dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	error = segfile_write(fd, remains->bytes, remains->size, remains->pos);
	if (close(fd) != 0 && error == 0)
		error = -errno;
	return error;
}

/* ---- the folder ---- */

static int compare_bases(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static int add_base(struct recovery *recovery, int64_t base)
{
	/* The array doubles whenever its count is a power of two. */
	if ((recovery->count & (recovery->count + 1)) == 0) {
		size_t capacity = (recovery->count + 1) * 2;
		int64_t *bases = realloc(recovery->bases, capacity * sizeof(*bases));

		if (bases == NULL)
			return -ENOMEM;
		recovery->bases = bases;
	}
	recovery->bases[recovery->count++] = base;
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), suffix_size = strlen(suffix);

	return size > suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

/* Find the segments; remove what an interrupted deletion or replacement left. */
static int list_folder(struct recovery *recovery)
{
	int fd = openat(recovery->log->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int error = 0;

	if (dir == NULL) {
		error = -errno;
		if (fd >= 0)
			(void)close(fd); /* a folder */
		return error;
	}
	while (error == 0 && (entry = readdir(dir)) != NULL) {
		int64_t base;

		if (segfile_name_parse(entry->d_name, ".log", &base))
			error = add_base(recovery, base);
		else if (has_suffix(entry->d_name, ".deleted") ||
			 has_suffix(entry->d_name, RECYCLE_SUFFIX) ||
			 has_suffix(entry->d_name, ".tmp"))
			(void)unlinkat(fd, entry->d_name, 0); /* the next start tries again */
	}
	(void)closedir(dir);
	if (recovery->count > 0)
		qsort(recovery->bases, recovery->count, sizeof(recovery->bases[0]), compare_bases);
	return error;
}

/* partition.metadata tells whose data this is; it is there before any data. */
static int check_metadata(struct seglog *log)
{
	char text[128], wanted[128], id[UUID_TEXT_SIZE];
	int64_t size = segfile_load(log->dir_fd, METADATA_NAME, text, sizeof(text));

	uuid_format(&log->topic_id, id);
	(void)snprintf(wanted, sizeof(wanted), "version: 0\ntopic_id: %s\n", id);
	if (size == -ENOENT)
		return segfile_replace(log->dir_fd, METADATA_NAME, wanted, strlen(wanted));
	if (size < 0)
		return (int)size;
	while (size > 0 && text[size - 1] == '\n')
		text[--size] = '\0';
	wanted[strlen(wanted) - 1] = '\0';
	return strcmp(text, wanted) == 0 ? 0 : -EEXIST;
}

static int open_folder(struct seglog *log)
{
	char name[PARTITIONS_TOPIC_MAX + 16];

	(void)snprintf(name, sizeof(name), "%s-%" PRIu32, log->topic, log->partition);
	if (mkdirat(log->log_dir_fd, name, 0755) != 0 && errno != EEXIST)
		return -errno;
	log->dir_fd = openat(log->log_dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log->dir_fd < 0 || fsync(log->log_dir_fd) != 0)
		return -errno;
	return check_metadata(log);
}

/* ---- segments ---- */

static void link_segment(struct seglog *log, struct segment *segment)
{
	segment->prev = log->tail;
	if (log->tail != NULL)
		log->tail->next = segment;
	else
		log->first = segment;
	log->tail = segment;
}

static int open_segment(struct seglog *log, int64_t base)
{
	struct segment *segment;
	struct stat stat;
	int fd = segfile_open(log->dir_fd, base, O_RDWR | O_CREAT);

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) != 0) {
		int error = -errno;

		(void)close(fd); /* nothing was written */
		return error;
	}
	/* Larger than any position in an index: not one of ours. */
	if (stat.st_size > INT32_MAX) {
		(void)close(fd);
		return ERR_CORRUPT;
	}
	segment = retain_segment_new(MAX(log->segment_size, (uint32_t)stat.st_size), 0);
	if (segment == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	segment->fd = fd;
	segment->base = segment->end_offset = base;
	segment->size = (uint32_t)stat.st_size;
	segindex_begin(&segment->index, base);
	link_segment(log, segment);
	return 0;
}

/* What a walk over a segment found. */
struct extent {
	uint32_t end;   /* position after the last good batch */
	int64_t offset; /* one past its last offset */
};

/**
 * Walk a segment's batches from `pos`, adding them to its index, and to producers and epochs if wanted.
 *
 * @return 0 to the clean end (the file's, or zeroes); ERR_CORRUPT stopped at a bad batch; both with
 *         *ret_extent set. -errno
 */
static int walk(struct recovery *recovery, struct segment *segment, uint32_t pos, int64_t expected,
		bool with_state, struct extent *ret_extent)
{
	struct seglog *log = recovery->log;
	struct extent extent = { .end = pos, .offset = expected };
	const uint8_t *bytes;
	struct batch batch;
	int result;

	segscan_begin(&recovery->scan, segment->fd, pos, segment->size);
	while ((result = segscan_next(&recovery->scan, &batch, &bytes)) == 1) {
		bool is_next = log->settings.is_compacted ? batch.base_offset >= extent.offset
							  : batch.base_offset == extent.offset;

		if (!is_next || batch_last_offset(&batch) - segment->base > INT32_MAX) {
			result = ERR_CORRUPT;
			break;
		}
		segindex_add(&segment->index, extent.end, batch.size, batch_last_offset(&batch),
			     batch.max_timestamp);
		if (with_state) {
			producers_replay(&log->producers, &batch, recovery->args->now_ms);
			epochs_assign(&log->epochs, batch.leader_epoch, batch.base_offset);
		}
		extent.end += batch.size;
		extent.offset = batch_last_offset(&batch) + 1;
		recovery->found.scanned_size += batch.size;
	}
	if (result == 0 || result == ERR_CORRUPT)
		*ret_extent = extent;
	return result;
}

/* An index that was loaded in part may be a mapping of a file: begin with fresh memory. */
static int reset_index(struct segment *segment)
{
	segindex_fini(&segment->index);
	if (segindex_init(&segment->index, segment->prepare_max) != 0)
		return -ENOMEM;
	segindex_begin(&segment->index, segment->base);
	return 0;
}

/* Take over a rolled segment that was finished: its index from files, or made anew. */
static int load_rolled(struct recovery *recovery, struct segment *segment)
{
	struct seglog *log = recovery->log;
	struct extent extent;
	int error =
		segindex_load(&segment->index, log->dir_fd, segment->base, segment->size, false);

	segment->end_offset = segment->next->base;
	if (error == ERR_CORRUPT) {
		error = reset_index(segment);
		if (error == 0)
			error = walk(recovery, segment, 0, segment->base, false, &extent);
		if (error == 0 && extent.end != segment->size)
			error = ERR_CORRUPT;
		segindex_end(&segment->index);
		if (error == 0)
			error = segindex_save(&segment->index, log->dir_fd, true);
	}
	segment->durable = segment->size;
	segment->is_rolled = segment->is_done = segment->is_finished = error == 0;
	return error;
}

/* ---- producer snapshots ---- */

/* @return 0; -ENOENT there is none for `offset`; ERR_CORRUPT and kin; -errno */
static int load_snapshot(struct seglog *log, int64_t offset, int64_t now_ms)
{
	char name[SEGFILE_NAME_MAX];
	void *memory = malloc(SNAPSHOT_SIZE_MAX);
	int64_t size;
	int error;

	if (memory == NULL)
		return -ENOMEM;
	segfile_name(offset, ".snapshot", name);
	size = segfile_load(log->dir_fd, name, memory, SNAPSHOT_SIZE_MAX);
	error = size < 0 ? (int)size
			 : producers_decode(&log->producers, memory, (size_t)size, now_ms);
	free(memory);
	return error;
}

/* Snapshots that belong to no segment are of no further use; those above the end are wrong. */
static void remove_snapshots(struct seglog *log)
{
	int fd = openat(log->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		const struct segment *segment = log->first;
		int64_t offset;

		if (!segfile_name_parse(entry->d_name, ".snapshot", &offset))
			continue;
		while (segment != NULL && segment->base != offset)
			segment = segment->next;
		if (segment == NULL && offset != log->next_offset)
			(void)unlinkat(fd, entry->d_name, 0); /* stale, and harmless */
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* ---- after a clean stop ---- */

/* @return 0; anything else: the files are not as a clean stop leaves them, scan them */
static int open_clean(struct recovery *recovery)
{
	struct seglog *log = recovery->log;
	struct segment *tail = log->tail;
	struct extent extent;
	struct batch batch;
	const uint8_t *bytes;
	uint32_t pos;
	int error = 0;

	for (struct segment *segment = log->first; segment != tail && error == 0;
	     segment = segment->next)
		error = load_rolled(recovery, segment);
	if (error == 0)
		error = segindex_load(&tail->index, log->dir_fd, tail->base, tail->size, true);
	if (error != 0)
		return error;
	/* Only what follows the last entry is not covered by the index. */
	pos = segindex_find(&tail->index, INT64_MAX);
	extent.offset = tail->base;
	segscan_begin(&recovery->scan, tail->fd, pos, tail->size);
	while ((error = segscan_next(&recovery->scan, &batch, &bytes)) == 1)
		extent.offset = batch_last_offset(&batch) + 1;
	if (error != 0 || recovery->scan.pos != tail->size || extent.offset < tail->base)
		return ERR_CORRUPT;
	tail->end_offset = log->next_offset = extent.offset;
	return load_snapshot(log, log->next_offset, recovery->args->now_ms);
}

/* ---- after anything else ---- */

/* The segment to begin with: it holds the checkpoint, or an earlier one that a producer snapshot is
   there for, so that the producers' state is whole. */
static struct segment *first_to_scan(struct recovery *recovery)
{
	struct seglog *log = recovery->log;
	struct segment *segment = log->tail;

	while (segment->prev != NULL && segment->base > recovery->args->checkpoint_offset)
		segment = segment->prev;
	while (segment->prev != NULL &&
	       load_snapshot(log, segment->base, recovery->args->now_ms) != 0)
		segment = segment->prev;
	return segment;
}

/* Make durable what is there, then read it: to the end that the log will have. */
static int scan_all(struct recovery *recovery, struct segment *segment)
{
	struct seglog *log = recovery->log;
	struct extent extent = { 0 };
	int64_t expected = segment->base;
	bool is_followed;
	int error;

	for (;; segment = segment->next) {
		if (fdatasync(segment->fd) != 0)
			return -errno;
		error = reset_index(segment);
		if (error == 0)
			error = walk(recovery, segment, 0, expected, true, &extent);
		if (error != 0 && error != ERR_CORRUPT)
			return error;
		recovery->found.segments++;
		/* A rolled segment that was not trimmed ends in zeroes, or in what came of a batch that was
		   given up; the next goes on where it ends. */
		is_followed = segment->next != NULL && (segment->next->base == extent.offset ||
							(error == 0 && log->settings.is_compacted &&
							 segment->next->base > extent.offset));
		if (error == ERR_CORRUPT && !is_followed) /* prepared zeroes are no loss */
			recovery->found.truncated_size += segment->size - extent.end;
		segment->size = segment->durable = extent.end;
		segment->end_offset = expected = extent.offset;
		if (!is_followed)
			break;
	}
	recovery->stop = segment;
	log->next_offset = expected;
	return expected < recovery->args->checkpoint_offset ? ERR_CORRUPT : 0;
}

/* Remove the segments after the last good one. */
static void cut_segments(struct recovery *recovery)
{
	struct seglog *log = recovery->log;
	struct segment *segment = recovery->stop->next;
	struct segment *next;

	recovery->stop->next = NULL;
	log->tail = recovery->stop;
	for (; segment != NULL; segment = next) {
		next = segment->next;
		recovery->found.truncated_size += segment->size;
		retain_unlink(log->dir_fd, segment->base);
		retain_segment_free(segment);
	}
}

static int open_unclean(struct recovery *recovery)
{
	struct seglog *log = recovery->log;
	struct segment *first = first_to_scan(recovery);
	int error = 0;

	for (struct segment *segment = log->first; segment != first && error == 0;
	     segment = segment->next) {
		error = reset_index(segment);
		if (error == 0)
			error = load_rolled(recovery, segment);
	}
	if (error == 0)
		error = scan_all(recovery, first);
	if (error != 0)
		return error;
	cut_segments(recovery);
	for (struct segment *segment = first; segment != log->tail && error == 0;
	     segment = segment->next) {
		segindex_end(&segment->index);
		error = retain_finish(log, segment);
		segment->is_rolled = segment->is_done = true;
	}
	if (error == 0 &&
	    (ftruncate(log->tail->fd, log->tail->size) != 0 || fsync(log->tail->fd) != 0))
		error = -errno;
	/* Files of an earlier clean stop may name positions that are no longer batches. */
	if (error == 0)
		segindex_unlink(&log->tail->index, log->dir_fd);
	return error;
}

/* ---- the log ---- */

static int load_tail_block(struct seglog *log)
{
	const struct segment *tail = log->tail;
	uint32_t begin = ALIGN_DOWN(tail->size, SEGFILE_ALIGN);
	ssize_t got;

	if (begin == tail->size)
		return 0;
	got = pread(tail->fd, log->tail_block, SEGFILE_ALIGN, begin);
	if (got < 0)
		return -errno;
	return (uint32_t)got >= tail->size - begin ? 0 : ERR_CORRUPT;
}

static int settle(struct recovery *recovery)
{
	struct seglog *log = recovery->log;
	struct segment *tail = log->tail;
	int error;

	tail->durable = tail->size;
	/* Space is prepared anew from the next block on, when there is something to write. */
	tail->prepared = ALIGN_UP(tail->size, SEGFILE_ALIGN);
	tail->first_ms = tail->size > 0 ? recovery->args->now_ms : 0;
	log->unflushed = tail;
	log->start_offset = log->first->base;
	log->high_watermark = log->checkpoint_offset = log->next_offset;
	for (const struct segment *segment = log->first; segment != NULL; segment = segment->next)
		log->total_size += segment->size;
	epochs_truncate(&log->epochs, log->next_offset);
	if (log->epochs.count > 0)
		log->leader_epoch =
			MAX(log->leader_epoch, log->epochs.entries[log->epochs.count - 1].epoch);
	epochs_assign(&log->epochs, log->leader_epoch, log->next_offset);
	error = epochs_save(&log->epochs, log->dir_fd, log->start_offset);
	log->epochs_gone = epochs_first(&log->epochs, log->start_offset);
	if (error == 0)
		error = load_tail_block(log);
	if (error == 0 && fsync(log->dir_fd) != 0)
		error = -errno;
	if (error == 0)
		remove_snapshots(log);
	return error;
}

static int recover(struct recovery *recovery)
{
	struct seglog *log = recovery->log;
	int error = list_folder(recovery);

	if (error == 0 && recovery->count == 0)
		error = add_base(recovery, 0);
	for (size_t i = 0; i < recovery->count && error == 0; i++)
		error = open_segment(log, recovery->bases[i]);
	if (error == 0)
		error = epochs_load(&log->epochs, log->dir_fd);
	if (error != 0)
		return error;
	if (!recovery->args->was_clean || open_clean(recovery) != 0) {
		for (struct segment *segment = log->first; segment != NULL; segment = segment->next)
			segment->is_rolled = segment->is_done = segment->is_finished = false;
		error = open_unclean(recovery);
	}
	return error == 0 ? settle(recovery) : error;
}

static struct seglog *log_new(const struct seglog_open_args *args)
{
	struct seglog *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->magic = SEGLOG_MAGIC;
	log->dir_fd = -1;
	log->log_dir_fd = args->log_dir_fd;
	log->topic_id = args->topic_id;
	log->partition = args->partition;
	log->leader_epoch = args->leader_epoch;
	log->cell = args->cell;
	log->chunk_size = CHUNK_SIZE_MIN;
	log->ahead = SEGLOG_PREPARE_MIN;
	log->is_discarded = args->is_discarded;
	log->fill = args->fill;
	log->recycled.fd = -1;
	log->readers = args->readers;
	log->append_ms = args->now_ms;
	(void)snprintf(log->topic, sizeof(log->topic), "%s", args->topic);
	list_init(&log->chunks);
	list_init(&log->quiet);
	seglog_configure(log, &args->settings);
	if (producers_init(&log->producers) != 0 ||
	    posix_memalign((void **)&log->tail_block, SEGFILE_ALIGN, SEGFILE_ALIGN) != 0) {
		producers_fini(&log->producers);
		free(log);
		return NULL;
	}
	memset(log->tail_block, 0, SEGFILE_ALIGN);
	return log;
}

int seglog_open(const struct seglog_open_args *args, struct seglog **ret_log,
		struct seglog_recovery *ret_recovery)
{
	struct recovery recovery = { .log = log_new(args), .args = args, .scan.fd = -1 };
	int error = -ENOMEM;

	if (recovery.log == NULL)
		return error;
	error = open_folder(recovery.log);
	if (error == 0)
		error = recover(&recovery);
	free(recovery.bases);
	segscan_fini(&recovery.scan);
	if (error == ERR_CORRUPT) {
		recovery.log->error = ERR_OFFLINE;
	} else if (error != 0) {
		retain_free(recovery.log);
		return error;
	}
	*ret_log = recovery.log;
	*ret_recovery = recovery.found;
	return error;
}

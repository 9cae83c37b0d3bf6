/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The housekeeper's part of a log: files and zeroed space ahead of the tail, the end of rolled
 * segments, retention, clean close.
 */
#include "storage/retain.h"

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
#include "storage/seglog_impl.h"

#define BULK_BYTES_PER_MS     32768  /* 32 MB/s of one log */
#define BULK_BYTES_PER_MS_ALL 131072 /* 128 MB/s of all logs */
#define FILL_MS               1000   /* their rate is that of so long */
#define BUSY_MS               1000   /* prepared again within this: prepare more */
#define CALM_MS               10000  /* not for this long: half as much */
#define IDLE_MS               5000 /* no append for this long: the ring may have the last chunk back */

/* ---- segment objects ---- */

struct segment *retain_segment_new(uint32_t segment_size, uint32_t producers)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (segment == NULL)
		return NULL;
	segment->fd = -1;
	segment->slot = -1;
	segment->prepare_max = ALIGN_UP(segment_size, SEGFILE_ALIGN);
	segment->snapshot_max = (uint32_t)PRODUCERS_SNAPSHOT_SIZE(producers);
	segment->snapshot = malloc(segment->snapshot_max);
	if (segment->snapshot == NULL || segindex_init(&segment->index, segment_size) != 0) {
		free(segment->snapshot);
		free(segment);
		return NULL;
	}
	return segment;
}

void retain_segment_free(struct segment *segment)
{
	if (segment == NULL)
		return;
	if (segment->fd >= 0)
		(void)close(segment->fd); /* every write was answered by its own fsync */
	segindex_fini(&segment->index);
	free(segment->snapshot);
	free(segment);
}

void retain_free(struct seglog *log)
{
	struct segment *next;

	if (log == NULL)
		return;
	CHECK(log->core == NULL);
	for (struct segment *segment = log->first; segment != NULL; segment = next) {
		next = segment->next;
		retain_segment_free(segment);
	}
	for (struct segment *segment = log->doomed; segment != NULL; segment = next) {
		next = segment->doomed_next;
		retain_segment_free(segment);
	}
	retain_segment_free(log->spare);
	producers_fini(&log->producers);
	free(log->tail_block);
	if (log->recycled.fd >= 0)
		(void)close(log->recycled.fd); /* nothing of it is wanted */
	if (log->dir_fd >= 0)
		(void)close(log->dir_fd); /* a folder */
	log->magic = 0;
	free(log);
}

/* ---- files ahead of the tail ---- */

static int make_file(struct seglog *log, struct segment *segment)
{
	char name[SEGFILE_NAME_MAX];
	uint32_t prepared = 0;
	int fd = recycle_take(log, segment, &prepared);
	int error = 0;

	if (fd < 0)
		fd = segfile_open(log->dir_fd, segment->base, O_RDWR | O_CREAT);
	if (fd < 0)
		return fd;
	/* The file itself goes with its first space, its name with the snapshot's. */
	if (segment->snapshot_size > 0) {
		segfile_name(segment->base, ".snapshot", name);
		error = segfile_replace(log->dir_fd, name, segment->snapshot,
					segment->snapshot_size);
	} else if (fsync(log->dir_fd) != 0) {
		error = -errno;
	}
	if (error != 0) {
		(void)close(fd); /* nothing is in it that counts */
		return error;
	}
	segment->is_recycled = prepared > 0;
	__atomic_store_n(&segment->prepared, prepared, __ATOMIC_RELEASE);
	__atomic_store_n(&segment->fd, fd, __ATOMIC_RELEASE);
	return 0;
}

/* @return the rate at which all logs fill space, bytes a millisecond */
static uint64_t fill_rate(struct seglog_fill *fill, int64_t now_ms)
{
	int64_t since_ms;

	if (fill == NULL)
		return 0;
	since_ms = now_ms - fill->begin_ms;
	if (since_ms < 0 || since_ms >= FILL_MS) {
		fill->rate = since_ms > 0 ? fill->bytes / (uint64_t)since_ms : 0;
		fill->begin_ms = now_ms;
		fill->bytes = 0;
	}
	return MAX(fill->rate, fill->bytes / FILL_MS);
}

/*
 * How far to prepare ahead follows the log's rate: more when the space was used up soon. Where all logs
 * together are fast, that takes few steps: each is a piece of the disk by itself, and of more than a few
 * pieces the file system keeps a list outside of the inode, which each commit writes again. A log that is
 * slow itself gets no more for it: a thousand of these must not fill the disk with reserved space.
 */
static void adapt_ahead(struct seglog *log, uint64_t rate, int64_t now_ms)
{
	uint32_t ahead = log->ahead;

	if (now_ms - log->prepared_ms < BUSY_MS)
		ahead = MIN(ahead * (rate >= BULK_BYTES_PER_MS_ALL ? 16 : 2), SEGLOG_PREPARE_MAX);
	else if (now_ms - log->prepared_ms > CALM_MS)
		ahead = MAX(ahead / 2, SEGLOG_PREPARE_MIN);
	log->prepared_ms = now_ms;
	__atomic_store_n(&log->ahead, ahead, __ATOMIC_RELAXED);
}

/*
 * What is missing was filled since the last time. Zeroing as much as that would take half of the disk from
 * a log that is written to so fast, or from many whose sum is. Else zeroes are worth it: a small commit
 * into reserved space waits for the file system.
 */
static bool is_bulk(const struct seglog *log, uint32_t missing, int64_t since_ms, uint64_t rate)
{
	return rate >= BULK_BYTES_PER_MS_ALL ||
	       (log->ahead == SEGLOG_PREPARE_MAX && missing >= since_ms * BULK_BYTES_PER_MS);
}

static int prepare(struct seglog *log, struct segment *segment, int64_t now_ms)
{
	bool is_rolled = __atomic_load_n(&segment->is_rolled, __ATOMIC_ACQUIRE);
	uint32_t size = __atomic_load_n(&segment->size, __ATOMIC_ACQUIRE);
	uint32_t least = ALIGN_UP(size, SEGFILE_ALIGN);
	uint32_t prepared = segment->prepared;
	int64_t before_ms = log->prepared_ms;
	uint32_t target;
	uint64_t rate;
	int error = 0;

	/* A quarter of the step is the least worth a round of its own. */
	if (prepared >= least && (is_rolled || size == 0 ||
				  prepared >= MIN(size + log->ahead / 4 * 3, segment->prepare_max)))
		return 0;
	rate = fill_rate(log->fill, now_ms);
	if (!is_rolled)
		adapt_ahead(log, rate, now_ms);
	target = is_rolled ? least : MIN(least + log->ahead, segment->prepare_max);
	target = MAX(target, least);
	if (log->fill != NULL)
		log->fill->bytes += target - prepared;
	if (!log->is_discarded)
		error = is_bulk(log, target - prepared, now_ms - before_ms, rate)
				? segfile_reserve(segment->fd, prepared, target)
				: segfile_prepare(segment->fd, prepared, target);
	if (error == 0)
		__atomic_store_n(&segment->prepared, target, __ATOMIC_RELEASE);
	return error;
}

int retain_finish(struct seglog *log, struct segment *segment)
{
	int error;

	if (ftruncate(segment->fd, segment->size) != 0 || fsync(segment->fd) != 0)
		return -errno;
	error = segindex_save(&segment->index, log->dir_fd, true);
	if (error == 0 && fsync(log->dir_fd) != 0)
		error = -errno;
	segment->is_finished = error == 0;
	return error;
}

static void note_errors(struct seglog *log)
{
	int error = log->space_error != 0 ? log->space_error : log->finish_error;

	if (error == -ENOSPC)
		recycle_drop(log);
	__atomic_store_n(&log->prepare_error, error, __ATOMIC_RELEASE);
}

static void finish_segments(struct seglog *log)
{
	struct segment *segment = __atomic_load_n(&log->first, __ATOMIC_ACQUIRE);
	int error = 0;

	for (; segment != NULL && error == 0;
	     segment = __atomic_load_n(&segment->next, __ATOMIC_ACQUIRE)) {
		if (!segment->is_finished && segment->fd >= 0 &&
		    __atomic_load_n(&segment->is_done, __ATOMIC_ACQUIRE))
			error = retain_finish(log, segment);
	}
	log->finish_error = error;
	note_errors(log);
}

static void make_spare(struct seglog *log)
{
	uint32_t segment_size = __atomic_load_n(&log->segment_size, __ATOMIC_RELAXED);
	struct segment *spare;

	if (__atomic_load_n(&log->spare, __ATOMIC_ACQUIRE) != NULL)
		return;
	/* Without memory the roll waits; it asks again. */
	spare = retain_segment_new(segment_size,
				   2 * __atomic_load_n(&log->producers.count, __ATOMIC_RELAXED) +
					   PRODUCERS_SLOTS_MIN);
	__atomic_store_n(&log->spare, spare, __ATOMIC_RELEASE);
}

void seglog_prepare(struct seglog *log, int64_t now_ms)
{
	struct segment *segment = __atomic_load_n(&log->first, __ATOMIC_ACQUIRE);
	int error = 0;

	CHECK_OBJ(log, SEGLOG_MAGIC);
	__atomic_store_n(&log->is_asked, false, __ATOMIC_SEQ_CST);
	if (seglog_error(log) != 0)
		return;
	for (; segment != NULL && error == 0;
	     segment = __atomic_load_n(&segment->next, __ATOMIC_ACQUIRE)) {
		if (segment->is_finished)
			continue;
		if (segment->fd < 0)
			error = make_file(log, segment);
		if (error == 0 && !__atomic_load_n(&segment->is_done, __ATOMIC_ACQUIRE))
			error = prepare(log, segment, now_ms);
	}
	log->space_error = error;
	note_errors(log);
	make_spare(log);
	producers_housekeep(&log->producers);
}

/* ---- retention ---- */

/* Kafka's rule: the largest timestamp of the segment, or when it was written if it has none. */
static bool is_expired(const struct segment *segment, int64_t retention_ms, int64_t now_ms)
{
	int64_t newest = __atomic_load_n(&segment->index.max_timestamp, __ATOMIC_RELAXED);

	if (newest < 0)
		newest = segment->first_ms;
	return retention_ms >= 0 && now_ms - newest > retention_ms;
}

/*
 * The first segment that stays takes batches, and has only records that are due: it is rolled so that
 * they can go, as Kafka does it, or a log that nobody writes to would keep its last records for ever.
 */
static bool roll_expired(struct seglog *log, const struct segment *segment, int64_t retention_ms,
			 int64_t now_ms)
{
	uint32_t size = __atomic_load_n(&segment->size, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&segment->is_rolled, __ATOMIC_ACQUIRE) || size == 0 ||
	    __atomic_load_n(&segment->durable, __ATOMIC_ACQUIRE) != size ||
	    !is_expired(segment, retention_ms, now_ms))
		return false;
	__atomic_store_n(&log->roll_offset, __atomic_load_n(&segment->end_offset, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
	return true;
}

/* @return whether the log's start should move, which is the core's to do */
static bool retain(struct seglog *log, int64_t now_ms)
{
	int64_t retention_ms = __atomic_load_n(&log->retention_ms, __ATOMIC_RELAXED);
	int64_t retention_size = __atomic_load_n(&log->retention_size, __ATOMIC_RELAXED);
	int64_t size = __atomic_load_n(&log->total_size, __ATOMIC_ACQUIRE);
	struct segment *segment = __atomic_load_n(&log->first, __ATOMIC_ACQUIRE);
	bool has_work = false;
	int64_t start = 0;

	for (; segment != NULL && segment->is_finished;
	     segment = __atomic_load_n(&segment->next, __ATOMIC_ACQUIRE)) {
		bool is_over = retention_size >= 0 && size - segment->size >= retention_size;

		if (!is_over && !is_expired(segment, retention_ms, now_ms))
			break;
		size -= segment->size;
		start = segment->end_offset;
	}
	if (segment != NULL)
		has_work = roll_expired(log, segment, retention_ms, now_ms);
	if (start <= __atomic_load_n(&log->start_offset, __ATOMIC_ACQUIRE))
		return has_work;
	__atomic_store_n(&log->retain_offset, start, __ATOMIC_RELEASE);
	return true;
}

/* Once after each last append: the ring may have the tail chunk back. */
static bool note_idle(struct seglog *log, int64_t now_ms)
{
	int64_t append_ms = __atomic_load_n(&log->append_ms, __ATOMIC_RELAXED);

	if (append_ms == log->idle_append_ms || now_ms - append_ms <= IDLE_MS)
		return false;
	log->idle_append_ms = append_ms;
	__atomic_store_n(&log->is_idle, true, __ATOMIC_RELEASE);
	return true;
}

void retain_unlink(int dir_fd, int64_t base)
{
	static const char *const suffixes[] = { ".log", ".index", ".timeindex", ".snapshot" };
	char name[SEGFILE_NAME_MAX], deleted[SEGFILE_NAME_MAX + 16];

	for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
		segfile_name(base, suffixes[i], name);
		(void)snprintf(deleted, sizeof(deleted), "%s.deleted", name);
		if (renameat(dir_fd, name, dir_fd, deleted) == 0)
			(void)unlinkat(dir_fd, deleted, 0); /* the next start tries again */
	}
}

/* Failing leaves older epochs in the file, as a kill does; the next start writes it anew. */
static void forget_epochs(struct seglog *log)
{
	int64_t start = seglog_start_offset(log);
	uint32_t first = epochs_first(&log->epochs, start);

	if (first != log->epochs_gone && epochs_save(&log->epochs, log->dir_fd, start) == 0)
		log->epochs_gone = first;
}

static void delete_doomed(struct seglog *log, int64_t now_ms)
{
	struct segment *segment = __atomic_exchange_n(&log->doomed, NULL, __ATOMIC_ACQ_REL);
	struct segment *next;

	if (segment == NULL)
		return;
	for (; segment != NULL; segment = next) {
		next = segment->doomed_next;
		if (next == NULL) /* one is enough */
			recycle_offer(log, segment, now_ms);
		retain_unlink(log->dir_fd, segment->base);
		retain_segment_free(segment);
	}
	forget_epochs(log);
	/* The one that is kept was the oldest, and lost its name durably after all others. */
	if (log->recycled.fd < 0)
		(void)fsync(log->dir_fd); /* a deletion that is lost is repeated */
}

/* Up to where recovery need not look: rolled segments whose end is not written yet are looked at. */
static void note_checkpoint(struct seglog *log)
{
	int64_t offset = seglog_high_watermark(log);

	for (struct segment *segment = __atomic_load_n(&log->first, __ATOMIC_ACQUIRE);
	     segment != NULL; segment = __atomic_load_n(&segment->next, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&segment->is_rolled, __ATOMIC_ACQUIRE) &&
		    !segment->is_finished) {
			offset = MIN(offset, segment->base);
			break;
		}
	}
	__atomic_store_n(&log->checkpoint_offset, offset, __ATOMIC_RELEASE);
}

int64_t seglog_checkpoint_offset(const struct seglog *log)
{
	return __atomic_load_n(&log->checkpoint_offset, __ATOMIC_ACQUIRE);
}

bool seglog_housekeep(struct seglog *log, int64_t now_ms)
{
	bool has_work = false;

	seglog_prepare(log, now_ms);
	if (seglog_error(log) == ERR_OFFLINE)
		return false;
	if (seglog_error(log) == 0) {
		finish_segments(log);
		has_work = retain(log, now_ms);
	}
	delete_doomed(log, now_ms);
	recycle_tend(log, now_ms);
	note_checkpoint(log);
	return note_idle(log, now_ms) || has_work;
}

/* ---- the end ---- */

static int save_snapshot(struct seglog *log)
{
	size_t size = PRODUCERS_SNAPSHOT_SIZE(log->producers.count);
	char name[SEGFILE_NAME_MAX];
	void *memory = malloc(size);
	int64_t used;
	int error;

	if (memory == NULL)
		return -ENOMEM;
	used = producers_encode(&log->producers, memory, size);
	CHECK(used == (int64_t)size);
	segfile_name(log->next_offset, ".snapshot", name);
	error = segfile_replace(log->dir_fd, name, memory, size);
	free(memory);
	return error;
}

static int close_clean(struct seglog *log)
{
	int error = 0;

	for (struct segment *segment = log->first; segment != NULL && error == 0;
	     segment = segment->next) {
		if (segment->durable != segment->size)
			return log->prepare_error != 0 ? log->prepare_error : -EIO;
		if (segment->fd < 0)
			error = make_file(log, segment);
		if (segment == log->tail)
			segindex_end(&segment->index);
		if (error == 0 && !segment->is_finished)
			error = retain_finish(log, segment);
	}
	if (error == 0)
		error = epochs_save(&log->epochs, log->dir_fd, log->start_offset);
	if (error == 0)
		error = save_snapshot(log);
	return error;
}

int seglog_close(struct seglog *log)
{
	int error;

	CHECK_OBJ(log, SEGLOG_MAGIC);
	CHECK(log->core == NULL);
	error = log->error;
	if (error == 0) {
		delete_doomed(log, 0);
		error = close_clean(log);
	}
	recycle_drop(log);
	retain_free(log);
	return error;
}

void seglog_destroy(struct seglog *log)
{
	char name[PARTITIONS_TOPIC_MAX + 16], deleted[PARTITIONS_TOPIC_MAX + 64];
	char id[UUID_TEXT_SIZE];
	const struct dirent *entry;
	DIR *dir;
	int fd;

	CHECK_OBJ(log, SEGLOG_MAGIC);
	uuid_format(&log->topic_id, id);
	(void)snprintf(name, sizeof(name), "%s-%" PRIu32, log->topic, log->partition);
	(void)snprintf(deleted, sizeof(deleted), "%s-%" PRIu32 ".%s-delete", log->topic,
		       log->partition, id);
	/* Out of the way under its old name at once, whatever happens to the files. */
	if (renameat(log->log_dir_fd, name, log->log_dir_fd, deleted) != 0)
		memcpy(deleted, name, sizeof(name));
	fd = openat(log->log_dir_fd, deleted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(fd, entry->d_name, 0); /* what stays is seen by the rmdir */
	}
	if (dir != NULL)
		(void)closedir(dir);
	(void)unlinkat(log->log_dir_fd, deleted, AT_REMOVEDIR);
	(void)fsync(log->log_dir_fd); /* a deletion that is lost is repeated */
	retain_free(log);
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One partition's log: ring chunks in memory, Kafka segment files on disk.
 *
 * Positions, low to high: start offset <= high watermark = durable end <= next offset (end of what
 * is committed to the ring) <= open reservation. Consumers see only what lies below the high
 * watermark. Files are opened O_DIRECT; at most one flush is in flight; a flush is plain writes of
 * prepared space (zeroed, reserved or recycled), all awaited, then one fsync. A failed or short write
 * poisons the log.
 *
 * Two threads touch a log: the owning core (everything marked "owning core") and the housekeeper
 * (seglog_open(), seglog_housekeep(), seglog_close()), which does all that may block: creating and
 * zeroing files ahead of the tail, writing indexes and checkpoints, deleting old segments. They meet
 * in a few atomics, documented in seglog_impl.h.
 *
 * Memory: chunks of the core's pool; index entries in reserved address space. Source: DESIGN 4.
 */
#pragma once

#include "base/counters.h"
#include "base/defs.h"
#include "base/list.h"
#include "base/uuid.h"
#include "storage/batch.h"
#include "storage/chunk.h"
#include "storage/uring.h"

struct hist;
struct seglog;
struct partition_cell; /* storage/partitions.h: what readers in other processes see */

/** Per-topic settings a log obeys; Kafka's topic configuration names. */
struct seglog_settings {
	uint32_t segment_size;     /* segment.bytes */
	int64_t segment_ms;        /* segment.ms */
	int64_t retention_ms;      /* -1: no limit */
	int64_t retention_size;    /* -1: no limit */
	uint32_t message_size_max; /* max.message.bytes */
	bool append_time;          /* message.timestamp.type = LogAppendTime */
	bool is_compacted;         /* cleanup.policy has compact: retention never deletes */
};

/** How fast the logs of one disk fill the space that is prepared for them; zero at first. */
struct seglog_fill {
	int64_t begin_ms; /* of the second that is being counted */
	uint64_t bytes;   /* in it so far */
	uint64_t rate;    /* of the last one, bytes a millisecond */
};

struct seglog_open_args {
	int log_dir_fd;    /* Kafka log directory; <topic>-<partition> is made in it */
	const char *topic; /* zero-terminated, checked name */
	struct uuid topic_id;
	uint32_t partition;
	int32_t leader_epoch; /* epoch for new batches; an unclean start passes a raised one */
	struct seglog_settings settings;
	int64_t checkpoint_offset; /* recovery point from the checkpoint; 0: none */
	bool was_clean;            /* the directory was closed cleanly: no scan */
	bool is_discarded; /* nothing is written: only the ring has the records (log.discard) */
	struct seglog_fill *fill; /* the housekeeper's, for all its logs; NULL: each for itself */
	struct partition_cell *cell;      /* published positions; NULL in tests */
	const struct partitions *readers; /* whose leases say who reads files; NULL: nobody does */
	int64_t now_ms;
};

/** What recovery found, for the start-up report. */
struct seglog_recovery {
	uint64_t scanned_size;   /* bytes read and checked */
	uint64_t truncated_size; /* bytes cut above the checkpoint */
	uint32_t segments;
};

/**
 * Write what a killed process left in its ring to `<topic>-<partition>/<segment base>.log`, before
 * seglog_open(), which makes it durable and checks it like everything else.
 *
 * @param topic  zero-terminated name of the remains' topic id
 * @return 0; -ENOENT the partition's folder is gone: the topic was deleted; -errno
 * @context start, before any core runs; blocks
 */
NODISCARD int seglog_salvage_write(int log_dir_fd, const char *topic,
				   const struct chunk_remains *remains);

/**
 * Open or create a partition and recover it (ring remains were written to its files before).
 *
 * @context housekeeper; blocks
 * @return 0; ERR_CORRUPT damage below the checkpoint: the log is opened offline, ret_log is set and
 *         answers ERR_OFFLINE; -EEXIST the folder belongs to another topic id; -errno: nothing was
 *         opened
 */
NODISCARD int seglog_open(const struct seglog_open_args *args, struct seglog **ret_log,
			  struct seglog_recovery *ret_recovery);

/** What the owning core gives each of its logs; `log_count` and `quiet` are theirs. */
struct seglog_core {
	struct chunk_pool *chunks;
	struct uring *uring;
	struct counters *counters;
	struct hist *flush_ns; /* submit to durable; NULL: not measured */
	void *ctx;
	/** The high watermark moved, or the log was poisoned. */
	void (*on_durable)(void *ctx, struct seglog *log);
	/** The log wants seglog_housekeep(); asked once until it has run. */
	void (*on_housekeep)(void *ctx, struct seglog *log);
	uint32_t log_count;
	struct list
		quiet; /* logs in the order of their last commits: whose tails go when memory is short */
};

/** The rest of `core` is set, and it stays where it is. @context owning core, before the first seglog_attach() */
void seglog_core_init(struct seglog_core *core);

/** Largest batch: what one chunk can hold when it is read back from an unaligned file position. */
#define SEGLOG_BATCH_SIZE_MAX (CHUNK_SIZE_MAX - 4096)

/** Hand the log to its core. @context owning core. @return 0; -ENFILE */
NODISCARD int seglog_attach(struct seglog *log, struct seglog_core *core, void *owner);

/**
 * Let go of the core, after flushing what is in the ring (which may need seglog_housekeep()).
 *
 * @return true once nothing is in flight; call again after uring_poll(). @context owning core
 */
bool seglog_detach(struct seglog *log);

/**
 * Clean stop: trim files to their valid bytes, write indexes, producer snapshot, leader epochs; the
 * log is freed.
 *
 * @return 0; else the partition is not clean (offline, poisoned, bytes that could not be written,
 *         -errno) and the next start has to recover it
 * @context housekeeper, after detach
 */
NODISCARD int seglog_close(struct seglog *log);

/** Remove a deleted topic's partition from disk and free the log. @context housekeeper, after detach */
void seglog_destroy(struct seglog *log);

/**
 * Only what appends wait for: files, space and segments ahead of the tail. The rest of seglog_housekeep() is
 * to follow when there is time; when it had been asked the owning core calls seglog_flush() afterwards.
 *
 * @context housekeeper; blocks
 */
void seglog_prepare(struct seglog *log, int64_t now_ms);

/**
 * Do what the owning core asked for, and retention. Run it when on_housekeep() asked, and now and then
 * (every second or so) for each log; when it had been asked the owning core calls seglog_flush()
 * afterwards.
 *
 * @return true: the owning core has something to do, although it did not ask: call seglog_flush() there
 * @context housekeeper; blocks
 */
bool seglog_housekeep(struct seglog *log, int64_t now_ms);

/** @return offset up to which everything is durable and indexed, for the recovery-point checkpoint */
int64_t seglog_checkpoint_offset(const struct seglog *log);

/* ---- append (owning core) ---- */

/**
 * Open a reservation of `size` bytes at the tail; rolls the segment when it would overflow.
 *
 * @param size  whole batch, BATCH_HEADER_SIZE to SEGLOG_BATCH_SIZE_MAX
 * @return 0; -EBUSY another reservation is open; -EAGAIN no ring memory, retry after a flush;
 *         -ENOSPC the disk is full; ERR_TOO_LARGE; ERR_POISONED, ERR_OFFLINE
 */
NODISCARD int seglog_reserve(struct seglog *log, uint32_t size, int64_t now_ms);

/**
 * Where byte `at` of the reservation goes.
 *
 * @param[out] ret_size  contiguous bytes there, at least 1, at most to the reservation's end
 */
uint8_t *seglog_room(struct seglog *log, uint32_t at, uint32_t *ret_size);

struct seglog_appended {
	int64_t base_offset;
	int64_t append_time; /* ms; -1 unless the topic uses LogAppendTime */
};

/**
 * Close the reservation: all its bytes are there and their checksum was verified. Checks producer
 * id, epoch and sequence; assigns offsets; patches the header; from now on flushed and kept.
 * A duplicate is durable when the high watermark has passed its offsets, like any other append.
 *
 * @param batch  decoded header
 * @return 0; ERR_DUPLICATE nothing appended, ret holds the first append's answer; ERR_OUT_OF_ORDER;
 *         ERR_FENCED; ERR_POISONED. On failure the reservation is abandoned.
 */
NODISCARD int seglog_commit(struct seglog *log, const struct batch *batch, int64_t now_ms,
			    struct seglog_appended *ret_appended);

/** Give the reservation up; nothing of it becomes visible. */
void seglog_abandon(struct seglog *log);

/** @return whether a reservation is open */
bool seglog_is_reserved(const struct seglog *log);

/**
 * Start a flush if there is something to flush and none is in flight; cheap otherwise. The next one
 * starts by itself when one ends.
 *
 * @return true when the submission queue was full: call again on the next turn
 */
bool seglog_flush(struct seglog *log);

/* ---- positions (owning core) ---- */

int64_t seglog_start_offset(const struct seglog *log);
int64_t seglog_high_watermark(const struct seglog *log);
int64_t seglog_last_stable_offset(const struct seglog *log);
int64_t seglog_next_offset(const struct seglog *log);
int32_t seglog_leader_epoch(const struct seglog *log);
int64_t seglog_size(const struct seglog *log); /* bytes of all segments */
int seglog_error(const struct seglog *log);    /* 0, ERR_POISONED, ERR_OFFLINE */
void *seglog_owner(const struct seglog *log);
const struct seglog_settings *seglog_settings(const struct seglog *log);
/** New topic configuration. */
void seglog_configure(struct seglog *log, const struct seglog_settings *settings);

/**
 * Last offset + 1 of `epoch` (KIP-279): the start of the next epoch, or the high watermark for the
 * present one.
 *
 * @param[out] ret_epoch  largest known epoch <= `epoch`; -1: none
 */
int64_t seglog_epoch_end(const struct seglog *log, int32_t epoch, int32_t *ret_epoch);

/**
 * First step of a search by time: an offset before which every batch is older than `timestamp`. Read
 * forward from there to the first batch whose max_timestamp reaches it.
 *
 * @return start offset to next offset
 */
int64_t seglog_find_time(const struct seglog *log, int64_t timestamp);

/* ---- read (owning core) ---- */

#define SEGLOG_SLICES_MAX 64

struct seglog_slice {
	const uint8_t *bytes;
	uint32_t size;
	struct chunk *chunk; /* one reference held */
};

struct seglog_read {
	/* set by the caller */
	int64_t offset;    /* first record wanted */
	uint32_t size_max; /* bytes; the first batch is returned whole even when larger */
	int64_t limit;     /* only batches whose records all lie below this offset */
	void (*done)(struct seglog_read *read, int error); /* only after -EINPROGRESS */
	void *owner;
	/* result */
	struct seglog_slice slices[SEGLOG_SLICES_MAX];
	uint32_t slice_count;
	uint32_t size; /* bytes in the slices: whole batches, the first may begin before `offset` */
	/* private */
	struct seglog_cold *cold; /* NULL: nothing in flight */
};

/**
 * Find whole batches: from the ring at once when they are there, else from the files.
 *
 * @return 0 result is there (size 0: nothing below `limit` yet); -EINPROGRESS done() will be called;
 *         ERR_OFFSET_RANGE; -EAGAIN no memory for a cold read now; ERR_OFFLINE, ERR_POISONED
 */
NODISCARD int seglog_read(struct seglog *log, struct seglog_read *read);

/** Drop the references of a finished read. */
void seglog_read_release(struct seglog_read *read);

/** Forget a read in progress: done() is not called any more, and the struct may go at once. */
void seglog_read_cancel(struct seglog_read *read);

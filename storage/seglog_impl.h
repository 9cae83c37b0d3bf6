/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of a partition's log; for the files that implement storage/seglog.h alone.
 *
 * Who may touch what. Fields belong to the owning core unless marked:
 *   fixed   set by seglog_open(), never changed while a core has the log
 *   atomic  written by one side (named), read by both with acquire and release
 *   cold    the housekeeper's own
 * Segments are made and freed by the housekeeper only. A life of one, and who moves it on:
 *   spare (housekeeper) > tail: in the list, taking batches (core) > rolled: takes no more (core) >
 *   done: all durable, out of the ring's file table (core) > finished: trimmed, indexes and producer
 *   snapshot written (housekeeper) > doomed: below the log's start, out of the list, no read in
 *   flight (core) > renamed, unlinked or its file kept for another (recycle.h), freed (housekeeper).
 * The list only grows at its tail and shrinks at its head, and what leaves the list stays valid until
 * the housekeeper frees it, so the housekeeper may walk it while the core changes it.
 *
 * Context and memory: see storage/seglog.h.
 */
#pragma once

#include "base/check.h"
#include "storage/epochs.h"
#include "storage/partitions.h"
#include "storage/producers.h"
#include "storage/segfile.h"
#include "storage/segindex.h"
#include "storage/seglog.h"

#define SEGLOG_MAGIC 0x5e610901U

#define SEGLOG_FLUSH_WRITES 16 /* writes of one log in flight */
#define SEGLOG_COLD_READS   8  /* file reads of one log in flight */

#define SEGLOG_PREPARE_MIN (64U * 1024) /* zeroed ahead of a quiet tail */
#define SEGLOG_PREPARE_MAX (16U * 1024 * 1024)

struct segment {
	struct segment *next; /* atomic: core */
	struct segment *prev;
	int64_t base;                /* set before it enters the list, then fixed */
	int64_t end_offset;          /* one past its last offset; atomic: core */
	int64_t first_ms;            /* wall clock of the first append; 0: empty */
	uint32_t size;               /* committed bytes; atomic: core */
	uint32_t durable;            /* durable bytes; atomic: core */
	int slot;                    /* in the ring's file table; -1: none */
	uint32_t reads;              /* cold reads in flight */
	bool is_rolled;              /* atomic: core */
	bool is_done;                /* atomic: core */
	bool is_doomed;              /* left the list */
	int fd;                      /* O_DIRECT; -1: not made yet; atomic: housekeeper */
	uint32_t prepared;           /* durable file space to write to; atomic: housekeeper */
	uint32_t prepare_max;        /* fixed: space is zeroed ahead up to here */
	bool is_recycled;            /* its file has older bytes; set before `fd` */
	bool is_finished;            /* cold */
	struct segment *doomed_next; /* atomic: core */
	struct segindex index;
	uint8_t *snapshot; /* producer state at `base`, encoded by the core when it began */
	uint32_t snapshot_max;
	uint32_t snapshot_size; /* 0: none */
};

/** One write of a flush. */
struct seglog_write {
	struct uring_event event;
	struct seglog *log;
	uint32_t size; /* 0: not in flight */
};

/** One file read; outlives its `struct seglog_read` when that is cancelled. */
struct seglog_cold {
	struct uring_event event;
	struct seglog *log;
	struct seglog_read *read; /* NULL: cancelled, or not there yet */
	struct segment *segment;  /* NULL: not in use */
	struct chunk *chunk;      /* where the bytes go */
	uint32_t pos;             /* batch boundary to begin at */
	uint32_t read_pos; /* `pos` rounded down to SEGFILE_ALIGN: file position of chunk->mem */
	uint32_t end;      /* kept: file position behind the bytes */
	int64_t offset; /* ahead and kept: who reads on from here wants the batches from `pos` on */
	bool is_stream; /* its reader went on where another read ended */
	bool is_ahead;  /* begun for who reads on */
	bool is_kept;   /* nothing in flight: the chunk has whole batches from `pos` on */
};

struct seglog_flush {
	struct segment *segment; /* NULL: none under way */
	struct chunk *chunk;     /* holds `cursor` */
	uint32_t cursor;         /* next position to write */
	uint32_t end;            /* write up to here, aligned */
	uint32_t to_pos;         /* durable afterwards */
	int64_t to_offset;
	uint32_t pending; /* operations in flight */
	bool is_syncing;
	int error;
	int64_t begin_ns;
	struct uring_event sync_event;
	struct seglog_write writes[SEGLOG_FLUSH_WRITES];
};

/** A deleted segment's file, see recycle.h. */
struct seglog_recycled {
	int fd; /* -1: none */
	uint32_t size;
	int64_t base;
	int64_t since_ms;
};

struct seglog {
	uint32_t magic;
	int error; /* 0, ERR_POISONED, ERR_OFFLINE; atomic: core */
	struct seglog_core *core;
	struct list quiet; /* on the core's */
	void *owner;
	struct seglog_settings settings;

	/* positions */
	int64_t start_offset;   /* atomic: core */
	int64_t high_watermark; /* = durable end; atomic: core */
	int64_t next_offset;
	int64_t total_size; /* bytes of all segments; atomic: core */

	/* segments */
	struct segment *first;     /* atomic: core */
	struct segment *tail;      /* takes the batches */
	struct segment *unflushed; /* oldest that is not done */
	struct segment *spare;     /* atomic: housekeeper > core */

	/* ring memory, oldest first; a chunk ends where the next one of its segment begins */
	struct list chunks;
	uint32_t chunk_size; /* of the next chunk */
	int64_t chunk_ms;    /* when the last one was taken */
	uint32_t tail_end;   /* position up to which tail chunks reach */
	uint32_t
		wiped_end; /* the tail, or the open reservation, is followed by zeroes up to here */
	bool is_tail_clean; /* the tail chunk may be evicted: an append starts a new one */
	uint8_t *
		tail_block; /* [SEGFILE_ALIGN] bytes of the last, partly filled block, for that chunk */

	/* reservation: bytes [tail->size, tail->size + reserved) */
	uint32_t reserved; /* 0: none */
	struct chunk *room;

	struct seglog_flush flush;
	struct seglog_cold cold[SEGLOG_COLD_READS];
	int64_t cold_ends[SEGLOG_COLD_READS]; /* where cold reads ended, that nothing is kept of */
	uint32_t cold_ends_next;              /* the oldest of them */
	struct producers producers;
	struct epochs epochs; /* fixed */
	int32_t leader_epoch; /* fixed */
	bool is_discarded;    /* fixed */

	/* between core and housekeeper */
	bool is_asked;          /* atomic: set by the core, cleared by the housekeeper */
	int prepare_error;      /* atomic: housekeeper; -ENOSPC and kin */
	uint32_t ahead;         /* atomic: housekeeper; space to keep prepared */
	int64_t retain_offset;  /* atomic: housekeeper; the start should move up to here */
	int64_t roll_offset;    /* atomic: housekeeper; roll when the log still ends here; 0: no */
	struct segment *doomed; /* atomic: core > housekeeper, linked by doomed_next */
	int64_t append_ms;      /* atomic: core; wall clock of the last append */
	bool is_idle;           /* atomic: housekeeper; no append for a while */
	uint32_t segment_size;  /* atomic: core; for spares */
	int64_t retention_ms;   /* atomic: core */
	int64_t retention_size; /* atomic: core */

	/* cold */
	int dir_fd;
	int log_dir_fd;
	struct uuid topic_id; /* fixed */
	uint32_t partition;   /* fixed */
	struct partition_cell *cell;
	int64_t prepared_ms;
	uint32_t epochs_gone;     /* housekeeper: the file begins with this one */
	int space_error;          /* housekeeper: of files and space ahead of the tail */
	int finish_error;         /* housekeeper: of the ends of rolled segments */
	struct seglog_fill *fill; /* housekeeper; NULL: none */
	struct seglog_recycled recycled;
	const struct partitions *readers; /* fixed; NULL: nobody else reads */
	int64_t idle_append_ms;           /* append_ms that is_idle was last set for */
	int64_t checkpoint_offset;        /* atomic */
	char topic[PARTITIONS_TOPIC_MAX];
};

/* seglog.c */
void seglog_publish(struct seglog *log);
void seglog_ask(struct seglog *log);
void seglog_sync(struct seglog *log);
void seglog_clean(struct seglog *log, const struct segment *segment);
void seglog_doom(struct seglog *log, struct segment *segment);
void seglog_poison(struct seglog *log);
/* segread.c: let go of what is kept of a segment, NULL: of all */
void seglog_read_forget(struct seglog *log, const struct segment *segment);

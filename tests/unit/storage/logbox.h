/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One log with all it needs, for the tests of seglog's parts: folder, ring, uring (the fake, or the
 * real one where the test does not link the fake), and a note of every batch that was appended.
 *
 * The test's thread is owning core and housekeeper in turn. Helpers CHECK what must work.
 */
#pragma once

#include "storage/seglog_impl.h"

#include "temp_dir.h"

#define LOGBOX_BATCHES_MAX 20000
#define LOGBOX_TOPIC       "flights"
#define LOGBOX_FOLDER      "flights-3"

struct logbox_batch {
	int64_t base_offset;
	int32_t count;
	uint32_t size;
	uint32_t crc;
};

/** What to append; zero: the default in brackets. */
struct logbox_spec {
	int32_t records;     /* [1] */
	uint32_t value_size; /* of each record [100] */
	int64_t producer_id; /* [-1]; 0 counts as none here */
	int16_t epoch;
	int32_t sequence;
	int64_t timestamp; /* [now_ms] */
};

struct logbox {
	char dir[TEMP_PATH_SIZE];
	char ring[TEMP_PATH_SIZE];
	int log_dir_fd;
	uint64_t ring_size;
	struct chunk_identity identity;
	struct chunk_pool *chunks;
	struct uring *uring;
	struct counters counters;
	struct seglog_core core;
	struct seglog_open_args args;
	struct seglog *log;
	struct seglog_recovery found;
	uint32_t durable_calls;
	bool wants_housekeep;
	int64_t now_ms;
	uint32_t seed;
	struct logbox_batch batches[LOGBOX_BATCHES_MAX];
	uint32_t batch_count;
	uint8_t scratch[4 * 1024 * 1024];
};

/** New folder and ring; args have large segments and no retention. */
struct logbox *logbox_new(uint64_t ring_size);
/** Kill what is open, remove the folder. */
void logbox_free(struct logbox *box);

/** Open ring and uring, salvage, open the log and, when it is not offline, attach it. */
int logbox_open(struct logbox *box, bool was_clean, int64_t checkpoint);
/** Detach and close; @return seglog_close() */
int logbox_close(struct logbox *box);
/** The process is gone: nothing is written any more, ring and files stay. */
void logbox_kill(struct logbox *box);
/** The ring is gone too, as after a power failure. */
void logbox_lose_ring(struct logbox *box);

/** Housekeeper and core run until nothing is left to do (the fake has to be in auto mode). */
void logbox_settle(struct logbox *box);
/** The housekeeper's and the core's part of that, once. */
void logbox_housekeep(struct logbox *box);

/** Encode a batch into box->scratch. @return size */
uint32_t logbox_make(struct logbox *box, const struct logbox_spec *spec);
/** Reserve and fill with what logbox_make() left in box->scratch. @return seglog_reserve() */
int logbox_fill(struct logbox *box, uint32_t size);
/** logbox_make(), logbox_fill(), commit; a success is noted. @return base offset; error */
int64_t logbox_append(struct logbox *box, const struct logbox_spec *spec);
/** Append batches of one record each, waiting for memory. */
void logbox_append_many(struct logbox *box, uint32_t count, uint32_t value_size);

/** Read from `offset`, waiting for a cold read. @return seglog_read() or done()'s error */
int logbox_read(struct logbox *box, int64_t offset, uint32_t size_max, int64_t limit,
		struct seglog_read *ret_read);
/** Check a read's bytes against the notes. @return offset after its last batch */
int64_t logbox_verify(struct logbox *box, const struct seglog_read *read);
/** Read all of [from, to) and check it. @return reads it took */
uint32_t logbox_verify_range(struct logbox *box, int64_t from, int64_t to, uint32_t size_max);

/** @param[out] ret_path  [TEMP_PATH_SIZE] `<20 digits><suffix>` in the partition's folder */
void logbox_path(const struct logbox *box, int64_t base, const char *suffix, char *ret_path);
/** Whole file into box->scratch. @return size; -1 not there */
int64_t logbox_load(struct logbox *box, int64_t base, const char *suffix);
/** Overwrite bytes of a file. */
void logbox_damage(const struct logbox *box, int64_t base, const char *suffix, int64_t pos,
		   const void *bytes, size_t size);

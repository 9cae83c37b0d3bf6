/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Offset and time index of one segment, byte for byte Kafka's, in reserved address space.
 *
 *   .index      8-byte entries { last offset - base 4, file position of that batch 4 }, one for a
 *               batch that begins more than SEGINDEX_INTERVAL bytes after the batch of the last one
 *   .timeindex  12-byte entries { largest timestamp so far 8, last offset - base of its batch 4 },
 *               added with each .index entry when the timestamp grew, and once more at the end
 *
 * Entries are kept big-endian, so memory and file are the same bytes: a rolled segment's memory is
 * replaced in place by a mapping of its files, and no reader notices.
 *
 * Context: the owning core appends and finds; another thread may save what has been published by the
 * two counts. Memory: reserved for the largest segment, touched as it fills. Limits: a full index
 * takes no more entries; searches then begin further away.
 */
#pragma once

#include "base/defs.h"

#define SEGINDEX_INTERVAL    4096U /* log.index.interval.bytes */
#define SEGINDEX_OFFSET_SIZE 8U
#define SEGINDEX_TIME_SIZE   12U

struct segindex {
	int64_t base;
	uint8_t *offsets;
	uint8_t *times;
	size_t offsets_mapped; /* bytes of address space */
	size_t times_mapped;
	uint32_t entries_max;
	uint32_t offset_count; /* atomic: stored by the appender after the entry */
	uint32_t time_count;   /* atomic */
	uint32_t since;        /* bytes appended since the last entry */
	int64_t max_timestamp; /* of all batches; -1: none */
	int64_t max_timestamp_offset;
};

/** Reserve room for a segment of `segment_size` bytes. @return 0; -ENOMEM. @context cold */
NODISCARD int segindex_init(struct segindex *index, uint32_t segment_size);
void segindex_fini(struct segindex *index);

/** Name the segment it is for; empties it. */
void segindex_begin(struct segindex *index, int64_t base);

/** Note a batch appended at `pos`. */
void segindex_add(struct segindex *index, uint32_t pos, uint32_t size, int64_t last_offset,
		  int64_t max_timestamp);

/** The last entry of the time index, when the segment is rolled or closed. */
void segindex_end(struct segindex *index);

/** @return position of a batch at or before the one that holds `offset`; 0 the segment's begin */
uint32_t segindex_find(const struct segindex *index, int64_t offset);

/**
 * Skip forward without reading batches.
 *
 * @return largest indexed position <= `pos_max` before which all offsets are below `limit`; 0: none
 */
uint32_t segindex_skip(const struct segindex *index, uint32_t pos_max, int64_t limit);

/** @return an offset before which every batch is older than `timestamp`; at least the base */
int64_t segindex_find_time(const struct segindex *index, int64_t timestamp);

/**
 * Write both files anew.
 *
 * @param is_final  make them durable, and map them in place of the memory
 * @return 0; -errno
 * @context cold
 */
NODISCARD int segindex_save(struct segindex *index, int dir_fd, bool is_final);

/**
 * Load from files: the entries of a segment of `log_size` bytes.
 *
 * @param is_active  keep them in memory for further appends; else map the files
 * @return 0; ERR_CORRUPT missing or not sane: to be rebuilt from the .log; -errno
 * @context cold
 */
NODISCARD int segindex_load(struct segindex *index, int dir_fd, int64_t base, uint32_t log_size,
			    bool is_active);

/** Remove both files, if they are there. @context cold */
void segindex_unlink(const struct segindex *index, int dir_fd);

/**
 * segindex_find() in the files of a log that another process has.
 *
 * @return position of a batch at or before the one that holds `offset`; 0 when there is no index
 * @context cold
 */
uint32_t segindex_find_file(int dir_fd, int64_t base, int64_t offset);

/**
 * segindex_find_time() in the files of a rolled segment that another process has.
 *
 * Nothing but the entries themselves is believed: an entry { largest so far, offset } speaks of the
 * batches up to that offset, so what follows the last entry counts as unknown.
 *
 * @param next  base of the segment after it
 * @return an offset, base <= it <= next, before which every batch of the segment is older; the base
 *         when the file is missing or not sane
 * @context cold
 */
int64_t segindex_find_time_file(int dir_fd, int64_t base, int64_t next, int64_t timestamp);

/** @return the largest timestamp that the file of such a segment names; -1: none. @context cold */
int64_t segindex_newest_file(int dir_fd, int64_t base, int64_t next);

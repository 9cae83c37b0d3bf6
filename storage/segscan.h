/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Walk over the batches of a segment's .log, checking each: for recovery and for readers in other
 * processes.
 *
 * Context: cold threads; blocks. Memory: one heap buffer, grown to the largest batch.
 * Limits: batches up to SEGSCAN_BATCH_MAX.
 */
#pragma once

#include "base/defs.h"
#include "storage/batch.h"

#define SEGSCAN_BATCH_MAX (32U * 1024 * 1024)

struct segscan {
	int fd;          /* borrowed; of segfile_open() */
	uint64_t pos;    /* file position of the next batch */
	uint64_t limit;  /* file position not to look at or past; may be moved between calls */
	uint8_t *buffer; /* file bytes [buffer_pos, buffer_pos + filled) */
	size_t capacity;
	size_t filled;
	uint64_t buffer_pos;
};

/** Begin at a batch boundary. The buffer of an earlier walk is kept: zero the struct before the first. */
void segscan_begin(struct segscan *scan, int fd, uint64_t pos, uint64_t limit);
void segscan_fini(struct segscan *scan);

/**
 * Next batch: size, magic and checksum are right.
 *
 * @param[out] ret_bytes  [ret_batch->size], borrowed until the next call
 * @return 1 a batch; 0 the limit, or a zero header: nothing was written here; ERR_CORRUPT; -errno
 */
NODISCARD int segscan_next(struct segscan *scan, struct batch *ret_batch,
			   const uint8_t **ret_bytes);

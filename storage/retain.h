/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Segment objects, made and freed by the housekeeper, and the end of a log object.
 *
 * Context: housekeeper. Memory: heap, and reserved address space for the indexes.
 */
#pragma once

#include "base/defs.h"

struct seglog;
struct segment;

/** @param producers  that a snapshot must have room for. @return NULL out of memory */
struct segment *retain_segment_new(uint32_t segment_size, uint32_t producers);
/** Also closes its file. NULL is accepted. */
void retain_segment_free(struct segment *segment);

/** Free a log that no core has, with all it holds. NULL is accepted. */
void retain_free(struct seglog *log);

/** Trim a rolled, durable segment to its bytes and write its indexes. @return 0; -errno */
NODISCARD int retain_finish(struct seglog *log, struct segment *segment);

/** Remove a segment's files: renamed first, so that a crash leaves nothing that looks alive. */
void retain_unlink(int dir_fd, int64_t base);

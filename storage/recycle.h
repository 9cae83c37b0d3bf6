/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The file of a log's last deleted segment, kept for a while to become that of the next one, as PostgreSQL
 * does with its WAL: its blocks are mapped and written, so commits into them are plain overwrites, and
 * nobody has to zero them. It is kept no longer than Kafka keeps deleted files (file.delete.delay.ms).
 *
 * What the file still holds is older than the log's start, so no batch in it has an offset that recovery
 * could want; and the header that follows what is durable is zeroes (segflush.c, and the first block
 * here), so recovery finds a clean end there. A file that another process may have open is not used again:
 * readers hold a lease before they open one (partitions.h), and lose its name before leases are counted.
 *
 * Context: housekeeper. Memory: none.
 */
#pragma once

#include "base/defs.h"

struct seglog;
struct segment;

#define RECYCLE_KEEP_MS 60000
#define RECYCLE_SUFFIX  ".recycled" /* behind the old name; such a file is removed at the start */

/** Keep a deleted segment's .log, instead of what was kept before; without effect when that cannot be. */
void recycle_offer(struct seglog *log, struct segment *segment, int64_t now_ms);

/**
 * Give `segment`, which has no file yet, the one that is kept. The name is not durable before the caller
 * has synced the folder, and only then are its bytes [0, *ret_prepared) space to write to.
 *
 * @return descriptor; -ENOENT there is none that fits and works
 */
NODISCARD int recycle_take(struct seglog *log, const struct segment *segment,
			   uint32_t *ret_prepared);

/** Remove what has been kept for long enough. */
void recycle_tend(struct seglog *log, int64_t now_ms);

/** Remove what is kept. */
void recycle_drop(struct seglog *log);

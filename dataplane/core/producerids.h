/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Producer ids for idempotent producers, from the block that control grants in the cluster snapshot.
 *
 * No id is ever given twice, also across restarts: the first unused id lives in a small shared file
 * of the run directory, which survives the process. Where that file is new (first start, or the
 * machine was rebooted and tmpfs is empty), the block of the snapshot found at start may be partly
 * used: it is skipped whole, and the next one is asked of control. Blocks only grow.
 *
 * Context: producerids_take() on any core, lock-free; the rest before cores run and after.
 * Memory: one page of tmpfs.
 */
#pragma once

#include "base/defs.h"
#include "storage/snapshot.h"

/**
 * @param path    file on tmpfs, <run>/producer-ids
 * @param loaded  snapshot found at start; NULL: none
 * @return 0; -errno
 */
NODISCARD int producerids_open(const char *path, const struct snapshot *loaded);
void producerids_close(void);

/**
 * Take one id of the newest granted block.
 *
 * @param[out] ret_is_low  a new block should be asked for
 * @return id >= 0; -1: the block is used up (or producerids_open() was not called)
 */
int64_t producerids_take(const struct snapshot *snapshot, bool *ret_is_low);

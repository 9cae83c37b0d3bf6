/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Leader epochs of one partition: which offset each began at; file `leader-epoch-checkpoint`
 * (`0\n<count>\n<epoch> <start offset>\n...`).
 *
 * Context: built by recovery, then read only. Memory: the struct. Limits: the newest EPOCHS_MAX
 * epochs are kept. Source: KIP-101, KIP-279.
 */
#pragma once

#include "base/defs.h"

#define EPOCHS_MAX 128

struct epochs {
	uint32_t count;
	struct epoch {
		int32_t epoch;
		int64_t start;
	} entries[EPOCHS_MAX]; /* both fields grow */
};

/** From `start` on, batches carry `epoch`. Later entries and repeated epochs are folded away. */
void epochs_assign(struct epochs *epochs, int32_t epoch, int64_t start);

/** Forget epochs that begin at or above `end`. */
void epochs_truncate(struct epochs *epochs, int64_t end);

/**
 * Where `epoch` ended.
 *
 * @param high_watermark  end of the present epoch
 * @param[out] ret_epoch  largest known epoch <= `epoch` (`epoch` itself when all known ones are newer);
 *                        -1: none
 * @return last offset + 1; -1: none
 */
int64_t epochs_end(const struct epochs *epochs, int32_t epoch, int64_t high_watermark,
		   int32_t *ret_epoch);

/** @return index of the oldest epoch that did not end below `log_start` */
uint32_t epochs_first(const struct epochs *epochs, int64_t log_start);

/** Write the file, without epochs that ended below `log_start`. @return 0; -errno */
NODISCARD int epochs_save(const struct epochs *epochs, int dir_fd, int64_t log_start);
/** @return 0, also when there is no file; ERR_CORRUPT; -errno */
NODISCARD int epochs_load(struct epochs *epochs, int dir_fd);

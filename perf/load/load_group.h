/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The least time that records need to be durable at a given rate: records fall due on a clock, and each
 * of `files` logs writes what fell due since its last commit with one write past the page cache and one
 * fdatasync(). A server that commits in groups, with nobody to receive from and nothing else to do.
 *
 * Context: a thread for each file, blocking; the caller waits. Memory: a buffer for each file.
 * Limits: LOAD_GROUP_FILES; the folder's file system takes O_DIRECT.
 */
#pragma once

#include "base/hist.h"

#define LOAD_GROUP_FILES 64

struct load_group_options {
	const char *folder;
	uint32_t files;
	uint32_t record_size; /* a commit has the records' bytes, rounded up to whole blocks */
	double rate;          /* records a second, of all files */
	double seconds;
};

struct load_group_result {
	struct hist latency; /* ns, from when a record was due until it was durable */
	struct hist commit;  /* ns, a write and fdatasync() */
};

/** @return 0; -EINVAL; -errno */
NODISCARD int load_group_run(const struct load_group_options *options,
			     struct load_group_result *ret_result);

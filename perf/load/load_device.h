/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the disk can do, without anybody's log: overwrites of a written file, past the page cache, each
 * made durable; and reads of it.
 *
 * Context: one thread, blocking. Memory: one buffer. Limits: the folder's file system takes O_DIRECT.
 */
#pragma once

#include "base/hist.h"

struct load_device_result {
	struct hist commit; /* ns: a write and fdatasync() */
	uint64_t bytes;
	double seconds;
};

/**
 * Measure commits, or reads.
 *
 * @param size     bytes of a write or read, a multiple of 4096
 * @param span     bytes of the file, written before
 * @param is_read  read in order instead
 * @return 0; -errno
 */
NODISCARD int load_device_run(const char *folder, size_t size, size_t span, double seconds,
			      bool is_read, struct load_device_result *ret_result);

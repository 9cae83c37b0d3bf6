/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Files of a partition folder: names, opening, prepared space (zero-written or reserved), small
 * files replaced whole.
 *
 * Context: cold threads; everything here may block. Memory: none kept.
 */
#pragma once

#include "base/defs.h"

#define SEGFILE_ALIGN    4096U /* unit of O_DIRECT transfers */
#define SEGFILE_NAME_MAX 64

/** `<20 digits><suffix>`, suffix as ".log". @param[out] ret_name  [SEGFILE_NAME_MAX] */
void segfile_name(int64_t base, const char *suffix, char *ret_name);

/** @return true and the base offset when `name` is 20 digits and `suffix` */
bool segfile_name_parse(const char *name, const char *suffix, int64_t *ret_base);

/**
 * Open a segment's .log for direct I/O (buffered where the file system has none).
 *
 * @param flags  O_CREAT, O_EXCL or 0, with O_RDWR or O_RDONLY
 * @return descriptor; -errno
 */
NODISCARD int segfile_open(int dir_fd, int64_t base, int flags);

/**
 * Write zeros over [from, to) and make them and the file's size durable, so that later writes there
 * are plain overwrites of mapped blocks.
 *
 * @param from, to  multiples of SEGFILE_ALIGN
 * @return 0; -ENOSPC; -errno
 */
NODISCARD int segfile_prepare(int fd, uint64_t from, uint64_t to);

/**
 * The same space without writing it: blocks that read as zeros until they are written. Half the disk's work
 * for a log that fills them soon, but the first write of each costs its commit a change of the file
 * system's own.
 *
 * @return as segfile_prepare(), which it calls where the file system cannot, or the file has bytes there
 */
NODISCARD int segfile_reserve(int fd, uint64_t from, uint64_t to);

/** Read exactly `size` bytes. @return 0; ERR_TRUNCATED at the file's end; -errno */
NODISCARD int segfile_read(int fd, void *bytes, size_t size, uint64_t pos);

/** Write exactly `size` bytes. @return 0; -errno */
NODISCARD int segfile_write(int fd, const void *bytes, size_t size, uint64_t pos);

/** Replace a small file whole: temporary file, fsync, rename, fsync of the folder. @return 0; -errno */
NODISCARD int segfile_replace(int dir_fd, const char *name, const void *bytes, size_t size);

/** Read a small file whole. @return bytes read, at most `size` - 1, zero-terminated; -EFBIG; -errno */
NODISCARD int64_t segfile_load(int dir_fd, const char *name, void *bytes, size_t size);

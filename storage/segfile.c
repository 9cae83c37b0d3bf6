/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/segfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define DIGITS 20

void segfile_name(int64_t base, const char *suffix, char *ret_name)
{
	(void)snprintf(ret_name, SEGFILE_NAME_MAX, "%020" PRId64 "%s", base, suffix);
}

bool segfile_name_parse(const char *name, const char *suffix, int64_t *ret_base)
{
	uint64_t base = 0;

	for (int i = 0; i < DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		if (__builtin_mul_overflow(base, UINT64_C(10), &base) ||
		    __builtin_add_overflow(base, (uint64_t)(name[i] - '0'), &base))
			return false;
	}
	if (base > INT64_MAX || strcmp(name + DIGITS, suffix) != 0)
		return false;
	*ret_base = (int64_t)base;
	return true;
}

int segfile_open(int dir_fd, int64_t base, int flags)
{
	char name[SEGFILE_NAME_MAX];
	int fd;

	segfile_name(base, ".log", name);
	fd = openat(dir_fd, name, flags | O_CLOEXEC | O_DIRECT, 0644);
	if (fd < 0 && errno == EINVAL) /* tmpfs before 6.6 */
		fd = openat(dir_fd, name, (flags & ~O_EXCL) | O_CLOEXEC, 0644);
	return fd >= 0 ? fd : -errno;
}

int segfile_prepare(int fd, uint64_t from, uint64_t to)
{
	static const _Alignas(SEGFILE_ALIGN) uint8_t zeros[256 * 1024];
	int error = 0;

	while (from < to && error == 0) {
		size_t size = MIN((size_t)(to - from), sizeof(zeros));

		error = segfile_write(fd, zeros, size, from);
		from += size;
	}
	if (error == 0 && fdatasync(fd) != 0)
		error = -errno;
	return error;
}

int segfile_reserve(int fd, uint64_t from, uint64_t to)
{
	struct stat stat;
	int r;

	if (from >= to)
		return 0;
	if (fstat(fd, &stat) != 0)
		return -errno;
	if ((uint64_t)stat.st_size > from) /* there may be something */
		return segfile_prepare(fd, from, to);
	do
		r = fallocate(fd, 0, (off_t)from, (off_t)(to - from));
	while (r != 0 && errno == EINTR);
	if (r != 0)
		return errno == EOPNOTSUPP ? segfile_prepare(fd, from, to) : -errno;
	return fdatasync(fd) == 0 ? 0 : -errno;
}

int segfile_read(int fd, void *bytes, size_t size, uint64_t pos)
{
	uint8_t *at = bytes;

	while (size > 0) {
		ssize_t n = pread(fd, at, size, (off_t)pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return ERR_TRUNCATED;
		at += n;
		pos += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int segfile_write(int fd, const void *bytes, size_t size, uint64_t pos)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		ssize_t n = pwrite(fd, at, size, (off_t)pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n;
		pos += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int segfile_replace(int dir_fd, const char *name, const void *bytes, size_t size)
{
	char temporary[SEGFILE_NAME_MAX + 8];
	int fd, error;

	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	error = segfile_write(fd, bytes, size, 0);
	if (error == 0 && fsync(fd) != 0)
		error = -errno;
	if (close(fd) != 0 && error == 0)
		error = -errno;
	if (error == 0 && renameat(dir_fd, temporary, dir_fd, name) != 0)
		error = -errno;
	if (error == 0 && fsync(dir_fd) != 0)
		error = -errno;
	if (error != 0)
		(void)unlinkat(dir_fd, temporary, 0); /* may not be there */
	return error;
}

int64_t segfile_load(int dir_fd, const char *name, void *bytes, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	int64_t result = 0;

	if (fd < 0)
		return -errno;
	while (got < size) {
		ssize_t n = read(fd, (char *)bytes + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			result = -errno;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	(void)close(fd); /* nothing was written */
	if (result < 0)
		return result;
	if (got == size)
		return -EFBIG;
	((char *)bytes)[got] = '\0';
	return (int64_t)got;
}

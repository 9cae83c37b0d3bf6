/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define BLOCK 4096

/* @return 0; -errno */
static int transfer(int fd, uint8_t *bytes, size_t size, off_t at, bool is_read)
{
	while (size > 0) {
		ssize_t done = is_read ? pread(fd, bytes, size, at) : pwrite(fd, bytes, size, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		bytes += done;
		at += done;
		size -= (size_t)done;
	}
	return 0;
}

static int fill(int fd, uint8_t *bytes, size_t size, size_t span)
{
	for (size_t at = 0; at < span; at += size) {
		int r = transfer(fd, bytes, size, (off_t)at, false);

		if (r != 0)
			return r;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static int measure(int fd, uint8_t *bytes, size_t size, size_t span, double seconds, bool is_read,
		   struct load_device_result *result)
{
	int64_t begin_ns = clock_now_ns(), now_ns = begin_ns;
	int64_t end_ns = begin_ns + (int64_t)(seconds * (double)NS_PER_S);
	size_t at = 0;

	while (now_ns < end_ns) {
		int64_t since_ns = now_ns;
		int r = transfer(fd, bytes, size, (off_t)at, is_read);

		if (r == 0 && !is_read && fdatasync(fd) != 0)
			r = -errno;
		if (r != 0)
			return r;
		now_ns = clock_now_ns();
		hist_add(&result->commit, (uint64_t)(now_ns - since_ns));
		result->bytes += size;
		at = at + 2 * size > span ? 0 : at + size;
	}
	result->seconds = (double)(now_ns - begin_ns) / (double)NS_PER_S;
	return 0;
}

int load_device_run(const char *folder, size_t size, size_t span, double seconds, bool is_read,
		    struct load_device_result *ret_result)
{
	char path[4096];
	uint8_t *bytes;
	int fd, r;

	if (size == 0 || size % BLOCK != 0 || span < size ||
	    snprintf(path, sizeof(path), "%s/.millrace-load-%d", folder, (int)getpid()) >=
		    (int)sizeof(path))
		return -EINVAL;
	span -= span % size;
	bytes = aligned_alloc(BLOCK, size);
	if (bytes == NULL)
		return -ENOMEM;
	memset(bytes, 0x5a, size);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
		free(bytes);
		return r;
	}
	(void)unlink(path);
	memset(ret_result, 0, sizeof(*ret_result));
	r = fill(fd, bytes, size, span);
	if (r == 0)
		r = measure(fd, bytes, size, span, seconds, is_read, ret_result);
	(void)close(fd);
	free(bytes);
	return r;
}

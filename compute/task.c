/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/task.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/err.h"

#define FENCE_TEXT_MAX 24 /* a 64-bit number and a newline */

int task_socket_path(const char *run_dir, char *ret_path, size_t size)
{
	int length = snprintf(ret_path, size, "%s/worker.sock", run_dir);

	return length < 0 || (size_t)length >= size ? ERR_TOO_LARGE : 0;
}

static int lock_file(int file)
{
	int result;

	do
		result = flock(file, LOCK_EX);
	while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : 0;
}

int task_fence_set(const char *path, int64_t attempt)
{
	char text[FENCE_TEXT_MAX];
	int size = snprintf(text, sizeof(text), "%" PRId64 "\n", attempt);
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
	int error;

	if (file < 0)
		return -errno;
	error = lock_file(file);
	/* Numbers only grow, so a longer one never leaves digits of a shorter one behind it. */
	if (error == 0 && pwrite(file, text, (size_t)size, 0) != size)
		error = errno != 0 ? -errno : -EIO;
	if (close(file) < 0 && error == 0)
		error = -errno;
	return error;
}

int task_fence_hold(const char *path, int64_t attempt, int *ret_lock)
{
	char text[FENCE_TEXT_MAX + 1] = "";
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;
	int error;

	if (file < 0)
		return -errno;
	error = lock_file(file);
	size = error == 0 ? pread(file, text, FENCE_TEXT_MAX, 0) : 0;
	if (size < 0)
		error = -errno;
	if (error == 0 && strtoll(text, NULL, 10) != attempt)
		error = ERR_FENCED;
	if (error != 0) {
		(void)close(file);
		return error;
	}
	*ret_lock = file;
	return 0;
}

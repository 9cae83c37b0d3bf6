/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int nic_lock(const char *interface)
{
	char path[64];
	int fd, error;

	if (snprintf(path, sizeof(path), "/dev/shm/millrace-port-%s.lock", interface) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	error = errno == EWOULDBLOCK ? -EBUSY : -errno;
	(void)close(fd);
	return error;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic_memif.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int remove_stale(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

int nic_memif_role(const char *path, enum nic_memif_role *ret_role, int *ret_lock_fd)
{
	char lock[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];
	int fd, error;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		error = errno == EWOULDBLOCK ? 0 : -errno;
		(void)close(fd);
		if (error == 0) {
			*ret_role = NIC_MEMIF_CLIENT;
			*ret_lock_fd = -1;
		}
		return error;
	}
	error = remove_stale(path);
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	*ret_role = NIC_MEMIF_SERVER;
	*ret_lock_fd = fd;
	return 0;
}

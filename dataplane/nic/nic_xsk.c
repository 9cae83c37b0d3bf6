/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic_xsk.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif

static bool is_xsk(int fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP;
}

void nic_xsk_scan(struct nic_xsk_set *ret_set)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	ret_set->count = 0;
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL && ret_set->count < NIC_XSK_MAX) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);

		if (end != entry->d_name && *end == '\0' && fd != dirfd(dir) && is_xsk((int)fd))
			ret_set->fds[ret_set->count++] = (int)fd;
	}
	(void)closedir(dir);
}

int nic_xsk_new(const struct nic_xsk_set *before)
{
	struct nic_xsk_set now;

	nic_xsk_scan(&now);
	for (uint32_t i = 0; i < now.count; i++) {
		bool is_known = false;

		for (uint32_t j = 0; j < before->count; j++)
			is_known |= before->fds[j] == now.fds[i];
		if (!is_known)
			return now.fds[i];
	}
	return -1;
}

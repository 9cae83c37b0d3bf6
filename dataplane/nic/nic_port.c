/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic_port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/portlist.h"

#define CAP_NET_ADMIN_BIT 12

int nic_port_parse(const char *port, enum nic_port_kind *ret_kind, const char **ret_name)
{
	static const struct {
		const char *prefix;
		enum nic_port_kind kind;
	} kinds[] = { { "af_xdp:", NIC_PORT_AF_XDP },
		      { "af_packet:", NIC_PORT_AF_PACKET },
		      { "memif:", NIC_PORT_MEMIF },
		      { "tap:", NIC_PORT_TAP },
		      { "virtio:", NIC_PORT_VIRTIO } };

	if (strlen(port) >= NIC_PORT_SIZE)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		size_t size = strlen(kinds[i].prefix);

		if (strncmp(port, kinds[i].prefix, size) == 0 && port[size] != '\0' &&
		    strchr(port, ',') == NULL) {
			*ret_kind = kinds[i].kind;
			*ret_name = port + size;
			return 0;
		}
	}
	if (!portlist_is_pci(port))
		return -EINVAL;
	*ret_kind = NIC_PORT_PCI;
	*ret_name = port;
	return 0;
}

bool nic_port_is_running(const char *interface)
{
	struct ifreq request = { .ifr_flags = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_known;

	if (fd < 0)
		return false;
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	is_known = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
	(void)close(fd);
	return is_known && (request.ifr_flags & IFF_UP) != 0 &&
	       (request.ifr_flags & IFF_RUNNING) != 0;
}

/* Queues of a network device as the kernel lists them. */
static unsigned int queues_of_interface(const char *name)
{
	unsigned int count = 0;

	for (;; count++) {
		char path[128];
		FILE *file;

		(void)snprintf(path, sizeof(path), "/sys/class/net/%s/queues/rx-%u/rps_cpus", name,
			       count);
		file = fopen(path, "re");
		if (file == NULL)
			return count;
		(void)fclose(file);
	}
}

/* Capabilities of this process's effective set. */
static bool has_capability(unsigned int bit)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long long set = 0;

	if (file == NULL)
		return true;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "CapEff: %llx", &set) == 1)
			break;
	}
	(void)fclose(file);
	return (set >> bit & 1) != 0;
}

static int check_af_xdp(const struct nic_config *config, const char *name, char *reterr,
			size_t reterr_size)
{
	unsigned int queues = queues_of_interface(name);

	/* Frames of a queue that no core serves would go to the kernel and be lost without a word. */
	if (queues != config->queues) {
		(void)snprintf(reterr, reterr_size,
			       "interface %s has %u queues and the cores serve %u: deploy/lab up "
			       "--queues %u, ethtool -L %s combined %u, or cores=%u",
			       name, queues, config->queues, config->queues, name, config->queues,
			       queues);
		return -EINVAL;
	}
	if (config->mtu > NIC_PORT_XDP_MTU_MAX) {
		(void)snprintf(reterr, reterr_size,
			       "MTU %u does not fit a buffer of an af_xdp port: at most %d",
			       config->mtu, NIC_PORT_XDP_MTU_MAX);
		return -EINVAL;
	}
	return 0;
}

int nic_port_check(const struct nic_config *config, enum nic_port_kind kind, const char *name,
		   char *reterr, size_t reterr_size)
{
	bool is_of_kernel = kind == NIC_PORT_AF_XDP || kind == NIC_PORT_AF_PACKET;

	if (!is_of_kernel && kind != NIC_PORT_TAP)
		return 0;
	if (!has_capability(CAP_NET_ADMIN_BIT)) {
		(void)snprintf(
			reterr, reterr_size,
			"port %s needs CAP_NET_ADMIN and CAP_NET_RAW: run as root or grant them",
			config->port);
		return -EPERM;
	}
	if (strlen(name) >= IF_NAMESIZE) {
		(void)snprintf(reterr, reterr_size,
			       "interface name %s is longer than %d characters", name,
			       IF_NAMESIZE - 1);
		return -EINVAL;
	}
	if (is_of_kernel && if_nametoindex(name) == 0) {
		(void)snprintf(reterr, reterr_size,
			       "there is no interface %s: make the lab with deploy/lab up, or name "
			       "another in dpdk.port",
			       name);
		return -ENODEV;
	}
	if (kind == NIC_PORT_AF_PACKET && config->mtu > NIC_PORT_PACKET_MTU_MAX) {
		(void)snprintf(reterr, reterr_size,
			       "MTU %u is more than an af_packet port takes: at most %d",
			       config->mtu, NIC_PORT_PACKET_MTU_MAX);
		return -EINVAL;
	}
	return kind == NIC_PORT_AF_XDP ? check_af_xdp(config, name, reterr, reterr_size) : 0;
}

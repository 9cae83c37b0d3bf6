/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports. A check that fails here is one that DPDK or the kernel would refuse with a number, or worse,
 * accept and then deliver nothing.
 */
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cpulist.h"
#include "base/machine.h"
#include "base/portlist.h"

#define PCI_NETWORK    0x02 /* class of network devices */
#define PCI_BRIDGE     0x06 /* they need no driver of ours */
#define ARP_ETHERNET   1    /* sys/class/net/IFACE/type */
#define XDP_FRAME_MAX  3502 /* MTU that fits an af_xdp buffer of one page */
#define PACKET_MTU_MAX 1500 /* its driver takes no more */
#define HUGEPAGES_WANT 16   /* 2 MiB pages of packet buffers, a core and port; all on one node */
#define CPUS_MAX       64

/* Their drivers run XDP programs themselves; with others the kernel copies each frame first. */
static const char *const xdp_drivers[] = {
	"veth",   "tun",    "virtio_net", "ixgbe",     "i40e",    "ice",     "igb", "igc",
	"ena",    "gve",    "mlx4_en",    "mlx5_core", "bnxt_en", "qede",    "sfc", "nfp",
	"mvneta", "stmmac", "hv_netvsc",  "ionic",     "mana",    "bonding",
};

/* ---- PCI devices ---- */

static bool is_vfio(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "uio_pci_generic") == 0 ||
	       strcmp(driver, "igb_uio") == 0;
}

/* Its DPDK driver works beside the kernel's. */
static bool is_shared(const char *driver)
{
	return strncmp(driver, "mlx5_core", 9) == 0 || strncmp(driver, "mlx4_core", 9) == 0;
}

static void check_pci_driver(struct machine *machine, const char *pci, const char *driver)
{
	char remedy[MACHINE_TEXT_MAX];

	(void)snprintf(remedy, sizeof(remedy),
		       "modprobe vfio-pci; echo vfio-pci >/sys/bus/pci/devices/%s/driver_override; "
		       "echo %s >/sys/bus/pci/drivers_probe",
		       pci, pci);
	if (driver[0] != '\0')
		(void)snprintf(
			remedy, sizeof(remedy),
			"modprobe vfio-pci; echo vfio-pci >/sys/bus/pci/devices/%s/driver_override; "
			"echo %s >/sys/bus/pci/devices/%s/driver/unbind; echo %s "
			">/sys/bus/pci/drivers_probe",
			pci, pci, pci, pci);
	if (driver[0] == '\0')
		machine_say(machine, "port driver", MACHINE_BAD, remedy, "%s has no driver bound",
			    pci);
	else if (is_vfio(driver) || is_shared(driver))
		machine_say(machine, "port driver", MACHINE_GOOD, "", "%s is bound to %s", pci,
			    driver);
	else
		machine_say(
			machine, "port driver", MACHINE_BAD, remedy,
			"%s is bound to the kernel's %s, whose interface goes when it is unbound",
			pci, driver);
}

/* All that share its IOMMU group must be given up by the kernel. */
static void check_pci_group(struct machine *machine, const char *pci, const char *group)
{
	char path[512], driver[64], others[128] = "";
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/iommu_group/devices",
		       machine->root, pci);
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;
		size_t used = strlen(others);

		driver[0] = '\0';
		if (name[0] == '.' || strcmp(name, pci) == 0 ||
		    machine_read_number(machine, 0, "/sys/bus/pci/devices/%s/class", name) >> 16 ==
			    PCI_BRIDGE)
			continue;
		if (!machine_read_link(machine, driver, sizeof(driver),
				       "/sys/bus/pci/devices/%s/driver", name) ||
		    is_vfio(driver))
			continue;
		(void)snprintf(others + used, sizeof(others) - used, " %.15s (%.31s)", name,
			       driver);
	}
	if (dir != NULL)
		(void)closedir(dir);
	if (others[0] != '\0')
		machine_say(machine, "port IOMMU", MACHINE_BAD,
			    "bind those to vfio-pci too, or use a slot whose group it has alone",
			    "IOMMU group %s of %s is shared with%s", group, pci, others);
	else
		machine_say(machine, "port IOMMU", MACHINE_GOOD, "", "group %s", group);
}

static void check_pci_iommu(struct machine *machine, const char *pci, const char *driver)
{
	char group[32], unsafe[8] = "N";

	if (machine_read_link(machine, group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group",
			      pci)) {
		if (!is_shared(driver))
			check_pci_group(machine, pci, group);
		return;
	}
	if (is_shared(driver) || strcmp(driver, "vfio-pci") != 0)
		return;
	(void)machine_read(machine, unsafe, sizeof(unsafe),
			   "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	machine_say(
		machine, "port IOMMU", unsafe[0] == 'Y' ? MACHINE_WEAK : MACHINE_BAD,
		"turn on VT-d or AMD-Vi in the firmware and boot with intel_iommu=on iommu=pt; or, where "
		"the device may reach all memory, echo Y "
		">/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
		"no IOMMU for %s%s", pci,
		unsafe[0] == 'Y' ? ": unsafe mode, the device can reach all memory" : "");
}

static void check_pci_node(struct machine *machine, const struct config *config, const char *pci)
{
	int64_t node = machine_read_number(machine, -1, "/sys/bus/pci/devices/%s/numa_node", pci);
	char list[128] = "", remedy[MACHINE_TEXT_MAX];
	uint32_t cpus[CPUS_MAX];
	int count = cpulist_parse(config->core_cpus, cpus, ARRAY_COUNT(cpus)), far = 0;
	int64_t pages, wanted = config->cores * HUGEPAGES_WANT * MAX(machine->ports, 1U);

	if (node < 0 || !machine_read(machine, list, sizeof(list),
				      "/sys/devices/system/node/node%d/cpulist", (int)node)) {
		machine_say(machine, "port NUMA", MACHINE_GOOD, "", "one node");
		return;
	}
	for (int i = 0; i < (count > 0 ? count : (int)config->cores); i++)
		far += !machine_exists(machine, "/sys/devices/system/cpu/cpu%u/node%d",
				       count > 0 ? cpus[i] : (uint32_t)i, (int)node);
	(void)snprintf(remedy, sizeof(remedy), "core.cpus= of %s, the CPUs of its node", list);
	machine_say(machine, "port NUMA", far == 0 ? MACHINE_GOOD : MACHINE_WEAK, remedy,
		    "%s is on node %d, %d poll core(s) are on another", pci, (int)node, far);
	pages = machine_read_number(
		machine, -1,
		"/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages",
		(int)node);
	(void)snprintf(remedy, sizeof(remedy),
		       "echo %lld >/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/"
		       "nr_hugepages",
		       (long long)wanted, (int)node);
	machine_say(machine, "port memory",
		    pages < 0 || pages >= wanted ? MACHINE_GOOD : MACHINE_WEAK, remedy,
		    "%lld free huge pages of 2 MiB on node %d, %lld wanted",
		    (long long)MAX(pages, INT64_C(0)), (int)node, (long long)wanted);
}

/* A device that the kernel keeps as well has an interface, and its MTU counts. */
static void check_pci_mtu(struct machine *machine, const struct portlist_port *port,
			  const char *pci)
{
	char path[512], remedy[MACHINE_TEXT_MAX];
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/net", machine->root, pci);
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int64_t mtu;

		if (entry->d_name[0] == '.')
			continue;
		mtu = machine_read_number(machine, 0, "/sys/bus/pci/devices/%s/net/%s/mtu", pci,
					  entry->d_name);
		(void)snprintf(remedy, sizeof(remedy),
			       "ip link set dev %.16s mtu %d, or dpdk.mtu=%d", entry->d_name,
			       (int)port->mtu, (int)mtu);
		machine_say(machine, "port MTU", mtu >= port->mtu ? MACHINE_GOOD : MACHINE_BAD,
			    remedy, "interface %.16s has MTU %d, dpdk.mtu is %d", entry->d_name,
			    (int)mtu, (int)port->mtu);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

static void check_pci(struct machine *machine, const struct config *config,
		      const struct portlist_port *port)
{
	char pci[PORTLIST_PCI_SIZE], driver[64] = "";

	portlist_pci(port->port, pci);
	if (!machine_exists(machine, "/sys/bus/pci/devices/%s", pci)) {
		machine_say(machine, "port", MACHINE_BAD,
			    "lspci -D shows the addresses; put the right one into dpdk.port",
			    "there is no PCI device %s", pci);
		return;
	}
	if (machine_read_number(machine, 0, "/sys/bus/pci/devices/%s/class", pci) >> 16 !=
	    PCI_NETWORK) {
		machine_say(machine, "port", MACHINE_BAD,
			    "lspci -D shows the addresses; put the right one into dpdk.port",
			    "PCI device %s is no network device", pci);
		return;
	}
	(void)machine_read_link(machine, driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver",
				pci);
	check_pci_driver(machine, pci, driver);
	check_pci_iommu(machine, pci, driver);
	check_pci_node(machine, config, pci);
	if (is_shared(driver))
		check_pci_mtu(machine, port, pci);
}

/* ---- interfaces of the kernel ---- */

/* Queues that the kernel lists. */
static uint32_t queues_of(const struct machine *machine, const char *name)
{
	uint32_t count = 0;

	while (machine_exists(machine, "/sys/class/net/%s/queues/rx-%u", name, count))
		count++;
	return count;
}

static bool check_name(struct machine *machine, const char *name)
{
	if (!machine_has_capabilities(machine, MACHINE_CAP_NET_ADMIN | MACHINE_CAP_NET_RAW)) {
		machine_say(machine, "port rights", MACHINE_BAD,
			    "run as root or grant CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF",
			    "a port on %.64s needs CAP_NET_ADMIN and CAP_NET_RAW", name);
		return false;
	}
	if (strlen(name) >= IF_NAMESIZE || strchr(name, '/') != NULL) {
		machine_say(machine, "port", MACHINE_BAD, "rename it: ip link set dev OLD name NEW",
			    "interface name %.64s is longer than %d characters", name,
			    IF_NAMESIZE - 1);
		return false;
	}
	return true;
}

static void check_queues(struct machine *machine, const struct config *config, const char *name)
{
	uint32_t queues = queues_of(machine, name);
	char remedy[MACHINE_TEXT_MAX];

	(void)snprintf(remedy, sizeof(remedy),
		       "deploy/lab up --queues %d, ethtool -L %s combined %d, or cores=%u",
		       (int)config->cores, name, (int)config->cores, queues);
	/* Frames of a queue that no core serves would go to the kernel and be lost without a word. */
	machine_say(machine, "port queues", queues == config->cores ? MACHINE_GOOD : MACHINE_BAD,
		    remedy, "interface %s has %u queues and the cores serve %d", name, queues,
		    (int)config->cores);
}

static void check_mtu(struct machine *machine, const struct portlist_port *port, const char *name)
{
	int64_t mtu = machine_read_number(machine, 0, "/sys/class/net/%s/mtu", name);
	char remedy[MACHINE_TEXT_MAX];

	if (port->mtu > XDP_FRAME_MAX) {
		machine_say(machine, "port MTU", MACHINE_BAD,
			    "lower dpdk.mtu, and the MTU of its peers",
			    "MTU %d does not fit a buffer of an af_xdp port: at most %d",
			    (int)port->mtu, XDP_FRAME_MAX);
		return;
	}
	(void)snprintf(remedy, sizeof(remedy), "ip link set dev %s mtu %d, or dpdk.mtu=%d", name,
		       (int)port->mtu, (int)mtu);
	machine_say(machine, "port MTU", mtu == port->mtu ? MACHINE_GOOD : MACHINE_WEAK, remedy,
		    "interface %s has MTU %d, dpdk.mtu is %d", name, (int)mtu, (int)port->mtu);
}

static void check_carrier(struct machine *machine, const char *name)
{
	int64_t flags = machine_read_number(machine, 0, "/sys/class/net/%s/flags", name);
	int64_t carrier = machine_read_number(machine, 0, "/sys/class/net/%s/carrier", name);
	char remedy[MACHINE_TEXT_MAX];

	(void)snprintf(remedy, sizeof(remedy), "ip link set dev %s up; then look at cable and peer",
		       name);
	machine_say(machine, "port link",
		    (flags & IFF_UP) != 0 && carrier == 1 ? MACHINE_GOOD : MACHINE_WEAK, remedy,
		    "interface %s is %s", name,
		    (flags & IFF_UP) == 0 ? "down"
		    : carrier == 1        ? "up"
					  : "up without a carrier");
}

static void check_offloads(struct machine *machine, const char *name)
{
	struct machine_link link = { .is_lro_on = false };
	char remedy[MACHINE_TEXT_MAX];
	bool is_native = false;

	if (machine->link(name, &link) < 0) {
		machine_say(machine, "port XDP", MACHINE_WEAK,
			    "any driver with XDP: veth, virtio_net, ixgbe, i40e, ice, mlx5, ena",
			    "the driver of %s does not say what it is: frames may be copied twice",
			    name);
		return;
	}
	for (size_t i = 0; i < ARRAY_COUNT(xdp_drivers); i++)
		is_native |= strcmp(xdp_drivers[i], link.driver) == 0;
	machine_say(machine, "port XDP", is_native ? MACHINE_GOOD : MACHINE_WEAK,
		    "another interface: veth, virtio_net, ixgbe, i40e, ice, mlx5 or ena have XDP",
		    "driver %s %s", link.driver,
		    is_native ? "runs XDP"
			      : "has no XDP of its own: the kernel copies each frame first");
	(void)snprintf(remedy, sizeof(remedy), "ethtool -K %s lro off", name);
	machine_say(machine, "port offloads", link.is_lro_on ? MACHINE_BAD : MACHINE_GOOD, remedy,
		    "interface %s %s", name,
		    link.is_lro_on ? "merges frames (LRO), which XDP does not take"
				   : "does not merge frames");
}

static void check_af_xdp(struct machine *machine, const struct config *config,
			 const struct portlist_port *port, const char *name)
{
	if (!check_name(machine, name))
		return;
	if (!machine_exists(machine, "/sys/class/net/%s", name)) {
		machine_say(machine, "port", MACHINE_BAD,
			    "make the lab with deploy/lab up, or name another in dpdk.port",
			    "there is no interface %s", name);
		return;
	}
	if (machine_read_number(machine, 0, "/sys/class/net/%s/type", name) != ARP_ETHERNET) {
		machine_say(machine, "port", MACHINE_BAD, "name an Ethernet interface in dpdk.port",
			    "interface %s is not Ethernet", name);
		return;
	}
	check_queues(machine, config, name);
	check_mtu(machine, port, name);
	check_carrier(machine, name);
	check_offloads(machine, name);
}

static void check_tap(struct machine *machine, const char *name)
{
	if (!check_name(machine, name))
		return;
	if (!machine_exists(machine, "/dev/net/tun"))
		machine_say(
			machine, "port", MACHINE_BAD,
			"modprobe tun; mknod /dev/net/tun c 10 200, or give it to the container",
			"there is no /dev/net/tun");
	else if (machine_exists(machine, "/sys/class/net/%s", name))
		machine_say(machine, "port", MACHINE_WEAK,
			    "ip link delete, or another name in dpdk.port",
			    "interface %s exists already", name);
	else
		machine_say(machine, "port", MACHINE_GOOD, "", "tap %s can be made", name);
}

/* Its driver takes what the kernel has room for, beside the kernel's own stack. */
static void check_af_packet(struct machine *machine, const struct portlist_port *port,
			    const char *name)
{
	if (!check_name(machine, name))
		return;
	if (!machine_exists(machine, "/sys/class/net/%s", name)) {
		machine_say(machine, "port", MACHINE_BAD, "name another in dpdk.port",
			    "there is no interface %s", name);
		return;
	}
	machine_say(machine, "port", MACHINE_WEAK, "dpdk.port=af_xdp:IFACE, or sockets alone",
		    "af_packet on %s is for tests: it loses packets under load", name);
	if (port->mtu > PACKET_MTU_MAX)
		machine_say(machine, "port MTU", MACHINE_BAD,
			    "lower dpdk.mtu, and the MTU of its peers",
			    "MTU %d is more than an af_packet port takes: at most %d",
			    (int)port->mtu, PACKET_MTU_MAX);
	check_carrier(machine, name);
}

/* The switch is there first, and listens. */
static void check_virtio(struct machine *machine, const char *socket_path)
{
	struct stat info;

	if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		machine_say(machine, "port", MACHINE_BAD, "a shorter path in dpdk.port",
			    "vhost-user socket %.100s... is a longer path than sockets have",
			    socket_path);
	else if (stat(socket_path, &info) < 0)
		machine_say(machine, "port", MACHINE_BAD,
			    "start the switch that serves it before the box, or correct dpdk.port",
			    "there is no vhost-user socket %s", socket_path);
	else if (!S_ISSOCK(info.st_mode))
		machine_say(machine, "port", MACHINE_BAD, "another path in dpdk.port",
			    "vhost-user socket %s is a file of another kind", socket_path);
	else if (access(socket_path, W_OK) < 0)
		machine_say(machine, "port", MACHINE_BAD, "give it to this user",
			    "vhost-user socket %s is not this user's to open", socket_path);
	else
		machine_say(machine, "port", MACHINE_GOOD, "", "vhost-user socket %s", socket_path);
}

static void check_memif(struct machine *machine, const char *socket_path)
{
	char folder[CONFIG_TEXT_MAX];
	struct stat info;
	char *slash;

	(void)snprintf(folder, sizeof(folder), "%s", socket_path);
	slash = strrchr(folder, '/');
	if (slash == folder)
		slash[1] = '\0';
	else if (slash != NULL)
		*slash = '\0';
	if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		machine_say(machine, "port", MACHINE_BAD, "a shorter path in dpdk.port",
			    "memif socket %.100s... is a longer path than sockets have",
			    socket_path);
	else if (access(slash != NULL ? folder : ".", W_OK | X_OK) < 0)
		machine_say(machine, "port", MACHINE_BAD,
			    "make that folder, or give it to this user",
			    "memif socket %s: its folder is not there, or not this user's to write",
			    socket_path);
	else if (stat(socket_path, &info) == 0 && !S_ISSOCK(info.st_mode))
		machine_say(machine, "port", MACHINE_BAD, "remove it, or another path in dpdk.port",
			    "memif socket %s is a file of another kind", socket_path);
	else
		machine_say(machine, "port", MACHINE_GOOD, "",
			    "memif socket %s: who comes first serves it", socket_path);
}

void machine_check_port(struct machine *machine, const struct config *config,
			const struct portlist_port *port)
{
	const char *name = port->port;

	if (strncmp(name, "af_xdp:", 7) == 0)
		check_af_xdp(machine, config, port, name + 7);
	else if (strncmp(name, "af_packet:", 10) == 0)
		check_af_packet(machine, port, name + 10);
	else if (strncmp(name, "virtio:", 7) == 0)
		check_virtio(machine, name + 7);
	else if (strncmp(name, "tap:", 4) == 0)
		check_tap(machine, name + 4);
	else if (strncmp(name, "memif:", 6) == 0)
		check_memif(machine, name + 6);
	else if (portlist_is_pci(name))
		check_pci(machine, config, port);
	else
		machine_say(machine, "port", MACHINE_BAD, "correct dpdk.port",
			    "port \"%.64s\" is none of af_xdp:IFACE, memif:SOCKET, tap:NAME, "
			    "virtio:SOCKET, af_packet:IFACE or a PCI address",
			    name);
}

void machine_check_ports(struct machine *machine, const struct config *config)
{
	struct portlist list;
	char reason[MACHINE_TEXT_MAX];

	if (portlist_read(config, &list, reason, sizeof(reason)) < 0) {
		machine_say(machine, "port settings", MACHINE_BAD,
			    "correct it; `millrace config` says what each setting takes", "%s",
			    reason);
		return;
	}
	if (list.count == 0)
		machine_say(machine, "port", MACHINE_GOOD, "", "%s",
			    config->dpdk_port[0] == '\0'
				    ? "dpdk.port is empty: the lab's when it stands"
				    : "dpdk.port is none: kernel sockets only");
	machine->ports = list.count;
	for (uint32_t i = 0; i < list.count; i++) {
		machine->subject = list.count > 1 ? list.ports[i].port : NULL;
		machine_check_port(machine, config, &list.ports[i]);
	}
	machine->subject = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any DPDK ethdev as a port. One packet pool per queue serves receiving and sending: drivers that
 * share memory with the kernel (af_xdp) send without a copy only what lies in the pool they receive
 * into. A buffer may be freed on another core than it was received on; pools are multi-producer.
 *
 * Buffers of a queue, the written sum: what the driver keeps (af_xdp fills the kernel's queue with
 * 2048, others one per receive descriptor), one per send descriptor, one cache on each side, and
 * HELD_BUFFERS for payload that TCP holds (1024 pieces) and for frames that wait until the port has
 * room (256). With the 512 descriptors of startup_transports.c that is 3 to 4 thousand buffers: 7 MB at
 * an MTU of 1500 and 18 MB for af_xdp, whose buffers are pages. They stay in the last-level cache: a
 * pool gives back first what was freed last.
 */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/check.h"

#include "dataplane/nic/nic.h"
#include "dataplane/nic/nic_eal.h"
#include "dataplane/nic/nic_lock.h"
#include "dataplane/nic/nic_memif.h"
#include "dataplane/nic/nic_xsk.h"

#define QUEUES_MAX      64
#define POOL_CACHE      256
#define HELD_BUFFERS    1280
#define XSK_FILL        2048 /* buffers af_xdp hands to the kernel, whatever the descriptors */
#define XSK_HEADROOM    256  /* XDP_PACKET_HEADROOM, taken by the kernel from each buffer */
#define XSK_ELEMENT_MAX 4096 /* a buffer with its headers must fit the kernel's page */
#define XSK_ROOM        (XSK_ELEMENT_MAX - RTE_CACHE_LINE_SIZE - (uint32_t)sizeof(struct rte_mbuf))
#define ETH_OVERHEAD    18 /* header, checksum */
#define BURST_MAX       64

enum port_kind { PORT_AF_XDP, PORT_MEMIF, PORT_TAP, PORT_PCI };

struct dpdk_queue {
	struct rte_mempool *pool;
	uint16_t port_id;
	uint16_t index; /* of its device's queues */
	int wait_fd;    /* -1: none */
};

/* One device, but for af_xdp one for each queue: its driver believes that a veth has one queue. */
struct dpdk_port {
	uint16_t id;
	bool is_open, is_started;
	bool is_made; /* by us, so we remove it */
};

struct nic_dpdk {
	struct nic nic;
	enum port_kind kind;
	uint16_t descriptors;
	uint32_t buffers;
	uint16_t ports;
	int lock_fd; /* one box per interface, one server per memif; -1: not locked */
	bool is_plain;
	struct dpdk_port port[QUEUES_MAX];
	struct dpdk_queue queue[QUEUES_MAX];
};

static uint32_t instance_count; /* names of devices and pools are unique in the process */

static struct nic_dpdk *dpdk_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct nic_dpdk, nic);
}

static uint16_t dpdk_rx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			      uint16_t max)
{
	const uint64_t mask = RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK;
	const uint64_t good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	struct rte_mbuf *mbufs[BURST_MAX];
	const struct dpdk_queue *at = &dpdk_of(nic)->queue[queue];
	uint16_t count = rte_eth_rx_burst(at->port_id, at->index, mbufs,
					  (uint16_t)MIN(max, (uint16_t)BURST_MAX));

	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		/* A frame in several buffers shows its first piece only; the IP length then says
		   that it is cut short, and it is dropped and counted there. */
		packets[i] =
			(struct nic_packet){ .handle = mbuf,
					     .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
					     .size = rte_pktmbuf_data_len(mbuf),
					     .checksum_good = (mbuf->ol_flags & mask) == good };
	}
	return count;
}

static void dpdk_packet_hold(struct nic *nic, void *handle)
{
	(void)nic;
	rte_mbuf_refcnt_update(handle, 1);
}

static void dpdk_packet_free(struct nic *nic, uint16_t queue, void *handle)
{
	(void)nic;
	(void)queue;
	rte_pktmbuf_free(handle);
}

static bool dpdk_tx_alloc(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(dpdk_of(nic)->queue[queue].pool);

	if (unlikely(mbuf == NULL))
		return false;
	*ret_packet = (struct nic_packet){ .handle = mbuf,
					   .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
					   .size = (uint16_t)(nic->mtu + RTE_ETHER_HDR_LEN) };
	return true;
}

static uint16_t dpdk_tx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			      uint16_t count)
{
	const struct dpdk_queue *at = &dpdk_of(nic)->queue[queue];
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t done = 0;

	while (done < count) {
		uint16_t n = (uint16_t)MIN(count - done, BURST_MAX), fit;

		for (uint16_t i = 0; i < n; i++) {
			mbufs[i] = packets[done + i].handle;
			mbufs[i]->data_len = packets[done + i].size;
			mbufs[i]->pkt_len = packets[done + i].size;
			if (packets[done + i].wants_checksum) {
				mbufs[i]->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
				mbufs[i]->l2_len = RTE_ETHER_HDR_LEN;
				mbufs[i]->l3_len = sizeof(struct rte_ipv4_hdr);
			}
		}
		fit = rte_eth_tx_burst(at->port_id, at->index, mbufs, n);
		done = (uint16_t)(done + fit);
		if (fit < n)
			break;
	}
	return done;
}

static int dpdk_wait_fd(struct nic *nic, uint16_t queue)
{
	return dpdk_of(nic)->queue[queue].wait_fd;
}

static void dpdk_stats(struct nic *nic, struct nic_stats *ret_stats)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);

	memset(ret_stats, 0, sizeof(*ret_stats));
	for (uint16_t i = 0; i < dpdk->ports; i++) {
		struct rte_eth_stats stats;

		if (rte_eth_stats_get(dpdk->port[i].id, &stats) != 0)
			continue;
		ret_stats->rx_packets += stats.ipackets;
		ret_stats->rx_bytes += stats.ibytes;
		ret_stats->rx_missed += stats.imissed;
		ret_stats->rx_errors += stats.ierrors;
		ret_stats->rx_no_buffer += stats.rx_nombuf;
		ret_stats->tx_packets += stats.opackets;
		ret_stats->tx_bytes += stats.obytes;
		ret_stats->tx_errors += stats.oerrors;
	}
}

static bool dpdk_link_up(struct nic *nic)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(dpdk_of(nic)->port[0].id, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP;
}

static int dpdk_thread_register(struct nic *nic)
{
	(void)nic;
	/* A thread with an id has a cache of its own in every pool. The starting thread has one. */
	if (rte_lcore_id() != LCORE_ID_ANY)
		return 0;
	return rte_thread_register() == 0 ? 0 : -rte_errno;
}

static void port_close(struct dpdk_port *port)
{
	struct rte_eth_dev_info info;
	bool has_info = rte_eth_dev_info_get(port->id, &info) == 0;

	if (port->is_started)
		(void)rte_eth_dev_stop(port->id); /* closing follows either way */
	(void)rte_eth_dev_close(port->id);
	if (port->is_made && has_info)
		(void)rte_dev_remove(info.device);
}

static void dpdk_close(struct nic *nic)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);

	for (uint16_t i = dpdk->ports; i > 0; i--) {
		if (dpdk->port[i - 1].is_open)
			port_close(&dpdk->port[i - 1]);
	}
	for (uint16_t i = 0; i < nic->queues; i++)
		rte_mempool_free(dpdk->queue[i].pool);
	if (dpdk->lock_fd >= 0)
		(void)close(dpdk->lock_fd);
	free(dpdk);
}

static const struct nic_ops dpdk_ops = {
	.rx_burst = dpdk_rx_burst,
	.packet_hold = dpdk_packet_hold,
	.packet_free = dpdk_packet_free,
	.tx_alloc = dpdk_tx_alloc,
	.tx_burst = dpdk_tx_burst,
	.wait_fd = dpdk_wait_fd,
	.stats = dpdk_stats,
	.link_up = dpdk_link_up,
	.thread_register = dpdk_thread_register,
	.close = dpdk_close,
};

/* Bytes of one buffer after its mbuf header: headrooms and a frame of the MTU.
   An af_xdp buffer with its headers is one page: the driver tells the kernel that buffers lie without
   gaps, but a pool never lays one across pages, and what comes after the gaps would be sent to nobody
   and receive nothing, unreported. The same holds for a frame that does not fit the room. */
static uint32_t data_room(const struct nic_dpdk *dpdk)
{
	uint32_t room = RTE_PKTMBUF_HEADROOM + XSK_HEADROOM + dpdk->nic.mtu + ETH_OVERHEAD;

	if (dpdk->kind == PORT_AF_XDP)
		return XSK_ROOM;
	return MAX(ALIGN_UP(room, 64U), (uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE);
}

static uint32_t kept_by_driver(const struct nic_dpdk *dpdk)
{
	return (dpdk->kind == PORT_AF_XDP ? XSK_FILL : dpdk->descriptors) + dpdk->descriptors +
	       2U * POOL_CACHE;
}

/* "KIND:NAME" or a PCI address. @return 0; -EINVAL */
static int parse_port(const char *port, enum port_kind *ret_kind, const char **ret_name)
{
	static const struct {
		const char *prefix;
		enum port_kind kind;
	} kinds[] = { { "af_xdp:", PORT_AF_XDP }, { "memif:", PORT_MEMIF }, { "tap:", PORT_TAP } };

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
	if (strlen(port) < 7 || strspn(port, "0123456789abcdefABCDEF:.") != strlen(port) ||
	    strchr(port, ':') == NULL || strchr(port, '.') == NULL)
		return -EINVAL;
	*ret_kind = PORT_PCI;
	*ret_name = port;
	return 0;
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

#define CAP_NET_ADMIN_BIT 12

/* What the kernel would refuse without a word of help, or worse, accept and never deliver. */
static int check_interface(const struct nic_config *config, enum port_kind kind, const char *name,
			   char *reterr, size_t reterr_size)
{
	unsigned int queues;

	if ((kind == PORT_AF_XDP || kind == PORT_TAP) && !has_capability(CAP_NET_ADMIN_BIT)) {
		(void)snprintf(
			reterr, reterr_size,
			"port %s needs CAP_NET_ADMIN and CAP_NET_RAW: run as root or grant them",
			config->port);
		return -EPERM;
	}
	if (strlen(name) >= IF_NAMESIZE && (kind == PORT_AF_XDP || kind == PORT_TAP)) {
		(void)snprintf(reterr, reterr_size,
			       "interface name %s is longer than %d characters", name,
			       IF_NAMESIZE - 1);
		return -EINVAL;
	}
	if (kind != PORT_AF_XDP)
		return 0;
	if (if_nametoindex(name) == 0) {
		(void)snprintf(reterr, reterr_size,
			       "there is no interface %s: make the lab with deploy/lab up, or name "
			       "another in dpdk.port",
			       name);
		return -ENODEV;
	}
	queues = queues_of_interface(name);
	/* Frames of a queue that no core serves would go to the kernel and be lost without a word. */
	if (queues != config->queues) {
		(void)snprintf(reterr, reterr_size,
			       "interface %s has %u queues and the cores serve %u: deploy/lab up "
			       "--queues %u, ethtool -L %s combined %u, or cores=%u",
			       name, queues, config->queues, config->queues, name, config->queues,
			       queues);
		return -EINVAL;
	}
	if ((uint32_t)config->mtu + RTE_PKTMBUF_HEADROOM + XSK_HEADROOM + ETH_OVERHEAD > XSK_ROOM) {
		(void)snprintf(reterr, reterr_size,
			       "MTU %u does not fit a buffer of an af_xdp port: at most %u",
			       config->mtu,
			       XSK_ROOM - RTE_PKTMBUF_HEADROOM - XSK_HEADROOM - ETH_OVERHEAD);
		return -EINVAL;
	}
	return 0;
}

static int check_config(const struct nic_config *config, char *reterr, size_t reterr_size)
{
	if (config->queues == 0 || config->queues > QUEUES_MAX || !IS_POW2(config->descriptors) ||
	    config->mtu < 68) {
		(void)snprintf(reterr, reterr_size,
			       "port %s: 1 to %d queues, descriptors a power of two, MTU from 68",
			       config->port, QUEUES_MAX);
		return -EINVAL;
	}
	return 0;
}

/* Who comes first serves. Buffers of the shared memory take a whole frame: a frame in two would reach
   the other end in two buffers. */
static int memif_arguments(struct nic_dpdk *dpdk, const char *device, const char *path,
			   char *ret_args, size_t size)
{
	enum nic_memif_role role;
	int r = nic_memif_role(path, &role, &dpdk->lock_fd);

	if (r == 0)
		(void)snprintf(ret_args, size, "%s,role=%s,bsize=%u,socket=%s,socket-abstract=no",
			       device, role == NIC_MEMIF_SERVER ? "server" : "client",
			       ALIGN_UP(dpdk->nic.mtu + ETH_OVERHEAD, 1024U), path);
	return r;
}

/* The device of a virtual port is made now; a PCI device was probed by EAL. */
static int attach(struct nic_dpdk *dpdk, uint16_t port, const char *name, char *reterr,
		  size_t reterr_size)
{
	char device[64], args[NIC_PORT_SIZE + 128];
	unsigned int id = instance_count++;
	int r = 0;

	if (dpdk->kind == PORT_PCI) {
		(void)snprintf(device, sizeof(device), "%s", name);
	} else if (dpdk->kind == PORT_AF_XDP) {
		/* No busy polling by the driver: it would make each empty poll a system call. */
		(void)snprintf(device, sizeof(device), "net_af_xdp%u", id);
		(void)snprintf(args, sizeof(args),
			       "%s,iface=%s,start_queue=%u,queue_count=1,busy_budget=0", device,
			       name, port);
	} else if (dpdk->kind == PORT_MEMIF) {
		(void)snprintf(device, sizeof(device), "net_memif%u", id);
		r = memif_arguments(dpdk, device, name, args, sizeof(args));
	} else {
		(void)snprintf(device, sizeof(device), "net_tap%u", id);
		(void)snprintf(args, sizeof(args), "%s,iface=%s", device, name);
	}
	if (dpdk->kind != PORT_PCI && r == 0) {
		r = rte_dev_probe(args);
		dpdk->port[port].is_made = r == 0;
	}
	if (r != 0 || rte_eth_dev_get_port_by_name(device, &dpdk->port[port].id) != 0) {
		(void)snprintf(
			reterr, reterr_size,
			dpdk->kind == PORT_PCI
				? "no DPDK driver took device %s: bind it to vfio-pci"
				: "DPDK could not make a port on %s; is its driver installed?",
			name);
		return r != 0 ? r : -ENODEV;
	}
	dpdk->port[port].is_open = true;
	return 0;
}

/* As rte_pktmbuf_pool_create(), but without the padding that spreads buffers over memory channels. */
static struct rte_mempool *pool_new(const char *name, uint32_t count, uint32_t room)
{
	struct rte_pktmbuf_pool_private settings = { .mbuf_data_room_size = (uint16_t)room };
	struct rte_mempool *pool = rte_mempool_create_empty(
		name, count, (unsigned int)sizeof(struct rte_mbuf) + room, POOL_CACHE,
		sizeof(settings), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_SPREAD);

	if (pool == NULL)
		return NULL;
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) != 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_pktmbuf_pool_init(pool, &settings);
	if (rte_mempool_populate_default(pool) < 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

static int make_pool(struct nic_dpdk *dpdk, uint16_t queue, char *reterr, size_t reterr_size)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "millrace%u_%u", instance_count, queue);
	dpdk->queue[queue].pool = pool_new(name, dpdk->buffers, data_room(dpdk));
	if (dpdk->queue[queue].pool != NULL)
		return 0;
	(void)snprintf(reterr, reterr_size,
		       "no memory for %u packet buffers of queue %u: more 2 MiB hugepages "
		       "(vm.nr_hugepages) or fewer cores",
		       dpdk->buffers, queue);
	return -ENOMEM;
}

static int setup_queue(struct nic_dpdk *dpdk, uint16_t queue, const struct rte_eth_dev_info *info,
		       char *reterr, size_t reterr_size)
{
	struct dpdk_queue *at = &dpdk->queue[queue];
	struct rte_eth_txconf tx = info->default_txconf;
	struct nic_xsk_set before;
	int r;

	/* A held buffer is sent to nobody, but a sent one may have a second owner. */
	tx.offloads &= ~RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	r = make_pool(dpdk, queue, reterr, reterr_size);
	if (r != 0)
		return r;
	nic_xsk_scan(&before);
	r = rte_eth_rx_queue_setup(at->port_id, at->index, dpdk->descriptors, SOCKET_ID_ANY, NULL,
				   at->pool);
	if (r == 0)
		r = rte_eth_tx_queue_setup(at->port_id, at->index, dpdk->descriptors, SOCKET_ID_ANY,
					   &tx);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size,
			       "queue %u of the port was refused: %s; is another process using it?",
			       queue, rte_strerror(-r));
		return r;
	}
	if (dpdk->kind == PORT_AF_XDP)
		at->wait_fd = nic_xsk_new(&before);
	return 0;
}

static void use_offloads(struct nic_dpdk *dpdk, const struct rte_eth_dev_info *info,
			 struct rte_eth_conf *conf)
{
	const uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

	if (dpdk->is_plain)
		return;
	conf->rxmode.offloads = info->rx_offload_capa & rx;
	if (conf->rxmode.offloads == rx)
		dpdk->nic.offloads |= NIC_RX_CHECKSUM;
	if ((info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0) {
		conf->txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
		dpdk->nic.offloads |= NIC_TX_CHECKSUM;
	}
}

static int configure(struct nic_dpdk *dpdk, uint16_t port, char *reterr, size_t reterr_size)
{
	struct rte_eth_conf conf = { .rxmode = { .mq_mode = RTE_ETH_MQ_RX_NONE } };
	uint16_t queues = dpdk->nic.queues / dpdk->ports, id = dpdk->port[port].id;
	struct rte_eth_dev_info info;
	int r = rte_eth_dev_info_get(id, &info);

	if (r == 0 && (info.max_rx_queues < queues || info.max_tx_queues < queues)) {
		(void)snprintf(reterr, reterr_size,
			       "the port has %u queues and %u cores need one each",
			       MIN(info.max_rx_queues, info.max_tx_queues), queues);
		return -EINVAL;
	}
	/* Checksum offloads of real devices only: what a virtual peer calls good is often partial. */
	if (r == 0 && dpdk->kind == PORT_PCI) {
		use_offloads(dpdk, &info, &conf);
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
		if (queues > 1 && conf.rx_adv_conf.rss_conf.rss_hf != 0)
			conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	}
	/* Drivers that keep their own idea of the MTU refuse another one; the kernel's counts then. */
	if (r == 0 && dpdk->kind != PORT_MEMIF)
		conf.rxmode.mtu = dpdk->nic.mtu;
	if (r == 0)
		r = rte_eth_dev_configure(id, queues, queues, &conf);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size, "the port refused its settings (MTU %u): %s",
			       dpdk->nic.mtu, rte_strerror(-r));
		return r;
	}
	for (uint16_t i = 0; i < queues; i++) {
		dpdk->queue[port + i].port_id = id;
		dpdk->queue[port + i].index = i;
		r = setup_queue(dpdk, (uint16_t)(port + i), &info, reterr, reterr_size);
		if (r != 0)
			return r;
	}
	return 0;
}

static int start(struct nic_dpdk *dpdk, uint16_t port, char *reterr, size_t reterr_size)
{
	int r = rte_eth_dev_start(dpdk->port[port].id);

	dpdk->port[port].is_started = r == 0;
	if (r != 0)
		(void)snprintf(reterr, reterr_size, "the port did not start: %s", rte_strerror(-r));
	return r;
}

static int describe(struct nic_dpdk *dpdk, char *reterr, size_t reterr_size)
{
	struct rte_ether_addr mac;
	struct rte_eth_dev_info info;
	int r = rte_eth_macaddr_get(dpdk->port[0].id, &mac);

	if (r == 0)
		r = rte_eth_dev_info_get(dpdk->port[0].id, &info);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size, "the port has no address: %s",
			       rte_strerror(-r));
		return r;
	}
	memcpy(dpdk->nic.mac, mac.addr_bytes, sizeof(dpdk->nic.mac));
	(void)snprintf(dpdk->nic.describe, sizeof(dpdk->nic.describe), "%s, %u queue%s, MTU %u%s",
		       info.driver_name, dpdk->nic.queues, dpdk->nic.queues == 1 ? "" : "s",
		       dpdk->nic.mtu, nic_eal_on_hugepages() ? "" : ", without hugepages");
	return 0;
}

static int lock_interface(struct nic_dpdk *dpdk, const char *name, char *reterr, size_t reterr_size)
{
	if (dpdk->kind != PORT_AF_XDP)
		return 0; /* the kernel refuses a second owner of the others */
	dpdk->lock_fd = nic_lock(name);
	if (dpdk->lock_fd >= 0)
		return 0;
	(void)snprintf(reterr, reterr_size,
		       dpdk->lock_fd == -EBUSY ? "another box serves %s; stop it or set dpdk.port"
					       : "%s cannot be locked in /dev/shm",
		       name);
	return dpdk->lock_fd;
}

/* Bytes of all packet buffers. */
static uint64_t pools_size(const struct nic_dpdk *dpdk)
{
	uint64_t element = data_room(dpdk) + sizeof(struct rte_mbuf) + 64;

	return element * dpdk->buffers * dpdk->nic.queues;
}

static int bring_up(struct nic_dpdk *dpdk, const char *name, char *reterr, size_t reterr_size)
{
	int r = lock_interface(dpdk, name, reterr, reterr_size);

	if (r == 0)
		r = nic_eal_up(dpdk->kind == PORT_PCI ? name : NULL, pools_size(dpdk), reterr,
			       reterr_size);
	for (uint16_t i = 0; r == 0 && i < dpdk->ports; i++) {
		r = attach(dpdk, i, name, reterr, reterr_size);
		if (r == 0)
			r = configure(dpdk, i, reterr, reterr_size);
		if (r == 0)
			r = start(dpdk, i, reterr, reterr_size);
	}
	if (r == 0)
		r = describe(dpdk, reterr, reterr_size);
	if (r != 0)
		dpdk_close(&dpdk->nic);
	return r;
}

/* What the settings make of a port before anything is opened. */
static void plan(struct nic_dpdk *dpdk, const struct nic_config *config, enum port_kind kind)
{
	dpdk->kind = kind;
	dpdk->ports = kind == PORT_AF_XDP ? config->queues : 1;
	dpdk->descriptors = config->descriptors;
	dpdk->lock_fd = -1;
	dpdk->is_plain = config->is_plain;
	dpdk->nic = (struct nic){ .ops = &dpdk_ops, .mtu = config->mtu, .queues = config->queues };
	dpdk->buffers = MAX(config->buffers, kept_by_driver(dpdk) + HELD_BUFFERS);
	for (uint32_t i = 0; i < QUEUES_MAX; i++)
		dpdk->queue[i].wait_fd = -1;
}

uint64_t nic_dpdk_size(const struct nic_config *config)
{
	struct nic_dpdk dpdk = { .nic.ops = NULL };
	enum port_kind kind;
	const char *name;

	if (parse_port(config->port, &kind, &name) != 0)
		return 0;
	plan(&dpdk, config, kind);
	return pools_size(&dpdk) + NIC_EAL_SIZE;
}

int nic_dpdk_open(const struct nic_config *config, struct nic **ret_nic, char *reterr,
		  size_t reterr_size)
{
	struct nic_dpdk *dpdk;
	const char *name;
	enum port_kind kind;
	int r;

	if (parse_port(config->port, &kind, &name) != 0) {
		(void)snprintf(
			reterr, reterr_size,
			"port \"%.64s\" is none of af_xdp:IFACE, memif:SOCKET, tap:NAME or a "
			"PCI address",
			config->port);
		return -EINVAL;
	}
	dpdk = calloc(1, sizeof(*dpdk));
	if (dpdk == NULL)
		return -ENOMEM;
	plan(dpdk, config, kind);
	r = check_config(config, reterr, reterr_size);
	if (r == 0)
		r = check_interface(config, kind, name, reterr, reterr_size);
	if (r != 0) {
		free(dpdk);
		return r;
	}
	r = bring_up(dpdk, name, reterr, reterr_size);
	if (r == 0)
		*ret_nic = &dpdk->nic;
	return r;
}

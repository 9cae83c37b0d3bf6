/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One packet pool per queue serves receiving and sending: drivers that share memory with the kernel
 * (af_xdp) send without a copy only what lies in the pool they receive into. A buffer may be freed on
 * another core than it was received on; pools are multi-producer.
 *
 * Buffers of a queue, the written sum: what the driver keeps (af_xdp fills the kernel's queue with
 * 2048, others one per receive descriptor), one per send descriptor, one cache on each side, and
 * HELD_BUFFERS for payload that TCP holds (1024 pieces) and for frames that wait until the port has
 * room (256, in two buffers each). With the 512 descriptors of startup_transports.c that is 3 to 4
 * thousand buffers: 7 MB at an MTU of 1500 and 18 MB for af_xdp, whose buffers are pages. They stay in
 * the last-level cache: a pool gives back first what was freed last. Each port has such pools of its
 * own, and EAL is asked for the sum of all of them (nic_dpdk_up()).
 */
#include <errno.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/check.h"

#include "dataplane/nic/nic_dpdk_impl.h"
#include "dataplane/nic/nic_eal.h"
#include "dataplane/nic/nic_intr.h"
#include "dataplane/nic/nic_lock.h"
#include "dataplane/nic/nic_memif.h"
#include "dataplane/nic/nic_xsk.h"

#define POOL_CACHE      256
#define HELD_BUFFERS    1536
#define XSK_FILL        2048 /* buffers af_xdp hands to the kernel, whatever the descriptors */
#define XSK_HEADROOM    256  /* XDP_PACKET_HEADROOM, taken by the kernel from each buffer */
#define XSK_ELEMENT_MAX 4096 /* a buffer with its headers must fit the kernel's page */
#define XSK_ROOM        (XSK_ELEMENT_MAX - RTE_CACHE_LINE_SIZE - (uint32_t)sizeof(struct rte_mbuf))
#define ETH_OVERHEAD    18 /* header, checksum */

static_assert(NIC_PORT_XDP_MTU_MAX == XSK_ROOM - RTE_PKTMBUF_HEADROOM - XSK_HEADROOM - ETH_OVERHEAD,
	      "what the check promises must fit");

/* Names of devices and pools are unique in the process. */
static uint32_t device_count, pool_count;

/* Bytes of one buffer after its mbuf header: headrooms and a frame of the MTU.
   An af_xdp buffer with its headers is one page: the driver tells the kernel that buffers lie without
   gaps, but a pool never lays one across pages, and what comes after the gaps would be sent to nobody
   and receive nothing, unreported. The same holds for a frame that does not fit the room. */
static uint32_t data_room(const struct nic_dpdk *dpdk)
{
	uint32_t room = RTE_PKTMBUF_HEADROOM + XSK_HEADROOM + dpdk->nic.mtu + ETH_OVERHEAD;

	if (dpdk->kind == NIC_PORT_AF_XDP)
		return XSK_ROOM;
	return MAX(ALIGN_UP(room, 64U), (uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE);
}

static uint32_t kept_by_driver(const struct nic_dpdk *dpdk)
{
	return (dpdk->kind == NIC_PORT_AF_XDP ? XSK_FILL : dpdk->descriptors) + dpdk->descriptors +
	       2U * POOL_CACHE;
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

/* Its address is made up the first time, and kept when it is made anew. */
static void virtio_arguments(const struct nic_dpdk *dpdk, const char *device, char *ret_args,
			     size_t size)
{
	static const uint8_t none[6];
	const uint8_t *mac = dpdk->nic.mac;
	char address[32] = "";

	if (memcmp(mac, none, sizeof(none)) != 0)
		(void)snprintf(address, sizeof(address), ",mac=%02x:%02x:%02x:%02x:%02x:%02x",
			       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	(void)snprintf(ret_args, size, "%s,path=%s,queues=%u,queue_size=%u%s", device, dpdk->name,
		       dpdk->nic.queues, dpdk->descriptors, address);
}

/* The device that a port is made of, and the arguments that make it. */
static int device_arguments(struct nic_dpdk *dpdk, uint16_t index, char ret_device[64],
			    char *ret_args, size_t size)
{
	static const char *const drivers[] = {
		[NIC_PORT_AF_XDP] = "net_af_xdp",      [NIC_PORT_AF_PACKET] = "net_af_packet",
		[NIC_PORT_MEMIF] = "net_memif",        [NIC_PORT_TAP] = "net_tap",
		[NIC_PORT_VIRTIO] = "net_virtio_user",
	};
	const char *name = dpdk->name;
	uint16_t queues = dpdk->nic.queues;

	if (dpdk->kind == NIC_PORT_PCI) {
		portlist_pci(name, ret_device);
		(void)snprintf(ret_args, size, "%s", ret_device);
		return 0;
	}
	(void)snprintf(ret_device, 64, "%s%u", drivers[dpdk->kind], device_count++);
	if (dpdk->kind == NIC_PORT_MEMIF)
		return memif_arguments(dpdk, ret_device, name, ret_args, size);
	if (dpdk->kind == NIC_PORT_AF_XDP) /* no busy polling: each empty poll would be a call */
		(void)snprintf(ret_args, size,
			       "%s,iface=%s,start_queue=%u,queue_count=1,busy_budget=0", ret_device,
			       name, index);
	else if (dpdk->kind == NIC_PORT_AF_PACKET)
		(void)snprintf(ret_args, size, "%s,iface=%s,qpairs=%u", ret_device, name, queues);
	else if (dpdk->kind == NIC_PORT_VIRTIO)
		virtio_arguments(dpdk, ret_device, ret_args, size);
	else
		(void)snprintf(ret_args, size, "%s,iface=%s", ret_device, name);
	return 0;
}

/* The device of a virtual port is made now; those of PCI ports were probed by EAL. */
static int attach(struct nic_dpdk *dpdk, uint16_t index, char *reterr, size_t reterr_size)
{
	struct nic_dpdk_device *at = &dpdk->devices[index];
	char device[64], args[NIC_PORT_SIZE + 128];
	int r = device_arguments(dpdk, index, device, args, sizeof(args));

	if (r == 0 && rte_eth_dev_get_port_by_name(device, &at->id) != 0) {
		r = rte_dev_probe(args);
		at->is_made = r == 0;
		if (r == 0)
			r = rte_eth_dev_get_port_by_name(device, &at->id);
	}
	if (r != 0) {
		(void)snprintf(
			reterr, reterr_size,
			dpdk->kind == NIC_PORT_PCI
				? "no DPDK driver took device %s: bind it to vfio-pci"
				: "DPDK could not make a port on %s; is its driver installed?",
			dpdk->name);
		return r;
	}
	at->is_open = true;
	if (dpdk->kind == NIC_PORT_PCI || dpdk->kind == NIC_PORT_VIRTIO)
		nic_reset_listen(dpdk, at);
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

	if (dpdk->queues[queue].pool != NULL)
		return 0; /* the device was there before: its buffers stay */
	(void)snprintf(name, sizeof(name), "millrace%u", pool_count++);
	dpdk->queues[queue].pool = pool_new(name, dpdk->buffers, data_room(dpdk));
	if (dpdk->queues[queue].pool != NULL)
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
	struct nic_dpdk_queue *at = &dpdk->queues[queue];
	struct rte_eth_txconf tx = info->default_txconf;
	struct nic_xsk_set before;
	int r;

	/* A held buffer is sent to nobody, but a sent one may have a second owner. */
	tx.offloads &= ~RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	r = make_pool(dpdk, queue, reterr, reterr_size);
	if (r != 0)
		return r;
	nic_xsk_scan(&before);
	r = rte_eth_rx_queue_setup(at->port_id, at->index, dpdk->rx_ring, SOCKET_ID_ANY, NULL,
				   at->pool);
	if (r == 0)
		r = rte_eth_tx_queue_setup(at->port_id, at->index, dpdk->tx_ring, SOCKET_ID_ANY,
					   &tx);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size,
			       "queue %u of the port was refused: %s; is another process using it?",
			       queue, rte_strerror(-r));
		return r;
	}
	if (dpdk->kind == NIC_PORT_AF_XDP)
		at->wait_fd = nic_xsk_new(&before);
	return 0;
}

static void use_rx_offloads(struct nic_dpdk *dpdk, const struct rte_eth_dev_info *info,
			    struct rte_eth_rxmode *mode)
{
	/* A virtual peer on this machine leaves checksums out, and a mark of TCP's alone says so. */
	bool is_virtio = dpdk->kind == NIC_PORT_VIRTIO;
	const uint64_t wanted =
		RTE_ETH_RX_OFFLOAD_TCP_CKSUM | (is_virtio ? 0 : RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);

	mode->offloads = info->rx_offload_capa & wanted;
	if (mode->offloads != wanted)
		return;
	dpdk->nic.offloads |= NIC_RX_CHECKSUM;
	if (is_virtio) {
		dpdk->checksum_mask = dpdk->checksum_right = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	} else {
		dpdk->checksum_mask = RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK;
		dpdk->checksum_right = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	/* What is merged has no checksum of its own: only with a port that verifies. */
	if ((info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0) {
		mode->offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO |
				  (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER);
		mode->max_lro_pkt_size = info->max_lro_pkt_size;
		dpdk->nic.offloads |= NIC_RX_MERGE;
	}
}

static void use_offloads(struct nic_dpdk *dpdk, const struct rte_eth_dev_info *info,
			 struct rte_eth_conf *conf)
{
	dpdk->nic.offloads = 0;
	if (dpdk->is_plain)
		return;
	use_rx_offloads(dpdk, info, &conf->rxmode);
	if ((info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0) {
		conf->txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
		dpdk->nic.offloads |= NIC_TX_CHECKSUM;
	}
}

/* How packets are spread over queues, as far as that is settled before the start. */
static void use_spreading(struct nic_dpdk *dpdk, uint16_t queues,
			  const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	const uint64_t kinds = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);

	dpdk->nic.steering = dpdk->nic.queues > 1 ? NIC_STEERING_NONE : NIC_STEERING_ONE;
	if (dpdk->kind != NIC_PORT_PCI || queues == 1 || kinds == 0)
		return;
	conf->rx_adv_conf.rss_conf.rss_hf = kinds;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	dpdk->nic.steering = NIC_STEERING_SPREAD;
}

static int setup_queues(struct nic_dpdk *dpdk, uint16_t index, uint16_t queues,
			const struct rte_eth_dev_info *info, char *reterr, size_t reterr_size)
{
	int r;

	dpdk->rx_ring = dpdk->tx_ring = dpdk->descriptors;
	/* Whatever the kernel may fill can wait to be received: at no cost, and a burst is not lost. */
	if (dpdk->kind == NIC_PORT_AF_XDP)
		dpdk->rx_ring = XSK_FILL;
	r = rte_eth_dev_adjust_nb_rx_tx_desc(dpdk->devices[index].id, &dpdk->rx_ring,
					     &dpdk->tx_ring);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size, "the port has no rings: %s", rte_strerror(-r));
		return r;
	}
	for (uint16_t i = 0; i < queues; i++) {
		uint16_t queue = (uint16_t)(index + i);

		dpdk->queues[queue].port_id = dpdk->devices[index].id;
		dpdk->queues[queue].index = i;
		r = setup_queue(dpdk, queue, info, reterr, reterr_size);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Of each device. */
static uint16_t queues_of(const struct nic_dpdk *dpdk)
{
	return dpdk->nic.queues / dpdk->device_count;
}

static uint16_t pieces_of(uint16_t told)
{
	return (uint16_t)(told > 0 ? MIN(told, NIC_PIECES_MAX) : NIC_PIECES_MAX);
}

/* Frames of several pieces. af_xdp's driver sends one buffer; a switch behind virtio sees only DPDK's
   own memory, and a device without an IOMMU only what it is told by physical address. */
static void use_pieces(struct nic_dpdk *dpdk, const struct rte_eth_dev_info *info,
		       struct rte_eth_conf *conf)
{
	const uint64_t can = info->tx_offload_capa;

	dpdk->nic.offloads &= ~(NIC_TX_PIECES | NIC_TX_LENT | NIC_TX_SPLIT);
	if (dpdk->is_plain || (can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) == 0)
		return;
	conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	dpdk->nic.offloads |= NIC_TX_PIECES;
	dpdk->nic.pieces = pieces_of(info->tx_desc_lim.nb_mtu_seg_max);
	dpdk->nic.split_pieces = pieces_of(info->tx_desc_lim.nb_seg_max);
	if (dpdk->kind == NIC_PORT_MEMIF || dpdk->kind == NIC_PORT_TAP ||
	    (dpdk->kind == NIC_PORT_PCI && !dpdk->lends_nothing &&
	     rte_eal_iova_mode() == RTE_IOVA_VA))
		dpdk->nic.offloads |= NIC_TX_LENT;
	if ((dpdk->nic.offloads & NIC_TX_CHECKSUM) == 0 || (can & RTE_ETH_TX_OFFLOAD_TCP_TSO) == 0)
		return;
	dpdk->nic.offloads |= NIC_TX_SPLIT;
	dpdk->makes_ip = (can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
	conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	if (dpdk->makes_ip)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
}

static int configure(struct nic_dpdk *dpdk, uint16_t index, char *reterr, size_t reterr_size)
{
	struct rte_eth_conf conf = { .rxmode = { .mq_mode = RTE_ETH_MQ_RX_NONE } };
	uint16_t queues = queues_of(dpdk), id = dpdk->devices[index].id;
	struct rte_eth_dev_info info;
	int r = rte_eth_dev_info_get(id, &info);

	if (r == 0 && (info.max_rx_queues < queues || info.max_tx_queues < queues)) {
		(void)snprintf(reterr, reterr_size,
			       "the port has %u queues and %u cores need one each",
			       MIN(info.max_rx_queues, info.max_tx_queues), queues);
		return -EINVAL;
	}
	if (r == 0 && (dpdk->kind == NIC_PORT_PCI || dpdk->kind == NIC_PORT_VIRTIO)) {
		use_offloads(dpdk, &info, &conf);
		conf.intr_conf.lsc = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
		conf.intr_conf.rmv = (*info.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
		conf.intr_conf.rxq = dpdk->has_interrupts;
	}
	if (r == 0)
		use_pieces(dpdk, &info, &conf);
	if (r == 0)
		use_spreading(dpdk, queues, &info, &conf);
	/* Drivers that keep their own idea of the MTU refuse another one; the kernel's counts then. */
	if (r == 0 && dpdk->kind != NIC_PORT_MEMIF)
		conf.rxmode.mtu = dpdk->nic.mtu;
	if (r == 0)
		r = rte_eth_dev_configure(id, queues, queues, &conf);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size, "the port refused its settings (MTU %u): %s",
			       dpdk->nic.mtu, rte_strerror(-r));
		return r;
	}
	return setup_queues(dpdk, index, queues, &info, reterr, reterr_size);
}

static int start(struct nic_dpdk *dpdk, uint16_t index, char *reterr, size_t reterr_size)
{
	struct nic_dpdk_device *device = &dpdk->devices[index];
	int r = rte_eth_dev_start(device->id);

	device->is_started = r == 0;
	if (r != 0) {
		(void)snprintf(reterr, reterr_size, "the port did not start: %s", rte_strerror(-r));
		return r;
	}
	if (dpdk->kind == NIC_PORT_PCI && dpdk->nic.queues > 1 && dpdk->tcp_port != 0 &&
	    nic_steer_install(&device->steer, device->id, dpdk->nic.queues, dpdk->tcp_port) == 0)
		dpdk->nic.steering = NIC_STEERING_RULES;
	return 0;
}

static void stop(struct nic_dpdk *dpdk, uint16_t index)
{
	struct nic_dpdk_device *device = &dpdk->devices[index];

	nic_steer_remove(&device->steer, device->id);
	nic_intr_close(dpdk, index, queues_of(dpdk));
	if (device->is_started)
		(void)rte_eth_dev_stop(device->id); /* closing, or a reset, follows either way */
	device->is_started = false;
}

/* With interrupts where they are wanted; a driver that refuses them from the first is polled. */
static int configure_and_start(struct nic_dpdk *dpdk, uint16_t index, char *reterr,
			       size_t reterr_size)
{
	int r = configure(dpdk, index, reterr, reterr_size);

	if (r == 0)
		r = start(dpdk, index, reterr, reterr_size);
	if (r != 0 && dpdk->has_interrupts && dpdk->queues[index].wait_fd < 0) {
		dpdk->has_interrupts = false;
		stop(dpdk, index);
		return configure_and_start(dpdk, index, reterr, reterr_size);
	}
	if (r == 0 && dpdk->has_interrupts)
		nic_intr_open(dpdk, index, queues_of(dpdk));
	return r;
}

static int describe(struct nic_dpdk *dpdk, char *reterr, size_t reterr_size)
{
	struct rte_ether_addr mac;
	static const char *const steering[NIC_STEERING_COUNT] = {
		[NIC_STEERING_ONE] = "",
		[NIC_STEERING_RULES] = " (flow rules)",
		[NIC_STEERING_SPREAD] = " (RSS)",
		[NIC_STEERING_NONE] = " (no steering)",
	};
	struct rte_eth_dev_info info;
	int r = rte_eth_macaddr_get(dpdk->devices[0].id, &mac);

	if (r == 0)
		r = rte_eth_dev_info_get(dpdk->devices[0].id, &info);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size, "the port has no address: %s",
			       rte_strerror(-r));
		return r;
	}
	memcpy(dpdk->nic.mac, mac.addr_bytes, sizeof(dpdk->nic.mac));
	(void)snprintf(dpdk->nic.describe, sizeof(dpdk->nic.describe),
		       "%s, %u queue%s%s, MTU %u%s%s%s", info.driver_name, dpdk->nic.queues,
		       dpdk->nic.queues == 1 ? "" : "s", steering[dpdk->nic.steering],
		       dpdk->nic.mtu, (dpdk->nic.offloads & NIC_RX_MERGE) != 0 ? ", LRO" : "",
		       dpdk->queues[0].has_interrupt ? ", interrupts" : "",
		       nic_eal_on_hugepages() ? "" : ", without hugepages");
	return 0;
}

static int lock_interface(struct nic_dpdk *dpdk, char *reterr, size_t reterr_size)
{
	if (dpdk->kind != NIC_PORT_AF_XDP)
		return 0; /* the kernel refuses a second owner of the others */
	dpdk->lock_fd = nic_lock(dpdk->name);
	if (dpdk->lock_fd >= 0)
		return 0;
	(void)snprintf(reterr, reterr_size,
		       dpdk->lock_fd == -EBUSY ? "another box serves %s; stop it or set dpdk.port"
					       : "%s cannot be locked in /dev/shm",
		       dpdk->name);
	return dpdk->lock_fd;
}

void nic_setup_needs(const struct nic_dpdk *dpdk, struct nic_eal_needs *needs)
{
	uint64_t element = data_room(dpdk) + sizeof(struct rte_mbuf) + 64;

	needs->memory_size += element * dpdk->buffers * dpdk->nic.queues;
	needs->is_shared |= dpdk->kind == NIC_PORT_VIRTIO;
	if (dpdk->kind != NIC_PORT_PCI)
		return;
	CHECK(needs->pci_count < PORTLIST_MAX);
	portlist_pci(dpdk->name, needs->pci[needs->pci_count++]);
}

static int bring_up(struct nic_dpdk *dpdk, uint16_t index, char *reterr, size_t reterr_size)
{
	int r = attach(dpdk, index, reterr, reterr_size);

	return r == 0 ? configure_and_start(dpdk, index, reterr, reterr_size) : r;
}

int nic_setup_up(struct nic_dpdk *dpdk, char *reterr, size_t reterr_size)
{
	struct nic_eal_needs needs = { .memory_size = 0 };
	int r = lock_interface(dpdk, reterr, reterr_size);

	nic_setup_needs(dpdk, &needs);
	if (r == 0)
		r = nic_eal_up(&needs, reterr, reterr_size);
	for (uint16_t i = 0; r == 0 && i < dpdk->device_count; i++)
		r = bring_up(dpdk, i, reterr, reterr_size);
	if (r == 0)
		r = describe(dpdk, reterr, reterr_size);
	return r;
}

static void close_device(struct nic_dpdk *dpdk, uint16_t index)
{
	struct nic_dpdk_device *device = &dpdk->devices[index];
	struct rte_eth_dev_info info;
	bool has_info = rte_eth_dev_info_get(device->id, &info) == 0;

	nic_reset_ignore(dpdk, device);
	stop(dpdk, index);
	(void)rte_eth_dev_close(device->id);
	if (device->is_made && has_info)
		(void)rte_dev_remove(info.device);
	device->is_open = device->is_made = false;
}

/* Peers know the port by its address: a device that came back keeps it. */
static int keep_address(struct nic_dpdk *dpdk, uint16_t index, char *reterr, size_t reterr_size)
{
	struct rte_ether_addr mac;
	uint16_t id = dpdk->devices[index].id;
	int r = rte_eth_macaddr_get(id, &mac);

	if (r == 0 && memcmp(mac.addr_bytes, dpdk->nic.mac, sizeof(dpdk->nic.mac)) != 0) {
		memcpy(mac.addr_bytes, dpdk->nic.mac, sizeof(dpdk->nic.mac));
		r = rte_eth_dev_default_mac_addr_set(id, &mac);
	}
	if (r != 0)
		(void)snprintf(reterr, reterr_size, "it does not take its old address: %s",
			       rte_strerror(-r));
	return r;
}

/* In place, as far as its driver can. */
static int reset(struct nic_dpdk *dpdk, uint16_t index, char *reterr, size_t reterr_size)
{
	int r;

	stop(dpdk, index);
	r = rte_eth_dev_reset(dpdk->devices[index].id);
	if (r == -ENOTSUP)
		r = 0; /* to stop and to start again is all it has */
	return r == 0 ? configure_and_start(dpdk, index, reterr, reterr_size) : r;
}

int nic_setup_again(struct nic_dpdk *dpdk, bool is_gone, char *reterr, size_t reterr_size)
{
	int r = 0;

	for (uint16_t i = 0; r == 0 && i < dpdk->device_count; i++) {
		struct nic_dpdk_device *device = &dpdk->devices[i];

		if (is_gone || !device->is_open || reset(dpdk, i, reterr, reterr_size) != 0) {
			if (device->is_open)
				close_device(dpdk, i);
			r = bring_up(dpdk, i, reterr, reterr_size);
		}
		if (r == 0)
			r = keep_address(dpdk, i, reterr, reterr_size);
	}
	return r;
}

void nic_setup_down(struct nic_dpdk *dpdk)
{
	for (uint16_t i = dpdk->device_count; i > 0; i--) {
		if (dpdk->devices[i - 1].is_open)
			close_device(dpdk, (uint16_t)(i - 1));
	}
	for (uint16_t i = 0; i < dpdk->nic.queues; i++)
		rte_mempool_free(dpdk->queues[i].pool);
	nic_intr_free(dpdk);
	if (dpdk->lock_fd >= 0)
		(void)close(dpdk->lock_fd);
}

void nic_setup_plan(struct nic_dpdk *dpdk, const struct nic_config *config, enum nic_port_kind kind,
		    const char *name)
{
	dpdk->kind = kind;
	dpdk->device_count = kind == NIC_PORT_AF_XDP ? config->queues : 1;
	dpdk->descriptors = config->descriptors;
	dpdk->lock_fd = -1;
	dpdk->is_plain = config->is_plain;
	dpdk->has_interrupts =
		config->is_waited_for && (kind == NIC_PORT_PCI || kind == NIC_PORT_VIRTIO);
	dpdk->tcp_port = config->tcp_port;
	dpdk->checksum_mask = 0;
	dpdk->checksum_right = 1; /* no packet has it */
	(void)snprintf(dpdk->name, sizeof(dpdk->name), "%s", name);
	dpdk->nic = (struct nic){ .mtu = config->mtu, .queues = config->queues };
	dpdk->buffers = MAX(config->buffers, kept_by_driver(dpdk) + HELD_BUFFERS);
	for (uint32_t i = 0; i < NIC_DPDK_QUEUES_MAX; i++)
		dpdk->queues[i].wait_fd = -1;
}

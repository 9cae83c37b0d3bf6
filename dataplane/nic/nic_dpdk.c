/* SPDX-License-Identifier: Apache-2.0 */
/* Any DPDK ethdev as a port: its bursts. */
#include <errno.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/check.h"

#include "dataplane/nic/nic_dpdk_impl.h"
#include "dataplane/nic/nic_eal.h"
#include "dataplane/nic/nic_intr.h"
#include "dataplane/nic/nic_pieces.h"

static struct nic_dpdk *dpdk_of(struct nic *nic)
{
	return CONTAINER_OF(nic, struct nic_dpdk, nic);
}

/* @return whether the port is being reset, so that its cores stay out of the driver */
static bool stands_off(const struct nic_dpdk *dpdk)
{
	return unlikely(__atomic_load_n(&dpdk->is_halted, __ATOMIC_ACQUIRE));
}

/* The pieces of a frame come one by one, so that each can be held and freed alone. */
static void *detach(struct rte_mbuf *mbuf)
{
	struct rte_mbuf *rest = mbuf->next;

	mbuf->next = NULL;
	mbuf->nb_segs = 1;
	mbuf->pkt_len = mbuf->data_len;
	return rest;
}

static uint16_t dpdk_rx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			      uint16_t max)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);
	const uint64_t mask = dpdk->checksum_mask, right = dpdk->checksum_right;
	struct nic_dpdk_queue *at = &dpdk->queues[queue];
	struct rte_mbuf *mbufs[NIC_DPDK_BURST_MAX];
	uint16_t count;

	if (stands_off(dpdk)) {
		__atomic_store_n(&at->has_left, true, __ATOMIC_RELEASE);
		return 0;
	}
	count = rte_eth_rx_burst(at->port_id, at->index, mbufs,
				 (uint16_t)MIN(max, (uint16_t)NIC_DPDK_BURST_MAX));
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = mbufs[i];

		packets[i] =
			(struct nic_packet){ .handle = mbuf,
					     .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
					     .size = rte_pktmbuf_data_len(mbuf),
					     .checksum_good = (mbuf->ol_flags & mask) == right };
		if (unlikely(mbuf->nb_segs > 1)) {
			packets[i].more = rte_pktmbuf_pkt_len(mbuf) - packets[i].size;
			packets[i].rest = detach(mbuf);
		}
	}
	return count;
}

static void *dpdk_rx_more(struct nic *nic, void *rest, struct nic_packet *ret_piece)
{
	struct rte_mbuf *mbuf = rest;

	(void)nic;
	rest = detach(mbuf);
	*ret_piece = (struct nic_packet){ .handle = mbuf,
					  .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
					  .size = rte_pktmbuf_data_len(mbuf) };
	return rest;
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
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(dpdk_of(nic)->queues[queue].pool);

	if (unlikely(mbuf == NULL))
		return false;
	*ret_packet = (struct nic_packet){ .handle = mbuf,
					   .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
					   .size = (uint16_t)(nic->mtu + RTE_ETHER_HDR_LEN) };
	return true;
}

/* Frames up to one that the driver does not take. @return their number */
static uint16_t make_ready(const struct nic_dpdk *dpdk, const struct nic_dpdk_queue *at,
			   struct nic_packet *packets, uint16_t count, struct rte_mbuf **mbufs)
{
	for (uint16_t i = 0; i < count; i++) {
		mbufs[i] = packets[i].handle;
		if (packets[i].is_ready)
			continue;
		nic_pieces_finish(&packets[i], dpdk->makes_ip);
		if (unlikely(packets[i].split > 0) &&
		    rte_eth_tx_prepare(at->port_id, at->index, &mbufs[i], 1) != 1)
			return i;
		packets[i].is_ready = true;
	}
	return count;
}

static uint16_t dpdk_tx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			      uint16_t count)
{
	const struct nic_dpdk *dpdk = dpdk_of(nic);
	const struct nic_dpdk_queue *at = &dpdk->queues[queue];
	struct rte_mbuf *mbufs[NIC_DPDK_BURST_MAX];
	uint16_t done = 0;

	if (stands_off(dpdk))
		return 0;
	while (done < count) {
		uint16_t n = (uint16_t)MIN(count - done, NIC_DPDK_BURST_MAX), fit;

		n = make_ready(dpdk, at, packets + done, n, mbufs);
		if (unlikely(n == 0)) { /* as lost on the way: TCP sends it again, uncut */
			rte_pktmbuf_free(mbufs[0]);
			done++;
			continue;
		}
		fit = rte_eth_tx_burst(at->port_id, at->index, mbufs, n);
		done = (uint16_t)(done + fit);
		if (fit < n)
			break;
	}
	return done;
}

static uint8_t *dpdk_tx_extend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			       uint16_t size)
{
	return nic_pieces_extend(nic, dpdk_of(nic)->queues[queue].pool, packet, size);
}

static bool dpdk_tx_lend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			 const uint8_t *bytes, uint16_t size, struct nic_lent *lent)
{
	return nic_pieces_lend(nic, dpdk_of(nic)->queues[queue].pool, packet, bytes, size, lent);
}

static int dpdk_lendable(struct nic *nic, void *bytes, size_t size)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);
	int r;

	if (dpdk->kind != NIC_PORT_PCI)
		return 0; /* the drivers of the others copy, by our own addresses */
	r = nic_pieces_register(dpdk->devices[0].id, bytes, size);
	if (r != 0) {
		dpdk->lends_nothing = true; /* after a reset neither */
		nic->offloads &= ~NIC_TX_LENT;
	}
	return r;
}

static int dpdk_wait_fd(struct nic *nic, uint16_t queue)
{
	return dpdk_of(nic)->queues[queue].wait_fd;
}

static enum nic_wait dpdk_wait_begin(struct nic *nic, uint16_t queue)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);
	const struct nic_dpdk_queue *at = &dpdk->queues[queue];

	if (!dpdk->has_interrupts)
		return at->wait_fd >= 0 ? NIC_WAIT_SLEEP : NIC_WAIT_NOT;
	if (stands_off(dpdk) || !at->has_interrupt || !nic_intr_begin(at))
		return NIC_WAIT_NOT;
	return NIC_WAIT_LOOK;
}

static void dpdk_wait_end(struct nic *nic, uint16_t queue)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);
	const struct nic_dpdk_queue *at = &dpdk->queues[queue];

	if (!stands_off(dpdk) && at->has_interrupt)
		nic_intr_end(at);
}

static void dpdk_stats(struct nic *nic, struct nic_stats *ret_stats)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);

	memset(ret_stats, 0, sizeof(*ret_stats));
	for (uint16_t i = 0; i < dpdk->device_count; i++) {
		struct rte_eth_stats stats;

		if (rte_eth_stats_get(dpdk->devices[i].id, &stats) != 0)
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
	const struct nic_dpdk *dpdk = dpdk_of(nic);
	struct rte_eth_link link;

	/* Their drivers do not know what became of the interface. */
	if (dpdk->kind == NIC_PORT_AF_XDP || dpdk->kind == NIC_PORT_AF_PACKET)
		return nic_port_is_running(dpdk->name);
	return rte_eth_link_get_nowait(dpdk->devices[0].id, &link) == 0 &&
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

static void dpdk_tend(struct nic *nic, int64_t now_ns)
{
	nic_reset_tend(dpdk_of(nic), now_ns);
}

static void dpdk_close(struct nic *nic)
{
	struct nic_dpdk *dpdk = dpdk_of(nic);

	nic_setup_down(dpdk);
	free(dpdk);
}

static const struct nic_ops dpdk_ops = {
	.rx_burst = dpdk_rx_burst,
	.rx_more = dpdk_rx_more,
	.packet_hold = dpdk_packet_hold,
	.packet_free = dpdk_packet_free,
	.tx_alloc = dpdk_tx_alloc,
	.tx_burst = dpdk_tx_burst,
	.tx_extend = dpdk_tx_extend,
	.tx_lend = dpdk_tx_lend,
	.lent_end = nic_pieces_lent_end,
	.lendable = dpdk_lendable,
	.wait_fd = dpdk_wait_fd,
	.wait_begin = dpdk_wait_begin,
	.wait_end = dpdk_wait_end,
	.stats = dpdk_stats,
	.link_up = dpdk_link_up,
	.thread_register = dpdk_thread_register,
	.tend = dpdk_tend,
	.close = dpdk_close,
};

static int check_config(const struct nic_config *config, char *reterr, size_t reterr_size)
{
	if (config->queues == 0 || config->queues > NIC_DPDK_QUEUES_MAX ||
	    !IS_POW2(config->descriptors) || config->mtu < 68) {
		(void)snprintf(reterr, reterr_size,
			       "port %s: 1 to %d queues, descriptors a power of two, MTU from 68",
			       config->port, NIC_DPDK_QUEUES_MAX);
		return -EINVAL;
	}
	return 0;
}

/* Settings of one port by themselves. */
static int parse(const struct nic_config *config, enum nic_port_kind *ret_kind,
		 const char **ret_name, char *reterr, size_t reterr_size)
{
	if (nic_port_parse(config->port, ret_kind, ret_name) == 0)
		return check_config(config, reterr, reterr_size);
	(void)snprintf(reterr, reterr_size,
		       "port \"%.64s\" is none of af_xdp:IFACE, memif:SOCKET, tap:NAME, "
		       "virtio:SOCKET, af_packet:IFACE or a PCI address",
		       config->port);
	return -EINVAL;
}

/* What the ports need of EAL together. */
static int sum_up(const struct nic_config *configs, uint32_t count, struct nic_eal_needs *ret_needs,
		  char *reterr, size_t reterr_size)
{
	CHECK(count <= PORTLIST_MAX);
	memset(ret_needs, 0, sizeof(*ret_needs));
	for (uint32_t i = 0; i < count; i++) {
		struct nic_dpdk dpdk = { .nic.ops = NULL };
		enum nic_port_kind kind;
		const char *name;
		int r = parse(&configs[i], &kind, &name, reterr, reterr_size);

		if (r != 0)
			return r;
		nic_setup_plan(&dpdk, &configs[i], kind, name);
		nic_setup_needs(&dpdk, ret_needs);
	}
	return 0;
}

uint64_t nic_dpdk_size(const struct nic_config *configs, uint32_t count)
{
	struct nic_eal_needs needs;
	char reason[256];

	if (count == 0 || sum_up(configs, count, &needs, reason, sizeof(reason)) != 0)
		return 0;
	return needs.memory_size + NIC_EAL_SIZE;
}

int nic_dpdk_up(const struct nic_config *configs, uint32_t count, char *reterr, size_t reterr_size)
{
	struct nic_eal_needs needs;
	int r = sum_up(configs, count, &needs, reterr, reterr_size);

	return r == 0 ? nic_eal_up(&needs, reterr, reterr_size) : r;
}

int nic_dpdk_open(const struct nic_config *config, struct nic **ret_nic, char *reterr,
		  size_t reterr_size)
{
	struct nic_dpdk *dpdk;
	const char *name;
	enum nic_port_kind kind;
	int r = parse(config, &kind, &name, reterr, reterr_size);

	if (r == 0)
		r = nic_port_check(config, kind, name, reterr, reterr_size);
	if (r != 0)
		return r;
	dpdk = calloc(1, sizeof(*dpdk));
	if (dpdk == NULL)
		return -ENOMEM;
	nic_setup_plan(dpdk, config, kind, name);
	dpdk->nic.ops = &dpdk_ops;
	r = nic_setup_up(dpdk, reterr, reterr_size);
	if (r != 0) {
		dpdk_close(&dpdk->nic);
		return r;
	}
	*ret_nic = &dpdk->nic;
	return 0;
}

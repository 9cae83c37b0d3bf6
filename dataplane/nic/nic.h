/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Ethernet ports as the cores see them: bursts of whole frames in single buffers.
 *
 * nic_dpdk.c is every DPDK ethdev (the only rte_* in the tree), nic_mem.c a pair of ports joined in
 * memory for tests. One queue pair per core; a port whose queues outnumber cores is an error.
 *
 * Context: nic_open() and nic_close() on the starting thread; each queue belongs to one core.
 * Memory: packet buffers in pools of a few MB per core, fixed at open. Limits: single-buffer frames
 * of at most MTU + 14 bytes; others are dropped and counted by the port.
 */
#pragma once

#include "base/defs.h"

#define NIC_PORT_SIZE  256 /* text of nic_config.port with its end */
#define NIC_MEM_QUEUES 4

struct nic;

/** One frame in one buffer. */
struct nic_packet {
	void *handle;       /* the buffer; opaque */
	uint8_t *data;      /* Ethernet header */
	uint16_t size;      /* bytes of the frame; for a fresh send buffer: room */
	bool checksum_good; /* received: hardware verified IP and TCP checksums */
	/* to send, on a port with NIC_TX_CHECKSUM: the port puts in the TCP checksum of an IPv4 packet
	   without options; its field holds the folded pseudo header's sum, not inverted */
	bool wants_checksum;
};

/* What a port does for us (struct nic.offloads); where it does not, the twin in software runs. */
#define NIC_TX_CHECKSUM 1U
#define NIC_RX_CHECKSUM 2U /* may set checksum_good */

struct nic_config {
	const char *port;     /* "af_xdp:IFACE", "memif:SOCKET", "tap:NAME" or a PCI address */
	uint16_t queues;      /* one per core */
	uint16_t mtu;         /* bytes of IP packet */
	uint16_t descriptors; /* per queue and direction, power of two */
	uint32_t buffers;     /* per queue; raised to the written sum of nic_dpdk.c */
	bool is_plain;        /* use no offload that the port has */
};

struct nic_stats {
	uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_no_buffer;
	uint64_t tx_packets, tx_bytes, tx_errors;
};

struct nic_ops {
	uint16_t (*rx_burst)(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t max);
	void (*packet_hold)(struct nic *nic, void *handle);
	void (*packet_free)(struct nic *nic, uint16_t queue, void *handle);
	bool (*tx_alloc)(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet);
	uint16_t (*tx_burst)(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t count);
	int (*wait_fd)(struct nic *nic, uint16_t queue);
	void (*stats)(struct nic *nic, struct nic_stats *ret_stats);
	bool (*link_up)(struct nic *nic);
	int (*thread_register)(struct nic *nic);
	void (*close)(struct nic *nic);
};

struct nic {
	const struct nic_ops *ops;
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t queues;
	uint32_t offloads;  /* NIC_TX_CHECKSUM, NIC_RX_CHECKSUM */
	char describe[128]; /* "net_af_xdp on millrace0, 1 queue, MTU 3200" */
};

/**
 * Open a DPDK port; brings EAL up on first use, from our own settings (in-memory, no telemetry files).
 *
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -EINVAL setting; -EPERM capability; -ENODEV no such port; -ENOMEM; -ENOTSUP built without
 *         DPDK; other -errno of the port
 */
NODISCARD int nic_dpdk_open(const struct nic_config *config, struct nic **ret_nic, char *reterr,
			    size_t reterr_size);

/** @return bytes of huge or other memory that such a port takes at most, the library's included */
uint64_t nic_dpdk_size(const struct nic_config *config);

/**
 * Two ports joined by a wire of `depth` frames, for tests. Each has NIC_MEM_QUEUES queues to send on;
 * all that arrives is received on queue 0, as on a port without steering.
 *
 * @param depth  frames under way in one direction, and half of the buffers of each port
 * @return 0; -ENOMEM
 */
NODISCARD int nic_mem_open(uint16_t mtu, uint32_t depth, struct nic **ret_a, struct nic **ret_b);

/** Register the calling thread with the port's library; once per poll thread, before its first burst. */
NODISCARD int nic_thread_register(struct nic *nic);

/** Buffers held by the port, its rings included: what was never freed. Tests and reports only. */
uint32_t nic_mem_in_use(struct nic *nic);

/** @return frames received, 0 to max; each is freed by the caller with nic_packet_free() */
static inline uint16_t nic_rx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
				    uint16_t max)
{
	return nic->ops->rx_burst(nic, queue, packets, max);
}

/** One more owner of a received buffer: it takes one nic_packet_free() more, on any core. */
static inline void nic_packet_hold(struct nic *nic, void *handle)
{
	nic->ops->packet_hold(nic, handle);
}

/** @param queue  the caller's, whichever queue the buffer came from */
static inline void nic_packet_free(struct nic *nic, uint16_t queue, void *handle)
{
	nic->ops->packet_free(nic, queue, handle);
}

/** A buffer to build a frame in; size is its room. @return false: no buffer, try later (count it) */
static inline bool nic_tx_alloc(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet)
{
	return nic->ops->tx_alloc(nic, queue, ret_packet);
}

/** Send what the port's queue has room for. @return frames taken; the others stay the caller's */
static inline uint16_t nic_tx_offer(struct nic *nic, uint16_t queue, struct nic_packet *packets,
				    uint16_t count)
{
	return nic->ops->tx_burst(nic, queue, packets, count);
}

/** Send; all buffers are taken, those that do not fit are freed. @return frames sent */
static inline uint16_t nic_tx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
				    uint16_t count)
{
	uint16_t sent = nic->ops->tx_burst(nic, queue, packets, count);

	for (uint16_t i = sent; i < count; i++)
		nic->ops->packet_free(nic, queue, packets[i].handle);
	return sent;
}

/** @return descriptor that polls readable when frames wait; -1 the port has none */
static inline int nic_wait_fd(struct nic *nic, uint16_t queue)
{
	return nic->ops->wait_fd(nic, queue);
}

static inline void nic_stats(struct nic *nic, struct nic_stats *ret_stats)
{
	nic->ops->stats(nic, ret_stats);
}

static inline bool nic_link_up(struct nic *nic)
{
	return nic->ops->link_up(nic);
}

/** Stop and close; NULL is accepted. */
void nic_close(struct nic *nic);

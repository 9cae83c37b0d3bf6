/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Ethernet ports as the cores see them: bursts of whole frames. A frame may have further pieces behind
 * its first buffer, where the port can: other buffers, or, to send, memory of somebody else that is
 * lent to it.
 *
 * nic_dpdk.c is every DPDK ethdev (rte_* is in this folder only), nic_mem.h a pair of ports joined in
 * memory for tests. One queue pair per core; a port whose queues outnumber cores is an error.
 *
 * A port that is reset comes back with the same queues; meanwhile it receives and takes nothing.
 * nic_tend() does that work.
 *
 * Context: nic_dpdk_open() and nic_close() on the starting thread; each queue belongs to one core.
 * Memory: packet buffers in pools of a few MB per core, fixed at open. Limits: frames of at most
 * MTU + 14 bytes, but 64 KiB where the port merges (NIC_RX_MERGE) or splits (NIC_TX_SPLIT) them;
 * others are dropped and counted by the port.
 */
#pragma once

#include "base/defs.h"

#define NIC_PORT_SIZE 256 /* text of nic_config.port with its end */

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
	/* to send, on a port with NIC_TX_SPLIT: TCP payload is cut into packets of so many bytes, each
	   with a copy of the headers; 0: sent as it is. It wants the checksum, too, and its field holds
	   the folded sum of a pseudo header whose length is zero */
	uint16_t split;
	bool is_ready; /* to send: the port looked at it */
	uint32_t more; /* bytes in further pieces */
	void *rest;    /* received: the buffers of these, for nic_rx_more(); NULL: none */
};

/** Memory that is lent to a port, for as long as frames point into it. */
struct nic_lent {
	struct nic *nic; /* NULL: it was never lent */
	/* The last frame that pointed into it is gone, after its owner let go; on any thread. */
	void (*on_back)(struct nic_lent *lent);
	uint64_t books[3]; /* the port's */
};

/* What a port does for us (struct nic.offloads); where it does not, the twin in software runs. */
#define NIC_TX_CHECKSUM 1U
#define NIC_RX_CHECKSUM 2U  /* may set checksum_good */
#define NIC_TX_PIECES   4U  /* sends frames of several pieces */
#define NIC_TX_LENT     8U  /* ... which may be lent; never without NIC_TX_PIECES */
#define NIC_TX_SPLIT    16U /* TSO; never without NIC_TX_CHECKSUM and NIC_TX_PIECES */
#define NIC_RX_MERGE    32U /* may merge segments of a connection (LRO), checksums verified */
#define NIC_PIECES_MAX  48U /* of a frame: what 64 KiB of copied bytes take */

/* How a connection's packets find the queue of its core. */
enum nic_steering {
	NIC_STEERING_ONE,    /* there is one queue */
	NIC_STEERING_RULES,  /* by a rule in the port for each core's TCP port */
	NIC_STEERING_SPREAD, /* by a hash (RSS): cores hand over what is another's */
	NIC_STEERING_NONE,   /* as they come: cores hand over what is another's */
	NIC_STEERING_COUNT
};

/* What becomes of a core that wants to sleep on a queue's descriptor. */
enum nic_wait {
	NIC_WAIT_NOT,   /* nobody would wake it */
	NIC_WAIT_SLEEP, /* it may */
	NIC_WAIT_LOOK, /* interrupts are on from now: what came before them has to be received first */
};

struct nic_config {
	const char *port;     /* "af_xdp:IFACE", "memif:SOCKET", "tap:NAME" or a PCI address */
	uint16_t queues;      /* one per core */
	uint16_t mtu;         /* bytes of IP packet */
	uint16_t descriptors; /* per queue and direction, power of two */
	uint32_t buffers;     /* per queue; raised to the written sum of nic_dpdk.c */
	uint16_t tcp_port;    /* of queue 0's core, the next one's is the next; 0: none */
	bool is_plain;        /* use no offload that the port has */
	bool is_waited_for;   /* cores call nic_wait_begin(): interrupts may wake them */
};

struct nic_stats {
	uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_no_buffer;
	uint64_t tx_packets, tx_bytes, tx_errors;
};

struct nic_ops {
	uint16_t (*rx_burst)(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t max);
	void *(*rx_more)(struct nic *nic, void *rest, struct nic_packet *ret_piece);
	void (*packet_hold)(struct nic *nic, void *handle);
	void (*packet_free)(struct nic *nic, uint16_t queue, void *handle);
	bool (*tx_alloc)(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet);
	uint16_t (*tx_burst)(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			     uint16_t count);
	uint8_t *(*tx_extend)(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			      uint16_t size);
	bool (*tx_lend)(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			const uint8_t *bytes, uint16_t size, struct nic_lent *lent);
	bool (*lent_end)(struct nic *nic, struct nic_lent *lent);
	int (*lendable)(struct nic *nic, void *bytes, size_t size);
	int (*wait_fd)(struct nic *nic, uint16_t queue);
	enum nic_wait (*wait_begin)(struct nic *nic, uint16_t queue);
	void (*wait_end)(struct nic *nic, uint16_t queue);
	void (*stats)(struct nic *nic, struct nic_stats *ret_stats);
	bool (*link_up)(struct nic *nic);
	int (*thread_register)(struct nic *nic);
	void (*tend)(struct nic *nic, int64_t now_ns);
	void (*close)(struct nic *nic);
};

struct nic {
	const struct nic_ops *ops;
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t queues;
	uint32_t offloads;     /* NIC_TX_*, NIC_RX_* */
	uint16_t pieces;       /* of a frame at most */
	uint16_t split_pieces; /* of one that is cut */
	enum nic_steering steering;
	uint32_t link_changes; /* times that the link went up or down; atomic */
	uint32_t resets;       /* times that the port came back from a reset; atomic */
	char describe[160];    /* "net_af_xdp, 2 queues (no steering), MTU 3200" */
};

/**
 * Bring DPDK up for all ports that this process will open, up to PORTLIST_MAX, from our own settings
 * (in-memory, no telemetry files). Errors as of nic_dpdk_open(); 0 also when it is up already.
 */
NODISCARD int nic_dpdk_up(const struct nic_config *configs, uint32_t count, char *reterr,
			  size_t reterr_size);

/**
 * Open a DPDK port; brings DPDK up for it alone on first use.
 *
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -EINVAL setting; -EPERM capability; -ENODEV no such port; -ENOTSUP no DPDK; other -errno
 */
NODISCARD int nic_dpdk_open(const struct nic_config *config, struct nic **ret_nic, char *reterr,
			    size_t reterr_size);

/** @return bytes of huge or other memory that the ports take at most, and the library; 0 of none */
uint64_t nic_dpdk_size(const struct nic_config *configs, uint32_t count);

/** Register the calling thread with the port's library: each poll thread, before its first burst. */
NODISCARD int nic_thread_register(struct nic *nic);

/** @return frames received, 0 to max; each is freed by the caller with nic_packet_free(), once no
    `rest` is left */
static inline uint16_t nic_rx_burst(struct nic *nic, uint16_t queue, struct nic_packet *packets,
				    uint16_t max)
{
	return nic->ops->rx_burst(nic, queue, packets, max);
}

/**
 * Take the next buffer of a received frame off its `rest`, if there is one.
 *
 * @param[out] ret_piece  handle, data, size: a buffer that is held and freed like any other
 * @return false: the frame has no more
 */
static inline bool nic_rx_more(struct nic *nic, struct nic_packet *packet,
			       struct nic_packet *ret_piece)
{
	if (likely(packet->rest == NULL))
		return false;
	packet->rest = nic->ops->rx_more(nic, packet->rest, ret_piece);
	return true;
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

/**
 * One more piece at the end of a frame, in a buffer of the port.
 *
 * @param size  of the piece, at most a frame of the MTU
 * @return where its bytes go; NULL: no buffer, or too many pieces
 */
static inline uint8_t *nic_tx_extend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
				     uint16_t size)
{
	return nic->ops->tx_extend(nic, queue, packet, size);
}

/**
 * One more piece at the end of a frame: [size] bytes where they lie. They stay as they are until
 * nic_lent_end() returned true or on_back() was called.
 *
 * @param lent  of these bytes; on_back set, the rest zero before the first time
 * @return false: no buffer, too many pieces, or too many frames point there already: copy them
 */
static inline bool nic_tx_lend(struct nic *nic, uint16_t queue, struct nic_packet *packet,
			       const uint8_t *bytes, uint16_t size, struct nic_lent *lent)
{
	return nic->ops->tx_lend(nic, queue, packet, bytes, size, lent);
}

/** The owner of lent bytes wants them back and will lend them no more.
    @return true: nobody has them; false: on_back() will tell, or has already */
static inline bool nic_lent_end(struct nic_lent *lent)
{
	return lent->nic == NULL || lent->nic->ops->lent_end(lent->nic, lent);
}

/** Before anything in [size] bytes, whole pages, is lent on a port with NIC_TX_LENT: let the device
    reach them. @return 0; -errno: the port has NIC_TX_LENT no more */
NODISCARD static inline int nic_lendable(struct nic *nic, void *bytes, size_t size)
{
	return nic->ops->lendable(nic, bytes, size);
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

/** @return descriptor that polls readable when frames wait, within nic_wait_begin() and nic_wait_end();
    -1 the port has none */
static inline int nic_wait_fd(struct nic *nic, uint16_t queue)
{
	return nic->ops->wait_fd(nic, queue);
}

/** The core of the queue is about to sleep. After NIC_WAIT_LOOK it receives once more before it does. */
static inline enum nic_wait nic_wait_begin(struct nic *nic, uint16_t queue)
{
	return nic->ops->wait_begin(nic, queue);
}

/** After NIC_WAIT_LOOK, when it is awake: no more interrupts. */
static inline void nic_wait_end(struct nic *nic, uint16_t queue)
{
	nic->ops->wait_end(nic, queue);
}

void nic_stats(struct nic *nic, struct nic_stats *ret_stats);
bool nic_link_up(struct nic *nic);

/** @return nic.link_changes */
static inline uint32_t nic_link_changes(const struct nic *nic)
{
	return __atomic_load_n(&nic->link_changes, __ATOMIC_RELAXED);
}

/** @return nic.resets */
static inline uint32_t nic_resets(const struct nic *nic)
{
	return __atomic_load_n(&nic->resets, __ATOMIC_RELAXED);
}

/**
 * Do what the port's events ask for, a reset above all; call it a few times a second. It waits for no
 * core, but what the driver does may take a second.
 *
 * @context a thread that may block, never two at a time, while every queue is polled
 */
void nic_tend(struct nic *nic, int64_t now_ns);

/** Stop and close; NULL is accepted. */
void nic_close(struct nic *nic);

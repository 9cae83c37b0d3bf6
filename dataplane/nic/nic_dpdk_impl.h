/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of a DPDK port: nic_dpdk.c moves bursts, nic_setup.c brings a port up, nic_reset.c up again.
 *
 * Context: nic_setup.c and nic_reset.c on the starting thread. They change what the cores use only
 * before these run, and while all of them stand off: is_halted is set, and each queue's core has seen
 * it in a call to receive and does not enter the driver until it is clear. No lock is needed for that.
 */
#pragma once

#include "dataplane/nic/nic.h"
#include "dataplane/nic/nic_port.h"
#include "dataplane/nic/nic_steer.h"

#define NIC_DPDK_QUEUES_MAX NIC_STEER_QUEUES_MAX
#define NIC_DPDK_BURST_MAX  64

struct rte_mempool;

struct nic_dpdk_queue {
	struct rte_mempool *pool;
	uint16_t port_id;
	uint16_t index; /* of its device's queues */
	int wait_fd;    /* -1: none */
	bool has_interrupt;
	bool has_left; /* atomic: its core stands off */
};

/* One device, but for af_xdp one for each queue: its driver believes that a veth has one queue. */
struct nic_dpdk_device {
	uint16_t id;
	bool is_open, is_started;
	bool is_made;  /* by us, so we remove it */
	bool is_heard; /* its events are */
	struct nic_steer steer;
};

struct nic_dpdk {
	struct nic nic;
	enum nic_port_kind kind;
	uint16_t descriptors;      /* as the settings have it, and the sum of buffers */
	uint16_t rx_ring, tx_ring; /* the nearest that the device can */
	uint32_t buffers;
	uint16_t device_count;
	int lock_fd; /* one box per interface, one server per memif; -1: not locked */
	bool is_plain;
	bool has_interrupts; /* the devices are asked for those of their queues */
	bool lends_nothing;  /* the device reaches its own memory only */
	bool makes_ip;       /* IP header checksums of packets that it cuts */
	uint16_t tcp_port;   /* of queue 0; 0: none */
	uint64_t checksum_mask, checksum_right; /* bits of a packet that mean: it was verified */
	bool is_halted;                         /* atomic: cores stand off */
	uint32_t events;                        /* atomic: what nic_reset_tend() has to do */
	int64_t retry_ns;                       /* it failed; not again before */
	char name[NIC_PORT_SIZE];               /* what nic_port_parse() said */
	struct nic_dpdk_device devices[NIC_DPDK_QUEUES_MAX];
	struct nic_dpdk_queue queues[NIC_DPDK_QUEUES_MAX];
};

/**
 * What the settings make of a port before anything is opened.
 *
 * @param name  what nic_port_parse() said
 */
void nic_setup_plan(struct nic_dpdk *dpdk, const struct nic_config *config, enum nic_port_kind kind,
		    const char *name);

struct nic_eal_needs;

/** Add what a planned port needs of EAL, its packet buffers above all. */
void nic_setup_needs(const struct nic_dpdk *dpdk, struct nic_eal_needs *needs);

/**
 * Make and start the devices of a planned port; what fails is left to nic_setup_down().
 *
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -errno
 */
NODISCARD int nic_setup_up(struct nic_dpdk *dpdk, char *reterr, size_t reterr_size);

/**
 * Stop the devices, reset them, and start them as they were; a device that does not come back that way
 * is closed and made anew. The cores stand off, and the packets they hold stay valid.
 *
 * @param is_gone      the device was taken out: no reset in place
 * @param[out] reterr  [reterr_size] what failed
 * @return 0; -errno: to be tried again
 */
NODISCARD int nic_setup_again(struct nic_dpdk *dpdk, bool is_gone, char *reterr,
			      size_t reterr_size);

/** Stop, close and remove the devices, free the pools, unlock. */
void nic_setup_down(struct nic_dpdk *dpdk);

/** Hear the events of a device from now on, before it is started. */
void nic_reset_listen(struct nic_dpdk *dpdk, struct nic_dpdk_device *device);

/** Hear them no more, before it is closed; fine when they never were. */
void nic_reset_ignore(struct nic_dpdk *dpdk, struct nic_dpdk_device *device);

/** nic_tend() of a DPDK port. */
void nic_reset_tend(struct nic_dpdk *dpdk, int64_t now_ns);

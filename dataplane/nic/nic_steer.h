/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Flow rules that bring each core's connections to its own queue: one for the TCP port that a core
 * listens on, one each for ARP and ICMP to queue 0.
 *
 * Context: starting thread, and whoever resets the port while no core uses it. Memory: none.
 * Limits: NIC_STEER_QUEUES_MAX. Source: DPDK's rte_flow guide.
 */
#pragma once

#include "base/defs.h"

#define NIC_STEER_QUEUES_MAX 64

struct rte_flow;

struct nic_steer {
	uint32_t count;
	struct rte_flow *rules[NIC_STEER_QUEUES_MAX + 2];
};

/**
 * Install the rules on a device that is started. All or none of those for TCP: with some of them the
 * others' packets would still arrive anywhere. ARP and ICMP are served on any queue, so their rules
 * may be missing.
 *
 * @param tcp_port  of queue 0; queue i has tcp_port + i
 * @return 0; -ENOTSUP the device does not take such rules, and has none now
 */
NODISCARD int nic_steer_install(struct nic_steer *steer, uint16_t port_id, uint16_t queues,
				uint16_t tcp_port);

/** Take the rules away; fine when there are none. */
void nic_steer_remove(struct nic_steer *steer, uint16_t port_id);

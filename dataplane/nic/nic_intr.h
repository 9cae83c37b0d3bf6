/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Interrupts of receive queues, for cores that sleep: each queue has an epoll descriptor, which DPDK
 * makes readable when a frame comes while its interrupt is on.
 *
 * Context: nic_intr_open() and nic_intr_close() on the starting thread, and whoever resets the port while
 * no core uses it; nic_intr_begin() and nic_intr_end() on the queue's core. Memory: none.
 * Source: DPDK's rte_eth_dev_rx_intr_*.
 */
#pragma once

#include "dataplane/nic/nic_dpdk_impl.h"

/**
 * A device was started that was asked for interrupts: use those of its queues. A queue for which the
 * driver has none stays one that has to be looked at.
 *
 * @param first  queue of the port, `count` of them are the device's
 */
void nic_intr_open(struct nic_dpdk *dpdk, uint16_t first, uint16_t count);

/** Before the device is stopped. The descriptors stay, for cores that may be waiting. */
void nic_intr_close(struct nic_dpdk *dpdk, uint16_t first, uint16_t count);

/** The port is gone: close the descriptors. */
void nic_intr_free(struct nic_dpdk *dpdk);

/** nic_wait_begin() and nic_wait_end() of a queue with interrupts. @return false: they cannot be on */
NODISCARD bool nic_intr_begin(const struct nic_dpdk_queue *queue);
void nic_intr_end(const struct nic_dpdk_queue *queue);

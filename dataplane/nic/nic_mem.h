/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Ports of memory, for tests.
 *
 * Context: one thread. Memory: heap, fixed at nic_mem_open().
 */
#pragma once

#include "dataplane/nic/nic.h"

#define NIC_MEM_QUEUES 4

/**
 * Two ports joined by a wire of `depth` frames, for tests. Each has NIC_MEM_QUEUES queues to send on;
 * all that arrives is received on queue 0, as on a port without steering. They can whatever a test
 * puts into `offloads`, but NIC_RX_CHECKSUM.
 *
 * @param depth  frames under way in one direction, and half of the buffers of each port
 * @return 0; -ENOMEM
 */
NODISCARD int nic_mem_open(uint16_t mtu, uint32_t depth, struct nic **ret_a, struct nic **ret_b);

/** Buffers held by the port, its rings included: what was never freed. Tests and reports only. */
uint32_t nic_mem_in_use(struct nic *nic);

/** Sent frames keep their buffers until it is called with false, as a port that is slow to read them. */
void nic_mem_keep(struct nic *nic, bool keeps);

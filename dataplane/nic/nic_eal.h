/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * DPDK's environment (EAL), brought up once a process from our own settings: memory that leaves no
 * files behind, no telemetry socket, no threads of its own beside the caller, no PCI scan unless one of
 * the ports is a PCI device.
 *
 * Context: the starting thread. Memory: `memory_size` bytes of hugepages when so many are free, else
 * ordinary pages.
 */
#pragma once

#include "base/defs.h"
#include "base/portlist.h"

#define NIC_EAL_SIZE                                                                               \
	(UINT64_C(16) << 20) /* what EAL and the drivers take beside the packet pools */

/** What the ports of the process need of EAL, all of them: it is brought up once. */
struct nic_eal_needs {
	/* Full addresses of PCI devices: no other one is looked at. */
	char pci[PORTLIST_MAX][PORTLIST_PCI_SIZE];
	uint32_t pci_count;
	uint64_t memory_size; /* bytes of packet buffers */
	bool is_shared;       /* packet buffers are shared with another process (virtio) */
};

/**
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0, also when it is up already; -errno
 */
NODISCARD int nic_eal_up(const struct nic_eal_needs *needs, char *reterr, size_t reterr_size);

/** @return whether EAL runs on hugepages; false before nic_eal_up() */
bool nic_eal_on_hugepages(void);

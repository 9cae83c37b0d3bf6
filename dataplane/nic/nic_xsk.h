/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The AF_XDP sockets that a DPDK driver opened in this process. The driver keeps them to itself, but
 * a core that sleeps must poll() its own; they are found among the open descriptors.
 *
 * Context: the starting thread, while no other thread opens AF_XDP sockets. Limits: NIC_XSK_MAX.
 */
#pragma once

#include "base/defs.h"

#define NIC_XSK_MAX 256

struct nic_xsk_set {
	int fds[NIC_XSK_MAX];
	uint32_t count;
};

/** Note every open AF_XDP socket. */
void nic_xsk_scan(struct nic_xsk_set *ret_set);

/** @return the first socket open now that is not in `before`; -1: none */
int nic_xsk_new(const struct nic_xsk_set *before);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One box per interface: a second one would quietly take over the first one's AF_XDP program and
 * queues. The lock is a file on tmpfs, held by flock, so it goes with the process.
 *
 * Context: nic_dpdk_open() and close. Memory: none. Limits: interface names of 15 characters.
 */
#pragma once

#include "base/defs.h"

/**
 * @param interface  name of a network interface
 * @return descriptor that holds the lock until it is closed; -EBUSY another box has it; -errno
 */
NODISCARD int nic_lock(const char *interface);

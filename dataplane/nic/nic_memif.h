/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Which end of a memif a process is: the first to open a socket serves it, the second connects.
 *
 * A lock on `<socket>.lock` says who serves. Connecting to find out would not do: DPDK's server ends
 * its process when a peer goes away in the middle of the greeting.
 *
 * Context: starting thread. Memory: none. Limits: paths of 107 characters.
 */
#pragma once

#include "base/defs.h"

enum nic_memif_role { NIC_MEMIF_SERVER, NIC_MEMIF_CLIENT };

/**
 * Take the lock, or find it taken. A socket that a dead server left, which would be in the way, is
 * removed.
 *
 * @param[out] ret_lock_fd  server: the lock, to be held as long as the socket is served; client: -1
 * @return 0; -ENAMETOOLONG; -EEXIST something else than a socket is at `path`; -errno
 */
NODISCARD int nic_memif_role(const char *path, enum nic_memif_role *ret_role, int *ret_lock_fd);

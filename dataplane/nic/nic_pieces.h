/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Frames that a DPDK port sends in several pieces: chained buffers, of which some are memory that was
 * lent (external buffers). Inside of nic_dpdk.c.
 *
 * Lent memory has the library's count of frames that point to it in nic_lent.books; one more is its
 * owner's. Whichever goes last says that it is back.
 *
 * Context: as nic.h says. Memory: none.
 */
#pragma once

#include "dataplane/nic/nic.h"

struct rte_mbuf;

/** nic_ops, for a queue whose buffers come from `pool`. */
uint8_t *nic_pieces_extend(struct nic *nic, void *pool, struct nic_packet *packet, uint16_t size);
bool nic_pieces_lend(struct nic *nic, void *pool, struct nic_packet *packet, const uint8_t *bytes,
		     uint16_t size, struct nic_lent *lent);
bool nic_pieces_lent_end(struct nic *nic, struct nic_lent *lent);

/**
 * Let a device reach [size] bytes that the process has mapped by itself.
 *
 * @return 0; -errno: its driver or bus cannot
 */
NODISCARD int nic_pieces_register(uint16_t port_id, void *bytes, size_t size);

/**
 * Sizes and offload flags, from what the packet says to the library's form; any number of times.
 *
 * @param makes_ip  the port makes IP header checksums of packets that it cuts
 */
void nic_pieces_finish(const struct nic_packet *packet, bool makes_ip);

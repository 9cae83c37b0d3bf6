/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Received segments that the port put together from several (LRO): headers and the first bytes are in
 * one buffer, the other payload in further ones, each of which TCP may keep on its own.
 *
 * Context: owning core. Memory: the caller's. Limits: NIC_PIECES_MAX further buffers.
 */
#pragma once

#include "dataplane/nic/nic.h"
#include "dataplane/tcp/tcp.h"

/**
 * Take the further buffers of a frame into a segment, whose `bytes` and `size` are those of the first
 * one. They are the caller's then, whatever is returned.
 *
 * @param pieces  [NIC_PIECES_MAX] what segment->pieces points to from now on
 * @return false: these are not the bytes that the frame should have
 */
NODISCARD bool wireport_merge_take(struct nic *nic, struct nic_packet *packet,
				   struct tcp_segment_piece *pieces,
				   struct tcp_segment_in *segment);

/** @return whether the TCP checksum over all pieces is right */
NODISCARD bool wireport_merge_verify(const struct tcp_segment_in *segment);

/** Free the buffers that were taken. */
void wireport_merge_free(struct nic *nic, uint16_t queue, const struct tcp_segment_in *segment);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What a client with own TCP puts on the wire of a memory port, and takes from it: of the wireport tests and of
 * the gate.
 */
#pragma once

#include <string.h>

#include "base/check.h"

#include "dataplane/net/arp.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/eth.h"
#include "dataplane/net/ip4.h"
#include "dataplane/nic/nic.h"
#include "dataplane/tcp/tcp.h"

#define FAR_END_HEADER (ETH_HEADER_SIZE + IP4_HEADER_SIZE)

/** A frame for a segment, its headers written. @return where the payload goes; NULL: no buffer */
static inline uint8_t *far_end_begin(struct nic *nic, const uint8_t to[6],
				     const struct tcp_segment_out *out, struct nic_packet *packet)
{
	uint32_t size = out->header_size + out->payload_size;

	if (!nic_tx_alloc(nic, 0, packet))
		return NULL;
	eth_write(packet->data, to, nic->mac, ETH_IP4);
	ip4_write(packet->data + ETH_HEADER_SIZE, out->tuple.local_address, out->tuple.peer_address,
		  IP4_TCP, 7, (uint16_t)size);
	memcpy(packet->data + FAR_END_HEADER, out->header, out->header_size);
	packet->size = (uint16_t)(FAR_END_HEADER + size);
	return packet->data + FAR_END_HEADER + out->header_size;
}

/** The payload is there: the checksum. */
static inline void far_end_seal(const struct tcp_segment_out *out, struct nic_packet *packet)
{
	uint16_t size = (uint16_t)(out->header_size + out->payload_size), sum;
	uint8_t *tcp = packet->data + FAR_END_HEADER;

	sum = checksum_fold(checksum_add(
		checksum_pseudo(out->tuple.local_address, out->tuple.peer_address, IP4_TCP, size),
		tcp, size));
	memcpy(tcp + 16, &sum, sizeof(sum));
}

/**
 * Send several segments as one frame, in buffers of `piece` bytes: the port cuts it, or leaves it whole for a
 * near one that merges.
 *
 * @return false: no buffer; a full wire is a lost frame
 */
static inline bool far_end_send_large(struct nic *nic, const uint8_t to[6],
				      const struct tcp_segment_out *out, const uint8_t *payload,
				      uint32_t piece)
{
	struct nic_packet packet;
	uint16_t sum;

	if (far_end_begin(nic, to, out, &packet) == NULL)
		return false;
	/* The port adds up the rest. */
	sum = (uint16_t)~checksum_fold(
		checksum_pseudo(out->tuple.local_address, out->tuple.peer_address, IP4_TCP, 0));
	memcpy(packet.data + FAR_END_HEADER + 16, &sum, sizeof(sum));
	packet.size = (uint16_t)(FAR_END_HEADER + out->header_size);
	packet.wants_checksum = true;
	packet.split = out->mss;
	for (uint32_t at = 0; at < out->payload_size;) {
		uint16_t size = (uint16_t)MIN(out->payload_size - at, piece);
		uint8_t *room = nic_tx_extend(nic, 0, &packet, size);

		CHECK(room != NULL);
		memcpy(room, payload + at, size);
		at += size;
	}
	(void)nic_tx_burst(nic, 0, &packet, 1);
	return true;
}

/** The frame that says who has `address`, asked for by `asked`. @return false: no buffer */
static inline bool far_end_answer(struct nic *nic, uint32_t address, const struct arp_packet *asked,
				  struct nic_packet *packet)
{
	struct arp_packet answer = { .sender = address, .target = asked->sender };

	if (!nic_tx_alloc(nic, 0, packet))
		return false;
	memcpy(answer.sender_mac, nic->mac, 6);
	eth_write(packet->data, asked->sender_mac, nic->mac, ETH_ARP);
	arp_write(packet->data + ETH_HEADER_SIZE, &answer, asked->sender_mac);
	packet->size = ETH_HEADER_SIZE + ARP_PACKET_SIZE;
	return true;
}

/** What TCP is told of a packet that came. */
static inline struct tcp_segment_in far_end_segment(const struct nic_packet *packet,
						    const struct ip4_packet *ip)
{
	return (struct tcp_segment_in){ .source_address = ip->source,
					.destination_address = ip->destination,
					.bytes = ip->bytes,
					.size = ip->size,
					.buffer = packet->handle,
					.ecn = ip->ecn };
}

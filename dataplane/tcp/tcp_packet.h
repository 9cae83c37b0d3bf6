/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A TCP header as a struct, parsed from a received segment and built for one to send.
 *
 * Context: any thread. Memory: none. Source: RFC 9293 section 3.1.
 */
#pragma once

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_options.h"

#define TCP_HEADER_SIZE 20

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20, /* seen and ignored: urgent data is data (RFC 6093) */
	TCP_ECE = 0x40, /* RFC 3168 section 6.1: a mark is reported */
	TCP_CWR = 0x80, /* ... and was acted on */
};

struct tcp_packet {
	struct tcp_tuple tuple;
	uint32_t seq, ack;
	uint16_t window; /* as on the wire, not scaled */
	uint8_t flags;   /* enum tcp_flag */
	uint8_t ecn;     /* two bits of the IP header */
	struct tcp_options options;
	const uint8_t *bytes; /* payload */
	uint32_t size;        /* of the payload */
	void *buffer;         /* that holds it */
};

/** @return 0; ERR_TRUNCATED, ERR_MALFORMED: what ret_packet holds then means nothing */
NODISCARD int tcp_packet_parse(const struct tcp_segment_in *segment, struct tcp_packet *ret_packet);

/** Write ports, numbers, flags and options into segment->header; size and tuple are set as well. */
void tcp_packet_build(const struct tcp_packet *packet, struct tcp_segment_out *segment);

/** @return sequence space the packet takes: payload, SYN and FIN */
static inline uint32_t tcp_packet_length(const struct tcp_packet *packet)
{
	return packet->size + ((packet->flags & TCP_SYN) != 0) + ((packet->flags & TCP_FIN) != 0);
}

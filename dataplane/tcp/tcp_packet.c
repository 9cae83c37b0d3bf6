/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_packet.h"

#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/hot.h"

/* In place: a struct of narrow stores that is copied in wide loads stalls the CPU. */
int tcp_packet_parse(const struct tcp_segment_in *segment, struct tcp_packet *ret_packet)
{
	const uint8_t *header = segment->bytes;
	uint32_t header_size;

	if (segment->size < TCP_HEADER_SIZE)
		return ERR_TRUNCATED;
	header_size = (uint32_t)(header[12] >> 4) * 4;
	if (header_size < TCP_HEADER_SIZE)
		return ERR_MALFORMED;
	if (header_size > segment->size)
		return ERR_TRUNCATED;
	ret_packet->tuple.local_address = segment->destination_address;
	ret_packet->tuple.peer_address = segment->source_address;
	ret_packet->tuple.local_port = bytes_load_u16(header + 2);
	ret_packet->tuple.peer_port = bytes_load_u16(header);
	ret_packet->seq = bytes_load_u32(header + 4);
	ret_packet->ack = bytes_load_u32(header + 8);
	ret_packet->flags = header[13];
	ret_packet->ecn = segment->ecn & 3;
	ret_packet->window = bytes_load_u16(header + 14);
	ret_packet->bytes = header + header_size;
	ret_packet->size = segment->size - header_size;
	ret_packet->buffer = segment->buffer;
	return tcp_options_parse(header + TCP_HEADER_SIZE, header_size - TCP_HEADER_SIZE,
				 &ret_packet->options);
}

void tcp_packet_build(const struct tcp_packet *packet, struct tcp_segment_out *segment)
{
	uint8_t *header = segment->header;
	size_t options_size;

	segment->tuple = packet->tuple;
	bytes_store_u16(header, packet->tuple.local_port);
	bytes_store_u16(header + 2, packet->tuple.peer_port);
	bytes_store_u32(header + 4, packet->seq);
	bytes_store_u32(header + 8, packet->ack);
	header[13] = packet->flags;
	bytes_store_u16(header + 14, packet->window);
	memset(header + 16, 0, 4); /* checksum, urgent pointer */
	options_size = tcp_options_build(header + TCP_HEADER_SIZE, &packet->options);
	segment->header_size = (uint16_t)(TCP_HEADER_SIZE + options_size);
	header[12] = (uint8_t)(segment->header_size / 4 << 4);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/wireport_merge.h"

#include "dataplane/net/checksum.h"
#include "dataplane/net/ip4.h"

#include "dataplane/core/hot.h"

bool wireport_merge_take(struct nic *nic, struct nic_packet *packet,
			 struct tcp_segment_piece *pieces, struct tcp_segment_in *segment)
{
	uint32_t left = packet->more, count = 0;
	struct nic_packet piece;

	while (count < NIC_PIECES_MAX && nic_rx_more(nic, packet, &piece)) {
		pieces[count++] = (struct tcp_segment_piece){ .bytes = piece.data,
							      .size = piece.size,
							      .buffer = piece.handle };
		left -= piece.size;
	}
	segment->pieces = pieces;
	segment->piece_count = count;
	return left == 0;
}

bool wireport_merge_verify(const struct tcp_segment_in *segment)
{
	uint64_t sum = checksum_add(0, segment->bytes, segment->size);
	uint32_t size = segment->size;

	for (uint32_t i = 0; i < segment->piece_count; i++) {
		const struct tcp_segment_piece *piece = &segment->pieces[i];
		uint16_t part =
			(uint16_t)~checksum_fold(checksum_add(0, piece->bytes, piece->size));

		/* A word that lies across two pieces: what begins at an odd place is summed swapped. */
		sum += size % 2 == 0 ? part : __builtin_bswap16(part);
		size += piece->size;
	}
	sum += checksum_pseudo(segment->source_address, segment->destination_address, IP4_TCP,
			       (uint16_t)size);
	return checksum_fold(sum) == 0;
}

void wireport_merge_free(struct nic *nic, uint16_t queue, const struct tcp_segment_in *segment)
{
	for (uint32_t i = 0; i < segment->piece_count; i++)
		nic_packet_free(nic, queue, segment->pieces[i].buffer);
}

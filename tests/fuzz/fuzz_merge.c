/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A received frame in several buffers, of any sizes and any number, that says more or less of itself
 * than is there. Claim: a segment of it is taken only when its sizes agree, its checksum is that of the
 * same bytes in one piece, and each buffer is given back once, those that were left over included.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#include "dataplane/core/wireport_merge.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ip4.h"

#define FROM       0x0a000001U
#define TO         0x0a000002U
#define PIECES_MAX 64U /* more than the port may say */
#define HEADER     20U
#define SUM_AT     16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct piece {
	struct piece *next;
	uint16_t size;
	uint8_t bytes[];
};

static uint32_t out; /* buffers not given back */

static struct piece *new_piece(struct reader *in, uint16_t size)
{
	struct piece *piece = malloc(sizeof(*piece) + size);
	uint8_t seed = reader_u8(in);

	CHECK(piece != NULL);
	*piece = (struct piece){ .size = size };
	for (uint32_t i = 0; i < size; i++)
		piece->bytes[i] = (uint8_t)(seed + i * 7);
	out++;
	return piece;
}

static void *rx_more(struct nic *nic, void *rest, struct nic_packet *ret_piece)
{
	struct piece *piece = rest;

	(void)nic;
	*ret_piece =
		(struct nic_packet){ .handle = piece, .data = piece->bytes, .size = piece->size };
	return piece->next;
}

static void packet_free(struct nic *nic, uint16_t queue, void *handle)
{
	(void)nic;
	CHECK(queue == 3);
	CHECK(out > 0);
	out--;
	free(handle);
}

/** @return the checksum over the same bytes in one piece */
static uint16_t flat_sum(const struct tcp_segment_in *segment)
{
	static uint8_t flat[UINT16_MAX + 1];
	uint32_t size = segment->size;

	memcpy(flat, segment->bytes, size);
	for (uint32_t i = 0; i < segment->piece_count; i++) {
		memcpy(flat + size, segment->pieces[i].bytes, segment->pieces[i].size);
		size += segment->pieces[i].size;
	}
	return checksum_fold(
		checksum_add(checksum_pseudo(FROM, TO, IP4_TCP, (uint16_t)size), flat, size));
}

static void check_sum(struct tcp_segment_in *segment, struct piece *head)
{
	uint16_t sum;

	CHECK(wireport_merge_verify(segment) == (flat_sum(segment) == 0));
	if (segment->size < HEADER)
		return;
	memset(head->bytes + SUM_AT, 0, 2);
	sum = flat_sum(segment);
	memcpy(head->bytes + SUM_AT, &sum, 2);
	CHECK(wireport_merge_verify(segment));
	head->bytes[SUM_AT] ^= 1;
	CHECK(!wireport_merge_verify(segment));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct nic_ops ops = { .rx_more = rx_more, .packet_free = packet_free };
	struct tcp_segment_piece pieces[NIC_PIECES_MAX];
	struct nic_packet packet = { 0 }, left;
	struct nic nic = { .ops = &ops };
	struct piece *head, **at;
	struct tcp_segment_in segment = { .source_address = FROM, .destination_address = TO };
	struct reader in;
	uint32_t taken = 0, count;
	bool is_whole;

	reader_init(&in, data, size);
	head = new_piece(&in, reader_u8(&in));
	count = reader_u8(&in) % PIECES_MAX;
	at = (struct piece **)&packet.rest;
	for (uint32_t i = 0; i < count; i++) {
		*at = new_piece(&in, reader_u16(&in) % 1024);
		packet.more += (*at)->size;
		at = &(*at)->next;
	}
	packet.more += (uint32_t)reader_i8(&in);
	segment.bytes = head->bytes;
	segment.size = head->size;
	is_whole = wireport_merge_take(&nic, &packet, pieces, &segment);
	CHECK(segment.piece_count == MIN(count, NIC_PIECES_MAX));
	for (uint32_t i = 0; i < segment.piece_count; i++)
		taken += segment.pieces[i].size;
	CHECK(is_whole == (taken == packet.more));
	check_sum(&segment, head);
	wireport_merge_free(&nic, 3, &segment);
	while (nic_rx_more(&nic, &packet, &left))
		nic_packet_free(&nic, 3, left.handle);
	free(head);
	CHECK(--out == 0);
	return 0;
}

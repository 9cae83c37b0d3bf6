/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merged frame's further buffers are taken in order, none is lost or freed twice, one that is too long
 * or too short is refused, and its checksum is what it would be in one piece, wherever it is cut.
 * Frames come over the memory port, which merges what one end does not split.
 */
#include <string.h>

#include "base/prng.h"

#include "dataplane/core/wireport_merge.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ip4.h"
#include "dataplane/nic/nic_mem.h"

#include "cm.h"

#define HEADERS 54
#define FROM    0x0a000001U
#define TO      0x0a000002U

static uint8_t bytes[UINT16_MAX];

/* A TCP segment of `size` bytes with a right checksum. */
static void make_segment(uint8_t *tcp, uint32_t size)
{
	struct prng prng = { .state = size };
	uint16_t sum;

	for (uint32_t i = 0; i < size; i++)
		tcp[i] = (uint8_t)prng_next(&prng);
	tcp[12] = 5 << 4;
	memset(tcp + 16, 0, 2);
	sum = checksum_fold(
		checksum_add(checksum_pseudo(FROM, TO, IP4_TCP, (uint16_t)size), tcp, size));
	memcpy(tcp + 16, &sum, 2);
}

static void test_wireport_merge_checksum_of_any_cut(void **state)
{
	static const uint32_t sizes[] = { 61, 64, 1000, 1461 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		make_segment(bytes, sizes[i]);
		for (uint32_t a = 20; a < sizes[i]; a += 7) {
			for (uint32_t b = a; b < sizes[i]; b += 13) {
				struct tcp_segment_piece pieces[] = {
					{ bytes + a, b - a, NULL },
					{ bytes + b, sizes[i] - b, NULL },
				};
				const struct tcp_segment_in segment = { .source_address = FROM,
									.destination_address = TO,
									.bytes = bytes,
									.size = a,
									.pieces = pieces,
									.piece_count = 2 };

				assert_true(wireport_merge_verify(&segment));
				bytes[b] ^= 1;
				assert_false(wireport_merge_verify(&segment));
				bytes[b] ^= 1;
			}
		}
	}
}

/* A frame of `payload` bytes behind the headers, in one burst from `far`. */
static void send_merged(struct nic *far, uint32_t payload)
{
	struct nic_packet packet;

	assert_true(nic_tx_alloc(far, 0, &packet));
	memset(packet.data, 0, HEADERS);
	packet.data[46] = 5 << 4;
	packet.size = HEADERS;
	for (uint32_t at = 0; at < payload;) {
		uint16_t n = (uint16_t)MIN(payload - at, 1400U);
		uint8_t *to = nic_tx_extend(far, 0, &packet, n);

		assert_non_null(to);
		for (uint16_t i = 0; i < n; i++)
			to[i] = (uint8_t)((at + i) * 3);
		at += n;
	}
	packet.wants_checksum = true;
	packet.split = 1460;
	assert_int_equal(nic_tx_burst(far, 0, &packet, 1), 1);
}

static void test_wireport_merge_takes_all_buffers(void **state)
{
	struct tcp_segment_piece pieces[NIC_PIECES_MAX];
	struct nic *near, *far;

	(void)state;
	assert_int_equal(nic_mem_open(1500, 64, &near, &far), 0);
	far->offloads = NIC_TX_CHECKSUM | NIC_TX_PIECES | NIC_TX_SPLIT;
	near->offloads = NIC_RX_MERGE;
	for (uint32_t payload = 1000; payload <= 60000; payload += 9833) {
		struct tcp_segment_in segment = { .size = 0 };
		uint32_t at;
		struct nic_packet packet;

		send_merged(far, payload);
		assert_int_equal(nic_rx_burst(near, 0, &packet, 1), 1);
		assert_int_equal(packet.size + packet.more, HEADERS + payload);
		at = packet.size - HEADERS;
		assert_true(wireport_merge_take(near, &packet, pieces, &segment));
		assert_null(packet.rest);
		for (uint32_t i = 0; i < segment.piece_count; i++) {
			for (uint32_t j = 0; j < segment.pieces[i].size; j++, at++)
				assert_int_equal(segment.pieces[i].bytes[j], (uint8_t)(at * 3));
		}
		assert_int_equal(at, payload);
		/* One is held beyond the frame. */
		if (segment.piece_count > 0)
			nic_packet_hold(near, pieces[0].buffer);
		wireport_merge_free(near, 0, &segment);
		nic_packet_free(near, 0, packet.handle);
		assert_int_equal(nic_mem_in_use(near), segment.piece_count > 0);
		if (segment.piece_count > 0)
			nic_packet_free(near, 0, pieces[0].buffer);
		assert_int_equal(nic_mem_in_use(near), 0);
	}
	nic_close(near);
	nic_close(far);
}

static void test_wireport_merge_refuses_other_sizes(void **state)
{
	struct tcp_segment_piece pieces[NIC_PIECES_MAX];
	struct nic *near, *far;

	(void)state;
	assert_int_equal(nic_mem_open(1500, 64, &near, &far), 0);
	far->offloads = NIC_TX_CHECKSUM | NIC_TX_PIECES | NIC_TX_SPLIT;
	near->offloads = NIC_RX_MERGE;
	for (int wrong = -1; wrong <= 1; wrong += 2) {
		struct tcp_segment_in segment = { .size = 0 };
		struct nic_packet packet;

		send_merged(far, 5000);
		assert_int_equal(nic_rx_burst(near, 0, &packet, 1), 1);
		packet.more += (uint32_t)wrong;
		assert_false(wireport_merge_take(near, &packet, pieces, &segment));
		wireport_merge_free(near, 0, &segment);
		nic_packet_free(near, 0, packet.handle);
		assert_int_equal(nic_mem_in_use(near), 0);
	}
	nic_close(near);
	nic_close(far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wireport_merge_checksum_of_any_cut),
		cmocka_unit_test(test_wireport_merge_takes_all_buffers),
		cmocka_unit_test(test_wireport_merge_refuses_other_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

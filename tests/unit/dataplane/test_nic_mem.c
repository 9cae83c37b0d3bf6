/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: frames cross the pair of memory ports unchanged and in order, a full wire takes no more, what
 * the far end has no buffer for is lost and counted, and every buffer is accounted for. Shown by sending
 * more than fits and counting at both ends. A frame in pieces arrives whole, one that is cut as the
 * packets that hardware makes of it, and lent bytes come back when the port has let go of them.
 */
#include <string.h>

#include "base/bytes.h"

#include "dataplane/nic/nic_mem.h"

#include "cm.h"

#define DEPTH 4

static void send_frame(struct nic *nic, uint16_t queue, uint8_t mark, uint16_t expect)
{
	struct nic_packet packet;

	assert_true(nic_tx_alloc(nic, queue, &packet));
	assert_int_equal(packet.size, 1514);
	memset(packet.data, mark, 60);
	packet.size = 60;
	assert_int_equal(nic_tx_burst(nic, queue, &packet, 1), expect);
}

static void test_nic_mem_carries_in_order_until_full(void **state)
{
	struct nic_packet packets[DEPTH + 1];
	struct nic_stats stats;
	struct nic *a, *b;

	(void)state;
	assert_int_equal(nic_mem_open(1500, DEPTH, &a, &b), 0);
	for (uint8_t i = 0; i < DEPTH; i++)
		send_frame(a, i % NIC_MEM_QUEUES, i, 1);
	send_frame(a, 0, 99, 0);
	assert_true(nic_tx_alloc(a, 0, &packets[0]));
	packets[0].size = 60;
	assert_int_equal(nic_tx_offer(a, 0, packets, 1), 0);
	assert_int_equal(nic_mem_in_use(a), 1); /* still ours */
	nic_packet_free(a, 0, packets[0].handle);
	nic_stats(a, &stats);
	assert_int_equal(stats.tx_packets, DEPTH);
	assert_int_equal(stats.tx_errors, 0);
	assert_int_equal(nic_rx_burst(b, 1, packets, DEPTH + 1), 0);
	assert_int_equal(nic_rx_burst(b, 0, packets, DEPTH + 1), DEPTH);
	for (uint8_t i = 0; i < DEPTH; i++) {
		assert_int_equal(packets[i].size, 60);
		assert_int_equal(packets[i].data[59], i);
		nic_packet_free(b, 1, packets[i].handle);
	}
	assert_int_equal(nic_mem_in_use(a), 0);
	assert_int_equal(nic_mem_in_use(b), 0);
	nic_close(a);
	nic_close(b);
}

static void test_nic_mem_holds_and_runs_out(void **state)
{
	struct nic_packet packet, sent[2 * DEPTH];
	struct nic_stats stats;
	struct nic *a, *b;

	(void)state;
	assert_int_equal(nic_mem_open(1500, DEPTH, &a, &b), 0);
	assert_true(nic_link_up(a));
	send_frame(b, 0, 7, 1);
	assert_int_equal(nic_rx_burst(a, 0, &packet, 1), 1);
	nic_packet_hold(a, packet.handle);
	nic_packet_free(a, 0, packet.handle);
	assert_int_equal(nic_mem_in_use(a), 1);
	assert_int_equal(packet.data[0], 7);
	for (int i = 0; i < 2 * DEPTH - 1; i++)
		assert_true(nic_tx_alloc(a, 0, &sent[i]));
	assert_false(nic_tx_alloc(a, 0, &sent[0]));
	send_frame(b, 0, 8, 1); /* nothing is left to receive it in */
	nic_stats(a, &stats);
	assert_int_equal(stats.rx_missed, 1);
	nic_stats(b, &stats);
	assert_int_equal(stats.tx_errors, 1);
	nic_packet_free(a, 0, packet.handle);
	assert_true(nic_tx_alloc(a, 0, &packet));
	assert_int_equal(nic_mem_in_use(a), 2 * DEPTH);
	nic_close(b);
	assert_false(nic_link_up(a));
	nic_close(a);
	nic_close(NULL);
}

static uint32_t came_back;

static void on_back(struct nic_lent *lent)
{
	assert_non_null(lent->nic);
	came_back++;
}

static void test_nic_mem_pieces_and_lent_bytes(void **state)
{
	struct nic_lent lent = { .on_back = on_back };
	struct nic_packet packet;
	uint8_t bytes[200], *more;
	struct nic *a, *b;

	(void)state;
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(nic_mem_open(1500, DEPTH, &a, &b), 0);
	a->offloads = NIC_TX_PIECES | NIC_TX_LENT;
	a->pieces = 3;
	nic_mem_keep(a, true);
	assert_true(nic_tx_alloc(a, 0, &packet));
	memcpy(packet.data, bytes, 20);
	packet.size = 20;
	assert_true(nic_tx_lend(a, 0, &packet, bytes + 20, 100, &lent));
	more = nic_tx_extend(a, 0, &packet, 80);
	assert_non_null(more);
	memcpy(more, bytes + 120, 80);
	assert_null(nic_tx_extend(a, 0, &packet, 1));
	assert_false(nic_tx_lend(a, 0, &packet, bytes, 1, &lent));
	assert_int_equal(nic_tx_burst(a, 0, &packet, 1), 1);
	assert_int_equal(nic_rx_burst(b, 0, &packet, 1), 1);
	assert_int_equal(packet.size, 200);
	assert_memory_equal(packet.data, bytes, 200);
	nic_packet_free(b, 0, packet.handle);
	assert_int_equal(nic_mem_in_use(a), 3);
	assert_false(nic_lent_end(&lent));
	assert_int_equal(came_back, 0);
	nic_mem_keep(a, false);
	assert_int_equal(came_back, 1);
	assert_int_equal(nic_mem_in_use(a), 0);
	nic_close(a);
	nic_close(b);
}

/* 14 + 20 + 20 bytes of headers and 250 of payload, in packets of 100. */
static void test_nic_mem_cuts(void **state)
{
	static const uint8_t flags[] = { 0x90, 0x10, 0x19 }; /* CWR first, FIN and PSH last */
	struct nic_packet packet, got[4];
	struct nic *a, *b;
	uint8_t *more;

	(void)state;
	assert_int_equal(nic_mem_open(1500, DEPTH, &a, &b), 0);
	a->offloads = NIC_TX_PIECES | NIC_TX_CHECKSUM | NIC_TX_SPLIT;
	assert_true(nic_tx_alloc(a, 0, &packet));
	memset(packet.data, 0, 54);
	bytes_store_u16(packet.data + 18, 0xffff); /* IP id */
	bytes_store_u32(packet.data + 38, 0xffffffc0);
	packet.data[46] = 5 << 4;
	packet.data[47] = 0x99;
	packet.size = 54;
	packet.split = 100;
	packet.wants_checksum = true;
	more = nic_tx_extend(a, 0, &packet, 250);
	assert_non_null(more);
	for (int i = 0; i < 250; i++)
		more[i] = (uint8_t)i;
	assert_int_equal(nic_tx_burst(a, 0, &packet, 1), 1);
	assert_int_equal(nic_rx_burst(b, 0, got, 4), 3);
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t size = i < 2 ? 100 : 50;

		assert_int_equal(got[i].size, 54 + size);
		assert_int_equal(bytes_load_u16(got[i].data + 16), 40 + size);
		assert_int_equal(bytes_load_u16(got[i].data + 18), (uint16_t)(0xffff + i));
		assert_int_equal(bytes_load_u32(got[i].data + 38), 0xffffffc0 + 100 * i);
		assert_int_equal(got[i].data[47], flags[i]);
		for (uint32_t j = 0; j < size; j++)
			assert_int_equal(got[i].data[54 + j], (uint8_t)(100 * i + j));
		nic_packet_free(b, 0, got[i].handle);
	}
	nic_close(a);
	nic_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_mem_carries_in_order_until_full),
		cmocka_unit_test(test_nic_mem_holds_and_runs_out),
		cmocka_unit_test(test_nic_mem_pieces_and_lent_bytes),
		cmocka_unit_test(test_nic_mem_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

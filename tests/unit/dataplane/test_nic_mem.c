/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: frames cross the pair of memory ports unchanged and in order, a full wire takes no more, what
 * the far end has no buffer for is lost and counted, and every buffer is accounted for. Shown by sending
 * more than fits and counting at both ends.
 */
#include <string.h>

#include "dataplane/nic/nic.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_mem_carries_in_order_until_full),
		cmocka_unit_test(test_nic_mem_holds_and_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

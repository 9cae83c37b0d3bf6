/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection outlives its port: data flows both ways while the port's device goes away and comes back,
 * twice, and every byte arrives once and in order at both ends. The port is a real one, virtio by DPDK
 * with its vhost driver as the switch on the other side, where a client speaks TCP; only time is virtual.
 */
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <unistd.h>

#undef NS_PER_S   /* DPDK has one of its own */
#undef LIST_ENTRY /* and brings sys/queue.h */

#include "base/clock.h"

#include "dataplane/nic/nic_eal.h"

#include "vhost_switch.h"
#include "wireport_rig_world.h"

#define WAIT_NS    (20 * NS_PER_S)
#define AWAY_MS    50 /* nobody is there for so long */
#define FRAME_SIZE 1514

static bool is_peer_up;

/* ---- the switch, and the client's port on it ---- */

static void peer_up(void)
{
	const struct rte_eth_conf conf = { 0 };

	switch_up("", &conf, CORES);
	is_peer_up = true;
}

static void peer_down(void)
{
	is_peer_up = false;
	switch_down();
}

static uint16_t far_receive(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			    uint16_t max)
{
	struct rte_mbuf *mbufs[64];
	uint16_t count = 0;

	(void)nic;
	(void)queue;
	assert_true(max <= ARRAY_COUNT(mbufs));
	for (uint16_t i = 0; is_peer_up && i < CORES; i++)
		count += rte_eth_rx_burst(peer, i, mbufs + count, max - count);
	for (uint16_t i = 0; i < count; i++) {
		assert_int_equal(mbufs[i]->nb_segs, 1);
		packets[i] = (struct nic_packet){ .handle = mbufs[i],
						  .data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
						  .size = mbufs[i]->data_len };
	}
	return count;
}

static bool far_alloc(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

	(void)nic;
	(void)queue;
	assert_non_null(mbuf);
	*ret_packet = (struct nic_packet){ .handle = mbuf,
					   .data = rte_pktmbuf_mtod(mbuf, uint8_t *),
					   .size = FRAME_SIZE };
	return true;
}

/* What nobody takes is lost, as on a wire. */
static uint16_t far_send(struct nic *nic, uint16_t queue, struct nic_packet *packets,
			 uint16_t count)
{
	(void)nic;
	(void)queue;
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = packets[i].handle;

		mbuf->data_len = packets[i].size;
		mbuf->pkt_len = packets[i].size;
		if (!is_peer_up || rte_eth_tx_burst(peer, 0, &mbuf, 1) != 1)
			rte_pktmbuf_free(mbuf);
	}
	return count;
}

static void far_hold(struct nic *nic, void *handle)
{
	(void)nic;
	rte_pktmbuf_refcnt_update(handle, 1);
}

static void far_free(struct nic *nic, uint16_t queue, void *handle)
{
	(void)nic;
	(void)queue;
	rte_pktmbuf_free(handle);
}

static void far_close(struct nic *nic)
{
	(void)nic;
	peer_down();
}

static const struct nic_ops far_ops = { .rx_burst = far_receive,
					.tx_alloc = far_alloc,
					.tx_burst = far_send,
					.packet_hold = far_hold,
					.packet_free = far_free,
					.close = far_close };
static struct nic far = { .ops = &far_ops, .mac = { 2, 0, 0, 0, 0, 9 }, .mtu = 1500, .queues = 1 };

/* ---- the world on them ---- */

/* A frame that nobody understands, on each queue: from then on the path is there. */
static void await_path(struct nic *near)
{
	int64_t end_ns = clock_now_ns() + WAIT_NS;
	struct nic_packet packet;

	for (uint16_t i = 0; i < CORES; i++) {
		assert_true(nic_tx_alloc(near, i, &packet));
		packet.size = 60;
		memset(packet.data, 0, packet.size);
		assert_int_equal(nic_tx_burst(near, i, &packet, 1), 1);
		while (nic_rx_burst(&far, 0, &packet, 1) != 1) {
			assert_true(clock_now_ns() < end_ns);
			wait_ms();
		}
		nic_packet_free(&far, 0, packet.handle);
	}
}

static int open_virtio(uint16_t mtu, uint32_t depth, struct nic **ret_near, struct nic **ret_far)
{
	char port[96], error[256] = "";
	const struct nic_config config = { .port = port,
					   .queues = CORES,
					   .mtu = mtu,
					   .descriptors = 256,
					   .buffers = depth,
					   .is_plain = true };
	int r;

	peer_up();
	(void)snprintf(port, sizeof(port), "virtio:%s", socket_path);
	r = nic_dpdk_open(&config, ret_near, error, sizeof(error));
	if (r != 0)
		print_message("%s\n", error);
	assert_int_equal(r, 0);
	*ret_far = &far;
	await_path(*ret_near);
	return 0;
}

/* A turn of the cores, and of the housekeeper. */
static void turn(void)
{
	step();
	nic_tend(w.near, clock_now_ns());
	wait_ms();
}

/* The device goes in the midst of everything, is away, and comes back. */
static void reset_port(uint32_t resets)
{
	int64_t end_ns = clock_now_ns() + WAIT_NS;
	uint32_t changes = nic_link_changes(w.near);

	peer_down();
	while (nic_link_changes(w.near) == changes) {
		assert_true(clock_now_ns() < end_ns);
		turn();
	}
	for (int i = 0; i < AWAY_MS; i++)
		turn();
	assert_int_equal(nic_resets(w.near), resets - 1);
	peer_up();
	while (nic_resets(w.near) < resets) {
		assert_true(clock_now_ns() < end_ns);
		turn();
	}
}

static void test_wireport_reset_connection_goes_on(void **state)
{
	(void)state;
	open_connection(9092);
	for (uint32_t i = 1; i <= 2; i++) {
		size_t half = STREAM / 2, before = (i - 1) * half;

		tcp_send(w.tcb, half, w.now_ns);
		for (int j = 0; j < 500000 && w.sent_pos < before + half / 8; j++)
			step();
		/* Both ways. */
		assert_true(w.sent_pos < before + half);
		assert_true(w.got_size < before + half);
		reset_port(i);
	}
	for (int i = 0; i < 500000 && w.got_size < STREAM; i++)
		step();
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
	assert_int_equal(session_taken, STREAM);
	assert_false(w.is_closed);
	assert_int_equal(sessions_open, 1);
	assert_int_equal(counted(0, COUNTER_WIREPORT_RESETS), 2);
	assert_true(counted(0, COUNTER_TCP_RETRANSMITS) + counted(CORES, COUNTER_TCP_RETRANSMITS) >
		    0);
	assert_true(w.arp_announced >= 3); /* once at first, and after each */
	tcp_shutdown(w.tcb, w.now_ns);
	for (int i = 0; i < 100000 && !w.is_closed; i++)
		step();
	assert_true(w.is_closed);
	assert_int_equal(w.reason, TCP_CLOSED_NORMAL);
}

static int begin(void **state)
{
	const struct nic_eal_needs needs = { .memory_size = 96 << 20, .is_shared = true };
	char error[256] = "";

	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/test_wireport_reset.%d",
		       (int)getpid());
	if (nic_eal_up(&needs, error, sizeof(error)) != 0) {
		print_message("%s\n", error);
		return -1;
	}
	pool = rte_pktmbuf_pool_create("switch", 4096, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	assert_non_null(pool);
	open_ports = open_virtio;
	return world_up(state);
}

static int end(void **state)
{
	int r = world_down(state);

	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	rte_mempool_free(pool);
	(void)unlink(socket_path);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wireport_reset_connection_goes_on),
	};

	return cmocka_run_group_tests(tests, begin, end);
}

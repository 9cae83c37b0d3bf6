/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DPDK port with all that hardware brings, and no hardware: virtio on our side, DPDK's vhost driver as
 * the switch on the other. Frames cross on two queues; merged ones arrive in pieces that are held and
 * freed alone, with their checksums vouched for; missing checksums are put in by the port, which also
 * takes several segments as one frame; a core that sleeps is woken by its queue's interrupt, and misses
 * none; and a switch that goes away and comes back finds the port again, while its cores poll on.
 */
#include <poll.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/bytes.h"
#include "base/clock.h"

#include "dataplane/net/checksum.h"
#include "dataplane/nic/nic.h"
#include "dataplane/nic/nic_eal.h"

#include "cm.h"
#include "vhost_switch.h"

#define QUEUES     2
#define WAIT_NS    (10 * NS_PER_S)
#define MERGED     20000 /* bytes of a large frame */
#define PIECE      1900  /* of it, in a buffer of the switch */
#define HEADERS    (14 + 20 + 20)
#define FRAME_SIZE 200

static void peer_up(void)
{
	const struct rte_eth_conf conf = {
		.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_CKSUM,
	};

	switch_up(",tso=1", &conf, QUEUES);
}

static uint8_t byte_of(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8));
}

/* Headers of a TCP packet; the rest says where it lies. */
static void fill(uint8_t *frame, uint32_t from, uint32_t size)
{
	static const uint8_t headers[HEADERS] = {
		2,    0,  0, 0,  0, 9, 2, 0, 0,  0, 0, 8, 8,    0, /* Ethernet */
		0x45, 0,  0, 0,  0, 0, 0, 0, 64, 6, 0, 0, 10,   0,    0, 1, 10, 0, 0, 2, /* IPv4 */
		0,    80, 0, 90, 0, 0, 0, 1, 0,  0, 0, 1, 0x50, 0x10, 1, 0, 0,  0, 0, 0, /* TCP */
	};

	for (uint32_t i = 0; i < size; i++)
		frame[i] = from + i < HEADERS ? headers[from + i] : byte_of(from + i);
}

/* A chain of `size` bytes, to be sent as a packet to be split (it is not, on the way to a virtio
   port that merges). */
static struct rte_mbuf *chain_of(uint32_t size)
{
	struct rte_mbuf *first = NULL;

	for (uint32_t at = 0; at < size; at += PIECE) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
		uint16_t n = (uint16_t)MIN(size - at, (uint32_t)PIECE);

		assert_non_null(mbuf);
		fill((uint8_t *)rte_pktmbuf_append(mbuf, n), at, n);
		if (first == NULL)
			first = mbuf;
		else
			assert_int_equal(rte_pktmbuf_chain(first, mbuf), 0);
	}
	first->l2_len = 14;
	first->l3_len = 20;
	first->l4_len = 20;
	return first;
}

static void peer_send(uint16_t queue, struct rte_mbuf *mbuf)
{
	int64_t end_ns = clock_now_ns() + WAIT_NS;

	while (rte_eth_tx_burst(peer, queue, &mbuf, 1) != 1) {
		assert_true(clock_now_ns() < end_ns);
		wait_ms();
	}
}

static struct rte_mbuf *peer_receive(uint16_t queue)
{
	int64_t end_ns = clock_now_ns() + WAIT_NS;
	struct rte_mbuf *mbuf;

	while (rte_eth_rx_burst(peer, queue, &mbuf, 1) != 1) {
		assert_true(clock_now_ns() < end_ns);
		wait_ms();
	}
	return mbuf;
}

/* ---- ours ---- */

static struct nic *open_port_for(bool is_plain, bool is_waited_for)
{
	char port[96], error[256] = "";
	const struct nic_config config = { .port = port,
					   .queues = QUEUES,
					   .mtu = 1500,
					   .descriptors = 256,
					   .is_plain = is_plain,
					   .is_waited_for = is_waited_for };
	struct nic *nic = NULL;
	int r;

	(void)snprintf(port, sizeof(port), "virtio:%s", socket_path);
	r = nic_dpdk_open(&config, &nic, error, sizeof(error));
	if (r != 0)
		print_message("%s\n", error);
	assert_int_equal(r, 0);
	return nic;
}

static struct nic *open_port(bool is_plain)
{
	return open_port_for(is_plain, false);
}

static void receive(struct nic *nic, uint16_t queue, struct nic_packet *ret_packet)
{
	int64_t end_ns = clock_now_ns() + WAIT_NS;

	while (nic_rx_burst(nic, queue, ret_packet, 1) != 1) {
		assert_true(clock_now_ns() < end_ns);
		wait_ms();
	}
}

static uint64_t pseudo_sum(void)
{
	return checksum_pseudo(0x0a000001, 0x0a000002, 6, FRAME_SIZE - 34);
}

static void send_one(struct nic *nic, uint16_t queue, bool wants_checksum)
{
	struct nic_packet packet;

	assert_true(nic_tx_alloc(nic, queue, &packet));
	assert_int_equal(packet.size, 1514);
	fill(packet.data, 0, FRAME_SIZE);
	packet.size = FRAME_SIZE;
	packet.wants_checksum = wants_checksum;
	if (wants_checksum) {
		uint16_t sum = (uint16_t)~checksum_fold(pseudo_sum());

		memcpy(packet.data + 50, &sum, 2);
	}
	assert_int_equal(nic_tx_burst(nic, queue, &packet, 1), 1);
}

static void check_bytes(const uint8_t *bytes, uint32_t from, uint32_t size)
{
	uint8_t *expected = malloc(size);

	assert_non_null(expected);
	fill(expected, from, size);
	assert_memory_equal(bytes, expected, size);
	free(expected);
}

/* Both ways on a queue. */
static void exchange(struct nic *nic, uint16_t queue)
{
	struct nic_packet packet;
	struct rte_mbuf *mbuf;

	send_one(nic, queue, false);
	mbuf = peer_receive(queue);
	assert_int_equal(rte_pktmbuf_pkt_len(mbuf), FRAME_SIZE);
	check_bytes(rte_pktmbuf_mtod(mbuf, uint8_t *), 0, FRAME_SIZE);
	rte_pktmbuf_free(mbuf);

	peer_send(queue, chain_of(FRAME_SIZE));
	receive(nic, queue, &packet);
	assert_int_equal(packet.size, FRAME_SIZE);
	assert_null(packet.rest);
	assert_false(packet.checksum_good); /* nobody vouches for it */
	check_bytes(packet.data, 0, FRAME_SIZE);
	nic_packet_free(nic, queue, packet.handle);
}

static void test_nic_virtio_two_queues(void **state)
{
	struct nic *nic;

	(void)state;
	peer_up();
	nic = open_port(false);
	assert_true(nic_link_up(nic));
	assert_int_equal(nic->steering, NIC_STEERING_NONE);
	assert_non_null(strstr(nic->describe, "2 queues (no steering)"));
	for (uint16_t i = 0; i < QUEUES; i++)
		exchange(nic, i);
	nic_close(nic);
	switch_down();
}

static void test_nic_virtio_checksums_both_ways(void **state)
{
	struct nic_packet packet;
	struct rte_mbuf *mbuf;
	struct nic *nic;

	(void)state;
	peer_up();
	nic = open_port(false);
	assert_true((nic->offloads & NIC_TX_CHECKSUM) != 0);
	assert_true((nic->offloads & NIC_RX_CHECKSUM) != 0);
	/* What we leave to the port is there in the end: this switch makes it, for want of hardware. */
	send_one(nic, 0, true);
	mbuf = peer_receive(0);
	assert_int_equal(checksum_fold(checksum_add(pseudo_sum(),
						    rte_pktmbuf_mtod_offset(mbuf, uint8_t *, 34),
						    FRAME_SIZE - 34)),
			 0);
	rte_pktmbuf_free(mbuf);
	/* And what the switch leaves out is right all the same. */
	mbuf = chain_of(FRAME_SIZE);
	mbuf->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	peer_send(1, mbuf);
	receive(nic, 1, &packet);
	assert_true(packet.checksum_good);
	nic_packet_free(nic, 1, packet.handle);
	nic_close(nic);
	switch_down();
}

static void test_nic_virtio_merged_frames_come_in_pieces(void **state)
{
	struct nic_packet packet, piece, held = { .handle = NULL };
	uint32_t at, held_at = 0, count = 1;
	struct rte_mbuf *mbuf;
	struct nic *nic;

	(void)state;
	peer_up();
	nic = open_port(false);
	assert_true((nic->offloads & NIC_RX_MERGE) != 0);
	assert_non_null(strstr(nic->describe, "LRO"));
	for (int round = 0; round < 300; round++) { /* more than there are buffers */
		mbuf = chain_of(MERGED);
		mbuf->ol_flags =
			RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
		mbuf->tso_segsz = 1448;
		peer_send(0, mbuf);
		receive(nic, 0, &packet);
		assert_true(packet.checksum_good);
		assert_true(packet.size >= HEADERS);
		assert_int_equal(packet.size + packet.more, MERGED);
		check_bytes(packet.data + HEADERS, HEADERS, packet.size - HEADERS);
		/* The third piece is held beyond the frame it came in. */
		for (at = packet.size, count = 1; nic_rx_more(nic, &packet, &piece);
		     at += piece.size, count++) {
			check_bytes(piece.data, at, piece.size);
			if (count == 3) {
				if (held.handle != NULL)
					nic_packet_free(nic, 1, held.handle);
				nic_packet_hold(nic, piece.handle);
				held = piece;
				held_at = at;
			}
			nic_packet_free(nic, 0, piece.handle);
		}
		assert_int_equal(at, MERGED);
		assert_true(count > 3);
		nic_packet_free(nic, 0, packet.handle);
		check_bytes(held.data, held_at, held.size);
	}
	nic_packet_free(nic, 0, held.handle);
	nic_close(nic);
	switch_down();
}

/* A frame of several segments leaves in one, with what a device needs to cut it. This switch hands it on
   as it is, as one to another guest. */
static void test_nic_virtio_frames_to_cut(void **state)
{
	struct nic_packet packet;
	struct rte_mbuf *mbuf;
	struct nic *nic;
	uint32_t at;

	(void)state;
	peer_up();
	nic = open_port(false);
	assert_true((nic->offloads & NIC_TX_SPLIT) != 0);
	assert_false((nic->offloads & NIC_TX_LENT) != 0); /* it sees DPDK's memory only */
	for (int round = 0; round < 100; round++) {
		assert_true(nic_tx_alloc(nic, 0, &packet));
		fill(packet.data, 0, HEADERS);
		packet.size = HEADERS;
		packet.split = 1448;
		packet.wants_checksum = true;
		for (at = HEADERS; at < MERGED; at = HEADERS + packet.more) {
			uint16_t size = (uint16_t)MIN(MERGED - at, 1500U);
			uint8_t *more = nic_tx_extend(nic, 0, &packet, size);

			assert_non_null(more);
			fill(more, at, size);
		}
		while (nic_tx_offer(nic, 0, &packet, 1) != 1)
			wait_ms();
		mbuf = peer_receive(0);
		assert_int_equal(rte_pktmbuf_pkt_len(mbuf), MERGED);
		assert_int_equal(mbuf->tso_segsz, 1448);
		at = 0;
		for (const struct rte_mbuf *piece = mbuf; piece != NULL; piece = piece->next) {
			uint32_t skip = at == 0 ? HEADERS : 0; /* lengths and sums are put in */

			check_bytes(rte_pktmbuf_mtod_offset(piece, uint8_t *, skip), at + skip,
				    piece->data_len - skip);
			at += piece->data_len;
		}
		assert_int_equal(at, MERGED);
		rte_pktmbuf_free(mbuf);
	}
	nic_close(nic);
	switch_down();
}

static void test_nic_virtio_plain_uses_no_offload(void **state)
{
	struct nic *nic;

	(void)state;
	peer_up();
	nic = open_port(true);
	assert_int_equal(nic->offloads, 0);
	exchange(nic, 1);
	nic_close(nic);
	switch_down();
}

/* ---- interrupts ---- */

#define ROUNDS 400

static bool take_frame(struct nic *nic, uint16_t queue)
{
	struct nic_packet packet;

	if (nic_rx_burst(nic, queue, &packet, 1) != 1)
		return false;
	nic_packet_free(nic, queue, packet.handle);
	return true;
}

/* As a core does it: ask to be woken, look once more, sleep. @return whether there was a frame */
static bool sleep_for_frame(struct nic *nic, uint16_t queue, int wait_ms_max)
{
	struct pollfd fd = { .fd = nic_wait_fd(nic, queue), .events = POLLIN };

	assert_int_equal(nic_wait_begin(nic, queue), NIC_WAIT_LOOK);
	if (!take_frame(nic, queue)) {
		int ready = poll(&fd, 1, wait_ms_max);

		nic_wait_end(nic, queue);
		return ready == 1 && take_frame(nic, queue);
	}
	nic_wait_end(nic, queue);
	return true;
}

static void *send_now_and_then(void *arg)
{
	uint32_t *taken = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		int64_t end_ns = clock_now_ns() + (int64_t)(i % 50) * 4000;

		while (__atomic_load_n(taken, __ATOMIC_ACQUIRE) < i || clock_now_ns() < end_ns)
			continue;
		peer_send(0, chain_of(FRAME_SIZE));
	}
	return NULL;
}

static void test_nic_virtio_wakes_who_sleeps(void **state)
{
	uint32_t taken = 0;
	pthread_t sender;
	struct nic *nic;

	(void)state;
	peer_up();
	nic = open_port_for(false, true);
	assert_int_equal(nic_thread_register(nic), 0);
	assert_non_null(strstr(nic->describe, "interrupts"));
	for (uint16_t i = 0; i < QUEUES; i++) {
		struct pollfd fd = { .fd = nic_wait_fd(nic, i), .events = POLLIN };

		assert_true(fd.fd >= 0);
		assert_false(sleep_for_frame(nic, i, 20)); /* nothing came */
		peer_send((uint16_t)(1 - i), chain_of(FRAME_SIZE));
		assert_false(sleep_for_frame(nic, i, 20)); /* on the other queue */
		assert_true(sleep_for_frame(nic, (uint16_t)(1 - i), 0));
		/* Awake: nobody is told. */
		peer_send(i, chain_of(FRAME_SIZE));
		assert_int_equal(poll(&fd, 1, 20), 0);
		assert_true(take_frame(nic, i));
	}
	/* Whatever moment a frame chooses, it is looked at or wakes. */
	assert_int_equal(pthread_create(&sender, NULL, send_now_and_then, &taken), 0);
	while (taken < ROUNDS) {
		int64_t end_ns = clock_now_ns() + WAIT_NS;

		while (!sleep_for_frame(nic, 0, 5000))
			assert_true(clock_now_ns() < end_ns - WAIT_NS / 2);
		__atomic_store_n(&taken, taken + 1, __ATOMIC_RELEASE);
	}
	assert_int_equal(pthread_join(sender, NULL), 0);
	nic_close(nic);
	switch_down();
}

/* ---- a switch that goes away ---- */

static bool cores_end; /* atomic */

/* A core that has nothing to do but look. */
static void *core_run(void *arg)
{
	struct nic *nic = arg;
	struct nic_packet packet;

	assert_int_equal(nic_thread_register(nic), 0);
	while (!__atomic_load_n(&cores_end, __ATOMIC_ACQUIRE)) {
		if (nic_rx_burst(nic, 1, &packet, 1) == 1)
			nic_packet_free(nic, 1, packet.handle);
		wait_ms();
	}
	return NULL;
}

/* The housekeeper and core 0 in one, until the port was reset once more. */
static void tend_until_back(struct nic *nic, uint32_t resets)
{
	int64_t end_ns = clock_now_ns() + 3 * WAIT_NS;
	struct nic_packet packet;

	while (nic_resets(nic) < resets) {
		assert_true(clock_now_ns() < end_ns);
		if (nic_rx_burst(nic, 0, &packet, 1) == 1)
			nic_packet_free(nic, 0, packet.handle);
		nic_tend(nic, clock_now_ns());
		wait_ms();
	}
}

static void test_nic_virtio_survives_its_switch(void **state)
{
	struct nic_packet held;
	pthread_t core;
	struct nic *nic;
	uint8_t mac[6];

	(void)state;
	peer_up();
	nic = open_port_for(false, true);
	memcpy(mac, nic->mac, 6);
	cores_end = false;
	assert_int_equal(pthread_create(&core, NULL, core_run, nic), 0);
	exchange(nic, 0);
	/* TCP holds a packet, and one waits to be sent: both stay what they are. */
	peer_send(0, chain_of(FRAME_SIZE));
	receive(nic, 0, &held);
	for (uint32_t i = 1; i <= 2; i++) {
		uint32_t changes = nic_link_changes(nic);
		struct nic_packet packet;

		assert_true(nic_tx_alloc(nic, 0, &packet));
		packet.size = FRAME_SIZE;
		switch_down();
		for (int waited = 0; waited < 5000 && nic_link_changes(nic) == changes; waited++)
			wait_ms();
		assert_true(nic_link_changes(nic) > changes);
		/* As soon as it is to be reset, nobody sleeps on it, nor enters its driver for that. */
		for (int turn = 0; turn < 1000; turn++) {
			nic_tend(nic, clock_now_ns());
			if (nic_wait_begin(nic, 0) == NIC_WAIT_NOT)
				break;
			assert_int_not_equal(turn, 999);
			nic_wait_end(nic, 0);
			wait_ms();
		}
		for (int turn = 0; turn < 300; turn++) { /* nobody is there for a while */
			nic_tend(nic, clock_now_ns());
			(void)nic_rx_burst(nic, 0, &packet, 0);
			wait_ms();
		}
		assert_int_equal(nic_resets(nic), i - 1);
		assert_int_equal(nic_tx_offer(nic, 0, &packet, 1), 0);
		nic_packet_free(nic, 0, packet.handle);
		check_bytes(held.data, 0, FRAME_SIZE);
		peer_up();
		tend_until_back(nic, i);
		assert_memory_equal(nic->mac, mac, 6);
		exchange(nic, 0);
		peer_send(0, chain_of(FRAME_SIZE)); /* and it wakes as it did */
		assert_true(sleep_for_frame(nic, 0, 5000));
	}
	nic_packet_free(nic, 0, held.handle);
	__atomic_store_n(&cores_end, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(core, NULL), 0);
	nic_close(nic);
	switch_down();
}

static int begin(void **state)
{
	const struct nic_eal_needs needs = { .memory_size = 64 << 20, .is_shared = true };
	char error[256] = "";

	(void)state;
	(void)snprintf(socket_path, sizeof(socket_path), "/tmp/test_nic_virtio.%d", (int)getpid());
	if (nic_eal_up(&needs, error, sizeof(error)) != 0) {
		print_message("%s\n", error);
		return -1;
	}
	pool = rte_pktmbuf_pool_create("switch", 1024, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	return pool != NULL ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	(void)unlink(socket_path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_virtio_two_queues),
		cmocka_unit_test(test_nic_virtio_checksums_both_ways),
		cmocka_unit_test(test_nic_virtio_merged_frames_come_in_pieces),
		cmocka_unit_test(test_nic_virtio_frames_to_cut),
		cmocka_unit_test(test_nic_virtio_plain_uses_no_offload),
		cmocka_unit_test(test_nic_virtio_wakes_who_sleeps),
		cmocka_unit_test(test_nic_virtio_survives_its_switch),
	};

	return cmocka_run_group_tests(tests, begin, end);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: the transport announces and resolves addresses, answers echo within its rate, carries
 * connections to sessions in both directions, keeps what a session refuses until it resumes, hands
 * packets of another core's connections over, and drops with a counter what it cannot use. Shown over
 * memory ports with real TCP at both ends and sessions that echo; at each end no buffer is missing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wireport_rig_world.h"

static void exchange_stream(void)
{
	tcp_send(w.tcb, STREAM, w.now_ns);
	for (int i = 0; i < 200000 && w.got_size < STREAM; i++)
		step();
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
}

/* The box never heard of the client: its first answer waits for ARP. */
static void test_wireport_resolves_connects_and_echoes(void **state)
{
	(void)state;
	open_connection(9092);
	assert_int_equal(w.arp_asked, 1);
	exchange_stream();
	assert_int_equal(session_core, 0);
	assert_int_equal(counted(0, COUNTER_WIREPORT_ACCEPTED), 1);
	tcp_shutdown(w.tcb, w.now_ns);
	steps(200);
	assert_true(w.is_eof);
	assert_int_equal(sessions_open, 0);
}

/* Marks of the network reach our TCP, and our data says that it may be marked. */
static void test_wireport_passes_ecn_through(void **state)
{
	(void)state;
	w.mark = TCP_ECN_CE;
	open_connection(9092);
	assert_int_equal(w.ecn_capable, 0);
	exchange_stream();
	assert_true(w.ecn_capable > STREAM / 1460 / 2);
	assert_int_equal(counted(0, COUNTER_TCP_ECN_AGREED), 1);
	assert_true(counted(0, COUNTER_TCP_ECN_MARKED) > STREAM / 1460 / 2);
	assert_true(counted(CORES, COUNTER_TCP_ECN_REDUCTIONS) > 0);
}

static void test_wireport_half_close_gets_its_answers(void **state)
{
	struct link *link;

	(void)state;
	open_connection(9092);
	session_owes = true;
	tcp_send(w.tcb, 6, w.now_ns);
	tcp_shutdown(w.tcb, w.now_ns);
	steps(5000);
	assert_true(session_slot.is_ended);
	assert_int_equal(w.got_size, 6);
	assert_false(w.is_eof);
	assert_int_equal(sessions_open, 1);
	/* What is produced only now leaves before our end does. */
	link = session_slot.link;
	assert_int_equal(outq_push_copy(&link->out, w.sent + 6, STREAM - 6), 0);
	link->ops->send(link);
	link->ops->close(link, false);
	for (int i = 0; i < 200000 && !w.is_eof; i++)
		step();
	assert_true(w.is_eof);
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
	steps(100);
	assert_int_equal(sessions_open, 0);
}

static void test_wireport_keeps_what_is_refused(void **state)
{
	(void)state;
	open_connection(9092);
	session_budget = 100;
	tcp_send(w.tcb, STREAM, w.now_ns);
	steps(3000);
	assert_int_equal(w.got_size, 100);
	session_budget = SIZE_MAX;
	session_slot.is_blocked = false;
	session_slot.link->ops->resume(session_slot.link);
	for (int i = 0; i < 200000 && w.got_size < STREAM; i++)
		step();
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
}

/* What was kept for a long time comes in slices: one turn never copies all of it. */
static void test_wireport_offers_in_slices(void **state)
{
	size_t before;
	uint32_t turns = 0;

	(void)state;
	open_connection(9092);
	session_budget = 0;
	tcp_send(w.tcb, STREAM, w.now_ns);
	steps(20000);
	assert_int_equal(session_taken, 0);
	session_budget = SIZE_MAX;
	session_slot.is_blocked = false;
	session_slot.link->ops->resume(session_slot.link);
	do {
		before = session_taken;
		step();
		assert_true(session_taken - before <= WIREPORT_TURN_CONN_SIZE);
		turns += session_taken > before;
	} while (session_taken > before);
	assert_true(turns >= 2);
	assert_true(counted(0, COUNTER_WIREPORT_TURN_FULL) > 0);
	for (int i = 0; i < 200000 && w.got_size < STREAM; i++)
		step();
	assert_int_equal(w.got_size, STREAM);
	assert_memory_equal(w.got, w.sent, STREAM);
}

/* A port that takes nothing for a while loses nothing: frames wait, and nobody sends them again. */
static void test_wireport_waits_for_the_port(void **state)
{
	struct nic_packet stuffing;

	(void)state;
	open_connection(9092);
	/* The wire towards the client is full of frames that nobody takes off. */
	for (int i = 0; i < DEPTH; i++) {
		if (!nic_tx_alloc(w.near, 1, &stuffing))
			break;
		memset(stuffing.data, 0xff, 60);
		stuffing.size = 60;
		(void)nic_tx_burst(w.near, 1, &stuffing, 1);
	}
	tcp_send(w.tcb, 40000, w.now_ns);
	for (int i = 0; i < 40; i++) {
		w.now_ns += RTO_STEP;
		(void)wireport_poll(w.core[0].wireport, w.now_ns);
	}
	assert_true(counted(0, COUNTER_WIREPORT_TX_FULL) > 0);
	assert_true(wireport_next_ns(w.core[0].wireport) <= w.now_ns + WIREPORT_OFFER_NS);
	for (struct nic_packet packet; nic_rx_burst(w.far, 0, &packet, 1) == 1;)
		nic_packet_free(w.far, 0, packet.handle);
	for (int i = 0; i < 200000 && w.got_size < 40000; i++)
		step();
	assert_int_equal(w.got_size, 40000);
	assert_memory_equal(w.got, w.sent, 40000);
	assert_int_equal(counted(0, COUNTER_TCP_RETRANSMITS), 0);
}

/* A link that is down takes nothing: what waited too long is let go, and the core may sleep. */
static void test_wireport_lets_stuck_frames_go(void **state)
{
	struct nic_packet stuffing;
	uint32_t before;

	(void)state;
	open_connection(9092);
	for (int i = 0; i < DEPTH && nic_tx_alloc(w.near, 1, &stuffing); i++) {
		memset(stuffing.data, 0xff, 60);
		stuffing.size = 60;
		(void)nic_tx_burst(w.near, 1, &stuffing, 1);
	}
	tcp_send(w.tcb, 4000, w.now_ns);
	for (int i = 0; i < 10; i++) {
		w.now_ns += RTO_STEP;
		(void)wireport_poll(w.core[0].wireport, w.now_ns);
	}
	before = w.core[0].wireport->send_count;
	assert_true(before > 0);
	w.now_ns += WIREPORT_STUCK_NS;
	(void)wireport_poll(w.core[0].wireport, w.now_ns);
	assert_int_equal(w.core[0].wireport->send_count, 0);
	assert_true(counted(0, COUNTER_WIREPORT_DROP_STUCK) >= before);
	assert_int_equal(counted(0, COUNTER_WIREPORT_TX_FULL),
			 counted(0, COUNTER_WIREPORT_DROP_STUCK));
	for (struct nic_packet packet; nic_rx_burst(w.far, 0, &packet, 1) == 1;)
		nic_packet_free(w.far, 0, packet.handle);
	assert_int_equal(w.arp_announced, 1);
	for (int i = 0; i < 200000 && w.got_size < 4000; i++)
		step();
	assert_int_equal(w.got_size, 4000);
	assert_int_equal(w.arp_announced, 2); /* who is there now learns of us again */
}

/* With checksum offload the port puts in what the software would have. */
static void test_wireport_leaves_checksums_to_the_port(void **state)
{
	(void)state;
	w.near->offloads = NIC_TX_CHECKSUM;
	open_connection(9092);
	exchange_stream(); /* the client judges every checksum */
}

static int up_merged(void **state)
{
	near_offloads = NIC_RX_MERGE;
	client_tso = 20000;
	return world_up(state);
}

static int down_merged(void **state)
{
	near_offloads = client_tso = 0;
	return world_down(state);
}

/* A port that merges: payload comes in several buffers, to this core and to another one. */
static void test_wireport_takes_merged_segments(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < CORES; i++) {
		w.sent_pos = w.got_size = 0;
		w.is_connected = false;
		open_connection((uint16_t)(9092 + i));
		tcp_send(w.tcb, STREAM, w.now_ns);
		for (int turn = 0; turn < 200000 && w.got_size < STREAM; turn++)
			step();
		assert_int_equal(w.got_size, STREAM);
		assert_memory_equal(w.got, w.sent, STREAM);
		assert_true(counted(i, COUNTER_WIREPORT_RX_MERGED) > 10);
		tcp_abort(w.tcb, w.now_ns);
		steps(100);
		assert_int_equal(sessions_open, 0);
	}
	assert_true(counted(0, COUNTER_WIREPORT_HANDED_OVER) > 10);
}

/* The reader takes nothing for a while: all further buffers are kept, one by one. */
static void test_wireport_keeps_merged_segments(void **state)
{
	(void)state;
	test_wireport_keeps_what_is_refused(state);
	assert_true(counted(0, COUNTER_WIREPORT_RX_MERGED) > 10);
}

/* Who knew the port learns where it is after its link or its device came back. */
static void test_wireport_announces_a_port_that_is_back(void **state)
{
	(void)state;
	steps(10);
	assert_int_equal(w.arp_announced, 1);
	w.near->link_changes += 2;
	step();
	step();
	assert_int_equal(w.arp_announced, 2);
	assert_int_equal(counted(0, COUNTER_WIREPORT_LINK_CHANGES), 2);
	w.near->resets++;
	steps(3);
	assert_int_equal(w.arp_announced, 3);
	assert_int_equal(counted(0, COUNTER_WIREPORT_RESETS), 1);
	assert_int_equal(counted(1, COUNTER_WIREPORT_RESETS), 0);
}

static void test_wireport_hands_over_to_owner(void **state)
{
	(void)state;
	open_connection(9093);
	exchange_stream();
	assert_int_equal(session_core, 1);
	assert_true(counted(0, COUNTER_WIREPORT_HANDED_OVER) > STREAM / 1460);
	assert_int_equal(counted(0, COUNTER_WIREPORT_HANDED_OVER),
			 counted(1, COUNTER_WIREPORT_TAKEN_OVER));
	assert_int_equal(counted(1, COUNTER_WIREPORT_RX_PACKETS), 0);
	assert_true(counted(1, COUNTER_WIREPORT_TX_PACKETS) > 0);
}

static void test_wireport_session_closes_or_aborts(void **state)
{
	(void)state;
	open_connection(9092);
	session_slot.link->ops->close(session_slot.link, false);
	steps(100);
	assert_true(w.is_eof);
	tcp_shutdown(w.tcb, w.now_ns);
	steps(100);
	assert_int_equal(sessions_open, 0);
	w.is_connected = w.is_closed = false;
	steps(10000); /* past TIME-WAIT */
	open_connection(9092);
	session_slot.link->ops->close(session_slot.link, true);
	steps(10);
	assert_true(w.is_closed);
	assert_int_equal(w.reason, TCP_CLOSED_RESET);
	assert_int_equal(sessions_open, 0);
}

static void test_wireport_refused_session_is_reset(void **state)
{
	struct tcp_tuple tuple = {
		.local_address = CLIENT, .peer_address = BOX, .local_port = 40001, .peer_port = 9092
	};

	(void)state;
	session_refuses = true;
	assert_int_equal(tcp_connect(w.client, &tuple, &w, w.now_ns, &w.tcb), 0);
	steps(100);
	assert_true(w.is_closed);
	assert_int_equal(w.reason, TCP_CLOSED_RESET);
}

static void test_wireport_gives_up_on_silent_neighbour(void **state)
{
	struct tcp_tuple tuple = {
		.local_address = CLIENT, .peer_address = BOX, .local_port = 40001, .peer_port = 9092
	};

	(void)state;
	w.mutes_arp = true;
	assert_int_equal(tcp_connect(w.client, &tuple, &w, w.now_ns, &w.tcb), 0);
	for (int i = 0; i < 500; i++) {
		w.now_ns += 10 * NS_PER_MS;
		step();
	}
	assert_true(w.arp_asked >= ARP_TRIES_MAX);
	assert_true(counted(0, COUNTER_WIREPORT_DROP_UNRESOLVED) > 0);
	tcp_abort(w.tcb, w.now_ns);
}

static void send_raw(const uint8_t *frame, uint16_t size)
{
	struct nic_packet packet;

	assert_true(nic_tx_alloc(w.far, 0, &packet));
	memcpy(packet.data, frame, size);
	packet.size = size;
	assert_int_equal(nic_tx_burst(w.far, 0, &packet, 1), 1);
}

static void send_arp(bool is_request, uint32_t sender, uint32_t target, uint8_t last)
{
	struct arp_packet arp = { .is_request = is_request,
				  .sender_mac = { 2, 0, 0, 0, 0, last },
				  .sender = sender,
				  .target = target };
	uint8_t frame[14 + ARP_PACKET_SIZE];

	eth_write(frame, eth_broadcast, arp.sender_mac, ETH_ARP);
	arp_write(frame + 14, &arp, (const uint8_t[6]){ 0 });
	send_raw(frame, sizeof(frame));
	steps(4);
}

static uint8_t client_seen_by(uint32_t core)
{
	uint8_t mac[6];

	assert_int_equal(arp_table_look_up(&w.core[core].wireport->arp, CLIENT, w.now_ns, mac),
			 ARP_KNOWN);
	return mac[5];
}

/** What the first queue received is known to both cores. */
static void test_wireport_neighbour_that_moves_is_followed(void **state)
{
	(void)state;
	send_arp(true, CLIENT, BOX, 7);
	assert_int_equal(w.arp_answered, 1);
	assert_int_equal(client_seen_by(0), 7);
	assert_int_equal(client_seen_by(1), 7);
	send_arp(true, CLIENT, CLIENT, 8); /* it announces itself at another station */
	assert_int_equal(client_seen_by(0), 8);
	assert_int_equal(client_seen_by(1), 8);
	assert_int_equal(counted(0, COUNTER_WIREPORT_ARP_MOVED), 1);
	arp_table_init(&w.core[0].wireport->arp);
	send_arp(true, CLIENT, CLIENT, 10); /* no news for the core that receives it */
	assert_int_equal(client_seen_by(1), 10);
	assert_int_equal(w.arp_answered, 1);
}

static void test_wireport_rfc5227_own_address(void **state)
{
	(void)state;
	send_arp(true, 0, BOX, 5); /* a probe: is the address taken? */
	assert_int_equal(w.arp_answered, 1);
	send_arp(true, BOX, BOX, 5); /* and now it claims it */
	assert_int_equal(counted(0, COUNTER_WIREPORT_ARP_CONFLICTS), 1);
	assert_int_equal(w.arp_announced, 2); /* at the start, and one defence */
	w.now_ns += ARP_ANNOUNCE_NS;
	steps(4);
	assert_int_equal(w.arp_announced, 3);
	w.now_ns += ARP_DEFEND_NS;
	send_arp(true, BOX, BOX, 5);
	assert_int_equal(w.arp_announced, 4);
}

static uint16_t make_ip(uint8_t *frame, uint8_t protocol, uint16_t size)
{
	eth_write(frame, w.near->mac, w.far->mac, ETH_IP4);
	ip4_write(frame + 14, CLIENT, BOX, protocol, 1, size);
	memset(frame + 34, 0, size);
	return (uint16_t)(34 + size);
}

static void make_echo(uint8_t *frame)
{
	uint16_t sum;

	(void)make_ip(frame, IP4_ICMP, 64);
	frame[34] = 8;
	sum = checksum_fold(checksum_add(0, frame + 34, 64));
	memcpy(frame + 36, &sum, 2);
}

static void test_wireport_answers_echo_within_rate(void **state)
{
	uint8_t frame[128];

	(void)state;
	make_echo(frame);
	send_raw(frame, 98);
	steps(4);
	assert_int_equal(w.echoes, 1);
	for (int i = 0; i < 500; i++)
		send_raw(frame, 98);
	steps(20);
	assert_in_range(w.echoes, ICMP_BURST - 1, ICMP_BURST + 5);
	assert_int_equal(counted(0, COUNTER_WIREPORT_ECHO_ANSWERED) +
				 counted(0, COUNTER_WIREPORT_DROP_ICMP_LIMIT),
			 501);
}

static void test_wireport_counts_each_drop(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t flip;
		enum counter counter;
	} cases[] = {
		{ 6, 1, COUNTER_WIREPORT_DROP_ETHERNET },
		{ 0, 4, COUNTER_WIREPORT_DROP_STATION },
		{ 12, 0x80, COUNTER_WIREPORT_DROP_TYPE },
		{ 14, 0x20, COUNTER_WIREPORT_DROP_IP },
		{ 16, 0x40, COUNTER_WIREPORT_DROP_IP },
		{ 22, 1, COUNTER_WIREPORT_DROP_IP_CHECKSUM },
		{ 40, 1, COUNTER_WIREPORT_DROP_TCP_CHECKSUM },
	};
	uint8_t frame[128];
	uint16_t size;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint64_t before = counted(0, cases[i].counter);

		size = make_ip(frame, IP4_TCP, 20);
		frame[cases[i].at] ^= cases[i].flip;
		send_raw(frame, size);
		step();
		assert_int_equal(counted(0, cases[i].counter), before + 1);
	}
	size = make_ip(frame, IP4_TCP, 19);
	send_raw(frame, size);
	size = make_ip(frame, 17, 20);
	send_raw(frame, size);
	make_echo(frame);
	frame[40] ^= 1;
	send_raw(frame, 98);
	send_raw(frame, 13);
	step();
	assert_int_equal(counted(0, COUNTER_WIREPORT_DROP_TCP_SHORT), 1);
	assert_int_equal(counted(0, COUNTER_WIREPORT_DROP_PROTOCOL), 1);
	assert_int_equal(counted(0, COUNTER_WIREPORT_DROP_ICMP), 1);
	assert_int_equal(counted(0, COUNTER_WIREPORT_DROP_ETHERNET), 2);
}

static void test_wireport_refuses_bad_settings(void **state)
{
	struct core core = w.core[0];
	struct config config = w.config;
	char error[256] = "";

	(void)state;
	core.config = &config;
	core.wireport = NULL;
	(void)snprintf(config.tcp_congestion, CONFIG_TEXT_MAX, "vegas");
	assert_int_equal(wireport_new(&core, w.near, &near_settings, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "tcp.congestion"));
	config = w.config;
	(void)snprintf(config.tcp_ecn, CONFIG_TEXT_MAX, "on");
	assert_int_equal(wireport_new(&core, w.near, &near_settings, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "tcp.ecn"));
	assert_null(core.wireport);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_wireport_resolves_connects_and_echoes),
		ROW(test_wireport_passes_ecn_through),
		ROW(test_wireport_half_close_gets_its_answers),
		ROW(test_wireport_keeps_what_is_refused),
		ROW(test_wireport_offers_in_slices),
		ROW(test_wireport_waits_for_the_port),
		ROW(test_wireport_lets_stuck_frames_go),
		ROW(test_wireport_leaves_checksums_to_the_port),
		cmocka_unit_test_setup_teardown(test_wireport_takes_merged_segments, up_merged,
						down_merged),
		cmocka_unit_test_setup_teardown(test_wireport_keeps_merged_segments, up_merged,
						down_merged),
		ROW(test_wireport_announces_a_port_that_is_back),
		ROW(test_wireport_hands_over_to_owner),
		ROW(test_wireport_session_closes_or_aborts),
		ROW(test_wireport_refused_session_is_reset),
		ROW(test_wireport_gives_up_on_silent_neighbour),
		ROW(test_wireport_neighbour_that_moves_is_followed),
		ROW(test_wireport_rfc5227_own_address),
		ROW(test_wireport_answers_echo_within_rate),
		ROW(test_wireport_counts_each_drop),
		ROW(test_wireport_refuses_bad_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

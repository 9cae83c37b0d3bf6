/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The world of wireport_rig.h, up and running: turns, connections, a stream there and back.
 */
#pragma once

#include "base/portlist.h"

#include "dataplane/nic/nic_mem.h"

#include "wireport_rig.h"

static const struct portlist_port near_settings = { .address = BOX,
						    .prefix = 24,
						    .host = "10.77.0.2" };
static uint32_t near_offloads; /* of the box's port, from the next start on */
static uint16_t client_tso;    /* what the client sends at once; 0: a segment */
/* The wire between box and client: in memory, unless a test brings another. */
static int (*open_ports)(uint16_t mtu, uint32_t depth, struct nic **ret_near,
			 struct nic **ret_far) = nic_mem_open;

static void step(void)
{
	struct nic_packet packets[32];
	uint16_t n;

	w.now_ns += RTO_STEP;
	for (uint32_t i = 0; i < CORES; i++) {
		w.core[i].now_ns = w.now_ns;
		mesh_poll(w.mesh, i, 256);
		wireport_poll(w.core[i].wireport, w.now_ns);
	}
	n = nic_rx_burst(w.far, 0, packets, 32);
	for (uint16_t i = 0; i < n; i++) {
		if (w.drop_each == 0 || ++w.received % w.drop_each != 0)
			client_receive(&packets[i]);
		nic_packet_free(w.far, 0, packets[i].handle);
	}
	tcp_burst_end(w.client, w.now_ns);
	(void)tcp_poll(w.client, w.now_ns);
}

static void steps(uint32_t count)
{
	while (count-- > 0)
		step();
}

static int world_up(void **state)
{
	struct tcp_config tcp = { .connections_max = 16,
				  .held_pieces_max = 256,
				  .mss = 1460,
				  .window_max = 1U << 20,
				  .rto_min_ms = 200,
				  .time_wait_ms = 100,
				  .syn_backlog_max = 16,
				  .ecn = TCP_ECN_REQUEST };
	char error[256];

	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_ns = NS_PER_S;
	config_init(&w.config);
	w.config.connections_max = 16;
	session_budget = SIZE_MAX;
	session_taken = 0;
	session_refuses = session_owes = false;
	assert_int_equal(open_ports(1500, DEPTH, &w.near, &w.far), 0);
	w.near->offloads = near_offloads;
	w.far->offloads = client_tso > 0 ? NIC_TX_CHECKSUM | NIC_TX_PIECES | NIC_TX_SPLIT : 0;
	tcp.tso_size = client_tso;
	w.mesh = mesh_new(CORES);
	w.client = tcp_stack_new(&tcp, &client_ops, NULL, &w.counters[CORES], w.now_ns);
	w.sent = malloc(STREAM);
	w.got = malloc(STREAM);
	for (uint32_t i = 0; i < STREAM; i++)
		w.sent[i] = (uint8_t)(i * 31 + (i >> 8));
	for (uint32_t i = 0; i < CORES; i++) {
		struct core *core = &w.core[i];

		*core = (struct core){ .index = i,
				       .count = CORES,
				       .config = &w.config,
				       .mesh = w.mesh,
				       .outq_pool = outq_pool_new(512),
				       .counters = &w.counters[i],
				       .now_ns = w.now_ns };
		mesh_join(w.mesh, i, core);
		assert_int_equal(wireport_new(core, w.near, &near_settings, error, sizeof(error)),
				 0);
		assert_int_equal(wireport_thread_begin(core->wireport), 0);
	}
	steps(2);
	assert_int_equal(w.arp_announced, 1);
	return 0;
}

static int world_down(void **state)
{
	(void)state;
	tcp_stack_free(w.client);
	for (uint32_t i = 0; i < CORES; i++) {
		while (!wireport_stop(w.core[i].wireport, w.now_ns)) {
			w.now_ns += RTO_STEP;
			for (uint32_t j = 0; j < CORES; j++)
				mesh_poll(w.mesh, j, 256);
		}
	}
	for (uint32_t i = 0; i < CORES; i++) {
		wireport_free(w.core[i].wireport);
		outq_pool_free(w.core[i].outq_pool);
	}
	assert_int_equal(sessions_open, 0);
	/* What the closing sent is on the wire; nothing else is left. */
	for (struct nic_packet packet; nic_rx_burst(w.far, 0, &packet, 1) == 1;)
		nic_packet_free(w.far, 0, packet.handle);
	for (struct nic_packet packet; nic_rx_burst(w.near, 0, &packet, 1) == 1;)
		nic_packet_free(w.near, 0, packet.handle);
	if (open_ports == nic_mem_open) {
		assert_int_equal(nic_mem_in_use(w.near), 0);
		assert_int_equal(nic_mem_in_use(w.far), 0);
	}
	mesh_free(w.mesh);
	nic_close(w.near);
	nic_close(w.far);
	free(w.sent);
	free(w.got);
	return 0;
}

static void open_connection(uint16_t port)
{
	struct tcp_tuple tuple = {
		.local_address = CLIENT, .peer_address = BOX, .local_port = 40000, .peer_port = port
	};

	assert_int_equal(tcp_connect(w.client, &tuple, &w, w.now_ns, &w.tcb), 0);
	for (int i = 0; i < 100 && sessions_open == 0; i++)
		step();
	assert_true(w.is_connected);
	assert_int_equal(sessions_open, 1);
}

static uint64_t counted(uint32_t core, enum counter which)
{
	return counters_get(&w.counters[core], which);
}

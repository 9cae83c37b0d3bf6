/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a core serves all ports of the box, each with addresses, TCP and waiting frames of its own. Data
 * flows by all of them at once; a client is told the address it came by; what comes by one port for
 * another one's address is not taken; a port that is flooded, or away, holds up no other; the loop
 * sleeps on the descriptors of all. Shown with two cores at two memory ports, a client with real TCP at
 * the far end of each, and sessions that echo.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/portlist.h"

#include "dataplane/core/wireport_impl.h"
#include "dataplane/nic/nic_mem.h"

#include "cm.h"
#include "far_end.h"

#define CORES    2
#define SIDES    2
#define DEPTH    1024
#define STREAM   (200 * 1024)
#define TURN_NS  (20 * NS_PER_US)
#define SESSIONS 8
#define TCP_PORT 9092 /* of core 0 */

struct session {
	struct link *link;
	uint32_t core;
};

/* One port of the box, the wire, and the client at the other end. */
struct side {
	struct nic *near, *far;
	struct portlist_port settings;
	uint32_t client_address;
	struct tcp_stack *stack;
	struct tcb *tcb;
	uint64_t sent_pos, got; /* acknowledged to the client; received by it */
	uint32_t announced;     /* by the box */
	bool is_connected, is_closed;
	bool is_away; /* the port is being reset */
	int wait_fd;
	enum nic_wait wait; /* what becomes of who wants to sleep */
	uint32_t begun, ended;
	struct nic_ops ops;
	const struct nic_ops *mem_ops;
};

static struct {
	struct config config;
	struct mesh *mesh;
	struct core core[CORES];
	struct counters counters[CORES + 1];
	struct side sides[SIDES];
	struct session sessions[SESSIONS];
	uint32_t session_count, closed_count;
	int64_t now_ns;
} w;

/* ---- sessions that echo ---- */

int session_open(struct core *core, struct link *link, int64_t now_ns)
{
	(void)now_ns;
	assert_true(w.session_count < SESSIONS);
	link->session = &w.sessions[w.session_count++];
	*link->session = (struct session){ .link = link, .core = core->index };
	return 0;
}

void session_close(struct link *link)
{
	link->session = NULL;
	w.closed_count++;
}

size_t session_input(struct session *session, const uint8_t *bytes, size_t size, int64_t now_ns)
{
	(void)now_ns;
	assert_int_equal(outq_push_copy(&session->link->out, bytes, size), 0);
	session->link->ops->send(session->link);
	return size;
}

bool session_eof(struct session *session)
{
	(void)session;
	return false;
}

uint32_t session_credit(const struct session *session)
{
	(void)session;
	return 1U << 20;
}

/* ---- clients ---- */

static uint8_t byte_at(const struct side *side, uint64_t pos)
{
	return (uint8_t)(pos * 31 + (pos >> 8) + (uint64_t)(side - w.sides));
}

static bool client_emit(void *ctx, const struct tcp_segment_out *out)
{
	struct side *side = ctx;
	struct nic_packet packet;
	uint8_t *payload = far_end_begin(side->far, side->near->mac, out, &packet);

	if (payload == NULL)
		return false;
	for (uint32_t i = 0; i < out->payload_size; i++)
		payload[i] = byte_at(side, side->sent_pos + out->payload_pos + i);
	far_end_seal(out, &packet);
	(void)nic_tx_burst(side->far, 0, &packet, 1); /* a full wire is a lost packet */
	return true;
}

static void *client_accept(void *ctx, struct tcb *tcb)
{
	(void)ctx;
	(void)tcb;
	return NULL;
}

static void client_connect(void *owner, struct tcb *tcb)
{
	(void)tcb;
	((struct side *)owner)->is_connected = true;
}

static size_t client_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct side *side = owner;

	(void)tcb;
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], byte_at(side, side->got + i));
	side->got += size;
	return size;
}

static void client_eof(void *owner, struct tcb *tcb)
{
	(void)owner;
	(void)tcb;
}

static void client_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	(void)tcb;
	((struct side *)owner)->sent_pos += size;
}

static void client_close(void *owner, enum tcp_close_reason reason)
{
	(void)reason;
	((struct side *)owner)->is_closed = true;
}

static void client_hold(void *ctx, void *buffer)
{
	nic_packet_hold(((struct side *)ctx)->far, buffer);
}

static void client_release(void *ctx, void *buffer)
{
	nic_packet_free(((struct side *)ctx)->far, 0, buffer);
}

static const struct tcp_ops client_ops = {
	.emit = client_emit,
	.on_accept = client_accept,
	.on_connect = client_connect,
	.on_data = client_data,
	.on_eof = client_eof,
	.on_acked = client_acked,
	.on_close = client_close,
	.hold = client_hold,
	.release = client_release,
};

static void client_arp(struct side *side, const struct eth_frame *frame)
{
	struct nic_packet packet;
	struct arp_packet arp;

	assert_true(arp_parse(frame->bytes, frame->size, &arp));
	assert_int_equal(arp.sender, side->settings.address); /* never the other port's */
	if (arp.target == side->settings.address)
		side->announced++;
	if (arp.target != side->client_address || !arp.is_request)
		return;
	assert_true(far_end_answer(side->far, side->client_address, &arp, &packet));
	(void)nic_tx_burst(side->far, 0, &packet, 1);
}

static void client_receive(struct side *side, struct nic_packet *packet)
{
	struct tcp_segment_in in;
	struct eth_frame frame;
	struct ip4_packet ip;

	assert_true(eth_parse(packet->data, packet->size, &frame));
	if (frame.type == ETH_ARP) {
		client_arp(side, &frame);
		return;
	}
	assert_int_equal(ip4_parse(frame.bytes, frame.size, false, &ip), IP4_OK);
	assert_int_equal(ip.source, side->settings.address);
	in = far_end_segment(packet, &ip);
	tcp_input(side->stack, &in, w.now_ns);
}

/* ---- ports that can be away, and wake ---- */

static struct side *side_of(struct nic *nic)
{
	return nic == w.sides[0].near ? &w.sides[0] : &w.sides[1];
}

static uint16_t port_rx(struct nic *nic, uint16_t queue, struct nic_packet *packets, uint16_t max)
{
	struct side *side = side_of(nic);

	return side->is_away ? 0 : side->mem_ops->rx_burst(nic, queue, packets, max);
}

static uint16_t port_tx(struct nic *nic, uint16_t queue, struct nic_packet *packets, uint16_t count)
{
	struct side *side = side_of(nic);

	return side->is_away ? 0 : side->mem_ops->tx_burst(nic, queue, packets, count);
}

static int port_wait_fd(struct nic *nic, uint16_t queue)
{
	(void)queue;
	return side_of(nic)->wait_fd;
}

static enum nic_wait port_wait_begin(struct nic *nic, uint16_t queue)
{
	(void)queue;
	side_of(nic)->begun++;
	return side_of(nic)->wait;
}

static void port_wait_end(struct nic *nic, uint16_t queue)
{
	(void)queue;
	side_of(nic)->ended++;
}

/* ---- the world ---- */

static void step(void)
{
	w.now_ns += TURN_NS;
	for (uint32_t i = 0; i < CORES; i++) {
		w.core[i].now_ns = w.now_ns;
		mesh_poll(w.mesh, i, 256);
		wireport_poll(w.core[i].wireport, w.now_ns);
	}
	for (uint32_t i = 0; i < SIDES; i++) {
		struct side *side = &w.sides[i];
		struct nic_packet packets[64];
		uint16_t n = nic_rx_burst(side->far, 0, packets, 64);

		for (uint16_t j = 0; j < n; j++) {
			client_receive(side, &packets[j]);
			nic_packet_free(side->far, 0, packets[j].handle);
		}
		tcp_burst_end(side->stack, w.now_ns);
		(void)tcp_poll(side->stack, w.now_ns);
	}
}

static void steps(uint32_t count)
{
	while (count-- > 0)
		step();
}

static void side_up(uint32_t index)
{
	static const struct tcp_config tcp = { .connections_max = 16,
					       .held_pieces_max = 256,
					       .mss = 1460,
					       .window_max = 1U << 20,
					       .rto_min_ms = 200,
					       .time_wait_ms = 100,
					       .syn_backlog_max = 16 };
	struct side *side = &w.sides[index];

	side->settings =
		(struct portlist_port){ .address = 0x0a4d0002U + (index << 8), .prefix = 24 };
	(void)snprintf(side->settings.host, CONFIG_TEXT_MAX, "port%u.example", index);
	side->client_address = 0x0a4d0001U + (index << 8);
	side->wait_fd = -1;
	assert_int_equal(nic_mem_open(1500, DEPTH, &side->near, &side->far), 0);
	side->mem_ops = side->near->ops;
	side->ops = *side->mem_ops;
	side->ops.rx_burst = port_rx;
	side->ops.tx_burst = port_tx;
	side->ops.wait_fd = port_wait_fd;
	side->ops.wait_begin = port_wait_begin;
	side->ops.wait_end = port_wait_end;
	side->near->ops = &side->ops;
	side->stack = tcp_stack_new(&tcp, &client_ops, side, &w.counters[CORES], w.now_ns);
	assert_non_null(side->stack);
}

static int world_up(void **state)
{
	char error[256];

	(void)state;
	memset(&w, 0, sizeof(w));
	w.now_ns = NS_PER_S;
	config_init(&w.config);
	w.config.connections_max = 16;
	w.mesh = mesh_new(CORES);
	for (uint32_t i = 0; i < SIDES; i++)
		side_up(i);
	for (uint32_t i = 0; i < CORES; i++) {
		w.core[i] = (struct core){ .index = i,
					   .count = CORES,
					   .config = &w.config,
					   .mesh = w.mesh,
					   .outq_pool = outq_pool_new(512),
					   .counters = &w.counters[i],
					   .now_ns = w.now_ns };
		mesh_join(w.mesh, i, &w.core[i]);
		for (uint32_t j = 0; j < SIDES; j++)
			assert_int_equal(wireport_new(&w.core[i], w.sides[j].near,
						      &w.sides[j].settings, error, sizeof(error)),
					 0);
		assert_int_equal(wireport_thread_begin(w.core[i].wireport), 0);
	}
	steps(2);
	assert_int_equal(w.sides[0].announced, 1);
	assert_int_equal(w.sides[1].announced, 1);
	return 0;
}

static void drain(struct nic *nic)
{
	for (struct nic_packet packet; nic_rx_burst(nic, 0, &packet, 1) == 1;)
		nic_packet_free(nic, 0, packet.handle);
}

static int world_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SIDES; i++) {
		w.sides[i].is_away = false;
		tcp_stack_free(w.sides[i].stack);
	}
	for (uint32_t i = 0; i < CORES; i++) {
		while (!wireport_stop(w.core[i].wireport, w.now_ns)) {
			w.now_ns += TURN_NS;
			for (uint32_t j = 0; j < CORES; j++)
				mesh_poll(w.mesh, j, 256);
		}
	}
	for (uint32_t i = 0; i < CORES; i++) {
		while (w.core[i].wireport != NULL)
			wireport_free(w.core[i].wireport);
		outq_pool_free(w.core[i].outq_pool);
	}
	assert_int_equal(w.closed_count, w.session_count);
	for (uint32_t i = 0; i < SIDES; i++) {
		drain(w.sides[i].far);
		drain(w.sides[i].near);
		assert_int_equal(nic_mem_in_use(w.sides[i].near), 0);
		assert_int_equal(nic_mem_in_use(w.sides[i].far), 0);
		nic_close(w.sides[i].near);
		nic_close(w.sides[i].far);
	}
	mesh_free(w.mesh);
	return 0;
}

/* Both clients use one port number: to the box only the addresses tell them apart. */
static struct session *open_connection(struct side *side, uint32_t core)
{
	struct tcp_tuple tuple = { .local_address = side->client_address,
				   .peer_address = side->settings.address,
				   .local_port = 40000,
				   .peer_port = (uint16_t)(TCP_PORT + core) };
	uint32_t before = w.session_count;

	assert_int_equal(tcp_connect(side->stack, &tuple, side, w.now_ns, &side->tcb), 0);
	for (int i = 0; i < 200 && w.session_count == before; i++)
		step();
	assert_true(side->is_connected);
	assert_int_equal(w.session_count, before + 1);
	assert_int_equal(w.sessions[before].core, core);
	return &w.sessions[before];
}

static uint32_t steps_until_got(const struct side *side, uint64_t size)
{
	uint32_t count = 0;

	while (side->got < size && count < 20000) {
		step();
		count++;
	}
	assert_true(side->got >= size);
	return count;
}

static uint64_t counted(uint32_t core, enum counter which)
{
	return counters_get(&w.counters[core], which);
}

static uint64_t sum_of(enum counter which)
{
	return counted(0, which) + counted(1, which);
}

/* ---- tests ---- */

static void test_wireport_ports_both_carry_data(void **state)
{
	struct session *a = open_connection(&w.sides[0], 0);
	struct session *b = open_connection(&w.sides[1], 0);

	(void)state;
	assert_string_equal(a->link->host, "port0.example");
	assert_string_equal(b->link->host, "port1.example");
	assert_int_equal(a->link->peer_address, w.sides[0].client_address);
	assert_int_equal(b->link->peer_address, w.sides[1].client_address);
	for (uint32_t i = 0; i < SIDES; i++)
		tcp_send(w.sides[i].tcb, STREAM, w.now_ns);
	while (w.sides[0].got < STREAM || w.sides[1].got < STREAM) {
		step();
		/* Neither waits for the other one's end. */
		assert_true(w.sides[0].got + STREAM / 2 > w.sides[1].got);
		assert_true(w.sides[1].got + STREAM / 2 > w.sides[0].got);
		assert_true(w.now_ns < 60 * NS_PER_S);
	}
	assert_int_equal(sum_of(COUNTER_WIREPORT_ACCEPTED), 2);
}

/* The second core's connections arrive on the first one's queues, and belong to the port they came by. */
static void test_wireport_ports_hand_over_within_a_port(void **state)
{
	struct session *a = open_connection(&w.sides[0], 1);
	struct session *b = open_connection(&w.sides[1], 1);

	(void)state;
	assert_string_equal(a->link->host, "port0.example");
	assert_string_equal(b->link->host, "port1.example");
	for (uint32_t i = 0; i < SIDES; i++)
		tcp_send(w.sides[i].tcb, STREAM, w.now_ns);
	(void)steps_until_got(&w.sides[0], STREAM);
	(void)steps_until_got(&w.sides[1], STREAM);
	assert_true(counted(1, COUNTER_WIREPORT_TAKEN_OVER) > 0);
}

/* The address of one port is not served at another one. */
static void test_wireport_ports_keep_to_their_address(void **state)
{
	struct tcp_tuple tuple = { .local_address = w.sides[1].client_address,
				   .peer_address = w.sides[0].settings.address,
				   .local_port = 40000,
				   .peer_port = TCP_PORT };
	uint64_t before = sum_of(COUNTER_WIREPORT_DROP_DESTINATION);

	(void)state;
	assert_int_equal(
		tcp_connect(w.sides[1].stack, &tuple, &w.sides[1], w.now_ns, &w.sides[1].tcb), 0);
	steps(100);
	assert_int_equal(w.session_count, 0);
	assert_true(sum_of(COUNTER_WIREPORT_DROP_DESTINATION) > before);
}

/* Frames for nobody, as many as the wire takes. */
static void flood(struct side *side)
{
	struct nic_packet packet;

	while (nic_tx_alloc(side->far, 0, &packet)) {
		eth_write(packet.data, side->near->mac, side->far->mac, ETH_IP4);
		ip4_write(packet.data + 14, side->client_address, side->settings.address, 99, 1,
			  64);
		packet.size = 98;
		if (nic_tx_burst(side->far, 0, &packet, 1) == 0)
			break;
	}
}

static void test_wireport_ports_a_flood_starves_no_other(void **state)
{
	struct side *flooded = &w.sides[0], *other = &w.sides[1];
	uint32_t alone, beside = 0;

	(void)state;
	(void)open_connection(other, 0);
	tcp_send(other->tcb, STREAM, w.now_ns);
	alone = steps_until_got(other, STREAM);
	tcp_send(other->tcb, STREAM, w.now_ns);
	while (other->got < 2ULL * STREAM && beside < 20000) {
		uint64_t before = counted(0, COUNTER_WIREPORT_DROP_PROTOCOL);

		flood(flooded);
		step();
		beside++;
		assert_true(counted(0, COUNTER_WIREPORT_DROP_PROTOCOL) - before <= WIREPORT_BURST);
	}
	assert_true(other->got >= 2ULL * STREAM);
	assert_true(counted(0, COUNTER_WIREPORT_DROP_PROTOCOL) >= beside * WIREPORT_BURST / 2);
	/* The same turns: what the flood costs is a burst in each. */
	assert_true(beside <= alone + alone / 4 + 10);
}

/* What a turn may hand to sessions is dealt out anew when a port comes or goes. */
static void test_wireport_ports_share_a_turn(void **state)
{
	struct wireport *first = w.core[0].wireport, *second = first->next;

	(void)state;
	assert_ptr_equal(wireport_find(first, w.sides[1].near), second);
	assert_null(wireport_find(first, w.sides[1].far));
	assert_int_equal(first->turn_max, WIREPORT_TURN_SIZE / 2);
	assert_int_equal(second->turn_max, WIREPORT_TURN_SIZE / 2);
	wireport_free(first);
	assert_ptr_equal(w.core[0].wireport, second);
	assert_int_equal(second->turn_max, WIREPORT_TURN_SIZE);
}

static void test_wireport_ports_one_is_reset_and_the_other_goes_on(void **state)
{
	struct side *away = &w.sides[0], *other = &w.sides[1];
	uint64_t before;

	(void)state;
	(void)open_connection(away, 0);
	(void)open_connection(other, 0);
	tcp_send(away->tcb, STREAM, w.now_ns);
	(void)steps_until_got(away, STREAM / 4);
	away->is_away = true;
	before = away->got;
	tcp_send(other->tcb, STREAM, w.now_ns);
	(void)steps_until_got(other, STREAM);
	assert_true(away->got - before < STREAM / 4); /* what was on the wire */
	away->is_away = false;
	__atomic_add_fetch(&away->near->resets, 1, __ATOMIC_RELAXED);
	(void)steps_until_got(away, STREAM);
	assert_false(away->is_closed);
	assert_false(other->is_closed);
	assert_int_equal(away->announced, 2); /* whoever knew the port has to learn */
	assert_int_equal(other->announced, 1);
	assert_int_equal(counted(0, COUNTER_WIREPORT_RESETS), 1);
}

/* A sleeping core is due when its first port is, and when its second one is. */
static void test_wireport_ports_are_due_each(void **state)
{
	struct wireport *first = w.core[0].wireport;

	(void)state;
	w.now_ns += 10 * NS_PER_S; /* the second announcements */
	steps(4);
	assert_true(wireport_next_ns(first) > w.now_ns);
	for (uint32_t i = 0; i < SIDES; i++) {
		struct side *side = &w.sides[i];

		(void)open_connection(side, 0);
		tcp_send(side->tcb, 1000, w.now_ns);
		steps(3); /* the echo is out, the answer to it has not been seen */
		side->is_away = true;
		assert_true(wireport_next_ns(first) < w.now_ns + NS_PER_S);
		side->is_away = false;
		steps(20000);
		assert_true(wireport_next_ns(first) > w.now_ns);
	}
}

static bool is_readable(int fd)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };

	return poll(&at, 1, 0) == 1;
}

static void test_wireport_ports_wake_for_each(void **state)
{
	struct core *core = &w.core[0];
	uint64_t one = 1;

	(void)state;
	assert_int_equal(wireport_wait_fd(core->wireport), -1);
	w.sides[0].wait_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(wireport_thread_begin(core->wireport), 0);
	/* One that nobody wakes has to be polled, and the other one with it. */
	assert_int_equal(wireport_wait_fd(core->wireport), -1);
	w.sides[1].wait_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(wireport_thread_begin(core->wireport), 0);
	assert_true(wireport_wait_fd(core->wireport) >= 0);
	for (uint32_t i = 0; i < SIDES; i++) {
		assert_false(is_readable(wireport_wait_fd(core->wireport)));
		assert_int_equal(write(w.sides[i].wait_fd, &one, sizeof(one)), sizeof(one));
		assert_true(is_readable(wireport_wait_fd(core->wireport)));
		assert_int_equal(read(w.sides[i].wait_fd, &one, sizeof(one)), sizeof(one));
	}
	wireport_free(core->wireport);
	/* One alone needs no descriptor over its own. */
	assert_int_equal(wireport_wait_fd(core->wireport), w.sides[1].wait_fd);
	(void)close(w.sides[0].wait_fd);
	(void)close(w.sides[1].wait_fd);
}

/* Each port is asked to wake the core; one that can do so only from now on wants another look, one that
   cannot keeps the core looking. */
static void test_wireport_ports_are_asked_to_wake(void **state)
{
	struct wireport *first = w.core[0].wireport;
	struct side *a = &w.sides[0], *b = &w.sides[1];

	(void)state;
	a->wait = b->wait = NIC_WAIT_SLEEP;
	assert_int_equal(wireport_sleep_begin(first), WIREPORT_SLEEP);
	wireport_sleep_end(first);
	assert_int_equal(a->ended + b->ended, 0); /* nothing was put on */
	b->wait = NIC_WAIT_LOOK;
	assert_int_equal(wireport_sleep_begin(first), WIREPORT_LOOK_AGAIN);
	assert_int_equal(wireport_sleep_begin(first), WIREPORT_SLEEP);
	assert_int_equal(b->begun, 2); /* it is on */
	wireport_sleep_end(first);
	wireport_sleep_end(first);
	assert_int_equal(b->ended, 1);
	assert_int_equal(a->ended, 0);
	a->wait = NIC_WAIT_NOT;
	assert_int_equal(wireport_sleep_begin(first), WIREPORT_LOOK_AGAIN);
	assert_int_equal(wireport_sleep_begin(first), WIREPORT_BLIND);
	/* A device that was reset has forgotten. */
	__atomic_add_fetch(&b->near->resets, 1, __ATOMIC_RELAXED);
	step();
	assert_int_equal(wireport_sleep_begin(first), WIREPORT_LOOK_AGAIN);
	wireport_sleep_end(first);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_wireport_ports_both_carry_data),
		ROW(test_wireport_ports_hand_over_within_a_port),
		ROW(test_wireport_ports_keep_to_their_address),
		ROW(test_wireport_ports_a_flood_starves_no_other),
		ROW(test_wireport_ports_share_a_turn),
		ROW(test_wireport_ports_one_is_reset_and_the_other_goes_on),
		ROW(test_wireport_ports_are_due_each),
		ROW(test_wireport_ports_wake_for_each),
		ROW(test_wireport_ports_are_asked_to_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

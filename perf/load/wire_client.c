/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/wire_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/prng.h"

#include "perf/load/wire_client_impl.h"

#define WINDOW_MAX   (1U << 20)
#define RTO_MIN_MS   200
#define TIME_WAIT_MS 2000
#define PIECES_MIN   1024U                     /* out of order, all connections */
#define BUFFERS_MIN  (WIRE_CLIENT_KEPT + 2048) /* beside those that wait out of order */
#define DESCRIPTORS  2048
#define PORT_FIRST   32768
#define PORT_COUNT   28000
#define IDLE_NS      (50 * NS_PER_US) /* between looks at a port that wakes nobody */

static void release(struct wire_conn *conn)
{
	conn->tcb = NULL;
	list_push_front(&conn->client->idle, &conn->listed);
}

static struct wire_conn *conn_new(struct wire_client *client)
{
	struct list *node = list_pop_front(&client->idle);
	struct wire_conn *conn;

	if (node == NULL)
		return NULL;
	conn = LIST_ENTRY(node, struct wire_conn, listed);
	conn->head = conn->end = 0;
	return conn;
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	struct wire_client *client = ctx;
	struct wire_conn *conn = conn_new(client);

	if (conn == NULL)
		return NULL;
	conn->tcb = tcb;
	conn->owner = client->ops->on_accept(client->ctx, conn);
	if (conn->owner == NULL) {
		release(conn);
		return NULL;
	}
	return conn;
}

static void on_connect(void *owner, struct tcb *tcb)
{
	struct wire_conn *conn = owner;

	conn->tcb = tcb;
	conn->client->ops->on_open(conn->owner, conn);
}

static size_t on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct wire_conn *conn = owner;

	(void)tcb;
	return conn->client->ops->on_data(conn->owner, conn, bytes, size);
}

static void on_eof(void *owner, struct tcb *tcb)
{
	struct wire_conn *conn = owner;

	(void)tcb;
	conn->client->ops->on_eof(conn->owner, conn);
}

static void on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	struct wire_conn *conn = owner;

	(void)tcb;
	CHECK(size <= conn->end - conn->head);
	conn->head += size;
	conn->client->ops->on_acked(conn->owner, conn, size);
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	struct wire_conn *conn = owner;

	conn->client->ops->on_close(conn->owner, reason);
	release(conn);
}

static void hold(void *ctx, void *buffer)
{
	nic_packet_hold(((struct wire_client *)ctx)->nic, buffer);
}

static void release_buffer(void *ctx, void *buffer)
{
	nic_packet_free(((struct wire_client *)ctx)->nic, 0, buffer);
}

static const struct tcp_ops tcp_ops = {
	.emit = wire_client_frame_out,
	.on_accept = on_accept,
	.on_connect = on_connect,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
	.hold = hold,
	.release = release_buffer,
};

/* One connection may hold a quarter of the pieces: a window of full segments. */
static uint32_t pieces_of(const struct wire_client_config *config)
{
	uint32_t window = config->window_max != 0 ? config->window_max : WINDOW_MAX;

	return MAX(PIECES_MIN, 4 * (window / (config->mtu - 40U) + 1));
}

static int make_memory(struct wire_client *client, const struct wire_client_config *config)
{
	struct tcp_config tcp = {
		.connections_max = config->connections_max,
		.held_pieces_max = pieces_of(config),
		.mss = (uint16_t)(config->mtu - 40),
		.window_max = config->window_max != 0 ? config->window_max : WINDOW_MAX,
		.rto_min_ms = RTO_MIN_MS,
		.time_wait_ms = config->time_wait_ms != 0 ? config->time_wait_ms : TIME_WAIT_MS,
		.syn_backlog_max = config->connections_max,
		.keepalive_ms = config->keepalive_ms,
		.congestion = (uint8_t)config->congestion,
		.ecn = (uint8_t)config->ecn,
		.has_pacing = config->has_pacing,
	};

	prng_secure(&tcp.secret, sizeof(tcp.secret));
	client->tcp = tcp_stack_new(&tcp, &tcp_ops, client, &client->counters, client->now_ns);
	client->conns = calloc(config->connections_max, sizeof(*client->conns));
	if (client->tcp == NULL || client->conns == NULL)
		return -ENOMEM;
	if (client->ops->on_payload == NULL)
		client->out = malloc((size_t)config->connections_max * config->output_size);
	if (client->ops->on_payload == NULL && client->out == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < config->connections_max; i++) {
		client->conns[i].client = client;
		if (client->out != NULL)
			client->conns[i].out = client->out + (size_t)i * config->output_size;
		list_init(&client->conns[i].listed);
		list_push_back(&client->idle, &client->conns[i].listed);
	}
	return 0;
}

static int read_addresses(struct wire_client *client, const struct wire_client_config *config)
{
	if (ip4_parse_text(config->address, &client->address) != 0 || config->prefix > 32 ||
	    config->connections_max == 0 ||
	    (client->ops->on_payload == NULL && !IS_POW2(config->output_size)))
		return -EINVAL;
	client->mask = ip4_mask(config->prefix);
	return config->gateway != NULL ? ip4_parse_text(config->gateway, &client->gateway) : 0;
}

int wire_client_open(const struct wire_client_config *config, const struct wire_client_ops *ops,
		     void *ctx, struct wire_client **ret_client, char *reterr, size_t reterr_size)
{
	const struct nic_config nic = { .port = config->port,
					.queues = 1,
					.mtu = config->mtu,
					.descriptors = DESCRIPTORS,
					.buffers =
						2 * DESCRIPTORS + BUFFERS_MIN + pieces_of(config) };
	struct wire_client *client = aligned_alloc(CACHELINE_SIZE, ALIGN_UP(sizeof(*client), 64));
	uint16_t start;
	int r;

	if (client == NULL)
		return -ENOMEM;
	memset(client, 0, sizeof(*client));
	client->ops = ops;
	client->ctx = ctx;
	client->now_ns = clock_now_ns();
	client->out_size = config->output_size;
	prng_secure(&start, sizeof(start));
	client->next_port = (uint16_t)(start % PORT_COUNT);
	list_init(&client->idle);
	arp_table_init(&client->arp);
	r = read_addresses(client, config);
	(void)snprintf(reterr, reterr_size, "%s",
		       r == 0 ? "out of memory" : "bad address, sizes or counts");
	if (r == 0)
		r = make_memory(client, config);
	if (r == 0)
		r = nic_dpdk_open(&nic, &client->nic, reterr, reterr_size);
	if (r == 0) {
		r = nic_thread_register(client->nic);
		(void)snprintf(reterr, reterr_size, "%s", strerror(-r));
	}
	if (r != 0) {
		wire_client_close(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

void wire_client_close(struct wire_client *client)
{
	if (client == NULL)
		return;
	tcp_stack_free(client->tcp);
	for (uint32_t i = 0; i < WIRE_CLIENT_WAITING; i++) {
		if (client->waiting[i].packet.handle != NULL)
			nic_packet_free(client->nic, 0, client->waiting[i].packet.handle);
	}
	for (uint16_t i = 0; i < client->send_count; i++)
		nic_packet_free(client->nic, 0, client->send[client->send_first + i].handle);
	nic_close(client->nic);
	free(client->conns);
	free(client->out);
	free(client);
}

int wire_client_listen(struct wire_client *client, uint16_t port)
{
	return tcp_listen(client->tcp, port);
}

int wire_client_connect(struct wire_client *client, const char *address, uint16_t port,
			uint16_t local_port, void *owner)
{
	struct tcp_tuple tuple = { .local_address = client->address, .peer_port = port };
	struct wire_conn *conn;
	int r = ip4_parse_text(address, &tuple.peer_address);

	if (r != 0)
		return r;
	conn = conn_new(client);
	if (conn == NULL)
		return -ENOBUFS;
	client->now_ns = clock_now_ns();
	conn->owner = owner;
	for (uint32_t tries = 0; tries < PORT_COUNT; tries++) {
		tuple.local_port =
			local_port != 0 ? local_port
					: (uint16_t)(PORT_FIRST + client->next_port++ % PORT_COUNT);
		r = tcp_connect(client->tcp, &tuple, conn, client->now_ns, &conn->tcb);
		if (r != -EADDRINUSE || local_port != 0)
			break;
	}
	if (r != 0)
		release(conn);
	return r;
}

uint32_t wire_client_poll(struct wire_client *client)
{
	struct nic_packet packets[WIRE_CLIENT_BURST];
	uint32_t work;
	uint16_t n;

	client->now_ns = clock_now_ns();
	if (!client->is_announced) {
		client->is_announced = true;
		wire_client_frame_announce(client);
	}
	n = nic_rx_burst(client->nic, 0, packets, WIRE_CLIENT_BURST);
	for (uint16_t i = 0; i < n; i++) {
		wire_client_frame_in(client, &packets[i]);
		nic_packet_free(client->nic, 0, packets[i].handle);
	}
	counters_add(&client->counters, COUNTER_WIREPORT_RX_PACKETS, n);
	if (n > 0)
		tcp_burst_end(client->tcp, client->now_ns);
	work = n;
	if (tcp_next_timer_ns(client->tcp) <= client->now_ns)
		work += tcp_poll(client->tcp, client->now_ns);
	if (client->waiting_count > 0)
		wire_client_frame_waiting(client);
	return work + wire_client_frame_flush(client);
}

void wire_client_wait(struct wire_client *client, int64_t max_ns)
{
	struct pollfd fd = { nic_wait_fd(client->nic, 0), POLLIN, 0 };
	int64_t left_ns = MIN(tcp_next_timer_ns(client->tcp) - clock_now_ns(), max_ns);
	struct timespec timeout;

	if (client->waiting_count > 0)
		left_ns = MIN(left_ns, ARP_RETRY_NS / 10);
	if (fd.fd < 0)
		left_ns = MIN(left_ns, IDLE_NS);
	if (left_ns <= 0)
		return;
	timeout = (struct timespec){ left_ns / NS_PER_S, left_ns % NS_PER_S };
	(void)ppoll(&fd, fd.fd >= 0, &timeout, NULL); /* the next poll sees why it ended */
}

uint8_t *wire_client_room(struct wire_conn *conn, size_t *ret_size)
{
	uint32_t ring = conn->client->out_size, begin = (uint32_t)(conn->end & (ring - 1));
	size_t left = ring - (size_t)(conn->end - conn->head);

	*ret_size = MIN(left, (size_t)(ring - begin));
	return conn->out + begin;
}

void wire_client_commit(struct wire_conn *conn, size_t size)
{
	CHECK(conn->end - conn->head + size <= conn->client->out_size);
	if (size == 0)
		return;
	conn->end += size;
	tcp_send(conn->tcb, size, conn->client->now_ns);
}

void wire_client_queue(struct wire_conn *conn, uint64_t size)
{
	CHECK(conn->client->ops->on_payload != NULL);
	if (size == 0)
		return;
	conn->end += size;
	tcp_send(conn->tcb, size, conn->client->now_ns);
}

size_t wire_client_send(struct wire_conn *conn, const void *bytes, size_t size)
{
	uint32_t ring = conn->client->out_size, begin = (uint32_t)(conn->end & (ring - 1));
	size_t taken = MIN(size, ring - (size_t)(conn->end - conn->head));
	size_t first = MIN(taken, (size_t)(ring - begin));

	memcpy(conn->out + begin, bytes, first);
	memcpy(conn->out, (const uint8_t *)bytes + first, taken - first);
	wire_client_commit(conn, taken);
	return taken;
}

uint64_t wire_client_unacked(const struct wire_conn *conn)
{
	return conn->end - conn->head;
}

void wire_client_resume(struct wire_conn *conn)
{
	tcp_resume(conn->tcb, conn->client->now_ns);
}

void wire_client_shutdown(struct wire_conn *conn)
{
	tcp_shutdown(conn->tcb, conn->client->now_ns);
}

void wire_client_abort(struct wire_conn *conn)
{
	tcp_abort(conn->tcb, conn->client->now_ns);
}

const struct tcp_tuple *wire_client_tuple(const struct wire_conn *conn)
{
	return tcp_tuple(conn->tcb);
}

const struct counters *wire_client_counters(const struct wire_client *client)
{
	return &client->counters;
}

struct nic *wire_client_nic(struct wire_client *client)
{
	return client->nic;
}

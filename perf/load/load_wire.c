/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "perf/load/wire_client.h"

#define OUTPUT_MIN (1U << 16)
#define OUTPUT_MAX (1U << 26)
#define SPIN_NS    (200 * NS_PER_US) /* looks at the port without work before it sleeps */

struct load_wire {
	struct load_net net;
	struct wire_client *client;
	int64_t idle_since_ns; /* 0: it had work */
};

static struct load_wire *wire_of(struct load_net *net)
{
	return CONTAINER_OF(net, struct load_wire, net);
}

/* The connection goes without a word to its owner. */
static void wire_close(struct load_net *net, struct load_link *link)
{
	struct wire_conn *conn = link->tcb;

	(void)net;
	link->net = NULL;
	link->is_open = false;
	link->tcb = NULL;
	if (conn != NULL)
		wire_client_abort(conn);
}

static void fail(struct load_link *link, int error)
{
	wire_close(link->net, link);
	link->ops->on_close(link, error);
}

/* As much of what is queued as there is room for; acknowledgements make more. */
static void wire_flush(struct load_net *net, struct load_link *link)
{
	(void)net;
	while (load_sendq_size(&link->out) > 0) {
		size_t room;
		uint8_t *to = wire_client_room(link->tcb, &room);

		room = MIN(room, (size_t)load_sendq_size(&link->out));
		if (room == 0)
			return;
		load_sendq_copy(&link->out, 0, to, room);
		load_sendq_pop(&link->out, room);
		wire_client_commit(link->tcb, room);
	}
}

static void *on_accept(void *ctx, struct wire_conn *conn)
{
	(void)ctx;
	(void)conn;
	return NULL; /* nobody listens */
}

static void on_open(void *owner, struct wire_conn *conn)
{
	struct load_link *link = owner;

	link->tcb = conn;
	if (link->net == NULL) {
		wire_client_abort(conn);
		return;
	}
	link->is_open = true;
	link->ops->on_open(link);
	load_link_flush(link);
}

static void on_frame(void *ctx, const uint8_t *bytes, size_t kept, size_t size)
{
	struct load_link *link = ctx;

	if (link->net != NULL)
		link->ops->on_frame(link, bytes, kept, size);
}

static size_t on_data(void *owner, struct wire_conn *conn, const uint8_t *bytes, size_t size)
{
	struct load_link *link = owner;
	int r;

	(void)conn;
	if (link->net == NULL)
		return size;
	r = load_frame_feed(&link->in, bytes, size, on_frame, link);
	if (r != 0 && link->net != NULL)
		fail(link, r);
	return size;
}

static void on_eof(void *owner, struct wire_conn *conn)
{
	struct load_link *link = owner;

	(void)conn;
	if (link->net != NULL)
		fail(link, 0);
}

static void on_acked(void *owner, struct wire_conn *conn, uint64_t size)
{
	(void)conn;
	(void)size;
	load_link_flush(owner);
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	struct load_link *link = owner;

	link->tcb = NULL;
	if (link->net == NULL)
		return;
	link->net = NULL;
	link->is_open = false;
	link->ops->on_close(link, reason == TCP_CLOSED_TIMEOUT ? -ETIMEDOUT : -ECONNRESET);
}

static const struct wire_client_ops client_ops = {
	.on_accept = on_accept,
	.on_open = on_open,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
};

static int wire_connect(struct load_net *net, struct load_link *link, uint32_t address,
			uint16_t port)
{
	struct in_addr to = { .s_addr = htonl(address) };
	char text[INET_ADDRSTRLEN];
	int r;

	(void)inet_ntop(AF_INET, &to, text, sizeof(text));
	link->net = net;
	link->tcb = NULL;
	r = wire_client_connect(wire_of(net)->client, text, port, 0, link);
	if (r != 0)
		link->net = NULL;
	return r;
}

static void wire_poll(struct load_net *net, int64_t timeout_ns)
{
	struct load_wire *wire = wire_of(net);
	int64_t end_ns = clock_now_ns() + timeout_ns;

	for (;;) {
		int64_t now_ns;

		if (wire_client_poll(wire->client) > 0) {
			wire->idle_since_ns = 0;
			return;
		}
		now_ns = clock_now_ns();
		if (now_ns >= end_ns)
			return;
		if (wire->idle_since_ns == 0)
			wire->idle_since_ns = now_ns;
		if (now_ns - wire->idle_since_ns > SPIN_NS)
			wire_client_wait(wire->client, end_ns - now_ns);
	}
}

static void wire_free(struct load_net *net)
{
	struct load_wire *wire = wire_of(net);

	/* Resets of what was closed last are still to be sent. */
	(void)wire_client_poll(wire->client);
	wire_client_close(wire->client);
	free(wire);
}

static const struct load_net_ops wire_ops = {
	.connect = wire_connect,
	.flush = wire_flush,
	.close = wire_close,
	.poll = wire_poll,
	.free = wire_free,
};

int load_wire_new(const struct load_wire_options *options, struct load_net **ret_net, char *reterr,
		  size_t reterr_size)
{
	struct wire_client_config config = { .port = options->port,
					     .mtu = options->mtu,
					     .gateway = options->gateway,
					     .connections_max = options->connections + 8,
					     .output_size = OUTPUT_MIN };
	const char *slash = strchr(options->address, '/');
	struct load_wire *wire;
	char address[INET_ADDRSTRLEN];
	char *end;
	int r;

	(void)snprintf(reterr, reterr_size, "%s is not an address with a prefix, as 10.1.0.1/24",
		       options->address);
	if (slash == NULL || (size_t)(slash - options->address) >= sizeof(address))
		return -EINVAL;
	memcpy(address, options->address, (size_t)(slash - options->address));
	address[slash - options->address] = '\0';
	config.address = address;
	config.prefix = (uint32_t)strtoul(slash + 1, &end, 10);
	if (*end != '\0' || config.prefix < 1 || config.prefix > 32)
		return -EINVAL;
	while (config.output_size < options->output_size && config.output_size < OUTPUT_MAX)
		config.output_size <<= 1;
	wire = calloc(1, sizeof(*wire));
	if (wire == NULL)
		return -ENOMEM;
	wire->net.ops = &wire_ops;
	r = wire_client_open(&config, &client_ops, wire, &wire->client, reterr, reterr_size);
	if (r != 0) {
		free(wire);
		return r;
	}
	*ret_net = &wire->net;
	return 0;
}

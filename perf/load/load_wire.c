/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "perf/load/wire_client.h"

/* Looks at the port without work before it sleeps: as the box does where frames wake it. */
#define SPIN_WOKEN_NS (10 * NS_PER_US)
#define SPIN_BLIND_NS (200 * NS_PER_US)

struct load_wire {
	struct load_net net;
	struct wire_client *client;
	struct load_link *(*make_link)(void *ctx); /* NULL: nobody listens */
	void *accept_ctx;
	int64_t spin_ns;
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

/* TCP learns of what was queued; on_payload() gives it away, on_acked() drops it. */
static void wire_flush(struct load_net *net, struct load_link *link)
{
	uint64_t size = link->out.queued - link->told;

	(void)net;
	link->told = link->out.queued;
	wire_client_queue(link->tcb, size);
}

static void begin(struct load_link *link, struct wire_conn *conn)
{
	link->tcb = conn;
	link->told = link->out.popped;
	link->is_open = true;
	link->ops->on_open(link);
}

static void *on_accept(void *ctx, struct wire_conn *conn)
{
	struct load_wire *wire = ctx;
	struct load_link *link = wire->make_link != NULL ? wire->make_link(wire->accept_ctx) : NULL;

	if (link == NULL)
		return NULL;
	link->net = &wire->net;
	begin(link, conn);
	return link;
}

static void on_open(void *owner, struct wire_conn *conn)
{
	struct load_link *link = owner;

	link->tcb = conn;
	if (link->net == NULL) {
		wire_client_abort(conn);
		return;
	}
	begin(link, conn);
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
	struct load_link *link = owner;

	(void)conn;
	load_sendq_pop(&link->out, size);
}

static uint64_t on_payload(void *owner, uint64_t pos, uint8_t *to, uint32_t size)
{
	const struct load_link *link = owner;

	return load_sendq_copy_sum(&link->out, pos, to, size);
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
	.on_payload = on_payload,
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

static int wire_listen(struct load_net *net, uint32_t address, uint16_t port,
		       struct load_link *(*make_link)(void *ctx), void *ctx)
{
	struct load_wire *wire = wire_of(net);

	(void)address;
	wire->make_link = make_link;
	wire->accept_ctx = ctx;
	return wire_client_listen(wire->client, port);
}

static void wire_poll(struct load_net *net, int64_t timeout_ns)
{
	struct load_wire *wire = wire_of(net);
	int64_t now_ns = clock_now_ns(), end_ns = now_ns + timeout_ns;

	while (wire_client_poll(wire->client) == 0) {
		int64_t since_ns = now_ns;

		now_ns = clock_now_ns();
		if (wire->idle_since_ns == 0)
			wire->idle_since_ns = since_ns;
		if (now_ns < end_ns && now_ns - wire->idle_since_ns > wire->spin_ns) {
			wire_client_wait(wire->client, end_ns - now_ns);
			now_ns = clock_now_ns();
		}
		wire->net.idle_ns += now_ns - since_ns;
		if (now_ns >= end_ns)
			return;
	}
	wire->idle_since_ns = 0;
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
	.listen = wire_listen,
	.poll = wire_poll,
	.free = wire_free,
};

int load_wire_parse(const char *text, char *ret_address, uint32_t *ret_prefix)
{
	const char *slash = strchr(text, '/');
	unsigned long prefix;
	char *end;

	if (slash == NULL || slash - text >= INET_ADDRSTRLEN)
		return -EINVAL;
	prefix = strtoul(slash + 1, &end, 10);
	if (end == slash + 1 || *end != '\0' || prefix < 1 || prefix > 32)
		return -EINVAL;
	memcpy(ret_address, text, (size_t)(slash - text));
	ret_address[slash - text] = '\0';
	*ret_prefix = (uint32_t)prefix;
	return 0;
}

int load_wire_new(const struct load_wire_options *options, struct load_net **ret_net, char *reterr,
		  size_t reterr_size)
{
	struct wire_client_config config = { .port = options->port,
					     .mtu = options->mtu,
					     .gateway = options->gateway,
					     .connections_max = options->connections + 8 };
	char address[INET_ADDRSTRLEN];
	struct load_wire *wire;
	int r;

	(void)snprintf(reterr, reterr_size, "%s is not an address with a prefix, as 10.1.0.1/24",
		       options->address);
	if (load_wire_parse(options->address, address, &config.prefix) != 0)
		return -EINVAL;
	config.address = address;
	wire = calloc(1, sizeof(*wire));
	if (wire == NULL)
		return -ENOMEM;
	wire->net.ops = &wire_ops;
	r = wire_client_open(&config, &client_ops, wire, &wire->client, reterr, reterr_size);
	if (r != 0) {
		free(wire);
		return r;
	}
	wire->spin_ns =
		nic_wait_fd(wire_client_nic(wire->client), 0) >= 0 ? SPIN_WOKEN_NS : SPIN_BLIND_NS;
	*ret_net = &wire->net;
	return 0;
}

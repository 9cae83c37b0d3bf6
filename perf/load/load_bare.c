/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_bare.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

#include "perf/load/wire_client.h"

#define OUTPUT_SIZE 4096U            /* never used: nothing is said */
#define SPIN_NS     (10 * NS_PER_US) /* as the box */
#define WAIT_NS     NS_PER_MS

struct load_bare {
	struct wire_client *client;
	int64_t idle_since_ns; /* 0: the last poll had work */
	uint64_t bytes;
};

static void *on_accept(void *ctx, struct wire_conn *conn)
{
	(void)conn;
	return ctx;
}

static void on_open(void *owner, struct wire_conn *conn)
{
	(void)owner;
	(void)conn;
}

static size_t on_data(void *owner, struct wire_conn *conn, const uint8_t *bytes, size_t size)
{
	struct load_bare *bare = owner;

	(void)conn;
	(void)bytes;
	bare->bytes += size;
	return size;
}

static void on_eof(void *owner, struct wire_conn *conn)
{
	(void)owner;
	wire_client_shutdown(conn);
}

static void on_acked(void *owner, struct wire_conn *conn, uint64_t size)
{
	(void)owner;
	(void)conn;
	(void)size;
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	(void)owner;
	(void)reason;
}

static const struct wire_client_ops ops = {
	.on_accept = on_accept,
	.on_open = on_open,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
};

void load_bare_poll(struct load_bare *bare)
{
	int64_t now_ns;

	if (wire_client_poll(bare->client) > 0) {
		bare->idle_since_ns = 0;
		return;
	}
	now_ns = clock_now_ns();
	if (bare->idle_since_ns == 0)
		bare->idle_since_ns = now_ns;
	if (now_ns - bare->idle_since_ns > SPIN_NS)
		wire_client_wait(bare->client, WAIT_NS);
}

uint64_t load_bare_bytes(const struct load_bare *bare)
{
	return bare->bytes;
}

int load_bare_new(const struct load_bare_options *options, struct load_bare **ret_bare,
		  char *reterr, size_t reterr_size)
{
	const struct wire_client_config config = { .port = options->port,
						   .mtu = options->mtu,
						   .address = options->address,
						   .prefix = options->prefix,
						   .connections_max = LOAD_BARE_CONNECTIONS,
						   .output_size = OUTPUT_SIZE };
	struct load_bare *bare = calloc(1, sizeof(*bare));
	int r;

	if (bare == NULL)
		return -ENOMEM;
	r = wire_client_open(&config, &ops, bare, &bare->client, reterr, reterr_size);
	if (r == 0)
		r = wire_client_listen(bare->client, options->tcp_port);
	if (r != 0) {
		load_bare_free(bare);
		return r;
	}
	*ret_bare = bare;
	return 0;
}

void load_bare_free(struct load_bare *bare)
{
	if (bare == NULL)
		return;
	wire_client_close(bare->client);
	free(bare);
}

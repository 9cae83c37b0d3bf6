/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/portlist.h"
#include "base/prng.h"

#include "dataplane/core/wireport_impl.h"

#define TCP_WINDOW_MAX   (1U << 20)
#define TCP_RTO_MIN_MS   200
#define TCP_TIME_WAIT_MS 2000
#define TCP_BACKLOG_MAX  1024U
#define TSO_SIZE         (UINT16_MAX - 120U) /* with the longest headers it fits an IP packet */

/* @return index of `text` among [count] names; -EINVAL: none of them */
static int find_name(const char *const *names, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -EINVAL;
}

/* What the settings say about the ways of our TCP. */
static int read_tcp(struct tcp_config *tcp, const struct config *config, char *reterr,
		    size_t reterr_size)
{
	static const char *const congestions[] = {
		[TCP_CC_CUBIC] = "cubic", [TCP_CC_NEWRENO] = "newreno"
	};
	static const char *const ecns[] = {
		[TCP_ECN_OFF] = "off", [TCP_ECN_ACCEPT] = "accept", [TCP_ECN_REQUEST] = "request"
	};
	int congestion = find_name(congestions, ARRAY_COUNT(congestions), config->tcp_congestion);
	int ecn = find_name(ecns, ARRAY_COUNT(ecns), config->tcp_ecn);

	if (congestion < 0) {
		(void)snprintf(reterr, reterr_size,
			       "tcp.congestion %s is neither cubic nor newreno",
			       config->tcp_congestion);
		return congestion;
	}
	if (ecn < 0) {
		(void)snprintf(reterr, reterr_size, "tcp.ecn %s is none of off, accept, request",
			       config->tcp_ecn);
		return ecn;
	}
	tcp->congestion = (uint8_t)congestion;
	tcp->ecn = (uint8_t)ecn;
	tcp->has_pacing = config->tcp_pacing;
	return 0;
}

static int make_stack(struct wireport *port, const struct tcp_config *ways)
{
	const struct config *config = port->core->config;
	struct tcp_config tcp = {
		.connections_max = (uint32_t)config->connections_max,
		.held_pieces_max = WIREPORT_HELD_MAX,
		.mss = (uint16_t)(port->nic->mtu - 40),
		.window_max = TCP_WINDOW_MAX,
		.rto_min_ms = TCP_RTO_MIN_MS,
		.time_wait_ms = TCP_TIME_WAIT_MS,
		.syn_backlog_max = MIN((uint32_t)config->connections_max, TCP_BACKLOG_MAX),
		.keepalive_ms = (uint32_t)config->tcp_keepalive_time_ms,
		.keepalive_interval_ms = (uint32_t)config->tcp_keepalive_interval_ms,
		.keepalive_probes = (uint32_t)config->tcp_keepalive_probes,
		.user_timeout_ms = (uint32_t)config->tcp_user_timeout_ms,
		.congestion = ways->congestion,
		.ecn = ways->ecn,
		.has_pacing = ways->has_pacing,
		.tso_size = (port->nic->offloads & NIC_TX_SPLIT) != 0 ? TSO_SIZE : 0,
	};

	prng_secure(&tcp.secret, sizeof(tcp.secret));
	port->tcp = tcp_stack_new(&tcp, &wireport_tcp_ops, port, port->counters, port->now_ns);
	return port->tcp != NULL
		       ? tcp_listen(port->tcp, (uint16_t)(port->port_base + port->core->index))
		       : -ENOMEM;
}

static int make_connections(struct wireport *port, uint32_t count)
{
	port->conns = calloc(count, sizeof(*port->conns));
	if (port->conns == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		port->conns[i].port = port;
		list_init(&port->conns[i].work);
		list_init(&port->conns[i].listed);
		list_push_back(&port->idle, &port->conns[i].listed);
	}
	for (uint32_t i = 0; i < WIREPORT_HANDED_MAX; i++) {
		port->handed[i].from = port;
		list_init(&port->handed[i].item.node);
		list_init(&port->handed[i].node);
		list_push_back(&port->handed_idle, &port->handed[i].node);
	}
	return 0;
}

uint64_t wireport_size(const struct config *config)
{
	const struct tcp_config tcp = {
		.connections_max = (uint32_t)config->connections_max,
		.held_pieces_max = WIREPORT_HELD_MAX,
	};

	return sizeof(struct wireport) +
	       (uint64_t)config->connections_max * sizeof(struct wireport_conn) +
	       tcp_stack_size(&tcp);
}

static struct wireport *make(struct core *core, struct nic *nic,
			     const struct portlist_port *settings)
{
	struct wireport *port = calloc(1, sizeof(*port));

	if (port == NULL)
		return NULL;
	port->core = core;
	port->nic = nic;
	port->counters = core->counters;
	port->now_ns = core->now_ns;
	port->queue = (uint16_t)core->index;
	port->port_base = (uint16_t)core->config->port;
	port->address = settings->address;
	port->mask = ip4_mask(settings->prefix);
	port->gateway = settings->gateway;
	(void)snprintf(port->host, sizeof(port->host), "%s", settings->host);
	port->epoll_fd = -1;
	arp_table_init(&port->arp);
	if (core->index == 0)
		arp_self_announce(&port->self, core->now_ns);
	list_init(&port->work);
	list_init(&port->open);
	list_init(&port->idle);
	list_init(&port->handed_idle);
	return port;
}

int wireport_new(struct core *core, struct nic *nic, const struct portlist_port *settings,
		 char *reterr, size_t reterr_size)
{
	struct wireport *port = make(core, nic, settings);
	struct tcp_config ways = { 0 };
	int r;

	if (port == NULL)
		return -ENOMEM;
	wireport_join(port);
	r = read_tcp(&ways, core->config, reterr, reterr_size);
	if (r == 0 && core->index >= nic->queues) {
		(void)snprintf(reterr, reterr_size, "the port has no queue for core %u",
			       core->index);
		r = -EINVAL;
	}
	if (r != 0) {
		wireport_free(port);
		return r;
	}
	r = make_connections(port, (uint32_t)core->config->connections_max);
	if (r == 0)
		r = make_stack(port, &ways);
	if (r != 0) {
		(void)snprintf(reterr, reterr_size,
			       "no memory for %d connections: lower max.connections",
			       (int)core->config->connections_max);
		wireport_free(port);
	}
	return r;
}

void wireport_free(struct wireport *port)
{
	if (port == NULL)
		return;
	wireport_leave(port);
	tcp_stack_free(port->tcp);
	for (uint32_t i = 0; i < WIREPORT_UNRESOLVED; i++) {
		if (port->unresolved[i].packet.handle != NULL)
			nic_packet_free(port->nic, port->queue, port->unresolved[i].packet.handle);
	}
	for (uint16_t i = 0; i < port->send_count; i++)
		nic_packet_free(port->nic, port->queue, port->send[i].handle);
	free(port->conns);
	free(port);
}

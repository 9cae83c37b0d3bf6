/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#include "dataplane/sock/sock_impl.h"

#define BACKLOG 512

static int listen_on(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t name_size = sizeof(name);
	int one = 1, error = 0, fd;

	if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
		return -EINVAL;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &name_size) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	*ret_port = ntohs(name.sin_port);
	return 0;
}

static const char *remedy(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "another program listens there; stop it or set `port`";
	case -EADDRNOTAVAIL:
		return "no interface has this address; set `socket.address`";
	case -EACCES:
		return "ports below 1024 need CAP_NET_BIND_SERVICE";
	case -EINVAL:
		return "`socket.address` must be an IPv4 address like 127.0.0.1";
	default:
		return "see `socket.address` and `port`";
	}
}

/*
 * The written sum of one core, for C = max.connections:
 *   connections  C
 *   receive      one buffer, for whoever is received from
 *   kept bytes   MIN(C, SOCK_KEPT_MAX) blocks of the same size, for sessions that took less
 *   sends        SOCK_SENDS_MAX, what the kernel is told between two submissions
 */
static uint32_t blocks_of(uint32_t connections_max)
{
	return MIN(connections_max, SOCK_KEPT_MAX);
}

static bool connections_new(struct sock *sock)
{
	sock->block_count = blocks_of(sock->connections_max);
	sock->connections = calloc(sock->connections_max, sizeof(*sock->connections));
	sock->receive = malloc(SOCK_RECEIVE_SIZE);
	sock->blocks = malloc((size_t)sock->block_count * SOCK_RECEIVE_SIZE);
	sock->sends = calloc(SOCK_SENDS_MAX, sizeof(*sock->sends));
	if (sock->connections == NULL || sock->receive == NULL || sock->blocks == NULL ||
	    sock->sends == NULL)
		return false;
	for (uint32_t i = 0; i < sock->connections_max; i++) {
		struct sock_conn *conn = &sock->connections[i];

		conn->sock = sock;
		conn->fd = -1;
		timer_init(&conn->linger, sock_on_linger);
		list_init(&conn->node);
		list_init(&conn->ready);
		list_init(&conn->to_send);
		list_push_back(&sock->idle, &conn->node);
	}
	return true;
}

uint64_t sock_size(uint32_t connections_max)
{
	return sizeof(struct sock) + connections_max * (uint64_t)sizeof(struct sock_conn) +
	       (1 + blocks_of(connections_max)) * (uint64_t)SOCK_RECEIVE_SIZE +
	       SOCK_SENDS_MAX * sizeof(struct sock_send);
}

int sock_new(struct core *core, const char *address, uint16_t port, uint32_t connections_max,
	     struct sock **ret_sock, char *reterr, size_t reterr_size)
{
	struct sock *sock = calloc(1, sizeof(*sock));
	int error = -ENOMEM;

	CHECK(connections_max > 0);
	if (sock == NULL)
		return -ENOMEM;
	sock->core = core;
	sock->listen_fd = -1;
	sock->connections_max = connections_max;
	list_init(&sock->idle);
	list_init(&sock->open);
	list_init(&sock->ready);
	list_init(&sock->to_send);
	timer_init(&sock->backoff, sock_on_backoff);
	if (connections_new(sock))
		error = listen_on(address, port, &sock->listen_fd, &sock->port);
	if (error < 0) {
		snprintf(reterr, reterr_size, "cannot listen on %s:%u: %s (%s)", address, port,
			 err_str(error), remedy(error));
		sock_free(sock);
		return error;
	}
	*ret_sock = sock;
	return 0;
}

void sock_free(struct sock *sock)
{
	if (sock == NULL)
		return;
	CHECK(sock->open_count == 0);
	if (sock->listen_fd >= 0)
		close(sock->listen_fd);
	free(sock->connections);
	free(sock->receive);
	free(sock->blocks);
	free(sock->sends);
	free(sock);
}

uint16_t sock_port(const struct sock *sock)
{
	return sock->port;
}

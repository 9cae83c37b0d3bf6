/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define RECEIVE_SIZE (1U << 20)
#define EVENTS_MAX   256
#define IOVECS       64

struct load_sock {
	struct load_net net;
	int epoll_fd;
	int listen_fd; /* -1: none */
	struct load_link *(*on_accept)(void *ctx);
	void *accept_ctx;
	uint8_t *buffer; /* [RECEIVE_SIZE] */
	struct epoll_event events[EVENTS_MAX];
	int event_count, event_at; /* events of the poll under way */
};

static struct load_sock *sock_of(struct load_net *net)
{
	return CONTAINER_OF(net, struct load_sock, net);
}

static void sock_close(struct load_net *net, struct load_link *link)
{
	struct load_sock *sock = sock_of(net);

	/* Events of a link that is gone must not be seen. */
	for (int i = sock->event_at; i < sock->event_count; i++) {
		if (sock->events[i].data.ptr == link)
			sock->events[i].data.ptr = NULL;
	}
	(void)close(link->fd);
	link->fd = -1;
	link->net = NULL;
	link->is_open = false;
}

static void fail(struct load_link *link, int error)
{
	sock_close(link->net, link);
	link->ops->on_close(link, error);
}

static void watch(struct load_sock *sock, struct load_link *link, int how, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = link };

	CHECK(epoll_ctl(sock->epoll_fd, how, link->fd, &event) == 0);
}

static void sock_flush(struct load_net *net, struct load_link *link)
{
	while (!link->is_blocked && load_sendq_size(&link->out) > 0) {
		struct iovec iov[IOVECS];
		struct msghdr message = { .msg_iov = iov };
		ssize_t sent;

		message.msg_iovlen = load_sendq_peek(&link->out, 0, iov, IOVECS);
		sent = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0) {
			load_sendq_pop(&link->out, (uint64_t)sent);
		} else if (errno == EAGAIN) {
			link->is_blocked = true;
			watch(sock_of(net), link, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
		} else if (errno != EINTR) {
			fail(link, -errno);
			return;
		}
	}
}

static int take_on(struct load_sock *sock, struct load_link *link, int fd, bool is_open)
{
	struct epoll_event event = { .events = is_open ? EPOLLIN : EPOLLIN | EPOLLOUT,
				     .data.ptr = link };
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(sock->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return -errno;
	link->fd = fd;
	link->net = &sock->net;
	link->is_open = is_open;
	link->is_blocked = !is_open;
	return 0;
}

static int sock_connect(struct load_net *net, struct load_link *link, uint32_t address,
			uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(address),
				  .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
		r = -errno;
	if (r == 0)
		r = take_on(sock_of(net), link, fd, false);
	if (r != 0)
		(void)close(fd);
	return r;
}

static void accept_all(struct load_sock *sock)
{
	int fd;

	while ((fd = accept4(sock->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct load_link *link = sock->on_accept(sock->accept_ctx);

		if (link == NULL || take_on(sock, link, fd, true) != 0)
			(void)close(fd);
		else
			link->ops->on_open(link);
	}
}

static void on_frame(void *ctx, const uint8_t *bytes, size_t kept, size_t size)
{
	struct load_link *link = ctx;

	if (link->net != NULL)
		link->ops->on_frame(link, bytes, kept, size);
}

static void on_readable(struct load_sock *sock, struct load_link *link)
{
	ssize_t got = recv(link->fd, sock->buffer, RECEIVE_SIZE, MSG_DONTWAIT);
	int r;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		fail(link, got < 0 ? -errno : 0);
		return;
	}
	r = load_frame_feed(&link->in, sock->buffer, (size_t)got, on_frame, link);
	if (r != 0 && link->net != NULL)
		fail(link, r);
}

static void on_writable(struct load_sock *sock, struct load_link *link)
{
	if (!link->is_open) {
		int error = 0;
		socklen_t size = sizeof(error);

		if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
			fail(link, error != 0 ? -error : -errno);
			return;
		}
		link->is_open = true;
		link->is_blocked = false;
		watch(sock, link, EPOLL_CTL_MOD, EPOLLIN);
		link->ops->on_open(link);
	} else {
		link->is_blocked = false;
		watch(sock, link, EPOLL_CTL_MOD, EPOLLIN);
	}
	load_link_flush(link);
}

static void sock_poll(struct load_net *net, int64_t timeout_ns)
{
	struct load_sock *sock = sock_of(net);
	struct timespec timeout = { .tv_sec = timeout_ns / NS_PER_S,
				    .tv_nsec = timeout_ns % NS_PER_S };

	if (timeout_ns < 0)
		timeout = (struct timespec){ 0 };
	sock->event_count = epoll_pwait2(sock->epoll_fd, sock->events, EVENTS_MAX, &timeout, NULL);
	for (sock->event_at = 0; sock->event_at < sock->event_count;) {
		struct epoll_event event = sock->events[sock->event_at++];
		struct load_link *link = event.data.ptr;

		if (link == NULL)
			continue;
		if (event.data.ptr == sock) {
			accept_all(sock);
			continue;
		}
		if ((event.events & EPOLLOUT) != 0)
			on_writable(sock, link);
		if (link->net != NULL && link->is_open &&
		    (event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
			on_readable(sock, link);
	}
	sock->event_count = sock->event_at = 0;
}

static int sock_listen(struct load_net *net, uint32_t address, uint16_t port,
		       struct load_link *(*on_accept)(void *ctx), void *ctx)
{
	struct load_sock *sock = sock_of(net);
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(address),
				  .sin_port = htons(port) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = sock };
	int one = 1;

	sock->on_accept = on_accept;
	sock->accept_ctx = ctx;
	sock->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock->listen_fd < 0)
		return -errno;
	(void)setsockopt(sock->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(sock->listen_fd, (const struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(sock->listen_fd, SOMAXCONN) != 0 ||
	    epoll_ctl(sock->epoll_fd, EPOLL_CTL_ADD, sock->listen_fd, &event) != 0)
		return -errno;
	return 0;
}

static void sock_free(struct load_net *net)
{
	struct load_sock *sock = sock_of(net);

	if (sock->listen_fd >= 0)
		(void)close(sock->listen_fd);
	(void)close(sock->epoll_fd);
	free(sock->buffer);
	free(sock);
}

static const struct load_net_ops sock_ops = {
	.connect = sock_connect,
	.flush = sock_flush,
	.close = sock_close,
	.listen = sock_listen,
	.poll = sock_poll,
	.free = sock_free,
};

struct load_net *load_sock_new(void)
{
	struct load_sock *sock = calloc(1, sizeof(*sock));

	if (sock == NULL)
		return NULL;
	sock->net.ops = &sock_ops;
	sock->listen_fd = -1;
	sock->buffer = malloc(RECEIVE_SIZE);
	sock->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sock->buffer == NULL || sock->epoll_fd < 0) {
		free(sock->buffer);
		free(sock);
		return NULL;
	}
	return &sock->net;
}

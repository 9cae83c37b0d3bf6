/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sock/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#include "dataplane/core/core.h"
#include "dataplane/sock/sock_impl.h"

#include "dataplane/core/hot.h"

#define VISITS_PER_TURN_MAX 64 /* connections received from in one turn */
#define RECEIVES_PER_VISIT  4
#define RECEIVE_MAX         (256U * 1024) /* of one call into the ring: larger ones only take longer */
#define TURN_SIZE_MAX       (1024U * 1024) /* received in one turn; the visit that reaches it ends */
#define LINGER_NS           (5 * NS_PER_S)
#define STOP_DRAIN_NS       (200 * NS_PER_MS) /* for answers to requests that are under way */
#define BACKOFF_NS          (100 * NS_PER_MS)

static void visit_later(struct sock_conn *conn)
{
	if (!list_is_linked(&conn->ready))
		list_push_back(&conn->sock->ready, &conn->ready);
}

/* ---- blocks for kept bytes ---- */

static bool has_block(const struct sock *sock)
{
	return sock->free_blocks != NULL || sock->blocks_used < sock->block_count;
}

static void block_take(struct sock_conn *conn)
{
	struct sock *sock = conn->sock;
	struct sock_block *block = sock->free_blocks;

	CHECK(conn->kept == NULL && has_block(sock));
	if (block != NULL) {
		sock->free_blocks = block->next;
		conn->kept = (uint8_t *)block;
		return;
	}
	conn->kept = sock->blocks + (size_t)sock->blocks_used * SOCK_RECEIVE_SIZE;
	sock->blocks_used++;
}

static void block_give(struct sock_conn *conn)
{
	struct sock_block *block = (struct sock_block *)(void *)conn->kept;

	if (block == NULL)
		return;
	block->next = conn->sock->free_blocks;
	conn->sock->free_blocks = block;
	conn->kept = NULL;
	conn->kept_size = 0;
}

/* ---- ending ---- */

/* Nothing of the connection is in flight any more: its slot is free again. */
static void finish(struct sock_conn *conn)
{
	struct sock *sock = conn->sock;

	outq_clear(&conn->link.out);
	timer_disarm(&sock->core->timers, &conn->linger);
	list_remove(&conn->ready);
	list_remove(&conn->to_send);
	close(conn->fd);
	conn->fd = -1;
	list_remove(&conn->node);
	list_push_front(&sock->idle, &conn->node);
	sock->open_count--;
}

static void continue_ending(struct sock_conn *conn)
{
	if (conn->is_polling && !conn->is_cancelling) {
		conn->is_cancelling = uring_cancel(conn->sock->core->uring, &conn->readable) == 0;
		if (!conn->is_cancelling)
			visit_later(conn);
	}
	if (!conn->is_polling && !conn->is_sending)
		finish(conn);
}

/* The connection is gone, or is to be: no answer matters any more. */
static void end(struct sock_conn *conn)
{
	if (conn->is_ending)
		return;
	conn->is_ending = true;
	session_close(&conn->link);
	block_give(conn);
	/* Ends a send in flight; a peer that is gone already makes this fail, which is as good. */
	(void)shutdown(conn->fd, SHUT_RDWR);
	continue_ending(conn);
}

void sock_on_linger(struct timer *timer, int64_t now_ns)
{
	(void)now_ns;
	end(CONTAINER_OF(timer, struct sock_conn, linger));
}

/* ---- sending ---- */

static void send_later(struct sock_conn *conn)
{
	if (!conn->is_sending && !conn->is_ending && !list_is_linked(&conn->to_send))
		list_push_back(&conn->sock->to_send, &conn->to_send);
}

static void on_sent(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct sock_conn *conn = CONTAINER_OF(event, struct sock_conn, sent);

	(void)flags;
	conn->is_sending = false;
	if (conn->is_ending) {
		continue_ending(conn);
		return;
	}
	if (result < 0 && result != -EAGAIN && result != -EINTR) {
		counters_inc(conn->sock->core->counters, COUNTER_SOCK_ERRORS);
		end(conn);
		return;
	}
	if (result > 0) {
		outq_pop(&conn->link.out, (uint32_t)result);
		counters_add(conn->sock->core->counters, COUNTER_SOCK_TX_BYTES, (uint32_t)result);
	}
	if (conn->link.out.size > 0)
		send_later(conn);
	else if (conn->is_closing)
		visit_later(conn);
}

/* @return false: the submission queue, or what there is for it, is full */
static bool submit_send(struct sock_conn *conn)
{
	struct sock *sock = conn->sock;
	struct sock_send *send = &sock->sends[sock->sends_used];
	struct io_uring_sqe *entry;

	if (sock->sends_used == SOCK_SENDS_MAX)
		return false;
	entry = io_uring_get_sqe(uring_raw(sock->core->uring));
	if (entry == NULL)
		return false;
	sock->sends_used++;
	send->message = (struct msghdr){ .msg_iov = send->iovecs };
	send->message.msg_iovlen = outq_peek(&conn->link.out, 0, send->iovecs, SOCK_IOVECS_MAX);
	conn->sent.fn = on_sent;
	io_uring_prep_sendmsg(entry, conn->fd, &send->message, MSG_NOSIGNAL);
	entry->user_data = (uintptr_t)&conn->sent;
	conn->is_sending = true;
	return true;
}

/* All that was answered in one turn leaves with one operation per connection. */
static uint32_t submit_sends(struct sock *sock)
{
	uint32_t count = 0;

	/* The kernel reads what a send names while it is submitted, whether that is done at once. */
	if (io_uring_sq_ready(uring_raw(sock->core->uring)) == 0)
		sock->sends_used = 0;
	LIST_EACH_SAFE(&sock->to_send, node)
	{
		struct sock_conn *conn = LIST_ENTRY(node, struct sock_conn, to_send);

		if (!conn->is_ending && !conn->is_sending && conn->link.out.size > 0 &&
		    !submit_send(conn))
			break;
		list_remove(node);
		count++;
	}
	return count;
}

static void on_link_send(struct link *link)
{
	send_later(CONTAINER_OF(link, struct sock_conn, link));
}

static void on_link_resume(struct link *link)
{
	struct sock_conn *conn = CONTAINER_OF(link, struct sock_conn, link);

	conn->is_paused = false;
	visit_later(conn);
}

static void on_link_close(struct link *link, bool is_abort)
{
	struct sock_conn *conn = CONTAINER_OF(link, struct sock_conn, link);
	struct core *core = conn->sock->core;

	/* The session is on the stack: sock_poll() does the rest. */
	conn->is_closing = true;
	conn->is_aborting |= is_abort;
	if (!timer_is_armed(&conn->linger))
		timer_arm(&core->timers, &conn->linger, core->now_ns + LINGER_NS);
	visit_later(conn);
}

static const struct link_ops ops = {
	.send = on_link_send,
	.resume = on_link_resume,
	.close = on_link_close,
};

/* ---- receiving ---- */

/* Hand over bytes; with less than `size` taken nothing more is received. @return bytes taken */
static uint32_t offer(struct sock_conn *conn, const uint8_t *bytes, uint32_t size, int64_t now_ns)
{
	size_t taken = session_input(conn->link.session, bytes, size, now_ns);

	CHECK(taken <= size);
	if (taken < size) {
		conn->is_paused = true;
		counters_inc(conn->sock->core->counters, COUNTER_SOCK_PAUSES);
	}
	return (uint32_t)taken;
}

/* The same with received bytes, of which the rest is kept. */
static void give(struct sock_conn *conn, const uint8_t *bytes, uint32_t size, int64_t now_ns)
{
	uint32_t taken = offer(conn, bytes, size, now_ns);

	if (taken == size)
		return;
	block_take(conn);
	memcpy(conn->kept, bytes + taken, size - taken);
	conn->kept_size = size - taken;
}

static void give_kept(struct sock_conn *conn, int64_t now_ns)
{
	uint32_t taken = offer(conn, conn->kept, conn->kept_size, now_ns);

	conn->kept_size -= taken;
	if (conn->kept_size == 0)
		block_give(conn);
	else
		memmove(conn->kept, conn->kept + taken, conn->kept_size);
}

/* A receive brought no bytes: none are there, the end, or an error. */
static void on_nothing(struct sock_conn *conn, int error)
{
	conn->is_readable = error == EINTR;
	if (error == EAGAIN || error == EINTR)
		return;
	if (error == 0) {
		conn->is_ended = true;
		if (!session_eof(conn->link.session))
			on_link_close(&conn->link, false);
		return;
	}
	counters_inc(conn->sock->core->counters, COUNTER_SOCK_ERRORS);
	end(conn);
}

/* [size] bytes were received, of which [room] could have been. */
static void on_something(struct sock_conn *conn, size_t size, size_t room)
{
	struct sock *sock = conn->sock;

	sock->turn_size += (uint32_t)size;
	counters_add(sock->core->counters, COUNTER_SOCK_RX_BYTES, size);
	/* A short receive has emptied the socket: the next bytes make a new event, as does the end. */
	if (size < room && !conn->is_hung_up)
		conn->is_readable = false;
}

/* No block is free for what the session may leave: look, and take from the socket what it took. */
static void receive_looking(struct sock_conn *conn, int64_t now_ns)
{
	struct sock *sock = conn->sock;
	ssize_t size = recv(conn->fd, sock->receive, SOCK_RECEIVE_SIZE, MSG_DONTWAIT | MSG_PEEK);
	uint32_t taken;

	counters_inc(sock->core->counters, COUNTER_SOCK_LOOKS);
	if (size <= 0) {
		on_nothing(conn, size == 0 ? 0 : errno);
		return;
	}
	taken = offer(conn, sock->receive, (uint32_t)size, now_ns);
	if (taken > 0 && recv(conn->fd, sock->receive, taken, MSG_DONTWAIT | MSG_TRUNC) != taken) {
		counters_inc(sock->core->counters, COUNTER_SOCK_ERRORS);
		end(conn);
		return;
	}
	on_something(conn, taken, conn->is_paused ? 0 : SOCK_RECEIVE_SIZE);
}

/*
 * One receive: first into the place that the session names (the ring, when a batch is under way),
 * what follows into the core's buffer, so that a batch's end and the next request cost one call.
 */
static void receive_once(struct sock_conn *conn, int64_t now_ns)
{
	struct sock *sock = conn->sock;
	struct session *session = conn->link.session;
	bool may_keep = has_block(sock);
	struct iovec iov[2];
	bool is_room = session_room(session, &iov[0]);
	size_t room = is_room ? MIN(iov[0].iov_len, (size_t)RECEIVE_MAX) : 0;
	struct msghdr message = { .msg_iov = is_room ? iov : iov + 1,
				  .msg_iovlen = is_room && may_keep ? 2 : 1 };
	ssize_t size;
	size_t direct;

	if (!is_room && !may_keep) {
		receive_looking(conn, now_ns);
		return;
	}
	iov[0].iov_len = room;
	iov[1] = (struct iovec){ .iov_base = sock->receive, .iov_len = SOCK_RECEIVE_SIZE };
	size = recvmsg(conn->fd, &message, MSG_DONTWAIT);
	direct = size > 0 ? MIN((size_t)size, room) : 0;
	if (is_room)
		session_filled(session, direct, now_ns);
	if (size <= 0) {
		on_nothing(conn, size == 0 ? 0 : errno);
		return;
	}
	counters_add(sock->core->counters, COUNTER_SOCK_RX_DIRECT_BYTES, direct);
	if ((size_t)size > direct)
		give(conn, sock->receive, (uint32_t)((size_t)size - direct), now_ns);
	on_something(conn, (size_t)size, may_keep ? room + SOCK_RECEIVE_SIZE : room);
}

static void receive(struct sock_conn *conn, int64_t now_ns)
{
	if (conn->kept != NULL)
		give_kept(conn, now_ns);
	for (uint32_t i = 0; i < RECEIVES_PER_VISIT && conn->is_readable && !conn->is_paused &&
			     !conn->is_closing && !conn->is_ending;
	     i++)
		receive_once(conn, now_ns);
	if (conn->is_readable && !conn->is_paused && !conn->is_closing && !conn->is_ending)
		visit_later(conn);
}

static void on_readable(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct sock_conn *conn = CONTAINER_OF(event, struct sock_conn, readable);

	if ((flags & IORING_CQE_F_MORE) == 0)
		conn->is_polling = false;
	if (conn->is_ending) {
		continue_ending(conn);
		return;
	}
	/* Both ways are shut: nobody reads the answers. */
	if (conn->is_ended && (result < 0 || (result & (POLLHUP | POLLERR)) != 0)) {
		end(conn);
		return;
	}
	conn->is_readable = !conn->is_ended;
	if (result < 0 || (result & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
		conn->is_hung_up = true;
	visit_later(conn);
}

/* @return false: the submission queue is full */
static bool submit_poll(struct sock_conn *conn)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(uring_raw(conn->sock->core->uring));

	if (entry == NULL)
		return false;
	conn->readable.fn = on_readable;
	io_uring_prep_poll_multishot(entry, conn->fd, POLLIN | POLLRDHUP);
	entry->user_data = (uintptr_t)&conn->readable;
	conn->is_polling = true;
	return true;
}

/* Do what there is to do on one connection. */
static void visit(struct sock_conn *conn, int64_t now_ns)
{
	if (conn->is_ending) {
		continue_ending(conn);
		return;
	}
	if (conn->is_closing) {
		if (conn->is_aborting || (!conn->is_sending && conn->link.out.size == 0))
			end(conn);
		return;
	}
	if (!conn->is_polling && !submit_poll(conn)) {
		visit_later(conn);
		return;
	}
	if (!conn->is_paused && !conn->sock->is_stopping)
		receive(conn, now_ns);
	if (conn->is_closing && !conn->is_ending)
		visit_later(conn);
}

/* ---- accepting ---- */

/* What clients of the listener are told. */
static const char *host_of(const struct config *config)
{
	return config->advertised_socket[0] != '\0' ? config->advertised_socket
						    : config->socket_address;
}

static void open_connection(struct sock *sock, int fd)
{
	struct list *node = list_pop_front(&sock->idle);
	struct sock_conn *conn = node != NULL ? LIST_ENTRY(node, struct sock_conn, node) : NULL;
	struct sockaddr_in peer = { 0 };
	socklen_t peer_size = sizeof(peer);
	int one = 1;

	if (conn == NULL || sock->is_stopping ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		goto refuse;
	conn->link = (struct link){ .ops = &ops,
				    .host = host_of(sock->core->config),
				    .peer_address = ntohl(peer.sin_addr.s_addr),
				    .peer_port = ntohs(peer.sin_port) };
	outq_init(&conn->link.out, sock->core->outq_pool);
	if (session_open(sock->core, &conn->link, sock->core->now_ns) < 0)
		goto refuse;
	conn->fd = fd;
	conn->is_polling = conn->is_sending = conn->is_readable = conn->is_hung_up = false;
	conn->is_ended = conn->is_paused = conn->is_closing = conn->is_aborting = false;
	conn->is_ending = conn->is_cancelling = false;
	list_push_back(&sock->open, &conn->node);
	sock->open_count++;
	counters_inc(sock->core->counters, COUNTER_SOCK_ACCEPTED);
	visit_later(conn);
	return;
refuse:
	if (conn != NULL)
		list_push_front(&sock->idle, &conn->node);
	counters_inc(sock->core->counters, COUNTER_SOCK_REFUSED);
	close(fd);
}

void sock_on_backoff(struct timer *timer, int64_t now_ns)
{
	/* Nothing but the end of the wait: sock_poll() accepts again. */
	(void)timer;
	(void)now_ns;
}

static void on_accepted(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct sock *sock = CONTAINER_OF(event, struct sock, accepted);
	struct core *core = sock->core;

	if ((flags & IORING_CQE_F_MORE) == 0)
		sock->is_accepting = false;
	if (result >= 0) {
		open_connection(sock, result);
		return;
	}
	if (sock->is_stopping || result == -ECONNABORTED || result == -EINTR)
		return;
	/* No descriptors or memory: at once again would only spin. */
	counters_inc(core->counters, COUNTER_SOCK_ACCEPT_FAILURES);
	timer_arm(&core->timers, &sock->backoff, core->now_ns + BACKOFF_NS);
}

static bool wants_accept(const struct sock *sock)
{
	return !sock->is_accepting && !sock->is_stopping && !timer_is_armed(&sock->backoff);
}

static void submit_accept(struct sock *sock)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(uring_raw(sock->core->uring));

	if (entry == NULL)
		return;
	sock->accepted.fn = on_accepted;
	/* Not non-blocking: a send that cannot go on waits in the kernel, not here. */
	io_uring_prep_multishot_accept(entry, sock->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	entry->user_data = (uintptr_t)&sock->accepted;
	sock->is_accepting = true;
}

/* ---- the loop's side ---- */

uint32_t sock_poll(struct sock *sock, int64_t now_ns)
{
	uint32_t work = 0;
	struct list todo, *node;

	if (wants_accept(sock))
		submit_accept(sock);
	/* Those visited now may ask for another visit; it comes in the next turn. */
	list_init(&todo);
	while (work < VISITS_PER_TURN_MAX && (node = list_pop_front(&sock->ready)) != NULL) {
		list_push_back(&todo, node);
		work++;
	}
	sock->turn_size = 0;
	while (sock->turn_size < TURN_SIZE_MAX && (node = list_pop_front(&todo)) != NULL)
		visit(LIST_ENTRY(node, struct sock_conn, ready), now_ns);
	/* Who found the turn full comes before who had a share of it. */
	while ((node = todo.prev) != &todo) {
		list_remove(node);
		list_push_front(&sock->ready, node);
	}
	return work + submit_sends(sock);
}

bool sock_is_ready(const struct sock *sock)
{
	return !list_is_empty(&sock->ready) || !list_is_empty(&sock->to_send) || wants_accept(sock);
}

bool sock_stop(struct sock *sock)
{
	struct core *core = sock->core;

	if (!sock->is_stopping) {
		sock->is_stopping = true;
		sock->stop_ns = core->now_ns + STOP_DRAIN_NS;
	}
	timer_disarm(&core->timers, &sock->backoff);
	if (sock->is_accepting && !sock->is_cancelling)
		sock->is_cancelling = uring_cancel(core->uring, &sock->accepted) == 0;
	if (core->now_ns >= sock->stop_ns) {
		LIST_EACH_SAFE(&sock->open, node)
		{
			end(LIST_ENTRY(node, struct sock_conn, node));
		}
	}
	return sock->open_count == 0 && !sock->is_accepting;
}

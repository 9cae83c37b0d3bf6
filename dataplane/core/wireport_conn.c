/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP's connections and the sessions behind them. What a session asks for (send, resume, close) is
 * noted and done in wireport_poll(): a session is never entered again from one of its own calls, and
 * several requests of one turn make one.
 */
#include "dataplane/core/wireport_impl.h"

#include "dataplane/core/hot.h"

static struct wireport_conn *conn_of(struct link *link)
{
	return CONTAINER_OF(link, struct wireport_conn, link);
}

static void want_work(struct wireport_conn *conn)
{
	if (!list_is_linked(&conn->work))
		list_push_back(&conn->port->work, &conn->work);
}

static void link_send(struct link *link)
{
	want_work(conn_of(link));
}

static void link_resume(struct link *link)
{
	conn_of(link)->wants_resume = true;
	want_work(conn_of(link));
}

static void link_close(struct link *link, bool is_abort)
{
	conn_of(link)->wants_close = true;
	conn_of(link)->wants_abort |= is_abort;
	want_work(conn_of(link));
}

static const struct link_ops link_ops = {
	.send = link_send,
	.resume = link_resume,
	.close = link_close,
};

static void release(struct wireport_conn *conn)
{
	outq_clear(&conn->link.out);
	list_remove(&conn->work);
	list_remove(&conn->listed);
	list_push_front(&conn->port->idle, &conn->listed);
	conn->tcb = NULL;
	conn->port->open_count--;
}

static void *on_accept(void *ctx, struct tcb *tcb)
{
	struct wireport *port = ctx;
	const struct tcp_tuple *tuple = tcp_tuple(tcb);
	struct list *node = port->is_stopping ? NULL : list_pop_front(&port->idle);
	struct wireport_conn *conn;

	if (node == NULL)
		return NULL;
	conn = LIST_ENTRY(node, struct wireport_conn, listed);
	conn->tcb = tcb;
	conn->told = 0;
	conn->wants_resume = conn->wants_close = conn->wants_abort = conn->is_shut = false;
	conn->link = (struct link){ .ops = &link_ops,
				    .host = port->host,
				    .peer_address = tuple->peer_address,
				    .peer_port = tuple->peer_port };
	outq_init(&conn->link.out, port->core->outq_pool);
	list_push_back(&port->open, &conn->listed);
	port->open_count++;
	if (session_open(port->core, &conn->link, port->now_ns) != 0) {
		release(conn);
		return NULL;
	}
	counters_inc(port->counters, COUNTER_WIREPORT_ACCEPTED);
	tcp_set_credit(tcb, session_credit(conn->link.session));
	return conn;
}

/* Connections are opened by peers only. */
static void on_connect(void *owner, struct tcb *tcb)
{
	(void)owner;
	(void)tcb;
	WRONG("no active opens here");
}

/* @return how many of `size` bytes this turn still has time for */
static size_t turn_room(struct wireport_conn *conn, size_t size)
{
	struct wireport *port = conn->port;

	if (conn->turn != port->turn) {
		conn->turn = port->turn;
		conn->turn_size = 0;
	}
	size = MIN(size, (size_t)(WIREPORT_TURN_CONN_SIZE - conn->turn_size));
	return MIN(size, (size_t)(port->turn_max - port->turn_size));
}

static size_t on_data(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	struct wireport_conn *conn = owner;
	size_t room = turn_room(conn, size), taken = 0;

	if (room > 0)
		taken = session_input(conn->link.session, bytes, room, conn->port->now_ns);
	CHECK(taken <= room);
	conn->turn_size += (uint32_t)taken;
	conn->port->turn_size += (uint32_t)taken;
	if (taken == room && room < size) {
		/* The session would take more: the next turn offers it. */
		counters_inc(conn->port->counters, COUNTER_WIREPORT_TURN_FULL);
		link_resume(&conn->link);
	}
	tcp_set_credit(tcb, session_credit(conn->link.session));
	return taken;
}

/* A client that sends no more may still read: the session closes when it owes nothing. */
static void on_eof(void *owner, struct tcb *tcb)
{
	struct wireport_conn *conn = owner;

	(void)tcb;
	if (!session_eof(conn->link.session))
		link_close(&conn->link, false);
}

static void on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	struct wireport_conn *conn = owner;

	(void)tcb;
	CHECK(size <= conn->told);
	outq_pop(&conn->link.out, size);
	conn->told -= size;
}

static void on_close(void *owner, enum tcp_close_reason reason)
{
	struct wireport_conn *conn = owner;

	(void)reason; /* counted by the stack */
	session_close(&conn->link);
	release(conn);
}

static void hold(void *ctx, void *buffer)
{
	nic_packet_hold(((struct wireport *)ctx)->nic, buffer);
}

static void release_buffer(void *ctx, void *buffer)
{
	struct wireport *port = ctx;

	nic_packet_free(port->nic, port->queue, buffer);
}

const struct tcp_ops wireport_tcp_ops = {
	.emit = wireport_send_segment,
	.on_accept = on_accept,
	.on_connect = on_connect,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_acked = on_acked,
	.on_close = on_close,
	.hold = hold,
	.release = release_buffer,
};

static void serve(struct wireport_conn *conn)
{
	int64_t now_ns = conn->port->now_ns;

	if (conn->wants_abort) {
		tcp_abort(conn->tcb, now_ns);
		return;
	}
	if (conn->wants_resume) {
		conn->wants_resume = false;
		tcp_set_credit(conn->tcb, session_credit(conn->link.session));
		tcp_resume(conn->tcb, now_ns);
		if (conn->tcb == NULL)
			return;
	}
	if (!conn->is_shut && conn->link.out.size > conn->told) {
		uint64_t size = conn->link.out.size - conn->told;

		conn->told += size;
		tcp_send(conn->tcb, size, now_ns);
		if (conn->tcb == NULL)
			return;
	}
	if (conn->wants_close && !conn->is_shut) {
		conn->is_shut = true;
		tcp_shutdown(conn->tcb, now_ns);
	}
}

uint32_t wireport_conn_work(struct wireport *port)
{
	/* Each once: what is wanted meanwhile waits for the next turn. */
	struct list turn, later;
	struct list *node;
	uint32_t count = 0;

	if (list_is_empty(&port->work))
		return 0;
	turn = port->work;
	turn.next->prev = turn.prev->next = &turn;
	list_init(&port->work);
	list_init(&later);
	while ((node = list_pop_front(&turn)) != NULL) {
		struct wireport_conn *conn = LIST_ENTRY(node, struct wireport_conn, work);

		if (conn->wants_resume && !conn->wants_abort && port->turn_size >= port->turn_max) {
			list_push_back(&later, node);
			continue;
		}
		serve(conn);
		count++;
	}
	/* Who found the turn full comes before who had a share of it. */
	while ((node = later.prev) != &later) {
		list_remove(node);
		list_push_front(&port->work, node);
	}
	return count;
}

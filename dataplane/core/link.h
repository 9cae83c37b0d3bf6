/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The seam between a transport (kernel sockets, own TCP over DPDK) and the session that speaks Kafka.
 *
 * A transport embeds `struct link` in each of its connections and hands received bytes, in order, to
 * session_input(). The session copies or consumes what it can; fewer bytes taken than given means
 * back-pressure: the transport keeps the rest (and lets its window close) until ops->resume().
 * Before it receives a large piece a transport may ask session_room() where the next plain bytes go
 * (a batch under way: the partition ring) and receive straight into it, then say session_filled().
 * Output is the session's outq: ops->send() says it grew; the transport sends from it and pops what
 * is sent (sockets) or acknowledged (TCP).
 *
 * Context: owning core. Source: DESIGN section 3 (transports, the TLS seam).
 */
#pragma once

#include <sys/uio.h>

#include "base/defs.h"

#include "dataplane/core/outq.h"

struct link;
struct session;
struct core;

struct link_ops {
	/** The output queue grew: send when it can. Never re-enters the session. */
	void (*send)(struct link *link);
	/** The session can take input again: hand over what was kept, from the next loop turn on. */
	void (*resume)(struct link *link);
	/** Close once the output queue is empty (`is_abort` false) or at once. The transport calls
	    session_close() when the connection is gone. */
	void (*close)(struct link *link, bool is_abort);
};

struct link {
	const struct link_ops *ops;
	struct session *session; /* NULL before session_open() and after session_close() */
	const char *host;      /* told to this client as every broker's: it came by this address */
	uint32_t peer_address; /* IPv4, host byte order */
	uint16_t peer_port;
	struct outq out;
};

/**
 * A connection was accepted.
 *
 * @return 0, link->session is set; -ENOBUFS too many connections: refuse it (counted)
 */
NODISCARD int session_open(struct core *core, struct link *link, int64_t now_ns);

/** The connection is gone; link->session becomes NULL. The transport clears link->out afterwards. */
void session_close(struct link *link);

/**
 * Received bytes, in order.
 *
 * @return bytes taken; fewer than `size` means wait for ops->resume(); all are taken after a
 *         protocol error (the session has asked for close)
 */
size_t session_input(struct session *session, const uint8_t *bytes, size_t size, int64_t now_ns);

/**
 * Where the next plain bytes go, when that is a large known place.
 *
 * @param[out] ret_room  contiguous memory
 * @return false: use session_input()
 */
bool session_room(struct session *session, struct iovec *ret_room);

/**
 * [size] bytes were received into the room that session_room() gave last; 0 gives it back unused. Until
 * then (or session_close(), before which nothing may write there any more) the room stays reserved.
 */
void session_filled(struct session *session, size_t size, int64_t now_ns);

/**
 * The peer ended its input and every byte of it was taken. What it asked for is still answered, as
 * Kafka does it: a client may half close and wait. A request that is not complete is dropped.
 *
 * @return true: answers are owed; the session calls ops->close(link, false) with the last one, or
 *         when they take longer than an idle connection may; false: nothing is owed, close now
 */
NODISCARD bool session_eof(struct session *session);

/** @return credit for the receive window, bytes the session could take soon; 0 when it is blocked */
uint32_t session_credit(const struct session *session);

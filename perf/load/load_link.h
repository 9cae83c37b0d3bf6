/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The seam between what the driver says and what carries it: load_sock.c are kernel sockets,
 * load_wire.c is own TCP on a port.
 *
 * Context: one thread; callbacks run inside load_net_poll() and load_link_flush(). Memory: links are
 * their owners'; a net is freed after its links are closed.
 */
#pragma once

#include "base/list.h"

#include "perf/load/load_frame.h"
#include "perf/load/load_sendq.h"

struct load_link;
struct load_net;

/** Events of a connection; every member is set. */
struct load_link_ops {
	void (*on_open)(struct load_link *link);
	/** @param bytes  [kept] of a frame of `size` bytes, its prefix taken off */
	void (*on_frame)(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size);
	/** The connection is gone; not called for load_link_close(). @param error  0 or -errno */
	void (*on_close)(struct load_link *link, int error);
};

struct load_link {
	struct load_sendq out;
	struct load_frame in;
	const struct load_link_ops *ops;
	struct load_net *net; /* NULL: closed */
	int fd;               /* kernel sockets */
	bool is_open;
	bool is_blocked; /* kernel sockets: the send buffer is full */
	void *tcb;       /* own TCP */
	uint64_t told;   /* own TCP: bytes of `out` that it knows of */
	void *owner;
};

struct load_net_ops {
	int (*connect)(struct load_net *net, struct load_link *link, uint32_t address,
		       uint16_t port);
	void (*flush)(struct load_net *net, struct load_link *link);
	void (*close)(struct load_net *net, struct load_link *link);
	int (*listen)(struct load_net *net, uint32_t address, uint16_t port,
		      struct load_link *(*on_accept)(void *ctx), void *ctx);
	void (*poll)(struct load_net *net, int64_t timeout_ns);
	void (*free)(struct load_net *net);
};

struct load_net {
	const struct load_net_ops *ops;
	int64_t idle_ns; /* own TCP: time spent in polls that found nothing, and in sleeps */
};

/**
 * Begin a connection; on_open or on_close follow.
 *
 * @param link      its `out` and `in` are made, its `ops` and `owner` set
 * @param address   host byte order
 * @return 0; -errno
 */
NODISCARD static inline int load_link_connect(struct load_net *net, struct load_link *link,
					      uint32_t address, uint16_t port)
{
	return net->ops->connect(net, link, address, port);
}

/**
 * Accept connections; once.
 *
 * @param address    host byte order; own TCP has one of its own and does not look
 * @param on_accept  makes a link, its `in` and `out` made, its `ops` and `owner` set; NULL: refuse
 * @return 0; -errno
 */
NODISCARD static inline int load_net_listen(struct load_net *net, uint32_t address, uint16_t port,
					    struct load_link *(*on_accept)(void *ctx), void *ctx)
{
	return net->ops->listen(net, address, port, on_accept, ctx);
}

/** Send what was queued. A failure is told by on_close, from inside. */
static inline void load_link_flush(struct load_link *link)
{
	if (link->net != NULL && link->is_open)
		link->net->ops->flush(link->net, link);
}

/** Close at once; harmless when it is closed. */
static inline void load_link_close(struct load_link *link)
{
	if (link->net != NULL)
		link->net->ops->close(link->net, link);
}

/** Run events; wait for the first as long as `timeout_ns`. */
static inline void load_net_poll(struct load_net *net, int64_t timeout_ns)
{
	net->ops->poll(net, timeout_ns);
}

static inline void load_net_free(struct load_net *net)
{
	if (net != NULL)
		net->ops->free(net);
}

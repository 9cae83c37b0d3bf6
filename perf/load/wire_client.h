/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Programs of ours as a host on the wire: a port of dataplane/nic, ARP, IPv4 and own TCP on one
 * thread, opening and accepting connections. What load drivers and the tests against other stacks
 * stand on; the box itself has dataplane/core/wireport.h.
 *
 * The owner calls wire_client_poll() in a loop and wire_client_wait() when it had nothing to do.
 * Callbacks come from inside wire_client_poll() and wire_client_resume(); every call below but
 * wire_client_poll(), wire_client_wait() and wire_client_close() is allowed inside them.
 *
 * Context: the thread that called wire_client_open(). Memory: the port's buffers, with four windows
 * of full segments for what comes out of order, connections_max output queues of output_size bytes,
 * and TCP's own, all at wire_client_open().
 */
#pragma once

#include "base/counters.h"
#include "base/defs.h"

#include "dataplane/nic/nic.h"
#include "dataplane/tcp/tcp.h"

struct wire_client;
struct wire_conn;

struct wire_client_config {
	const char *port;    /* nic_config.port */
	uint16_t mtu;        /* bytes of IP packet */
	const char *address; /* ours, "10.0.0.1" */
	const char *gateway; /* NULL: none */
	uint32_t prefix;     /* bits of the network */
	uint32_t connections_max;
	uint32_t output_size; /* bytes of a connection's output queue, a power of two; not used with
				  on_payload */
	uint32_t window_max;  /* bytes of receive window; 0: 1 MiB */
	uint32_t keepalive_ms; /* 0: off */
	uint32_t time_wait_ms; /* 0: 2000 */
	enum tcp_cc_algorithm congestion;
	enum tcp_ecn_policy ecn;
	bool has_pacing;
};

/** Every member is set but on_payload, which may be. */
struct wire_client_ops {
	/** A peer connected. @return owner pointer; NULL: reset it */
	void *(*on_accept)(void *ctx, struct wire_conn *conn);
	/** wire_client_connect() succeeded (else on_close only). */
	void (*on_open)(void *owner, struct wire_conn *conn);
	/** In-order bytes. @return bytes consumed; the rest is offered again after
	    wire_client_resume() */
	size_t (*on_data)(void *owner, struct wire_conn *conn, const uint8_t *bytes, size_t size);
	/** The peer will send nothing more. */
	void (*on_eof)(void *owner, struct wire_conn *conn);
	/** `size` more bytes were acknowledged: there is room in the output queue. */
	void (*on_acked)(void *owner, struct wire_conn *conn, uint64_t size);
	/** With it the output queue is the owner's, and wire_client_queue() tells what is in it: copy
	    [size] bytes, the first `pos` behind the oldest that is not acknowledged.
	    @return their sum for the Internet checksum, at an even place */
	uint64_t (*on_payload)(void *owner, uint64_t pos, uint8_t *to, uint32_t size);
	/** The connection is gone; `conn` is invalid after this returns. */
	void (*on_close)(void *owner, enum tcp_close_reason reason);
};

/**
 * @param ops, ctx     borrowed until wire_client_close()
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -errno
 */
NODISCARD int wire_client_open(const struct wire_client_config *config,
			       const struct wire_client_ops *ops, void *ctx,
			       struct wire_client **ret_client, char *reterr, size_t reterr_size);
/** Connections are forgotten, not reset; calls nothing. NULL is fine. */
void wire_client_close(struct wire_client *client);

/** @return 0; -EINVAL port 0 */
NODISCARD int wire_client_listen(struct wire_client *client, uint16_t port);

/**
 * @param local_port  0: one that is free
 * @return 0, and on_open or on_close follows, perhaps before it returns; -EADDRINUSE; -ENOBUFS
 */
NODISCARD int wire_client_connect(struct wire_client *client, const char *address, uint16_t port,
				  uint16_t local_port, void *owner);

/** Receive, run TCP and its timers, send; what the port has no room for is sent in a later call.
    @return work done, 0 for none */
uint32_t wire_client_poll(struct wire_client *client);

/** Sleep until frames wait or a timer is due, `max_ns` at most. */
void wire_client_wait(struct wire_client *client, int64_t max_ns);

/** @return contiguous room in the output queue, to be filled and told by wire_client_commit() */
uint8_t *wire_client_room(struct wire_conn *conn, size_t *ret_size);
/** `size` bytes of the room are written: send them. Not after wire_client_shutdown(). */
void wire_client_commit(struct wire_conn *conn, size_t size);
/** Append a copy. @return bytes taken, less than `size` when the queue is full */
NODISCARD size_t wire_client_send(struct wire_conn *conn, const void *bytes, size_t size);
/** `size` more bytes are in the owner's queue: send them. Instead of the three above, with
    on_payload. */
void wire_client_queue(struct wire_conn *conn, uint64_t size);
/** @return bytes sent or waiting, not yet acknowledged */
uint64_t wire_client_unacked(const struct wire_conn *conn);

/** The owner can consume again. */
void wire_client_resume(struct wire_conn *conn);
/** Nothing more is sent after what is queued. */
void wire_client_shutdown(struct wire_conn *conn);
/** Reset at once; on_close comes before it returns. */
void wire_client_abort(struct wire_conn *conn);

const struct tcp_tuple *wire_client_tuple(const struct wire_conn *conn);
/** Counters of TCP and of the frames (wireport_...). */
const struct counters *wire_client_counters(const struct wire_client *client);
struct nic *wire_client_nic(struct wire_client *client);

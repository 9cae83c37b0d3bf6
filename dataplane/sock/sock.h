/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The kernel-socket transport of one core: a listener and its connections on the core's io_uring.
 *
 * Accepting and readiness are multishot operations, sending is one sendmsg at a time per connection,
 * gathered from the session's output queue. Receiving is a non-blocking recv straight into the place
 * the session names for a large batch, else through one small buffer per core; so no operation in
 * the kernel ever holds ring memory, and a connection that waits costs no buffer.
 *
 * What a session does not take is kept in a block of a pool that all connections of the core share,
 * one at most each. While the pool is empty nobody waits for a block: a receive looks at the bytes,
 * and takes from the socket only what the session took (one more system call, counted). So those that
 * hold the blocks, for however long, cost the others no bytes and no turn.
 *
 * Context: owning core; sock_new() and sock_free() before and after it runs.
 * Memory: the sum in sock_new.c, fixed at sock_new(). Limits: max.connections.
 */
#pragma once

#include "base/defs.h"

struct sock;
struct core;

/**
 * Bind and listen on `address`:`port`.
 *
 * @param connections_max  more are refused (counted)
 * @param[out] reterr      [reterr_size] what failed and the remedy
 * @return 0; -errno
 */
NODISCARD int sock_new(struct core *core, const char *address, uint16_t port,
		       uint32_t connections_max, struct sock **ret_sock, char *reterr,
		       size_t reterr_size);

/** @return bytes that it takes at most */
uint64_t sock_size(uint32_t connections_max);

/** After sock_stop() said that it is done, or when the core never ran. NULL is accepted. */
void sock_free(struct sock *sock);

/** Receive on ready connections and do what was put off. @return work done */
uint32_t sock_poll(struct sock *sock, int64_t now_ns);

/** @return whether sock_poll() has something to do at once */
bool sock_is_ready(const struct sock *sock);

/** Stop listening and close every connection; call each turn. @return true: nothing is left */
bool sock_stop(struct sock *sock);

/** @return port it listens on */
uint16_t sock_port(const struct sock *sock);

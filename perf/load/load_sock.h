/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Connections of the load driver on kernel sockets, by epoll.
 *
 * Context: one thread. Memory: one receive buffer of 1 MiB. Limits: descriptors of the process.
 */
#pragma once

#include "perf/load/load_link.h"

/** @return NULL out of memory or descriptors */
struct load_net *load_sock_new(void);

/**
 * Accept connections.
 *
 * @param on_accept  gives the link of a new connection, made as for load_link_connect(); NULL: none
 * @return 0; -errno
 */
NODISCARD int load_sock_listen(struct load_net *net, uint32_t address, uint16_t port,
			       struct load_link *(*on_accept)(void *ctx), void *ctx);

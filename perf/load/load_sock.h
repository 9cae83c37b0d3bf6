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

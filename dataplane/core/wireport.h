/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The kernel-bypass transport of one core: a port's queue, the network layer and TCP, joined to
 * sessions (link.h).
 *
 * Context: owning core; wireport_new() and wireport_free() before and after it runs.
 * Memory: fixed at wireport_new(). Limits: max.connections.
 */
#pragma once

#include "base/defs.h"

struct config;
struct core;
struct nic;
struct wireport;

/**
 * Join core, queue `core->index` of `nic` and a TCP stack; listens on port + core->index at the
 * configured address.
 *
 * @param nic          borrowed until wireport_free(); closed by its opener
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -errno
 */
NODISCARD int wireport_new(struct core *core, struct nic *nic, struct wireport **ret_port,
			   char *reterr, size_t reterr_size);
void wireport_free(struct wireport *port);
/** @return bytes that it takes, TCP's included, packet buffers aside */
uint64_t wireport_size(const struct config *config);

/** Register the calling thread with the port's library. @context the core's thread, first call */
NODISCARD int wireport_thread_begin(struct wireport *port);

/** Receive, run TCP and its timers, send. @return work done, 0 for none */
uint32_t wireport_poll(struct wireport *port, int64_t now_ns);

/** @return descriptor that is readable when frames wait; -1: the port has none and must be polled */
int wireport_wait_fd(const struct wireport *port);

/** @return when wireport_poll() is due without any packet; INT64_MAX never */
int64_t wireport_next_ns(const struct wireport *port);

/** Stop listening and close every connection; call each turn. @return true: nothing is left */
bool wireport_stop(struct wireport *port, int64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The kernel-bypass transport of one core: for each port of the box a queue, the network layer and TCP,
 * joined to sessions (link.h).
 *
 * A core with several ports has a list of them behind core->wireport, and what follows is asked of the
 * first for all: each is polled in each turn, for a burst and an equal share of the payload that a turn
 * takes. A port has its own addresses, TCP with secrets, listener and connections, and its own waiting
 * frames; sessions and their memory are the core's, for all ports and kernel sockets together.
 *
 * Context: owning core; wireport_new() and wireport_free() before and after it runs.
 * Memory: fixed at wireport_new(). Limits: max.connections a port, and of sessions for all.
 */
#pragma once

#include "base/defs.h"

struct config;
struct core;
struct nic;
struct portlist_port;
struct wireport;

/**
 * Join core, queue `core->index` of `nic` and a TCP stack; listens on port + core->index at the port's
 * address. It becomes the last of core->wireport.
 *
 * @param nic          borrowed until wireport_free(); closed by its opener
 * @param settings     addresses and the name that clients are told
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -errno
 */
NODISCARD int wireport_new(struct core *core, struct nic *nic, const struct portlist_port *settings,
			   char *reterr, size_t reterr_size);
/** Take one port out of core->wireport. NULL is accepted. */
void wireport_free(struct wireport *port);
/** @return bytes that each takes, TCP's included, packet buffers aside */
uint64_t wireport_size(const struct config *config);

/** @return the port of the list that is queue `core->index` of `nic`; NULL: none */
struct wireport *wireport_find(struct wireport *port, const struct nic *nic);

/**
 * All ports are there: register the calling thread with their library, and join the descriptors to sleep
 * on, if there are several.
 *
 * @return 0; -errno
 * @context the core's thread, before its first wireport_poll()
 */
NODISCARD int wireport_thread_begin(struct wireport *port);

/** Receive, run TCP and its timers, send. @return work done, 0 for none */
uint32_t wireport_poll(struct wireport *port, int64_t now_ns);

/** What becomes of a core that has nothing to do. */
enum wireport_sleep {
	WIREPORT_SLEEP,      /* it may, on wireport_wait_fd() */
	WIREPORT_LOOK_AGAIN, /* it may, when the next wireport_poll() finds nothing */
	WIREPORT_BLIND,      /* a port wakes nobody: it must be polled */
};

/** Have the ports wake the core from now on. */
enum wireport_sleep wireport_sleep_begin(struct wireport *port);
/** Awake, or there was something to do: they need not any more. */
void wireport_sleep_end(struct wireport *port);

/** @return descriptor that is readable when frames wait; -1: a port has none and must be polled */
int wireport_wait_fd(const struct wireport *port);

/** @return when wireport_poll() is due without any packet; INT64_MAX never */
int64_t wireport_next_ns(const struct wireport *port);

/** Stop listening and close every connection; call each turn. @return true: nothing is left */
bool wireport_stop(struct wireport *port, int64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One poll-mode core: what it owns, and its loop.
 *
 * Everything here belongs to the core's thread. Other threads reach it through the mesh only.
 *
 * Memory: made by core_new() from the written sum in core.c; nothing is allocated while it runs.
 */
#pragma once

#include "base/config.h"
#include "base/counters.h"
#include "base/defs.h"
#include "base/hist.h"
#include "base/list.h"
#include "base/timers.h"

#include "dataplane/core/link.h"
#include "dataplane/core/mesh.h"
#include "dataplane/core/topics.h"

struct channel;  /* command and upcall rings of this core (channel.h) */
struct sessions; /* sessions, requests and fetch sessions of this core (session.c) */
struct sock;     /* kernel-socket transport (dataplane/sock/sock.h); NULL: not configured */
struct wireport; /* own TCP over a NIC (wireport.h); NULL: not configured */

/** A descriptor's one-shot poll that ends the sleep. */
struct core_wake {
	struct uring_event event;
	bool is_armed;
};

struct core_args {
	uint32_t index;
	uint32_t count;
	const struct config *config;
	struct mesh *mesh;
	struct chunk_pool *chunks;
	struct counters *counters;
	struct hist *flush_ns;
	int lock_fd; /* -1: none */
};

struct core {
	uint32_t index;
	uint32_t count; /* cores of the box */
	const struct config *config;
	struct mesh *mesh;
	struct uring *uring;
	struct chunk_pool *chunks;
	struct outq_pool *outq_pool;
	struct counters *counters;
	struct hist *flush_ns; /* commit rounds: submit to durable; shared memory */
	struct timers timers;
	const struct topics *topics; /* newest table handed over; never NULL, empty at first */
	struct list dirty;           /* struct partition.dirty: flushed at the end of the turn */
	struct seglog_core seglog_core;
	struct channel *channel;
	struct sessions *sessions;
	struct sock *sock;
	struct wireport *wireport;
	int64_t now_ns; /* of this turn */
	int64_t now_ms; /* wall clock of this turn */
	bool stop;      /* from the core's own thread only: end the loop */
	/* private to core.c and core_new.c */
	struct core_args args;
	struct topics *topics_empty;
	struct list detaching;      /* struct core_item.node: logs with operations in flight */
	struct core_wake mesh_wake; /* what ends an idle core's sleep */
	struct core_wake port_wake;
	int64_t idle_since_ns;       /* first turn without work; 0: the last one had some */
	int64_t begin_ns;            /* of the loop */
	int64_t spin_ns;             /* without work, before it sleeps; INT64_MAX: never */
	int64_t calibrate_ns;        /* known work of each millisecond; 0: none */
	int64_t calibrate_at_ns;     /* when it is due */
	uint64_t turn_cycles;        /* clock_cycles() at the end of the last turn */
	bool is_serving;             /* the first table came: transports may run */
	bool is_stopping;            /* transports are being closed */
	struct core_item *stop_item; /* waits for the last connection; NULL: none */
};

/**
 * Make a core: output blocks, channel, an empty table, timers. Transports and sessions are added by
 * the caller.
 *
 * @return NULL out of memory
 */
struct core *core_new(const struct core_args *args);
/** @return bytes that a core takes at most without sessions, transports and the ring itself */
uint64_t core_size(const struct config *config);
/** The loop has ended. NULL is accepted; everything the core holds must be gone but its own parts. */
void core_free(struct core *core);

/**
 * Open the io_uring with the chunks' memory and the data directory's lock registered in it.
 *
 * @context the core's own thread, before core_run(): a ring belongs to the thread that opens it
 * @return 0; -errno
 */
NODISCARD int core_ring_open(struct core *core);
void core_ring_close(struct core *core);

/** The loop, until core->stop. @context the core's own thread */
void core_run(struct core *core);

/** What the housekeeper asks of a core; sent back with `run` set to `reply`. */
struct core_item {
	struct mesh_item item; /* run: one of the core_on_x() below */
	struct list node;      /* the core's */
	void (*reply)(void *housekeeper, struct mesh_item *item);
	const struct topics *topics; /* core_on_topics() */
	struct partition *partition; /* core_on_attach(), core_on_detach(), core_on_configure() */
	struct seglog *log;          /* core_on_attach() */
	struct seglog_settings settings; /* core_on_configure() */
	int error;                       /* out */
};
/** Serve a new table. */
void core_on_topics(void *core, struct mesh_item *item);
/** Attach a log. */
void core_on_attach(void *core, struct mesh_item *item);
/** Detach a log; the reply comes when nothing of it is in flight. */
void core_on_detach(void *core, struct mesh_item *item);
/** New topic configuration. */
void core_on_configure(void *core, struct mesh_item *item);
/** partition->nudge: flush a log that the housekeeper has changed. No reply. */
void core_on_nudge(void *core, struct mesh_item *item);
/** Close the transports; the reply comes when no connection is left. */
void core_on_stop_transports(void *core, struct mesh_item *item);
/** End the loop. No reply. */
void core_on_stop(void *core, struct mesh_item *item);

/** Broker id of a core in answers. */
static inline int32_t core_node_id(const struct core *core, uint32_t index)
{
	return (int32_t)(core->config->box_id + index);
}

/** Mark a partition for the flush at the end of this turn. */
static inline void core_mark_dirty(struct core *core, struct partition *partition)
{
	if (!list_is_linked(&partition->dirty))
		list_push_back(&core->dirty, &partition->dirty);
}

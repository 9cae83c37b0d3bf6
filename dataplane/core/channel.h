/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One core's end of the command and upcall rings (command.h, upcall.h).
 *
 * The housekeeper's channel_server maps the rings that control brings and hands each core its pair
 * through the mesh; a new connection replaces the old one. When a connection goes, or its rings
 * break the format, the core drops it whole and calls sessions_control_lost(). Commands go to
 * sessions_reply(), partition_append_command() and, for snapshots, to the housekeeper; each record's
 * sizes are checked before.
 *
 * Context: owning core, except channel_new() and channel_free(). Memory: fixed at channel_new().
 * Limits: CHANNEL_SNAPSHOTS_MAX snapshot commands under way at once; more wait in the ring.
 */
#pragma once

#include "base/defs.h"
#include "storage/bytering.h"
#include "storage/uring.h"

#include "dataplane/core/command.h"
#include "dataplane/core/mesh.h"
#include "dataplane/core/upcall.h"

#define CHANNEL_SNAPSHOTS_MAX 16

struct core;
struct channel;

/**
 * One core's rings of one connection. Life: install > in use > let go (dropped by the server,
 * replaced or broken) > drop seen and its poll ended > released. The server always sends drop, once.
 */
struct channel_port {
	struct mesh_item install; /* server > core */
	struct mesh_item drop;    /* server > core, after install: the connection is gone */
	struct mesh_item
		broken; /* core > server: the rings break the format, close the connection */
	struct mesh_item released; /* core > server: the core is done with it */
	struct bytering *commands;
	struct bytering *upcalls;
	int wake_fd;    /* eventfd that control writes after commands */
	int control_fd; /* eventfd that wakes control */
	void *link;     /* the server's */
	/* the core's */
	struct core *core;
	struct uring_event wake;
	bool is_armed;
	bool is_let_go;
	bool is_drop_seen;
};

/** A COMMAND_SNAPSHOT on its way to the housekeeper and back. */
struct channel_snapshot {
	struct mesh_item item;
	struct core *core;
	uint64_t connection; /* private: which connection asked */
	uint64_t cookie;
	uint64_t generation; /* in: asked for; out: served by every core */
	struct list node;    /* private */
};

/** @return NULL out of memory */
struct channel *channel_new(struct core *core);
void channel_free(struct channel *channel);

/** @return whether control is there; when not, requests for it are answered by retriable errors */
bool channel_is_connected(const struct core *core);

/** @return the present connection's number, never used again; 0: not connected */
uint64_t channel_connection(const struct core *core);

/**
 * Room for an upcall.
 *
 * @param size  bytes of the whole record; header.core and header.size are filled in, the caller
 *              sets header.kind and all else
 * @return NULL when not connected or the ring is full (counted)
 */
void *channel_claim(struct core *core, uint32_t size);

/** Publish the claimed upcall, possibly shorter; control is woken at the end of the turn. */
void channel_publish(struct core *core, uint32_t size);

/** Run commands. @return commands run, at most `max` */
uint32_t channel_poll(struct core *core, uint32_t max);

/** End of a turn: wake control when something was published. */
void channel_flush(struct core *core);

/** Arm the wake-up for an idle core's sleep. @return false: do not sleep */
bool channel_sleep_begin(struct core *core);

/** Ports: what the server's mesh items run on the core. */
void channel_on_install(void *core, struct mesh_item *item);
void channel_on_drop(void *core, struct mesh_item *item);

/** A snapshot command comes back from the housekeeper: UPCALL_SNAPSHOT is sent. */
void channel_on_snapshot_done(void *core, struct mesh_item *item);

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
	const struct topics *topics; /* newest table handed over; never NULL once running */
	struct list dirty;           /* struct partition.dirty: flushed at the end of the turn */
	struct seglog_core seglog_core;
	struct channel *channel;
	struct sessions *sessions;
	struct sock *sock;
	struct wireport *wireport;
	int64_t now_ns; /* of this turn */
	int64_t now_ms; /* wall clock of this turn */
	bool stop;
};

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

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * All sessions of one core, as the loop sees them. Transports use link.h instead.
 *
 * Context: the owning core; sessions_new() and sessions_free() before and after it runs.
 * Memory: pools sized from the configuration by the sum written in session_pool.c; nothing later.
 */
#pragma once

#include "base/defs.h"

#include "dataplane/core/command.h"

struct core;
struct sessions;

/**
 * Make the session side of `core`, which has config, counters, chunks, outq_pool, timers and mesh.
 *
 * @return NULL out of memory. The caller sets core->sessions to it before the core runs.
 */
struct sessions *sessions_new(struct core *core);
/** @return bytes that they take at most for so many connections, chunks aside */
uint64_t sessions_size(uint32_t connections);

/** After the loop ended and every link was closed. NULL is accepted. */
void sessions_free(struct sessions *sessions);

/** Control answered an upcall. An unknown cookie (the client went away) is counted and ignored. */
void sessions_reply(struct core *core, const struct command_reply *reply);

/** The channel is gone: parked requests get retriable errors. */
void sessions_control_lost(struct core *core);

/** Somebody waits for memory: in a while look again, and for whom it is that holds it. */
void sessions_memory_short(struct core *core);

/**
 * End of a loop turn, after completions and before flushes are submitted: answer woken fetches, let
 * blocked sessions try again.
 *
 * @return work done, 0 for none
 */
uint32_t sessions_turn_end(struct core *core);

/** @return open connections of the core */
uint32_t sessions_count(const struct core *core);

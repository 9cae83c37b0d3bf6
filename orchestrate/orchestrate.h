/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Pipelines inside control: joins the engine with the store, the clock, those who run attempts and the
 * HTTP API. A guest of control's loop.
 *
 * A turn: what was heard goes to the engine, the engine's changes go to the store as one transaction, and what
 * waited for earlier turns that are durable now is carried out: attempts started and cancelled, calls answered.
 *
 * Files, below <data>/orchestrate: state.db, key, logs/<dag>/<run>/<task>/<try>.log, attempts/.
 *
 * Context: control's loop. Memory: heap.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"
#include "storage/partitions.h"

#include "control/http/http.h"

struct orchestrate;

struct orchestrate_config {
	const struct config *config; /* borrowed for life */
	int attempt_fd; /* of orchestrate_open_program(), for life; negative: pipelines cannot be run */
	/** @return the dataplane's table; NULL: none yet */
	const struct partitions *(*partitions)(void *ctx);
	void *ctx;
};

/**
 * Open millrace-attempt, which is beside this program, or where a build has it. To be called before privileges
 * are given up: a program may lie in a folder that only its owner enters.
 *
 * @return descriptor, the caller's to close; -errno
 */
NODISCARD int orchestrate_open_program(void);

/**
 * Read the state and go on where it was. Without a usable state the rest of control goes on: it opens all the same
 * and answers each call with what is wrong, which is on the log too.
 *
 * @return 0; -ENOMEM
 */
NODISCARD int orchestrate_open(const struct orchestrate_config *config,
			       struct orchestrate **ret_orchestrate);
/** Attempts go on without it. Parked calls are left to their server. NULL is accepted. */
void orchestrate_close(struct orchestrate *orchestrate);
DEFINE_CLEANUP(struct orchestrate, orchestrate_close);

/** @return descriptor that is readable when orchestrate_run() has work */
int orchestrate_fd(const struct orchestrate *orchestrate);
/** One turn; never waits. @return when to run again at the latest */
int64_t orchestrate_run(struct orchestrate *orchestrate, int64_t now_ns);

/** Routes whose handlers take the struct orchestrate. @param[out] ret_count  their number */
const struct http_route *orchestrate_routes(uint32_t *ret_count);

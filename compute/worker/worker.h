/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The worker's loop: messages of control, attempts in slots, deadlines, memory, progress.
 *
 * Task instances wait for one of worker.slots; queries of people have one slot of their own, so they
 * do not wait for pipelines.
 *
 * Context: the main thread. Memory: the attempts. Limits: WORKER_ATTEMPTS_MAX attempts known at once.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"

#define WORKER_ATTEMPTS_MAX 100000

struct worker;

/** Bind the socket: done before privileges are dropped, as run.dir is the dataplane's. @return 0; -errno */
NODISCARD int worker_open(const struct config *config, struct worker **ret_worker);
/** Attempts that still run are stopped. */
void worker_close(struct worker *worker);
DEFINE_CLEANUP(struct worker, worker_close);

/** Serve until SIGTERM or SIGINT. @param cpus  [cpu_count]. @return 0; -errno */
NODISCARD int worker_run(struct worker *worker, const uint32_t *cpus, uint32_t cpu_count);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Engines for attempts: one with the usual settings is opened ahead, as opening takes 10 ms, and used ones are
 * closed behind the attempt's back. Each has a spill
 * folder of its own below worker.spill.dir.
 *
 * Context: take and give back from any thread; a thread of its own opens. Memory: one idle engine.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"

#include "compute/duck/duck.h"

struct warmduck;

struct warmduck_engine {
	struct duck *duck;        /* NULL: none */
	struct partitions *table; /* topics as they are now; NULL: no box is running */
	uint64_t number;          /* of its spill folder */
};

/**
 * Removes what earlier processes left in the spill folder, then opens the first engine in the background.
 *
 * @param cpus  [cpu_count] for the threads of engines; borrowed; none: anywhere
 * @return 0; -errno
 */
NODISCARD int warmduck_new(const struct config *config, const uint32_t *cpus, uint32_t cpu_count,
			   struct warmduck **ret_warm);
/** All engines have been given back. */
void warmduck_free(struct warmduck *warm);
DEFINE_CLEANUP(struct warmduck, warmduck_free);

/** @param memory, threads  0: the usual. @return 0; as duck_open() */
NODISCARD int warmduck_take(struct warmduck *warm, int64_t memory, uint32_t threads,
			    struct warmduck_engine *ret_engine, char *reterr, size_t reterr_size);
/** It is closed soon, and its spill folder removed. One without a duck is accepted. */
void warmduck_give_back(struct warmduck *warm, const struct warmduck_engine *engine);

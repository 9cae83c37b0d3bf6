/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The dataplane process from lock to readiness, and back in reverse.
 *
 * Order of a start: data directory and its lock; cluster snapshot; what a killed process left in the
 * rings is written to the segment files; logs are opened and recovered; rings, cores, transports;
 * threads; logs and table are handed to the cores; `ready.dataplane` says so.
 *
 * Files of the run directory: dataplane.sock, partitions, counters, cores, producer-ids, transports,
 * memory, ready.dataplane.
 *
 * Context: main thread. Memory: heap.
 */
#pragma once

#include <pthread.h>
#include <signal.h>

#include "base/config.h"
#include "base/counters.h"
#include "base/defs.h"
#include "storage/chunk.h"
#include "storage/snapshot.h"

#define STARTUP_PATH_MAX 1024

struct box;

enum startup_code {
	STARTUP_OK = 0,
	STARTUP_FAILED = 1,
	STARTUP_USAGE = 2, /* command line or configuration */
	STARTUP_LOCKED = 3 /* another process owns the data directory */
};

/** Bring the box up. Failures are logged. @return STARTUP_OK, ret_box is set; else an exit code */
enum startup_code startup_open(const struct config *config, struct box **ret_box);

/** Serve until *stop is set. */
void startup_serve(struct box *box, const volatile sig_atomic_t *stop);

/** Clean stop. NULL is accepted. @return exit code */
enum startup_code startup_close(struct box *box);

/* ---- parts, in files of their own ---- */

/** Where ring files are: hugetlbfs when it is mounted and has room, else the run directory. */
struct startup_rings {
	char dirs[2][STARTUP_PATH_MAX]; /* candidates, best first; the second may be empty */
	char directory_id[40];
	struct chunk_identity identity;
};

void startup_rings_find(const struct config *config, struct startup_rings *ret_rings);

/**
 * Write the remains in all ring files to the segment files.
 *
 * @param snapshot  names the topics; NULL: there is none
 * @return 0; -errno, the files are left as they are
 */
NODISCARD int startup_rings_salvage(const struct startup_rings *rings, int log_dir_fd,
				    const struct snapshot *snapshot);

/**
 * Open `count` rings in the best place that has room for all; remove ring files that are not used.
 *
 * @return 0; -errno
 */
NODISCARD int startup_rings_open(const struct startup_rings *rings, uint64_t size, uint32_t count,
				 struct chunk_pool **ret_pools);

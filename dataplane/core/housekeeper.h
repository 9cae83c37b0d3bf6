/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The housekeeper: the dataplane's main thread, which does all that may block for the poll cores.
 * It loads cluster snapshots, opens, closes and removes logs, hands tables of topics to the cores,
 * prepares file space and deletes old segments, writes checkpoints, resets a port that asks for it,
 * and serves control's socket.
 *
 * Order of a new snapshot: partitions that are gone are detached and removed first (a topic made
 * anew has the same folder names), new ones are opened and attached, then every core gets the table,
 * then the old table is freed and COMMAND_SNAPSHOT is answered.
 *
 * Context: main thread. Memory: heap.
 */
#pragma once

#include <signal.h>

#include "base/config.h"
#include "base/defs.h"

#include "dataplane/core/core.h"

struct housekeeper;
struct channel_server;
struct nic;
struct shmcounters_port;

struct housekeeper_args {
	const struct config *config;
	uint32_t core_count;
	struct mesh *mesh;
	struct channel_server *server;
	struct partitions *partitions;
	int log_dir_fd;
	bool was_clean;           /* the directory was closed cleanly */
	int32_t epoch_raise;      /* unclean starts so far, added to each leader epoch */
	struct snapshot *initial; /* taken; NULL: nothing to serve yet */
};

/**
 * Open the partitions of the initial snapshot; cores do not run yet, they get their table and logs
 * with their first turn.
 *
 * @return 0; -errno
 */
NODISCARD int housekeeper_new(const struct housekeeper_args *args,
			      struct housekeeper **ret_housekeeper);

/** Cores run now: hand them the logs, then the table, which lets them serve. */
void housekeeper_begin(struct housekeeper *housekeeper);

/**
 * Look after a port, too, from now on: one that asks for a reset gets it, and what it counts is told.
 *
 * @param nic     borrowed
 * @param counts  where it is told
 */
void housekeeper_tend_port(struct housekeeper *housekeeper, struct nic *nic,
			   struct shmcounters_port *counts);

/** Serve until *stop is set (by a signal, which also ends the sleep). */
void housekeeper_run(struct housekeeper *housekeeper, const volatile sig_atomic_t *stop);

/** Cores still run: detach every log, close it, write the last checkpoints. @return 0; -errno */
NODISCARD int housekeeper_close_logs(struct housekeeper *housekeeper);

/**
 * The start failed: close the logs, which no core ever had.
 *
 * @return 0; the first failure: the next start has to recover
 */
NODISCARD int housekeeper_abandon(struct housekeeper *housekeeper);

/** Cores no longer run. NULL is accepted. */
void housekeeper_free(struct housekeeper *housekeeper);

/** Mesh items that cores send here: COMMAND_SNAPSHOT, and a log that wants seglog_housekeep(). */
void housekeeper_on_snapshot(void *housekeeper, struct mesh_item *item);
void housekeeper_on_wanted(void *housekeeper, struct mesh_item *item);

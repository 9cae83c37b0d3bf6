/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the housekeeper: housekeeper.c (its loop, snapshots) and housekeeper_logs.c (opening,
 * closing and checkpoints of logs).
 *
 * Context: main thread. Memory: heap.
 */
#pragma once

#include "base/list.h"
#include "base/portlist.h"
#include "storage/checkpoint.h"
#include "storage/partitions.h"
#include "storage/shmcounters.h"

#include "dataplane/core/housekeeper.h"
#include "dataplane/core/housekeeper_queue.h"

/** A growing array of partitions. */
struct housekeeper_set {
	struct partition **items;
	uint32_t count;
	uint32_t room;
};

struct housekeeper {
	struct housekeeper_args args;
	struct topics *topics;          /* what the cores serve; NULL: the empty table */
	struct housekeeper_set open;    /* partitions whose log is open */
	struct housekeeper_set removed; /* of deleted topics; kept until the end, see topics.h */
	struct list snapshots;          /* struct channel_snapshot.node: to be answered */
	struct housekeeper_queue later; /* of struct partition.later */
	uint32_t outstanding;           /* items that cores have not sent back */
	struct checkpoint *recovery;    /* of the last run; NULL after the start */
	struct seglog_fill fill;        /* of all logs */
	int64_t progress_ns;            /* next progress line of the recovery */
	int64_t housekeep_ns;           /* next round over all logs */
	int64_t checkpoint_ns;          /* next checkpoint */
	struct housekeeper_port {
		struct nic *nic;
		struct shmcounters_port *counts;
	} ports[PORTLIST_MAX]; /* to look after */
	uint32_t port_count;
	int64_t port_ns; /* next look at them */
	int32_t error;   /* first failure of closing a log */
};

/** @return false: out of memory */
NODISCARD bool housekeeper_set_add(struct housekeeper_set *set, struct partition *partition);

/** Serve mesh and channel until every item that was sent to a core came back. */
void housekeeper_wait(struct housekeeper *housekeeper);

/** A core item's reply; counts it. */
void housekeeper_on_reply(void *housekeeper, struct mesh_item *item);

/** Open the log of a new partition. Failures are logged; the partition stays without a log. */
void housekeeper_log_open(struct housekeeper *housekeeper, const struct topic *topic,
			  struct partition *partition);

/** Hand open logs [first, open.count) to their cores, and wait. */
void housekeeper_logs_attach(struct housekeeper *housekeeper, uint32_t first);

/** Detach the logs of the marked partitions (is_swept), and wait. */
void housekeeper_logs_detach(struct housekeeper *housekeeper);

/** Close (or remove from disk) the logs of the marked partitions, which are detached. */
void housekeeper_logs_end(struct housekeeper *housekeeper, bool is_destroy);

/** Tell the cores settings that differ between two tables. */
void housekeeper_logs_configure(struct housekeeper *housekeeper, const struct topics *before,
				const struct topics *after);

/** Write the offset checkpoints. @return 0; -errno */
NODISCARD int housekeeper_checkpoint(const struct housekeeper *housekeeper);

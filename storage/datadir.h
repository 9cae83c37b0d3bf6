/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The data directory: its lock, its identity, and whether it was closed cleanly.
 *
 *     <data>/                           0750
 *     <data>/log/                       a Kafka log directory: <topic>-<partition>/, checkpoints
 *     <data>/log/.lock                  flock of the owner; holds its process id
 *     <data>/log/meta.properties        version, cluster.id, node.id, directory.id, as Kafka
 *     <data>/log/.kafka_cleanshutdown   there after a clean stop only
 *     <data>/metadata/                  control's; its cluster.id is taken over by a new log/
 *
 * One owner: `lock_fd` must be registered in every io_uring that writes below this directory
 * (uring_file_add()), so that the lock outlives a killed owner until its last write has ended.
 *
 * Context: start and stop; blocks. Memory: one heap block. Source: KIP-858; DESIGN section 4.
 */
#pragma once

#include "base/defs.h"
#include "base/uuid.h"

#define DATADIR_PATH_MAX    1024
#define DATADIR_CLUSTER_MAX 64 /* of a cluster id, with the terminating zero */
#define DATADIR_REASON_SIZE 512
#define DATADIR_BOOT_SIZE   40

struct datadir {
	char path[DATADIR_PATH_MAX];     /* <data> */
	char log_path[DATADIR_PATH_MAX]; /* <data>/log */
	int dir_fd;
	int log_fd;
	int lock_fd;
	char cluster_id
		[DATADIR_CLUSTER_MAX]; /* 22 characters when it is ours, any when Kafka made it */
	int32_t node_id;
	struct uuid directory_id;
	bool is_new;    /* made just now: nothing to recover */
	bool was_clean; /* the last owner stopped cleanly: no scan */
};

/**
 * Open or make the directory and take its lock. The clean-stop mark is gone afterwards, durably.
 *
 * @param path          <data>; its parent must exist
 * @param[out] reterr_reason  [DATADIR_REASON_SIZE] a sentence for people, set on failure
 * @return 0; ERR_LOCKED; ERR_CONFIG it belongs to another node id; ERR_UNSUPPORTED, ERR_MALFORMED
 *         meta.properties; -errno
 */
NODISCARD int datadir_open(const char *path, int32_t node_id, struct datadir **ret_datadir,
			   char *reterr_reason);

/** Let go of the lock. NULL is accepted. */
void datadir_close(struct datadir *datadir);

/** Put the clean-stop mark: everything has been written and synced. @return 0; -errno */
NODISCARD int datadir_mark_clean(const struct datadir *datadir);

/** @return bytes that may still be written; -errno */
NODISCARD int64_t datadir_free_size(const struct datadir *datadir);

/** This boot's id, zero-padded, as chunk_identity wants it. @return 0; -errno */
NODISCARD int datadir_boot_id(char ret_id[DATADIR_BOOT_SIZE]);
DEFINE_CLEANUP(struct datadir, datadir_close);

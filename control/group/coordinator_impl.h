/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the files of the coordinator share: coordinator.c (persistence, replay, time), membercalls.c
 * (join to list) and offsetcalls.c (commit, fetch).
 *
 * Context, Memory: as coordinator.h.
 */
#pragma once

#define CONTROL_LAYER

#include "storage/segreader.h"

#include "control/group/coordinator.h"
#include "control/group/grouplog.h"
#include "control/group/rebalance.h"

/** One answer that waits for one or more appends. */
struct coordinator_answer {
	uint64_t token;
	uint32_t waiting; /* appends not yet reported */
	bool failed;
	uint8_t *done_body; /* [done_size]; sent when all succeeded */
	uint32_t done_size;
	uint8_t *fail_body; /* [fail_size] */
	uint32_t fail_size;
};

/** One append under way. */
struct coordinator_append {
	struct list link;
	uint64_t cookie;
	uint64_t ticket; /* of a group's metadata; 0: offsets or tombstones, applied when durable */
	char *group_id;
	struct coordinator_answer *answer; /* NULL: nobody waits */
	uint32_t size;
	uint8_t batch[]; /* [size] */
};

struct coordinator {
	const struct config *config;
	const struct meta *meta;
	const struct parked *parked;
	const struct coordinator_ops *ops;
	void *context;
	struct groups groups;
	struct list appends;
	uint64_t cookie; /* last one given */
	uint8_t *buffer; /* [COORDINATOR_BATCH_MAX] for building batches */
	uint8_t *reply;  /* [COORDINATOR_BATCH_MAX] for late answers */
	int64_t expiry_ns;
	int64_t now_ns; /* of this turn */

	bool running;
	const char *log_dir;
	const struct partitions *table;
	struct segreader *reader; /* of the partition `loading` */
	uint32_t loading;         /* partitions below are loaded */
	int load_error;           /* last one of opening `reader`, told once */
	uint32_t partitions;      /* of __consumer_offsets; 0: not running */
};

/** @return KAFKA_NONE when the group's partition is loaded */
enum kafka_err coordinator_ready(const struct coordinator *coordinator, struct wire_string group);

/**
 * Append the [size] bytes of coordinator->buffer for a group.
 *
 * @param answer  NULL: nobody waits; its `waiting` is raised
 * @return KAFKA_NONE: under way; else what the client is told
 */
enum kafka_err coordinator_append(struct coordinator *coordinator, const char *group_id,
				  uint64_t ticket, struct coordinator_answer *answer, int64_t size);

/** @return an answer without appends; NULL out of memory */
struct coordinator_answer *coordinator_answer_new(uint64_t token, const struct writer *done,
						  const struct writer *fail);
void coordinator_answer_free(struct coordinator_answer *answer);

/** The group requests, but offsets. */
enum call_result membercalls_call(struct coordinator *coordinator, struct call *call);
/** The answers of parked joins and syncs. */
void membercalls_join_done(void *context, uint64_t cookie, const struct group_joined *joined);
void membercalls_sync_done(void *context, uint64_t cookie, const struct group_synced *synced);

enum call_result offsetcalls_commit(struct coordinator *coordinator, struct call *call);
enum call_result offsetcalls_fetch(struct coordinator *coordinator, struct call *call);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The group coordinator: Kafka's group requests on one side, __consumer_offsets on the other.
 *
 * What is written there is answered only when the dataplane said that it is durable. After each
 * connect everything is forgotten and replayed from the log, members with fresh sessions; until a
 * group's partition is read, its requests get COORDINATOR_LOAD_IN_PROGRESS, and without a dataplane
 * there are no requests.
 *
 * Context: the event loop's thread. Memory: heap; group.h and parked.h bound it.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"
#include "storage/partitions.h"

#include "control/group/group.h"
#include "control/meta/call.h"
#include "control/meta/meta.h"
#include "control/meta/parked.h"

#define COORDINATOR_BATCH_MAX      (1024 * 1024 - 4096) /* a batch must fit a record of the channel */
#define COORDINATOR_PARTITIONS_MAX 1000

struct coordinator;

struct coordinator_ops {
	/** Answer a parked request; unknown tokens are ignored. @param body  NULL: cannot be answered */
	void (*reply)(void *context, uint64_t token, const uint8_t *body, uint32_t size);
	/** Append durably to __consumer_offsets; coordinator_appended(cookie) tells the outcome. */
	int (*append)(void *context, uint32_t partition, uint64_t cookie, const uint8_t *batch,
		      uint32_t size);
};

/** @param meta, parked  borrowed until coordinator_free(). @return NULL out of memory */
struct coordinator *coordinator_new(const struct config *config, const struct meta *meta,
				    const struct parked *parked, const struct coordinator_ops *ops,
				    void *context);
void coordinator_free(struct coordinator *coordinator);
DEFINE_CLEANUP(struct coordinator, coordinator_free);

/** Connected: forget everything and begin to replay. @param table  borrowed until the stop */
void coordinator_start(struct coordinator *coordinator, const char *log_dir,
		       const struct partitions *table);
/** The connection is gone. */
void coordinator_stop(struct coordinator *coordinator);
/** @return true when every partition is replayed */
bool coordinator_is_loaded(const struct coordinator *coordinator);

/** A request of the group APIs. */
enum call_result coordinator_call(struct coordinator *coordinator, struct call *call);
/** Outcome of an append. @param error  0; negative */
void coordinator_appended(struct coordinator *coordinator, uint64_t cookie, int error,
			  int64_t now_ns, int64_t wall_ms);
/** A topic was deleted: committed offsets must not meet a later one of the same name. */
void coordinator_topic_deleted(struct coordinator *coordinator, const char *topic);
/** Timers, replay, expiry. @return when to run again at the latest */
int64_t coordinator_run(struct coordinator *coordinator, int64_t now_ns, int64_t wall_ms);

/** For readers (api.h). */
struct groups *coordinator_groups(struct coordinator *coordinator);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Consumers: connections that fetch the partitions that are theirs, each with one request under way,
 * as a consumer has.
 *
 * Context: one thread. Memory: sized at load_fetch_new(), and the longest answer of each connection.
 */
#pragma once

#include "perf/load/load_call.h"

struct load_fetch_options {
	const char *topic;
	uint32_t connections;
	int32_t max_bytes;   /* of an answer, and of each partition in it */
	int32_t max_wait_ms; /* at the end of the log */
	bool from_end;       /* begin at the end of the log, not at its start */
	bool is_loop;        /* at the end of the log begin again */
	/** A batch arrived; NULL: nobody asks. */
	void (*on_batch)(void *ctx, int32_t partition, int64_t base_offset, int64_t now_ns);
	void *ctx;
};

struct load_fetch_result {
	uint64_t bytes; /* of batches, in the window */
	uint64_t records;
	uint64_t answers;
	uint64_t errors;
	int16_t first_error; /* of Kafka's protocol; -1: a connection was lost */
};

struct load_fetch;

/** @return 0; -ENOMEM; -errno of a connection */
NODISCARD int load_fetch_new(struct load_net *net, const struct load_call_cluster *cluster,
			     const struct load_fetch_options *options,
			     struct load_fetch **ret_fetch);
void load_fetch_free(struct load_fetch *fetch);

/** @return whether every connection is open, and knows where its partitions begin */
bool load_fetch_is_ready(const struct load_fetch *fetch);
/** Ask; the answers ask again. */
void load_fetch_start(struct load_fetch *fetch);
/** The window: results count from here, to load_fetch_end(). */
void load_fetch_begin(struct load_fetch *fetch);
void load_fetch_end(struct load_fetch *fetch);
/** @return whether each partition was read to its end; never in a loop */
bool load_fetch_is_done(const struct load_fetch *fetch);
const struct load_fetch_result *load_fetch_result(const struct load_fetch *fetch);

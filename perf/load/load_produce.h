/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Producers: connections that send the same batch to the partitions that are theirs, and the time from
 * when each was due to its acknowledgement.
 *
 * What is acknowledged inside the window counts for the rate; what was due inside it counts for the
 * latency, however late its acknowledgement is.
 *
 * Context: one thread. Memory: sized at load_produce_new().
 */
#pragma once

#include "base/hist.h"

#include "perf/load/load_batch.h"
#include "perf/load/load_call.h"

struct load_produce_options {
	const char *topic;
	uint32_t record_size;
	uint32_t batch_size;
	uint32_t connections;
	uint32_t in_flight; /* requests of a connection */
	double rate;        /* batches a second of all connections; 0: closed loop */
	int16_t acks;       /* -1 or 1 */
	/** What was acknowledged; NULL: nobody asks. */
	void (*on_ack)(void *ctx, int32_t partition, int64_t base_offset, int64_t due_ns,
		       int64_t now_ns);
	void *ctx;
};

struct load_produce_result {
	uint64_t batches; /* acknowledged in the window */
	uint64_t acked;   /* acknowledged at any time */
	uint64_t sent;    /* due in the window */
	uint64_t errors;
	uint64_t unanswered;
	int16_t first_error; /* of Kafka's protocol; -1: a connection was lost */
	struct hist latency; /* ns, from the due time */
	struct hist late; /* ns, from the due time to the sending: the server's or the driver's */
	struct hist slip; /* ns, likewise where the connection was free: the driver's own */
};

struct load_produce;

/** @return 0; -ENOMEM; -EINVAL; -errno of a connection */
NODISCARD int load_produce_new(struct load_net *net, const struct load_call_cluster *cluster,
			       const struct load_produce_options *options,
			       struct load_produce **ret_produce);
void load_produce_free(struct load_produce *produce);

/** Begin the schedule, once every connection is open. @return whether they are */
bool load_produce_start(struct load_produce *produce, int64_t now_ns);
/** The window: results count from here. */
void load_produce_begin(struct load_produce *produce, int64_t now_ns);
/** Nothing more is sent. */
void load_produce_end(struct load_produce *produce, int64_t now_ns);

/** Send what is due. @return when something is due next; INT64_MAX: not before an answer */
int64_t load_produce_run(struct load_produce *produce, int64_t now_ns);
/** @return whether answers are missing */
bool load_produce_is_waiting(const struct load_produce *produce);

/** @return refusals and lost connections so far */
uint64_t load_produce_errors(const struct load_produce *produce);

const struct load_batch *load_produce_batch(const struct load_produce *produce);
/** What did not come is counted when this is called. */
const struct load_produce_result *load_produce_result(struct load_produce *produce);

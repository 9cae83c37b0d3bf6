/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A server that accepts and acknowledges: what a client reaches against it is the client's limit. It
 * answers ApiVersions, Metadata and Produce, looks at no record, and ignores other requests.
 *
 * Context: one thread. Memory: connections on the heap.
 */
#pragma once

#include "perf/load/load_link.h"

struct load_sink_options {
	uint32_t address; /* host byte order; where clients are told to go */
	uint16_t port;
	int32_t partitions; /* of every topic */
	bool is_gathering;  /* answers wait for load_sink_poll(); false: each goes at once */
};

struct load_sink;

/** Serve on `net`. @return 0; -ENOMEM; -errno */
NODISCARD int load_sink_new(struct load_net *net, const struct load_sink_options *options,
			    struct load_sink **ret_sink);
void load_sink_free(struct load_sink *sink);

/** Run the net, then send the answers that were gathered; wait for the first as long as `timeout_ns`. */
void load_sink_poll(struct load_sink *sink, int64_t timeout_ns);

/** @return bytes of requests so far */
uint64_t load_sink_bytes(const struct load_sink *sink);

/**
 * Answer one request.
 *
 * @param bytes        [kept] its first bytes, behind the frame size
 * @param next_offset  offset to give to a batch; moved
 * @param answer       [size] room for the answer, its frame size included
 * @return bytes of the answer; 0: none is wanted; -EPROTO
 */
int load_sink_answer(const struct load_sink_options *options, const uint8_t *bytes, size_t kept,
		     int64_t *next_offset, uint8_t *answer, size_t size);

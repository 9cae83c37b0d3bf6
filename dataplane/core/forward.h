/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Requests that control answers: handed over by the upcall ring, parked, completed by the reply,
 * failed with a retriable error when control is away, goes away, or takes too long.
 *
 * Context: owning core; never waits. Memory: the request itself is the parking place; its cookie
 * names slot and generation, so that a late reply misses.
 */
#pragma once

#include "dataplane/core/session.h"

/** Hand a gathered request to control, or answer it with a retriable error. */
void forward_request(struct request *request);

/** Names of topics to create; the request is parked until they are there. */
struct forward_names {
	const struct wire_string *names;
	uint32_t count;
};

/**
 * Ask control to create topics.
 *
 * @param request  parked; NULL: nobody waits
 * @return false: control is away or its ring is full
 */
bool forward_create(struct core *core, struct request *request, const struct forward_names *names);

/** Control need not answer this request any more. */
void forward_unpark(struct request *request);

/** A connection that control knows is gone. */
void forward_gone(struct core *core, uint64_t connection);

/**
 * Outcome of COMMAND_APPEND, for the connection that asked.
 *
 * @return false: the upcall ring is full, try again
 */
NODISCARD bool forward_appended(struct core *core, uint64_t cookie, int error, int64_t base_offset);

/** The block of producer ids runs low. */
void forward_producer_ids(struct core *core);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One request: which handler it goes to, and how its answer is framed.
 *
 * Context: owning core. Memory: the core's request pool and scratch.
 */
#pragma once

#include "base/bytes.h"

#include "dataplane/core/session.h"
#include "dataplane/wire/wire.h"

/** Give back the request and all it holds. No operation may be out. */
void request_free(struct request *request);

/** The connection is gone: free now, or when the last operation out has come back. */
void request_orphan(struct request *request);

/** Run the handler of a gathered request that is its session's oldest. */
void request_start(struct request *request);

/** Start the response: frame size and header. @return writer at the body; its memory is the core's */
struct writer request_begin(struct request *request);
/** Send what was written since request_begin() and mark the request done. */
void request_end(struct request *request, struct writer *writer);

/** Queue a response with [size] ready-made body bytes. */
void request_send(struct request *request, const void *body, uint32_t size);

/** The same, and mark the request done. */
void request_answer(struct request *request, const void *body, uint32_t size);

/** Done; call session_advance() from the outside of the session. */
void request_done(struct request *request);

/** An operation came back. @return false: it was the last one of an orphan, which is freed */
NODISCARD bool request_op_back(struct request *request);

/** Reader at the request body, header skipped. */
struct reader request_body(const struct request *request);

/** Arrays of the decoded request and of the response. Valid until the handler returns. */
struct wire_scratch request_scratch(const struct request *request);

/** Zeroed memory of the scratch. @return NULL when it is used up */
void *request_alloc(struct wire_scratch *scratch, size_t size);

/** @return the client id of a gathered request, borrowed from its frame */
struct wire_string request_client_id(const struct request *request);

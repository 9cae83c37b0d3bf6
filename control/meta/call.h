/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One client request on its way through control: input, memory for decoding and answering, and the
 * answer being written.
 *
 * Context: the event loop's thread. Memory: borrowed from the loop, valid until the handler returns.
 */
#pragma once

#define CONTROL_LAYER

#include <string.h>

#include "base/bytes.h"

#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

struct call {
	int16_t api_key;
	int16_t version;
	uint64_t token;      /* parked.h: names the request until it is answered; never 0 */
	uint64_t connection; /* upcall.h; 0: none, the guest's */
	struct reader body;
	struct wire_scratch scratch;
	struct writer reply; /* response body */
	struct wire_string client_id;
	struct wire_string client_host;
	int64_t now_ns;
	int64_t wall_ms;
	int32_t timeout_ms; /* CALL_SERVED: answer after this in any case */
};

enum call_result {
	CALL_DONE,   /* the reply is written */
	CALL_SERVED, /* the reply is written; send it when every core serves the changed metadata */
	CALL_LATER,  /* answered later, by token */
	CALL_BAD     /* not decodable: close the connection */
};

/** @return zeroed array of the request's memory; NULL when count is 0 or memory is used up */
static inline void *call_array(struct call *call, int32_t count, size_t size)
{
	void *array = wire_scratch_take(&call->body, &call->scratch, count, size);

	if (array != NULL)
		memset(array, 0, (size_t)count * size);
	return array;
}

/** @return the result for a handler's end: CALL_BAD when decoding or memory failed */
static inline enum call_result call_end(const struct call *call, enum call_result result)
{
	return call->body.error != 0 || call->reply.error != 0 ? CALL_BAD : result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * HTTP calls of tasks, by libcurl's multi interface in the loop.
 *
 * Context: control's loop. Memory: heap; answers up to WEBCALL_BODY_MAX, more is cut.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/events.h"

#define WEBCALL_BODY_MAX (1U << 20)

struct webcall_request {
	const char *url, *method;     /* http and https only */
	const json_t *headers;        /* object of text; NULL: none */
	const char *body;             /* NULL: none */
	const char *login, *password; /* basic authentication; NULL: none */
	int64_t timeout_ms;           /* 0: a minute */
};

struct webcall_answer {
	const char *error; /* NULL: there is a status */
	long status;
	const char *content_type; /* "" when there is none */
	const char *body;         /* [body_size], zero-terminated */
	size_t body_size;
	bool is_cut;
};

typedef void webcall_done(void *context, int64_t id, const struct webcall_answer *answer);

struct webcalls;

/** @param done  called from webcalls_run(). @return 0; -errno */
NODISCARD int webcalls_new(struct events *events, webcall_done *done, void *context,
			   struct webcalls **ret_calls);
void webcalls_free(struct webcalls *calls);
DEFINE_CLEANUP(struct webcalls, webcalls_free);

/** @param id  of the caller's. @return 0; -EINVAL not a URL; -ENOMEM */
NODISCARD int webcall_start(struct webcalls *calls, int64_t id,
			    const struct webcall_request *request);
/** End it without a word. @return whether it was under way */
bool webcall_cancel(struct webcalls *calls, int64_t id);
/** @return when to call again, monotonic */
int64_t webcalls_run(struct webcalls *calls, int64_t now_ns);

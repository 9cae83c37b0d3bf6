/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The HTTP server of control, over libmicrohttpd, driven by control's own event loop: no thread of
 * its own, so handlers may touch control's state. A handler that returns without having replied has
 * parked its call and replies later, from the same thread.
 *
 * Context: control's loop thread. Memory: heap, HTTP_BODY_MAX a call.
 * Limits: HTTP_CONNECTIONS_MAX connections, 30 s without traffic, bodies of HTTP_BODY_MAX.
 */
#pragma once

#define CONTROL_LAYER

#include <jansson.h>

#include "base/defs.h"

#define HTTP_BODY_MAX        (1U << 20)
#define HTTP_CONNECTIONS_MAX 256

struct http;
struct http_call;

struct http_route {
	const char *method;  /* "GET" */
	const char *pattern; /* exact path, or a prefix ended by a star: "/api/v1/topics/" + "*" */
	void (*handle)(void *ctx, struct http_call *call);
};

struct http_config {
	const char *address; /* IPv4 to listen on */
	uint16_t port;
	const char *
		token; /* bearer token that calls must carry, but for the page itself and the probes; "": none */
	const struct http_route *routes; /* borrowed for life; the first match serves */
	uint32_t route_count;
	const struct http_route *extra_routes; /* looked at before; borrowed for life */
	uint32_t extra_route_count;
	void *extra_ctx; /* of their handlers */
	void *ctx;       /* of the handlers */
};

/**
 * @param[out] reterr  [reterr_size] what failed and the remedy
 * @return 0; -EADDRINUSE; -EACCES address beyond loopback without a token; -errno
 */
NODISCARD int http_open(const struct http_config *config, struct http **ret_http, char *reterr,
			size_t reterr_size);
/** Parked calls are answered 503. NULL is accepted. */
void http_close(struct http *http);

/** @return descriptor that is readable when http_run() has work */
int http_fd(const struct http *http);
/** Serve what is there; never blocks. */
void http_run(struct http *http);
/** @return milliseconds until http_run() wants to be called again; -1: only when the fd is readable */
int http_timeout_ms(struct http *http);

/** @return what the pattern's star matched, decoded; "" without a star */
const char *http_call_rest(const struct http_call *call);
/** @return value of a query parameter; NULL when absent */
const char *http_call_query(const struct http_call *call, const char *name);
/** @return the body as JSON, caller frees with json_decref(); NULL when it is none */
json_t *http_call_json(const struct http_call *call);

/** Answer with a copy of [size] bytes. Each call is answered once. */
void http_reply(struct http_call *call, unsigned status, const char *content_type,
		const void *bytes, size_t size);
/** Answer with JSON; `value` is taken. */
void http_reply_json(struct http_call *call, unsigned status, json_t *value);
/** Answer { "error": sentence }. */
void http_reply_error(struct http_call *call, unsigned status, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/list.h"

#include "control/http/utf8.h"

struct http {
	struct MHD_Daemon *daemon;
	struct http_config config;
	struct list parked; /* struct http_call.node */
};

struct http_call {
	struct http *http;
	struct MHD_Connection *connection;
	const struct http_route *route;
	char rest[512];
	char *body;
	size_t body_size;
	bool is_too_large;
	bool is_handled; /* the route's handler has run */
	bool is_parked;  /* suspended, waiting for a reply */
	struct MHD_Response *response;
	unsigned status;
	struct list node;
};

static const struct http_route *find_route(const struct http *http, const char *method,
					   const char *path, const char **ret_rest,
					   bool *ret_is_path)
{
	uint32_t extra = http->config.extra_route_count;

	for (uint32_t i = 0; i < extra + http->config.route_count; i++) {
		const struct http_route *route =
			i < extra ? &http->config.extra_routes[i] : &http->config.routes[i - extra];
		size_t size = strlen(route->pattern);
		bool is_prefix = size > 0 && route->pattern[size - 1] == '*';

		if (is_prefix ? strncmp(path, route->pattern, size - 1) != 0
			      : strcmp(path, route->pattern) != 0)
			continue;
		*ret_is_path = true;
		if (strcmp(method, route->method) == 0) {
			*ret_rest = is_prefix ? path + size - 1 : "";
			return route;
		}
	}
	return NULL;
}

/** Compare without telling by the time taken how much of it was right. */
static bool is_same_secret(const char *given, const char *wanted)
{
	size_t given_size = strlen(given), wanted_size = strlen(wanted);
	unsigned differs = given_size != wanted_size;

	for (size_t i = 0; i < wanted_size; i++)
		differs |= (unsigned)(given[given_size > 0 ? i % given_size : 0] ^ wanted[i]);
	return differs == 0;
}

static bool is_allowed(const struct http *http, struct MHD_Connection *connection, const char *path)
{
	const char *header;

	static const char *const open_paths[] = { "/", "/health", "/livez", "/readyz" };

	if (http->config.token[0] == '\0')
		return true;
	for (size_t i = 0; i < ARRAY_COUNT(open_paths); i++) {
		if (strcmp(path, open_paths[i]) == 0)
			return true;
	}
	header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	return header != NULL && strncmp(header, "Bearer ", 7) == 0 &&
	       is_same_secret(header + 7, http->config.token);
}

/**
 * A page of another site may send requests to a box that its reader can reach. Browsers tell which
 * site it was; programs that are no browsers do not.
 */
static bool is_own_page(struct MHD_Connection *connection, const char *method)
{
	const char *origin, *host;

	if (strcmp(method, "GET") == 0)
		return true;
	origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
	host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	return origin == NULL || (host != NULL && strncmp(origin, "http://", 7) == 0 &&
				  strcmp(origin + 7, host) == 0);
}

static struct http_call *call_new(struct http *http, struct MHD_Connection *connection)
{
	struct http_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->http = http;
	call->connection = connection;
	list_init(&call->node);
	return call;
}

/** Collect one piece of the body. */
static void take_body(struct http_call *call, const char *bytes, size_t size)
{
	char *grown;

	if (call->is_too_large || size > HTTP_BODY_MAX - call->body_size) {
		call->is_too_large = true;
		return;
	}
	grown = realloc(call->body, call->body_size + size);
	if (grown == NULL) {
		call->is_too_large = true;
		return;
	}
	memcpy(grown + call->body_size, bytes, size);
	call->body = grown;
	call->body_size += size;
}

static void dispatch(struct http_call *call, const char *path, const char *method)
{
	const char *rest = "";
	const struct http_config *config = &call->http->config;
	bool is_path = false, is_extra;

	call->is_handled = true;
	if (call->is_too_large) {
		http_reply_error(call, MHD_HTTP_CONTENT_TOO_LARGE, "the body is over %u bytes",
				 HTTP_BODY_MAX);
		return;
	}
	if (!is_allowed(call->http, call->connection, path)) {
		http_reply_error(call, MHD_HTTP_UNAUTHORIZED,
				 "send the token of http.token as 'Authorization: Bearer ...'");
		return;
	}
	if (!is_own_page(call->connection, method)) {
		http_reply_error(call, MHD_HTTP_FORBIDDEN,
				 "changes are not taken from pages of other sites");
		return;
	}
	call->route = find_route(call->http, method, path, &rest, &is_path);
	if (call->route == NULL) {
		http_reply_error(call, is_path ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
				 is_path ? "%s does not take this method" : "there is no %s", path);
		return;
	}
	if ((size_t)snprintf(call->rest, sizeof(call->rest), "%s", rest) >= sizeof(call->rest)) {
		http_reply_error(call, MHD_HTTP_URI_TOO_LONG, "the path is too long");
		return;
	}
	is_extra = call->route >= config->extra_routes &&
		   call->route < config->extra_routes + config->extra_route_count;
	call->route->handle(is_extra ? config->extra_ctx : config->ctx, call);
}

/* libmicrohttpd calls this once when the head is there, once per piece of the body, once at its end,
   and once more after a parked call was resumed. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct http_call *call = *state;
	enum MHD_Result result;

	(void)version;
	if (call == NULL) {
		*state = call_new(ctx, connection);
		return *state != NULL ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0) {
		take_body(call, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (!call->is_handled)
		dispatch(call, path, method);
	if (call->response == NULL) {
		call->is_parked = true;
		list_push_back(&call->http->parked, &call->node);
		MHD_suspend_connection(connection);
		return MHD_YES;
	}
	result = MHD_queue_response(connection, call->status, call->response);
	MHD_destroy_response(call->response);
	call->response = NULL;
	return result;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct http_call *call = *state;

	(void)ctx;
	(void)connection;
	(void)code;
	if (call == NULL)
		return;
	list_remove(&call->node);
	if (call->response != NULL)
		MHD_destroy_response(call->response);
	free(call->body);
	free(call);
	*state = NULL;
}

int http_open(const struct http_config *config, struct http **ret_http, char *reterr,
	      size_t reterr_size)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(config->port) };
	struct http *http;

	if (inet_pton(AF_INET, config->address, &where.sin_addr) != 1) {
		(void)snprintf(reterr, reterr_size, "http.address: '%s' is no IPv4 address",
			       config->address);
		return -EINVAL;
	}
	if (ntohl(where.sin_addr.s_addr) >> 24 != 127 && config->token[0] == '\0') {
		(void)snprintf(reterr, reterr_size,
			       "http.address %s is reachable by others: set http.token to a secret",
			       config->address);
		return -EACCES;
	}
	http = calloc(1, sizeof(*http));
	if (http == NULL)
		return -ENOMEM;
	http->config = *config;
	list_init(&http->parked);
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, config->port,
					NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR, &where,
					MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
					MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
					MHD_OPTION_CONNECTION_TIMEOUT, 30U, MHD_OPTION_END);
	if (http->daemon == NULL) {
		int error = errno != 0 ? -errno : -EADDRINUSE;

		(void)snprintf(reterr, reterr_size, "cannot listen on %s:%d (%s): set http.port",
			       config->address, config->port, err_str(error));
		free(http);
		return error;
	}
	*ret_http = http;
	return 0;
}

void http_close(struct http *http)
{
	if (http == NULL)
		return;
	LIST_EACH_SAFE(&http->parked, node)
	http_reply_error(LIST_ENTRY(node, struct http_call, node), MHD_HTTP_SERVICE_UNAVAILABLE,
			 "control is stopping");
	(void)MHD_run(http->daemon);
	MHD_stop_daemon(http->daemon);
	free(http);
}

int http_fd(const struct http *http)
{
	return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

void http_run(struct http *http)
{
	(void)MHD_run(http->daemon);
}

int http_timeout_ms(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout;

	if (MHD_get_timeout(http->daemon, &timeout) != MHD_YES)
		return -1;
	return (int)MIN(timeout, (MHD_UNSIGNED_LONG_LONG)1000);
}

const char *http_call_rest(const struct http_call *call)
{
	return call->rest;
}

const char *http_call_query(const struct http_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

json_t *http_call_json(const struct http_call *call)
{
	return call->body != NULL
		       ? json_loadb(call->body, call->body_size, JSON_REJECT_DUPLICATES, NULL)
		       : NULL;
}

void http_reply(struct http_call *call, unsigned status, const char *content_type,
		const void *bytes, size_t size)
{
	CHECK(call->response == NULL);
	call->response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)bytes,
							 MHD_RESPMEM_MUST_COPY);
	CHECK(call->response != NULL);
	call->status = status;
	(void)MHD_add_response_header(call->response, "Content-Type", content_type);
	(void)MHD_add_response_header(call->response, "Cache-Control", "no-store");
	(void)MHD_add_response_header(call->response, "X-Content-Type-Options", "nosniff");
	if (call->is_parked) {
		call->is_parked = false;
		list_remove(&call->node);
		MHD_resume_connection(call->connection);
	}
}

void http_reply_json(struct http_call *call, unsigned status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER);

	CHECK(text != NULL);
	http_reply(call, status, "application/json", text, strlen(text));
	free(text);
	json_decref(value);
}

void http_reply_error(struct http_call *call, unsigned status, const char *fmt, ...)
{
	char text[512], *clean;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* Paths and names of callers are in it, and JSON takes nothing but UTF-8. */
	clean = utf8_clean(text);
	CHECK(clean != NULL);
	http_reply_json(call, status, json_pack("{s:s}", "error", clean));
	free(clean);
}

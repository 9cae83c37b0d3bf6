/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/webcall.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/list.h"

#define TIMEOUT_MS 60000

struct call {
	struct list link;
	int64_t id;
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	char *body; /* zero-terminated */
	size_t body_size;
	bool is_cut;
};

/** A socket of libcurl's. */
struct watched {
	struct event_source source;
	struct webcalls *calls;
};

struct webcalls {
	struct events *events;
	CURLM *multi;
	webcall_done *done;
	void *context;
	struct list calls;
	int64_t due_ns; /* of libcurl's timer */
};

/* ---- libcurl in the loop ---- */

static void on_socket(struct event_source *source, uint32_t mask)
{
	struct watched *watched = CONTAINER_OF(source, struct watched, source);
	struct webcalls *calls = watched->calls;
	int bits = 0, running;

	if ((mask & EPOLLIN) != 0)
		bits |= CURL_CSELECT_IN;
	if ((mask & EPOLLOUT) != 0)
		bits |= CURL_CSELECT_OUT;
	if ((mask & (EPOLLERR | EPOLLHUP)) != 0)
		bits |= CURL_CSELECT_ERR;
	(void)curl_multi_socket_action(calls->multi, source->fd, bits, &running);
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *known)
{
	struct webcalls *calls = context;
	struct watched *watched = known;
	uint32_t mask = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL)
			events_forget(calls->events, &watched->source);
		free(watched);
		(void)curl_multi_assign(calls->multi, socket, NULL);
		return 0;
	}
	if (watched == NULL) {
		watched = calloc(1, sizeof(*watched));
		if (watched == NULL)
			return -1;
		watched->calls = calls;
		watched->source = (struct event_source){ .fd = -1, .ready = on_socket };
		(void)curl_multi_assign(calls->multi, socket, watched);
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		mask |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		mask |= EPOLLOUT;
	return events_watch(calls->events, &watched->source, socket, mask) == 0 ? 0 : -1;
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct webcalls *calls = context;

	(void)multi;
	calls->due_ns = timeout_ms < 0 ? INT64_MAX : clock_now_ns() + timeout_ms * NS_PER_MS;
	return 0;
}

static size_t take_body(char *bytes, size_t one, size_t size, void *context)
{
	struct call *call = context;
	size_t taken = MIN(size, WEBCALL_BODY_MAX - call->body_size);
	char *grown = realloc(call->body, call->body_size + taken + 1);

	(void)one;
	if (grown == NULL)
		return 0;
	memcpy(grown + call->body_size, bytes, taken);
	call->body = grown;
	call->body_size += taken;
	call->body[call->body_size] = '\0';
	call->is_cut |= taken < size;
	return size;
}

/* ---- calls ---- */

static void call_free(struct webcalls *calls, struct call *call)
{
	if (call->easy != NULL) {
		(void)curl_multi_remove_handle(calls->multi, call->easy);
		curl_easy_cleanup(call->easy);
	}
	curl_slist_free_all(call->headers);
	list_remove(&call->link);
	free(call->body);
	free(call);
}

static int add_headers(struct call *call, const json_t *headers)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)headers, name, value)
	{
		struct curl_slist *grown;
		char *line;

		if (strpbrk(name, "\r\n") != NULL ||
		    strpbrk(json_string_value(value), "\r\n") != NULL)
			return -EINVAL;
		if (asprintf(&line, "%s: %s", name, json_string_value(value)) < 0)
			return -ENOMEM;
		grown = curl_slist_append(call->headers, line);
		free(line);
		if (grown == NULL)
			return -ENOMEM;
		call->headers = grown;
	}
	return 0;
}

static int set_up(struct call *call, const struct webcall_request *request)
{
	CURL *easy = call->easy;
	bool is_head = strcmp(request->method, "HEAD") == 0;
	long timeout_ms = request->timeout_ms > 0 ? (long)request->timeout_ms : TIMEOUT_MS;

	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace/" MILLRACE_VERSION);
	if (request->login != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_USERNAME, request->login);
	if (request->password != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_PASSWORD, request->password);
	if (request->body != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
	if (is_head)
		(void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, is_head ? NULL : request->method);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK ? 0 : -EINVAL;
}

static bool is_url(const char *url)
{
	return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

int webcall_start(struct webcalls *calls, int64_t id, const struct webcall_request *request)
{
	struct call *call;
	int error;

	if (!is_url(request->url))
		return -EINVAL;
	call = calloc(1, sizeof(*call));
	if (call == NULL)
		return -ENOMEM;
	list_init(&call->link);
	call->id = id;
	call->easy = curl_easy_init();
	error = call->easy != NULL ? add_headers(call, request->headers) : -ENOMEM;
	if (error == 0)
		error = set_up(call, request);
	if (error == 0 && curl_multi_add_handle(calls->multi, call->easy) != CURLM_OK)
		error = -EINVAL;
	if (error != 0) {
		call_free(calls, call);
		return error;
	}
	list_push_back(&calls->calls, &call->link);
	return 0;
}

bool webcall_cancel(struct webcalls *calls, int64_t id)
{
	LIST_EACH(&calls->calls, node)
	{
		struct call *call = LIST_ENTRY(node, struct call, link);

		if (call->id == id) {
			call_free(calls, call);
			return true;
		}
	}
	return false;
}

static void finish(struct webcalls *calls, CURL *easy, CURLcode result)
{
	struct webcall_answer answer = { .content_type = "", .body = "" };
	const char *type = NULL;
	struct call *call = NULL;

	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
	(void)curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	if (type != NULL)
		answer.content_type = type;
	if (call->body != NULL)
		answer.body = call->body;
	answer.body_size = call->body_size;
	answer.is_cut = call->is_cut;
	if (result != CURLE_OK)
		answer.error = call->error[0] != '\0' ? call->error : curl_easy_strerror(result);
	list_remove(&call->link);
	calls->done(calls->context, call->id, &answer);
	call_free(calls, call);
}

int64_t webcalls_run(struct webcalls *calls, int64_t now_ns)
{
	const CURLMsg *message;
	int left, running;

	if (now_ns >= calls->due_ns) {
		calls->due_ns = INT64_MAX;
		(void)curl_multi_socket_action(calls->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	while ((message = curl_multi_info_read(calls->multi, &left)) != NULL) {
		if (message->msg == CURLMSG_DONE)
			finish(calls, message->easy_handle, message->data.result);
	}
	return calls->due_ns;
}

int webcalls_new(struct events *events, webcall_done *done, void *context,
		 struct webcalls **ret_calls)
{
	CLEANUP(webcalls_freep) struct webcalls *calls = calloc(1, sizeof(*calls));

	if (calls == NULL)
		return -ENOMEM;
	list_init(&calls->calls);
	calls->events = events;
	calls->done = done;
	calls->context = context;
	calls->due_ns = INT64_MAX;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	calls->multi = curl_multi_init();
	if (calls->multi == NULL)
		return -ENOMEM;
	(void)curl_multi_setopt(calls->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	(void)curl_multi_setopt(calls->multi, CURLMOPT_SOCKETDATA, calls);
	(void)curl_multi_setopt(calls->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(calls->multi, CURLMOPT_TIMERDATA, calls);
	*ret_calls = TAKE_PTR(calls);
	return 0;
}

void webcalls_free(struct webcalls *calls)
{
	if (calls == NULL)
		return;
	while (!list_is_empty(&calls->calls))
		call_free(calls, LIST_ENTRY(calls->calls.next, struct call, link));
	if (calls->multi != NULL)
		(void)curl_multi_cleanup(calls->multi);
	free(calls);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/dagapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/instant.h"

#define REST_SIZE   640
#define LOG_POLL_NS (200 * NS_PER_MS)

/* ---- helpers of the endpoints ---- */

void dagapi_put(json_t *object, const char *name, json_t *value)
{
	(void)json_object_set_new(object, name, value != NULL ? value : json_null());
}

json_t *dagapi_time(int64_t at_us)
{
	char text[INSTANT_TEXT_SIZE];

	return at_us == 0 ? json_null() : json_string(instant_format(at_us, text));
}

bool dagapi_is_id(const char *text)
{
	size_t size = strlen(text);

	if (size == 0 || size > DAG_NAME_MAX || text[0] == '.')
		return false;
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || strchr("/\\\"%?#", text[i]))
			return false;
	}
	return true;
}

int64_t dagapi_number(const struct http_call *call, const char *name, int64_t otherwise)
{
	const char *text = http_call_query(call, name);
	char *end;
	int64_t value;

	if (text == NULL || *text == '\0')
		return otherwise;
	value = strtoll(text, &end, 10);
	return *end == '\0' && value >= 0 ? value : otherwise;
}

int64_t dagapi_wait_ns(const struct http_call *call)
{
	return MIN(dagapi_number(call, "wait", 0), DAGAPI_WAIT_MAX_S) * NS_PER_S;
}

struct waiter *dagapi_park(struct orchestrate *o, struct http_call *call, enum waiter_kind kind,
			   int64_t wait_ns)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));

	if (waiter == NULL) {
		http_reply_error(call, 503, "control is out of memory");
		return NULL;
	}
	list_init(&waiter->link);
	waiter->kind = kind;
	waiter->call = call;
	waiter->since_ns = o->now_ns;
	waiter->due_ns = o->now_ns + wait_ns;
	list_push_back(&o->waiters, &waiter->link);
	return waiter;
}

void dagapi_reply_durable(struct orchestrate *o, struct http_call *call, json_t *reply)
{
	struct action *action = orchestrate_later(o, ACTION_REPLY, 0);

	action->call = call;
	action->reply = reply;
}

void dagapi_reply_error(struct http_call *call, int error, const char *what, const char *name)
{
	if (error == -ENOENT)
		http_reply_error(call, 404, "there is no %s %s", what, name);
	else if (error == -EEXIST)
		http_reply_error(call, 409, "%s %s is there already", what, name);
	else if (error == -ENOMEM)
		http_reply_error(call, 503, "control is out of memory");
	else
		http_reply_error(call, 400, "%s %s: %s", what, name, err_str(error));
}

json_t *dagapi_body(struct http_call *call)
{
	json_t *body = http_call_json(call);

	if (json_is_object(body))
		return body;
	json_decref(body);
	http_reply_error(call, 400, "the body is to be a JSON object");
	return NULL;
}

/* ---- routes ---- */

static const struct endpoint {
	const char *method, *pattern; /* stars are whole segments */
	dagapi_serve *serve;
} endpoints[] = {
	{ "GET", "dags", dagapi_get_dags },
	{ "POST", "dags", dagapi_post_dag },
	{ "GET", "dags/*", dagapi_get_dag },
	{ "PATCH", "dags/*", dagapi_patch_dag },
	{ "DELETE", "dags/*", dagapi_delete_dag },
	{ "GET", "dags/*/runs", dagapi_get_runs },
	{ "POST", "dags/*/runs", dagapi_post_run },
	{ "GET", "dags/*/runs/*", dagapi_get_run },
	{ "POST", "dags/*/runs/*/clear", dagapi_clear_run },
	{ "POST", "dags/*/runs/*/cancel", dagapi_cancel_run },
	{ "GET", "dags/*/runs/*/tasks/*/why", dagapi_get_why },
	{ "GET", "dags/*/runs/*/tasks/*/logs", dagapi_get_logs },
	{ "GET", "variables", dagapi_get_variables },
	{ "PUT", "variables/*", dagapi_put_variable },
	{ "DELETE", "variables/*", dagapi_delete_variable },
	{ "GET", "connections", dagapi_get_connections },
	{ "PUT", "connections/*", dagapi_put_connection },
	{ "DELETE", "connections/*", dagapi_delete_connection },
	{ "GET", "pools", dagapi_get_pools },
	{ "PUT", "pools/*", dagapi_put_pool },
	{ "GET", "tables", dagapi_get_tables },
	{ "GET", "tables/*", dagapi_get_table },
	{ "POST", "sql", dagapi_post_sql },
	{ "GET", "scheduler", dagapi_get_scheduler },
};

/** @param path  changed: its segments get zeros at their ends, the names point into it */
static bool match(const char *pattern, char *path, struct dagapi_names *ret_names)
{
	size_t count = 0;

	while (*pattern != '\0') {
		char *end = strchrnul(path, '/');
		size_t wanted = strcspn(pattern, "/"), size = (size_t)(end - path);
		bool is_last = *end == '\0';

		if (*pattern == '*' ? size == 0
				    : size != wanted || memcmp(pattern, path, size) != 0)
			return false;
		if (*pattern == '*')
			ret_names->at[count++] = path;
		pattern += wanted;
		if (is_last != (*pattern == '\0'))
			return false;
		*end = '\0';
		path = end + 1;
		pattern += *pattern == '/';
	}
	return true;
}

static void dispatch(struct orchestrate *o, struct http_call *call, const char *method,
		     const char *head)
{
	char path[REST_SIZE], copy[REST_SIZE];
	struct dagapi_names names;
	bool is_path = false;

	(void)snprintf(path, sizeof(path), "%s%s", head, http_call_rest(call));
	if (o->error[0] != '\0') {
		http_reply_error(call, 503, "%s", o->error);
		return;
	}
	for (size_t i = 0; i < ARRAY_COUNT(endpoints); i++) {
		memcpy(copy, path, sizeof(copy));
		names = (struct dagapi_names){ { NULL } };
		if (!match(endpoints[i].pattern, copy, &names))
			continue;
		is_path = true;
		if (strcmp(endpoints[i].method, method) == 0) {
			endpoints[i].serve(o, call, &names);
			return;
		}
	}
	http_reply_error(
		call, is_path ? 405 : 404,
		is_path ? "/api/v1/%s does not take this method" : "there is no /api/v1/%s", path);
}

/* The server's routes are told by method and beginning. */
#define ROUTE(name, method, head)                                                                  \
	static void name(void *ctx, struct http_call *call)                                        \
	{                                                                                          \
		dispatch(ctx, call, method, head);                                                 \
	}

ROUTE(get_dags, "GET", "dags")
ROUTE(post_dags, "POST", "dags")
ROUTE(get_below_dags, "GET", "dags/")
ROUTE(post_below_dags, "POST", "dags/")
ROUTE(patch_below_dags, "PATCH", "dags/")
ROUTE(delete_below_dags, "DELETE", "dags/")
ROUTE(get_variables, "GET", "variables")
ROUTE(put_variable, "PUT", "variables/")
ROUTE(delete_variable, "DELETE", "variables/")
ROUTE(get_connections, "GET", "connections")
ROUTE(put_connection, "PUT", "connections/")
ROUTE(delete_connection, "DELETE", "connections/")
ROUTE(get_pools, "GET", "pools")
ROUTE(put_pool, "PUT", "pools/")
ROUTE(get_tables, "GET", "tables")
ROUTE(get_table, "GET", "tables/")
ROUTE(post_sql, "POST", "sql")
ROUTE(get_scheduler, "GET", "scheduler")

const struct http_route *orchestrate_routes(uint32_t *ret_count)
{
	static const struct http_route routes[] = {
		{ "GET", "/api/v1/dags", get_dags },
		{ "POST", "/api/v1/dags", post_dags },
		{ "GET", "/api/v1/dags/*", get_below_dags },
		{ "POST", "/api/v1/dags/*", post_below_dags },
		{ "PATCH", "/api/v1/dags/*", patch_below_dags },
		{ "DELETE", "/api/v1/dags/*", delete_below_dags },
		{ "GET", "/api/v1/variables", get_variables },
		{ "PUT", "/api/v1/variables/*", put_variable },
		{ "DELETE", "/api/v1/variables/*", delete_variable },
		{ "GET", "/api/v1/connections", get_connections },
		{ "PUT", "/api/v1/connections/*", put_connection },
		{ "DELETE", "/api/v1/connections/*", delete_connection },
		{ "GET", "/api/v1/pools", get_pools },
		{ "PUT", "/api/v1/pools/*", put_pool },
		{ "GET", "/api/v1/tables", get_tables },
		{ "GET", "/api/v1/tables/*", get_table },
		{ "POST", "/api/v1/sql", post_sql },
		{ "GET", "/api/v1/scheduler", get_scheduler },
	};

	*ret_count = ARRAY_COUNT(routes);
	return routes;
}

/* ---- waiting ---- */

static bool try_query(struct orchestrate *o, struct waiter *waiter, bool is_due)
{
	if (!is_due)
		return false;
	http_reply_error(waiter->call, 503, "the query took too long and was cancelled");
	waiter->call = NULL;
	(void)workerclient_cancel(o->worker, waiter->attempt);
	return true;
}

int64_t dagapi_run(struct orchestrate *o)
{
	int64_t due_ns = INT64_MAX;

	LIST_EACH_SAFE(&o->waiters, node)
	{
		struct waiter *waiter = LIST_ENTRY(node, struct waiter, link);
		bool is_due = waiter->due_ns <= o->now_ns, is_done = false;

		switch (waiter->kind) {
		case WAIT_RUN:
			is_done = dagapi_try_run(o, waiter, is_due);
			break;
		case WAIT_LOG:
			is_done = dagapi_try_log(o, waiter, is_due);
			if (!is_done)
				due_ns = MIN(due_ns, o->now_ns + LOG_POLL_NS);
			break;
		case WAIT_QUERY:
			is_done = try_query(o, waiter, is_due);
			break;
		}
		if (is_done) {
			list_remove(&waiter->link);
			free(waiter);
			o->needs_turn = true;
		} else {
			due_ns = MIN(due_ns, waiter->due_ns);
		}
	}
	return due_ns;
}

void dagapi_close(struct orchestrate *o)
{
	struct list *node;

	while ((node = list_pop_front(&o->waiters)) != NULL)
		free(LIST_ENTRY(node, struct waiter, link));
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside the HTTP API of pipelines: what the files dagapi*.c share.
 *
 * Changes are answered when they are durable. Who asks to wait is parked on o->waiters.
 *
 * Context: control's loop.
 */
#pragma once

#include "orchestrate/orchestrate_impl.h"

#define DAGAPI_WAIT_MAX_S 60

/** What the stars of an endpoint's pattern matched. */
struct dagapi_names {
	const char *at[3];
};

typedef void dagapi_serve(struct orchestrate *o, struct http_call *call,
			  const struct dagapi_names *names);

enum waiter_kind { WAIT_RUN, WAIT_LOG, WAIT_QUERY };

struct waiter {
	struct list link;
	enum waiter_kind kind;
	struct http_call *call;
	int64_t due_ns, since_ns;
	int64_t attempt; /* QUERY */
	int64_t offset;  /* LOG */
	uint32_t try_number;
	char dag[DAG_NAME_MAX + 1], run[DAG_NAME_MAX + 1], task[DAG_NAME_MAX + 1];
	char state[32]; /* RUN: that it was in */
};

/** Park the call. @return NULL: no memory, it was answered */
struct waiter *dagapi_park(struct orchestrate *o, struct http_call *call, enum waiter_kind kind,
			   int64_t wait_ns);
/** Seconds of the query parameter wait. */
int64_t dagapi_wait_ns(const struct http_call *call);
int64_t dagapi_number(const struct http_call *call, const char *name, int64_t otherwise);
/** Answer when the turn is durable. @param reply  taken */
void dagapi_reply_durable(struct orchestrate *o, struct http_call *call, json_t *reply);
/** Answer what an -errno means. @param what  "pipeline", ... */
void dagapi_reply_error(struct http_call *call, int error, const char *what, const char *name);
/** @return the body; NULL: it was none, which was answered. Caller frees. */
json_t *dagapi_body(struct http_call *call);
void dagapi_put(json_t *object, const char *name, json_t *value);
/** @return text; null for 0 */
json_t *dagapi_time(int64_t at_us);
/** @return whether it can be an id in a path */
bool dagapi_is_id(const char *text);

/* dagapi_runs.c */
json_t *dagapi_run_json(const char *dag_id, const char *version, const struct run *run);
/** @return false: go on waiting */
bool dagapi_try_run(struct orchestrate *o, struct waiter *waiter, bool is_due);
bool dagapi_try_log(struct orchestrate *o, struct waiter *waiter, bool is_due);

/* Endpoints. */
dagapi_serve dagapi_get_dags, dagapi_post_dag, dagapi_get_dag, dagapi_patch_dag, dagapi_delete_dag;
dagapi_serve dagapi_get_runs, dagapi_post_run, dagapi_get_run, dagapi_clear_run, dagapi_cancel_run;
dagapi_serve dagapi_get_why, dagapi_get_logs;
dagapi_serve dagapi_get_variables, dagapi_put_variable, dagapi_delete_variable;
dagapi_serve dagapi_get_connections, dagapi_put_connection, dagapi_delete_connection;
dagapi_serve dagapi_get_pools, dagapi_put_pool;
dagapi_serve dagapi_get_tables, dagapi_get_table, dagapi_post_sql, dagapi_get_scheduler;

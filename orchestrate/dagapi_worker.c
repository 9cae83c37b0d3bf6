/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "orchestrate/dagapi.h"

#define QUERY_NS  (600 * NS_PER_S)
#define LIMIT     1000
#define LIMIT_MAX 100000

/** Send it to the worker and park the call. @param start  taken */
static void ask(struct orchestrate *o, struct http_call *call, json_t *start)
{
	int64_t attempt = --o->last_query;
	struct waiter *waiter;
	int error = start != NULL ? workerclient_start(o->worker, attempt, start) : -ENOMEM;

	if (error == -ENOTCONN) {
		http_reply_error(call, 503,
				 "there is no worker: it is starting, has failed (see its log), or "
				 "worker.enable is false");
		return;
	}
	if (error != 0) {
		dagapi_reply_error(call, error, "query", "");
		return;
	}
	o->needs_turn = true;
	waiter = dagapi_park(o, call, WAIT_QUERY, QUERY_NS);
	if (waiter == NULL)
		(void)workerclient_cancel(o->worker, attempt);
	else
		waiter->attempt = attempt;
}

void dagapi_get_tables(struct orchestrate *o, struct http_call *call,
		       const struct dagapi_names *names)
{
	(void)names;
	ask(o, call, json_pack("{s:s}", "kind", "tables"));
}

void dagapi_get_table(struct orchestrate *o, struct http_call *call,
		      const struct dagapi_names *names)
{
	ask(o, call, json_pack("{s:s,s:s}", "kind", "table", "table", names->at[0]));
}

void dagapi_post_sql(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	json_t *body = dagapi_body(call), *limit = json_object_get(body, "limit");
	json_t *sql = json_object_get(body, "sql");
	int64_t rows = json_is_integer(limit) ? json_integer_value(limit) : LIMIT;

	(void)names;
	if (body == NULL)
		return;
	if (!json_is_string(sql))
		http_reply_error(call, 400, "{\"sql\": text, \"limit\": rows} is wanted");
	else
		ask(o, call,
		    json_pack("{s:s,s:O,s:I}", "kind", "query", "sql", sql, "limit",
			      (json_int_t)MIN(MAX(rows, 1), LIMIT_MAX)));
	json_decref(body);
}

void dagapi_query_ended(struct orchestrate *o, int64_t attempt, enum engine_outcome outcome,
			const char *message, json_t *result)
{
	LIST_EACH_SAFE(&o->waiters, node)
	{
		struct waiter *waiter = LIST_ENTRY(node, struct waiter, link);

		if (waiter->kind != WAIT_QUERY || waiter->attempt != attempt ||
		    waiter->call == NULL)
			continue;
		if (outcome == ENGINE_SUCCESS && json_is_object(result)) {
			json_t *reply = json_copy(result);

			dagapi_put(reply, "seconds",
				   json_real((double)(o->now_ns - waiter->since_ns) / 1e9));
			http_reply_json(waiter->call, 200, reply);
		} else {
			http_reply_error(waiter->call, outcome == ENGINE_LOST ? 503 : 400, "%s",
					 message != NULL ? message : "the query was cancelled");
		}
		list_remove(&waiter->link);
		free(waiter);
		o->needs_turn = true;
		return;
	}
}

void dagapi_get_scheduler(struct orchestrate *o, struct http_call *call,
			  const struct dagapi_names *names)
{
	const struct hist *due = &o->due_to_start;
	struct workerclient_view worker;
	struct engine_dag_view view;
	uint32_t dags = 0, runs = 0;
	json_t *json;

	(void)names;
	workerclient_view(o->worker, &worker);
	for (; engine_dag_at(o->engine, dags, &view); dags++)
		runs += view.active_runs;
	json = json_pack("{s:{s:b,s:i,s:i,s:i,s:s}}", "worker", "connected", worker.is_connected,
			 "slots", (int)worker.slots, "running", (int)worker.running, "waiting",
			 (int)worker.waiting, "duckdb", worker.duckdb);
	dagapi_put(json, "due_to_start_us",
		   json_pack("{s:I,s:I,s:I,s:I}", "p50", (json_int_t)hist_quantile(due, 500000),
			     "p99", (json_int_t)hist_quantile(due, 990000), "max",
			     (json_int_t)due->max, "count", (json_int_t)due->count));
	dagapi_put(json, "attempts_running",
		   json_integer(commands_count(o->commands) + worker.running));
	dagapi_put(json, "dags", json_integer(dags));
	dagapi_put(json, "runs_active", json_integer(runs));
	http_reply_json(call, 200, json);
}

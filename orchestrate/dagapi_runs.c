/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#include "orchestrate/dagapi.h"
#include "orchestrate/instant.h"
#include "orchestrate/tasklog.h"

#define RUNS_LIMIT 25
#define RUNS_MAX   1000
#define WHY_SIZE   600

/* ---- as JSON ---- */

static json_t *conf_json(const struct run *run)
{
	return run->conf != NULL ? json_incref(run->conf) : json_object();
}

json_t *dagapi_run_json(const char *dag_id, const char *version, const struct run *run)
{
	json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s}", "dag_id", dag_id, "dag_run_id", run->id,
				 "run_type", run->type == RUN_SCHEDULED ? "scheduled" : "manual",
				 "state", run_state_name(run->state), "version", version);

	dagapi_put(json, "logical_date", dagapi_time(run->slot.logical_us));
	dagapi_put(json, "data_interval_start", dagapi_time(run->slot.begin_us));
	dagapi_put(json, "data_interval_end", dagapi_time(run->slot.end_us));
	dagapi_put(json, "run_after", dagapi_time(run->slot.run_after_us));
	dagapi_put(json, "queued_at", dagapi_time(run->queued_us));
	dagapi_put(json, "start_date", dagapi_time(run->start_us));
	dagapi_put(json, "end_date", dagapi_time(run->end_us));
	dagapi_put(json, "conf", conf_json(run));
	dagapi_put(json, "note", run->note != NULL ? json_string(run->note) : json_null());
	return json;
}

static json_t *ti_json(const char *task, const struct ti *ti)
{
	const char *state = ti->state == TI_NONE ? NULL : ti_state_name(ti->state);

	bool has_ended = ti->start_us != 0 && ti->end_us >= ti->start_us;
	double seconds = (double)(ti->end_us - ti->start_us) / 1e6;

	return json_pack("{s:s,s:s?,s:i,s:o,s:o,s:o}", "task_id", task, "state", state,
			 "try_number", (int)ti->try_number, "start_date", dagapi_time(ti->start_us),
			 "end_date", dagapi_time(ti->end_us), "duration",
			 has_ended ? json_real(seconds) : json_null());
}

static json_t *full_ti_json(const char *task, const struct ti *ti, const char *why)
{
	json_t *json = ti_json(task, ti);

	dagapi_put(json, "max_tries", json_integer(ti->max_tries));
	dagapi_put(json, "scheduled_at", dagapi_time(ti->scheduled_us));
	dagapi_put(json, "queued_at", dagapi_time(ti->queued_us));
	dagapi_put(json, "next_at", dagapi_time(ti->next_us));
	dagapi_put(json, "message", ti->message != NULL ? json_string(ti->message) : json_null());
	dagapi_put(json, "result", ti->result != NULL ? json_incref(ti->result) : json_null());
	dagapi_put(json, "why", why != NULL ? json_string(why) : json_null());
	dagapi_put(json, "attempt", json_integer(ti->attempt));
	return json;
}

/** @param is_full  all of the task instances' fields */
static json_t *live_json(const struct orchestrate *o, const struct run *run, bool is_full)
{
	json_t *json = dagapi_run_json(run->dag->id, run->dag->version, run);
	json_t *tasks = json_array();
	char why[WHY_SIZE];

	for (uint32_t i = 0; i < run->dag->task_count; i++) {
		const struct ti *ti = &run->tis[i];
		const char *task = run->dag->tasks[i].name;

		(void)json_array_append_new(
			tasks, is_full ? full_ti_json(task, ti,
						      engine_why(o->engine, ti, o->now_us, why,
								 sizeof(why)))
				       : ti_json(task, ti));
	}
	dagapi_put(json, "tasks", tasks);
	return json;
}

static json_t *saved_json(const struct store_run *saved, bool is_full)
{
	json_t *json = dagapi_run_json(saved->dag_id, saved->version, &saved->run);
	json_t *tasks = json_array();

	for (uint32_t i = 0; i < saved->ti_count; i++) {
		const struct store_ti *ti = &saved->tis[i];

		(void)json_array_append_new(
			tasks, is_full ? full_ti_json(ti->task, &ti->ti, ti->ti.message)
				       : ti_json(ti->task, &ti->ti));
	}
	dagapi_put(json, "tasks", tasks);
	return json;
}

/* ---- looking ---- */

struct listing {
	struct orchestrate *o;
	const char *dag_id;
	json_t *runs;
};

/** Runs that are in memory were listed from there. */
static int list_saved(void *context, const struct store_run *saved)
{
	struct listing *listing = context;

	if (engine_run(listing->o->engine, listing->dag_id, saved->run.id) == NULL)
		(void)json_array_append_new(listing->runs, saved_json(saved, false));
	return 0;
}

void dagapi_get_runs(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	size_t limit = (size_t)MIN(dagapi_number(call, "limit", RUNS_LIMIT), RUNS_MAX);
	struct listing listing = { o, names->at[0], json_array() };
	struct engine_dag_view view;
	int error = engine_dag(o->engine, names->at[0], &view);

	if (error != 0) {
		json_decref(listing.runs);
		dagapi_reply_error(call, error, "pipeline", names->at[0]);
		return;
	}
	LIST_EACH(view.runs, node)
	{
		if (json_array_size(listing.runs) == limit)
			break;
		(void)json_array_append_new(
			listing.runs, live_json(o, LIST_ENTRY(node, struct run, link), false));
	}
	if (json_array_size(listing.runs) < limit)
		(void)store_each_run(o->store, names->at[0], (uint32_t)limit, list_saved, &listing);
	while (json_array_size(listing.runs) > limit)
		(void)json_array_remove(listing.runs, json_array_size(listing.runs) - 1);
	http_reply_json(call, 200, json_pack("{s:o}", "dag_runs", listing.runs));
}

static int keep_saved(void *context, const struct store_run *saved)
{
	json_t **json = context;

	*json = saved_json(saved, true);
	return 0;
}

void dagapi_get_run(struct orchestrate *o, struct http_call *call, const struct dagapi_names *names)
{
	const struct run *run = engine_run(o->engine, names->at[0], names->at[1]);
	const char *state = http_call_query(call, "state");
	int64_t wait_ns = dagapi_wait_ns(call);
	struct waiter *waiter;
	json_t *json = NULL;
	int error;

	if (run == NULL) {
		error = store_find_run(o->store, names->at[0], names->at[1], keep_saved, &json);
		if (error == 0)
			http_reply_json(call, 200, json);
		else
			dagapi_reply_error(call, error, "run", names->at[1]);
		return;
	}
	if (wait_ns == 0 || (state != NULL && strcmp(state, run_state_name(run->state)) != 0)) {
		http_reply_json(call, 200, live_json(o, run, true));
		return;
	}
	waiter = dagapi_park(o, call, WAIT_RUN, wait_ns);
	if (waiter == NULL)
		return;
	(void)snprintf(waiter->dag, sizeof(waiter->dag), "%s", names->at[0]);
	(void)snprintf(waiter->run, sizeof(waiter->run), "%s", names->at[1]);
	(void)snprintf(waiter->state, sizeof(waiter->state), "%s", run_state_name(run->state));
}

bool dagapi_try_run(struct orchestrate *o, struct waiter *waiter, bool is_due)
{
	const struct run *run = engine_run(o->engine, waiter->dag, waiter->run);

	if (run == NULL) {
		http_reply_error(waiter->call, 404, "there is no run %s any more", waiter->run);
		return true;
	}
	if (!is_due && strcmp(waiter->state, run_state_name(run->state)) == 0)
		return false;
	http_reply_json(waiter->call, 200, live_json(o, run, true));
	return true;
}

/* ---- changing ---- */

/** @return 0; -EINVAL, answered */
static int read_trigger(struct http_call *call, const json_t *body, int64_t *ret_logical_us)
{
	const char *logical = json_string_value(json_object_get(body, "logical_date"));
	const char *id = json_string_value(json_object_get(body, "dag_run_id"));
	const json_t *conf = json_object_get(body, "conf");

	*ret_logical_us = TIMETABLE_NONE;
	if (logical != NULL && instant_parse(logical, ret_logical_us) != 0)
		http_reply_error(call, 400,
				 "logical_date %s is no time: write it as 2026-01-31T06:00:00Z",
				 logical);
	else if (id != NULL && !dagapi_is_id(id))
		http_reply_error(call, 400,
				 "dag_run_id is to have 1 to %d characters without spaces and / \\ "
				 "\" %% ? #, and no dot first",
				 DAG_NAME_MAX);
	else if (conf != NULL && !json_is_object(conf) && !json_is_null(conf))
		http_reply_error(call, 400, "conf is to be an object");
	else
		return 0;
	return -EINVAL;
}

static int visit_nothing(void *context, const struct store_run *saved)
{
	(void)context;
	(void)saved;
	return 0;
}

void dagapi_post_run(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	json_t *body = http_call_json(call), *conf = json_object_get(body, "conf");
	const char *id = json_string_value(json_object_get(body, "dag_run_id"));
	const struct run *run = NULL;
	int64_t logical_us;
	int error;

	if (read_trigger(call, body, &logical_us) != 0) {
		json_decref(body);
		return;
	}
	/* Memory has the newest runs only. */
	error = id != NULL && store_find_run(o->store, names->at[0], id, visit_nothing, NULL) == 0
			? -EEXIST
			: engine_trigger(o->engine, names->at[0], id, logical_us,
					 json_is_object(conf) ? conf : NULL, o->now_us, &run);
	if (error == 0)
		dagapi_reply_durable(o, call, live_json(o, run, true));
	else if (error == -EEXIST)
		http_reply_error(call, 409, "%s has a run of that id or logical date already",
				 names->at[0]);
	else
		dagapi_reply_error(call, error, "pipeline", names->at[0]);
	json_decref(body);
}

void dagapi_clear_run(struct orchestrate *o, struct http_call *call,
		      const struct dagapi_names *names)
{
	json_t *body = http_call_json(call);
	const char *task = json_string_value(json_object_get(body, "task_id"));
	bool has_downstream = !json_is_false(json_object_get(body, "downstream"));
	int count = 0;

	if (engine_run(o->engine, names->at[0], names->at[1]) == NULL)
		count = orchestrate_load_run(o, names->at[0], names->at[1]);
	if (count == 0)
		count = engine_clear(o->engine, names->at[0], names->at[1], task, has_downstream,
				     o->now_us);
	if (count >= 0)
		dagapi_reply_durable(o, call, json_pack("{s:i}", "cleared", count));
	else if (count == -EBUSY)
		http_reply_error(call, 409, "the run is being stopped: clear it when it has ended");
	else
		dagapi_reply_error(call, count, task != NULL ? "task" : "run",
				   task != NULL ? task : names->at[1]);
	json_decref(body);
}

void dagapi_cancel_run(struct orchestrate *o, struct http_call *call,
		       const struct dagapi_names *names)
{
	int error = engine_cancel(o->engine, names->at[0], names->at[1], o->now_us);

	if (error != 0)
		dagapi_reply_error(call, error, "run", names->at[1]);
	else
		dagapi_reply_durable(
			o, call,
			live_json(o, engine_run(o->engine, names->at[0], names->at[1]), true));
}

/* ---- task instances ---- */

static const struct ti *find_ti(const struct orchestrate *o, const char *dag_id, const char *run_id,
				const char *task)
{
	const struct run *run = engine_run(o->engine, dag_id, run_id);
	int32_t at = run != NULL ? dag_find_task(run->dag, task) : -1;

	return at >= 0 ? &run->tis[at] : NULL;
}

void dagapi_get_why(struct orchestrate *o, struct http_call *call, const struct dagapi_names *names)
{
	const struct ti *ti = find_ti(o, names->at[0], names->at[1], names->at[2]);
	char why[WHY_SIZE];

	if (ti == NULL)
		dagapi_reply_error(call, -ENOENT, "task", names->at[2]);
	else
		http_reply_json(call, 200,
				json_pack("{s:s}", "why",
					  engine_why(o->engine, ti, o->now_us, why, sizeof(why))));
}

/** Whole lines from an offset on. @return bytes, in `ret` (caller frees); -ENOENT, -errno */
static ssize_t read_lines(const char *path, int64_t offset, char **ret)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	char *bytes;
	ssize_t size;

	if (file < 0)
		return -errno;
	bytes = malloc(TASKLOG_LINE_MAX);
	size = bytes != NULL ? pread(file, bytes, TASKLOG_LINE_MAX, offset) : -1;
	(void)close(file);
	if (size <= 0) {
		free(bytes);
		return size < 0 ? -EIO : 0;
	}
	while (size > 0 && bytes[size - 1] != '\n')
		size--;
	*ret = bytes;
	return size;
}

bool dagapi_try_log(struct orchestrate *o, struct waiter *waiter, bool is_due)
{
	const struct ti *ti = find_ti(o, waiter->dag, waiter->run, waiter->task);
	/* Ended means that nothing is added any more: looked at before the file is read. */
	bool is_ended = ti == NULL || ti->try_number != waiter->try_number ||
			(ti->state != TI_QUEUED && ti->state != TI_RUNNING &&
			 ti->state != TI_UP_FOR_RESCHEDULE && ti->state != TI_SCHEDULED);
	char path[ORCHESTRATE_PATH_SIZE];
	char *text = NULL;
	ssize_t size;

	orchestrate_log_path(o, waiter->dag, waiter->run, waiter->task, waiter->try_number, path);
	size = read_lines(path, waiter->offset, &text);
	if (size <= 0 && !is_ended && !is_due) {
		free(text);
		return false;
	}
	if (size < 0 && ti == NULL)
		http_reply_error(waiter->call, 404, "there is no log of try %u of %s",
				 waiter->try_number, waiter->task);
	else
		http_reply_json(
			waiter->call, 200,
			json_pack("{s:o?,s:I,s:b}", "content",
				  size > 0 ? json_stringn(text, (size_t)size) : json_string(""),
				  "next_offset",
				  (json_int_t)(waiter->offset + MAX(size, (ssize_t)0)), "ended",
				  is_ended && size <= 0));
	free(text);
	return true;
}

void dagapi_get_logs(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	const struct ti *ti = find_ti(o, names->at[0], names->at[1], names->at[2]);
	int64_t newest = ti != NULL ? MAX(ti->try_number, 1U) : 1;
	struct waiter *waiter;

	for (size_t i = 0; i < ARRAY_COUNT(names->at); i++) {
		if (!dagapi_is_id(names->at[i])) {
			dagapi_reply_error(call, -ENOENT, "log of", names->at[i]);
			return;
		}
	}
	waiter = dagapi_park(o, call, WAIT_LOG, dagapi_wait_ns(call));
	if (waiter == NULL)
		return;
	waiter->offset = dagapi_number(call, "offset", 0);
	waiter->try_number = (uint32_t)MIN(dagapi_number(call, "try", newest), 100000);
	(void)snprintf(waiter->dag, sizeof(waiter->dag), "%s", names->at[0]);
	(void)snprintf(waiter->run, sizeof(waiter->run), "%s", names->at[1]);
	(void)snprintf(waiter->task, sizeof(waiter->task), "%s", names->at[2]);
}

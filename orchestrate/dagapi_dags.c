/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/dagapi.h"
#include "orchestrate/manifest.h"

#define LAST_RUNS 25

static json_t *slot_json(const struct timetable_slot *slot)
{
	return json_pack("{s:o,s:o,s:o,s:o}", "logical_date", dagapi_time(slot->logical_us),
			 "data_interval_start", dagapi_time(slot->begin_us), "data_interval_end",
			 dagapi_time(slot->end_us), "run_after", dagapi_time(slot->run_after_us));
}

static json_t *last_runs(const struct engine_dag_view *view)
{
	json_t *runs = json_array();

	LIST_EACH(view->runs, node)
	{
		const struct run *run = LIST_ENTRY(node, struct run, link);

		if (json_array_size(runs) == LAST_RUNS)
			break;
		(void)json_array_append_new(runs,
					    json_pack("{s:s,s:s,s:o,s:o}", "dag_run_id", run->id,
						      "state", run_state_name(run->state),
						      "start_date", dagapi_time(run->start_us),
						      "end_date", dagapi_time(run->end_us)));
	}
	return runs;
}

static json_t *dag_json(const struct engine_dag_view *view)
{
	const struct dag *dag = view->dag;
	const char *text = timetable_text(dag->timetable);
	const char *zone = timetable_zone(dag->timetable), *end = strstr(text, ", ");
	size_t size =
		end != NULL && strcmp(end + 2, zone) == 0 ? (size_t)(end - text) : strlen(text);
	bool is_manual = timetable_kind(dag->timetable) == TIMETABLE_MANUAL;
	json_t *json = json_pack("{s:s,s:s,s:b}", "dag_id", dag->id, "description",
				 dag->description != NULL ? dag->description : "", "is_paused",
				 view->is_paused);

	dagapi_put(json, "schedule", is_manual ? json_null() : json_stringn(text, size));
	dagapi_put(json, "timezone", json_string(zone));
	dagapi_put(json, "folder", dag->folder != NULL ? json_string(dag->folder) : json_null());
	dagapi_put(json, "tags", json_incref(dag->tags));
	dagapi_put(json, "version", json_string(dag->version));
	dagapi_put(json, "task_count", json_integer(dag->task_count));
	dagapi_put(json, "max_active_runs", json_integer(dag->max_active_runs));
	dagapi_put(json, "next_run",
		   view->has_next && !view->is_paused ? slot_json(&view->next) : json_null());
	dagapi_put(json, "active_runs", json_integer(view->active_runs));
	dagapi_put(json, "last_runs", last_runs(view));
	return json;
}

void dagapi_get_dags(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	struct engine_dag_view view;
	json_t *dags = json_array();
	uint32_t count = 0;

	(void)names;
	for (; engine_dag_at(o->engine, count, &view); count++)
		(void)json_array_append_new(dags, dag_json(&view));
	http_reply_json(call, 200,
			json_pack("{s:o,s:i}", "dags", dags, "total_entries", (int)count));
}

/* ---- one ---- */

static json_t *tasks_json(const struct dag *dag)
{
	json_t *tasks = json_array();

	for (uint32_t i = 0; i < dag->task_count; i++) {
		const struct dag_task *task = &dag->tasks[i];
		json_t *upstream = json_array();
		json_t *json;

		for (uint32_t j = 0; j < task->upstream_count; j++)
			(void)json_array_append_new(
				upstream, json_string(dag->tasks[task->upstream[j]].name));
		json = json_pack("{s:s,s:s,s:o,s:s,s:i,s:s}", "task_id", task->name, "kind",
				 task_kind_name(task->kind), "upstream", upstream, "trigger_rule",
				 trigger_rule_name(task->rule), "retries", (int)task->retries,
				 "pool", task->pool);
		dagapi_put(json, "writes", json_incref(json_object_get(task->spec, "writes")));
		(void)json_array_append_new(tasks, json);
	}
	return tasks;
}

static int add_version(void *context, const char *version, int64_t applied_us)
{
	(void)json_array_append_new(context, json_pack("{s:s,s:o}", "version", version,
						       "applied_at", dagapi_time(applied_us)));
	return 0;
}

void dagapi_get_dag(struct orchestrate *o, struct http_call *call, const struct dagapi_names *names)
{
	struct engine_dag_view view;
	json_t *json, *files = NULL, *versions;
	int error = engine_dag(o->engine, names->at[0], &view);

	if (error != 0) {
		dagapi_reply_error(call, error, "pipeline", names->at[0]);
		return;
	}
	json = dag_json(&view);
	dagapi_put(json, "tasks", tasks_json(view.dag));
	dagapi_put(json, "params", json_incref(view.dag->params));
	if (store_files(o->store, view.dag->id, view.dag->version, &files) == 0)
		dagapi_put(json, "files", files);
	versions = json_array();
	(void)store_each_version(o->store, view.dag->id, add_version, versions);
	dagapi_put(json, "versions", versions);
	http_reply_json(call, 200, json);
}

void dagapi_patch_dag(struct orchestrate *o, struct http_call *call,
		      const struct dagapi_names *names)
{
	json_t *body = dagapi_body(call);
	const json_t *paused = json_object_get(body, "is_paused");
	struct engine_dag_view view;
	int error;

	if (body == NULL)
		return;
	if (!json_is_boolean(paused)) {
		http_reply_error(call, 400, "is_paused is to be true or false");
		json_decref(body);
		return;
	}
	error = engine_pause(o->engine, names->at[0], json_is_true(paused), o->now_us);
	json_decref(body);
	if (error == 0)
		error = engine_dag(o->engine, names->at[0], &view);
	if (error != 0)
		dagapi_reply_error(call, error, "pipeline", names->at[0]);
	else
		dagapi_reply_durable(o, call, dag_json(&view));
}

void dagapi_delete_dag(struct orchestrate *o, struct http_call *call,
		       const struct dagapi_names *names)
{
	int error = engine_remove(o->engine, names->at[0], o->now_us);

	if (error != 0) {
		dagapi_reply_error(call, error, "pipeline", names->at[0]);
		return;
	}
	store_delete_dag(o->store, names->at[0]);
	(void)json_object_set_new(o->removed, names->at[0], json_true());
	dagapi_reply_durable(o, call, json_pack("{s:s}", "dag_id", names->at[0]));
}

/* ---- applying ---- */

static void reply_errors(struct http_call *call, json_t *errors)
{
	const json_t *first = json_array_get(errors, 0);
	const char *file = json_string_value(json_object_get(first, "file"));
	const char *message = json_string_value(json_object_get(first, "message"));
	size_t more = json_array_size(errors) > 0 ? json_array_size(errors) - 1 : 0;
	json_t *sentence = json_sprintf("%s:%d: %s%s", file != NULL ? file : "pipeline.yaml",
					(int)json_integer_value(json_object_get(first, "line")),
					message != NULL ? message : "it is not understood",
					more > 0 ? " (and more)" : "");

	http_reply_json(call, 400,
			json_pack("{s:o?,s:o}", "error", sentence, "errors",
				  errors != NULL ? errors : json_array()));
}

/** @return whether another folder has the name; answered */
static bool is_taken(struct orchestrate *o, struct http_call *call, const struct dag *dag,
		     bool may_replace)
{
	struct engine_dag_view view;

	if (may_replace || engine_dag(o->engine, dag->id, &view) != 0 ||
	    json_object_get(o->removed, dag->id) != NULL || view.dag->folder == NULL ||
	    dag->folder == NULL || strcmp(view.dag->folder, dag->folder) == 0)
		return false;
	http_reply_error(
		call, 409,
		"two manifests with one name: %s is the pipeline of folder %s; rename one, or "
		"apply this with --replace",
		dag->id, view.dag->folder);
	return true;
}

/** @return whether this version is another one; -errno */
static int apply(struct orchestrate *o, struct dag *dag, const json_t *files)
{
	struct engine_dag_view view;
	bool is_known = engine_dag(o->engine, dag->id, &view) == 0 &&
			json_object_get(o->removed, dag->id) == NULL;
	bool is_same_place =
		is_known && (dag->folder == NULL || (view.dag->folder != NULL &&
						     strcmp(view.dag->folder, dag->folder) == 0));
	bool is_same = is_known && strcmp(view.dag->version, dag->version) == 0;
	char *text;
	int error;

	if (is_same && is_same_place)
		return 0;
	text = json_dumps(files, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		return -ENOMEM;
	error = engine_apply(o->engine, dag, false, o->now_us);
	if (error == 0) {
		store_save_version(o->store, dag, text, o->now_us);
		(void)json_object_del(o->removed, dag->id);
	}
	free(text);
	return error == 0 ? !is_same : error;
}

void dagapi_post_dag(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	CLEANUP(dag_unrefp) struct dag *dag = NULL;
	json_t *body = dagapi_body(call), *errors = NULL, *reply;
	const json_t *files = json_object_get(body, "files");
	const char *folder = json_string_value(json_object_get(body, "folder"));
	int error;

	(void)names;
	if (body == NULL)
		return;
	if (!json_is_object(files)) {
		http_reply_error(call, 400, "files is to be an object of file names and texts");
		json_decref(body);
		return;
	}
	error = manifest_parse(files, &dag, &errors);
	if (error != 0) {
		reply_errors(call, errors);
		json_decref(body);
		return;
	}
	json_decref(errors);
	if (folder != NULL && dag->folder == NULL)
		dag->folder = strdup(folder);
	if (!is_taken(o, call, dag, json_is_true(json_object_get(body, "replace")))) {
		bool is_check = json_is_true(json_object_get(body, "check_only"));

		error = is_check ? 0 : apply(o, dag, files);
		reply = json_pack("{s:s,s:s,s:b}", "dag_id", dag->id, "version", dag->version,
				  "changed", error > 0);
		if (error >= 0) {
			dagapi_reply_durable(o, call, reply);
		} else {
			json_decref(reply);
			dagapi_reply_error(call, error, "pipeline", dag->id);
		}
	}
	json_decref(body);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#include "orchestrate/manifest.h"
#include "orchestrate/orchestrate_impl.h"

#define US_PER_DAY INT64_C(86400000000)

/* ---- pipelines ---- */

int orchestrate_load_dag(struct orchestrate *o, const char *dag_id, const char *version,
			 struct dag **ret_dag)
{
	json_t *files = NULL, *errors = NULL;
	const char *message;
	int error;

	error = store_files(o->store, dag_id, version, &files);
	if (error != 0)
		return error;
	error = manifest_parse(files, ret_dag, &errors);
	json_decref(files);
	if (error != 0) {
		message = json_string_value(json_object_get(json_array_get(errors, 0), "message"));
		log_error("pipeline %s, version %.12s, is not understood any more: %s", dag_id,
			  version, message != NULL ? message : err_str(error));
	}
	json_decref(errors);
	return error;
}

static int restore_pool(void *context, const char *name, uint32_t slots)
{
	struct orchestrate *o = context;

	engine_set_pool(o->engine, name, slots, o->now_us);
	return 0;
}

static int restore_dag(void *context, const struct store_dag *saved)
{
	CLEANUP(dag_unrefp) struct dag *dag = NULL;
	struct orchestrate *o = context;
	int error = orchestrate_load_dag(o, saved->id, saved->version, &dag);

	if (error != 0)
		return error == -ENOMEM || error == ERR_CORRUPT ? error : 0; /* the others go on */
	if (saved->folder != NULL) {
		free(dag->folder);
		dag->folder = strdup(saved->folder);
	}
	return engine_restore_dag(o->engine, dag, saved->is_paused,
				  saved->has_last ? &saved->last : NULL);
}

/* ---- runs ---- */

/** The version of a run: the pipeline's present one, or parsed anew. */
static int dag_of(struct orchestrate *o, const struct store_run *saved, struct dag **ret_dag)
{
	struct engine_dag_view view;
	int error = engine_dag(o->engine, saved->dag_id, &view);

	if (error != 0)
		return error;
	if (strcmp(view.dag->version, saved->version) == 0) {
		*ret_dag = dag_ref(view.dag);
		return 0;
	}
	LIST_EACH(view.runs, node)
	{
		const struct run *run = LIST_ENTRY(node, struct run, link);

		if (strcmp(run->dag->version, saved->version) == 0) {
			*ret_dag = dag_ref(run->dag);
			return 0;
		}
	}
	return orchestrate_load_dag(o, saved->dag_id, saved->version, ret_dag);
}

static int restore_run(void *context, const struct store_run *saved)
{
	CLEANUP(dag_unrefp) struct dag *dag = NULL;
	struct orchestrate *o = context;
	struct run run = saved->run;
	int error = dag_of(o, saved, &dag);

	if (error != 0)
		return error == -ENOMEM ? error : 0;
	run.dag = dag;
	run.tis = calloc(MAX(dag->task_count, 1U), sizeof(*run.tis));
	if (run.tis == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < saved->ti_count; i++) {
		int32_t at = dag_find_task(dag, saved->tis[i].task);

		if (at >= 0)
			run.tis[at] = saved->tis[i].ti;
	}
	error = engine_restore_run(o->engine, &run, dag);
	free(run.tis);
	return error == -EEXIST ? 0 : error;
}

int orchestrate_load_run(struct orchestrate *o, const char *dag_id, const char *run_id)
{
	return store_find_run(o->store, dag_id, run_id, restore_run, o);
}

static int restore_runs(struct orchestrate *o)
{
	struct engine_dag_view view;
	int error = 0;

	for (uint32_t i = 0; error == 0 && engine_dag_at(o->engine, i, &view); i++)
		error = store_each_run(o->store, view.dag->id, ENGINE_RUNS_KEPT, restore_run, o);
	return error;
}

/* ---- attempts ---- */

/** Find out what became of an attempt that was under way. */
static void adopt(struct orchestrate *o, const struct ti *ti)
{
	switch (ti->run->dag->tasks[ti->task].kind) {
	case TASK_COMMAND:
		if (!commands_has(o->commands, ti->attempt))
			orchestrate_ended(o, ti->attempt, ENGINE_LOST,
					  "control ended before it was started", NULL);
		else if (ti->state == TI_QUEUED)
			engine_attempt_started(o->engine, ti->attempt, o->now_us);
		break;
	case TASK_SQL:
	case TASK_CHECK:
		if (workerclient_expect(o->worker, ti->attempt) != 0)
			orchestrate_ended(o, ti->attempt, ENGINE_LOST, "out of memory", NULL);
		break;
	case TASK_HTTP:
	case TASK_SENSOR:
	case TASK_NOTIFY:
		orchestrate_ended(o, ti->attempt, ENGINE_LOST, "control ended while it ran", NULL);
		break;
	}
}

static void adopt_all(struct orchestrate *o)
{
	struct engine_dag_view view;

	for (uint32_t i = 0; engine_dag_at(o->engine, i, &view); i++) {
		LIST_EACH(view.runs, node)
		{
			const struct run *run = LIST_ENTRY(node, struct run, link);

			for (uint32_t at = 0; at < run->dag->task_count; at++) {
				enum ti_state state = run->tis[at].state;

				if (state == TI_QUEUED || state == TI_RUNNING)
					adopt(o, &run->tis[at]);
			}
		}
	}
}

int orchestrate_restore(struct orchestrate *o)
{
	int error = store_each_pool(o->store, restore_pool, o);

	if (error == 0)
		error = store_each_dag(o->store, restore_dag, o);
	if (error == 0)
		error = restore_runs(o);
	if (error == 0)
		error = commands_adopt(o->commands);
	if (error != 0) {
		(void)snprintf(o->error, sizeof(o->error),
			       "the state of pipelines in %s/state.db cannot be read: %s",
			       o->folder, err_str(error));
		return error;
	}
	engine_restore_counter(o->engine, store_next_attempt(o->store));
	engine_restored(o->engine, o->now_us);
	adopt_all(o);
	return 0;
}

/* ---- old runs ---- */

static void remove_tree(const char *path)
{
	char name[ORCHESTRATE_PATH_SIZE];
	const struct dirent *entry;
	DIR *folder = opendir(path);

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) { // NOLINT: one thread
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    (size_t)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >=
			    sizeof(name))
			continue;
		if (unlink(name) != 0 && errno == EISDIR)
			remove_tree(name);
	}
	(void)closedir(folder);
	(void)rmdir(path);
}

static int remove_logs(void *context, const struct store_run *run)
{
	char path[ORCHESTRATE_PATH_SIZE];

	orchestrate_log_path(context, run->dag_id, run->run.id, "", 0, path);
	remove_tree(path);
	return 0;
}

void orchestrate_sweep(struct orchestrate *o)
{
	int64_t before_us = o->now_us - o->config.config->run_keep_days * US_PER_DAY;

	(void)store_each_expired(o->store, before_us, remove_logs, o);
	store_expire(o->store, before_us);
}

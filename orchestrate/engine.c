/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "orchestrate/engine_impl.h"

#define LATE_US                                                                                    \
	INT64_C(60000000) /* a call so much later than asked for: the clock jumped, or nobody ran */
#define DAGS_MIN 64U

/* ---- making, time, lists ---- */

int engine_new(const struct engine_ports *ports, void *context, const struct engine_limits *limits,
	       struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct pool_entry *pool = NULL;

	if (engine == NULL)
		return -ENOMEM;
	engine->ports = *ports;
	engine->context = context;
	engine->limits = *limits;
	engine->promised_us = INT64_MAX;
	engine->next_attempt = 1;
	engine->is_restoring = true;
	timers_init(&engine->wall);
	timers_init(&engine->steady);
	list_init(&engine->pools);
	list_init(&engine->checks);
	list_init(&engine->ended);
	list_init(&engine->starts);
	list_init(&engine->sweeps);
	engine->pokes = engine_ready_pool(engine, ""); /* no pool has this name */
	pool = engine_ready_pool(engine, "default_pool");
	if (engine->pokes == NULL || pool == NULL) {
		engine_free(engine);
		return -ENOMEM;
	}
	engine->pokes->is_poke = true;
	pool->is_defined = true;
	pool->slots = limits->default_pool_slots;
	*ret_engine = engine;
	return 0;
}

void engine_free(struct engine *engine)
{
	struct list *node;

	if (engine == NULL)
		return;
	while (engine->dag_count > 0)
		engine_drop_dag(engine->dags[engine->dag_count - 1]);
	while ((node = list_pop_front(&engine->pools)) != NULL)
		free(LIST_ENTRY(node, struct pool_entry, link));
	free(engine->dags);
	free(engine);
}

void engine_enter(struct engine *engine, int64_t now_us)
{
	int64_t expected_us = MAX(engine->now_us, engine->promised_us);

	if (now_us < engine->now_us)
		engine->skew_us += engine->now_us - now_us;
	else if (engine->promised_us != INT64_MAX && now_us - expected_us > LATE_US)
		engine->skew_us -= now_us - expected_us;
	engine->now_us = now_us;
}

void engine_settle(struct engine *engine)
{
	struct list *node;

	for (;;) {
		if ((node = list_pop_front(&engine->checks)) != NULL)
			engine_tasks_check(LIST_ENTRY(node, struct ti_entry, check));
		else if ((node = list_pop_front(&engine->ended)) != NULL)
			engine_runs_end(LIST_ENTRY(node, struct run_entry, ended));
		else if ((node = list_pop_front(&engine->starts)) != NULL)
			engine_runs_start(LIST_ENTRY(node, struct dag_entry, start));
		else
			return;
	}
}

int64_t engine_turn(struct engine *engine, int64_t now_us)
{
	int64_t wall_us, steady_us;

	engine_enter(engine, now_us);
	engine_runs_sweep(engine);
	timers_run(&engine->wall, now_us, UINT32_MAX);
	timers_run(&engine->steady, engine_steady_us(engine), UINT32_MAX);
	engine_settle(engine);
	engine_ready_pump(engine);
	wall_us = timers_next_ns(&engine->wall);
	steady_us = timers_next_ns(&engine->steady);
	if (steady_us != INT64_MAX)
		steady_us -= engine->skew_us;
	engine->promised_us = MIN(wall_us, steady_us);
	return engine->promised_us;
}

void engine_save_dag(const struct dag_entry *dag)
{
	const struct engine_change change = {
		.kind = CHANGE_DAG,
		.dag_id = dag->dag->id,
		.is_paused = dag->is_paused,
		.last_slot = dag->has_last ? &dag->last : NULL,
	};

	dag->engine->ports.save(dag->engine->context, &change);
}

void engine_save_run(const struct run_entry *run)
{
	const struct engine *engine = run_engine(run);
	const struct engine_change change = {
		.kind = CHANGE_RUN,
		.run = &run->run,
		.dag_id = run->run.dag->id,
	};

	engine->ports.save(engine->context, &change);
}

/* ---- dags ---- */

/** @return index of the first dag not before dag_id */
static uint32_t position(const struct engine *engine, const char *dag_id)
{
	uint32_t low = 0, high = engine->dag_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (strcmp(engine->dags[middle]->dag->id, dag_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct dag_entry *engine_find_dag(const struct engine *engine, const char *dag_id)
{
	uint32_t at = position(engine, dag_id);

	if (at == engine->dag_count || strcmp(engine->dags[at]->dag->id, dag_id) != 0)
		return NULL;
	return engine->dags[at];
}

struct dag_entry *engine_add_dag(struct engine *engine, struct dag *dag)
{
	uint32_t at = position(engine, dag->id), wanted = MAX(DAGS_MIN, engine->dag_capacity * 2);
	struct dag_entry *entry = calloc(1, sizeof(*entry)), **dags = engine->dags;

	if (entry == NULL)
		return NULL;
	if (engine->dag_count == engine->dag_capacity) {
		dags = reallocarray(dags, wanted, sizeof(struct dag_entry *));
		if (dags == NULL) {
			free(entry);
			return NULL;
		}
		engine->dags = dags;
		engine->dag_capacity = wanted;
	}
	memmove(dags + at + 1, dags + at, (engine->dag_count - at) * sizeof(*dags));
	dags[at] = entry;
	engine->dag_count++;
	entry->engine = engine;
	entry->dag = dag_ref(dag);
	list_init(&entry->runs);
	list_init(&entry->start);
	list_init(&entry->sweep);
	timer_init(&entry->timer, engine_runs_due_timer);
	return entry;
}

void engine_drop_dag(struct dag_entry *dag)
{
	struct engine *engine = dag->engine;
	uint32_t at = position(engine, dag->dag->id);

	while (!list_is_empty(&dag->runs))
		engine_runs_free(run_entry(LIST_ENTRY(dag->runs.next, struct run, link)));
	timer_disarm(&engine->wall, &dag->timer);
	list_remove(&dag->start);
	list_remove(&dag->sweep);
	engine->dag_count--;
	memmove(engine->dags + at, engine->dags + at + 1,
		(engine->dag_count - at) * sizeof(struct dag_entry *));
	dag_unref(dag->dag);
	free(dag);
}

int engine_apply(struct engine *engine, struct dag *dag, bool is_paused_if_new, int64_t now_us)
{
	struct dag_entry *entry = engine_find_dag(engine, dag->id);

	engine_enter(engine, now_us);
	if (entry == NULL) {
		entry = engine_add_dag(engine, dag);
		if (entry == NULL)
			return -ENOMEM;
		entry->is_paused = is_paused_if_new;
	} else {
		struct dag *old = entry->dag;

		entry->dag = dag_ref(dag);
		dag_unref(old);
		entry->is_removed = false;
	}
	engine_save_dag(entry);
	engine_runs_push_start(entry);
	engine_runs_due(entry);
	engine_settle(engine);
	return 0;
}

int engine_remove(struct engine *engine, const char *dag_id, int64_t now_us)
{
	struct dag_entry *dag = engine_find_dag(engine, dag_id);

	engine_enter(engine, now_us);
	if (dag == NULL)
		return -ENOENT;
	dag->is_removed = true;
	engine_runs_due(dag);
	LIST_EACH(&dag->runs, node)
	engine_runs_stop(run_entry(LIST_ENTRY(node, struct run, link)), "the pipeline was removed",
			 TI_FAILED);
	engine_runs_push_sweep(dag);
	engine_settle(engine);
	return 0;
}

int engine_pause(struct engine *engine, const char *dag_id, bool is_paused, int64_t now_us)
{
	struct dag_entry *dag = engine_find_dag(engine, dag_id);

	engine_enter(engine, now_us);
	if (dag == NULL)
		return -ENOENT;
	if (dag->is_paused == is_paused)
		return 0;
	dag->is_paused = is_paused;
	engine_save_dag(dag);
	LIST_EACH(&dag->runs, node)
	engine_ready_refresh(run_entry(LIST_ENTRY(node, struct run, link)));
	engine_runs_due(dag);
	engine_runs_push_start(dag);
	engine_settle(engine);
	return 0;
}

/* ---- runs ---- */

int engine_trigger(struct engine *engine, const char *dag_id, const char *run_id,
		   int64_t logical_us, json_t *conf, int64_t now_us, const struct run **ret_run)
{
	struct dag_entry *dag = engine_find_dag(engine, dag_id);
	struct run run = { .type = RUN_MANUAL, .conf = conf, .queued_us = now_us };
	struct run_entry *entry;
	char time[ENGINE_TIME_SIZE];

	engine_enter(engine, now_us);
	if (dag == NULL || dag->is_removed)
		return -ENOENT;
	timetable_manual(dag->dag->timetable, now_us, &run.slot);
	run.slot.run_after_us = now_us;
	run.slot.logical_us = logical_us == TIMETABLE_NONE ? now_us : logical_us;
	while (engine_runs_has_logical(dag, run.slot.logical_us)) {
		if (logical_us != TIMETABLE_NONE)
			return -EEXIST;
		run.slot.logical_us++;
	}
	if (run_id == NULL)
		snprintf(run.id, sizeof(run.id), "manual__%s",
			 engine_runs_time(run.slot.logical_us, time));
	else if (snprintf(run.id, sizeof(run.id), "%s", run_id) >= (int)sizeof(run.id))
		return ERR_TOO_LARGE;
	if (engine_runs_find(dag, run.id) != NULL)
		return -EEXIST;
	entry = engine_runs_new(dag, &run, dag->dag);
	if (entry == NULL)
		return -ENOMEM;
	engine_runs_add(entry);
	engine_settle(engine);
	*ret_run = &entry->run;
	return 0;
}

static struct run_entry *find_run(const struct engine *engine, const char *dag_id,
				  const char *run_id)
{
	const struct dag_entry *dag = engine_find_dag(engine, dag_id);

	return dag != NULL ? engine_runs_find(dag, run_id) : NULL;
}

static void choose_downstream(const struct dag *dag, bool *chosen)
{
	for (uint32_t i = 0; i < dag->task_count; i++) /* upstream comes first */
		for (uint32_t j = 0; j < dag->tasks[i].upstream_count; j++)
			chosen[i] |= chosen[dag->tasks[i].upstream[j]];
}

int engine_clear(struct engine *engine, const char *dag_id, const char *run_id, const char *task,
		 bool has_downstream, int64_t now_us)
{
	struct run_entry *run = find_run(engine, dag_id, run_id);
	bool chosen[DAG_TASKS_MAX] = { false };
	int32_t at;
	int count;

	engine_enter(engine, now_us);
	if (run == NULL)
		return -ENOENT;
	if (run->run.is_stopping || run->owner->is_removed)
		return -EBUSY;
	if (task != NULL) {
		at = dag_find_task(run->run.dag, task);
		if (at < 0)
			return -ENOENT;
		chosen[at] = true;
	}
	for (uint32_t i = 0; task == NULL && i < run->run.dag->task_count; i++)
		chosen[i] = run->run.tis[i].state == TI_FAILED ||
			    run->run.tis[i].state == TI_UPSTREAM_FAILED;
	if (has_downstream)
		choose_downstream(run->run.dag, chosen);
	count = engine_runs_clear(run, chosen);
	engine_settle(engine);
	return count;
}

int engine_cancel(struct engine *engine, const char *dag_id, const char *run_id, int64_t now_us)
{
	struct run_entry *run = find_run(engine, dag_id, run_id);

	engine_enter(engine, now_us);
	if (run == NULL)
		return -ENOENT;
	engine_runs_stop(run, "the run was cancelled", TI_FAILED);
	engine_settle(engine);
	return 0;
}

void engine_set_pool(struct engine *engine, const char *name, uint32_t slots, int64_t now_us)
{
	struct pool_entry *pool = engine_ready_pool(engine, name);

	engine_enter(engine, now_us);
	if (pool == NULL || pool->is_poke)
		return;
	pool->slots = slots;
	pool->is_defined = true;
}

/* ---- attempts ---- */

void engine_attempt_started(struct engine *engine, int64_t attempt, int64_t now_us)
{
	struct ti_entry *entry = engine_tasks_find(engine, attempt);

	engine_enter(engine, now_us);
	if (entry != NULL)
		engine_tasks_started(entry);
	engine_settle(engine);
}

int engine_attempt_ended(struct engine *engine, int64_t attempt, enum engine_outcome outcome,
			 const char *message, json_t *result, int64_t now_us)
{
	struct ti_entry *entry = engine_tasks_find(engine, attempt);

	engine_enter(engine, now_us);
	if (entry == NULL)
		return ERR_FENCED;
	engine_tasks_ended(entry, outcome, message, result);
	engine_settle(engine);
	return 0;
}

/* ---- looking ---- */

static void view(const struct dag_entry *dag, struct engine_dag_view *ret_view)
{
	*ret_view = (struct engine_dag_view){
		.dag = dag->dag,
		.is_paused = dag->is_paused,
		.has_next = dag->has_next,
		.next = dag->next,
		.runs = &dag->runs,
		.active_runs = dag->running,
	};
}

int engine_dag(const struct engine *engine, const char *dag_id, struct engine_dag_view *ret_view)
{
	const struct dag_entry *dag = engine_find_dag(engine, dag_id);

	if (dag == NULL)
		return -ENOENT;
	view(dag, ret_view);
	return 0;
}

bool engine_dag_at(const struct engine *engine, uint32_t index, struct engine_dag_view *ret_view)
{
	if (index >= engine->dag_count)
		return false;
	view(engine->dags[index], ret_view);
	return true;
}

const struct run *engine_run(const struct engine *engine, const char *dag_id, const char *run_id)
{
	const struct run_entry *run = find_run(engine, dag_id, run_id);

	return run != NULL ? &run->run : NULL;
}

const struct ti *engine_ti(const struct engine *engine, int64_t attempt)
{
	const struct ti_entry *entry = engine_tasks_find(engine, attempt);

	return entry != NULL ? entry->ti : NULL;
}

bool engine_pool(const struct engine *engine, const char *name, uint32_t *ret_slots,
		 uint32_t *ret_used)
{
	LIST_EACH(&engine->pools, node)
	{
		const struct pool_entry *pool = LIST_ENTRY(node, struct pool_entry, link);

		if (!pool->is_defined || strcmp(pool->name, name) != 0)
			continue;
		*ret_slots = pool->slots;
		*ret_used = pool->used;
		return true;
	}
	return false;
}

const char *run_state_name(enum run_state state)
{
	static const char *const names[] = {
		[RUN_QUEUED] = "queued",
		[RUN_RUNNING] = "running",
		[RUN_SUCCESS] = "success",
		[RUN_FAILED] = "failed",
	};

	return (size_t)state < ARRAY_COUNT(names) ? names[state] : "unknown";
}

const char *ti_state_name(enum ti_state state)
{
	static const char *const names[] = {
		[TI_NONE] = "none",
		[TI_SCHEDULED] = "scheduled",
		[TI_QUEUED] = "queued",
		[TI_RUNNING] = "running",
		[TI_SUCCESS] = "success",
		[TI_FAILED] = "failed",
		[TI_SKIPPED] = "skipped",
		[TI_UPSTREAM_FAILED] = "upstream_failed",
		[TI_UP_FOR_RETRY] = "up_for_retry",
		[TI_UP_FOR_RESCHEDULE] = "up_for_reschedule",
		[TI_REMOVED] = "removed",
	};

	return (size_t)state < ARRAY_COUNT(names) ? names[state] : "unknown";
}

bool ti_is_finished(enum ti_state state)
{
	return state == TI_SUCCESS || state == TI_FAILED || state == TI_SKIPPED ||
	       state == TI_UPSTREAM_FAILED || state == TI_REMOVED;
}

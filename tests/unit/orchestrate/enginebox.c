/* SPDX-License-Identifier: Apache-2.0 */
#include "enginebox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void on_save(void *context, const struct engine_change *change)
{
	struct enginebox *box = context;

	box->saved_count++;
	if (change->kind != CHANGE_DAG)
		return;
	box->is_paused = change->is_paused;
	if (change->last_slot != NULL)
		box->last_slot = *change->last_slot;
}

static void on_start(void *context, const struct ti *ti)
{
	struct enginebox *box = context;

	CHECK(ti->state == TI_QUEUED && box->started_count < ASKED_MAX);
	box->started[box->started_count++] = ti->attempt;
}

static void on_cancel(void *context, const struct ti *ti, const char *why)
{
	struct enginebox *box = context;

	CHECK(why != NULL && box->cancelled_count < ASKED_MAX);
	box->cancelled[box->cancelled_count++] = ti->attempt;
}

static void on_give_up(void *context, const struct ti *ti, int64_t attempt)
{
	struct enginebox *box = context;

	CHECK(ti->attempt > attempt && box->given_up_count < ASKED_MAX);
	box->given_up[box->given_up_count++] = attempt;
}

static void on_run_ended(void *context, const struct run *run)
{
	struct enginebox *box = context;

	box->ended_count++;
	box->ended_state = run->state;
}

struct enginebox *enginebox_new_limits(uint32_t parallelism, uint32_t default_pool_slots)
{
	static const struct engine_ports ports = { on_save, on_start, on_cancel, on_give_up,
						   on_run_ended };
	const struct engine_limits limits = { parallelism, default_pool_slots };
	struct enginebox *box = calloc(1, sizeof(*box));

	CHECK(box != NULL);
	CHECK(engine_new(&ports, box, &limits, &box->engine) == 0);
	box->now_us = T0;
	return box;
}

struct enginebox *enginebox_new(void)
{
	struct enginebox *box = enginebox_new_limits(32, 128);

	engine_restored(box->engine, box->now_us);
	return box;
}

void enginebox_free(struct enginebox *box)
{
	engine_free(box->engine);
	free(box);
}

static void add_upstream(struct dag *dag, struct dag_task *task, const char *name)
{
	int32_t at = dag_find_task(dag, name);
	struct dag_task *above = &dag->tasks[at];
	uint32_t self = (uint32_t)(task - dag->tasks);

	CHECK(at >= 0);
	task->upstream =
		reallocarray(task->upstream, task->upstream_count + 1, sizeof(*task->upstream));
	above->downstream = reallocarray(above->downstream, above->downstream_count + 1,
					 sizeof(*task->upstream));
	CHECK(task->upstream != NULL && above->downstream != NULL);
	task->upstream[task->upstream_count++] = (uint32_t)at;
	above->downstream[above->downstream_count++] = self;
}

static void add_task(struct dag *dag, char *text)
{
	struct dag_task *task = &dag->tasks[dag->task_count];
	char *names = strchr(text, '<'), *rest;

	if (names != NULL)
		*names++ = '\0';
	snprintf(task->name, sizeof(task->name), "%s", text);
	snprintf(task->pool, sizeof(task->pool), "default_pool");
	task->pool_slots = 1;
	task->kind = TASK_COMMAND;
	dag->task_count++;
	for (char *name = names != NULL ? strtok_r(names, ",", &rest) : NULL; name != NULL;
	     name = strtok_r(NULL, ",", &rest))
		add_upstream(dag, task, name);
}

struct dag *enginebox_dag(const char *id, const char *tasks)
{
	struct dag *dag = calloc(1, sizeof(*dag));
	char *text = strdup(tasks), *rest;

	CHECK(dag != NULL && text != NULL);
	dag->references = 1;
	snprintf(dag->id, sizeof(dag->id), "%s", id);
	dag->max_active_runs = dag->max_active_tasks = 16;
	enginebox_schedule(dag, NULL, TIMETABLE_NONE, false);
	dag->tasks = calloc(DAG_TASKS_MAX, sizeof(*dag->tasks));
	CHECK(dag->tasks != NULL);
	for (char *task = strtok_r(text, " ", &rest); task != NULL;
	     task = strtok_r(NULL, " ", &rest))
		add_task(dag, task);
	free(text);
	return dag;
}

void enginebox_schedule(struct dag *dag, const char *schedule, int64_t start_us, bool has_catchup)
{
	const struct timetable_spec spec = {
		.schedule = schedule,
		.start_us = start_us,
		.end_us = TIMETABLE_NONE,
		.catchup = has_catchup,
	};
	char text[256];

	timetable_free(TAKE_PTR(dag->timetable));
	CHECK(timetable_new(&spec, &dag->timetable, text, sizeof(text)) == 0);
}

struct dag_task *enginebox_task(struct dag *dag, const char *name)
{
	int32_t at = dag_find_task(dag, name);

	CHECK(at >= 0);
	return &dag->tasks[at];
}

void enginebox_apply(struct enginebox *box, struct dag *dag)
{
	CHECK(engine_apply(box->engine, dag, false, box->now_us) == 0);
	dag_unref(dag);
	enginebox_wait(box, 0);
}

const struct run *enginebox_trigger(struct enginebox *box, const char *dag_id, const char *run_id)
{
	const struct run *run;

	CHECK(engine_trigger(box->engine, dag_id, run_id, TIMETABLE_NONE, NULL, box->now_us,
			     &run) == 0);
	enginebox_wait(box, 0);
	return run;
}

void enginebox_wait(struct enginebox *box, int64_t us)
{
	box->now_us += us;
	box->next_us = engine_turn(box->engine, box->now_us);
}

const struct ti *enginebox_ti(struct enginebox *box, const char *dag_id, const char *run_id,
			      const char *task)
{
	const struct run *run = engine_run(box->engine, dag_id, run_id);

	CHECK(run != NULL);
	CHECK(dag_find_task(run->dag, task) >= 0);
	return &run->tis[dag_find_task(run->dag, task)];
}

enum ti_state enginebox_state(struct enginebox *box, const char *dag_id, const char *run_id,
			      const char *task)
{
	return enginebox_ti(box, dag_id, run_id, task)->state;
}

void enginebox_started(struct enginebox *box, const char *task)
{
	engine_attempt_started(box->engine, enginebox_ti(box, "d", "r", task)->attempt,
			       box->now_us);
	enginebox_wait(box, 0);
}

void enginebox_ended_at(struct enginebox *box, const char *run_id, const char *task,
			enum engine_outcome outcome)
{
	CHECK(engine_attempt_ended(box->engine, enginebox_ti(box, "d", run_id, task)->attempt,
				   outcome, outcome == ENGINE_SUCCESS ? NULL : "it said so", NULL,
				   box->now_us) == 0);
	enginebox_wait(box, 0);
}

void enginebox_ended(struct enginebox *box, const char *task, enum engine_outcome outcome)
{
	enginebox_ended_at(box, "r", task, outcome);
}

const char *enginebox_why(struct enginebox *box, const char *task)
{
	static char text[512];

	return engine_why(box->engine, enginebox_ti(box, "d", "r", task), box->now_us, text,
			  sizeof(text));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "orchestrate/engine_impl.h"

void engine_restore_counter(struct engine *engine, int64_t next_attempt)
{
	engine->next_attempt = MAX(engine->next_attempt, next_attempt);
}

int engine_restore_dag(struct engine *engine, struct dag *dag, bool is_paused,
		       const struct timetable_slot *last_slot)
{
	struct dag_entry *entry;

	if (engine_find_dag(engine, dag->id) != NULL)
		return -EEXIST;
	entry = engine_add_dag(engine, dag);
	if (entry == NULL)
		return -ENOMEM;
	entry->is_paused = is_paused;
	entry->has_last = last_slot != NULL;
	if (last_slot != NULL)
		entry->last = *last_slot;
	return 0;
}

static void copy_ti(const struct ti *from, struct ti *to)
{
	struct run *run = to->run;
	uint32_t task = to->task, max_tries = to->max_tries;

	*to = *from;
	to->run = run;
	to->task = task;
	to->max_tries = MAX(from->max_tries, max_tries);
	to->message = from->message != NULL ? strdup(from->message) : NULL;
	to->result = json_incref(from->result);
}

/** The list is newest first, whatever order the store has. */
static void insert(struct dag_entry *dag, struct run_entry *run)
{
	struct list *next = dag->runs.next;

	while (next != &dag->runs) {
		const struct run *other = LIST_ENTRY(next, struct run, link);

		if (other->queued_us < run->run.queued_us ||
		    (other->queued_us == run->run.queued_us &&
		     other->slot.logical_us < run->run.slot.logical_us))
			break;
		next = next->next;
	}
	list_insert_between(&run->run.link, next->prev, next);
}

int engine_restore_run(struct engine *engine, const struct run *run, struct dag *dag)
{
	struct dag_entry *owner = engine_find_dag(engine, dag->id);
	struct run_entry *entry;

	if (owner == NULL)
		return -ENOENT;
	if (engine_runs_find(owner, run->id) != NULL)
		return -EEXIST;
	if (!engine->is_restoring && !run_is_finished(run))
		return -EINVAL;
	entry = engine_runs_new(owner, run, dag);
	if (entry == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < dag->task_count; i++) {
		struct ti *ti = &entry->run.tis[i];

		copy_ti(&run->tis[i], ti);
		engine->next_attempt = MAX(engine->next_attempt, ti->attempt + 1);
		if (!ti_is_finished(ti->state))
			continue;
		entry->unfinished--;
		for (uint32_t j = 0; j < dag->tasks[i].downstream_count; j++)
			engine_rules_count(&entry->entries[dag->tasks[i].downstream[j]].counts,
					   ti->state, 1);
	}
	insert(owner, entry);
	if (run_is_finished(run))
		owner->finished++;
	else if (run->state == RUN_RUNNING)
		owner->running++;
	else
		owner->queued++;
	return 0;
}

/** What the clock says has passed since; nothing when it went back. */
static int64_t left_us(const struct engine *engine, int64_t since_us, int64_t timeout_us)
{
	return engine_steady_us(engine) + timeout_us - MAX(engine->now_us - since_us, 0);
}

static void resume_ti(struct engine *engine, struct ti_entry *entry)
{
	struct ti *ti = entry->ti;
	const struct dag_task *task = ti_task(ti);
	int64_t since_us = ti_is_poke(ti) ? ti->first_poke_us : ti->start_us;

	if (task->timeout_us > 0 && since_us != 0)
		entry->deadline_us = left_us(engine, since_us, task->timeout_us);
	switch (ti->state) {
	case TI_NONE:
		engine_tasks_push_check(entry);
		return;
	case TI_SCHEDULED:
		engine_ready_push(entry);
		return;
	case TI_QUEUED:
	case TI_RUNNING:
		engine_tasks_hold(entry);
		if (!ti->is_cancelling) {
			engine_tasks_arm(entry);
			return;
		}
		/* Nobody knows whether it was carried out. */
		timer_arm(&engine->steady, &entry->timer,
			  engine_steady_us(engine) + ENGINE_CANCEL_WAIT_US);
		engine->ports.cancel(engine->context, ti, ti->message != NULL ? ti->message : "");
		return;
	case TI_UP_FOR_RETRY:
		ti->next_us = MIN(ti->next_us, engine->now_us + engine_tasks_retry_delay_us(ti));
		engine_tasks_arm(entry);
		return;
	case TI_UP_FOR_RESCHEDULE:
		ti->next_us = MIN(ti->next_us, engine->now_us + MAX(task->poke_us, 1));
		engine_tasks_arm(entry);
		return;
	case TI_SUCCESS:
	case TI_FAILED:
	case TI_SKIPPED:
	case TI_UPSTREAM_FAILED:
	case TI_REMOVED:
		return;
	}
}

static void resume_run(struct engine *engine, struct run_entry *run)
{
	if (run->run.state != RUN_RUNNING)
		return;
	engine_runs_arm(run);
	for (uint32_t i = 0; i < run->run.dag->task_count; i++)
		resume_ti(engine, &run->entries[i]);
	if (run->unfinished == 0)
		list_push_back(&engine->ended, &run->ended);
}

void engine_restored(struct engine *engine, int64_t now_us)
{
	engine->is_restoring = false;
	engine_enter(engine, now_us);
	for (uint32_t i = 0; i < engine->dag_count; i++) {
		struct dag_entry *dag = engine->dags[i];

		LIST_EACH(&dag->runs, node)
		resume_run(engine, run_entry(LIST_ENTRY(node, struct run, link)));
		engine_runs_push_start(dag);
		engine_runs_push_sweep(dag);
		engine_runs_due(dag);
	}
	engine_settle(engine);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"

#include "orchestrate/engine_impl.h"

#define AGAIN_US  INT64_C(1000000) /* when memory was short */
#define NOTE_SIZE 160

const char *engine_runs_time(int64_t at_us, char *ret)
{
	time_t seconds = (time_t)(at_us / 1000000 - (at_us % 1000000 < 0));
	int64_t micros = at_us - (int64_t)seconds * 1000000;
	struct tm tm;
	char fraction[16] = "";

	if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 8099 || tm.tm_year < -1900) {
		snprintf(ret, ENGINE_TIME_SIZE, "%ld", (long)at_us);
		return ret;
	}
	if (micros != 0)
		snprintf(fraction, sizeof(fraction), ".%06d", (int)micros);
	snprintf(ret, ENGINE_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%s+00:00", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
	return ret;
}

/** Group of a pool, made when there is none. @return NULL: no memory */
static struct ready_group *group_of(struct run_entry *run, const struct dag_task *task)
{
	struct engine *engine = run_engine(run);
	struct pool_entry *pool =
		task->kind == TASK_SENSOR ? engine->pokes : engine_ready_pool(engine, task->pool);

	if (pool == NULL)
		return NULL;
	for (uint32_t i = 0; i < run->group_count; i++)
		if (run->groups[i].pool == pool)
			return &run->groups[i];
	run->groups[run->group_count] = (struct ready_group){ .pool = pool, .run = run };
	return &run->groups[run->group_count++];
}

static bool init_tis(struct run_entry *run)
{
	for (uint32_t i = 0; i < run->run.dag->task_count; i++) {
		const struct dag_task *task = &run->run.dag->tasks[i];
		struct ti *ti = &run->run.tis[i];
		struct ti_entry *entry = &run->entries[i];

		ti->run = &run->run;
		ti->task = i;
		ti->max_tries = 1 + task->retries;
		entry->ti = ti;
		entry->deadline_us = INT64_MAX;
		entry->counts.total = task->upstream_count;
		timer_init(&entry->timer, engine_tasks_timer);
		list_init(&entry->check);
		list_init(&entry->hold);
		entry->group = group_of(run, task);
		if (entry->group == NULL)
			return false;
	}
	return true;
}

struct run_entry *engine_runs_new(struct dag_entry *owner, const struct run *run, struct dag *dag)
{
	struct run_entry *entry = calloc(1, sizeof(*entry));
	uint32_t count = MAX(dag->task_count, 1U);

	if (entry == NULL)
		return NULL;
	entry->run = *run;
	entry->owner = owner;
	entry->run.dag = dag_ref(dag);
	entry->run.conf = run->conf != NULL ? json_incref(run->conf) : json_object();
	entry->run.note = run->note != NULL ? strdup(run->note) : NULL;
	entry->run.tis = calloc(count, sizeof(*entry->run.tis));
	entry->entries = calloc(count, sizeof(*entry->entries));
	entry->groups = calloc(count, sizeof(*entry->groups));
	entry->unfinished = dag->task_count;
	list_init(&entry->run.link);
	list_init(&entry->ended);
	timer_init(&entry->timer, engine_runs_timeout);
	if (entry->run.conf == NULL || entry->run.tis == NULL || entry->entries == NULL ||
	    entry->groups == NULL || !init_tis(entry)) {
		engine_runs_free(entry);
		return NULL;
	}
	return entry;
}

/** The run holds no attempt and is on no list but its dag's. */
void engine_runs_free(struct run_entry *run)
{
	struct engine *engine = run_engine(run);

	list_remove(&run->run.link);
	timer_disarm(&engine->steady, &run->timer);
	for (uint32_t i = 0; run->run.tis != NULL && i < run->run.dag->task_count; i++) {
		free(run->run.tis[i].message);
		json_decref(run->run.tis[i].result);
		if (run->entries != NULL)
			timer_disarm(&engine->steady, &run->entries[i].timer);
	}
	json_decref(run->run.conf);
	free(run->run.note);
	free(run->run.tis);
	free(run->entries);
	free(run->groups);
	dag_unref(run->run.dag);
	free(run);
}

struct run_entry *engine_runs_find(const struct dag_entry *dag, const char *run_id)
{
	LIST_EACH(&dag->runs, node)
	{
		struct run *run = LIST_ENTRY(node, struct run, link);

		if (strcmp(run->id, run_id) == 0)
			return run_entry(run);
	}
	return NULL;
}

bool engine_runs_has_logical(const struct dag_entry *dag, int64_t logical_us)
{
	LIST_EACH(&dag->runs, node)
	if (LIST_ENTRY(node, struct run, link)->slot.logical_us == logical_us)
		return true;
	return false;
}

void engine_runs_push_start(struct dag_entry *dag)
{
	if (!list_is_linked(&dag->start))
		list_push_back(&dag->engine->starts, &dag->start);
}

void engine_runs_push_sweep(struct dag_entry *dag)
{
	if (!list_is_linked(&dag->sweep))
		list_push_back(&dag->engine->sweeps, &dag->sweep);
}

void engine_runs_add(struct run_entry *run)
{
	list_push_front(&run->owner->runs, &run->run.link);
	run->owner->queued++;
	engine_save_run(run);
	engine_runs_push_start(run->owner);
}

/** Says in a run that slots before it got none, if so. */
static void note_passed(struct dag_entry *dag, const struct timetable_slot *slot, struct run *run,
			char *note)
{
	char time[ENGINE_TIME_SIZE];

	if (!dag->has_passed || dag->passed.logical_us == slot->logical_us)
		return;
	snprintf(note, NOTE_SIZE,
		 "slots from %s up to this one were passed over: %d runs were waiting already",
		 engine_runs_time(dag->passed.logical_us, time), ENGINE_QUEUED_MAX);
	run->note = note;
}

/** @return false: no memory */
static bool make_scheduled(struct dag_entry *dag, const struct timetable_slot *slot)
{
	struct run run = { .type = RUN_SCHEDULED, .slot = *slot };
	char time[ENGINE_TIME_SIZE], note[NOTE_SIZE];
	struct run_entry *entry = NULL;

	run.queued_us = dag->engine->now_us;
	snprintf(run.id, sizeof(run.id), "scheduled__%s", engine_runs_time(slot->logical_us, time));
	note_passed(dag, slot, &run, note);
	/* A run of that date may be here when someone triggered it by hand; the slot is his. */
	if (!engine_runs_has_logical(dag, slot->logical_us) &&
	    engine_runs_find(dag, run.id) == NULL) {
		entry = engine_runs_new(dag, &run, dag->dag);
		if (entry == NULL)
			return false;
	}
	dag->has_passed = false;
	dag->has_last = true;
	dag->last = *slot;
	engine_save_dag(dag);
	if (entry != NULL)
		engine_runs_add(entry);
	return true;
}

void engine_runs_due(struct dag_entry *dag)
{
	struct engine *engine = dag->engine;
	struct timetable_slot slot;

	timer_disarm(&engine->wall, &dag->timer);
	for (;;) {
		dag->has_next =
			!dag->is_removed &&
			timetable_next(dag->dag->timetable, dag->has_last ? &dag->last : NULL,
				       engine->now_us, &slot) &&
			!(dag->has_last && slot.logical_us <= dag->last.logical_us);
		if (!dag->has_next)
			return;
		dag->next = slot;
		if (dag->is_paused)
			return;
		if (slot.run_after_us > engine->now_us) {
			timer_arm(&engine->wall, &dag->timer, MAX(slot.run_after_us, 1));
			return;
		}
		if (dag->queued >= ENGINE_QUEUED_MAX) {
			if (!dag->has_passed)
				dag->passed = slot;
			dag->has_passed = true;
			return; /* a run that starts comes back here */
		}
		if (!make_scheduled(dag, &slot)) {
			timer_arm(&engine->wall, &dag->timer, engine->now_us + AGAIN_US);
			return;
		}
	}
}

void engine_runs_due_timer(struct timer *timer, int64_t now)
{
	(void)now;
	engine_runs_due(CONTAINER_OF(timer, struct dag_entry, timer));
}

void engine_runs_arm(struct run_entry *run)
{
	struct engine *engine = run_engine(run);
	int64_t timeout_us = run->run.dag->run_timeout_us;

	if (timeout_us <= 0 || run->run.is_stopping)
		return;
	/* After a restart with a clock that went back it begins again rather than never. */
	timeout_us += MIN(run->run.start_us, engine->now_us) + engine->skew_us;
	timer_arm(&engine->steady, &run->timer, MAX(timeout_us, 1));
}

void engine_runs_timeout(struct timer *timer, int64_t now)
{
	struct run_entry *run = CONTAINER_OF(timer, struct run_entry, timer);
	char text[NOTE_SIZE];

	(void)now;
	snprintf(text, sizeof(text), "the run timed out after %.10g s",
		 (double)run->run.dag->run_timeout_us / 1e6);
	engine_runs_stop(run, text, TI_SKIPPED);
}

static void start(struct run_entry *run)
{
	struct engine *engine = run_engine(run);

	run->owner->queued--;
	run->owner->running++;
	run->run.state = RUN_RUNNING;
	run->run.start_us = engine->now_us;
	engine_save_run(run);
	engine_runs_arm(run);
	engine_ready_refresh(run);
	for (uint32_t i = 0; i < run->run.dag->task_count; i++)
		if (run->run.tis[i].state == TI_NONE)
			engine_tasks_push_check(&run->entries[i]);
	if (run->unfinished == 0 && !list_is_linked(&run->ended))
		list_push_back(&engine->ended, &run->ended);
}

/** The oldest run that waits. */
static struct run_entry *first_queued(const struct dag_entry *dag)
{
	for (struct list *node = dag->runs.prev; node != &dag->runs; node = node->prev) {
		struct run *run = LIST_ENTRY(node, struct run, link);

		if (run->state == RUN_QUEUED)
			return run_entry(run);
	}
	return NULL;
}

void engine_runs_start(struct dag_entry *dag)
{
	while (!dag->is_paused && dag->queued > 0 &&
	       dag->running < MAX(dag->dag->max_active_runs, 1U)) {
		struct run_entry *run = first_queued(dag);

		CHECK(run != NULL);
		start(run);
	}
	if (dag->has_passed && dag->queued < ENGINE_QUEUED_MAX)
		engine_runs_due(dag);
}

static bool has_failed_leaf(const struct run *run)
{
	for (uint32_t i = 0; i < run->dag->task_count; i++)
		if (run->dag->tasks[i].downstream_count == 0 &&
		    (run->tis[i].state == TI_FAILED || run->tis[i].state == TI_UPSTREAM_FAILED))
			return true;
	return false;
}

void engine_runs_end(struct run_entry *run)
{
	struct engine *engine = run_engine(run);
	struct dag_entry *dag = run->owner;

	if (run->unfinished > 0 || run_is_finished(&run->run))
		return;
	if (run->run.state == RUN_QUEUED)
		dag->queued--;
	else
		dag->running--;
	dag->finished++;
	timer_disarm(&engine->steady, &run->timer);
	run->run.state =
		run->run.is_stopping || has_failed_leaf(&run->run) ? RUN_FAILED : RUN_SUCCESS;
	run->run.is_stopping = false;
	run->run.end_us = engine->now_us;
	engine_save_run(run);
	engine->ports.run_ended(engine->context, &run->run);
	engine_runs_push_start(dag);
	engine_runs_push_sweep(dag);
}

void engine_runs_stop(struct run_entry *run, const char *why, enum ti_state waiting)
{
	struct engine *engine = run_engine(run);

	if (run_is_finished(&run->run) || run->run.is_stopping)
		return;
	run->run.is_stopping = true;
	free(run->run.note);
	run->run.note = strdup(why);
	timer_disarm(&engine->steady, &run->timer);
	engine_save_run(run);
	for (uint32_t i = 0; i < run->run.dag->task_count; i++) {
		struct ti_entry *entry = &run->entries[i];

		if (ti_is_finished(entry->ti->state))
			continue;
		if (ti_has_attempt(entry->ti)) {
			engine_tasks_cancel(entry, why);
			continue;
		}
		engine_tasks_say(entry->ti, why);
		entry->ti->end_us = engine->now_us;
		engine_tasks_set(entry, waiting);
	}
	if (run->unfinished == 0 && !list_is_linked(&run->ended))
		list_push_back(&engine->ended, &run->ended);
}

static void reopen(struct run_entry *run)
{
	run->owner->finished--;
	run->owner->queued++;
	run->run.state = RUN_QUEUED;
	run->run.queued_us = run_engine(run)->now_us;
	run->run.start_us = run->run.end_us = 0;
	free(run->run.note);
	run->run.note = NULL;
	engine_save_run(run);
	engine_runs_push_start(run->owner);
}

int engine_runs_clear(struct run_entry *run, const bool *chosen)
{
	int count = 0;

	for (uint32_t i = 0; i < run->run.dag->task_count; i++) {
		struct ti_entry *entry = &run->entries[i];

		if (!chosen[i] || entry->ti->state == TI_NONE)
			continue;
		count++;
		if (ti_has_attempt(entry->ti)) {
			entry->ti->is_clearing = true;
			engine_tasks_cancel(entry, "cleared");
		} else {
			engine_tasks_reset(entry);
		}
	}
	if (count > 0 && run_is_finished(&run->run))
		reopen(run);
	return count;
}

static void trim(struct dag_entry *dag)
{
	struct list *node = dag->runs.prev;

	while (node != &dag->runs && dag->finished > ENGINE_RUNS_KEPT) {
		struct run *run = LIST_ENTRY(node, struct run, link);

		node = node->prev;
		if (!run_is_finished(run))
			continue;
		dag->finished--;
		engine_runs_free(run_entry(run));
	}
}

void engine_runs_sweep(struct engine *engine)
{
	struct list *node;

	while ((node = list_pop_front(&engine->sweeps)) != NULL) {
		struct dag_entry *dag = LIST_ENTRY(node, struct dag_entry, sweep);

		if (dag->is_removed && dag->queued + dag->running == 0)
			engine_drop_dag(dag);
		else
			trim(dag);
	}
}

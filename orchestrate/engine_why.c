/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrate/engine_impl.h"

#define NAMED_MAX 5U /* then "and n more" */

struct text {
	char *at;
	size_t size, used;
	uint32_t named;
};

static void PRINTF_LIKE(2, 3) add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int size;

	if (text->used + 1 >= text->size)
		return;
	va_start(arguments, format);
	size = vsnprintf(text->at + text->used, text->size - text->used, format, arguments);
	va_end(arguments);
	text->used = MIN(text->used + (size_t)MAX(size, 0), text->size - 1);
}

/** @return true when the next name of a list is wanted; its separator is written */
static bool add_next(struct text *text)
{
	if (text->named++ >= NAMED_MAX)
		return false;
	if (text->named > 1)
		add(text, ", ");
	return true;
}

static void add_rest(struct text *text)
{
	if (text->named > NAMED_MAX)
		add(text, " and %u more", text->named - NAMED_MAX);
	text->named = 0;
}

static void add_when(struct text *text, int64_t at_us, int64_t now_us)
{
	char time[ENGINE_TIME_SIZE];

	add(text, "%s", engine_runs_time(at_us, time));
	if (at_us > now_us)
		add(text, " (in %.1f s)", (double)(at_us - now_us) / 1e6);
}

static double seconds(int64_t from_us, int64_t to_us)
{
	return (double)MAX(to_us - from_us, 0) / 1e6;
}

/** Instances that hold slots of a pool (NULL: of any) and belong to a run (NULL: to any). */
static void add_holders(struct text *text, const struct engine *engine,
			const struct pool_entry *only_pool, const struct run *only_run)
{
	LIST_EACH(&engine->pools, pools)
	{
		const struct pool_entry *pool = LIST_ENTRY(pools, struct pool_entry, link);

		if (pool->is_poke || (only_pool != NULL && pool != only_pool))
			continue;
		LIST_EACH(&pool->holders, node)
		{
			const struct ti *ti = LIST_ENTRY(node, struct ti_entry, hold)->ti;

			if ((only_run != NULL && ti->run != only_run) || !add_next(text))
				continue;
			if (only_run != NULL)
				add(text, "%s", ti_task(ti)->name);
			else
				add(text, "%s/%s of %s", ti->run->dag->id, ti_task(ti)->name,
				    ti->run->id);
		}
	}
	add_rest(text);
}

static void why_run_waits(struct text *text, const struct run *run)
{
	const struct dag_entry *dag = run_entry(run)->owner;

	if (dag->is_paused) {
		add(text, "the pipeline is paused");
		return;
	}
	add(text,
	    "the run waits: max_active_runs is %u and as many run: ", dag->dag->max_active_runs);
	LIST_EACH(&dag->runs, node)
	{
		const struct run *other = LIST_ENTRY(node, struct run, link);

		if (other->state == RUN_RUNNING && add_next(text))
			add(text, "%s", other->id);
	}
	add_rest(text);
}

/** @param is_done  those that have ended, else those that have not */
static void add_upstream(struct text *text, const struct ti *ti, bool is_done)
{
	const struct dag_task *task = ti_task(ti);

	for (uint32_t i = 0; i < task->upstream_count; i++) {
		const struct ti *above = &ti->run->tis[task->upstream[i]];

		if (ti_is_finished(above->state) == is_done && add_next(text))
			add(text, "%s (%s)", ti_task(above)->name, ti_state_name(above->state));
	}
	add_rest(text);
}

static void why_none(struct text *text, const struct ti *ti)
{
	if (ti->run->state == RUN_QUEUED) {
		why_run_waits(text, ti->run);
		return;
	}
	add(text, "waits for ");
	add_upstream(text, ti, false);
	if (ti_task(ti)->rule != RULE_ALL_SUCCESS)
		add(text, "; trigger rule %s", trigger_rule_name(ti_task(ti)->rule));
}

static void why_pool(struct text *text, const struct engine *engine, const struct ti_entry *entry)
{
	const struct pool_entry *pool = entry->group->pool;
	const struct ti_entry *first = engine_ready_first(pool);
	uint32_t wanted = engine_ready_slots(entry);

	if (!pool->is_defined) {
		add(text, "pool %s does not exist: make it, or name another", pool->name);
	} else if (pool->slots == 0) {
		add(text, "pool %s has no slots", pool->name);
	} else if (pool->used + wanted > pool->slots) {
		add(text, "pool %s is full: %u of %u slots are taken, %u wanted; held by ",
		    pool->name, pool->used, pool->slots, wanted);
		add_holders(text, engine, pool, NULL);
	} else if (first != NULL && first != entry) {
		add(text, "queued in pool %s behind %s/%s of %s", pool->name,
		    first->ti->run->dag->id, ti_task(first->ti)->name, first->ti->run->id);
	} else {
		add(text, "starts now");
	}
}

static void why_scheduled(struct text *text, const struct engine *engine, const struct ti *ti)
{
	const struct run_entry *run = run_entry(ti->run);

	if (run->owner->is_paused) {
		add(text, "the pipeline is paused");
	} else if (ti_is_poke(ti)) {
		add(text, "pokes now");
	} else if (run->active >= run->run.dag->max_active_tasks) {
		add(text, "max_active_tasks is %u and as many of the run's tasks run: ",
		    run->run.dag->max_active_tasks);
		add_holders(text, engine, NULL, ti->run);
	} else if (engine->active >= engine->limits.parallelism) {
		add(text, "orchestrate.parallelism is %u and as many tasks run: ",
		    engine->limits.parallelism);
		add_holders(text, engine, NULL, NULL);
	} else {
		why_pool(text, engine, ti_entry(ti));
	}
}

static void why_active(struct text *text, const struct ti *ti, int64_t now_us)
{
	if (ti->state == TI_QUEUED)
		add(text, "is being started for %.1f s", seconds(ti->queued_us, now_us));
	else
		add(text, "runs for %.1f s", seconds(ti->start_us, now_us));
	if (ti_is_poke(ti))
		add(text, ", a poke");
	else
		add(text, ", try %u of %u", ti->try_number, ti->max_tries);
	if (ti->is_cancelling)
		add(text, "; is being ended: %s", ti->message != NULL ? ti->message : "cancelled");
	if (ti->is_clearing)
		add(text, "; begins anew after that");
}

static void why_later(struct text *text, const struct ti *ti, int64_t now_us)
{
	if (ti->state == TI_UP_FOR_RETRY)
		add(text, "try %u of %u at ", ti->try_number + 1, ti->max_tries);
	else
		add(text, "pokes again at ");
	add_when(text, ti->next_us, now_us);
	if (ti->state == TI_UP_FOR_RESCHEDULE && ti_task(ti)->timeout_us > 0) {
		add(text, ", until ");
		add_when(text, ti->first_poke_us + ti_task(ti)->timeout_us, now_us);
	}
	if (ti->message != NULL)
		add(text, "; %s: %s",
		    ti->state == TI_UP_FOR_RETRY ? "the last one failed" : "last answer",
		    ti->message);
}

static void why_finished(struct text *text, const struct ti *ti)
{
	add(text, "%s", ti_state_name(ti->state));
	if (ti->message != NULL && ti->message[0] != '\0') {
		add(text, ": %s", ti->message);
	} else if (ti->attempt != 0) {
		if (ti->start_us != 0)
			add(text, " after %.1f s", seconds(ti->start_us, ti->end_us));
	} else if (ti_task(ti)->upstream_count > 0) {
		add(text, ": trigger rule %s with ", trigger_rule_name(ti_task(ti)->rule));
		add_upstream(text, ti, true);
	}
}

const char *engine_why(const struct engine *engine, const struct ti *ti, int64_t now_us, char *ret,
		       size_t size)
{
	struct text text = { .at = ret, .size = size };

	ret[0] = '\0';
	switch (ti->state) {
	case TI_NONE:
		why_none(&text, ti);
		break;
	case TI_SCHEDULED:
		why_scheduled(&text, engine, ti);
		break;
	case TI_QUEUED:
	case TI_RUNNING:
		why_active(&text, ti, now_us);
		break;
	case TI_UP_FOR_RETRY:
	case TI_UP_FOR_RESCHEDULE:
		why_later(&text, ti, now_us);
		break;
	case TI_SUCCESS:
	case TI_FAILED:
	case TI_SKIPPED:
	case TI_UPSTREAM_FAILED:
	case TI_REMOVED:
		why_finished(&text, ti);
		break;
	}
	return ret;
}

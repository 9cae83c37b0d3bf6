/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/siphash.h"

#include "orchestrate/engine_impl.h"

#define US_PER_S       INT64_C(1000000)
#define RETRY_MAX_US   (86400 * US_PER_S)
#define TEXT_SIZE      256
#define RETRY_KEY_SIZE (3 * (DAG_NAME_MAX + 1) + 16)

static struct engine *engine_of(const struct ti_entry *entry)
{
	return run_engine(run_entry(entry->ti->run));
}

void engine_tasks_push_check(struct ti_entry *entry)
{
	if (!list_is_linked(&entry->check))
		list_push_back(&engine_of(entry)->checks, &entry->check);
}

static void save(const struct ti_entry *entry)
{
	const struct engine *engine = engine_of(entry);
	const struct engine_change change = {
		.kind = CHANGE_TI,
		.run = entry->ti->run,
		.ti = entry->ti,
		.dag_id = entry->ti->run->dag->id,
	};

	engine->ports.save(engine->context, &change);
}

/** Those downstream see an instance go from one state to another. */
static void tell_downstream(const struct ti_entry *entry, enum ti_state from, enum ti_state to)
{
	struct run_entry *run = run_entry(entry->ti->run);
	const struct dag_task *task = ti_task(entry->ti);

	for (uint32_t i = 0; i < task->downstream_count; i++) {
		struct ti_entry *below = &run->entries[task->downstream[i]];

		engine_rules_count(&below->counts, from, -1);
		engine_rules_count(&below->counts, to, 1);
		if (below->ti->state == TI_NONE)
			engine_tasks_push_check(below);
	}
}

void engine_tasks_set(struct ti_entry *entry, enum ti_state state)
{
	struct run_entry *run = run_entry(entry->ti->run);
	enum ti_state from = entry->ti->state;

	if (from == TI_SCHEDULED)
		engine_ready_remove(entry);
	entry->ti->state = state;
	if (state == TI_SCHEDULED) {
		entry->ti->scheduled_us = engine_of(entry)->now_us;
		engine_ready_push(entry);
	}
	if (ti_is_finished(from))
		run->unfinished++;
	if (ti_is_finished(state))
		run->unfinished--;
	if (ti_is_finished(from) || ti_is_finished(state))
		tell_downstream(entry, from, state);
	engine_tasks_arm(entry);
	save(entry);
	if (run->unfinished == 0 && !list_is_linked(&run->ended))
		list_push_back(&engine_of(entry)->ended, &run->ended);
}

static void finish(struct ti_entry *entry, enum ti_state state)
{
	entry->ti->end_us = engine_of(entry)->now_us;
	engine_tasks_set(entry, state);
}

void engine_tasks_check(struct ti_entry *entry)
{
	const struct run *run = entry->ti->run;

	if (entry->ti->state != TI_NONE || run->state != RUN_RUNNING || run->is_stopping)
		return;
	switch (engine_rules_decide(ti_task(entry->ti)->rule, &entry->counts)) {
	case VERDICT_WAIT:
		CHECK(entry->counts.success + entry->counts.skipped + entry->counts.failed +
			      entry->counts.upstream_failed <
		      entry->counts.total);
		break;
	case VERDICT_RUN:
		engine_tasks_set(entry, TI_SCHEDULED);
		break;
	case VERDICT_SKIP:
		finish(entry, TI_SKIPPED);
		break;
	case VERDICT_UPSTREAM_FAILED:
		finish(entry, TI_UPSTREAM_FAILED);
		break;
	}
}

void engine_tasks_say(struct ti *ti, const char *message)
{
	char *text = message != NULL ? strdup(message) : NULL;

	free(ti->message);
	ti->message = text;
}

static void set_result(struct ti *ti, json_t *result)
{
	json_incref(result);
	json_decref(ti->result);
	ti->result = result;
}

struct ti_entry *engine_tasks_find(const struct engine *engine, int64_t attempt)
{
	struct ti_entry *entry = engine->buckets[(uint64_t)attempt % ENGINE_BUCKETS];

	while (entry != NULL && entry->ti->attempt != attempt)
		entry = entry->next_attempt;
	return entry;
}

void engine_tasks_hold(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);
	struct run_entry *run = run_entry(entry->ti->run);
	struct ti_entry **bucket = &engine->buckets[(uint64_t)entry->ti->attempt % ENGINE_BUCKETS];

	entry->next_attempt = *bucket;
	*bucket = entry;
	list_push_back(&entry->group->pool->holders, &entry->hold);
	if (ti_is_poke(entry->ti))
		return;
	entry->held = engine_ready_slots(entry);
	entry->group->pool->used += entry->held;
	engine->active++;
	run->active++;
	engine_ready_refresh(run);
}

static void release(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);
	struct run_entry *run = run_entry(entry->ti->run);
	struct ti_entry **at = &engine->buckets[(uint64_t)entry->ti->attempt % ENGINE_BUCKETS];

	while (*at != entry)
		at = &(*at)->next_attempt;
	*at = entry->next_attempt;
	list_remove(&entry->hold);
	if (ti_is_poke(entry->ti))
		return;
	entry->group->pool->used -= entry->held;
	engine->active--;
	run->active--;
	engine_ready_refresh(run);
}

void engine_tasks_start(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);
	struct ti *ti = entry->ti;
	bool is_next_poke = ti_is_poke(ti) && ti->next_us != 0;

	if (!is_next_poke)
		ti->try_number++;
	if (!ti_is_poke(ti))
		entry->deadline_us = INT64_MAX;
	ti->attempt = engine->next_attempt++;
	ti->queued_us = engine->now_us;
	ti->start_us = ti->end_us = ti->next_us = 0;
	engine_tasks_say(ti, NULL);
	set_result(ti, NULL);
	engine_tasks_set(entry, TI_QUEUED);
	engine_tasks_hold(entry);
	engine->ports.start(engine->context, ti);
}

void engine_tasks_started(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);
	struct ti *ti = entry->ti;
	int64_t timeout_us = ti_task(ti)->timeout_us;

	if (ti->state != TI_QUEUED)
		return;
	ti->start_us = engine->now_us;
	if (timeout_us > 0 && (!ti_is_poke(ti) || ti->first_poke_us == 0))
		entry->deadline_us = engine_steady_us(engine) + timeout_us;
	if (ti_is_poke(ti) && ti->first_poke_us == 0)
		ti->first_poke_us = engine->now_us;
	engine_tasks_set(entry, TI_RUNNING);
}

void engine_tasks_cancel(struct ti_entry *entry, const char *why)
{
	struct engine *engine = engine_of(entry);

	if (entry->ti->is_cancelling) {
		save(entry);
		return;
	}
	entry->ti->is_cancelling = true;
	engine_tasks_say(entry->ti, why);
	save(entry);
	timer_arm(&engine->steady, &entry->timer, engine_steady_us(engine) + ENGINE_CANCEL_WAIT_US);
	engine->ports.cancel(engine->context, entry->ti, why);
}

void engine_tasks_reset(struct ti_entry *entry)
{
	struct ti *ti = entry->ti;

	ti->max_tries = ti->try_number + 1 + ti_task(ti)->retries;
	ti->lost = 0;
	ti->next_us = ti->first_poke_us = 0;
	ti->scheduled_us = ti->queued_us = ti->start_us = ti->end_us = 0;
	ti->is_cancelling = ti->is_clearing = false;
	entry->deadline_us = INT64_MAX;
	engine_tasks_say(ti, NULL);
	set_result(ti, NULL);
	engine_tasks_set(entry, TI_NONE);
	engine_tasks_push_check(entry);
}

/** As Airflow: delay * backoff^(try - 1), then up to as much again by a hash, so that a herd spreads. */
int64_t engine_tasks_retry_delay_us(const struct ti *ti)
{
	static const struct siphash_key key = { 0x6d696c6c72616365, 0x7265747279000000 };
	const struct dag_task *task = ti_task(ti);
	int64_t max_us = task->retry_delay_max_us > 0 ? MIN(task->retry_delay_max_us, RETRY_MAX_US)
						      : RETRY_MAX_US;
	uint32_t try = ti->try_number - MIN(ti->lost, ti->try_number);
	char text[RETRY_KEY_SIZE];
	double grown;
	int64_t base_us;
	int size;

	if (task->retry_backoff <= 1)
		return MIN(MAX(task->retry_delay_us, 0), max_us);
	grown = (double)task->retry_delay_us * pow(task->retry_backoff, MAX(try, 1U) - 1.0);
	if (!(grown < (double)max_us))
		return max_us;
	base_us = MAX((int64_t)grown, US_PER_S);
	size = snprintf(text, sizeof(text), "%s#%s#%s#%u", ti->run->dag->id, task->name,
			ti->run->id, try);
	base_us += (int64_t)(siphash(&key, text, (size_t)size) % (uint64_t)base_us);
	return MIN(base_us, max_us);
}

static void fail_or_retry(struct ti_entry *entry)
{
	struct ti *ti = entry->ti;

	if (ti->run->is_stopping || ti->try_number >= ti->max_tries) {
		finish(entry, TI_FAILED);
		return;
	}
	ti->next_us = engine_of(entry)->now_us + engine_tasks_retry_delay_us(ti);
	finish(entry, TI_UP_FOR_RETRY);
}

static void timeout_text(const struct ti_entry *entry, char *ret, size_t size)
{
	snprintf(ret, size, "timed out after %.10g s",
		 (double)ti_task(entry->ti)->timeout_us / 1e6);
}

/** A sensor's time is over; that costs all its tries. */
static void give_up_poking(struct ti_entry *entry)
{
	char text[TEXT_SIZE];

	timeout_text(entry, text, sizeof(text));
	engine_tasks_say(entry->ti, text);
	finish(entry, ti_task(entry->ti)->is_soft_fail ? TI_SKIPPED : TI_FAILED);
}

static void poke_later(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);

	if (engine_steady_us(engine) >= entry->deadline_us) {
		give_up_poking(entry);
		return;
	}
	entry->ti->next_us = engine->now_us + MAX(ti_task(entry->ti)->poke_us, 1);
	finish(entry, TI_UP_FOR_RESCHEDULE);
}

static void ended_lost(struct ti_entry *entry, const char *message)
{
	struct ti *ti = entry->ti;

	engine_tasks_say(ti, message != NULL ? message : "the attempt was lost");
	if (ti->lost >= ENGINE_LOST_MAX) {
		fail_or_retry(entry);
		return;
	}
	ti->lost++;
	if (ti_is_poke(ti)) {
		poke_later(entry);
		return;
	}
	ti->max_tries++;
	engine_tasks_set(entry, TI_SCHEDULED);
}

/** An attempt that was asked to end has ended, without success; its message says why it was asked. */
static void ended_by_us(struct ti_entry *entry)
{
	if (ti_is_poke(entry->ti) && !entry->ti->run->is_stopping)
		give_up_poking(entry);
	else
		fail_or_retry(entry);
}

static void ended_by_itself(struct ti_entry *entry, enum engine_outcome outcome,
			    const char *message)
{
	if (outcome == ENGINE_LOST) {
		ended_lost(entry, message);
		return;
	}
	engine_tasks_say(entry->ti, message);
	switch (outcome) {
	case ENGINE_NOT_YET:
		entry->ti->lost = 0;
		if (ti_is_poke(entry->ti))
			poke_later(entry);
		else
			fail_or_retry(entry);
		break;
	case ENGINE_FAILED_FINAL:
		finish(entry, TI_FAILED);
		break;
	case ENGINE_SUCCESS:
	case ENGINE_SKIPPED:
	case ENGINE_FAILED:
	case ENGINE_CANCELLED:
	case ENGINE_LOST:
		fail_or_retry(entry);
		break;
	}
}

void engine_tasks_ended(struct ti_entry *entry, enum engine_outcome outcome, const char *message,
			json_t *result)
{
	struct ti *ti = entry->ti;
	bool was_cancelling = ti->is_cancelling;

	release(entry);
	timer_disarm(&engine_of(entry)->steady, &entry->timer);
	ti->is_cancelling = false;
	if (ti->is_clearing && !ti->run->is_stopping) {
		engine_tasks_reset(entry);
		return;
	}
	ti->is_clearing = false;
	set_result(ti, result);
	if (outcome == ENGINE_SUCCESS || outcome == ENGINE_SKIPPED) {
		engine_tasks_say(ti, message);
		finish(entry, outcome == ENGINE_SUCCESS ? TI_SUCCESS : TI_SKIPPED);
	} else if (was_cancelling) {
		ended_by_us(entry);
	} else {
		ended_by_itself(entry, outcome, message);
	}
}

/** It neither ended nor answered the cancel: from now on it is nobody's attempt. */
static void give_up(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);
	struct ti *ti = entry->ti;
	int64_t attempt = ti->attempt;
	char text[TEXT_SIZE];

	release(entry);
	ti->attempt = engine->next_attempt++;
	ti->is_cancelling = ti->is_clearing = false;
	snprintf(text, sizeof(text), "%s; the attempt did not end within %ld s and was given up",
		 ti->message != NULL ? ti->message : "cancelled",
		 (long)(ENGINE_CANCEL_WAIT_US / US_PER_S));
	engine_tasks_say(ti, text);
	finish(entry, TI_FAILED);
	if (engine->ports.give_up != NULL)
		engine->ports.give_up(engine->context, ti, attempt);
}

void engine_tasks_timer(struct timer *timer, int64_t now)
{
	struct ti_entry *entry = CONTAINER_OF(timer, struct ti_entry, timer);
	char text[TEXT_SIZE];

	switch (entry->ti->state) {
	case TI_UP_FOR_RETRY:
		entry->ti->next_us = 0;
		engine_tasks_set(entry, TI_SCHEDULED);
		break;
	case TI_UP_FOR_RESCHEDULE:
		if (now >= entry->deadline_us)
			give_up_poking(entry);
		else
			engine_tasks_set(entry, TI_SCHEDULED);
		break;
	case TI_QUEUED:
	case TI_RUNNING:
		if (entry->ti->is_cancelling) {
			give_up(entry);
			break;
		}
		timeout_text(entry, text, sizeof(text));
		engine_tasks_cancel(entry, text);
		break;
	case TI_NONE:
	case TI_SCHEDULED:
	case TI_SUCCESS:
	case TI_FAILED:
	case TI_SKIPPED:
	case TI_UPSTREAM_FAILED:
	case TI_REMOVED:
		CHECK(false);
	}
}

void engine_tasks_arm(struct ti_entry *entry)
{
	struct engine *engine = engine_of(entry);
	const struct ti *ti = entry->ti;
	int64_t due_us = INT64_MAX;

	if (ti_has_attempt(ti) && ti->is_cancelling)
		return; /* armed to give up */
	if (ti->state == TI_UP_FOR_RETRY || ti->state == TI_UP_FOR_RESCHEDULE)
		due_us = ti->next_us + engine->skew_us;
	if (ti->state == TI_UP_FOR_RESCHEDULE || ti->state == TI_RUNNING)
		due_us = MIN(due_us, entry->deadline_us);
	if (ti->state == TI_RUNNING && ti_is_poke(ti) && due_us != INT64_MAX)
		due_us = MAX(due_us,
			     engine_steady_us(engine) + US_PER_S); /* the last poke may answer */
	if (due_us == INT64_MAX)
		timer_disarm(&engine->steady, &entry->timer);
	else
		timer_arm(&engine->steady, &entry->timer, MAX(due_us, 1));
}

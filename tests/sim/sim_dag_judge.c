/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim_dag.h"

void sim_dag_fail(struct sim *sim, const char *format, ...)
{
	va_list arguments;

	if (sim->failure[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(sim->failure, sizeof(sim->failure), format, arguments);
	va_end(arguments);
}

/* ---- limits, looked up in the engine's state ---- */

void sim_dag_check_limits(struct sim *sim)
{
	uint32_t all = 0, used[2] = { 0 }, slots, taken;
	struct engine_dag_view view;

	for (uint32_t i = 0; engine_dag_at(sim->engine, i, &view); i++) {
		uint32_t running = 0;

		LIST_EACH(view.runs, node)
		{
			const struct run *run = LIST_ENTRY(node, struct run, link);
			uint32_t active = 0;

			running += run->state == RUN_RUNNING;
			for (uint32_t j = 0; j < run->dag->task_count; j++) {
				const struct dag_task *task = &run->dag->tasks[j];
				bool is_narrow = strcmp(task->pool, "narrow") == 0;
				uint32_t pool = is_narrow ? NARROW_POOL : DEFAULT_POOL;

				if (task->kind == TASK_SENSOR || (run->tis[j].state != TI_QUEUED &&
								  run->tis[j].state != TI_RUNNING))
					continue;
				active++;
				used[is_narrow] += MIN(task->pool_slots, pool);
			}
			if (active > run->dag->max_active_tasks)
				sim_dag_fail(sim, "%s has %u tasks at once", run->id, active);
			all += active;
		}
		/* A version with fewer may come while more run. */
		if (running > view.dag->max_active_runs && running > 3)
			sim_dag_fail(sim, "%s has %u runs at once", view.dag->id, running);
		if (running != view.active_runs)
			sim_dag_fail(sim, "%s miscounts its runs", view.dag->id);
	}
	if (all > PARALLELISM || used[0] > DEFAULT_POOL || used[1] > NARROW_POOL)
		sim_dag_fail(sim, "a limit was exceeded: %u attempts, %u and %u slots", all,
			     used[0], used[1]);
	if (!engine_pool(sim->engine, "narrow", &slots, &taken) || taken != used[1])
		sim_dag_fail(sim, "pool narrow miscounts its slots");
}

/* ---- the end, judged by rules written out once more ---- */

static void check_ti(struct sim *sim, const struct run *run, uint32_t index)
{
	const struct dag_task *task = &run->dag->tasks[index];
	const struct ti *ti = &run->tis[index];
	uint32_t n = task->upstream_count, s = 0, k = 0, bad = 0;
	bool is_right = false;

	for (uint32_t i = 0; i < n; i++) {
		enum ti_state state = run->tis[task->upstream[i]].state;

		s += state == TI_SUCCESS;
		k += state == TI_SKIPPED;
		bad += state == TI_FAILED || state == TI_UPSTREAM_FAILED;
	}
	if (ti->queued_us != 0) /* it ran */
		is_right = n == 0 || (task->rule == RULE_ALL_SUCCESS && s == n) ||
			   task->rule == RULE_ALL_DONE ||
			   (task->rule == RULE_ONE_FAILED && bad > 0) ||
			   (task->rule == RULE_NONE_FAILED_MIN_ONE_SUCCESS && bad == 0 && s > 0);
	else if (ti->state == TI_SKIPPED)
		is_right = (task->rule == RULE_ALL_SUCCESS && k > 0) ||
			   (task->rule == RULE_ONE_FAILED && bad == 0 && n > 0) ||
			   (task->rule == RULE_NONE_FAILED_MIN_ONE_SUCCESS && k == n && n > 0);
	else if (ti->state == TI_UPSTREAM_FAILED)
		is_right = bad > 0 && (task->rule == RULE_ALL_SUCCESS ||
				       task->rule == RULE_NONE_FAILED_MIN_ONE_SUCCESS);
	if (!is_right)
		sim_dag_fail(
			sim,
			"%s of %s/%s is %s against rule %s: of %u upstream %u succeeded, %u skipped, %u failed",
			task->name, run->dag->id, run->id, ti_state_name(ti->state),
			trigger_rule_name(task->rule), n, s, k, bad);
}

/** Its state is what its last attempt came to. */
static void check_outcome(struct sim *sim, const struct ti *ti, const char *run)
{
	const struct attempt *attempt = &sim->attempts[ti->attempt];
	bool was_success = attempt->number != 0 && attempt->outcome == ENGINE_SUCCESS;

	if (ti->queued_us == 0 ||
	    attempt->number == 0) /* never ran, or given up: the number is a fence */
		return;
	if ((ti->state == TI_SUCCESS) != was_success)
		sim_dag_fail(sim, "t%u of %s is %s, its last attempt says %d", ti->task, run,
			     ti_state_name(ti->state), (int)attempt->outcome);
	if (ti->state == TI_FAILED && attempt->outcome == ENGINE_FAILED &&
	    ti->try_number < ti->max_tries && ti->message != NULL &&
	    strcmp(ti->message, "as it is") == 0)
		sim_dag_fail(sim, "t%u of %s failed with tries left", ti->task, run);
}

static void check_run(struct sim *sim, const struct durable_run *durable)
{
	const struct run *run = &durable->run;
	bool has_failed = run->note != NULL && strstr(run->note, "passed over") == NULL;

	if (run->state != RUN_SUCCESS && run->state != RUN_FAILED) {
		sim_dag_fail(sim, "%s/%s never ended", run->dag->id, run->id);
		return;
	}
	for (uint32_t i = 0; i < run->dag->task_count; i++) {
		const struct ti *ti = &run->tis[i];

		if (!ti_is_finished(ti->state))
			sim_dag_fail(sim, "t%u of %s/%s was lost", i, run->dag->id, run->id);
		if (!durable->is_mixed && !has_failed)
			check_ti(sim, run, i);
		check_outcome(sim, ti, run->id);
	}
	for (uint32_t i = 0; i < run->dag->task_count; i++)
		has_failed |=
			run->dag->tasks[i].downstream_count == 0 &&
			(run->tis[i].state == TI_FAILED || run->tis[i].state == TI_UPSTREAM_FAILED);
	if (has_failed != (run->state == RUN_FAILED))
		sim_dag_fail(sim, "%s/%s ended as %s", run->dag->id, run->id,
			     run_state_name(run->state));
}

/** With catchup, each slot up to the last has its run. */
static void check_slots(struct sim *sim, uint32_t dag)
{
	const struct durable_dag *durable = &sim->dags[dag];

	for (int64_t at = T0; durable->has_last && at <= durable->last.logical_us; at += 60 * S) {
		bool is_there = false;

		for (uint32_t i = 0; i < sim->run_count; i++)
			is_there |=
				sim->runs[i]->dag == dag && sim->runs[i]->run.slot.logical_us == at;
		if (!is_there)
			sim_dag_fail(sim, "a slot of d%u was dropped: minute %ld", dag,
				     (long)((at - T0) / (60 * S)));
	}
}

void sim_dag_check_end(struct sim *sim)
{
	for (uint32_t i = 0; sim->failure[0] == '\0' && i < sim->run_count; i++)
		check_run(sim, sim->runs[i]);
	for (uint32_t i = 1; sim->failure[0] == '\0' && i < sim->dag_count; i++)
		check_slots(sim, i);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "sim_dag.h"

/* ---- the durable copy ---- */

static struct durable_run *find_run(struct sim *sim, uint32_t dag, const char *id)
{
	for (uint32_t i = 0; i < sim->run_count; i++)
		if (sim->runs[i]->dag == dag && strcmp(sim->runs[i]->run.id, id) == 0)
			return sim->runs[i];
	return NULL;
}

static void drop_change(struct change *change)
{
	dag_unref(change->run.dag);
	free(change->run.note);
	free(change->ti.message);
}

static struct durable_run *new_run(struct sim *sim, const struct change *change)
{
	struct durable_run *run = calloc(1, sizeof(*run));

	CHECK(run != NULL && sim->run_count < RUNS_MAX);
	for (uint32_t i = 0; i < sim->run_count; i++)
		if (sim->runs[i]->dag == change->dag &&
		    sim->runs[i]->run.slot.logical_us == change->run.slot.logical_us)
			sim_dag_fail(sim, "two runs of d%u have the logical date of %s",
				     change->dag, change->run.id);
	run->dag = change->dag;
	run->run.dag = dag_ref(change->run.dag);
	run->run.tis = calloc(run->run.dag->task_count, sizeof(struct ti));
	CHECK(run->run.tis != NULL);
	memcpy(run->run.id, change->run.id, sizeof(run->run.id));
	sim->runs[sim->run_count++] = run;
	return run;
}

static void save_run(struct sim *sim, struct change *change)
{
	struct durable_run *run = find_run(sim, change->dag, change->run.id);
	struct run *to;

	if (run == NULL)
		run = new_run(sim, change);
	to = &run->run;
	to->type = change->run.type;
	to->state = change->run.state;
	to->slot = change->run.slot;
	to->queued_us = change->run.queued_us;
	to->start_us = change->run.start_us;
	to->end_us = change->run.end_us;
	to->is_stopping = change->run.is_stopping;
	run->was_stopped |= to->is_stopping;
	free(to->note);
	to->note = TAKE_PTR(change->run.note);
}

static void save_ti(struct sim *sim, struct change *change)
{
	struct durable_run *run = find_run(sim, change->dag, change->run.id);
	struct ti *to;

	if (run == NULL) {
		sim_dag_fail(sim, "a task instance was saved before its run %s", change->run.id);
		return;
	}
	to = &run->run.tis[change->ti.task];
	if (to->attempt > change->ti.attempt)
		sim_dag_fail(sim, "the attempt of d%u/%s/t%u went back", change->dag, run->run.id,
			     change->ti.task);
	free(to->message);
	*to = change->ti;
	change->ti.message = NULL;
}

void sim_dag_commit(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->change_count; i++) {
		struct change *change = &sim->changes[i];
		struct durable_dag *dag = &sim->dags[change->dag];

		if (change->kind == SAVE_RUN)
			save_run(sim, change);
		if (change->kind == SAVE_TI)
			save_ti(sim, change);
		if (change->kind != SAVE_DAG)
			continue;
		dag->is_paused = change->is_paused;
		dag->has_last = change->has_last;
		dag->last = change->last;
		if (dag->dag != sim->applied[change->dag]) {
			dag_unref(dag->dag);
			dag->dag = dag_ref(sim->applied[change->dag]);
		}
	}
}

/* ---- ports ---- */

static struct change *add_change(struct sim *sim)
{
	struct change *change = &sim->changes[sim->change_count++];

	CHECK(sim->change_count < CHANGES_MAX);
	*change = (struct change){ 0 };
	return change;
}

static void copy_run(struct change *change, const struct run *run)
{
	change->dag = (uint32_t)(run->dag->id[1] - '0');
	change->run = *run;
	change->run.dag = dag_ref(run->dag);
	change->run.note = run->note != NULL ? strdup(run->note) : NULL;
}

static void copy_ti(struct change *change, const struct ti *ti)
{
	copy_run(change, ti->run);
	change->ti = *ti;
	change->attempt = ti->attempt;
	change->ti.message = ti->message != NULL ? strdup(ti->message) : NULL;
}

static void on_save(void *context, const struct engine_change *saved)
{
	struct change *change = add_change(context);

	switch (saved->kind) {
	case CHANGE_DAG:
		change->kind = SAVE_DAG;
		change->dag = (uint32_t)(saved->dag_id[1] - '0');
		change->is_paused = saved->is_paused;
		change->has_last = saved->last_slot != NULL;
		if (saved->last_slot != NULL)
			change->last = *saved->last_slot;
		break;
	case CHANGE_RUN:
		change->kind = SAVE_RUN;
		copy_run(change, saved->run);
		break;
	case CHANGE_TI:
		change->kind = SAVE_TI;
		copy_ti(change, saved->ti);
		break;
	}
}

static void on_start(void *context, const struct ti *ti)
{
	struct change *change = add_change(context);

	change->kind = ASK_START;
	copy_ti(change, ti);
}

static void on_cancel(void *context, const struct ti *ti, const char *why)
{
	struct change *change = add_change(context);

	CHECK(why != NULL);
	change->kind = ASK_CANCEL;
	copy_ti(change, ti);
}

static void on_give_up(void *context, const struct ti *ti, int64_t attempt)
{
	struct change *change = add_change(context);

	change->kind = ASK_GIVE_UP;
	copy_ti(change, ti);
	change->attempt = attempt;
}

static void on_run_ended(void *context, const struct run *run)
{
	struct sim *sim = context;

	for (uint32_t i = 0; i < run->dag->task_count; i++)
		if (!ti_is_finished(run->tis[i].state))
			sim_dag_fail(sim, "%s ended before its t%u", run->id, i);
}

/* ---- attempts ---- */

static enum engine_outcome random_outcome(struct sim *sim, bool is_sensor)
{
	uint32_t dice = below(sim, 100);

	if (is_sensor && dice < 60)
		return ENGINE_NOT_YET;
	if (dice < 80)
		return ENGINE_SUCCESS;
	if (dice < 90)
		return ENGINE_FAILED;
	if (dice < 93)
		return ENGINE_FAILED_FINAL;
	return dice < 97 ? ENGINE_SKIPPED : ENGINE_LOST;
}

static void start_attempt(struct sim *sim, const struct change *change)
{
	struct attempt *attempt = &sim->attempts[change->attempt];
	struct durable_run *run = find_run(sim, change->dag, change->run.id);
	bool is_sensor;

	CHECK(change->attempt > 0 && change->attempt < ATTEMPTS_MAX);
	if (run == NULL || run->run.tis[change->ti.task].attempt < change->attempt ||
	    attempt->number != 0) {
		sim_dag_fail(sim, "attempt %ld started before it was durable, or again",
			     (long)change->attempt);
		return;
	}
	for (uint32_t i = 0; i < sim->alive_count; i++) {
		const struct attempt *other = &sim->attempts[sim->alive[i]];

		if (other->dag == change->dag && other->task == change->ti.task &&
		    !other->is_given_up && strcmp(other->run, change->run.id) == 0)
			sim_dag_fail(sim, "d%u/%s/t%u runs twice at once", change->dag,
				     change->run.id, change->ti.task);
	}
	is_sensor = run->run.dag->tasks[change->ti.task].kind == TASK_SENSOR;
	*attempt = (struct attempt){ .number = change->attempt, .is_alive = true };
	attempt->dag = change->dag;
	attempt->task = change->ti.task;
	memcpy(attempt->run, change->run.id, sizeof(attempt->run));
	attempt->outcome = random_outcome(sim, is_sensor);
	attempt->end_us = sim->real_us + below(sim, is_sensor ? 100000 : 6000000);
	if (!is_sensor && prng_chance(&sim->prng, 60))
		attempt->end_us += below(sim, 100) * S;
	attempt->ignores_cancel = prng_chance(&sim->prng, 200);
	sim->alive[sim->alive_count++] = attempt->number;
	sim->attempt_end = MAX(sim->attempt_end, attempt->number + 1);
}

static void cancel_attempt(struct sim *sim, int64_t number)
{
	struct attempt *attempt = &sim->attempts[number];
	int64_t end_us = sim->real_us + below(sim, 2000000);

	attempt->cancelled_us = sim->real_us;
	if (!attempt->is_alive || attempt->ignores_cancel || end_us >= attempt->end_us)
		return;
	attempt->end_us = end_us;
	attempt->outcome = ENGINE_CANCELLED;
}

static void carry_out(struct sim *sim, const struct change *change)
{
	if (change->kind == ASK_START)
		start_attempt(sim, change);
	else if (change->kind == ASK_CANCEL)
		cancel_attempt(sim, change->attempt);
	else if (change->kind == ASK_GIVE_UP)
		sim->attempts[change->attempt].is_given_up = true;
}

static const struct ti *durable_ti(struct sim *sim, const struct attempt *attempt)
{
	struct durable_run *run = find_run(sim, attempt->dag, attempt->run);

	CHECK(run != NULL);
	return &run->run.tis[attempt->task];
}

static bool is_newest(const struct ti *ti, const struct attempt *attempt)
{
	return ti->attempt == attempt->number &&
	       (ti->state == TI_QUEUED || ti->state == TI_RUNNING);
}

static void report(struct sim *sim, struct attempt *attempt)
{
	bool is_wanted = is_newest(durable_ti(sim, attempt), attempt);
	int error = engine_attempt_ended(sim->engine, attempt->number, attempt->outcome, "as it is",
					 NULL, wall(sim));

	attempt->is_told = true;
	if (error != 0 && error != ERR_FENCED)
		sim_dag_fail(sim, "a report was answered with %d", error);
	if (error == ERR_FENCED && is_wanted)
		sim_dag_fail(sim, "the end of attempt %ld was refused", (long)attempt->number);
	if (error == 0 && attempt->cancelled_us != 0 &&
	    attempt->end_us > attempt->cancelled_us + GIVE_UP_US)
		sim_dag_fail(sim, "attempt %ld was never given up", (long)attempt->number);
	if (error == 0 && (!is_wanted || attempt->is_given_up))
		sim_dag_fail(sim, "a late report of attempt %ld was taken", (long)attempt->number);
}

void sim_dag_report(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->alive_count; i++) {
		struct attempt *attempt = &sim->attempts[sim->alive[i]];

		if (!attempt->is_started && prng_chance(&sim->prng, 900))
			engine_attempt_started(sim->engine, attempt->number, wall(sim));
		attempt->is_started = true;
		if (attempt->end_us > sim->real_us)
			continue;
		attempt->is_alive = false;
		sim->alive[i--] = sim->alive[--sim->alive_count];
		report(sim, attempt);
	}
	if (sim->attempt_end > 1 && prng_chance(&sim->prng, 100)) {
		int64_t number = 1 + below(sim, (uint32_t)sim->attempt_end - 1);
		struct attempt *attempt = &sim->attempts[number];

		if (attempt->is_told && !is_newest(durable_ti(sim, attempt), attempt))
			report(sim, attempt);
	}
}

/* ---- crashes ---- */

void sim_dag_drop_changes(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->change_count; i++)
		drop_change(&sim->changes[i]);
	sim->change_count = 0;
}

bool sim_dag_dies_here(struct sim *sim)
{
	bool dies = sim->point == sim->crash_at;

	sim->point++;
	if (sim->crashes < CRASHES_MAX && prng_chance(&sim->prng, sim->crash_rate))
		dies = true;
	sim->crashes += dies;
	sim->is_dying |= dies;
	return dies;
}

/** What a turn ends with: make durable, then carry out. */
static void settle(struct sim *sim)
{
	if (!sim_dag_dies_here(sim)) {
		sim_dag_commit(sim);
		for (uint32_t i = 0; i < sim->change_count; i++) {
			if (sim->changes[i].kind >= ASK_START && sim_dag_dies_here(sim))
				break;
			carry_out(sim, &sim->changes[i]);
		}
	}
	sim_dag_drop_changes(sim);
}

void sim_dag_turn(struct sim *sim)
{
	sim->next_us = engine_turn(sim->engine, wall(sim));
	sim_dag_check_limits(sim);
	settle(sim);
}

void sim_dag_open_engine(struct sim *sim)
{
	static const struct engine_ports ports = { on_save, on_start, on_cancel, on_give_up,
						   on_run_ended };
	static const struct engine_limits limits = { PARALLELISM, DEFAULT_POOL };

	CHECK(engine_new(&ports, sim, &limits, &sim->engine) == 0);
	engine_set_pool(sim->engine, "narrow", NARROW_POOL, wall(sim));
}

static void restore(struct sim *sim)
{
	sim_dag_open_engine(sim);
	engine_restore_counter(sim->engine, 1);
	for (uint32_t i = 0; i < sim->dag_count; i++) {
		struct durable_dag *dag = &sim->dags[i];

		if (sim->applied[i] != dag->dag) {
			dag_unref(sim->applied[i]);
			sim->applied[i] = dag_ref(dag->dag);
		}
		CHECK(engine_restore_dag(sim->engine, dag->dag, dag->is_paused,
					 dag->has_last ? &dag->last : NULL) == 0);
	}
	for (uint32_t i = 0; i < sim->run_count; i++)
		CHECK(engine_restore_run(sim->engine, &sim->runs[i]->run, sim->runs[i]->run.dag) ==
		      0);
	engine_restored(sim->engine, wall(sim));
}

/** What a new owner finds of the attempts. */
static void reconcile(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->alive_count; i++) {
		struct attempt *attempt = &sim->attempts[sim->alive[i]];

		attempt->cancelled_us = 0; /* the new engine waits anew */
		if (!is_newest(durable_ti(sim, attempt), attempt))
			attempt->is_given_up = true;
		if (attempt->end_us > sim->real_us && !prng_chance(&sim->prng, sim->loss_rate))
			continue;
		if (attempt->end_us > sim->real_us)
			attempt->outcome = ENGINE_LOST;
		attempt->is_alive = false;
		sim->alive[i--] = sim->alive[--sim->alive_count];
	}
	for (uint32_t i = 0; i < sim->run_count; i++) {
		const struct run *run = &sim->runs[i]->run;

		for (uint32_t j = 0; j < run->dag->task_count; j++) {
			const struct ti *ti = &run->tis[j];
			struct attempt *attempt = &sim->attempts[ti->attempt];

			if (ti->state != TI_QUEUED && ti->state != TI_RUNNING)
				continue;
			if (attempt->number == 0)
				CHECK(engine_attempt_ended(sim->engine, ti->attempt, ENGINE_LOST,
							   NULL, NULL, wall(sim)) == 0);
			else if (attempt->is_alive)
				engine_attempt_started(sim->engine, attempt->number, wall(sim));
			else
				report(sim, attempt);
		}
	}
}

void sim_dag_crash(struct sim *sim)
{
	while (sim->is_dying) {
		sim->is_dying = false;
		sim_dag_drop_changes(sim);
		engine_free(sim->engine);
		sim->real_us += below(sim, 3) * below(sim, 10) * S;
		restore(sim);
		reconcile(sim);
		sim_dag_turn(sim);
	}
}

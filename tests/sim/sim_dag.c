/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: whatever tasks, clocks, people and crashes do, no task instance runs twice at once, none is lost, every run
 * ends, no limit is exceeded, nothing starts before it is durable, a late report changes nothing, a slot gets
 * one run, and the final states are those that the trigger rules ask for.
 *
 * Shown by random pipelines in virtual time with an owner that keeps a durable copy of what was committed. Crashes fall
 * between any two of its steps (before and after a commit, between two starts); then a new engine is restored
 * from the copy while attempts live on, end unseen or are lost. All choices come from one seed; --crash N
 * puts a single crash at the N-th point where one is possible, and some seeds try every point.
 */
#include "sim_dag.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

/* ---- random pipelines ---- */

static void link_tasks(struct dag *dag, uint32_t above, uint32_t self)
{
	struct dag_task *a = &dag->tasks[above], *b = &dag->tasks[self];

	a->downstream[a->downstream_count++] = self;
	b->upstream[b->upstream_count++] = above;
}

static void random_task(struct sim *sim, struct dag *dag, uint32_t index)
{
	struct dag_task *task = &dag->tasks[index];

	snprintf(task->name, sizeof(task->name), "t%u", index);
	task->upstream = calloc(dag->task_count, sizeof(*task->upstream));
	task->downstream = calloc(dag->task_count, sizeof(*task->downstream));
	CHECK(task->upstream != NULL && task->downstream != NULL);
	task->rule = (enum trigger_rule)below(sim, 4);
	if (prng_chance(&sim->prng, 400))
		task->rule = RULE_ALL_SUCCESS;
	task->kind = prng_chance(&sim->prng, 150) ? TASK_SENSOR : TASK_COMMAND;
	task->retries = below(sim, 3);
	task->retry_delay_us = below(sim, 3) * S;
	task->retry_backoff = below(sim, 3);
	task->timeout_us = prng_chance(&sim->prng, 300) ? (3 + below(sim, 10)) * S : 0;
	task->poke_us = (1 + below(sim, 3)) * S;
	task->is_soft_fail = prng_chance(&sim->prng, 500);
	snprintf(task->pool, sizeof(task->pool), "%s",
		 prng_chance(&sim->prng, 300) ? "narrow" : "default_pool");
	task->pool_slots = 1 + below(sim, 3);
	task->priority = below(sim, 4);
	for (uint32_t i = 0; i < index; i++)
		if (prng_chance(&sim->prng, 1500 / dag->task_count))
			link_tasks(dag, i, index);
}

static struct dag *random_dag(struct sim *sim, uint32_t index)
{
	struct timetable_spec spec = { .start_us = T0, .end_us = HORIZON_US - S };
	struct dag *dag = calloc(1, sizeof(*dag));
	char text[200];

	CHECK(dag != NULL);
	dag->references = 1;
	snprintf(dag->id, sizeof(dag->id), "d%u", index);
	snprintf(dag->version, sizeof(dag->version), "%u", ++sim->version);
	dag->max_active_runs = 1 + below(sim, 3);
	dag->max_active_tasks = 1 + below(sim, 4);
	dag->run_timeout_us = prng_chance(&sim->prng, 200) ? 40 * S : 0;
	spec.schedule = prng_chance(&sim->prng, 700) ? "* * * * *" : NULL;
	spec.catchup = index != 0; /* so that gaps can be told from coalescing */
	CHECK(timetable_new(&spec, &dag->timetable, text, sizeof(text)) == 0);
	dag->task_count = 1 + below(sim, 9);
	dag->tasks = calloc(dag->task_count, sizeof(*dag->tasks));
	CHECK(dag->tasks != NULL);
	for (uint32_t i = 0; i < dag->task_count; i++)
		random_task(sim, dag, i);
	return dag;
}

/* ---- people ---- */

static void change_version(struct sim *sim, uint32_t dag)
{
	struct dag *new = random_dag(sim, dag);

	if (prng_chance(&sim->prng, 200))
		CHECK(engine_remove(sim->engine, new->id, wall(sim)) == 0);
	dag_unref(sim->applied[dag]);
	sim->applied[dag] = new;
	CHECK(engine_apply(sim->engine, new, false, wall(sim)) == 0);
}

static void act_on_run(struct sim *sim, struct durable_run *run, uint32_t dice)
{
	const char *dag = run->run.dag->id;
	bool has_downstream = prng_chance(&sim->prng, 800);
	char task[16];

	if (dice < 60) {
		snprintf(task, sizeof(task), "t%u", below(sim, run->run.dag->task_count));
		run->is_mixed |= !has_downstream || run->was_stopped;
		(void)!engine_clear(sim->engine, dag, run->run.id, dice < 20 ? NULL : task,
				    has_downstream, wall(sim));
	} else {
		(void)!engine_cancel(sim->engine, dag, run->run.id, wall(sim));
	}
}

static void act(struct sim *sim)
{
	uint32_t dice = below(sim, 100), dag = below(sim, sim->dag_count);
	const struct run *run;

	if (prng_chance(&sim->prng, sim->jump_rate))
		sim->offset_us +=
			((int64_t)below(sim, 400) - 200) * S * (below(sim, 10) == 0 ? 500 : 1);
	if (!prng_chance(&sim->prng, sim->action_rate))
		return;
	if (dice < 30)
		(void)!engine_trigger(sim->engine, sim->applied[dag]->id, NULL, TIMETABLE_NONE,
				      NULL, wall(sim), &run);
	else if (dice < 40)
		CHECK(engine_pause(sim->engine, sim->applied[dag]->id, prng_chance(&sim->prng, 500),
				   wall(sim)) == 0);
	else if (dice < 45)
		change_version(sim, dag);
	else if (sim->run_count > 0)
		act_on_run(sim, sim->runs[below(sim, sim->run_count)], below(sim, 100));
}

/* ---- one seed ---- */

static void sim_open(struct sim *sim, uint64_t seed, uint64_t crash_at)
{
	static const uint32_t crash_rates[] = { 0, 2, 20, 100 };

	sim->seed = seed;
	sim->crash_at = crash_at;
	sim->prng.state = seed * UINT64_C(0x9e3779b97f4a7c15);
	sim->real_us = T0 - 5 * S;
	sim->attempts = calloc(ATTEMPTS_MAX, sizeof(*sim->attempts));
	sim->changes = calloc(CHANGES_MAX, sizeof(*sim->changes));
	CHECK(sim->attempts != NULL && sim->changes != NULL);
	if (seed % EVERY_POINT != 0)
		sim->crash_rate = crash_rates[below(sim, 4)];
	sim->loss_rate = below(sim, 2) * below(sim, 600);
	sim->action_rate = below(sim, 3) * 15;
	sim->jump_rate = below(sim, 3) == 0 ? 5 : 0;
	sim->dag_count = 1 + below(sim, DAGS_MAX);
	sim_dag_open_engine(sim);
	engine_restored(sim->engine, wall(sim));
	for (uint32_t i = 0; i < sim->dag_count; i++) {
		sim->applied[i] = random_dag(sim, i);
		CHECK(engine_apply(sim->engine, sim->applied[i], false, wall(sim)) == 0);
	}
	sim_dag_commit(sim);
	sim_dag_drop_changes(sim);
}

static void sim_close(struct sim *sim)
{
	sim_dag_drop_changes(sim);
	engine_free(sim->engine);
	for (uint32_t i = 0; i < sim->run_count; i++) {
		struct run *run = &sim->runs[i]->run;

		for (uint32_t j = 0; j < run->dag->task_count; j++)
			free(run->tis[j].message);
		free(run->tis);
		free(run->note);
		dag_unref(run->dag);
		free(sim->runs[i]);
	}
	for (uint32_t i = 0; i < sim->dag_count; i++) {
		dag_unref(sim->applied[i]);
		dag_unref(sim->dags[i].dag);
	}
	free(sim->attempts);
	free(sim->changes);
}

/** To the next thing that happens. @return false: nothing ever will */
static bool advance(struct sim *sim)
{
	int64_t next_us = sim->next_us == INT64_MAX ? INT64_MAX : sim->next_us - sim->offset_us;

	for (uint32_t i = 0; i < sim->alive_count; i++)
		next_us = MIN(next_us, sim->attempts[sim->alive[i]].end_us);
	if (sim->real_us < HORIZON_US)
		next_us = MIN(next_us, sim->real_us + 5 * S);
	if (next_us == INT64_MAX)
		return false;
	sim->real_us = MAX(sim->real_us, next_us) + below(sim, 2000);
	return true;
}

static bool is_any_paused(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->dag_count; i++)
		if (sim->dags[i].is_paused)
			return true;
	return false;
}

static void run(struct sim *sim)
{

	sim_dag_turn(sim);
	for (uint32_t step = 0; sim->failure[0] == '\0'; step++) {
		sim_dag_crash(sim);
		if (step > STEPS_MAX) {
			sim_dag_fail(sim, "no end after %d steps", STEPS_MAX);
			return;
		}
		if (!advance(sim) && !is_any_paused(sim))
			break;
		sim_dag_report(sim);
		if (sim->real_us < HORIZON_US) {
			act(sim);
		} else if (sim->offset_us != 0 || is_any_paused(sim)) {
			sim->offset_us = 0;
			for (uint32_t i = 0; i < sim->dag_count; i++)
				CHECK(engine_pause(sim->engine, sim->applied[i]->id, false,
						   wall(sim)) == 0);
		}
		if (!sim_dag_dies_here(sim))
			sim_dag_turn(sim);
	}
}

static uint64_t sim_seed(uint64_t seed, uint64_t crash_at, char *failure, uint64_t *attempts)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	uint64_t points;

	CHECK(sim != NULL);
	sim_open(sim, seed, crash_at);
	run(sim);
	sim_dag_check_end(sim);
	memcpy(failure, sim->failure, sizeof(sim->failure));
	points = sim->point;
	*attempts += (uint64_t)sim->attempt_end;
	sim_close(sim);
	free(sim);
	return points;
}

static char replay[256]; /* how to run again what runs now */

/** A CHECK() that failed ends the process: say which seed it was. */
static void on_abort(int number)
{
	(void)number;
	(void)!write(STDOUT_FILENO, replay, strlen(replay));
}

static bool try_seed(const char *program, uint64_t seed, uint64_t crash_at, uint64_t *ret_points,
		     uint64_t *attempts)
{
	char failure[sizeof(((struct sim *)NULL)->failure)], crash[32] = "";

	if (crash_at != NO_CRASH)
		snprintf(crash, sizeof(crash), " --crash %lu", (unsigned long)crash_at);
	snprintf(replay, sizeof(replay), "replay: %s --seed %lu%s\n", program, (unsigned long)seed,
		 crash);
	*ret_points = sim_seed(seed, crash_at, failure, attempts);
	if (failure[0] == '\0')
		return true;
	printf("FAILED seed %lu: %s\n%s", (unsigned long)seed, failure, replay);
	return false;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 300, first = 1, crash_at = NO_CRASH, failures = 0, runs = 0, attempts = 0;
	bool is_single = false;
	struct sigaction action = { .sa_handler = on_abort };

	sigaction(SIGABRT, &action, NULL);
	for (int i = 1; i < argc; i += 2) {
		uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;

		if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
			seeds = value;
		} else if (i + 1 < argc && strcmp(argv[i], "--first") == 0) {
			first = value;
		} else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
			first = value;
			seeds = 1;
			is_single = true;
		} else if (i + 1 < argc && strcmp(argv[i], "--crash") == 0) {
			crash_at = value;
		} else {
			fprintf(stderr,
				"usage: %s [--seeds N] [--first S] | --seed K [--crash N]\n",
				argv[0]);
			return 2;
		}
	}
	for (uint64_t seed = first; seed < first + seeds; seed++) {
		uint64_t points, ignored;

		failures += !try_seed(argv[0], seed, crash_at, &points, &attempts);
		runs++;
		for (uint64_t at = 0; !is_single && seed % EVERY_POINT == 0 && at < points; at++) {
			failures += !try_seed(argv[0], seed, at, &ignored, &attempts);
			runs++;
		}
	}
	printf("%lu seeds in %lu runs, %lu failed; %lu attempts\n", (unsigned long)seeds,
	       (unsigned long)runs, (unsigned long)failures, (unsigned long)attempts);
	return failures == 0 ? 0 : 1;
}

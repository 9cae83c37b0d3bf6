/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The world around the engine in sim_dag.c: an owner that keeps a durable copy of what was committed
 * (sim_dag_owner.c), and the judge of states and limits (sim_dag_judge.c).
 *
 * Context: tests.
 */
#pragma once

#include "base/prng.h"

#include "orchestrate/engine.h"

#define S            INT64_C(1000000)
#define T0           (INT64_C(1767225600) * S)
#define HORIZON_US   (T0 + 300 * S)
#define DAGS_MAX     3
#define RUNS_MAX     512
#define ATTEMPTS_MAX 16384
#define CHANGES_MAX  16384
#define STEPS_MAX    60000
#define CRASHES_MAX  40
#define PARALLELISM  5
#define DEFAULT_POOL 4
#define NARROW_POOL  2
/** What a cancel may take until it was given up, with the owner's own slowness. */
#define GIVE_UP_US  (ENGINE_CANCEL_WAIT_US + 6 * S)
#define NO_CRASH    UINT64_MAX
#define EVERY_POINT 40 /* of so many seeds one is run with a crash at every point */

/** A thing to make durable, or to carry out after that. */
struct change {
	enum { SAVE_DAG, SAVE_RUN, SAVE_TI, ASK_START, ASK_CANCEL, ASK_GIVE_UP } kind;
	uint32_t dag;
	bool is_paused, has_last;
	struct timetable_slot last;
	struct run run; /* without what it points to, but its dag (referenced), note and id */
	struct ti ti;   /* message: own copy */
	int64_t attempt;
};

struct durable_dag {
	struct dag *dag;
	bool is_paused, has_last;
	struct timetable_slot last;
};

struct durable_run {
	struct run run;
	uint32_t dag;
	bool was_stopped,
		is_mixed; /* mixed: cleared in part, so old states stand beside new ones */
};

struct attempt {
	int64_t number, end_us, cancelled_us; /* real time */
	uint32_t dag, task;
	char run[DAG_NAME_MAX + 1];
	enum engine_outcome outcome;
	bool is_alive, ignores_cancel, is_started, is_told, is_given_up;
};

struct sim {
	uint64_t seed, point, crash_at;
	struct prng prng;
	int64_t real_us, offset_us, next_us; /* wall = real + offset; next_us: wall */
	struct engine *engine;
	uint32_t crash_rate, loss_rate, action_rate, jump_rate, crashes; /* rates per mille */
	uint32_t dag_count, version;
	struct dag *applied[DAGS_MAX];
	struct durable_dag dags[DAGS_MAX];
	struct durable_run *runs[RUNS_MAX];
	uint32_t run_count;
	struct attempt *attempts; /* by number */
	int64_t alive[ATTEMPTS_MAX];
	uint32_t alive_count;
	int64_t attempt_end; /* one beyond the newest */
	struct change *changes;
	uint32_t change_count;
	bool is_dying; /* the owner died in the middle of something */
	char failure[256];
};

void PRINTF_LIKE(2, 3) sim_dag_fail(struct sim *sim, const char *format, ...);

static inline int64_t wall(const struct sim *sim)
{
	return sim->real_us + sim->offset_us;
}

static inline uint32_t below(struct sim *sim, uint32_t bound)
{
	return (uint32_t)prng_below(&sim->prng, bound);
}

/* ---- sim_dag_owner.c ---- */

void sim_dag_open_engine(struct sim *sim);
/** Make what was saved durable. */
void sim_dag_commit(struct sim *sim);
void sim_dag_drop_changes(struct sim *sim);
/** A turn of the engine, the commit, what was asked for. */
void sim_dag_turn(struct sim *sim);
/** Tell what started and ended, sometimes again what was told long ago. */
void sim_dag_report(struct sim *sim);
/** @return true: the owner dies here */
bool sim_dag_dies_here(struct sim *sim);
/** If it died: a new engine from the durable copy. */
void sim_dag_crash(struct sim *sim);

/* ---- sim_dag_judge.c ---- */

/** Limits hold in the engine's state. */
void sim_dag_check_limits(struct sim *sim);
/** At the end: every run ended, its states are what the trigger rules ask for, no slot was dropped. */
void sim_dag_check_end(struct sim *sim);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside the engine: what the files engine*.c share and nobody else includes.
 *
 * How a change travels: engine_tasks_set() moves a task instance and puts those downstream of it on
 * `checks`, a run without unfinished instances on `ended`, a dag with room for a run on `starts`;
 * engine_settle() empties these lists at the end of each call. Starts are asked for in engine_turn() only.
 *
 * Two heaps of timers, both in microseconds: `wall` for schedules, `steady` for what is so long after
 * something. The steady clock is now_us + skew_us; a jump of the wall clock changes the skew.
 *
 * Context: as engine.h.
 */
#pragma once

#include "base/timers.h"

#include "orchestrate/engine.h"

/** A node of a pairing heap in the order of engine_ready.c. */
struct ready_node {
	struct ready_node *child, *next, *prev;
};

struct pool_entry {
	struct list link, holders; /* of the engine; of task instances */
	char name[DAG_NAME_MAX + 1];
	uint32_t slots, used;
	bool is_defined; /* false: only named by a task */
	bool is_poke;    /* of sensors: no limit holds them */
	struct ready_node *groups;
};

/** Ready task instances of one run and pool; in the pool's heap while the run may start more. */
struct ready_group {
	struct ready_node node;
	bool is_in;
	struct pool_entry *pool;
	struct run_entry *run;
	struct ready_node *ready;
};

/** Upstream task instances by state; what a trigger rule looks at. */
struct rule_counts {
	uint32_t total, success, skipped, failed, upstream_failed;
};

struct ti_entry {
	struct ti *ti;
	struct timer timer; /* steady: retry, poke, timeout, giving up, by state */
	struct list check, hold;
	struct ready_node node;
	struct ready_group *group;
	struct ti_entry *next_attempt; /* of its bucket */
	struct rule_counts counts;
	uint32_t held;       /* slots of its pool */
	int64_t deadline_us; /* steady: of the attempt or the sensor's pokes; INT64_MAX: none */
};

struct run_entry {
	struct run run;
	struct dag_entry *owner;
	struct ti_entry *entries; /* [run.dag->task_count] */
	struct ready_group *groups;
	uint32_t group_count, unfinished, active; /* active: attempts but pokes */
	struct timer timer;                       /* steady: timeout of the run */
	struct list ended;
};

struct dag_entry {
	struct engine *engine;
	struct dag *dag;
	bool is_paused, is_removed, has_last, has_next, has_passed;
	struct timetable_slot last, next, passed; /* passed: first slot that found the queue full */
	struct list runs;
	uint32_t queued, running, finished;
	struct timer timer; /* wall: the next slot */
	struct list start, sweep;
};

#define ENGINE_BUCKETS 4096U /* of attempts under way */

struct engine {
	struct engine_ports ports;
	void *context;
	struct engine_limits limits;
	int64_t now_us, skew_us, promised_us;
	int64_t next_attempt;
	struct timers wall, steady;
	struct list pools, checks, ended, starts, sweeps;
	struct pool_entry *pokes;
	uint32_t active;         /* attempts but pokes */
	struct dag_entry **dags; /* [dag_count] by id */
	uint32_t dag_count, dag_capacity;
	bool is_restoring;
	struct ti_entry *buckets[ENGINE_BUCKETS];
};

static inline struct run_entry *run_entry(const struct run *run)
{
	/* By way of a number: others hold runs as const, the engine owns them. */
	return (struct run_entry *)((uintptr_t)run - offsetof(struct run_entry, run));
}

static inline struct ti_entry *ti_entry(const struct ti *ti)
{
	return &run_entry(ti->run)->entries[ti->task];
}

static inline const struct dag_task *ti_task(const struct ti *ti)
{
	return &ti->run->dag->tasks[ti->task];
}

static inline bool ti_has_attempt(const struct ti *ti)
{
	return ti->state == TI_QUEUED || ti->state == TI_RUNNING;
}

static inline bool ti_is_poke(const struct ti *ti)
{
	return ti_task(ti)->kind == TASK_SENSOR;
}

static inline bool run_is_finished(const struct run *run)
{
	return run->state == RUN_SUCCESS || run->state == RUN_FAILED;
}

static inline int64_t engine_steady_us(const struct engine *engine)
{
	return engine->now_us + engine->skew_us;
}

static inline struct engine *run_engine(const struct run_entry *run)
{
	return run->owner->engine;
}

/* ---- engine.c ---- */

/** Take the time; notice jumps of the clock. Begins each call. */
void engine_enter(struct engine *engine, int64_t now_us);
/** Empty the work lists. Ends each call. */
void engine_settle(struct engine *engine);
struct dag_entry *engine_find_dag(const struct engine *engine, const char *dag_id);
/** Arm a steady timer for a wall instant. */
void engine_arm(struct engine *engine, struct timer *timer, int64_t at_us);
void engine_save_dag(const struct dag_entry *dag);
void engine_save_run(const struct run_entry *run);
/** New entry in order of name, unpaused, without slots. @return NULL: no memory */
struct dag_entry *engine_add_dag(struct engine *engine, struct dag *dag);
void engine_drop_dag(struct dag_entry *dag);

/* ---- engine_rules.c ---- */

enum rule_verdict { VERDICT_WAIT, VERDICT_RUN, VERDICT_SKIP, VERDICT_UPSTREAM_FAILED };

/** What becomes of a task instance, given its upstream. Pure. */
enum rule_verdict engine_rules_decide(enum trigger_rule rule, const struct rule_counts *counts);
/** Count an upstream instance of a state in (1) or out (-1). */
void engine_rules_count(struct rule_counts *counts, enum ti_state state, int change);

/* ---- engine_runs.c ---- */

/** Copy of a run with task instances of its own in TI_NONE; on no list. @return NULL: no memory */
struct run_entry *engine_runs_new(struct dag_entry *owner, const struct run *run, struct dag *dag);
void engine_runs_free(struct run_entry *run);
struct run_entry *engine_runs_find(const struct dag_entry *dag, const char *run_id);
bool engine_runs_has_logical(const struct dag_entry *dag, int64_t logical_us);
/** Make the runs that are due and arm the timer of the next. */
void engine_runs_due(struct dag_entry *dag);
void engine_runs_due_timer(struct timer *timer, int64_t now);
void engine_runs_timeout(struct timer *timer, int64_t now);
/** Start runs that wait, as many as may. */
void engine_runs_start(struct dag_entry *dag);
void engine_runs_add(struct run_entry *run);
void engine_runs_arm(struct run_entry *run);
void engine_runs_push_start(struct dag_entry *dag);
void engine_runs_push_sweep(struct dag_entry *dag);
void engine_runs_end(struct run_entry *run);
/** End it: attempts are cancelled, what waits gets `waiting`. */
void engine_runs_stop(struct run_entry *run, const char *why, enum ti_state waiting);
/** Clear the instances marked in chosen [task_count]. @return count */
int engine_runs_clear(struct run_entry *run, const bool *chosen);
/** Forget finished runs beyond ENGINE_RUNS_KEPT, and a removed dag without runs under way. */
void engine_runs_sweep(struct engine *engine);
#define ENGINE_TIME_SIZE 96
/** RFC 3339 in UTC. @param ret  [ENGINE_TIME_SIZE] */
const char *engine_runs_time(int64_t at_us, char *ret);

/* ---- engine_tasks.c ---- */

/** Move an instance; all other fields are set before. Saves it. */
void engine_tasks_set(struct ti_entry *entry, enum ti_state state);
/** Apply the trigger rule to an instance of TI_NONE. */
void engine_tasks_check(struct ti_entry *entry);
/** Give it a slot and ask for its start. */
void engine_tasks_start(struct ti_entry *entry);
void engine_tasks_started(struct ti_entry *entry);
void engine_tasks_ended(struct ti_entry *entry, enum engine_outcome outcome, const char *message,
			json_t *result);
void engine_tasks_cancel(struct ti_entry *entry, const char *why);
/** Back to TI_NONE with all its tries. */
void engine_tasks_reset(struct ti_entry *entry);
void engine_tasks_say(struct ti *ti, const char *message);
void engine_tasks_timer(struct timer *timer, int64_t now);
/** Arm the timer that its state wants. */
void engine_tasks_arm(struct ti_entry *entry);
/** Delay before the next try, from the end of this one. */
int64_t engine_tasks_retry_delay_us(const struct ti *ti);
/** Hold slots and be found by attempt. */
void engine_tasks_hold(struct ti_entry *entry);
void engine_tasks_push_check(struct ti_entry *entry);
struct ti_entry *engine_tasks_find(const struct engine *engine, int64_t attempt);

/* ---- engine_ready.c ---- */

/** Pool of a name; made undefined when there is none. @return NULL: no memory */
struct pool_entry *engine_ready_pool(struct engine *engine, const char *name);
void engine_ready_push(struct ti_entry *entry);
void engine_ready_remove(struct ti_entry *entry);
/** After a change of what allows the run to start tasks. */
void engine_ready_refresh(struct run_entry *run);
/** Start what may start, in order. */
void engine_ready_pump(struct engine *engine);
/** @return slots the instance takes, at most all of its pool */
uint32_t engine_ready_slots(const struct ti_entry *entry);
/** The instance that the pool starts next; NULL: none */
struct ti_entry *engine_ready_first(const struct pool_entry *pool);

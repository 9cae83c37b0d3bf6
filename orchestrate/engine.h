/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The scheduler: what has happened goes in, what is to be done comes out. A pure state machine: no
 * clock, no file, no process of its own, so that it runs in a simulator with virtual time.
 *
 * Order of things: the engine changes its memory and tells ports->save() each change; the
 * owner makes the changes of a turn durable in one transaction; only then it carries out what ports->start()
 * and ports->cancel() asked for in that turn. After a crash engine_restore_*() brings back exactly the
 * durable state, engine_restored() ends it, and the owner tells what it found of the attempts: still running
 * (nothing to tell), ended (engine_attempt_ended()), or gone (the same with ENGINE_LOST).
 *
 * States, rules and limits are Airflow's (facts in the architecture page). Instants: wall time in microseconds since
 * 1970. A wall clock that jumps back never makes a scheduled run twice: (dag, logical date) is unique.
 *
 * Time: retries, pokes and timeouts follow a clock of the engine's own that a jump of the wall clock does not
 * move; only schedules follow the wall clock.
 *
 * Context: control's loop. Memory: heap; finished runs beyond ENGINE_RUNS_KEPT of a dag leave memory (the
 * store has them), in engine_turn() only: pointers to runs and task instances are good until the next one.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"
#include "base/list.h"

#include "orchestrate/dag.h"

#define ENGINE_RUNS_KEPT 50
#define ENGINE_LOST_MAX  3 /* lost attempts of a task instance that cost no retry */
/** Scheduled runs of a dag that wait in queued; further slots stay with the timetable. */
#define ENGINE_QUEUED_MAX     100
#define ENGINE_CANCEL_WAIT_US INT64_C(30000000) /* then the attempt is given up */

enum run_state { RUN_QUEUED, RUN_RUNNING, RUN_SUCCESS, RUN_FAILED };
enum run_type { RUN_SCHEDULED, RUN_MANUAL };
enum ti_state {
	TI_NONE,
	TI_SCHEDULED, /* may run, waits for a slot */
	TI_QUEUED,    /* has a slot; its start is being made durable */
	TI_RUNNING,
	TI_SUCCESS,
	TI_FAILED,
	TI_SKIPPED,
	TI_UPSTREAM_FAILED,
	TI_UP_FOR_RETRY,      /* waits for next_us */
	TI_UP_FOR_RESCHEDULE, /* a sensor between pokes, holds no slot */
	TI_REMOVED,
};

struct run;

/** A task instance. Read by anyone in the loop, written by the engine. */
struct ti {
	struct run *run;
	uint32_t task; /* index in run->dag->tasks */
	enum ti_state state;
	uint32_t try_number; /* of the newest attempt; 0: none yet */
	uint32_t max_tries;  /* 1 + retries, raised by clear */
	uint32_t lost;       /* attempts lost and not counted */
	int64_t attempt;     /* number of the newest attempt; 0: none */
	int64_t scheduled_us, queued_us, start_us, end_us; /* of the newest try; 0: not yet */
	int64_t next_us;                                   /* of a retry or the next poke */
	int64_t first_poke_us;
	bool is_cancelling; /* a cancel was asked for; the attempt still has to end */
	bool is_clearing;   /* cleared while it ran: begins anew when the attempt has ended */
	char *message;      /* why it failed or was skipped; NULL */
	json_t *result;     /* XCom: what it returned; NULL */
};

struct run {
	struct list link;          /* of its dag, newest first */
	struct dag *dag;           /* the version it began with */
	char id[DAG_NAME_MAX + 1]; /* "scheduled__2026-01-01T00:00:00+00:00", "manual__..." */
	enum run_type type;
	enum run_state state;
	struct timetable_slot slot;
	int64_t queued_us, start_us, end_us;
	json_t *conf;
	bool is_stopping; /* cancelled or timed out: ends as failed once its attempts have ended */
	char *note; /* why it ended as it did, when not by its tasks; slots passed over before it */
	struct ti *tis; /* [dag->task_count] */
};

enum engine_outcome {
	ENGINE_SUCCESS,
	ENGINE_FAILED,
	ENGINE_FAILED_FINAL /* no retry */,
	ENGINE_SKIPPED,
	ENGINE_CANCELLED,
	ENGINE_LOST,
	ENGINE_NOT_YET /* a sensor's poke */
};

enum engine_change_kind { CHANGE_DAG, CHANGE_RUN, CHANGE_TI };

/** Something to make durable. Pointers are valid during the call. */
struct engine_change {
	enum engine_change_kind kind;
	const struct run *run; /* RUN, TI */
	const struct ti *ti;   /* TI */
	const char *dag_id;    /* DAG: paused, last slot */
	bool is_paused;
	const struct timetable_slot *last_slot; /* NULL: none */
};

/** What the engine asks of its owner. None of these may call back into the engine. */
struct engine_ports {
	void (*save)(void *context, const struct engine_change *change);
	/** Start an attempt (ti->attempt, ti->try_number) once the turn is durable; a sensor's attempt is one poke. */
	void (*start)(void *context, const struct ti *ti);
	/** Make an attempt end soon; engine_attempt_ended() must follow whatever happens. */
	void (*cancel)(void *context, const struct ti *ti, const char *why);
	/**
	 * An attempt did not end ENGINE_CANCEL_WAIT_US after its cancel and was given up: fence it with ti->attempt, a
	 * number that no attempt has. Its reports are refused from now on. NULL: not wanted
	 */
	void (*give_up)(void *context, const struct ti *ti, int64_t attempt);
	/** A run ended. */
	void (*run_ended)(void *context, const struct run *run);
};

struct engine_limits {
	uint32_t parallelism;        /* attempts at once, pokes not counted; Airflow: 32 */
	uint32_t default_pool_slots; /* 128 */
};

struct engine;

NODISCARD int engine_new(const struct engine_ports *ports, void *context,
			 const struct engine_limits *limits, struct engine **ret_engine);
void engine_free(struct engine *engine);
DEFINE_CLEANUP(struct engine, engine_free);

/* ---- restoring ---- */

/** @param next_attempt  first number not used yet */
void engine_restore_counter(struct engine *engine, int64_t next_attempt);
/** @param last_slot  NULL: none. The engine takes a reference on dag. */
NODISCARD int engine_restore_dag(struct engine *engine, struct dag *dag, bool is_paused,
				 const struct timetable_slot *last_slot);
/**
 * The run and its task instances as saved; `run` and what it points to are copied. Of instances never saved only
 * `state` (TI_NONE) counts. Later than engine_restored() it brings a finished run back, to clear it.
 *
 * @param dag  version of the run
 * @return 0; -ENOENT no such dag; -EEXIST it is here; -EINVAL too late for a run that has not finished; -ENOMEM
 */
NODISCARD int engine_restore_run(struct engine *engine, const struct run *run, struct dag *dag);
/** Asks again for the cancels that were asked for. Attempts of TI_QUEUED that run: engine_attempt_started(). */
void engine_restored(struct engine *engine, int64_t now_us);

/* ---- what people and the API do ---- */

/** New dag, or a new version of one: unfinished runs keep theirs. @return 0; -ENOMEM */
NODISCARD int engine_apply(struct engine *engine, struct dag *dag, bool is_paused_if_new,
			   int64_t now_us);
/** Ends its runs (cancel) and forgets it when they have ended. @return 0; -ENOENT */
NODISCARD int engine_remove(struct engine *engine, const char *dag_id, int64_t now_us);
NODISCARD int engine_pause(struct engine *engine, const char *dag_id, bool is_paused,
			   int64_t now_us);
/**
 * A manual run.
 *
 * @param run_id      NULL: made from the time
 * @param logical_us  TIMETABLE_NONE: now
 * @param conf        object; borrowed; NULL: {}
 * @return 0; -ENOENT no such dag; -EEXIST the run id or logical date is taken
 */
NODISCARD int engine_trigger(struct engine *engine, const char *dag_id, const char *run_id,
			     int64_t logical_us, json_t *conf, int64_t now_us,
			     const struct run **ret_run);
/**
 * Clear a task (NULL: all failed ones) with all downstream of it, so that they run again; attempts that run are
 * ended first.
 *
 * @return count; -ENOENT; -EBUSY the run is being stopped
 */
NODISCARD int engine_clear(struct engine *engine, const char *dag_id, const char *run_id,
			   const char *task, bool has_downstream, int64_t now_us);
/** Cancel a run: what runs is ended, what waits is failed. @return 0; -ENOENT */
NODISCARD int engine_cancel(struct engine *engine, const char *dag_id, const char *run_id,
			    int64_t now_us);
/** Before engine_restored() those that are saved. Slots in use beyond a smaller number drain. */
void engine_set_pool(struct engine *engine, const char *name, uint32_t slots, int64_t now_us);

/* ---- what the owner reports ---- */

void engine_attempt_started(struct engine *engine, int64_t attempt, int64_t now_us);
/**
 * @param message  for people; NULL: none; borrowed
 * @param result   XCom; borrowed; NULL: none
 * @return 0; ERR_FENCED not the newest attempt of its task instance, or it has ended: nothing changed
 */
NODISCARD int engine_attempt_ended(struct engine *engine, int64_t attempt,
				   enum engine_outcome outcome, const char *message, json_t *result,
				   int64_t now_us);

/**
 * Do all that is due and start what may start; to be called after every other call too.
 *
 * @return when to be called next, INT64_MAX: not needed
 */
int64_t engine_turn(struct engine *engine, int64_t now_us);

/* ---- looking ---- */

struct engine_dag_view {
	struct dag *dag; /* newest version, borrowed */
	bool is_paused;
	bool has_next;
	struct timetable_slot next; /* next scheduled run */
	const struct list *runs;    /* of struct run, newest first */
	uint32_t active_runs;
};

/** @return 0; -ENOENT */
NODISCARD int engine_dag(const struct engine *engine, const char *dag_id,
			 struct engine_dag_view *ret_view);
/** Visit every dag in order of name; index from 0. @return false: no more */
bool engine_dag_at(const struct engine *engine, uint32_t index, struct engine_dag_view *ret_view);
const struct run *engine_run(const struct engine *engine, const char *dag_id, const char *run_id);
/** @return the instance whose newest attempt this is and has not ended; NULL */
const struct ti *engine_ti(const struct engine *engine, int64_t attempt);
/**
 * One sentence: why this task instance does not run (or that it does, or has ended).
 *
 * @param ret  [size > 0]. @return ret
 */
const char *engine_why(const struct engine *engine, const struct ti *ti, int64_t now_us, char *ret,
		       size_t size);
/** Slots of a pool in use. @return false: no such pool */
bool engine_pool(const struct engine *engine, const char *name, uint32_t *ret_slots,
		 uint32_t *ret_used);

const char *run_state_name(enum run_state state);
const char *ti_state_name(enum ti_state state);
bool ti_is_finished(enum ti_state state);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * An engine with an owner that writes down what it was asked: for the tests of engine*.c.
 *
 * Context: tests.
 */
#pragma once

#include "orchestrate/engine.h"

#define S         INT64_C(1000000)
#define T0        (INT64_C(1767225600) * S) /* 2026-01-01 */
#define ASKED_MAX 4096

struct enginebox {
	struct engine *engine;
	int64_t now_us, next_us; /* next_us: what the last turn said */
	int64_t started[ASKED_MAX], cancelled[ASKED_MAX], given_up[ASKED_MAX];
	uint32_t started_count, cancelled_count, given_up_count, ended_count, saved_count;
	enum run_state ended_state; /* of the newest run that ended */
	bool is_paused;             /* as last saved */
	struct timetable_slot last_slot;
};

/** Parallelism 32, default_pool 128. */
struct enginebox *enginebox_new(void);
struct enginebox *enginebox_new_limits(uint32_t parallelism, uint32_t default_pool_slots);
void enginebox_free(struct enginebox *box);

/**
 * A dag from text: tasks by blanks, each NAME[<UPSTREAM,...]; manual, 16 active runs and tasks, no retries.
 * Everything else the test sets in what comes back. Free with dag_unref().
 */
struct dag *enginebox_dag(const char *id, const char *tasks);
/** Slots at points in time. @param schedule  NULL: by hand only */
void enginebox_schedule(struct dag *dag, const char *schedule, int64_t start_us, bool has_catchup);
struct dag_task *enginebox_task(struct dag *dag, const char *name);
/** Apply and give the reference away. */
void enginebox_apply(struct enginebox *box, struct dag *dag);

/** Trigger by hand and do a turn. */
const struct run *enginebox_trigger(struct enginebox *box, const char *dag_id, const char *run_id);
/** Let time pass and do a turn. */
void enginebox_wait(struct enginebox *box, int64_t us);
const struct ti *enginebox_ti(struct enginebox *box, const char *dag_id, const char *run_id,
			      const char *task);
enum ti_state enginebox_state(struct enginebox *box, const char *dag_id, const char *run_id,
			      const char *task);
/** The newest attempt of "d"/"r" has started, or has ended; and a turn. */
void enginebox_started(struct enginebox *box, const char *task);
void enginebox_ended(struct enginebox *box, const char *task, enum engine_outcome outcome);
void enginebox_ended_at(struct enginebox *box, const char *run_id, const char *task,
			enum engine_outcome outcome);
/** engine_why() of "d"/"r"; good until the next call. */
const char *enginebox_why(struct enginebox *box, const char *task);

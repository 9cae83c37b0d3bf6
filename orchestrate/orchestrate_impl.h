/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside the scheduler's guest: what orchestrate*.c and dagapi*.c share.
 *
 * Context: control's loop.
 */
#pragma once

#include "base/hist.h"
#include "base/list.h"

#include "orchestrate/commands.h"
#include "orchestrate/engine.h"
#include "orchestrate/events.h"
#include "orchestrate/orchestrate.h"
#include "orchestrate/store.h"
#include "orchestrate/vault.h"
#include "orchestrate/webcall.h"
#include "orchestrate/workerclient.h"

#define ORCHESTRATE_PATH_SIZE 1280

enum action_kind { ACTION_START, ACTION_CANCEL, ACTION_FENCE, ACTION_FORGET, ACTION_REPLY };

/** Something to do once a turn is durable. */
struct action {
	struct list link;
	enum action_kind kind;
	uint64_t turn; /* 0: not sealed yet */
	int64_t attempt;
	enum task_kind task_kind;         /* FORGET */
	struct http_call *call;           /* REPLY */
	json_t *reply;                    /* REPLY */
	char text[ORCHESTRATE_PATH_SIZE]; /* CANCEL: why; FENCE: path */
};

struct orchestrate {
	struct orchestrate_config config;
	char folder[CONFIG_TEXT_MAX + 16]; /* <data>/orchestrate */
	char error[600];                   /* why there are no pipelines; "": there are */
	struct events *events;
	struct store *store;
	struct vault *vault;
	struct engine *engine;
	struct commands *commands;
	struct workerclient *worker;
	struct webcalls *webcalls;
	struct event_source stored, clock;
	int64_t clock_us; /* what the timer is set to; 0: nothing */
	struct list actions;
	struct list waiters; /* of dagapi: calls that wait for something to happen */
	json_t *removed;     /* object: dags deleted that the engine still ends */
	struct hist due_to_start;
	int64_t now_ns, now_us; /* of this turn */
	int64_t sweep_ns;       /* when old runs are looked for */
	int64_t last_query;     /* number of the newest ad-hoc query, below 0 */
	bool was_failing;       /* the store's error is on the log */
	bool needs_turn; /* something was carried out: its parts go on in a turn of their own */
};

/* ---- orchestrate.c ---- */

/** Do something once the present turn is durable. @return the action, its texts unset */
struct action *orchestrate_later(struct orchestrate *o, enum action_kind kind, int64_t attempt);
/** An attempt ended. @param message, result  borrowed */
void orchestrate_ended(void *context, int64_t attempt, enum engine_outcome outcome,
		       const char *message, json_t *result);
/** Parse a version of a pipeline that the store has. @return 0; -ENOENT; ERR_CONFIG; -errno */
NODISCARD int orchestrate_load_dag(struct orchestrate *o, const char *dag_id, const char *version,
				   struct dag **ret_dag);
/** Bring a finished run back that only the store has. @return 0; -ENOENT; -errno */
NODISCARD int orchestrate_load_run(struct orchestrate *o, const char *dag_id, const char *run_id);

/* ---- orchestrate_restore.c ---- */

/** Open the store and restore the engine from it; o->error tells what is wrong. */
int orchestrate_restore(struct orchestrate *o);
/** Forget old runs and their logs. */
void orchestrate_sweep(struct orchestrate *o);

/* ---- orchestrate_start.c ---- */

void orchestrate_start(struct orchestrate *o, int64_t attempt);
void orchestrate_cancel(struct orchestrate *o, int64_t attempt);
/** An HTTP call was answered. */
void orchestrate_called(void *context, int64_t attempt, const struct webcall_answer *answer);
/** Whoever ran it may forget it. */
void orchestrate_forget(struct orchestrate *o, int64_t attempt, enum task_kind kind);
/** @param try_number  0: the folder of the task instance. @param ret  [ORCHESTRATE_PATH_SIZE] */
void orchestrate_log_path(const struct orchestrate *o, const char *dag_id, const char *run_id,
			  const char *task, uint32_t try_number, char *ret);

/* ---- dagapi.c ---- */

/** Answer what can be answered by now. @return when to call again at the latest */
int64_t dagapi_run(struct orchestrate *o);
/** An ad-hoc query ended. @param message  NULL: none */
void dagapi_query_ended(struct orchestrate *o, int64_t attempt, enum engine_outcome outcome,
			const char *message, json_t *result);
void dagapi_close(struct orchestrate *o);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A pipeline as the engine sees it: tasks, their order, rules and limits. Made by manifest.c from a
 * folder, immutable afterwards, counted by reference (runs keep the version they began with).
 *
 * Context: control's loop. Memory: heap. Limits: DAG_TASKS_MAX tasks.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/timetable.h"

#define DAG_NAME_MAX  250
#define DAG_TASKS_MAX 1000

enum task_kind { TASK_SQL, TASK_COMMAND, TASK_HTTP, TASK_CHECK, TASK_SENSOR, TASK_NOTIFY };

enum trigger_rule {
	RULE_ALL_SUCCESS,
	RULE_ALL_DONE,
	RULE_ONE_FAILED,
	RULE_NONE_FAILED_MIN_ONE_SUCCESS,
};

struct dag_task {
	char name[DAG_NAME_MAX + 1];
	enum task_kind kind;
	enum trigger_rule rule;
	uint32_t *upstream; /* [upstream_count] indexes of tasks */
	uint32_t *downstream;
	uint32_t upstream_count, downstream_count;
	uint32_t retries;
	int64_t retry_delay_us;
	double retry_backoff;       /* multiplier; 0 or 1: fixed delay */
	int64_t retry_delay_max_us; /* 0: 24 h */
	int64_t timeout_us;         /* of one attempt (of a sensor: of all pokes); 0: none */
	int64_t poke_us;            /* of a sensor */
	bool is_soft_fail;          /* a sensor that times out is skipped */
	char pool[DAG_NAME_MAX + 1];
	uint32_t pool_slots;
	int32_t priority_weight; /* of the task itself */
	int64_t priority;        /* own and all descendants': what the order goes by */
	/**
	 * What it does, by kind, with file contents put in and templates not yet rendered:
	 * sql: {"sql","reads","writes","mode","key","partition_by","replace_where","merge_schema","limit",
	 *      "memory","threads"}
	 * command: {"command": [argv] or text for /bin/sh -c, "env": {}, "output": "json|text|none"}
	 * http: {"url" or "conn"+"path","method","headers","json","body","expect_status":[..] (absent: 2xx)}
	 * checks: {"checks":[{"name","sql","expect","severity"}]}
	 * sensor: {"topic","records"} or {"file"} or {"time": "RFC 3339 or template"}
	 * notify: {"message","conn" (webhook; optional)}
	 */
	json_t *spec;
	char hash[65]; /* of what it does (name, kind, spec, declared topics), hex */
};

struct dag {
	uint32_t references;
	char id[DAG_NAME_MAX + 1];
	char version[65]; /* hash of the folder's contents, hex */
	char *description;
	char *folder;   /* where it was applied from; set by whoever applies it; NULL: not known */
	json_t *tags;   /* array of text */
	json_t *params; /* object: defaults of conf */
	json_t *topics; /* as in compute/task.h */
	struct timetable *timetable;
	uint32_t max_active_runs, max_active_tasks;
	int64_t run_timeout_us; /* 0: none */
	uint32_t task_count;
	struct dag_task *tasks; /* [task_count] in an order that respects upstream */
};

struct dag *dag_ref(struct dag *dag);
/** NULL is accepted. */
void dag_unref(struct dag *dag);
DEFINE_CLEANUP(struct dag, dag_unref);

/** @return index of a task; -1: none of that name */
int32_t dag_find_task(const struct dag *dag, const char *name);
const char *task_kind_name(enum task_kind kind);
const char *trigger_rule_name(enum trigger_rule rule);

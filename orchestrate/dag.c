/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/dag.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct dag *dag_ref(struct dag *dag)
{
	dag->references++;
	return dag;
}

static void task_close(struct dag_task *task)
{
	free(task->upstream);
	free(task->downstream);
	json_decref(task->spec);
}

void dag_unref(struct dag *dag)
{
	if (dag == NULL)
		return;
	CHECK(dag->references > 0);
	if (--dag->references > 0)
		return;
	for (uint32_t i = 0; i < dag->task_count; i++)
		task_close(&dag->tasks[i]);
	free(dag->tasks);
	free(dag->description);
	free(dag->folder);
	json_decref(dag->tags);
	json_decref(dag->params);
	json_decref(dag->topics);
	timetable_free(dag->timetable);
	free(dag);
}

int32_t dag_find_task(const struct dag *dag, const char *name)
{
	for (uint32_t i = 0; i < dag->task_count; i++) {
		if (strcmp(dag->tasks[i].name, name) == 0)
			return (int32_t)i;
	}
	return -1;
}

const char *task_kind_name(enum task_kind kind)
{
	static const char *const names[] = {
		[TASK_SQL] = "sql",      [TASK_COMMAND] = "command", [TASK_HTTP] = "http",
		[TASK_CHECK] = "checks", [TASK_SENSOR] = "sensor",   [TASK_NOTIFY] = "notify",
	};

	CHECK((size_t)kind < ARRAY_COUNT(names));
	return names[kind];
}

const char *trigger_rule_name(enum trigger_rule rule)
{
	static const char *const names[] = {
		[RULE_ALL_SUCCESS] = "all_success",
		[RULE_ALL_DONE] = "all_done",
		[RULE_ONE_FAILED] = "one_failed",
		[RULE_NONE_FAILED_MIN_ONE_SUCCESS] = "none_failed_min_one_success",
	};

	CHECK((size_t)rule < ARRAY_COUNT(names));
	return names[rule];
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/manifest_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define WORD_BITS 64

static int32_t index_of(const struct yamltree_node *tasks, const char *name)
{
	for (uint32_t i = 0; i < tasks->count; i++) {
		if (strcmp(tasks->key[i]->text, name) == 0)
			return (int32_t)i;
	}
	return -1;
}

static void refuse_unknown(struct manifest_report *report, const struct yamltree_node *tasks,
			   const struct yamltree_node *node)
{
	const char **names = calloc(tasks->count, sizeof(*names));
	char near[300];

	if (names == NULL) {
		report->is_out_of_memory = true;
		return;
	}
	for (uint32_t i = 0; i < tasks->count; i++)
		names[i] = tasks->key[i]->text;
	manifest_value_refuse(
		report, node,
		manifest_value_near(node->text, names, tasks->count, near, sizeof(near)),
		"there is no task `%.100s`", node->text);
	free(names);
}

/** Fill task->upstream by the manifest's indexes. */
static void read_after(struct manifest_report *report, const struct yamltree_node *tasks,
		       uint32_t index, struct dag_task *task)
{
	const struct yamltree_node *after = yamltree_get(tasks->at[index], "after");
	json_t *names = manifest_value_texts(report, after);
	uint32_t count = (uint32_t)json_array_size(names);

	if (count > 0)
		task->upstream = calloc(count, sizeof(*task->upstream));
	if (count > 0 && task->upstream == NULL) {
		report->is_out_of_memory = true;
		count = 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		const char *name = json_string_value(json_array_get(names, i));
		int32_t found = index_of(tasks, name);

		if (found >= 0) {
			task->upstream[task->upstream_count++] = (uint32_t)found;
			continue;
		}
		for (uint32_t k = 0; k < after->count; k++) {
			if (after->at[k]->text != NULL && strcmp(after->at[k]->text, name) == 0)
				refuse_unknown(report, tasks, after->at[k]);
		}
	}
	json_decref(names);
}

/** Kahn's algorithm; among what is ready the manifest's order counts. @return tasks that are in no cycle */
static uint32_t sort(const struct dag *dag, uint32_t *order, bool *is_placed)
{
	uint32_t placed = 0;

	for (bool is_moving = true; is_moving;) {
		is_moving = false;
		for (uint32_t i = 0; i < dag->task_count; i++) {
			const struct dag_task *task = &dag->tasks[i];
			bool is_ready = !is_placed[i];

			for (uint32_t k = 0; is_ready && k < task->upstream_count; k++)
				is_ready = is_placed[task->upstream[k]];
			if (!is_ready)
				continue;
			order[placed++] = i;
			is_placed[i] = true;
			is_moving = true;
		}
	}
	return placed;
}

/** Walk upstream among what could not be placed until a task comes again: that is a cycle. */
static void refuse_cycle(struct manifest_report *report, const struct yamltree_node *tasks,
			 const struct dag *dag, const bool *is_placed)
{
	uint32_t path[DAG_TASKS_MAX + 1], length = 0, at = 0, begin = 0;
	char text[400];
	size_t used = 0;
	bool is_closed = false;

	while (is_placed[at])
		at++;
	while (!is_closed) {
		uint32_t next = 0;

		path[length++] = at;
		while (is_placed[dag->tasks[at].upstream[next]])
			next++;
		at = dag->tasks[at].upstream[next];
		for (begin = 0; begin < length && path[begin] != at; begin++)
			;
		is_closed = begin < length;
	}
	path[length++] = at;
	for (uint32_t i = length; i > begin && used < sizeof(text); i--)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
					 i < length ? " > " : "", dag->tasks[path[i - 1]].name);
	manifest_value_refuse(report, tasks->key[at], "remove one of these from `after`",
			      "tasks wait for each other: %s", text);
}

/** Move tasks into `order` and their upstream to the new indexes. */
static bool reorder(struct dag *dag, const uint32_t *order)
{
	struct dag_task *tasks = calloc(dag->task_count, sizeof(*tasks));
	uint32_t *place = calloc(dag->task_count, sizeof(*place));
	bool has_memory = tasks != NULL && place != NULL;

	for (uint32_t i = 0; has_memory && i < dag->task_count; i++) {
		tasks[i] = dag->tasks[order[i]];
		place[order[i]] = i;
	}
	for (uint32_t i = 0; has_memory && i < dag->task_count; i++) {
		for (uint32_t k = 0; k < tasks[i].upstream_count; k++)
			tasks[i].upstream[k] = place[tasks[i].upstream[k]];
	}
	if (has_memory) {
		free(dag->tasks);
		dag->tasks = tasks;
	} else {
		free(tasks);
	}
	free(place);
	return has_memory;
}

static bool link_downstream(struct dag *dag)
{
	for (uint32_t i = 0; i < dag->task_count; i++) {
		for (uint32_t k = 0; k < dag->tasks[i].upstream_count; k++)
			dag->tasks[dag->tasks[i].upstream[k]].downstream_count++;
	}
	for (uint32_t i = 0; i < dag->task_count; i++) {
		struct dag_task *task = &dag->tasks[i];

		if (task->downstream_count == 0)
			continue;
		task->downstream = calloc(task->downstream_count, sizeof(*task->downstream));
		if (task->downstream == NULL)
			return false;
		task->downstream_count = 0;
	}
	for (uint32_t i = 0; i < dag->task_count; i++) {
		for (uint32_t k = 0; k < dag->tasks[i].upstream_count; k++) {
			struct dag_task *up = &dag->tasks[dag->tasks[i].upstream[k]];

			up->downstream[up->downstream_count++] = i;
		}
	}
	return true;
}

/** Own weight and that of every descendant, each once: Airflow's weight rule `downstream`. */
static bool sum_priorities(struct dag *dag)
{
	size_t words = (dag->task_count + WORD_BITS - 1) / WORD_BITS;
	uint64_t *below = calloc(words * dag->task_count, sizeof(*below));

	if (below == NULL)
		return false;
	for (uint32_t i = dag->task_count; i-- > 0;) {
		struct dag_task *task = &dag->tasks[i];
		uint64_t *set = below + i * words;

		set[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
		for (uint32_t k = 0; k < task->downstream_count; k++) {
			for (size_t w = 0; w < words; w++)
				set[w] |= below[task->downstream[k] * words + w];
		}
		task->priority = 0;
		for (uint32_t k = i; k < dag->task_count; k++) {
			if ((set[k / WORD_BITS] >> (k % WORD_BITS) & 1) != 0)
				task->priority += dag->tasks[k].priority_weight;
		}
	}
	free(below);
	return true;
}

void manifest_graph_link(struct manifest_report *report, const struct yamltree_node *tasks,
			 struct dag *dag)
{
	uint32_t *order = calloc(dag->task_count, sizeof(*order));
	bool *is_placed = calloc(dag->task_count, sizeof(*is_placed));

	CHECK(tasks->count == dag->task_count && dag->task_count > 0);
	for (uint32_t i = 0; i < dag->task_count; i++)
		read_after(report, tasks, i, &dag->tasks[i]);
	if (order == NULL || is_placed == NULL)
		report->is_out_of_memory = true;
	else if (sort(dag, order, is_placed) < dag->task_count)
		refuse_cycle(report, tasks, dag, is_placed);
	else if (!reorder(dag, order) || !link_downstream(dag) || !sum_priorities(dag))
		report->is_out_of_memory = true;
	free(order);
	free(is_placed);
}

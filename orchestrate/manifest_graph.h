/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The order of a manifest's tasks: `after` resolved, cycles refused by name, priorities summed.
 *
 * Context: any thread. Memory: heap. Limits: DAG_TASKS_MAX tasks.
 */
#pragma once

#include "orchestrate/dag.h"
#include "orchestrate/manifest_value.h"

/**
 * Link dag->tasks, which are in the order of the manifest, and put them into one that respects upstream.
 *
 * @param tasks  the map `tasks`, as many as the dag has
 */
void manifest_graph_link(struct manifest_report *report, const struct yamltree_node *tasks,
			 struct dag *dag);

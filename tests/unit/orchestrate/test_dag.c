/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a dag lives as long as one reference, tasks are found by name, and every kind and rule has its
   name. Shown by hand; the sanitizers see what is not freed. */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrate/dag.h"

#include "cm.h"

static struct dag *make(void)
{
	struct dag *dag = calloc(1, sizeof(*dag));

	assert_non_null(dag);
	dag->references = 1;
	dag->task_count = 2;
	dag->tasks = calloc(2, sizeof(*dag->tasks));
	assert_non_null(dag->tasks);
	for (uint32_t i = 0; i < 2; i++) {
		(void)snprintf(dag->tasks[i].name, sizeof(dag->tasks[i].name), "task%u", i);
		dag->tasks[i].spec = json_object();
		dag->tasks[i].upstream = calloc(1, sizeof(uint32_t));
	}
	dag->tags = json_array();
	return dag;
}

static void test_dag_is_freed_with_its_last_reference(void **state)
{
	struct dag *dag = make(), *other = dag_ref(dag);

	(void)state;
	dag_unref(dag);
	assert_int_equal(other->references, 1);
	assert_int_equal(dag_find_task(other, "task1"), 1);
	dag_unref(other);
	dag_unref(NULL);
}

static void test_dag_finds_tasks_by_name(void **state)
{
	struct dag *dag = make();

	(void)state;
	assert_int_equal(dag_find_task(dag, "task0"), 0);
	assert_int_equal(dag_find_task(dag, "task"), -1);
	assert_int_equal(dag_find_task(dag, "task2"), -1);
	dag_unref(dag);
}

static void test_dag_names_are_airflows(void **state)
{
	(void)state;
	assert_string_equal(trigger_rule_name(RULE_ALL_SUCCESS), "all_success");
	assert_string_equal(trigger_rule_name(RULE_ALL_DONE), "all_done");
	assert_string_equal(trigger_rule_name(RULE_ONE_FAILED), "one_failed");
	assert_string_equal(trigger_rule_name(RULE_NONE_FAILED_MIN_ONE_SUCCESS),
			    "none_failed_min_one_success");
	assert_string_equal(task_kind_name(TASK_SQL), "sql");
	assert_string_equal(task_kind_name(TASK_CHECK), "checks");
	assert_string_equal(task_kind_name(TASK_NOTIFY), "notify");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dag_is_freed_with_its_last_reference),
		cmocka_unit_test(test_dag_finds_tasks_by_name),
		cmocka_unit_test(test_dag_names_are_airflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

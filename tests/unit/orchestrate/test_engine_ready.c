/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: what may start starts in the order (-priority, logical date, task index), within pools, parallelism and
 * max_active_tasks; nothing that cannot start holds back what can, but a wide task is not starved.
 *
 * Shown by an engine with an owner that writes down what it is asked (enginebox.h).
 */
#include <stdio.h>

#include "cm.h"
#include "enginebox.h"

static void starts_in_order_of_priority_date_and_index(void **state)
{
	struct enginebox *box = enginebox_new_limits(1, 128);
	struct dag *dag = enginebox_dag("d", "a b c");
	static const char *const order[][2] = { { "r", "c" }, { "r2", "c" }, { "r", "a" },
						{ "r", "b" }, { "r2", "a" }, { "r2", "b" } };

	(void)state;
	engine_restored(box->engine, box->now_us);
	enginebox_task(dag, "c")->priority = 9;
	enginebox_apply(box, dag);
	assert_int_equal(engine_pause(box->engine, "d", true, box->now_us), 0);
	enginebox_trigger(box, "d", "r");
	enginebox_trigger(box, "d", "r2");
	assert_int_equal(engine_pause(box->engine, "d", false, box->now_us), 0);
	enginebox_wait(box, 0);
	for (uint32_t i = 0; i < ARRAY_COUNT(order); i++) {
		assert_int_equal(box->started_count, i + 1);
		assert_int_equal(enginebox_state(box, "d", order[i][0], order[i][1]), TI_QUEUED);
		enginebox_ended_at(box, order[i][0], order[i][1], ENGINE_SUCCESS);
	}
	enginebox_free(box);
}

static void slots_of_a_pool_are_held_from_queued_to_the_end(void **state)
{
	struct enginebox *box = enginebox_new();
	struct dag *dag = enginebox_dag("d", "a b c");
	uint32_t slots, used;

	(void)state;
	for (int i = 0; i < 3; i++) {
		snprintf(dag->tasks[i].pool, sizeof(dag->tasks[i].pool), "db");
		dag->tasks[i].pool_slots = 2;
	}
	assert_false(engine_pool(box->engine, "db", &slots, &used));
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	assert_int_equal(box->started_count, 0); /* the pool is not there yet */
	engine_set_pool(box->engine, "db", 5, box->now_us);
	enginebox_wait(box, 0);
	assert_int_equal(box->started_count, 2);
	assert_true(engine_pool(box->engine, "db", &slots, &used));
	assert_int_equal(slots, 5);
	assert_int_equal(used, 4);
	enginebox_ended(box, "a", ENGINE_FAILED);
	assert_int_equal(box->started_count, 3);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	enginebox_ended(box, "c", ENGINE_SUCCESS);
	assert_true(engine_pool(box->engine, "db", &slots, &used));
	assert_int_equal(used, 0);
	enginebox_free(box);
}

static void a_full_pool_holds_back_only_its_own(void **state)
{
	struct enginebox *box = enginebox_new();
	struct dag *dag = enginebox_dag("d", "a b c");

	(void)state;
	engine_set_pool(box->engine, "db", 1, box->now_us);
	for (int i = 0; i < 2; i++) {
		snprintf(dag->tasks[i].pool, sizeof(dag->tasks[i].pool), "db");
		dag->tasks[i].priority = 9;
	}
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_SCHEDULED);
	assert_int_equal(enginebox_state(box, "d", "r", "c"), TI_QUEUED);
	enginebox_free(box);
}

static void a_wide_task_is_not_starved_by_narrow_ones(void **state)
{
	struct enginebox *box = enginebox_new_limits(32, 2);
	struct dag *dag = enginebox_dag("d", "a b wide c");

	(void)state;
	engine_restored(box->engine, box->now_us);
	enginebox_task(dag, "wide")->pool_slots = 2;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	assert_int_equal(box->started_count, 2);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "c"), TI_SCHEDULED); /* it comes after */
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "wide"), TI_QUEUED);
	enginebox_free(box);
}

static void a_task_wider_than_its_pool_takes_all_of_it(void **state)
{
	struct enginebox *box = enginebox_new_limits(32, 2);
	struct dag *dag = enginebox_dag("d", "wide b");

	(void)state;
	engine_restored(box->engine, box->now_us);
	dag->tasks[0].pool_slots = 99;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	assert_int_equal(enginebox_state(box, "d", "r", "wide"), TI_QUEUED);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_SCHEDULED);
	enginebox_ended(box, "wide", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_QUEUED);
	enginebox_free(box);
}

static void a_run_at_its_limit_leaves_room_for_others(void **state)
{
	struct enginebox *box = enginebox_new();
	struct dag *dag = enginebox_dag("d", "a b c");

	(void)state;
	dag->max_active_tasks = 2;
	dag->tasks[0].priority = dag->tasks[1].priority = dag->tasks[2].priority = 9;
	enginebox_apply(box, dag);
	enginebox_apply(box, enginebox_dag("e", "x"));
	enginebox_trigger(box, "d", "r");
	assert_int_equal(box->started_count, 2);
	enginebox_trigger(box, "e", "r");
	assert_int_equal(box->started_count, 3);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "c"), TI_QUEUED);
	enginebox_free(box);
}

static void sensors_need_no_slot(void **state)
{
	struct enginebox *box = enginebox_new_limits(1, 1);
	struct dag *dag = enginebox_dag("d", "a s1 s2");

	(void)state;
	engine_restored(box->engine, box->now_us);
	dag->max_active_tasks = 1;
	enginebox_task(dag, "s1")->kind = enginebox_task(dag, "s2")->kind = TASK_SENSOR;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	assert_int_equal(box->started_count, 3);
	enginebox_free(box);
}

static void a_pool_that_shrinks_drains(void **state)
{
	struct enginebox *box = enginebox_new();

	(void)state;
	enginebox_apply(box, enginebox_dag("d", "a b c"));
	engine_set_pool(box->engine, "default_pool", 2, box->now_us);
	enginebox_trigger(box, "d", "r");
	engine_set_pool(box->engine, "default_pool", 1, box->now_us);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(box->started_count, 2);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	assert_int_equal(box->started_count, 3);
	enginebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_in_order_of_priority_date_and_index),
		cmocka_unit_test(slots_of_a_pool_are_held_from_queued_to_the_end),
		cmocka_unit_test(a_full_pool_holds_back_only_its_own),
		cmocka_unit_test(a_wide_task_is_not_starved_by_narrow_ones),
		cmocka_unit_test(a_task_wider_than_its_pool_takes_all_of_it),
		cmocka_unit_test(a_run_at_its_limit_leaves_room_for_others),
		cmocka_unit_test(sensors_need_no_slot),
		cmocka_unit_test(a_pool_that_shrinks_drains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: each slot gets one run and none is dropped silently; runs beyond max_active_runs wait, oldest first;
 * a run ends as its leaves say, or by its timeout; finished runs leave memory.
 *
 * Shown by an engine with an owner that writes down what it is asked (enginebox.h).
 */
#include <string.h>

#include "base/err.h"

#include "orchestrate/engine_impl.h"

#include "cm.h"
#include "enginebox.h"

static int setup(void **state)
{
	*state = enginebox_new();
	return 0;
}

static int teardown(void **state)
{
	enginebox_free(*state);
	return 0;
}

static struct engine_dag_view look(struct enginebox *box)
{
	struct engine_dag_view view;

	assert_int_equal(engine_dag(box->engine, "d", &view), 0);
	return view;
}

static uint32_t count_runs(struct enginebox *box)
{
	uint32_t count = 0;

	LIST_EACH(look(box).runs, node)
	count++;
	return count;
}

static void runs_come_by_the_clock(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	enginebox_schedule(dag, "* * * * *", T0 + 60 * S, false);
	enginebox_apply(box, dag);
	assert_true(look(box).has_next);
	assert_int_equal(look(box).next.logical_us, T0 + 60 * S);
	assert_int_equal(box->next_us, T0 + 60 * S);
	enginebox_wait(box, 60 * S);
	assert_int_equal(box->started_count, 1);
	assert_int_equal(box->last_slot.logical_us, T0 + 60 * S);
	enginebox_ended_at(box, "scheduled__2026-01-01T00:01:00+00:00", "a", ENGINE_SUCCESS);
	enginebox_wait(box, 60 * S);
	assert_int_equal(box->started_count, 2);
	assert_int_equal(box->next_us, T0 + 180 * S);
}

static void due_runs_wait_their_turn_oldest_first(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->max_active_runs = 1;
	enginebox_schedule(dag, "* * * * *", T0, false);
	enginebox_apply(box, dag);
	for (int i = 0; i < 3; i++)
		enginebox_wait(box, 60 * S);
	assert_int_equal(count_runs(box), 4);
	assert_int_equal(look(box).active_runs, 1);
	enginebox_ended_at(box, "scheduled__2026-01-01T00:00:00+00:00", "a", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "scheduled__2026-01-01T00:01:00+00:00", "a"),
			 TI_QUEUED);
	assert_int_equal(look(box).active_runs, 1);
}

static void catchup_makes_up_for_every_slot_without_filling_memory(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->max_active_runs = 1;
	enginebox_schedule(dag, "* * * * *", T0 - 3600 * 4 * S, true);
	enginebox_apply(box, dag);
	assert_int_equal(count_runs(box), ENGINE_QUEUED_MAX + 1);
	for (int i = 0; i <= 240; i++)
		assert_int_equal(engine_attempt_ended(box->engine,
						      box->started[box->started_count - 1],
						      ENGINE_SUCCESS, NULL, NULL, box->now_us),
				 0),
			enginebox_wait(box, 0);
	assert_int_equal(box->ended_count, 241);
	assert_int_equal(box->last_slot.logical_us, T0);
	enginebox_wait(box, 0);
	assert_int_equal(count_runs(box), ENGINE_RUNS_KEPT);
}

static void slots_passed_over_are_told(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");
	const struct run *run;

	dag->max_active_runs = 1;
	enginebox_schedule(dag, "* * * * *", T0, false);
	enginebox_apply(box, dag);
	for (int i = 0; i < ENGINE_QUEUED_MAX + 5; i++)
		enginebox_wait(box, 60 * S);
	assert_int_equal(count_runs(box), ENGINE_QUEUED_MAX + 1);
	enginebox_ended_at(box, "scheduled__2026-01-01T00:00:00+00:00", "a", ENGINE_SUCCESS);
	assert_int_equal(count_runs(box), ENGINE_QUEUED_MAX + 2);
	run = engine_run(box->engine, "d", "scheduled__2026-01-01T01:45:00+00:00");
	assert_non_null(run);
	assert_string_equal(run->note,
			    "slots from 2026-01-01T01:41:00+00:00 up to this one were passed "
			    "over: 100 runs were waiting already");
}

static void a_slot_that_was_run_by_hand_gets_no_second_run(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");
	const struct run *run;

	enginebox_schedule(dag, "* * * * *", T0 + 60 * S, true);
	enginebox_apply(box, dag);
	assert_int_equal(
		engine_trigger(box->engine, "d", "mine", T0 + 60 * S, NULL, box->now_us, &run), 0);
	enginebox_wait(box, 120 * S);
	assert_int_equal(box->started_count, 2);
	assert_null(engine_run(box->engine, "d", "scheduled__2026-01-01T00:01:00+00:00"));
	assert_non_null(engine_run(box->engine, "d", "scheduled__2026-01-01T00:02:00+00:00"));
}

static void a_run_fails_when_a_leaf_failed(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a tidy<a");

	enginebox_task(dag, "tidy")->rule = RULE_ALL_DONE;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	enginebox_ended(box, "a", ENGINE_FAILED);
	enginebox_ended(box, "tidy", ENGINE_SUCCESS);
	assert_int_equal(box->ended_state, RUN_FAILED);
	enginebox_trigger(box, "d", "r2");
	enginebox_ended_at(box, "r2", "a", ENGINE_SUCCESS);
	enginebox_ended_at(box, "r2", "b", ENGINE_SKIPPED);
	enginebox_ended_at(box, "r2", "tidy", ENGINE_SUCCESS);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
}

static void a_run_without_tasks_ends_at_once(void **state)
{
	struct enginebox *box = *state;

	enginebox_apply(box, enginebox_dag("d", ""));
	assert_int_equal(enginebox_trigger(box, "d", "r")->state, RUN_SUCCESS);
	assert_int_equal(box->ended_count, 1);
}

static void a_run_over_its_timeout_fails(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a");
	const struct run *run;

	dag->run_timeout_us = 30 * S;
	enginebox_apply(box, dag);
	run = enginebox_trigger(box, "d", "r");
	enginebox_started(box, "a");
	enginebox_wait(box, 30 * S);
	assert_int_equal(box->cancelled_count, 1);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_SKIPPED);
	enginebox_ended(box, "a", ENGINE_CANCELLED);
	assert_int_equal(run->state, RUN_FAILED);
	assert_string_equal(run->note, "the run timed out after 30 s");
	assert_int_equal(box->next_us, INT64_MAX);
}

static void instants_are_written_as_airflow_does(void **state)
{
	char text[ENGINE_TIME_SIZE];

	(void)state;
	assert_string_equal(engine_runs_time(T0, text), "2026-01-01T00:00:00+00:00");
	assert_string_equal(engine_runs_time(T0 + 1500000, text),
			    "2026-01-01T00:00:01.500000+00:00");
	assert_string_equal(engine_runs_time(-1, text), "1969-12-31T23:59:59.999999+00:00");
	assert_string_equal(engine_runs_time(INT64_MAX, text), "9223372036854775807");
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(runs_come_by_the_clock),
		BOX_TEST(due_runs_wait_their_turn_oldest_first),
		BOX_TEST(catchup_makes_up_for_every_slot_without_filling_memory),
		BOX_TEST(slots_passed_over_are_told),
		BOX_TEST(a_slot_that_was_run_by_hand_gets_no_second_run),
		BOX_TEST(a_run_fails_when_a_leaf_failed),
		BOX_TEST(a_run_without_tasks_ends_at_once),
		BOX_TEST(a_run_over_its_timeout_fails),
		cmocka_unit_test(instants_are_written_as_airflow_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: an attempt's end moves its task instance as Airflow would: retries with back-off and jitter that can be
 * computed again, timeouts, sensors between pokes, soft_fail, skips and failures that travel, lost attempts that
 * cost no retry.
 *
 * Shown by an engine with an owner that writes down what it is asked (enginebox.h).
 */
#include <stdio.h>
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

/** One run "r" of a dag "d" with these tasks; the first is changed by the test before. */
static const struct run *begin(struct enginebox *box, struct dag *dag)
{
	enginebox_apply(box, dag);
	return enginebox_trigger(box, "d", "r");
}

static void a_failed_task_is_tried_again_after_its_delay(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a");
	const struct ti *a;

	dag->tasks[0].retries = 2;
	dag->tasks[0].retry_delay_us = 5 * S;
	begin(box, dag);
	a = enginebox_ti(box, "d", "r", "a");
	enginebox_ended(box, "a", ENGINE_FAILED);
	assert_int_equal(a->state, TI_UP_FOR_RETRY);
	assert_int_equal(a->next_us, box->now_us + 5 * S);
	assert_int_equal(box->next_us, a->next_us);
	enginebox_wait(box, 5 * S - 1);
	assert_int_equal(box->started_count, 1);
	enginebox_wait(box, 1);
	assert_int_equal(a->try_number, 2);
	enginebox_ended(box, "a", ENGINE_CANCELLED); /* nobody asked for it: a failure */
	enginebox_wait(box, 5 * S);
	enginebox_ended(box, "a", ENGINE_FAILED);
	assert_int_equal(a->state, TI_FAILED);
	assert_string_equal(a->message, "it said so");
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_UPSTREAM_FAILED);
	assert_int_equal(box->ended_state, RUN_FAILED);
}

static void a_final_failure_is_not_tried_again(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->tasks[0].retries = 5;
	begin(box, dag);
	enginebox_ended(box, "a", ENGINE_FAILED_FINAL);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_FAILED);
}

static void back_off_grows_with_a_jitter_that_is_always_the_same(void **state)
{
	struct dag *dag = enginebox_dag("d", "a");
	struct run run = { .dag = dag, .id = "r" };
	struct ti ti = { .run = &run };
	int64_t base_us = 5 * S, delay_us;

	(void)state;
	dag->tasks[0].retry_delay_us = 5 * S;
	assert_int_equal(engine_tasks_retry_delay_us(&ti), 5 * S); /* without: fixed */
	dag->tasks[0].retry_backoff = 2;
	for (ti.try_number = 1; ti.try_number < 10; ti.try_number++, base_us *= 2) {
		delay_us = engine_tasks_retry_delay_us(&ti);
		assert_in_range(delay_us, base_us, 2 * base_us - 1);
		assert_int_equal(delay_us, engine_tasks_retry_delay_us(&ti));
	}
	memcpy(run.id, "q", 2);
	assert_int_not_equal(delay_us, engine_tasks_retry_delay_us(&ti));
	ti.try_number = 4000000000;
	assert_int_equal(engine_tasks_retry_delay_us(&ti), 86400 * S);
	dag->tasks[0].retry_delay_max_us = 7 * S;
	assert_int_equal(engine_tasks_retry_delay_us(&ti), 7 * S);
	dag->tasks[0].retry_delay_us = 0;
	ti.try_number = 1;
	assert_in_range(engine_tasks_retry_delay_us(&ti), S, 2 * S - 1); /* at least a second */
	dag_unref(dag);
}

static void a_task_over_its_timeout_is_ended_and_fails(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");
	const struct ti *a;

	dag->tasks[0].timeout_us = 10 * S;
	dag->tasks[0].retries = 1;
	begin(box, dag);
	a = enginebox_ti(box, "d", "r", "a");
	enginebox_wait(box, 60 * S); /* it counts from the start of the attempt */
	enginebox_started(box, "a");
	enginebox_wait(box, 10 * S);
	assert_int_equal(box->cancelled_count, 1);
	assert_true(a->is_cancelling);
	enginebox_ended(box, "a", ENGINE_CANCELLED);
	assert_int_equal(a->try_number, 2);
	enginebox_started(box, "a");
	enginebox_wait(box, 10 * S);
	enginebox_ended(box, "a", ENGINE_FAILED);
	assert_int_equal(a->state, TI_FAILED);
	assert_string_equal(a->message, "timed out after 10 s");
}

static void success_that_crosses_a_timeout_counts(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->tasks[0].timeout_us = 10 * S;
	begin(box, dag);
	enginebox_started(box, "a");
	enginebox_wait(box, 10 * S);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
	assert_null(enginebox_ti(box, "d", "r", "a")->message);
}

static void a_given_up_attempt_is_not_tried_again(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->tasks[0].timeout_us = 10 * S;
	dag->tasks[0].retries = 3;
	begin(box, dag);
	enginebox_started(box, "a");
	enginebox_wait(box, 10 * S);
	enginebox_wait(box, ENGINE_CANCEL_WAIT_US);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_FAILED);
	assert_int_equal(box->given_up_count, 1);
	assert_string_equal(
		enginebox_ti(box, "d", "r", "a")->message,
		"timed out after 10 s; the attempt did not end within 30 s and was given up");
	assert_int_equal(engine_attempt_ended(box->engine, box->started[0], ENGINE_SUCCESS, NULL,
					      NULL, box->now_us),
			 ERR_FENCED);
}

static void a_sensor_pokes_and_holds_no_slot_between(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a");
	const struct ti *a;
	uint32_t slots, used;

	dag->tasks[0].kind = TASK_SENSOR;
	dag->tasks[0].poke_us = 2 * S;
	begin(box, dag);
	a = enginebox_ti(box, "d", "r", "a");
	for (int i = 0; i < 3; i++) {
		enginebox_started(box, "a");
		assert_true(engine_pool(box->engine, "default_pool", &slots, &used));
		assert_int_equal(used, 0);
		enginebox_ended(box, "a", ENGINE_NOT_YET);
		assert_int_equal(a->state, TI_UP_FOR_RESCHEDULE);
		assert_int_equal(a->next_us, box->now_us + 2 * S);
		enginebox_wait(box, 2 * S);
		assert_int_equal(a->try_number, 1);
		assert_int_equal(a->attempt, i + 2);
	}
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_QUEUED);
}

static void a_sensors_timeout_counts_over_all_pokes_and_tries(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a");

	dag->tasks[0].kind = TASK_SENSOR;
	dag->tasks[0].poke_us = 4 * S;
	dag->tasks[0].timeout_us = 10 * S;
	dag->tasks[0].retries = 9;
	begin(box, dag);
	enginebox_started(box, "a");
	enginebox_ended(box, "a", ENGINE_NOT_YET);
	enginebox_wait(box, 4 * S);
	enginebox_started(box, "a");
	enginebox_ended(box, "a", ENGINE_FAILED); /* the second try */
	enginebox_wait(box, 0);
	enginebox_started(box, "a");
	enginebox_ended(box, "a", ENGINE_NOT_YET);
	enginebox_wait(box, 4 * S);
	enginebox_started(box, "a");
	enginebox_ended(box, "a", ENGINE_NOT_YET);
	enginebox_wait(box, 2 * S);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_FAILED);
	assert_string_equal(enginebox_ti(box, "d", "r", "a")->message, "timed out after 10 s");
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_UPSTREAM_FAILED);
}

static void a_soft_sensor_that_times_out_is_skipped(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a");

	dag->tasks[0].kind = TASK_SENSOR;
	dag->tasks[0].timeout_us = dag->tasks[0].poke_us = 2 * S;
	dag->tasks[0].is_soft_fail = true;
	begin(box, dag);
	enginebox_started(box, "a");
	enginebox_ended(box, "a", ENGINE_NOT_YET);
	enginebox_wait(box, 2 * S);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_SKIPPED);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_SKIPPED);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
}

static void a_poke_that_hangs_is_ended(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->tasks[0].kind = TASK_SENSOR;
	dag->tasks[0].poke_us = S;
	dag->tasks[0].timeout_us = 5 * S;
	begin(box, dag);
	enginebox_started(box, "a");
	enginebox_wait(box, 5 * S);
	assert_int_equal(box->cancelled_count, 1);
	enginebox_ended(box, "a", ENGINE_CANCELLED);
	assert_int_equal(box->ended_state, RUN_FAILED);
}

static void lost_attempts_cost_no_retry_up_to_a_bound(void **state)
{
	struct enginebox *box = *state;
	const struct ti *a;

	begin(box, enginebox_dag("d", "a"));
	a = enginebox_ti(box, "d", "r", "a");
	for (uint32_t i = 0; i < ENGINE_LOST_MAX; i++) {
		enginebox_ended(box, "a", ENGINE_LOST);
		assert_int_equal(a->state, TI_QUEUED);
		assert_int_equal(a->lost, i + 1);
	}
	assert_int_equal(box->started_count, 1 + ENGINE_LOST_MAX);
	enginebox_ended(box, "a", ENGINE_LOST);
	assert_int_equal(a->state, TI_FAILED);
}

static void a_skip_travels_as_the_rules_say(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a c<b x<a z y<a,z");

	enginebox_task(dag, "x")->rule = RULE_ALL_DONE;
	enginebox_task(dag, "y")->rule = RULE_NONE_FAILED_MIN_ONE_SUCCESS;
	begin(box, dag);
	enginebox_ended(box, "a", ENGINE_SKIPPED);
	assert_int_equal(enginebox_state(box, "d", "r", "c"), TI_SKIPPED);
	assert_int_equal(enginebox_state(box, "d", "r", "x"), TI_QUEUED);
	assert_int_equal(enginebox_state(box, "d", "r", "y"), TI_NONE);
	enginebox_ended(box, "z", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "y"), TI_QUEUED);
}

static void one_failed_runs_before_the_others_are_done(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b alarm<a,b");

	enginebox_task(dag, "alarm")->rule = RULE_ONE_FAILED;
	begin(box, dag);
	enginebox_ended(box, "a", ENGINE_FAILED);
	assert_int_equal(enginebox_state(box, "d", "r", "alarm"), TI_QUEUED);
	enginebox_ended(box, "alarm", ENGINE_SUCCESS);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	assert_int_equal(box->ended_state, RUN_SUCCESS); /* as Airflow: the leaves decide */
}

static void a_result_is_kept_until_the_next_try(void **state)
{
	struct enginebox *box = *state;
	json_t *result = json_pack("{s:i}", "rows", 7);

	begin(box, enginebox_dag("d", "a"));
	assert_int_equal(engine_attempt_ended(box->engine, box->started[0], ENGINE_SUCCESS, NULL,
					      result, box->now_us),
			 0);
	json_decref(result);
	assert_int_equal(json_integer_value(
				 json_object_get(enginebox_ti(box, "d", "r", "a")->result, "rows")),
			 7);
	assert_int_equal(engine_clear(box->engine, "d", "r", "a", false, box->now_us), 1);
	assert_null(enginebox_ti(box, "d", "r", "a")->result);
}

static void a_long_chain_of_skips_needs_no_deep_stack(void **state)
{
	struct enginebox *box = *state;
	static char text[20 * DAG_TASKS_MAX];
	size_t used = 0;

	for (int i = 0; i < DAG_TASKS_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 i == 0 ? "t%d " : "t%d<t%d ", i, i - 1);
	begin(box, enginebox_dag("d", text));
	enginebox_ended(box, "t0", ENGINE_SKIPPED);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "t999"), TI_SKIPPED);
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(a_failed_task_is_tried_again_after_its_delay),
		BOX_TEST(a_final_failure_is_not_tried_again),
		cmocka_unit_test(back_off_grows_with_a_jitter_that_is_always_the_same),
		BOX_TEST(a_task_over_its_timeout_is_ended_and_fails),
		BOX_TEST(success_that_crosses_a_timeout_counts),
		BOX_TEST(a_given_up_attempt_is_not_tried_again),
		BOX_TEST(a_sensor_pokes_and_holds_no_slot_between),
		BOX_TEST(a_sensors_timeout_counts_over_all_pokes_and_tries),
		BOX_TEST(a_soft_sensor_that_times_out_is_skipped),
		BOX_TEST(a_poke_that_hangs_is_ended),
		BOX_TEST(lost_attempts_cost_no_retry_up_to_a_bound),
		BOX_TEST(a_skip_travels_as_the_rules_say),
		BOX_TEST(one_failed_runs_before_the_others_are_done),
		BOX_TEST(a_result_is_kept_until_the_next_try),
		BOX_TEST(a_long_chain_of_skips_needs_no_deep_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

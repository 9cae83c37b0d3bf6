/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: what people and the owner call does what engine.h says: apply, versions, remove, pause, trigger, clear,
 * cancel; a successor starts in the turn its predecessor's end was told; idle pipelines cost nothing; the
 * engine's clock does not follow jumps of the wall clock.
 *
 * Shown by an engine with an owner that writes down what it is asked (enginebox.h).
 */
#include <errno.h>
#include <stdio.h>

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

static void a_successor_starts_in_the_same_turn(void **state)
{
	struct enginebox *box = *state;

	enginebox_apply(box, enginebox_dag("d", "a b<a c<b"));
	enginebox_trigger(box, "d", "r");
	assert_int_equal(box->started_count, 1);
	enginebox_started(box, "a");
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_RUNNING);
	assert_int_equal(engine_attempt_ended(box->engine, box->started[0], ENGINE_SUCCESS, NULL,
					      NULL, box->now_us),
			 0);
	assert_int_equal(box->started_count, 1); /* starts are asked for in turns */
	enginebox_wait(box, 0);
	assert_int_equal(box->started_count, 2);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_QUEUED);
	assert_ptr_equal(engine_ti(box->engine, box->started[1]), enginebox_ti(box, "d", "r", "b"));
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	enginebox_ended(box, "c", ENGINE_SUCCESS);
	assert_int_equal(box->ended_count, 1);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
	assert_int_equal(box->next_us, INT64_MAX);
}

static void an_attempt_ends_once(void **state)
{
	struct enginebox *box = *state;

	enginebox_apply(box, enginebox_dag("d", "a b<a"));
	enginebox_trigger(box, "d", "r");
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(engine_attempt_ended(box->engine, box->started[0], ENGINE_FAILED, NULL,
					      NULL, box->now_us),
			 ERR_FENCED);
	assert_int_equal(
		engine_attempt_ended(box->engine, 999, ENGINE_FAILED, NULL, NULL, box->now_us),
		ERR_FENCED);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_SUCCESS);
}

static void an_older_attempt_is_fenced(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->tasks[0].retries = 1;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	engine_restore_counter(box->engine, box->started[0] + ENGINE_BUCKETS); /* the same bucket */
	enginebox_ended(box, "a", ENGINE_FAILED);
	enginebox_wait(box, 0);
	assert_int_equal(box->started_count, 2);
	assert_int_equal(engine_attempt_ended(box->engine, box->started[0], ENGINE_SUCCESS, NULL,
					      NULL, box->now_us),
			 ERR_FENCED);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_QUEUED);
	assert_null(engine_ti(box->engine, box->started[0]));
}

static void runs_keep_the_version_they_began_with(void **state)
{
	struct enginebox *box = *state;
	struct engine_dag_view view;

	enginebox_apply(box, enginebox_dag("d", "a b<a"));
	enginebox_trigger(box, "d", "r");
	enginebox_apply(box, enginebox_dag("d", "a x<a y<x"));
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
	assert_int_equal(engine_dag(box->engine, "d", &view), 0);
	assert_int_equal(view.dag->task_count, 3);
	assert_int_equal(enginebox_trigger(box, "d", "r2")->dag->task_count, 3);
	assert_int_equal(engine_dag(box->engine, "e", &view), -ENOENT);
}

static void dags_are_visited_in_order_of_name(void **state)
{
	struct enginebox *box = *state;
	struct engine_dag_view view;
	char name[16];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "d%03d", i * 77 % 200);
		enginebox_apply(box, enginebox_dag(name, "a"));
	}
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "d%03u", i);
		assert_true(engine_dag_at(box->engine, i, &view));
		assert_string_equal(view.dag->id, name);
	}
	assert_false(engine_dag_at(box->engine, 200, &view));
}

static void a_removed_dag_ends_its_runs_first(void **state)
{
	struct enginebox *box = *state;
	struct engine_dag_view view;

	enginebox_apply(box, enginebox_dag("d", "a b<a"));
	enginebox_trigger(box, "d", "r");
	assert_int_equal(engine_remove(box->engine, "d", box->now_us), 0);
	enginebox_wait(box, 0);
	assert_int_equal(box->cancelled_count, 1);
	assert_int_equal(engine_dag(box->engine, "d", &view), 0);
	enginebox_ended(box, "a", ENGINE_CANCELLED);
	enginebox_wait(box, 0);
	assert_int_equal(engine_dag(box->engine, "d", &view), -ENOENT);
	assert_int_equal(engine_remove(box->engine, "d", box->now_us), -ENOENT);
	assert_int_equal(box->ended_state, RUN_FAILED);
}

static void a_paused_dag_starts_nothing(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a b<a");

	enginebox_schedule(dag, "* * * * *", T0 + 60 * S, true);
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	assert_int_equal(engine_pause(box->engine, "d", true, box->now_us), 0);
	assert_true(box->is_paused);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_SCHEDULED);
	assert_int_equal(enginebox_trigger(box, "d", "r2")->state, RUN_QUEUED);
	enginebox_wait(box, 150 * S);
	assert_int_equal(box->started_count, 1);
	assert_int_equal(engine_pause(box->engine, "d", false, box->now_us), 0);
	enginebox_wait(box, 0);
	assert_int_equal(box->started_count, 5); /* b, r2, and the two slots since */
}

static void a_manual_run_has_a_date_of_its_own(void **state)
{
	struct enginebox *box = *state;
	const struct run *run;

	enginebox_apply(box, enginebox_dag("d", "a"));
	run = enginebox_trigger(box, "d", NULL);
	assert_string_equal(run->id, "manual__2026-01-01T00:00:00+00:00");
	run = enginebox_trigger(box, "d", NULL);
	assert_string_equal(run->id, "manual__2026-01-01T00:00:00.000001+00:00");
	assert_int_equal(engine_trigger(box->engine, "d", "x", T0, NULL, box->now_us, &run),
			 -EEXIST);
	assert_int_equal(engine_trigger(box->engine, "d", "manual__2026-01-01T00:00:00+00:00",
					T0 - S, NULL, box->now_us, &run),
			 -EEXIST);
	assert_int_equal(engine_trigger(box->engine, "e", NULL, T0, NULL, box->now_us, &run),
			 -ENOENT);
}

static void clear_runs_a_task_and_what_follows_again(void **state)
{
	struct enginebox *box = *state;
	const struct run *run;

	enginebox_apply(box, enginebox_dag("d", "a b<a c<b x<a"));
	run = enginebox_trigger(box, "d", "r");
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	enginebox_ended(box, "b", ENGINE_FAILED);
	enginebox_ended(box, "x", ENGINE_SUCCESS);
	assert_int_equal(run->state, RUN_FAILED);
	assert_int_equal(engine_clear(box->engine, "d", "r", NULL, false, box->now_us), 2);
	assert_int_equal(run->state, RUN_RUNNING);
	enginebox_wait(box, 0);
	assert_int_equal(enginebox_ti(box, "d", "r", "b")->try_number, 2);
	assert_int_equal(enginebox_ti(box, "d", "r", "b")->max_tries, 2);
	assert_int_equal(enginebox_state(box, "d", "r", "c"), TI_NONE);
	assert_int_equal(enginebox_state(box, "d", "r", "x"), TI_SUCCESS);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	enginebox_ended(box, "c", ENGINE_SUCCESS);
	assert_int_equal(run->state, RUN_SUCCESS);
	assert_int_equal(engine_clear(box->engine, "d", "r", "b", true, box->now_us), 2);
	assert_int_equal(engine_clear(box->engine, "d", "r", "nope", true, box->now_us), -ENOENT);
	assert_int_equal(engine_clear(box->engine, "d", "q", "b", true, box->now_us), -ENOENT);
}

static void clear_ends_an_attempt_that_runs_before_it_begins_anew(void **state)
{
	struct enginebox *box = *state;

	enginebox_apply(box, enginebox_dag("d", "a b<a"));
	enginebox_trigger(box, "d", "r");
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	enginebox_started(box, "b");
	assert_int_equal(engine_clear(box->engine, "d", "r", "a", true, box->now_us), 2);
	enginebox_wait(box, 0);
	assert_int_equal(box->cancelled_count, 1);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_QUEUED);
	enginebox_ended(box, "b", ENGINE_SUCCESS); /* too late to count */
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_NONE);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	assert_int_equal(box->ended_state, RUN_SUCCESS);
	assert_int_equal(box->started_count, 4);
}

static void clear_obeys_max_active_runs(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");
	const struct run *first, *second;

	dag->max_active_runs = 1;
	enginebox_apply(box, dag);
	first = enginebox_trigger(box, "d", "r");
	enginebox_ended(box, "a", ENGINE_FAILED);
	second = enginebox_trigger(box, "d", "r2");
	assert_int_equal(second->state, RUN_RUNNING);
	assert_int_equal(engine_clear(box->engine, "d", "r", "a", true, box->now_us), 1);
	assert_int_equal(first->state, RUN_QUEUED);
	enginebox_ended_at(box, "r2", "a", ENGINE_SUCCESS);
	assert_int_equal(first->state, RUN_RUNNING);
}

static void cancel_fails_what_waits_and_ends_what_runs(void **state)
{
	struct enginebox *box = *state;
	const struct run *run;

	enginebox_apply(box, enginebox_dag("d", "a b<a x"));
	run = enginebox_trigger(box, "d", "r");
	enginebox_started(box, "a");
	assert_int_equal(engine_cancel(box->engine, "d", "r", box->now_us), 0);
	enginebox_wait(box, 0);
	assert_int_equal(box->cancelled_count, 2);
	assert_int_equal(enginebox_state(box, "d", "r", "b"), TI_FAILED);
	assert_int_equal(engine_clear(box->engine, "d", "r", NULL, true, box->now_us), -EBUSY);
	enginebox_ended(box, "a", ENGINE_CANCELLED);
	assert_int_equal(run->state, RUN_RUNNING);
	enginebox_ended(box, "x", ENGINE_SUCCESS);
	assert_int_equal(run->state, RUN_FAILED);
	assert_string_equal(run->note, "the run was cancelled");
	assert_int_equal(enginebox_state(box, "d", "r", "x"), TI_SUCCESS);
	assert_int_equal(engine_cancel(box->engine, "d", "q", box->now_us), -ENOENT);
}

static void cancel_of_a_run_that_waits_ends_it_at_once(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");
	const struct run *run;

	dag->max_active_runs = 1;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	run = enginebox_trigger(box, "d", "r2");
	assert_int_equal(engine_cancel(box->engine, "d", "r2", box->now_us), 0);
	assert_int_equal(run->state, RUN_FAILED);
	assert_int_equal(box->started_count, 1);
}

static void a_cancel_always_ends(void **state)
{
	struct enginebox *box = *state;
	const struct run *run;
	int64_t attempt;

	enginebox_apply(box, enginebox_dag("d", "a"));
	run = enginebox_trigger(box, "d", "r");
	enginebox_started(box, "a");
	attempt = box->started[0];
	assert_int_equal(engine_cancel(box->engine, "d", "r", box->now_us), 0);
	enginebox_wait(box, ENGINE_CANCEL_WAIT_US - 1);
	assert_int_equal(run->state, RUN_RUNNING);
	assert_int_equal(box->next_us, box->now_us + 1);
	enginebox_wait(box, 1);
	assert_int_equal(run->state, RUN_FAILED);
	assert_int_equal(box->given_up_count, 1);
	assert_int_equal(box->given_up[0], attempt);
	assert_int_equal(
		engine_attempt_ended(box->engine, attempt, ENGINE_SUCCESS, NULL, NULL, box->now_us),
		ERR_FENCED);
	assert_int_equal(enginebox_state(box, "d", "r", "a"), TI_FAILED);
}

static void a_thousand_idle_dags_cost_nothing(void **state)
{
	struct enginebox *box = *state;
	uint32_t saved;
	char name[16];

	for (int i = 0; i < 1000; i++) {
		struct dag *dag;

		snprintf(name, sizeof(name), "d%03d", i);
		dag = enginebox_dag(name, "a");
		enginebox_schedule(dag, "every 1h", T0 + 3600 * S + i * S, false);
		enginebox_apply(box, dag);
	}
	saved = box->saved_count;
	assert_int_equal(box->next_us, T0 + 3600 * S); /* nothing to be called for before */
	enginebox_wait(box, 1800 * S);
	assert_int_equal(box->next_us, T0 + 3600 * S);
	assert_int_equal(box->saved_count, saved);
	enginebox_wait(box, 1800 * S);
	assert_int_equal(box->started_count, 1);
	assert_int_equal(box->next_us, T0 + 3601 * S);
}

static void a_clock_that_jumps_back_delays_no_timeout(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	dag->tasks[0].timeout_us = 10 * S;
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	enginebox_started(box, "a");
	enginebox_wait(box, 4 * S);
	enginebox_wait(box, -86400 * S);
	assert_int_equal(box->next_us, box->now_us + 6 * S);
	enginebox_wait(box, 6 * S - 1);
	assert_int_equal(box->cancelled_count, 0);
	enginebox_wait(box, 1);
	assert_int_equal(box->cancelled_count, 1);
}

static void a_clock_that_jumps_ahead_times_out_nothing_else(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");
	struct dag *minutely = enginebox_dag("e", "a");

	dag->tasks[0].timeout_us = 7200 * S;
	enginebox_schedule(minutely, "* * * * *", T0 + 60 * S, false);
	enginebox_apply(box, dag);
	enginebox_apply(box, minutely);
	enginebox_trigger(box, "d", "r");
	enginebox_started(box, "a");
	enginebox_wait(box, 86400 * S);
	assert_int_equal(box->cancelled_count, 0);
	assert_int_equal(box->started_count, 2); /* the schedule follows the wall clock */
}

static void a_clock_that_jumps_back_repeats_no_slot(void **state)
{
	struct enginebox *box = *state;
	struct dag *dag = enginebox_dag("d", "a");

	enginebox_schedule(dag, "* * * * *", T0, true);
	enginebox_apply(box, dag);
	enginebox_wait(box, 60 * S);
	assert_int_equal(box->started_count, 2);
	enginebox_wait(box, -60 * S);
	enginebox_wait(box, 60 * S);
	assert_int_equal(box->started_count, 2);
	assert_int_equal(box->next_us, T0 + 120 * S);
}

static void states_have_airflows_names(void **state)
{
	(void)state;
	assert_string_equal(ti_state_name(TI_UP_FOR_RESCHEDULE), "up_for_reschedule");
	assert_string_equal(ti_state_name(TI_UPSTREAM_FAILED), "upstream_failed");
	assert_string_equal(run_state_name(RUN_QUEUED), "queued");
	assert_true(ti_is_finished(TI_REMOVED));
	assert_false(ti_is_finished(TI_UP_FOR_RETRY));
}

#define BOX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(a_successor_starts_in_the_same_turn),
		BOX_TEST(an_attempt_ends_once),
		BOX_TEST(an_older_attempt_is_fenced),
		BOX_TEST(runs_keep_the_version_they_began_with),
		BOX_TEST(dags_are_visited_in_order_of_name),
		BOX_TEST(a_removed_dag_ends_its_runs_first),
		BOX_TEST(a_paused_dag_starts_nothing),
		BOX_TEST(a_manual_run_has_a_date_of_its_own),
		BOX_TEST(clear_runs_a_task_and_what_follows_again),
		BOX_TEST(clear_ends_an_attempt_that_runs_before_it_begins_anew),
		BOX_TEST(clear_obeys_max_active_runs),
		BOX_TEST(cancel_fails_what_waits_and_ends_what_runs),
		BOX_TEST(cancel_of_a_run_that_waits_ends_it_at_once),
		BOX_TEST(a_cancel_always_ends),
		BOX_TEST(a_thousand_idle_dags_cost_nothing),
		BOX_TEST(a_clock_that_jumps_back_delays_no_timeout),
		BOX_TEST(a_clock_that_jumps_ahead_times_out_nothing_else),
		BOX_TEST(a_clock_that_jumps_back_repeats_no_slot),
		cmocka_unit_test(states_have_airflows_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

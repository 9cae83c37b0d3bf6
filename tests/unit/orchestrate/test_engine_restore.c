/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: an engine made from saved states goes on where the other stopped: slots held, timers armed, cancels asked
 * again, counters of trigger rules right, numbers of attempts never used twice; and a clock that went back
 * during the restart delays nothing beyond its own delay.
 *
 * Shown by saved states written by hand. That random states survive crashes is sim_dag's claim.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cm.h"
#include "enginebox.h"

/** A saved run "r" of a dag. */
struct saved {
	struct enginebox *box;
	struct dag *dag;
	struct ti tis[8];
	struct run run;
};

static void open_saved(struct saved *saved, const char *tasks)
{
	*saved = (struct saved){ .box = enginebox_new_limits(32, 2) };
	saved->dag = enginebox_dag("d", tasks);
	saved->run = (struct run){ .id = "r", .state = RUN_RUNNING, .tis = saved->tis };
	saved->run.slot.logical_us = saved->run.start_us = T0 - 10 * S;
}

static void restore(struct saved *saved)
{
	struct engine *engine = saved->box->engine;

	assert_int_equal(engine_restore_dag(engine, saved->dag, false, NULL), 0);
	assert_int_equal(engine_restore_run(engine, &saved->run, saved->dag), 0);
	engine_restored(engine, saved->box->now_us);
	enginebox_wait(saved->box, 0);
}

static void close_saved(struct saved *saved)
{
	enginebox_free(saved->box);
	dag_unref(saved->dag);
}

static void attempts_are_adopted_with_their_slots(void **state)
{
	struct saved saved;
	uint32_t slots, used;

	(void)state;
	open_saved(&saved, "a b c x<a");
	saved.tis[0] = (struct ti){ .state = TI_RUNNING, .attempt = 7, .try_number = 1 };
	saved.tis[1] = (struct ti){ .state = TI_QUEUED, .attempt = 9, .try_number = 1 };
	saved.tis[2].state = TI_SCHEDULED;
	restore(&saved);
	assert_int_equal(saved.box->started_count,
			 0); /* the owner knows of both, the pool is full */
	assert_true(engine_pool(saved.box->engine, "default_pool", &slots, &used));
	assert_int_equal(used, 2);
	assert_ptr_equal(engine_ti(saved.box->engine, 7), enginebox_ti(saved.box, "d", "r", "a"));
	enginebox_ended(saved.box, "a", ENGINE_SUCCESS);
	assert_int_equal(enginebox_state(saved.box, "d", "r", "x"), TI_SCHEDULED);
	assert_int_equal(enginebox_ti(saved.box, "d", "r", "c")->attempt, 10);
	enginebox_ended(saved.box, "b", ENGINE_LOST);
	assert_int_equal(enginebox_ti(saved.box, "d", "r", "b")->attempt, 11);
	close_saved(&saved);
}

static void the_counter_of_attempts_goes_on(void **state)
{
	struct saved saved;

	(void)state;
	open_saved(&saved, "a");
	engine_restore_counter(saved.box->engine, 1000);
	restore(&saved);
	assert_int_equal(enginebox_ti(saved.box, "d", "r", "a")->attempt, 1000);
	close_saved(&saved);
}

static void rules_know_what_ended_before(void **state)
{
	struct saved saved;

	(void)state;
	open_saved(&saved, "a b x<a,b y<a,b");
	enginebox_task(saved.dag, "y")->rule = RULE_NONE_FAILED_MIN_ONE_SUCCESS;
	saved.tis[0].state = TI_SKIPPED;
	saved.tis[1].state = TI_SUCCESS;
	restore(&saved);
	assert_int_equal(enginebox_state(saved.box, "d", "r", "x"), TI_SKIPPED);
	assert_int_equal(enginebox_state(saved.box, "d", "r", "y"), TI_QUEUED);
	enginebox_ended(saved.box, "y", ENGINE_SUCCESS);
	assert_int_equal(saved.box->ended_state, RUN_SUCCESS);
	close_saved(&saved);
}

static void a_run_whose_tasks_had_all_ended_ends(void **state)
{
	struct saved saved;

	(void)state;
	open_saved(&saved, "a b<a");
	saved.tis[0].state = TI_FAILED;
	saved.tis[1].state = TI_UPSTREAM_FAILED;
	restore(&saved);
	assert_int_equal(saved.box->ended_count, 1);
	assert_int_equal(saved.box->ended_state, RUN_FAILED);
	close_saved(&saved);
}

static void a_cancel_is_asked_for_again_and_ends(void **state)
{
	struct saved saved;
	char why[] = "the run was cancelled";

	(void)state;
	open_saved(&saved, "a b<a");
	saved.run.is_stopping = true;
	saved.tis[0] = (struct ti){ .state = TI_RUNNING, .attempt = 7, .is_cancelling = true };
	saved.tis[0].message = why;
	saved.tis[1].state = TI_FAILED;
	restore(&saved);
	assert_int_equal(saved.box->cancelled_count, 1);
	assert_int_equal(saved.box->cancelled[0], 7);
	enginebox_wait(saved.box, ENGINE_CANCEL_WAIT_US);
	assert_int_equal(saved.box->given_up[0], 7);
	assert_int_equal(saved.box->ended_state, RUN_FAILED);
	close_saved(&saved);
}

static void timeouts_count_from_before_the_restart(void **state)
{
	struct saved saved;

	(void)state;
	open_saved(&saved, "a");
	saved.dag->tasks[0].timeout_us = 12 * S;
	saved.tis[0] = (struct ti){ .state = TI_RUNNING, .attempt = 7, .start_us = T0 - 10 * S };
	restore(&saved);
	assert_int_equal(saved.box->next_us, T0 + 2 * S);
	enginebox_wait(saved.box, 2 * S);
	assert_int_equal(saved.box->cancelled_count, 1);
	close_saved(&saved);
}

static void a_clock_that_went_back_meanwhile_delays_no_retry_for_years(void **state)
{
	struct saved saved;

	(void)state;
	open_saved(&saved, "a s");
	saved.dag->tasks[0].retries = 3;
	saved.dag->tasks[0].retry_delay_us = 5 * S;
	saved.dag->tasks[1].kind = TASK_SENSOR;
	saved.dag->tasks[1].poke_us = 3 * S;
	saved.dag->tasks[1].timeout_us = 60 * S;
	saved.tis[0] = (struct ti){ .state = TI_UP_FOR_RETRY, .try_number = 1, .attempt = 1 };
	saved.tis[1] = (struct ti){ .state = TI_UP_FOR_RESCHEDULE, .try_number = 1, .attempt = 2 };
	saved.tis[0].next_us = saved.tis[1].next_us = T0 + 86400 * 365 * S;
	saved.tis[1].first_poke_us = T0 + 86400 * 365 * S;
	restore(&saved);
	assert_int_equal(saved.box->next_us, T0 + 3 * S);
	enginebox_wait(saved.box, 3 * S);
	assert_int_equal(enginebox_state(saved.box, "d", "r", "s"), TI_QUEUED);
	enginebox_wait(saved.box, 2 * S);
	assert_int_equal(enginebox_state(saved.box, "d", "r", "a"), TI_QUEUED);
	enginebox_started(saved.box, "s");
	enginebox_wait(saved.box, 55 * S);
	assert_int_equal(saved.box->cancelled_count,
			 1); /* the sensor, a minute after the restart */
	close_saved(&saved);
}

static void slots_go_on_after_the_last(void **state)
{
	struct enginebox *box = enginebox_new_limits(32, 128);
	struct dag *dag = enginebox_dag("d", "a");
	const struct timetable_slot last = { T0 - 120 * S, T0 - 120 * S, T0 - 120 * S,
					     T0 - 120 * S };

	(void)state;
	enginebox_schedule(dag, "* * * * *", T0 - 3600 * S, true);
	assert_int_equal(engine_restore_dag(box->engine, dag, false, &last), 0);
	assert_int_equal(engine_restore_dag(box->engine, dag, false, &last), -EEXIST);
	engine_restored(box->engine, box->now_us);
	enginebox_wait(box, 0);
	assert_int_equal(box->started_count, 2);
	assert_non_null(engine_run(box->engine, "d", "scheduled__2025-12-31T23:59:00+00:00"));
	enginebox_free(box);
	dag_unref(dag);
}

static void runs_that_waited_wait_in_the_same_order(void **state)
{
	struct saved saved;
	struct ti ti = { 0 };
	struct run newer = { .id = "newer", .queued_us = T0 - S, .tis = &ti };
	struct run older = { .id = "older", .queued_us = T0 - 2 * S, .tis = &ti };

	(void)state;
	open_saved(&saved, "a");
	saved.dag->max_active_runs = 1;
	newer.slot.logical_us = T0 - S;
	older.slot.logical_us = T0 - 2 * S;
	assert_int_equal(engine_restore_run(saved.box->engine, &newer, saved.dag), -ENOENT);
	assert_int_equal(engine_restore_dag(saved.box->engine, saved.dag, false, NULL), 0);
	assert_int_equal(engine_restore_run(saved.box->engine, &newer, saved.dag), 0);
	assert_int_equal(engine_restore_run(saved.box->engine, &older, saved.dag), 0);
	assert_int_equal(engine_restore_run(saved.box->engine, &older, saved.dag), -EEXIST);
	engine_restored(saved.box->engine, saved.box->now_us);
	assert_int_equal(engine_run(saved.box->engine, "d", "older")->state, RUN_RUNNING);
	assert_int_equal(engine_run(saved.box->engine, "d", "newer")->state, RUN_QUEUED);
	close_saved(&saved);
}

static void an_old_run_can_be_brought_back_to_clear_it(void **state)
{
	struct saved saved;

	(void)state;
	open_saved(&saved, "a");
	saved.run.state = RUN_FAILED;
	saved.tis[0] = (struct ti){ .state = TI_FAILED, .try_number = 1, .attempt = 3 };
	assert_int_equal(engine_restore_dag(saved.box->engine, saved.dag, false, NULL), 0);
	engine_restored(saved.box->engine, saved.box->now_us);
	assert_int_equal(engine_restore_run(saved.box->engine, &saved.run, saved.dag), 0);
	assert_int_equal(engine_clear(saved.box->engine, "d", "r", NULL, false, T0), 1);
	enginebox_wait(saved.box, 0);
	assert_int_equal(enginebox_ti(saved.box, "d", "r", "a")->attempt, 4);
	saved.run.state = RUN_RUNNING;
	memcpy(saved.run.id, "q", 2);
	assert_int_equal(engine_restore_run(saved.box->engine, &saved.run, saved.dag), -EINVAL);
	close_saved(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts_are_adopted_with_their_slots),
		cmocka_unit_test(the_counter_of_attempts_goes_on),
		cmocka_unit_test(rules_know_what_ended_before),
		cmocka_unit_test(a_run_whose_tasks_had_all_ended_ends),
		cmocka_unit_test(a_cancel_is_asked_for_again_and_ends),
		cmocka_unit_test(timeouts_count_from_before_the_restart),
		cmocka_unit_test(a_clock_that_went_back_meanwhile_delays_no_retry_for_years),
		cmocka_unit_test(slots_go_on_after_the_last),
		cmocka_unit_test(runs_that_waited_wait_in_the_same_order),
		cmocka_unit_test(an_old_run_can_be_brought_back_to_clear_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: every task instance says in one sentence why it does not run, naming what it waits for.
 *
 * Shown by one case for each reason, the whole sentence compared.
 */
#include <stdio.h>
#include <string.h>

#include "cm.h"
#include "enginebox.h"

static struct enginebox *begin(struct dag *dag, uint32_t parallelism, uint32_t slots)
{
	struct enginebox *box = enginebox_new_limits(parallelism, slots);

	engine_restored(box->engine, box->now_us);
	enginebox_apply(box, dag);
	enginebox_trigger(box, "d", "r");
	return box;
}

static void waits_for_upstream(void **state)
{
	struct dag *dag = enginebox_dag("d", "a b<a c<a x<a,b,c");
	struct enginebox *box;

	(void)state;
	enginebox_task(dag, "x")->rule = RULE_ALL_DONE;
	box = begin(dag, 32, 128);
	enginebox_started(box, "a");
	assert_string_equal(enginebox_why(box, "b"), "waits for a (running)");
	assert_string_equal(enginebox_why(box, "x"),
			    "waits for a (running), b (none), c (none); trigger rule all_done");
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	enginebox_ended(box, "b", ENGINE_SUCCESS);
	assert_string_equal(enginebox_why(box, "x"), "waits for c (queued); trigger rule all_done");
	enginebox_free(box);
}

static void many_are_counted(void **state)
{
	struct enginebox *box = begin(enginebox_dag("d", "a b c e f g h x<a,b,c,e,f,g,h"), 32, 128);

	(void)state;
	assert_string_equal(
		enginebox_why(box, "x"),
		"waits for a (queued), b (queued), c (queued), e (queued), f (queued) and 2 more");
	enginebox_free(box);
}

static void a_full_pool_says_who_holds_it(void **state)
{
	struct enginebox *box = begin(enginebox_dag("d", "a b"), 32, 1);

	(void)state;
	assert_string_equal(
		enginebox_why(box, "b"),
		"pool default_pool is full: 1 of 1 slots are taken, 1 wanted; held by d/a of r");
	enginebox_free(box);
}

static void behind_a_wide_task(void **state)
{
	struct dag *dag = enginebox_dag("d", "a wide b");
	struct enginebox *box;

	(void)state;
	dag->tasks[1].pool_slots = 2;
	box = begin(dag, 32, 2);
	assert_string_equal(enginebox_why(box, "b"),
			    "queued in pool default_pool behind d/wide of r");
	enginebox_free(box);
}

static void pools_that_are_not_there(void **state)
{
	struct dag *dag = enginebox_dag("d", "a b");
	struct enginebox *box;

	(void)state;
	snprintf(dag->tasks[0].pool, sizeof(dag->tasks[0].pool), "nope");
	snprintf(dag->tasks[1].pool, sizeof(dag->tasks[1].pool), "shut");
	box = begin(dag, 32, 2);
	engine_set_pool(box->engine, "shut", 0, box->now_us);
	assert_string_equal(enginebox_why(box, "a"),
			    "pool nope does not exist: make it, or name another");
	assert_string_equal(enginebox_why(box, "b"), "pool shut has no slots");
	enginebox_free(box);
}

static void limits_say_who_is_at_work(void **state)
{
	struct dag *dag = enginebox_dag("d", "a b");
	struct enginebox *box = begin(enginebox_dag("d", "a b"), 1, 128);

	(void)state;
	assert_string_equal(enginebox_why(box, "b"),
			    "orchestrate.parallelism is 1 and as many tasks run: d/a of r");
	enginebox_free(box);
	dag->max_active_tasks = 1;
	box = begin(dag, 32, 128);
	assert_string_equal(enginebox_why(box, "b"),
			    "max_active_tasks is 1 and as many of the run's tasks run: a");
	enginebox_free(box);
}

static void a_run_that_waits(void **state)
{
	struct dag *dag = enginebox_dag("d", "a");
	struct enginebox *box;
	char text[200];

	(void)state;
	dag->max_active_runs = 1;
	box = begin(dag, 32, 128);
	enginebox_trigger(box, "d", "r2");
	assert_string_equal(engine_why(box->engine, enginebox_ti(box, "d", "r2", "a"), box->now_us,
				       text, sizeof(text)),
			    "the run waits: max_active_runs is 1 and as many run: r");
	enginebox_free(box);
}

static void a_paused_dag(void **state)
{
	struct enginebox *box = begin(enginebox_dag("d", "a b<a"), 32, 128);

	(void)state;
	assert_int_equal(engine_pause(box->engine, "d", true, box->now_us), 0);
	enginebox_ended(box, "a", ENGINE_SUCCESS);
	assert_string_equal(enginebox_why(box, "b"), "the pipeline is paused");
	enginebox_free(box);
}

static void a_retry_and_a_poke_say_when(void **state)
{
	struct dag *dag = enginebox_dag("d", "a s");
	struct enginebox *box;

	(void)state;
	dag->tasks[0].retries = 1;
	dag->tasks[0].retry_delay_us = 5 * S;
	dag->tasks[1].kind = TASK_SENSOR;
	dag->tasks[1].poke_us = S;
	dag->tasks[1].timeout_us = 60 * S;
	box = begin(dag, 32, 128);
	enginebox_started(box, "s");
	enginebox_ended(box, "a", ENGINE_FAILED);
	enginebox_ended(box, "s", ENGINE_NOT_YET);
	assert_string_equal(
		enginebox_why(box, "a"),
		"try 2 of 2 at 2026-01-01T00:00:05+00:00 (in 5.0 s); the last one failed: it said so");
	assert_string_equal(enginebox_why(box, "s"),
			    "pokes again at 2026-01-01T00:00:01+00:00 (in 1.0 s), until "
			    "2026-01-01T00:01:00+00:00 (in 60.0 s); last answer: it said so");
	enginebox_free(box);
}

static void what_runs_or_has_ended_says_so(void **state)
{
	struct enginebox *box = begin(enginebox_dag("d", "a b<a x"), 32, 128);

	(void)state;
	assert_string_equal(enginebox_why(box, "a"), "is being started for 0.0 s, try 1 of 1");
	enginebox_started(box, "a");
	enginebox_wait(box, 2 * S);
	assert_string_equal(enginebox_why(box, "a"), "runs for 2.0 s, try 1 of 1");
	assert_int_equal(engine_clear(box->engine, "d", "r", "x", false, box->now_us), 1);
	assert_string_equal(
		enginebox_why(box, "x"),
		"is being started for 2.0 s, try 1 of 1; is being ended: cleared; begins anew after that");
	enginebox_ended(box, "a", ENGINE_FAILED);
	assert_string_equal(enginebox_why(box, "a"), "failed: it said so");
	assert_string_equal(enginebox_why(box, "b"),
			    "upstream_failed: trigger rule all_success with a (failed)");
	enginebox_ended(box, "x", ENGINE_CANCELLED);
	enginebox_started(box, "x");
	enginebox_wait(box, S);
	enginebox_ended(box, "x", ENGINE_SUCCESS);
	assert_string_equal(enginebox_why(box, "x"), "success after 1.0 s");
	enginebox_free(box);
}

static void a_short_buffer_is_not_overrun(void **state)
{
	struct enginebox *box = begin(enginebox_dag("d", "a b c x<a,b,c"), 32, 128);
	char text[32];

	(void)state;
	for (size_t size = 1; size < 20; size++) {
		memset(text, '#', sizeof(text));
		engine_why(box->engine, enginebox_ti(box, "d", "r", "x"), box->now_us, text, size);
		assert_int_equal(strlen(text), size - 1);
		assert_int_equal(text[size], '#');
	}
	enginebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_for_upstream),
		cmocka_unit_test(many_are_counted),
		cmocka_unit_test(a_full_pool_says_who_holds_it),
		cmocka_unit_test(behind_a_wide_task),
		cmocka_unit_test(pools_that_are_not_there),
		cmocka_unit_test(limits_say_who_is_at_work),
		cmocka_unit_test(a_run_that_waits),
		cmocka_unit_test(a_paused_dag),
		cmocka_unit_test(a_retry_and_a_poke_say_when),
		cmocka_unit_test(what_runs_or_has_ended_says_so),
		cmocka_unit_test(a_short_buffer_is_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

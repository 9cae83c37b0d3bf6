/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: what was saved comes back as it was, from the turn on that is durable; a disk that refuses holds
   turns back and loses none; a file that is no database, or of another version, is refused with words.
   Shown by writing and opening again, and with a limit on the file size. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"

#include "orchestrate/store.h"

#include "cm.h"
#include "enginebox.h"
#include "temp_dir.h"

#define LIST_SIZE 64
#define FILES     "{\"pipeline.yaml\":\"dag: d\"}"

static char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16];
static struct store *store;

static void open_store(void)
{
	char reterr[300];

	assert_int_equal(store_open(path, &store, reterr, sizeof(reterr)), 0);
}

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/state.db", dir);
	open_store();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	store = NULL;
	temp_dir_remove(dir);
	return 0;
}

static void wait_durable(uint64_t turn)
{
	struct pollfd fd = { .fd = store_fd(store), .events = POLLIN };

	while (store_durable(store) < turn) {
		assert_int_equal(poll(&fd, 1, 10000), 1);
		store_drain(store);
	}
}

static void test_store_turn_before_the_first_change_is_durable(void **state)
{
	uint64_t turn = store_seal(store);

	(void)state;
	assert_int_not_equal(turn, 0); /* 0 is no turn: who waits for it waits for ever */
	assert_true(store_durable(store) >= turn);
}

static void reopen(void)
{
	wait_durable(store_seal(store));
	store_close(store);
	open_store();
}

/** A run of two tasks with something in every field. */
static void save_run(struct dag *dag, const char *id, enum run_state state, int64_t at_us)
{
	struct run run = {
		.dag = dag,
		.type = RUN_MANUAL,
		.state = state,
		.slot = { at_us, at_us + 1, at_us + 2, at_us + 3 },
		.queued_us = at_us,
		.start_us = at_us + 5,
		.end_us = state >= RUN_SUCCESS ? at_us + 6 : 0,
		.conf = json_pack("{s:s}", "a", "\xc3\xa9"),
		.is_stopping = true,
		.note = (char *)(uintptr_t) "noted",
	};
	struct ti ti = {
		.run = &run,
		.task = 1,
		.state = TI_UP_FOR_RETRY,
		.try_number = 2,
		.max_tries = 3,
		.lost = 1,
		.attempt = 41,
		.scheduled_us = 1,
		.queued_us = 2,
		.start_us = 3,
		.end_us = 4,
		.next_us = 5,
		.first_poke_us = 6,
		.is_cancelling = true,
		.message = (char *)(uintptr_t) "why",
		.result = json_pack("[i]", 7),
	};
	struct engine_change change = { .kind = CHANGE_RUN, .run = &run, .dag_id = dag->id };

	(void)snprintf(run.id, sizeof(run.id), "%s", id);
	store_save_change(store, &change);
	change.kind = CHANGE_TI;
	change.ti = &ti;
	store_save_change(store, &change);
	json_decref(run.conf);
	json_decref(ti.result);
}

static struct dag *save_dag(void)
{
	struct dag *dag = enginebox_dag("d", "a b<a");
	struct engine_change change = { .kind = CHANGE_DAG, .dag_id = "d", .is_paused = true };
	const struct timetable_slot slot = { 1, 2, 3, 4 };

	(void)snprintf(dag->version, sizeof(dag->version), "v1");
	change.last_slot = &slot;
	store_save_version(store, dag, FILES, 10);
	store_save_change(store, &change);
	return dag;
}

static int check_dag(void *context, const struct store_dag *dag)
{
	assert_string_equal(dag->id, "d");
	assert_string_equal(dag->version, "v1");
	assert_true(dag->is_paused);
	assert_true(dag->has_last);
	assert_int_equal(dag->last.run_after_us, 4);
	++*(int *)context;
	return 0;
}

static int check_run(void *context, const struct store_run *saved)
{
	const struct run *run = &saved->run;
	const struct ti *ti = &saved->tis[0].ti;

	assert_string_equal(saved->version, "v1");
	assert_int_equal(run->type, RUN_MANUAL);
	assert_int_equal(run->slot.end_us, run->slot.logical_us + 2);
	assert_int_equal(run->start_us, run->queued_us + 5);
	assert_true(run->is_stopping);
	assert_string_equal(run->note, "noted");
	assert_string_equal(json_string_value(json_object_get(run->conf, "a")), "\xc3\xa9");
	assert_int_equal(saved->ti_count, 1);
	assert_string_equal(saved->tis[0].task, "b");
	assert_int_equal(ti->state, TI_UP_FOR_RETRY);
	assert_int_equal(ti->try_number, 2);
	assert_int_equal(ti->max_tries, 3);
	assert_int_equal(ti->lost, 1);
	assert_int_equal(ti->attempt, 41);
	assert_int_equal(ti->first_poke_us, 6);
	assert_true(ti->is_cancelling && !ti->is_clearing);
	assert_string_equal(ti->message, "why");
	assert_int_equal(json_integer_value(json_array_get(ti->result, 0)), 7);
	++*(int *)context;
	return 0;
}

static int count_try(void *context, const struct store_try *try)
{
	assert_int_equal(try->try_number, 2);
	assert_string_equal(try->message, "why");
	++*(int *)context;
	return 0;
}

static void test_store_gives_back_what_was_saved(void **state)
{
	CLEANUP(dag_unrefp) struct dag *dag = save_dag();
	int dags = 0, runs = 0, tries = 0;
	json_t *files = NULL;

	(void)state;
	save_run(dag, "r1", RUN_RUNNING, 100);
	reopen();
	assert_int_equal(store_each_dag(store, check_dag, &dags), 0);
	assert_int_equal(store_find_run(store, "d", "r1", check_run, &runs), 0);
	assert_int_equal(store_find_run(store, "d", "r2", check_run, &runs), -ENOENT);
	assert_int_equal(store_each_try(store, "d", "r1", "b", count_try, &tries), 0);
	assert_int_equal(dags + 10 * runs + 100 * tries, 111);
	assert_int_equal(store_files(store, "d", "v1", &files), 0);
	assert_non_null(json_object_get(files, "pipeline.yaml"));
	json_decref(files);
	assert_int_equal(store_next_attempt(store), 42);
}

static int collect(void *context, const struct store_run *saved)
{
	char *list = context;
	size_t size = strlen(list);

	(void)snprintf(list + size, LIST_SIZE - size, "%s", saved->run.id);
	return 0;
}

static void test_store_lists_unfinished_and_newest(void **state)
{
	CLEANUP(dag_unrefp) struct dag *dag = save_dag();
	char list[LIST_SIZE] = "";

	(void)state;
	save_run(dag, "a", RUN_QUEUED, 100);
	save_run(dag, "b", RUN_SUCCESS, 200);
	save_run(dag, "c", RUN_FAILED, 300);
	save_run(dag, "d", RUN_SUCCESS, 400);
	wait_durable(store_seal(store));
	assert_int_equal(store_each_run(store, "d", 2, collect, list), 0);
	assert_string_equal(list, "dca");
	store_expire(store, 350);
	wait_durable(store_seal(store));
	list[0] = '\0';
	assert_int_equal(store_each_run(store, "d", 9, collect, list), 0);
	assert_string_equal(list, "da");
	store_delete_dag(store, "d");
	wait_durable(store_seal(store));
	list[0] = '\0';
	assert_int_equal(store_each_run(store, "d", 9, collect, list), 0);
	assert_string_equal(list, "");
}

static void test_store_seals_only_changes(void **state)
{
	uint64_t turn;

	(void)state;
	turn = store_seal(store);
	store_save_pool(store, "p", 3);
	assert_int_equal(store_seal(store), turn + 1);
	assert_int_equal(store_seal(store), turn + 1);
	wait_durable(turn + 1);
}

static int sum_pool(void *context, const char *name, uint32_t slots)
{
	(void)name;
	*(uint32_t *)context += slots;
	return 0;
}

static void test_store_waits_for_a_disk_that_refuses(void **state)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct rlimit before, none;
	char why[200];
	uint32_t sum = 0;
	uint64_t turn;

	(void)state;
	wait_durable(store_seal(store));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){ 0, before.rlim_max };
	assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	store_save_pool(store, "p", 3);
	turn = store_seal(store);
	while (!store_error(store, why, sizeof(why)))
		(void)poll(NULL, 0, 1);
	assert_true(why[0] != '\0');
	store_save_pool(store, "q", 4);
	assert_int_equal(store_seal(store), turn + 1);
	assert_true(store_durable(store) < turn);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	wait_durable(turn + 1);
	assert_false(store_error(store, why, sizeof(why)));
	assert_int_equal(store_each_pool(store, sum_pool, &sum), 0);
	assert_int_equal(sum, 7);
}

static void test_store_refuses_what_it_cannot_use(void **state)
{
	struct store *other;
	char reterr[300] = "", wrong[TEMP_PATH_SIZE + 32];
	sqlite3 *db;
	int file;

	(void)state;
	(void)snprintf(wrong, sizeof(wrong), "%s/wrong.db", dir);
	file = open(wrong, O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(file, "this is no database and never was", 33), 33);
	(void)close(file);
	assert_int_equal(store_open(wrong, &other, reterr, sizeof(reterr)), ERR_CORRUPT);
	assert_true(reterr[0] != '\0');
	store_close(store);
	store = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	assert_int_equal(store_open(path, &other, reterr, sizeof(reterr)), ERR_UNSUPPORTED);
	assert_non_null(strstr(reterr, "99"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_store_gives_back_what_was_saved, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_lists_unfinished_and_newest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_turn_before_the_first_change_is_durable,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_seals_only_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_waits_for_a_disk_that_refuses, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_refuses_what_it_cannot_use, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

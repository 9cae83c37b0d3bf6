/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a task's templates see its dates, run, conf over params, variables, connections and the results of
   others; what is not there is an error. Shown by rendering them. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/render.h"

#include "cm.h"
#include "enginebox.h"
#include "temp_dir.h"

struct bench {
	char dir[TEMP_PATH_SIZE];
	struct store *store;
	struct vault *vault;
	struct enginebox *box;
	const struct ti *ti;
};

static struct bench bench;

static int setup(void **state)
{
	char path[TEMP_PATH_SIZE + 16], key[TEMP_PATH_SIZE + 16], reterr[300];
	json_t *connection = json_pack("{s:s,s:i}", "host", "example.org", "port", 81);
	json_t *conf = json_pack("{s:s}", "b", "conf"), *result = json_pack("{s:i}", "rows", 3);
	const struct run *run;
	struct dag *dag;

	(void)state;
	temp_dir_make(bench.dir);
	(void)snprintf(path, sizeof(path), "%s/state.db", bench.dir);
	(void)snprintf(key, sizeof(key), "%s/key", bench.dir);
	assert_int_equal(store_open(path, &bench.store, reterr, sizeof(reterr)), 0);
	assert_int_equal(vault_open(bench.store, key, &bench.vault), 0);
	assert_int_equal(vault_set_variable(bench.vault, "v", "{\"n\":[5]}"), 0);
	assert_int_equal(vault_set_connection(bench.vault, "c", connection), 0);
	bench.box = enginebox_new();
	dag = enginebox_dag("d", "one two<one");
	json_decref(dag->params);
	dag->params = json_pack("{s:s,s:s}", "a", "default", "b", "default");
	enginebox_apply(bench.box, dag);
	assert_int_equal(engine_trigger(bench.box->engine, "d", "r", T0 + 3 * S, conf,
					bench.box->now_us, &run),
			 0);
	enginebox_wait(bench.box, 1);
	enginebox_started(bench.box, "one");
	assert_int_equal(engine_attempt_ended(bench.box->engine,
					      enginebox_ti(bench.box, "d", "r", "one")->attempt,
					      ENGINE_SUCCESS, NULL, result, bench.box->now_us),
			 0);
	enginebox_wait(bench.box, 1);
	bench.ti = enginebox_ti(bench.box, "d", "r", "two");
	json_decref(connection);
	json_decref(conf);
	json_decref(result);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	enginebox_free(bench.box);
	vault_close(bench.vault);
	store_close(bench.store);
	temp_dir_remove(bench.dir);
	return 0;
}

static void expect(const char *template, const char *wanted)
{
	struct dag_task *task = &bench.ti->run->dag->tasks[bench.ti->task];
	char reterr[300] = "";
	json_t *spec = NULL;

	json_decref(task->spec);
	task->spec = json_pack("{s:s}", "text", template);
	assert_int_equal(render_spec(bench.ti, bench.vault, &spec, reterr, sizeof(reterr)),
			 wanted != NULL ? 0 : ERR_MALFORMED);
	if (wanted != NULL)
		assert_string_equal(json_string_value(json_object_get(spec, "text")), wanted);
	else
		assert_true(reterr[0] != '\0');
	json_decref(spec);
}

static void test_render_names(void **state)
{
	(void)state;
	expect("no template", "no template");
	expect("{{ ds }} {{ ds_nodash }}", "2026-01-01 20260101");
	expect("{{ ts }} {{ ts_nodash }}", "2026-01-01T00:00:03+00:00 20260101T000003");
	expect("{{ logical_date }}", "2026-01-01T00:00:03+00:00");
	expect("{{ run_id }} {{ dag.id }}.{{ task.id }} {{ try_number }}", "r d.two 1");
	expect("{{ params.a }} {{ params.b }} {{ conf.b }}", "default conf conf");
	expect("{{ var.json.v.n | join('') }} {{ var.value.v }}", "5 {\"n\":[5]}");
	expect("{{ conn.c.host }}:{{ conn.c.port }}", "example.org:81");
	expect("{{ xcom.one.rows }} {{ tasks.one.state }} {{ run.state }}", "3 success success");
}

static void test_render_missing(void **state)
{
	(void)state;
	expect("{{ xcom.two.rows }}", NULL);
	expect("{{ conf.nothing }}", NULL);
	expect("{{ conn.nowhere.host }}", NULL);
	expect("{{ ds", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_render_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_render_missing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

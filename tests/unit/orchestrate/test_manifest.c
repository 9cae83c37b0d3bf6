/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a manifest becomes the dag it describes, and every slip is told with its line, column and, where
   there is one, a hint; several at once. Shown by the manifest that the documentation has in mind and by a
   table of slips, each put into a small good manifest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#include "orchestrate/digest.h"
#include "orchestrate/manifest.h"

#include "cm.h"
#include "temp_dir.h"

static const char flights[] =
	"dag: flights\n"
	"description: flights out of New York, from topic to tables\n"
	"schedule: \"* * * * *\"            # cron\n"
	"start: 2026-01-01\n"
	"catchup: false\n"
	"max_active_runs: 1\n"
	"tags: [demo]\n"
	"params: {min_rows: 1}\n"
	"defaults: {retries: 2, retry_delay: 5s, retry_backoff: 2, timeout: 10m, pool: default_pool}\n"
	"topics:\n"
	"  raw.flights:\n"
	"    columns: {year: integer, flight: {type: integer, required: true}, note: {type: string, "
	"from: meta.note}}\n"
	"    quarantine: bronze.flights_quarantine\n"
	"tasks:\n"
	"  gold: {after: [silver], sql: sql/gold.sql, reads: {silver.flights: changed}, writes: "
	"gold.delays, mode: overwrite}\n"
	"  wait_for_records:\n"
	"    sensor: {topic: raw.flights, records: 1000}\n"
	"    poke_interval: 1s\n"
	"    timeout: 1h\n"
	"    soft_fail: true\n"
	"  bronze:\n"
	"    after: [wait_for_records]\n"
	"    sql: sql/bronze.sql\n"
	"    reads: {raw.flights: new}\n"
	"    writes: bronze.flights\n"
	"    partition_by: [month]\n"
	"    merge_schema: true\n"
	"  silver: {after: [bronze], sql: SELECT 1, reads: {bronze.flights: new}, writes: "
	"silver.flights, mode: merge, key: [carrier, flight]}\n"
	"  checks:\n"
	"    after: [gold]\n"
	"    retries: 0\n"
	"    checks:\n"
	"      - {name: rows, sql: SELECT count(*) FROM gold.delays, expect: \"> 0\"}\n"
	"      - {name: no_null, sql: SELECT 1, expect: none, severity: warn}\n"
	"  shell: {command: \"echo {{ ds }}\", env: {A: b, B: 0644, C: no}, output: json}\n"
	"  call: {http: {url: \"http://h/\", json: {a: [1, null]}, expect_status: [200, 204]}}\n"
	"  notify: {after: [checks], notify: {message: \"flights {{ run_id }}\", conn: ops}, "
	"trigger_rule: all_done, priority_weight: 5}\n";

static json_t *folder(const char *manifest)
{
	json_t *files = json_object();

	assert_int_equal(json_object_set_new(files, "pipeline.yaml", json_string(manifest)), 0);
	assert_int_equal(json_object_set_new(files, "sql/bronze.sql", json_string("SELECT 'b'")),
			 0);
	assert_int_equal(json_object_set_new(files, "sql/gold.sql", json_string("SELECT 'g'")), 0);
	return files;
}

static struct dag *parse(const char *manifest)
{
	json_t *files = folder(manifest), *errors = NULL;
	struct dag *dag = NULL;
	int error = manifest_parse(files, &dag, &errors);

	json_decref(files);
	if (error != 0) {
		char *text = json_dumps(errors, 0);

		print_error("%s\n", text);
		free(text);
	}
	assert_int_equal(error, 0);
	assert_null(errors);
	return dag;
}

static const struct dag_task *task_of(const struct dag *dag, const char *name)
{
	int32_t index = dag_find_task(dag, name);

	assert_true(index >= 0);
	return &dag->tasks[index];
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void test_manifest_makes_the_dag(void **state)
{
	struct dag *dag = parse(flights);
	const struct dag_task *task;

	(void)state;
	assert_string_equal(dag->id, "flights");
	assert_int_equal(dag->task_count, 8);
	assert_int_equal(dag->max_active_runs, 1);
	assert_string_equal(timetable_text(dag->timetable), "* * * * *");
	assert_int_equal(json_integer_value(json_object_get(dag->params, "min_rows")), 1);
	assert_string_equal(text_of(json_object_get(dag->topics, "raw.flights"), "quarantine"),
			    "bronze.flights_quarantine");
	task = task_of(dag, "bronze");
	assert_int_equal(task->kind, TASK_SQL);
	assert_int_equal(task->retries, 2);
	assert_int_equal(task->retry_delay_us, 5000000);
	assert_int_equal(task->timeout_us, 600000000);
	assert_string_equal(text_of(task->spec, "sql"), "SELECT 'b'");
	assert_string_equal(text_of(task->spec, "mode"), "append");
	assert_string_equal(text_of(json_object_get(task->spec, "reads"), "raw.flights"), "new");
	task = task_of(dag, "wait_for_records");
	assert_int_equal(task->kind, TASK_SENSOR);
	assert_int_equal(task->poke_us, 1000000);
	assert_int_equal(task->timeout_us, INT64_C(3600000000));
	assert_true(task->is_soft_fail);
	task = task_of(dag, "shell");
	assert_string_equal(text_of(json_object_get(task->spec, "env"), "B"), "0644");
	assert_string_equal(text_of(json_object_get(task->spec, "env"), "C"), "no");
	assert_string_equal(text_of(task_of(dag, "call")->spec, "method"), "POST");
	task = task_of(dag, "notify");
	assert_int_equal(task->rule, RULE_ALL_DONE);
	assert_int_equal(task_of(dag, "checks")->retries, 0);
	dag_unref(dag);
}

static void test_manifest_orders_tasks_and_sums_priorities(void **state)
{
	struct dag *dag = parse(flights);

	(void)state;
	for (uint32_t i = 0; i < dag->task_count; i++) {
		const struct dag_task *task = &dag->tasks[i];

		for (uint32_t k = 0; k < task->upstream_count; k++) {
			const struct dag_task *up = &dag->tasks[task->upstream[k]];
			bool is_linked = false;

			assert_true(task->upstream[k] < i);
			for (uint32_t m = 0; m < up->downstream_count; m++)
				is_linked |= up->downstream[m] == i;
			assert_true(is_linked);
		}
	}
	assert_int_equal(task_of(dag, "notify")->priority, 5);
	assert_int_equal(task_of(dag, "checks")->priority, 6);
	assert_int_equal(task_of(dag, "wait_for_records")->priority, 10);
	dag_unref(dag);
}

static void test_manifest_diamond_counts_a_descendant_once(void **state)
{
	struct dag *dag = parse("dag: d\n"
				"tasks:\n"
				"  a: {command: x}\n"
				"  b: {command: x, after: [a]}\n"
				"  c: {command: x, after: [a]}\n"
				"  d: {command: x, after: [b, c]}\n");

	(void)state;
	assert_int_equal(task_of(dag, "a")->priority, 4);
	assert_int_equal(task_of(dag, "b")->priority, 2);
	dag_unref(dag);
}

static void test_manifest_versions_follow_contents(void **state)
{
	struct dag *one = parse(flights), *same = parse(flights), *other;
	char changed[sizeof(flights)];
	char *at;

	(void)state;
	memcpy(changed, flights, sizeof(flights));
	at = strstr(changed, "SELECT 1, reads");
	assert_non_null(at);
	at[7] = '2';
	other = parse(changed);
	assert_string_equal(one->version, same->version);
	assert_string_not_equal(one->version, other->version);
	assert_string_equal(task_of(one, "gold")->hash, task_of(other, "gold")->hash);
	assert_string_not_equal(task_of(one, "silver")->hash, task_of(other, "silver")->hash);
	dag_unref(one);
	dag_unref(same);
	dag_unref(other);
}

static void test_digest_is_sha_256(void **state)
{
	char hex[DIGEST_HEX_SIZE];

	(void)state;
	digest_hex("abc", 3, hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/** A manifest of `text`, if it has no tasks with one. Its first error must be this. */
static void expect_error(const char *text, int line, int column, const char *message,
			 const char *hint)
{
	char manifest[2048];
	json_t *files, *errors = NULL, *first;
	struct dag *dag = NULL;

	(void)snprintf(manifest, sizeof(manifest), "%s%s", text,
		       strstr(text, "tasks:") != NULL ? ""
						      : "\ndag: d\ntasks: {t: {command: x}}\n");
	files = folder(manifest);
	if (manifest_parse(files, &dag, &errors) != ERR_CONFIG)
		fail_msg("taken: %s", text);
	first = json_array_get(errors, 0);
	if (json_integer_value(json_object_get(first, "line")) != line ||
	    json_integer_value(json_object_get(first, "column")) != column ||
	    strstr(text_of(first, "message"), message) == NULL ||
	    (hint != NULL &&
	     (text_of(first, "hint") == NULL || strstr(text_of(first, "hint"), hint) == NULL)))
		fail_msg("%s\n  gave %s", text, json_dumps(first, 0));
	json_decref(errors);
	json_decref(files);
}

static void test_manifest_yaml_traps_have_hints(void **state)
{
	(void)state;
	expect_error("schedule: @daily", 1, 11, "not valid YAML", "\"@daily\"");
	expect_error("schedule: */5 * * * *", 1, 12, "not valid YAML", "\"*/5 * * * *\"");
	expect_error("description: {{ ds }}", 1, 15, "a key must be text", "\"{{ ds }}\"");
	expect_error("description: {{ ds }}/x", 1, 15, "a key must be text", "\"{{ ds }}\"");
	expect_error("catchup: no", 1, 10, "true or false is expected here, not no",
		     "write true or false");
	expect_error("catchup: \"true\"", 1, 10, "true or false", "without quotes");
	expect_error("max_active_runs: 0644", 1, 18, "a number is expected here, not 0644",
		     "leading zeros");
	expect_error("run_timeout: 12:30:00", 1, 14, "a duration", "write 5s");
	expect_error("tags: [1.10]", 1, 8, "text is expected here, not 1.10", "in quotes");
	expect_error("params: {version: 1.10}", 1, 19, "lose its last digit", "quote it");
	expect_error("dag: d\ntasks: {t: {sql: SELECT a, b FROM c}}", 2, 28, "a comma ends a text",
		     "in quotes");
	expect_error("params: {a: }", 1, 13, "there is no value", NULL);
	expect_error("description:\tx", 1, 13, "tabs", "spaces");
}

static void test_manifest_refuses_what_yaml_can_do_beyond_a_tree(void **state)
{
	(void)state;
	expect_error("params: &a {x: 1}", 1, 9, "anchors", NULL);
	expect_error("params: {x: *y}", 1, 13, "aliases", NULL);
	expect_error("description: !!str x", 1, 14, "tags", NULL);
	expect_error("params: {<<: {x: 1}}", 1, 10, "merge keys", NULL);
	expect_error("catchup: false\ncatchup: true", 2, 1, "`catchup` is here twice", "remove");
	expect_error("dag: d\ntasks: {t: {command: x}}\n---\ndag: e\n", 3, 1, "one document", NULL);
	expect_error("[tasks: 1]", 1, 1, "a map is expected here", NULL);
	expect_error("? [a, b]\n: tasks:", 1, 3, "a key must be text", NULL);
	expect_error("description: \"a\\0b tasks:\"", 1, 14, "the character 0", NULL);
}

static void test_manifest_unknown_names_have_suggestions(void **state)
{
	(void)state;
	expect_error("shedule: x", 1, 1, "unknown key `shedule`", "did you mean `schedule`?");
	expect_error("dag: d\ntasks: {a: {command: x}, b: {command: x, after: [aa]}}", 2, 50,
		     "there is no task `aa`", "did you mean `a`?");
	expect_error("dag: d\ntasks: {t: {comand: x}}", 2, 9, "does nothing",
		     "did you mean `command`?");
	expect_error("dag: d\ntasks: {t: {sql: sql/brnze.sql}}", 2, 18, "there is no file",
		     "did you mean `sql/bronze.sql`?");
	expect_error("dag: d\ntasks: {t: {command: x, trigger_rule: all_sucess}}", 2, 39,
		     "is not one of", "did you mean `all_success`?");
	expect_error("dag: d\ntasks: {t: {command: x, writes: a.b}}", 2, 25,
		     "unknown key `writes` of a task with `command`", NULL);
}

static void test_manifest_cycles_are_named(void **state)
{
	(void)state;
	expect_error("dag: d\n"
		     "tasks:\n"
		     "  z: {command: x}\n"
		     "  a: {command: x, after: [z, c]}\n"
		     "  b: {command: x, after: [a]}\n"
		     "  c: {command: x, after: [b]}\n"
		     "  after_it: {command: x, after: [c]}\n",
		     4, 3, "tasks wait for each other: a > b > c > a", NULL);
	expect_error("dag: d\ntasks: {t: {command: x, after: [t]}}", 2, 9, "t > t", NULL);
}

static void test_manifest_sql_tasks_are_consistent(void **state)
{
	(void)state;
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, writes: a.b, mode: merge}}", 2, 47,
		     "mode merge needs `key`", "key: [");
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, writes: a.b, key: [x]}}", 2, 46,
		     "`key` is for mode merge", NULL);
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, writes: a.b, mode: replace_where}}", 2, 47,
		     "needs `replace_where`", NULL);
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, mode: append}}", 2, 34,
		     "`mode` needs `writes`", NULL);
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, writes: Gold.X}}", 2, 36,
		     "does not name a table", "schema.table");
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, reads: {a.b: new}}}", 2, 41,
		     "`new` needs `writes`", NULL);
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, reads: {raw-x: all}}}", 2, 36,
		     "does not name a table", NULL);
	expect_error("dag: d\ntasks: {t: {sql: SELECT 1, command: x}}", 2, 9, "has both",
		     "two tasks");
	expect_error("dag: d\ntasks: {t: {sql: \"\"}}", 2, 18, "no SQL", NULL);
}

static void test_manifest_other_tasks_are_consistent(void **state)
{
	static const char *const expects[] = {
		"> 0", "= 0", "!= -1.5", "none", "<=1e3", "between 1 and 9", "between -1 and 1"
	};
	static const char *const not_expects[] = { "0",         ">",
						   "> x",       "> 1 2",
						   "between 1", "between 1 and",
						   "=> 1",      "between 1 and 2x",
						   "nothing" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(expects); i++) {
		(void)snprintf(text, sizeof(text),
			       "dag: d\ntasks: {t: {checks: [{name: a, sql: s, expect: \"%s\"}]}}",
			       expects[i]);
		dag_unref(parse(text));
	}
	for (size_t i = 0; i < ARRAY_COUNT(not_expects); i++) {
		(void)snprintf(text, sizeof(text),
			       "dag: d\ntasks: {t: {checks: [{name: a, sql: s, expect: \"%s\"}]}}",
			       not_expects[i]);
		expect_error(text, 2, 48, "nothing to expect", "> 0");
	}
	expect_error("dag: d\ntasks: {t: {checks: [{name: a, sql: s}]}}", 2, 22,
		     "a check needs `expect`", NULL);
	expect_error("dag: d\ntasks: {t: {sensor: {topic: a, file: /b}}}", 2, 21,
		     "waits for one of", NULL);
	expect_error("dag: d\ntasks: {t: {sensor: {file: /b, records: 1}}}", 2, 41,
		     "`records` needs `topic`", NULL);
	expect_error("dag: d\ntasks: {t: {http: {method: GET}}}", 2, 19, "one of `url` and `conn`",
		     NULL);
	expect_error("dag: d\ntasks: {t: {http: {url: u, expect_status: [20]}}}", 2, 44,
		     "20 is not between 100 and 599", NULL);
	expect_error("dag: d\ntasks: {t: {notify: {conn: u}}}", 2, 21, "notify needs `message`",
		     NULL);
	expect_error("dag: d\ntasks: {t: {command: []}}", 2, 22, "no command", NULL);
	expect_error("dag: d\ntasks: {t: {command: true}}", 2, 22,
		     "text is expected here, not true", "in quotes");
	expect_error("dag: d\ntasks: {t: {command: x, retry_delay: soon}}", 2, 38, "a duration",
		     "5s");
	expect_error("dag: d\ntasks: {t: {command: x, after: u}, u: {command: x}}", 2, 32,
		     "a list is expected here", "write [u]");
	expect_error("dag: d\ntasks: {t t: {command: x}}", 2, 9, "is not a name", NULL);
	expect_error("dag: ../d\ntasks: {t: {command: x}}", 1, 6, "is not a name", NULL);
}

static void test_manifest_schedules_and_topics_are_checked(void **state)
{
	struct timetable_slot slot;
	struct dag *dag;

	(void)state;
	expect_error("schedule: \"61 * * * *\"", 1, 11, "minute `61`", NULL);
	expect_error("schedule: {cron: \"@daily\", timezone: Europe/Nowhere}", 1, 38,
		     "no time zone", "Europe/Amsterdam");
	expect_error("schedule: {cron: \"@daily\", window: next}", 1, 36, "is not one of", NULL);
	expect_error("start: 2026-02-30", 1, 8, "is not a date", NULL);
	expect_error("start: 2026-02-03\nend: 2026-02-01\nschedule: \"@daily\"", 3, 11,
		     "end lies before", NULL);
	expect_error("topics: {raw.x: {columns: {a: int}}}", 1, 28, "a", NULL);
	expect_error("topics: {raw.x: {quarantine: raw}}", 1, 30, "does not name a table", NULL);
	expect_error("topics: {raw/x: {}}", 1, 10, "is not the name of a topic", NULL);
	dag = parse(
		"dag: d\n"
		"schedule: {cron: \"0 6 * * *\", timezone: Europe/Amsterdam, window: previous}\n"
		"start: 2026-07-01\n"
		"catchup: true\n"
		"tasks: {t: {command: [ls, -l]}}\n");
	/* the start is midnight in Amsterdam, the first slot 06:00 there */
	assert_true(timetable_next(dag->timetable, NULL, 0, &slot));
	assert_int_equal(slot.logical_us, INT64_C(1782878400000000));
	assert_true(slot.end_us > slot.begin_us);
	dag_unref(dag);
	dag = parse("dag: d\n"
		    "schedule: {every: 1h, timezone: Europe/Amsterdam}\n"
		    "start: 2026-07-01T06:00:00-01:00\n"
		    "catchup: true\n"
		    "tasks: {t: {command: ls}}\n");
	assert_true(timetable_next(dag->timetable, NULL, 0, &slot));
	assert_int_equal(slot.logical_us, INT64_C(1782889200000000));
	assert_int_equal(slot.end_us, slot.begin_us);
	dag_unref(dag);
}

static void test_manifest_tells_many_errors_at_once_but_not_endlessly(void **state)
{
	char manifest[4096] = "dag: d\ntasks: {t: {command: x}}\n";
	json_t *files, *errors = NULL;
	struct dag *dag = NULL;

	(void)state;
	for (int i = 0; i < 40; i++) {
		size_t used = strlen(manifest);

		(void)snprintf(manifest + used, sizeof(manifest) - used, "unknown%d: 1\n", i);
	}
	files = folder(manifest);
	assert_int_equal(manifest_parse(files, &dag, &errors), ERR_CONFIG);
	assert_int_equal(json_array_size(errors), 20);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(errors, 4), "line")), 7);
	json_decref(errors);
	json_decref(files);
}

/** `before`, then often `head`, a number and `tail` (NULL: only `head`), then `after`. */
static void expect_refused(const char *before, const char *head, const char *tail, int count,
			   const char *after, const char *message)
{
	size_t size = strlen(before) + (size_t)count * 128 + strlen(after) + 1, used = 0;
	char *text = malloc(size);
	json_t *files, *errors = NULL;
	struct dag *dag = NULL;

	assert_non_null(text);
	used += (size_t)snprintf(text, size, "%s", before);
	for (int i = 0; i < count; i++)
		used += (size_t)(tail == NULL ? snprintf(text + used, size - used, "%s", head)
					      : snprintf(text + used, size - used, "%s%d%s", head,
							 i, tail));
	(void)snprintf(text + used, size - used, "%s", after);
	files = folder(text);
	assert_int_equal(manifest_parse(files, &dag, &errors), ERR_CONFIG);
	assert_non_null(strstr(text_of(json_array_get(errors, 0), "message"), message));
	json_decref(errors);
	json_decref(files);
	free(text);
}

static void test_manifest_sizes_are_bounded(void **state)
{
	static const char rest[] = "\ndag: d\ntasks: {t: {command: x}}\n";

	(void)state;
	expect_refused("params: ", "[", NULL, 10000, rest, "too deeply nested");
	expect_refused("params: {", "k", ": 1,", 50000, "}", "too many keys");
	expect_refused("params: [", "", ",", 110000, "]", "too many values");
	expect_refused("tags: [", "k", ",", 5000, "]\ndag: d\ntasks: {t: {command: x}}\n",
		       "at most 1000 texts");
	expect_refused("dag: d\ntasks:\n", "  t", ": {command: x}\n", 1500, "", "1 to 1000 tasks");
	expect_refused("#", "x", "y", 300000, rest, "at most 1 MiB");
}

static void test_manifest_without_what_it_must_have(void **state)
{
	json_t *files = json_object(), *errors = NULL;
	struct dag *dag = NULL;

	(void)state;
	assert_int_equal(manifest_parse(files, &dag, &errors), ERR_CONFIG);
	assert_string_equal(text_of(json_array_get(errors, 0), "message"),
			    "there is no pipeline.yaml");
	json_decref(errors);
	json_decref(files);
	expect_error("tasks: {t: {command: x}}", 1, 1, "has no name", NULL);
	expect_error("dag: d # tasks:", 1, 1, "no `tasks`", NULL);
	expect_error("dag: d\ntasks: {}", 2, 8, "1 to 1000 tasks", NULL);
	expect_error("# tasks:", 1, 1, "empty", NULL);
}

static void write_file(const char *dir, const char *name, const char *text, size_t size)
{
	char path[TEMP_PATH_SIZE + 64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	assert_int_equal(close(fd), 0);
}

static void test_manifest_folder_is_read(void **state)
{
	char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 64], reterr[512] = "";
	static char large[(1 << 20) + 1];
	json_t *files = NULL;

	(void)state;
	temp_dir_make(dir);
	assert_int_equal(manifest_read_folder(dir, &files, reterr, sizeof(reterr)), -ENOENT);
	assert_non_null(strstr(reterr, "pipeline.yaml"));
	(void)snprintf(path, sizeof(path), "%s/sql", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(dir, "pipeline.yaml", "dag: d\n", 7);
	write_file(dir, "sql/a.sql", "SELECT 1", 8);
	write_file(dir, "sql/.hidden.sql", "x", 1);
	write_file(dir, "notes.txt", "x", 1);
	assert_int_equal(manifest_read_folder(dir, &files, reterr, sizeof(reterr)), 0);
	assert_int_equal(json_object_size(files), 2);
	assert_string_equal(text_of(files, "sql/a.sql"), "SELECT 1");
	json_decref(files);
	write_file(dir, "b.sql", "\xff\xfe", 2);
	assert_int_equal(manifest_read_folder(dir, &files, reterr, sizeof(reterr)), ERR_MALFORMED);
	assert_non_null(strstr(reterr, "b.sql"));
	memset(large, 'x', sizeof(large));
	write_file(dir, "b.sql", large, sizeof(large));
	assert_int_equal(manifest_read_folder(dir, &files, reterr, sizeof(reterr)), ERR_TOO_LARGE);
	(void)snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(manifest_read_folder(path, &files, reterr, sizeof(reterr)), -ENOENT);
	temp_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_makes_the_dag),
		cmocka_unit_test(test_manifest_orders_tasks_and_sums_priorities),
		cmocka_unit_test(test_manifest_diamond_counts_a_descendant_once),
		cmocka_unit_test(test_manifest_versions_follow_contents),
		cmocka_unit_test(test_digest_is_sha_256),
		cmocka_unit_test(test_manifest_yaml_traps_have_hints),
		cmocka_unit_test(test_manifest_refuses_what_yaml_can_do_beyond_a_tree),
		cmocka_unit_test(test_manifest_unknown_names_have_suggestions),
		cmocka_unit_test(test_manifest_cycles_are_named),
		cmocka_unit_test(test_manifest_sql_tasks_are_consistent),
		cmocka_unit_test(test_manifest_other_tasks_are_consistent),
		cmocka_unit_test(test_manifest_schedules_and_topics_are_checked),
		cmocka_unit_test(test_manifest_tells_many_errors_at_once_but_not_endlessly),
		cmocka_unit_test(test_manifest_sizes_are_bounded),
		cmocka_unit_test(test_manifest_without_what_it_must_have),
		cmocka_unit_test(test_manifest_folder_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

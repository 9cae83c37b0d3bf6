/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/manifest_task.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "orchestrate/template.h"

#define SECOND_US INT64_C(1000000)

#define OPTION_KEYS                                                                                \
	"retries", "retry_delay", "retry_backoff", "retry_delay_max", "timeout", "pool",           \
		"pool_slots", "priority_weight", "trigger_rule"

/* What keys a task has by what it does: its own after the common ones. */
static const char *const keys[][24] = {
	[TASK_SQL] = { "sql", "after", OPTION_KEYS, "reads", "writes", "mode", "key",
		       "partition_by", "replace_where", "merge_schema", "limit", "memory",
		       "threads" },
	[TASK_COMMAND] = { "command", "after", OPTION_KEYS, "env", "output" },
	[TASK_HTTP] = { "http", "after", OPTION_KEYS },
	[TASK_CHECK] = { "checks", "after", OPTION_KEYS },
	[TASK_SENSOR] = { "sensor", "after", OPTION_KEYS, "poke_interval", "soft_fail" },
	[TASK_NOTIFY] = { "notify", "after", OPTION_KEYS },
};

bool manifest_task_name_check(struct manifest_report *report, const struct yamltree_node *node,
			      const char *name, bool may_have_dots)
{
	size_t size = strspn(name, may_have_dots ? "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
						   "UVWXYZ0123456789_-."
						 : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
						   "UVWXYZ0123456789_-");
	bool is_good = size > 0 && name[size] == '\0' && size <= DAG_NAME_MAX &&
		       (isalnum((unsigned char)name[0]) || name[0] == '_');

	if (!is_good)
		manifest_value_refuse(
			report, node, NULL,
			"`%.60s` is not a name: letters, digits, _%s and -, a letter or "
			"digit first, at most %d",
			name, may_have_dots ? ", ." : "", DAG_NAME_MAX);
	return is_good;
}

void manifest_task_options(struct manifest_report *report, const struct yamltree_node *map,
			   struct dag_task *ret_task)
{
	static const char *const rules[] = { "all_success", "all_done", "one_failed",
					     "none_failed_min_one_success" };
	int64_t retries = ret_task->retries, slots = ret_task->pool_slots;
	int64_t weight = ret_task->priority_weight;
	int rule = (int)ret_task->rule;
	const char *pool = NULL;

	manifest_value_integer(report, yamltree_get(map, "retries"), 0, 1000, &retries);
	manifest_value_duration(report, yamltree_get(map, "retry_delay"),
				&ret_task->retry_delay_us);
	manifest_value_number(report, yamltree_get(map, "retry_backoff"), 0, 100,
			      &ret_task->retry_backoff);
	manifest_value_duration(report, yamltree_get(map, "retry_delay_max"),
				&ret_task->retry_delay_max_us);
	manifest_value_duration(report, yamltree_get(map, "timeout"), &ret_task->timeout_us);
	manifest_value_text(report, yamltree_get(map, "pool"), &pool);
	manifest_value_integer(report, yamltree_get(map, "pool_slots"), 1, 10000, &slots);
	manifest_value_integer(report, yamltree_get(map, "priority_weight"), -1000000, 1000000,
			       &weight);
	manifest_value_choice(report, yamltree_get(map, "trigger_rule"), rules, ARRAY_COUNT(rules),
			      &rule);
	ret_task->retries = (uint32_t)retries;
	ret_task->pool_slots = (uint32_t)slots;
	ret_task->priority_weight = (int32_t)weight;
	ret_task->rule = (enum trigger_rule)rule;
	if (pool != NULL &&
	    manifest_task_name_check(report, yamltree_get(map, "pool"), pool, false))
		(void)snprintf(ret_task->pool, sizeof(ret_task->pool), "%s", pool);
}

void manifest_task_defaults(struct manifest_report *report, const struct yamltree_node *node,
			    struct dag_task *ret_task)
{
	static const char *const default_keys[] = { OPTION_KEYS };

	memset(ret_task, 0, sizeof(*ret_task));
	ret_task->retry_delay_us = 300 * SECOND_US;
	ret_task->poke_us = 60 * SECOND_US;
	ret_task->pool_slots = 1;
	ret_task->priority_weight = 1;
	(void)snprintf(ret_task->pool, sizeof(ret_task->pool), "default_pool");
	node = manifest_value_map(report, node, "defaults", default_keys,
				  ARRAY_COUNT(default_keys));
	manifest_task_options(report, node, ret_task);
}

/** SQL of a node: a file of the folder when the text ends in ".sql", else the text. */
static void put_sql(struct manifest_report *report, const struct yamltree_node *node,
		    const struct manifest_task_names *names, json_t *spec)
{
	const char *text = NULL, *name, *found[256];
	char message[300], near[128];
	uint32_t line = 1;
	size_t length, count = 0;
	const json_t *file;
	json_t *value;

	manifest_value_text(report, node, &text);
	if (text == NULL)
		return;
	length = strlen(text);
	if (length < 4 || strcmp(text + length - 4, ".sql") != 0) {
		if (text[strspn(text, " \n")] == '\0')
			manifest_value_refuse(report, node, NULL, "there is no SQL here");
		manifest_value_template(report, node);
		manifest_value_put(report, spec, "sql", json_string(text));
		return;
	}
	file = json_object_get(names->files, text);
	if (file != NULL) {
		if (template_check(json_string_value(file), &line, message, sizeof(message)) != 0)
			manifest_value_refuse_at(report, text, line, 1, message, NULL);
		manifest_value_put(report, spec, "sql", json_string(json_string_value(file)));
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)names->files, name, value)
	{
		if (count < ARRAY_COUNT(found) && strcmp(name, MANIFEST_FILE) != 0)
			found[count++] = name;
	}
	manifest_value_refuse(report, node,
			      manifest_value_near(text, found, count, near, sizeof(near)),
			      "there is no file `%.100s` in the folder", text);
}

static void read_inputs(struct manifest_report *report, const struct yamltree_node *node,
			const struct manifest_task_names *names, bool has_writes, json_t *spec)
{
	static const char *const ways[] = { "new", "changed", "all" };
	json_t *reads;

	if (!manifest_value_is(report, node, YAMLTREE_MAP))
		return;
	reads = json_object();
	for (uint32_t i = 0; i < node->count; i++) {
		const struct yamltree_node *key = node->key[i];
		const char *table = NULL;
		int way = 2;

		if (json_object_get(names->topics, key->text) == NULL)
			manifest_value_table(report, key, &table);
		manifest_value_choice(report, node->at[i], ways, ARRAY_COUNT(ways), &way);
		if (way != 2 && !has_writes)
			manifest_value_refuse(
				report, node->at[i],
				"what was read is remembered with the table of `writes`",
				"`%s` needs `writes`", ways[way]);
		manifest_value_put(report, reads, key->text, json_string(ways[way]));
	}
	manifest_value_put(report, spec, "reads", reads);
}

/** `first` without `second`. */
static void refuse_alone(struct manifest_report *report, const struct yamltree_node *map,
			 const char *first, const char *second)
{
	if (yamltree_get(map, first) != NULL && yamltree_get(map, second) == NULL)
		manifest_value_refuse(report, yamltree_get(map, first), NULL, "`%s` needs `%s`",
				      first, second);
}

static void read_output(struct manifest_report *report, const struct yamltree_node *node,
			const char *table, json_t *spec)
{
	static const char *const modes[] = { "append", "overwrite", "replace_where", "merge" };
	const struct yamltree_node *mode = yamltree_get(node, "mode");
	const struct yamltree_node *key = yamltree_get(node, "key");
	const struct yamltree_node *where = yamltree_get(node, "replace_where");
	const char *condition = NULL;
	bool is_merging = false;
	json_t *columns;
	int index = 0;

	manifest_value_choice(report, mode, modes, ARRAY_COUNT(modes), &index);
	manifest_value_put(report, spec, "writes", json_string(table));
	manifest_value_put(report, spec, "mode", json_string(modes[index]));
	columns = manifest_value_texts(report, key);
	if (index == 3 && (key == NULL || (columns != NULL && json_array_size(columns) == 0)))
		manifest_value_refuse(report, mode, "add key: [the columns that tell rows apart]",
				      "mode merge needs `key`");
	if (index != 3 && key != NULL)
		manifest_value_refuse(report, key, NULL, "`key` is for mode merge");
	manifest_value_put(report, spec, "key", columns);
	manifest_value_put(report, spec, "partition_by",
			   manifest_value_texts(report, yamltree_get(node, "partition_by")));
	manifest_value_text(report, where, &condition);
	manifest_value_template(report, where);
	if (index == 2 && where == NULL)
		manifest_value_refuse(report, mode, "add replace_where: \"day = DATE '{{ ds }}'\"",
				      "mode replace_where needs `replace_where`");
	if (index != 2 && where != NULL)
		manifest_value_refuse(report, where, NULL,
				      "`replace_where` is for mode replace_where");
	if (condition != NULL)
		manifest_value_put(report, spec, "replace_where", json_string(condition));
	manifest_value_bool(report, yamltree_get(node, "merge_schema"), &is_merging);
	manifest_value_put(report, spec, "merge_schema", json_boolean(is_merging));
}

static void put_integer(struct manifest_report *report, json_t *spec, const char *key,
			int64_t value)
{
	if (value != 0)
		manifest_value_put(report, spec, key, json_integer(value));
}

static void read_sql(struct manifest_report *report, const struct yamltree_node *node,
		     const struct manifest_task_names *names, json_t *spec)
{
	static const char *const of_output[] = { "mode", "key", "partition_by", "replace_where",
						 "merge_schema" };
	const char *table = NULL;
	int64_t limit = 0, memory = 0, cpus = 0;

	put_sql(report, yamltree_get(node, "sql"), names, spec);
	manifest_value_table(report, yamltree_get(node, "writes"), &table);
	read_inputs(report, yamltree_get(node, "reads"), names,
		    yamltree_get(node, "writes") != NULL, spec);
	if (table != NULL)
		read_output(report, node, table, spec);
	for (size_t i = 0; i < ARRAY_COUNT(of_output); i++)
		refuse_alone(report, node, of_output[i], "writes");
	manifest_value_integer(report, yamltree_get(node, "limit"), 1, INT64_C(1) << 40, &limit);
	manifest_value_size(report, yamltree_get(node, "memory"), &memory);
	manifest_value_integer(report, yamltree_get(node, "threads"), 1, 1024, &cpus);
	put_integer(report, spec, "limit", limit);
	put_integer(report, spec, "memory", memory);
	put_integer(report, spec, "threads", cpus);
}

static void read_command(struct manifest_report *report, const struct yamltree_node *node,
			 json_t *spec)
{
	static const char *const outputs[] = { "none", "text", "json" };
	const struct yamltree_node *command = yamltree_get(node, "command");
	const struct yamltree_node *env = yamltree_get(node, "env");
	json_t *names = json_object();
	const char *text = NULL;
	int output = 0;

	if (command->kind == YAMLTREE_LIST) {
		if (command->count == 0)
			manifest_value_refuse(report, command, NULL, "there is no command here");
		for (uint32_t i = 0; i < command->count; i++)
			manifest_value_text(report, command->at[i], &text);
	} else {
		manifest_value_text(report, command, &text);
		if (text != NULL && text[strspn(text, " \n")] == '\0')
			manifest_value_refuse(report, command, NULL, "there is no command here");
	}
	manifest_value_templates(report, command);
	manifest_value_put(report, spec, "command", yamltree_json(command));
	for (uint32_t i = 0; manifest_value_is(report, env, YAMLTREE_MAP) && i < env->count; i++) {
		const char *value = "", *name = env->key[i]->text;

		if (*name == '\0' || isdigit((unsigned char)*name) ||
		    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_")] != '\0')
			manifest_value_refuse(report, env->key[i], NULL,
					      "`%.60s` is not the name of a variable", name);
		manifest_value_scalar(report, env->at[i], &value);
		manifest_value_template(report, env->at[i]);
		manifest_value_put(report, names, name, json_string(value));
	}
	manifest_value_put(report, spec, "env", names);
	manifest_value_choice(report, yamltree_get(node, "output"), outputs, ARRAY_COUNT(outputs),
			      &output);
	manifest_value_put(report, spec, "output", json_string(outputs[output]));
}

static void put_text(struct manifest_report *report, const struct yamltree_node *map,
		     const char *key, json_t *spec)
{
	const char *text = NULL;

	manifest_value_text(report, yamltree_get(map, key), &text);
	manifest_value_template(report, yamltree_get(map, key));
	if (text != NULL)
		manifest_value_put(report, spec, key, json_string(text));
}

static void read_status(struct manifest_report *report, const struct yamltree_node *node,
			json_t *spec)
{
	json_t *wanted;

	if (!manifest_value_is(report, node, YAMLTREE_LIST))
		return;
	wanted = json_array();
	for (uint32_t i = 0; i < node->count; i++) {
		int64_t status = 200;

		manifest_value_integer(report, node->at[i], 100, 599, &status);
		if (json_array_append_new(wanted, json_integer(status)) != 0)
			report->is_out_of_memory = true;
	}
	manifest_value_put(report, spec, "expect_status", wanted);
}

static void read_http(struct manifest_report *report, const struct yamltree_node *task,
		      json_t *spec)
{
	static const char *const http_keys[] = { "url",     "conn", "path", "method",
						 "headers", "json", "body", "expect_status" };
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD" };
	const struct yamltree_node *node = yamltree_get(task, "http"), *headers;
	json_t *fields = json_object();
	bool has_body;
	int method;

	node = manifest_value_map(report, node, "http", http_keys, ARRAY_COUNT(http_keys));
	has_body = yamltree_get(node, "json") != NULL || yamltree_get(node, "body") != NULL;
	method = has_body ? 1 : 0;
	if (node != NULL &&
	    (yamltree_get(node, "url") != NULL) == (yamltree_get(node, "conn") != NULL))
		manifest_value_refuse(report, node, NULL, "one of `url` and `conn` is needed");
	refuse_alone(report, node, "path", "conn");
	if (yamltree_get(node, "json") != NULL && yamltree_get(node, "body") != NULL)
		manifest_value_refuse(report, yamltree_get(node, "body"), NULL,
				      "`json` and `body` exclude each other");
	put_text(report, node, "url", spec);
	put_text(report, node, "conn", spec);
	put_text(report, node, "path", spec);
	put_text(report, node, "body", spec);
	manifest_value_choice(report, yamltree_get(node, "method"), methods, ARRAY_COUNT(methods),
			      &method);
	manifest_value_put(report, spec, "method", json_string(methods[method]));
	headers = yamltree_get(node, "headers");
	for (uint32_t i = 0; manifest_value_is(report, headers, YAMLTREE_MAP) && i < headers->count;
	     i++) {
		const char *value = "";

		manifest_value_scalar(report, headers->at[i], &value);
		manifest_value_template(report, headers->at[i]);
		manifest_value_put(report, fields, headers->key[i]->text, json_string(value));
	}
	manifest_value_put(report, spec, "headers", fields);
	manifest_value_templates(report, yamltree_get(node, "json"));
	manifest_value_put(report, spec, "json",
			   manifest_value_json(report, yamltree_get(node, "json")));
	read_status(report, yamltree_get(node, "expect_status"), spec);
}

static const char *skip_number(const char *at)
{
	char *end;

	at += strspn(at, " ");
	if (strchr("+-.0123456789", *at) == NULL || *at == '\0')
		return NULL;
	(void)strtod(at, &end);
	return end == at ? NULL : end + strspn(end, " ");
}

/** "none", a comparison with a number, or "between A and B". */
static bool is_expectation(const char *text)
{
	static const char *const signs[] = { "==", "!=", "<>", ">=", "<=", "=", ">", "<" };
	const char *at;

	if (strcmp(text, "none") == 0)
		return true;
	if (strncmp(text, "between ", 8) == 0) {
		at = skip_number(text + 8);
		if (at == NULL || strncmp(at, "and ", 4) != 0)
			return false;
		at = skip_number(at + 4);
		return at != NULL && *at == '\0';
	}
	for (size_t i = 0; i < ARRAY_COUNT(signs); i++) {
		if (strncmp(text, signs[i], strlen(signs[i])) != 0)
			continue;
		at = skip_number(text + strlen(signs[i]));
		return at != NULL && *at == '\0';
	}
	return false;
}

static json_t *read_check(struct manifest_report *report, const struct yamltree_node *node,
			  const struct manifest_task_names *names)
{
	static const char *const check_keys[] = { "name", "sql", "expect", "severity" };
	static const char *const severities[] = { "error", "warn" };
	const char *name = NULL, *expect = NULL;
	json_t *check = json_object();
	int severity = 0;

	node = manifest_value_map(report, node, "a check", check_keys, ARRAY_COUNT(check_keys));
	for (size_t i = 0; node != NULL && i < 3; i++) {
		if (yamltree_get(node, check_keys[i]) == NULL)
			manifest_value_refuse(report, node, NULL, "a check needs `%s`",
					      check_keys[i]);
	}
	manifest_value_text(report, yamltree_get(node, "name"), &name);
	if (name != NULL &&
	    manifest_task_name_check(report, yamltree_get(node, "name"), name, false))
		manifest_value_put(report, check, "name", json_string(name));
	put_sql(report, yamltree_get(node, "sql"), names, check);
	manifest_value_text(report, yamltree_get(node, "expect"), &expect);
	manifest_value_template(report, yamltree_get(node, "expect"));
	if (expect != NULL) {
		if (strstr(expect, "{{") == NULL && !is_expectation(expect))
			manifest_value_refuse(report, yamltree_get(node, "expect"),
					      "write none, \"> 0\", \"= 0\", \"between 1 and 9\"",
					      "`%.60s` is nothing to expect", expect);
		manifest_value_put(report, check, "expect", json_string(expect));
	}
	manifest_value_choice(report, yamltree_get(node, "severity"), severities,
			      ARRAY_COUNT(severities), &severity);
	manifest_value_put(report, check, "severity", json_string(severities[severity]));
	return check;
}

static void read_checks(struct manifest_report *report, const struct yamltree_node *task,
			const struct manifest_task_names *names, json_t *spec)
{
	const struct yamltree_node *node = yamltree_get(task, "checks");
	json_t *checks;

	if (!manifest_value_is(report, node, YAMLTREE_LIST))
		return;
	if (node->count == 0)
		manifest_value_refuse(report, node, NULL, "there are no checks here");
	checks = json_array();
	for (uint32_t i = 0; i < node->count; i++) {
		json_t *check = read_check(report, node->at[i], names);
		const char *name = json_string_value(json_object_get(check, "name"));

		for (size_t k = 0; name != NULL && k < json_array_size(checks); k++) {
			const json_t *other = json_object_get(json_array_get(checks, k), "name");

			if (other != NULL && strcmp(json_string_value(other), name) == 0)
				manifest_value_refuse(report, node->at[i], NULL,
						      "a check `%.60s` is here already", name);
		}
		if (json_array_append_new(checks, check) != 0)
			report->is_out_of_memory = true;
	}
	manifest_value_put(report, spec, "checks", checks);
}

static void read_sensor(struct manifest_report *report, const struct yamltree_node *task,
			struct dag_task *ret_task)
{
	static const char *const sensor_keys[] = { "topic", "file", "time", "records" };
	const struct yamltree_node *node = yamltree_get(task, "sensor");
	uint32_t kinds = 0;
	int64_t records = 1;

	if (yamltree_get(task, "timeout") == NULL && ret_task->timeout_us == 0)
		ret_task->timeout_us = INT64_C(7) * 86400 * SECOND_US;
	manifest_value_duration(report, yamltree_get(task, "poke_interval"), &ret_task->poke_us);
	ret_task->poke_us = MAX(ret_task->poke_us, SECOND_US / 100);
	manifest_value_bool(report, yamltree_get(task, "soft_fail"), &ret_task->is_soft_fail);
	node = manifest_value_map(report, node, "a sensor", sensor_keys, ARRAY_COUNT(sensor_keys));
	for (size_t i = 0; i < 3; i++)
		kinds += yamltree_get(node, sensor_keys[i]) != NULL;
	if (node != NULL && kinds != 1)
		manifest_value_refuse(report, node, NULL,
				      "a sensor waits for one of `topic`, `file` and `time`");
	refuse_alone(report, node, "records", "topic");
	put_text(report, node, "topic", ret_task->spec);
	put_text(report, node, "file", ret_task->spec);
	put_text(report, node, "time", ret_task->spec);
	manifest_value_integer(report, yamltree_get(node, "records"), 1, INT64_MAX, &records);
	if (yamltree_get(node, "topic") != NULL)
		manifest_value_put(report, ret_task->spec, "records", json_integer(records));
}

static void read_notify(struct manifest_report *report, const struct yamltree_node *task,
			json_t *spec)
{
	static const char *const notify_keys[] = { "message", "conn" };
	const struct yamltree_node *node = yamltree_get(task, "notify");

	node = manifest_value_map(report, node, "notify", notify_keys, ARRAY_COUNT(notify_keys));
	if (node != NULL && yamltree_get(node, "message") == NULL)
		manifest_value_refuse(report, node, NULL, "notify needs `message`");
	put_text(report, node, "message", spec);
	put_text(report, node, "conn", spec);
}

/** @return what the task does; -1 (reported): nothing, or several things */
static int kind_of(struct manifest_report *report, const struct yamltree_node *name,
		   const struct yamltree_node *node)
{
	static const char *const names[] = {
		"sql", "command", "http", "checks", "sensor", "notify"
	};
	char near[128];
	const char *hint = NULL;
	int kind = -1;

	for (int i = 0; i < (int)ARRAY_COUNT(names); i++) {
		if (yamltree_get(node, names[i]) == NULL)
			continue;
		if (kind >= 0) {
			manifest_value_refuse(report, name, "make two tasks of it",
					      "task `%.60s` has both `%s` and `%s`", name->text,
					      names[kind], names[i]);
			return -1;
		}
		kind = i;
	}
	for (uint32_t i = 0; kind < 0 && hint == NULL && i < node->count; i++)
		hint = manifest_value_near(node->key[i]->text, names, ARRAY_COUNT(names), near,
					   sizeof(near));
	if (kind < 0)
		manifest_value_refuse(
			report, name, hint,
			"task `%.60s` does nothing: it has none of sql, command, http, "
			"checks, sensor and notify",
			name->text);
	return kind;
}

void manifest_task_read(struct manifest_report *report, const struct yamltree_node *name,
			const struct yamltree_node *node, const struct manifest_task_names *names,
			struct dag_task *ret_task)
{
	char what[80];
	size_t count = 0;
	int kind;

	if (manifest_task_name_check(report, name, name->text, false))
		(void)snprintf(ret_task->name, sizeof(ret_task->name), "%s", name->text);
	ret_task->spec = json_object();
	if (!manifest_value_is(report, node, YAMLTREE_MAP))
		return;
	kind = kind_of(report, name, node);
	if (kind < 0)
		return;
	ret_task->kind = (enum task_kind)kind;
	while (count < ARRAY_COUNT(keys[kind]) && keys[kind][count] != NULL)
		count++;
	(void)snprintf(what, sizeof(what), "a task with `%s`", keys[kind][0]);
	(void)manifest_value_map(report, node, what, keys[kind], count);
	manifest_task_options(report, node, ret_task);
	switch (ret_task->kind) {
	case TASK_SQL:
		read_sql(report, node, names, ret_task->spec);
		break;
	case TASK_COMMAND:
		read_command(report, node, ret_task->spec);
		break;
	case TASK_HTTP:
		read_http(report, node, ret_task->spec);
		break;
	case TASK_CHECK:
		read_checks(report, node, names, ret_task->spec);
		break;
	case TASK_SENSOR:
		read_sensor(report, node, ret_task);
		break;
	case TASK_NOTIFY:
		read_notify(report, node, ret_task->spec);
		break;
	default:
		CHECK(false);
	}
}

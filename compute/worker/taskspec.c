/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/taskspec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/task.h"

/** The message that is being judged. */
struct parsing {
	struct taskspec *spec;
	const json_t *message;
	int error;
	char *reterr;
	size_t reterr_size;
};

/** The first thing that is wrong counts. */
static PRINTF_LIKE(2, 3) void fail(struct parsing *parsing, const char *format, ...)
{
	va_list args;

	if (parsing->error != 0)
		return;
	parsing->error = ERR_CONFIG;
	va_start(args, format);
	(void)vsnprintf(parsing->reterr, parsing->reterr_size, format, args);
	va_end(args);
}

static const char *text_field(struct parsing *parsing, const char *name, const char *absent)
{
	const json_t *value = json_object_get(parsing->message, name);

	if (value == NULL || json_is_null(value))
		return absent;
	if (!json_is_string(value)) {
		fail(parsing, "\"%s\" is text", name);
		return absent;
	}
	return json_string_value(value);
}

static int64_t number_field(struct parsing *parsing, const char *name)
{
	const json_t *value = json_object_get(parsing->message, name);

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0) {
		fail(parsing, "\"%s\" is a whole number from 0 up", name);
		return 0;
	}
	return json_integer_value(value);
}

static const json_t *typed_field(struct parsing *parsing, const char *name, json_type type)
{
	const json_t *value = json_object_get(parsing->message, name);

	if (value == NULL || json_is_null(value))
		return NULL;
	if (json_typeof(value) != type) {
		fail(parsing, "\"%s\" is %s", name, type == JSON_ARRAY ? "a list" : "an object");
		return NULL;
	}
	return value;
}

static uint32_t list_field(struct parsing *parsing, const char *name, const char **ret_list)
{
	const json_t *list = typed_field(parsing, name, JSON_ARRAY);
	const json_t *entry;
	size_t i;

	if (json_array_size(list) > TASKSPEC_LIST_MAX) {
		fail(parsing, "\"%s\" has more than %d entries", name, TASKSPEC_LIST_MAX);
		return 0;
	}
	json_array_foreach(list, i, entry)
	{
		if (!json_is_string(entry))
			fail(parsing, "\"%s\" is a list of column names", name);
		else
			ret_list[i] = json_string_value(entry);
	}
	return parsing->error == 0 ? (uint32_t)json_array_size(list) : 0;
}

/** Which of `names` [count] the text is. */
static uint32_t choice(struct parsing *parsing, const char *what, const char *text,
		       const char *const *names, uint32_t count)
{
	char list[128] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
					 i > 0 ? ", " : "", names[i]);
	}
	fail(parsing, "\"%s\" is one of %s", what, list);
	return 0;
}

static const char *const read_names[] = { "all", "changed", "new" };

static void parse_common(struct parsing *parsing)
{
	static const char *const kinds[] = { "sql", "check", "query", "tables", "table" };
	struct taskspec *spec = parsing->spec;
	const json_t *attempt = json_object_get(parsing->message, "attempt");

	if (!json_is_integer(attempt))
		fail(parsing, "\"attempt\" is a number");
	spec->attempt = json_integer_value(attempt);
	spec->kind = (enum taskspec_kind)choice(parsing, "kind", text_field(parsing, "kind", ""),
						kinds, ARRAY_COUNT(kinds));
	spec->dag = text_field(parsing, "dag", "");
	spec->task = text_field(parsing, "task", "");
	spec->run = text_field(parsing, "run", "");
	if (strlen(spec->dag) > TASK_NAME_MAX || strlen(spec->task) > TASK_NAME_MAX)
		fail(parsing, "a name is longer than %d bytes", TASK_NAME_MAX);
	spec->try_number = number_field(parsing, "try");
	spec->log = text_field(parsing, "log", NULL);
	spec->fence = text_field(parsing, "fence", NULL);
	spec->mask = typed_field(parsing, "mask", JSON_ARRAY);
	spec->memory = number_field(parsing, "memory");
	spec->threads = number_field(parsing, "threads");
	spec->timeout_ms = number_field(parsing, "timeout_ms");
	spec->topics = typed_field(parsing, "topics", JSON_OBJECT);
	if (spec->memory != 0 && spec->memory < (16 << 20))
		fail(parsing, "\"memory\" is at least 16 MiB");
	if (spec->threads > 1024)
		fail(parsing, "\"threads\" is at most 1024");
}

static void parse_topics(struct parsing *parsing)
{
	const json_t *topic;
	const char *name;

	/* jansson's iterators want what is not const; nothing is changed. */
	json_object_foreach((json_t *)(uintptr_t)parsing->spec->topics, name, topic)
	{
		const json_t *columns = json_object_get(topic, "columns");
		const json_t *quarantine = json_object_get(topic, "quarantine");

		if (!json_is_object(topic) || (columns != NULL && !json_is_object(columns)))
			fail(parsing, "topic %s: \"columns\" is an object", name);
		if (quarantine != NULL && !json_is_null(quarantine) &&
		    (!json_is_string(quarantine) ||
		     !taskspec_is_table(json_string_value(quarantine))))
			fail(parsing, "topic %s: \"quarantine\" is a table, schema.table", name);
	}
}

static void parse_sql(struct parsing *parsing)
{
	static const char *const modes[] = { "append", "overwrite", "replace_where", "merge" };
	struct taskspec *spec = parsing->spec;
	const json_t *read;
	const char *name;

	spec->reads = typed_field(parsing, "reads", JSON_OBJECT);
	json_object_foreach((json_t *)(uintptr_t)spec->reads, name, read)(void)
		choice(parsing, name, json_is_string(read) ? json_string_value(read) : "",
		       read_names, ARRAY_COUNT(read_names));
	spec->writes = text_field(parsing, "writes", NULL);
	if (spec->writes != NULL && !taskspec_is_table(spec->writes))
		fail(parsing, "\"writes\" is a table, schema.table, not %s", spec->writes);
	spec->mode = (enum delta_mode)choice(parsing, "mode", text_field(parsing, "mode", "append"),
					     modes, ARRAY_COUNT(modes));
	spec->key_count = list_field(parsing, "key", spec->key);
	spec->partition_count = list_field(parsing, "partition_by", spec->partition_by);
	spec->replace_where = text_field(parsing, "replace_where", NULL);
	spec->merge_schema = json_is_true(json_object_get(parsing->message, "merge_schema"));
	spec->skips_lost = strcmp(text_field(parsing, "on_lost", ""), "skip") == 0;
	spec->hash = text_field(parsing, "hash", "");
	if (spec->mode == DELTA_MERGE && spec->key_count == 0)
		fail(parsing, "mode merge wants \"key\"");
	if (spec->mode == DELTA_REPLACE_WHERE && spec->replace_where == NULL)
		fail(parsing, "mode replace_where wants \"replace_where\"");
}

static void parse_checks(struct parsing *parsing)
{
	const json_t *check;
	size_t i;

	parsing->spec->checks = typed_field(parsing, "checks", JSON_ARRAY);
	if (json_array_size(parsing->spec->checks) == 0)
		fail(parsing, "\"checks\" has none");
	json_array_foreach(parsing->spec->checks, i, check)
	{
		if (!json_is_string(json_object_get(check, "name")) ||
		    !json_is_string(json_object_get(check, "sql")) ||
		    !json_is_string(json_object_get(check, "expect")))
			fail(parsing, "check %zu wants \"name\", \"sql\" and \"expect\"", i + 1);
	}
}

static void parse_kind(struct parsing *parsing)
{
	struct taskspec *spec = parsing->spec;

	spec->limit = number_field(parsing, "limit");
	if (spec->kind == TASKSPEC_SQL || spec->kind == TASKSPEC_QUERY) {
		spec->sql = text_field(parsing, "sql", "");
		if (spec->sql[0] == '\0')
			fail(parsing, "\"sql\" is empty");
	}
	if (spec->kind == TASKSPEC_SQL)
		parse_sql(parsing);
	if (spec->kind == TASKSPEC_CHECK)
		parse_checks(parsing);
	if (spec->kind == TASKSPEC_TABLE) {
		spec->table = text_field(parsing, "table", "");
		if (!taskspec_is_table(spec->table))
			fail(parsing, "\"table\" is schema.table");
	}
}

int taskspec_parse(json_t *message, struct taskspec **ret_spec, char *reterr, size_t reterr_size)
{
	struct taskspec *spec = calloc(1, sizeof(*spec));
	struct parsing parsing = {
		.spec = spec,
		.message = message,
		.reterr = reterr,
		.reterr_size = reterr_size,
	};

	if (spec == NULL)
		return -ENOMEM;
	spec->message = json_incref(message);
	parse_common(&parsing);
	parse_topics(&parsing);
	if (parsing.error == 0)
		parse_kind(&parsing);
	if (parsing.error != 0) {
		taskspec_free(spec);
		return parsing.error;
	}
	*ret_spec = spec;
	return 0;
}

void taskspec_free(struct taskspec *spec)
{
	if (spec == NULL)
		return;
	json_decref(spec->message);
	free(spec);
}

enum taskspec_read taskspec_read(const struct taskspec *spec, const char *name)
{
	const char *text = json_string_value(json_object_get(spec->reads, name));

	for (uint32_t i = 0; text != NULL && i < ARRAY_COUNT(read_names); i++) {
		if (strcmp(text, read_names[i]) == 0)
			return (enum taskspec_read)i;
	}
	return TASKSPEC_ALL;
}

static bool is_name(const char *at, size_t size)
{
	if (size == 0 || size > TASK_NAME_MAX || (at[0] >= '0' && at[0] <= '9') || at[0] == '-')
		return false;
	for (size_t i = 0; i < size; i++) {
		const char byte = at[i];

		if (!(byte >= 'a' && byte <= 'z') && !(byte >= 'A' && byte <= 'Z') &&
		    !(byte >= '0' && byte <= '9') && byte != '_' && byte != '-')
			return false;
	}
	return true;
}

bool taskspec_is_table(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL && is_name(name, (size_t)(dot - name)) &&
	       is_name(dot + 1, strlen(dot + 1));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Kind check: queries that say whether the data are as they should be. */
#include "compute/worker/taskcheck.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#include "compute/worker/taskjob.h"

#define ROWS_MAX  10
#define VALUE_MAX 128

/* ---- the rule ---- */

static const struct {
	const char *sign;
	enum taskcheck_kind kind;
} signs[] = {
	{ ">=", TASKCHECK_GREATER_EQUAL }, { "<=", TASKCHECK_LESS_EQUAL },
	{ "!=", TASKCHECK_NOT_EQUAL },     { "<>", TASKCHECK_NOT_EQUAL },
	{ "==", TASKCHECK_EQUAL },         { ">", TASKCHECK_GREATER },
	{ "<", TASKCHECK_LESS },           { "=", TASKCHECK_EQUAL },
};

static const char *skip_blanks(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

/** A number at *at, which moves behind it and the blanks that follow. */
static bool number(const char **at, double *ret_value)
{
	char *end;

	*ret_value = strtod(*at, &end);
	if (end == *at || !isfinite(*ret_value))
		return false;
	*at = skip_blanks(end);
	return true;
}

static bool parse_between(const char *at, struct taskcheck_rule *rule)
{
	rule->kind = TASKCHECK_BETWEEN;
	if (!number(&at, &rule->low) || strncasecmp(at, "and", 3) != 0)
		return false;
	at = skip_blanks(at + 3);
	return number(&at, &rule->high) && *at == '\0' && rule->low <= rule->high;
}

static bool parse_rule(const char *at, struct taskcheck_rule *rule)
{
	at = skip_blanks(at);
	if (strncasecmp(at, "between", 7) == 0 && isspace((unsigned char)at[7]))
		return parse_between(skip_blanks(at + 7), rule);
	if (strncasecmp(at, "none", 4) == 0) {
		rule->kind = TASKCHECK_NONE;
		return *skip_blanks(at + 4) == '\0';
	}
	for (size_t i = 0; i < ARRAY_COUNT(signs); i++) {
		const size_t size = strlen(signs[i].sign);

		if (strncmp(at, signs[i].sign, size) == 0) {
			rule->kind = signs[i].kind;
			at = skip_blanks(at + size);
			return number(&at, &rule->low) && *at == '\0';
		}
	}
	return false;
}

int taskcheck_parse(const char *text, struct taskcheck_rule *ret_rule, char *reterr,
		    size_t reterr_size)
{
	struct taskcheck_rule rule = { 0 };

	if (!parse_rule(text, &rule)) {
		(void)snprintf(reterr, reterr_size,
			       "expect: \"%.60s\" is not understood: > 0, >= 1, < 0.01, <= 9, = 0, "
			       "!= 3, between 1 and 9, or none",
			       text);
		return ERR_CONFIG;
	}
	*ret_rule = rule;
	return 0;
}

bool taskcheck_holds(const struct taskcheck_rule *rule, double value)
{
	switch (rule->kind) {
	case TASKCHECK_GREATER:
		return value > rule->low;
	case TASKCHECK_GREATER_EQUAL:
		return value >= rule->low;
	case TASKCHECK_LESS:
		return value < rule->low;
	case TASKCHECK_LESS_EQUAL:
		return value <= rule->low;
	case TASKCHECK_EQUAL:
		return value >= rule->low && value <= rule->low; /* == is a warning; not for NaN */
	case TASKCHECK_NOT_EQUAL:
		return value < rule->low || value > rule->low;
	case TASKCHECK_BETWEEN:
		return value >= rule->low && value <= rule->high;
	case TASKCHECK_NONE:
		break;
	}
	return false;
}

/* ---- the queries ---- */

/** One check under way. */
struct check {
	const char *name, *expect;
	bool is_warning; /* severity warn */
	bool has_passed;
	char value[VALUE_MAX];
	char message[512];
	json_t *rows; /* offenders */
};

static void judge_none(struct check *check, struct duck_result *result)
{
	json_t *rows = taskjob_rows(result, ROWS_MAX);
	const bool is_more = json_is_true(json_object_get(rows, "truncated"));
	const int64_t count = json_integer_value(json_object_get(rows, "rows"));

	check->has_passed = count == 0;
	check->rows = json_incref(json_object_get(rows, "data"));
	(void)snprintf(check->value, sizeof(check->value), "%s%" PRId64 " rows",
		       is_more ? "more than " : "", count);
	json_decref(rows);
}

static void judge_value(struct check *check, const struct taskcheck_rule *rule,
			struct duck_result *result)
{
	const uint32_t rows = duck_result_chunk(result);
	const char *text;
	size_t size;
	char *end;
	double value;

	if (rows != 1 || duck_result_columns(result) != 1) {
		(void)snprintf(check->value, sizeof(check->value),
			       "%u rows of %u columns where one value is wanted", rows,
			       duck_result_columns(result));
		return;
	}
	text = duck_result_text(result, 0, 0, &size);
	if (text == NULL) {
		(void)snprintf(check->value, sizeof(check->value), "null");
		return;
	}
	(void)snprintf(check->value, sizeof(check->value), "%.*s", (int)MIN(size, (size_t)100),
		       text);
	value = strtod(check->value, &end);
	if (strcmp(check->value, "true") == 0 || strcmp(check->value, "false") == 0)
		value = check->value[0] == 't';
	else if (end == check->value || *end != '\0')
		value = (double)NAN; /* holds for nothing */
	check->has_passed = taskcheck_holds(rule, value);
}

/** @return 0, also when it does not hold; -1 its SQL failed */
static int run_check(struct taskjob *job, const char *sql, struct check *check)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	struct taskcheck_rule rule = { 0 };
	char message[256];
	char *limited = NULL;
	int error = taskcheck_parse(check->expect, &rule, message, sizeof(message));

	if (error != 0)
		return taskjob_fail(job, "user", "check %s: %s", check->name, message);
	if (taskjob_views(job, sql) != 0)
		return -1;
	limited = taskjob_limited(sql, ROWS_MAX + 1);
	if (limited == NULL)
		return taskjob_fail(job, "memory", "no memory for the SQL");
	error = taskjob_sql(job, limited, &result);
	free(limited);
	if (error != 0)
		return -1;
	if (rule.kind == TASKCHECK_NONE)
		judge_none(check, result);
	else
		judge_value(check, &rule, result);
	if (!check->has_passed)
		(void)snprintf(check->message, sizeof(check->message),
			       "check %s does not hold: expected %s, found %s", check->name,
			       check->expect, check->value);
	return 0;
}

/** What people read first: the rule, the value, the first offenders. */
static void describe(struct taskjob *job, const struct check *check)
{
	char *rows =
		json_array_size(check->rows) > 0 ? json_dumps(check->rows, JSON_COMPACT) : NULL;

	attemptlog_line(job->log, check->is_warning ? "warning" : "error", "%s%s%s", check->message,
			rows != NULL ? ": " : "", rows != NULL ? rows : "");
	if (!check->is_warning && job->reason == NULL)
		(void)taskjob_fail(job, "check", "%s%s%.2000s", check->message,
				   rows != NULL ? ": " : "", rows != NULL ? rows : "");
	free(rows);
}

static json_t *check_json(const struct check *check)
{
	json_t *value = json_string(check->value);

	return json_pack("{ss sb ss so ss so}", "name", check->name, "passed", check->has_passed,
			 "severity", check->is_warning ? "warn" : "error", "value",
			 value != NULL ? value : json_null(), "message", check->message, "rows",
			 check->rows != NULL ? json_incref(check->rows) : json_array());
}

int taskcheck_run(struct taskjob *job)
{
	json_t *results = json_array();
	const json_t *entry;
	size_t i;

	if (taskjob_topics(job) != 0) {
		json_decref(results);
		return -1;
	}
	job->result = json_pack("{so}", "checks", results);
	json_array_foreach(job->spec->checks, i, entry)
	{
		const char *severity = json_string_value(json_object_get(entry, "severity"));
		struct check check = {
			.name = json_string_value(json_object_get(entry, "name")),
			.expect = json_string_value(json_object_get(entry, "expect")),
			.is_warning = severity != NULL && strcmp(severity, "warn") == 0,
		};

		if (run_check(job, json_string_value(json_object_get(entry, "sql")), &check) != 0)
			return -1;
		if (check.has_passed)
			attemptlog_line(job->log, "info", "check %s holds: %s, found %s",
					check.name, check.expect, check.value);
		else
			describe(job, &check);
		(void)json_array_append_new(results, check_json(&check));
		json_decref(check.rows);
	}
	return job->reason != NULL ? -1 : 0;
}

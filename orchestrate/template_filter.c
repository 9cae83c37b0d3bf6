/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "orchestrate/civil.h"
#include "orchestrate/template_impl.h"

#define DAYS_MAX 10000000 /* more than the years that have four digits */

/** @return new reference; NULL with render->error */
typedef json_t *filter_fn(struct template_render *render, json_t *value, json_t *const *args);

/* Make a value of what was gathered. */
static json_t *finish(struct template_render *render, struct template_text *text, int error)
{
	json_t *value = error == 0 ? template_text_take(text) : NULL;

	free(text->bytes);
	if (value == NULL)
		template_fail(render, error != 0 ? error : ERR_MALFORMED,
			      "a value is too large, or not UTF-8");
	return value;
}

static bool needs_text(struct template_render *render, const json_t *value, const char *filter)
{
	if (!json_is_string(value))
		template_fail(render, ERR_MALFORMED, "%s wants texts", filter);
	return json_is_string(value);
}

static json_t *to_json(struct template_render *render, json_t *value, json_t *const *args)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	json_t *result = text != NULL ? json_string(text) : NULL;

	(void)args;
	free(text);
	if (result == NULL)
		template_fail(render, -ENOMEM, "no memory");
	return result;
}

static int quote(struct template_text *text, const json_t *value)
{
	const char *at = json_string_value(value);
	int error;

	if (!json_is_string(value))
		return template_text_value(text, value);
	error = template_text_add(text, "'", 1);
	while (error == 0 && *at != '\0') {
		size_t size = strcspn(at, "'");

		error = template_text_add(text, at, size);
		at += size;
		if (error == 0 && *at == '\'') {
			error = template_text_add(text, "''", 2);
			at++;
		}
	}
	return error == 0 ? template_text_add(text, "'", 1) : error;
}

/* A literal of SQL; of a list, literals between commas. */
static json_t *quote_sql(struct template_render *render, json_t *value, json_t *const *args)
{
	struct template_text text = { 0 };
	const json_t *item;
	int error = 0;
	size_t i;

	(void)args;
	if (!json_is_array(value) && !json_is_object(value))
		return finish(render, &text, quote(&text, value));
	json_array_foreach(value, i, item)
	{
		if (error == 0 && i > 0)
			error = template_text_add(&text, ", ", 2);
		if (error == 0 && (json_is_array(item) || json_is_object(item)))
			error = ERR_MALFORMED;
		if (error == 0)
			error = quote(&text, item);
	}
	if (error == ERR_MALFORMED || json_is_object(value))
		template_fail(render, ERR_MALFORMED,
			      "quote_sql wants plain values or a list of them");
	return finish(render, &text, error);
}

static json_t *ds_add(struct template_render *render, json_t *value, json_t *const *args)
{
	struct civil_date date = { 0 };
	char text[40];
	int end = 0;

	if (!json_is_string(value) || !json_is_integer(args[0]) ||
	    sscanf(json_string_value(value), "%4d-%2d-%2d%n", &date.year, &date.month, &date.day,
		   &end) != 3 ||
	    end != 10 || json_string_value(value)[10] != '\0' || date.year < 1 || date.month < 1 ||
	    date.month > 12 || date.day < 1 || date.day > civil_month_days(date.year, date.month) ||
	    json_integer_value(args[0]) > DAYS_MAX || json_integer_value(args[0]) < -DAYS_MAX) {
		template_fail(render, ERR_MALFORMED,
			      "ds_add wants a date as 2026-01-31 and a number of days");
		return NULL;
	}
	date = civil_from_days(civil_to_days(date) + json_integer_value(args[0]));
	if (date.year < 1 || date.year > 9999) {
		template_fail(render, ERR_MALFORMED, "ds_add leaves the years 1 to 9999");
		return NULL;
	}
	(void)snprintf(text, sizeof(text), "%04d-%02d-%02d", date.year, date.month, date.day);
	return json_string(text);
}

static json_t *change_case(struct template_render *render, json_t *value, const char *filter,
			   int (*change)(int c))
{
	struct template_text text = { 0 };
	int error;

	if (!needs_text(render, value, filter))
		return NULL;
	error = template_text_add(&text, json_string_value(value), json_string_length(value));
	for (size_t i = 0; error == 0 && i < text.size; i++) {
		if (isascii((unsigned char)text.bytes[i]))
			text.bytes[i] = (char)change((unsigned char)text.bytes[i]);
	}
	return finish(render, &text, error);
}

static json_t *upper(struct template_render *render, json_t *value, json_t *const *args)
{
	(void)args;
	return change_case(render, value, "upper", toupper);
}

static json_t *lower(struct template_render *render, json_t *value, json_t *const *args)
{
	(void)args;
	return change_case(render, value, "lower", tolower);
}

static json_t *replace(struct template_render *render, json_t *value, json_t *const *args)
{
	struct template_text text = { 0 };
	const char *at, *from, *found;
	int error = 0;

	if (!needs_text(render, value, "replace") || !needs_text(render, args[0], "replace") ||
	    !needs_text(render, args[1], "replace"))
		return NULL;
	at = json_string_value(value);
	from = json_string_value(args[0]);
	while (error == 0 && *from != '\0' && (found = strstr(at, from)) != NULL) {
		error = template_text_add(&text, at, (size_t)(found - at));
		if (error == 0)
			error = template_text_value(&text, args[1]);
		at = found + strlen(from);
	}
	if (error == 0)
		error = template_text_add(&text, at, strlen(at));
	return finish(render, &text, error);
}

static json_t *join(struct template_render *render, json_t *value, json_t *const *args)
{
	struct template_text text = { 0 };
	const json_t *item;
	int error = 0;
	size_t i;

	if (!json_is_array(value) || !json_is_string(args[0])) {
		template_fail(render, ERR_MALFORMED, "join wants a list and a text to put between");
		return NULL;
	}
	json_array_foreach(value, i, item)
	{
		if (error == 0 && i > 0)
			error = template_text_value(&text, args[0]);
		if (error == 0)
			error = template_text_value(&text, item);
	}
	return finish(render, &text, error);
}

/* Characters of a text, not bytes. */
static json_t *length(struct template_render *render, json_t *value, json_t *const *args)
{
	json_int_t count = 0;

	(void)args;
	if (json_is_array(value))
		return json_integer((json_int_t)json_array_size(value));
	if (json_is_object(value))
		return json_integer((json_int_t)json_object_size(value));
	if (!json_is_string(value)) {
		template_fail(render, ERR_MALFORMED, "length wants a text, a list or an object");
		return NULL;
	}
	for (const char *at = json_string_value(value); *at != '\0'; at++)
		count += (*at & 0xc0) != 0x80;
	return json_integer(count);
}

static const struct filter {
	const char *name;
	uint32_t arg_min, arg_max;
	filter_fn *fn; /* NULL: the expression's own */
} filters[] = {
	{ "default", 1, 2, NULL },    { "tojson", 0, 0, to_json }, { "quote_sql", 0, 0, quote_sql },
	{ "ds_add", 1, 1, ds_add },   { "upper", 0, 0, upper },    { "lower", 0, 0, lower },
	{ "replace", 2, 2, replace }, { "join", 1, 1, join },      { "length", 0, 0, length },
};

static const struct filter *find(const char *name, size_t size)
{
	for (size_t i = 0; i < ARRAY_COUNT(filters); i++) {
		if (strlen(filters[i].name) == size && memcmp(filters[i].name, name, size) == 0)
			return &filters[i];
	}
	return NULL;
}

void template_filter_check(struct template_render *render, const char *name, size_t name_size,
			   uint32_t arg_count)
{
	const struct filter *filter = find(name, name_size);

	if (filter == NULL)
		template_fail(render, ERR_MALFORMED,
			      "there is no filter %.*s, only default, tojson, quote_sql, ds_add, "
			      "upper, lower, replace, join and length",
			      (int)name_size, name);
	else if (arg_count < filter->arg_min || arg_count > filter->arg_max)
		template_fail(render, ERR_MALFORMED, "%s takes %u argument%s, not %u", filter->name,
			      filter->arg_min, filter->arg_min == 1 ? "" : "s", arg_count);
}

json_t *template_filter(struct template_render *render, const char *name, size_t name_size,
			json_t *value, json_t *const *args)
{
	const struct filter *filter = find(name, name_size);

	CHECK(filter != NULL && filter->fn != NULL);
	return filter->fn(render, value, args);
}

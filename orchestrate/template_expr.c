/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrate/template_impl.h"

/*
 * expression: and_part { "or" and_part }       and_part: not_part { "and" not_part }
 * not_part:   "not" not_part | comparison      comparison: filtered [ sign filtered | "is" ["not"] "defined" ]
 * filtered:   primary { "|" filter }           primary: literal | path | "(" expression ")"
 *
 * A function yields NULL when it is not live, when it failed (render->error) or when the value is not
 * defined (render->undefined says why). Only `default` and `is defined` bear the last.
 */

void template_space(struct template_render *render)
{
	render->at += strspn(render->at, " \t\r\n");
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

bool template_word(struct template_render *render, const char *word)
{
	size_t size = strlen(word);

	template_space(render);
	if (strncmp(render->at, word, size) != 0 || is_name(render->at[size]))
		return false;
	render->at += size;
	return true;
}

bool template_sign(struct template_render *render, const char *sign)
{
	size_t size = strlen(sign);

	template_space(render);
	if (strncmp(render->at, sign, size) != 0)
		return false;
	render->at += size;
	return true;
}

size_t template_name(struct template_render *render, const char **ret_name)
{
	size_t size = 0;

	*ret_name = render->at;
	while (is_name(render->at[size]))
		size++;
	if (size == 0 || size > TEMPLATE_WORD_MAX) {
		template_fail(render, ERR_MALFORMED, "a name is expected");
		return 0;
	}
	render->at += size;
	return size;
}

bool template_is_true(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return json_object_size(value) > 0;
	case JSON_ARRAY:
		return json_array_size(value) > 0;
	case JSON_STRING:
		return json_string_length(value) > 0;
	case JSON_INTEGER:
		return json_integer_value(value) != 0;
	case JSON_REAL:
		return json_real_value(value) != 0;
	case JSON_TRUE:
		return true;
	case JSON_FALSE:
	case JSON_NULL:
	default:
		return false;
	}
}

/* A value that has to be there. */
static json_t *needed(struct template_render *render, json_t *value)
{
	if (value == NULL && render->is_live)
		template_fail(render, ERR_MALFORMED, "%s", render->undefined);
	return value;
}

/* ---- literals ---- */

static json_t *text_literal(struct template_render *render)
{
	struct template_text text = { 0 };
	char quote = *render->at++;
	int error = template_text_add(&text, "", 0);
	json_t *value;

	for (; error == 0 && *render->at != quote; render->at++) {
		char c = *render->at;

		if (c == '\\' && render->at[1] != '\0') {
			c = *++render->at;
			c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
		}
		if (*render->at == '\0') {
			free(text.bytes);
			template_fail(render, ERR_MALFORMED, "a text is never closed with %c",
				      quote);
			return NULL;
		}
		error = template_text_add(&text, &c, 1);
	}
	render->at += error == 0;
	value = error == 0 ? template_text_take(&text) : NULL;
	free(text.bytes);
	if (value == NULL)
		template_fail(render, ERR_MALFORMED, "a text is too long, or not UTF-8");
	return value;
}

static json_t *number(struct template_render *render)
{
	size_t size = strspn(render->at + 1, "0123456789") + 1;
	char *end;

	if (render->at[size] == '.' && isdigit((unsigned char)render->at[size + 1])) {
		double value = strtod(render->at, &end);

		render->at = end;
		return json_real(value);
	}
	errno = 0;
	if (size < TEMPLATE_WORD_MAX) {
		long long value = strtoll(render->at, &end, 10);

		if (errno == 0 && end > render->at) {
			render->at = end;
			return json_integer(value);
		}
	}
	template_fail(render, ERR_MALFORMED, "a number is expected");
	return NULL;
}

/* ---- paths ---- */

/* "xcom.bronze.rows is not defined; xcom has: silver": what exists where the path ended.
   @param from, to  the path so far; `parent` ends at `parent_to` */
static void explain(struct template_render *render, const char *from, const char *parent_to,
		    const json_t *parent)
{
	int size = (int)MIN((size_t)(render->at - from), (size_t)TEMPLATE_WORD_MAX);
	int parent_size = (int)MIN((size_t)(parent_to - from), (size_t)TEMPLATE_WORD_MAX);
	char *out = render->undefined;
	size_t room = sizeof(render->undefined), used;
	const char *name, *separator = " ";
	json_t *ignored;

	used = (size_t)snprintf(out, room, "%.*s is not defined; ", size, from);
	if (parent_size > 0)
		used += (size_t)snprintf(
			out + used, used < room ? room - used : 0, "%.*s %s", parent_size, from,
			json_is_object(parent) && json_object_size(parent) > 0 ? "has:"
									       : "has no parts");
	else
		used += (size_t)snprintf(out + used, used < room ? room - used : 0, "there are:");
	json_object_foreach((json_t *)(uintptr_t)parent, name, ignored)
	{
		if (used + strlen(name) + 8 > room)
			break;
		used += (size_t)snprintf(out + used, room - used, "%s%s", separator, name);
		separator = ", ";
	}
}

static json_t *root(const struct template_render *render, const char *name, size_t size)
{
	for (uint32_t i = render->local_count; i > 0; i--) {
		const struct template_local *local = &render->locals[i - 1];

		if (local->size == size && memcmp(local->name, name, size) == 0)
			return local->value;
	}
	return json_object_getn(render->names, name, size);
}

/* `[expression]` after a value. @return borrowed from `value`, NULL: not there */
static json_t *subscript(struct template_render *render, json_t *value)
{
	json_t *key = template_expression(render), *found = NULL;

	if (render->error == 0 && !template_sign(render, "]"))
		template_fail(render, ERR_MALFORMED, "] expected");
	if (key == NULL)
		return NULL;
	if (json_is_string(key)) {
		found = json_object_get(value, json_string_value(key));
	} else if (json_is_integer(key)) {
		json_int_t index = json_integer_value(key);

		index += index < 0 ? (json_int_t)json_array_size(value) : 0;
		found = index >= 0 ? json_array_get(value, (size_t)index) : NULL;
	}
	json_decref(key);
	return found;
}

static json_t *path(struct template_render *render)
{
	const char *from = render->at, *name, *parent_to = render->at;
	size_t size = template_name(render, &name);
	const json_t *parent = render->names;
	json_t *value;

	if (size == 0)
		return NULL;
	value = render->is_live ? root(render, name, size) : NULL;
	while (render->error == 0) {
		const char *to = render->at;
		json_t *child;

		if (*render->at == '.') {
			render->at++;
			size = template_name(render, &name);
			child = size > 0 ? json_object_getn(value, name, size) : NULL;
		} else if (*render->at == '[') {
			render->at++;
			child = subscript(render, value);
		} else {
			break;
		}
		if (value != NULL) {
			parent = value;
			parent_to = to;
		}
		value = child;
	}
	if (*render->at == '(')
		template_fail(render, ERR_MALFORMED, "nothing can be called; filters are x | name");
	if (render->is_live && value == NULL)
		explain(render, from, parent_to, parent);
	return render->error == 0 ? json_incref(value) : NULL;
}

static json_t *primary(struct template_render *render)
{
	json_t *value;

	template_space(render);
	if (*render->at == '\'' || *render->at == '"')
		return text_literal(render);
	if (isdigit((unsigned char)*render->at) || *render->at == '-')
		return number(render);
	if (template_word(render, "true") || template_word(render, "True"))
		return json_true();
	if (template_word(render, "false") || template_word(render, "False"))
		return json_false();
	if (template_word(render, "none") || template_word(render, "None"))
		return json_null();
	if (!template_sign(render, "("))
		return path(render);
	value = template_expression(render);
	if (render->error == 0 && !template_sign(render, ")"))
		template_fail(render, ERR_MALFORMED, ") expected");
	return value;
}

/* ---- filters ---- */

static uint32_t arguments(struct template_render *render, json_t **ret_args)
{
	uint32_t count = 0;

	if (!template_sign(render, "("))
		return 0;
	while (render->error == 0 && !template_sign(render, ")")) {
		if (count == TEMPLATE_ARGS_MAX || (count > 0 && !template_sign(render, ","))) {
			template_fail(render, ERR_MALFORMED, ") expected");
			break;
		}
		ret_args[count++] = template_expression(render);
	}
	return count;
}

static json_t *apply(struct template_render *render, json_t *value)
{
	json_t *args[TEMPLATE_ARGS_MAX] = { NULL }, *result = NULL;
	const char *name;
	size_t size;
	uint32_t count;

	template_space(render);
	size = template_name(render, &name);
	count = size > 0 ? arguments(render, args) : 0;
	if (render->error == 0)
		template_filter_check(render, name, size, count);
	if (render->error == 0 && render->is_live) {
		bool is_default = size == strlen("default") && memcmp(name, "default", size) == 0;

		/* default(x, true) takes the place of what is there but empty too. */
		if (!is_default && needed(render, value) != NULL)
			result = template_filter(render, name, size, value, args);
		else if (is_default && (value == NULL || (count == 2 && template_is_true(args[1]) &&
							  !template_is_true(value))))
			result = json_incref(args[0]);
		else
			result = json_incref(value);
	}
	for (size_t i = 0; i < TEMPLATE_ARGS_MAX; i++)
		json_decref(args[i]);
	json_decref(value);
	return result;
}

static json_t *filtered(struct template_render *render)
{
	json_t *value = primary(render);

	while (render->error == 0 && template_sign(render, "|"))
		value = apply(render, value);
	return value;
}

/* ---- comparisons ---- */

static bool is_equal(const json_t *left, const json_t *right)
{
	if (json_is_number(left) && json_is_number(right) &&
	    json_typeof(left) != json_typeof(right))
		return json_number_value(left) == json_number_value(right);
	return json_equal(left, right);
}

static int compare(struct template_render *render, const json_t *left, const json_t *right)
{
	if (json_is_string(left) && json_is_string(right))
		return strcmp(json_string_value(left), json_string_value(right));
	if (json_is_integer(left) && json_is_integer(right))
		return (json_integer_value(left) > json_integer_value(right)) -
		       (json_integer_value(left) < json_integer_value(right));
	if (json_is_number(left) && json_is_number(right))
		return (json_number_value(left) > json_number_value(right)) -
		       (json_number_value(left) < json_number_value(right));
	template_fail(render, ERR_MALFORMED, "only two numbers or two texts can be compared");
	return 0;
}

static bool contains(struct template_render *render, const json_t *list, const json_t *value)
{
	const json_t *item;
	size_t i;

	if (json_is_string(list) && json_is_string(value))
		return strstr(json_string_value(list), json_string_value(value)) != NULL;
	if (json_is_object(list) && json_is_string(value))
		return json_object_get(list, json_string_value(value)) != NULL;
	if (!json_is_array(list))
		template_fail(render, ERR_MALFORMED, "`in` wants a list, an object or a text");
	json_array_foreach(list, i, item)
	{
		if (is_equal(item, value))
			return true;
	}
	return false;
}

static json_t *relate(struct template_render *render, json_t *left, const char *sign)
{
	json_t *right;
	bool is_true = false;

	(void)needed(render, left);
	right = needed(render, filtered(render));
	if (render->error == 0 && render->is_live) {
		if (strcmp(sign, "in") == 0)
			is_true = contains(render, right, left);
		else if (strcmp(sign, "not in") == 0)
			is_true = !contains(render, right, left);
		else if (sign[0] == '=' || sign[0] == '!')
			is_true = is_equal(left, right) == (sign[0] == '=');
		else if (sign[0] == '<')
			is_true = compare(render, left, right) < (sign[1] == '=' ? 1 : 0);
		else
			is_true = compare(render, left, right) > (sign[1] == '=' ? -1 : 0);
	}
	json_decref(left);
	json_decref(right);
	return render->error == 0 && render->is_live ? json_boolean(is_true) : NULL;
}

static json_t *comparison(struct template_render *render)
{
	static const char *const signs[] = { "==", "!=", "<=", ">=", "<", ">" };
	json_t *value = filtered(render);
	bool is_defined = value != NULL, is_negated;

	if (render->error != 0)
		return value;
	if (template_word(render, "is")) {
		is_negated = template_word(render, "not");
		if (!template_word(render, "defined"))
			template_fail(render, ERR_MALFORMED, "`defined` expected after `is`");
		json_decref(value);
		return render->is_live ? json_boolean(is_defined != is_negated) : NULL;
	}
	for (size_t i = 0; i < ARRAY_COUNT(signs); i++) {
		if (template_sign(render, signs[i]))
			return relate(render, value, signs[i]);
	}
	if (template_word(render, "in"))
		return relate(render, value, "in");
	if (!template_word(render, "not"))
		return value;
	if (!template_word(render, "in"))
		template_fail(render, ERR_MALFORMED, "`in` expected after `not`");
	return relate(render, value, "not in");
}

static json_t *not_part(struct template_render *render)
{
	json_t *value;
	bool is_true;

	if (!template_word(render, "not"))
		return comparison(render);
	render->depth++;
	value = template_step(render) ? needed(render, not_part(render)) : NULL;
	render->depth--;
	is_true = value != NULL && template_is_true(value);
	json_decref(value);
	return value != NULL ? json_boolean(!is_true) : NULL;
}

/* The right side counts only if the left one did not decide; the last one read is the value. */
static json_t *joined(struct template_render *render, const char *word,
		      json_t *(*part)(struct template_render *render), bool decides)
{
	bool was_live = render->is_live;
	json_t *value = part(render), *right;

	while (render->error == 0 && template_word(render, word)) {
		(void)needed(render, value);
		render->is_live = was_live && value != NULL && template_is_true(value) != decides;
		right = needed(render, part(render));
		if (render->is_live) {
			json_decref(value);
			value = right;
		} else {
			json_decref(right);
		}
		render->is_live = was_live;
	}
	return value;
}

static json_t *and_part(struct template_render *render)
{
	return joined(render, "and", not_part, false);
}

json_t *template_expression(struct template_render *render)
{
	json_t *value = NULL;

	render->depth++;
	if (template_step(render))
		value = needed(render, joined(render, "or", and_part, true));
	render->depth--;
	return value;
}

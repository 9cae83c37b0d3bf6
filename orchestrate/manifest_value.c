/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/manifest_value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrate/template.h"

#define NEAR_NAME_MAX 64
#define TEXTS_MAX     1000 /* of one list: they are compared one by one */

void manifest_value_refuse_at(struct manifest_report *report, const char *file, uint32_t line,
			      uint32_t column, const char *message, const char *hint)
{
	json_t *error;

	if (json_array_size(report->errors) >= MANIFEST_ERRORS_MAX)
		return;
	error = json_pack("{s:s, s:I, s:I, s:s}", "file", file, "line", (json_int_t)line, "column",
			  (json_int_t)column, "message", message);
	manifest_value_put(report, error, "hint", hint != NULL ? json_string(hint) : json_null());
	if (error == NULL || json_array_append_new(report->errors, error) != 0)
		report->is_out_of_memory = true;
}

void manifest_value_refuse(struct manifest_report *report, const struct yamltree_node *node,
			   const char *hint, const char *format, ...)
{
	char message[512];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	manifest_value_refuse_at(report, MANIFEST_FILE, node->line, node->column, message, hint);
}

void manifest_value_put(struct manifest_report *report, json_t *object, const char *key,
			json_t *value)
{
	if (value == NULL)
		return;
	if (object == NULL || json_object_set_new(object, key, value) != 0)
		report->is_out_of_memory = true;
}

/** Levenshtein's distance, of names up to NEAR_NAME_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAR_NAME_MAX + 1], size_a = strlen(a), size_b = strlen(b);

	if (size_a > NEAR_NAME_MAX || size_b > NEAR_NAME_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= size_b; i++)
		row[i] = i;
	for (size_t i = 1; i <= size_a; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= size_b; k++) {
			size_t change = diagonal + (a[i - 1] != b[k - 1]);
			size_t insert = MIN(row[k], row[k - 1]) + 1;

			diagonal = row[k];
			row[k] = MIN(change, insert);
		}
	}
	return row[size_b];
}

const char *manifest_value_near(const char *name, const char *const *names, size_t count, char *ret,
				size_t size)
{
	size_t best = MAX(strlen(name) / 3, (size_t)1) + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t far = distance(name, names[i]);

		if (far < best) {
			best = far;
			nearest = names[i];
		}
	}
	if (nearest == NULL)
		return NULL;
	(void)snprintf(ret, size, "did you mean `%s`?", nearest);
	return ret;
}

bool manifest_value_is(struct manifest_report *report, const struct yamltree_node *node,
		       enum yamltree_kind kind)
{
	char hint[128];
	bool is_wrapped;

	if (node == NULL)
		return false;
	if (node->kind == kind)
		return true;
	is_wrapped = kind == YAMLTREE_LIST && node->kind == YAMLTREE_TEXT;
	if (is_wrapped)
		(void)snprintf(hint, sizeof(hint), "write [%.80s]", node->text);
	manifest_value_refuse(report, node, is_wrapped ? hint : NULL, "%s is expected here, not %s",
			      yamltree_kind_name(kind), yamltree_kind_name(node->kind));
	return false;
}

const struct yamltree_node *manifest_value_map(struct manifest_report *report,
					       const struct yamltree_node *node, const char *what,
					       const char *const *keys, size_t count)
{
	char near[128];

	if (!manifest_value_is(report, node, YAMLTREE_MAP))
		return NULL;
	for (uint32_t i = 0; i < node->count; i++) {
		const char *key = node->key[i]->text;
		bool is_known = false;

		for (size_t k = 0; k < count; k++)
			is_known |= strcmp(keys[k], key) == 0;
		if (is_known)
			continue;
		if (node->at[i]->kind == YAMLTREE_NOTHING && strchr(key, ' ') != NULL)
			manifest_value_refuse(report, node->key[i], "put the whole text in quotes",
					      "between { and } a comma ends a text: `%.60s` stands "
					      "alone",
					      key);
		else
			manifest_value_refuse(
				report, node->key[i],
				manifest_value_near(key, keys, count, near, sizeof(near)),
				"unknown key `%.60s` of %s", key, what);
	}
	return node;
}

/** Why a plain scalar is not what somebody may have meant; NULL: nothing to say. */
static const char *trap(const struct yamltree_node *node, enum yamltree_kind wanted)
{
	static const char *const truths[] = { "yes", "no", "on", "off", "y", "n" };

	if (!node->is_plain && node->kind == YAMLTREE_TEXT && wanted != YAMLTREE_TEXT)
		return "write it without quotes";
	if (wanted == YAMLTREE_TEXT)
		return "write it in quotes";
	for (size_t i = 0; i < ARRAY_COUNT(truths); i++) {
		if (wanted == YAMLTREE_BOOL && node->text != NULL &&
		    strcasecmp(node->text, truths[i]) == 0)
			return "write true or false";
	}
	if (wanted == YAMLTREE_NUMBER && node->text != NULL && node->text[0] == '0' &&
	    node->text[1] >= '0' && node->text[1] <= '9')
		return "numbers have no leading zeros";
	return NULL;
}

static bool is_scalar_kind(struct manifest_report *report, const struct yamltree_node *node,
			   enum yamltree_kind kind)
{
	if (node == NULL)
		return false;
	if (node->kind == kind)
		return true;
	if (node->text != NULL && node->kind != YAMLTREE_NOTHING)
		manifest_value_refuse(report, node, trap(node, kind), "%s is expected here, not %s",
				      yamltree_kind_name(kind), node->text);
	else
		manifest_value_refuse(report, node, NULL, "%s is expected here, not %s",
				      yamltree_kind_name(kind), yamltree_kind_name(node->kind));
	return false;
}

void manifest_value_text(struct manifest_report *report, const struct yamltree_node *node,
			 const char **ret)
{
	if (is_scalar_kind(report, node, YAMLTREE_TEXT))
		*ret = node->text;
}

void manifest_value_scalar(struct manifest_report *report, const struct yamltree_node *node,
			   const char **ret)
{
	if (node == NULL)
		return;
	if (node->text != NULL && node->kind != YAMLTREE_NOTHING && node->kind != YAMLTREE_NULL)
		*ret = node->text;
	else
		(void)is_scalar_kind(report, node, YAMLTREE_TEXT);
}

void manifest_value_bool(struct manifest_report *report, const struct yamltree_node *node,
			 bool *ret)
{
	if (is_scalar_kind(report, node, YAMLTREE_BOOL))
		*ret = node->text[0] == 't';
}

void manifest_value_number(struct manifest_report *report, const struct yamltree_node *node,
			   double min, double max, double *ret)
{
	double value;

	if (!is_scalar_kind(report, node, YAMLTREE_NUMBER))
		return;
	value = strtod(node->text, NULL);
	if (value >= min && value <= max)
		*ret = value;
	else
		manifest_value_refuse(report, node, NULL, "%s is not between %g and %g", node->text,
				      min, max);
}

void manifest_value_integer(struct manifest_report *report, const struct yamltree_node *node,
			    int64_t min, int64_t max, int64_t *ret)
{
	char *end;
	long long value;

	if (!is_scalar_kind(report, node, YAMLTREE_NUMBER))
		return;
	errno = 0;
	value = strtoll(node->text, &end, 10);
	if (*end != '\0')
		manifest_value_refuse(report, node, NULL, "a whole number is expected here, not %s",
				      node->text);
	else if (errno != 0 || value < min || value > max)
		manifest_value_refuse(report, node, NULL, "%s is not between %lld and %lld",
				      node->text, (long long)min, (long long)max);
	else
		*ret = value;
}

struct unit {
	const char *name;
	int64_t factor;
};

/** "<number><unit>" as a whole number of the smallest unit. */
static bool with_unit(const char *text, const struct unit *units, size_t count, double max,
		      int64_t *ret)
{
	size_t digits = strspn(text, "0123456789.");
	char *end;
	double value = strtod(text, &end);

	if (digits == 0 || end != text + digits)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		value *= (double)units[i].factor;
		if (!(value <= max))
			return false;
		*ret = llround(value);
		return true;
	}
	return false;
}

void manifest_value_duration(struct manifest_report *report, const struct yamltree_node *node,
			     int64_t *ret_us)
{
	static const struct unit units[] = {
		{ "ms", 1000 },
		{ "s", INT64_C(1000000) },
		{ "m", INT64_C(60000000) },
		{ "h", INT64_C(3600000000) },
		{ "d", INT64_C(86400000000) },
	};
	double seconds = -1;

	if (node == NULL)
		return;
	if (node->kind == YAMLTREE_NUMBER) {
		manifest_value_number(report, node, 0, 1e9, &seconds);
		if (seconds >= 0)
			*ret_us = llround(seconds * 1e6);
		return;
	}
	if (node->kind != YAMLTREE_TEXT ||
	    !with_unit(node->text, units, ARRAY_COUNT(units), 1e15, ret_us))
		manifest_value_refuse(report, node, "write 5s, 10m, 6h, 1d, or a number of seconds",
				      "a duration is expected here, not %s",
				      node->text != NULL && node->kind != YAMLTREE_NOTHING
					      ? node->text
					      : yamltree_kind_name(node->kind));
}

void manifest_value_size(struct manifest_report *report, const struct yamltree_node *node,
			 int64_t *ret)
{
	static const struct unit units[] = {
		{ "kB", 1000 },
		{ "KB", 1000 },
		{ "MB", INT64_C(1000000) },
		{ "GB", INT64_C(1000000000) },
		{ "KiB", 1024 },
		{ "MiB", INT64_C(1) << 20 },
		{ "GiB", INT64_C(1) << 30 },
	};

	if (node == NULL)
		return;
	if (node->kind == YAMLTREE_NUMBER)
		manifest_value_integer(report, node, 1, INT64_C(1) << 50, ret);
	else if (node->kind != YAMLTREE_TEXT ||
		 !with_unit(node->text, units, ARRAY_COUNT(units), 1e15, ret))
		manifest_value_refuse(report, node, "write 512MB, 2GB, or a number of bytes",
				      "a size is expected here, not %s",
				      node->text != NULL ? node->text
							 : yamltree_kind_name(node->kind));
}

void manifest_value_choice(struct manifest_report *report, const struct yamltree_node *node,
			   const char *const *names, size_t count, int *ret_index)
{
	const char *text = NULL;
	char near[128], allowed[256];
	size_t used = 0;

	manifest_value_text(report, node, &text);
	if (text == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], text) == 0) {
			*ret_index = (int)i;
			return;
		}
	}
	for (size_t i = 0; i < count && used < sizeof(allowed); i++)
		used += (size_t)snprintf(allowed + used, sizeof(allowed) - used, "%s%s",
					 i == 0           ? ""
					 : i == count - 1 ? " or "
							  : ", ",
					 names[i]);
	manifest_value_refuse(report, node,
			      manifest_value_near(text, names, count, near, sizeof(near)),
			      "%.60s is not one of %s", text, allowed);
}

json_t *manifest_value_texts(struct manifest_report *report, const struct yamltree_node *node)
{
	json_t *texts;

	if (!manifest_value_is(report, node, YAMLTREE_LIST))
		return NULL;
	if (node->count > TEXTS_MAX) {
		manifest_value_refuse(report, node, NULL, "a list has at most %d texts", TEXTS_MAX);
		return NULL;
	}
	texts = json_array();
	for (uint32_t i = 0; i < node->count; i++) {
		const char *text = NULL;
		bool is_known = false;

		manifest_value_text(report, node->at[i], &text);
		if (text == NULL)
			continue;
		for (size_t k = 0; k < json_array_size(texts); k++)
			is_known |= strcmp(json_string_value(json_array_get(texts, k)), text) == 0;
		if (is_known)
			manifest_value_refuse(report, node->at[i], "remove one of them",
					      "`%.60s` is in this list twice", text);
		else if (json_array_append_new(texts, json_string(text)) != 0)
			report->is_out_of_memory = true;
	}
	return texts;
}

/** 1.10 would come out as 1.1: somebody who writes it means text. */
static void refuse_lossy(struct manifest_report *report, const struct yamltree_node *node)
{
	const char *point;

	for (uint32_t i = 0; i < node->count; i++)
		refuse_lossy(report, node->at[i]);
	if (node->kind == YAMLTREE_NOTHING)
		manifest_value_refuse(report, node, "write null, or \"\"", "there is no value");
	if (node->kind != YAMLTREE_NUMBER)
		return;
	point = strchr(node->text, '.');
	if (point != NULL && strlen(point) > 2 && point[strlen(point) - 1] == '0')
		manifest_value_refuse(report, node, "quote it if it is text",
				      "%s would lose its last digit as a number", node->text);
	else if (strlen(node->text) > 17 || !isfinite(strtod(node->text, NULL)))
		manifest_value_refuse(report, node, "quote it if it is text",
				      "%s has more digits than a number keeps", node->text);
}

json_t *manifest_value_json(struct manifest_report *report, const struct yamltree_node *node)
{
	json_t *json;

	if (node == NULL)
		return NULL;
	refuse_lossy(report, node);
	json = yamltree_json(node);
	if (json == NULL)
		report->is_out_of_memory = true;
	return json;
}

static bool is_table(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	size_t schema = strspn(text, letters), table;

	if (schema == 0 || text[schema] != '.')
		return false;
	table = strspn(text + schema + 1, letters);
	return table > 0 && text[schema + 1 + table] == '\0' && schema + table < 200;
}

void manifest_value_table(struct manifest_report *report, const struct yamltree_node *node,
			  const char **ret)
{
	const char *text = NULL;

	manifest_value_text(report, node, &text);
	if (text == NULL)
		return;
	if (is_table(text))
		*ret = text;
	else
		manifest_value_refuse(report, node,
				      "tables are named schema.table, of a-z, 0-9 and _",
				      "`%.100s` does not name a table", text);
}

void manifest_value_template(struct manifest_report *report, const struct yamltree_node *node)
{
	char message[256];
	uint32_t line = 1;

	if (node == NULL || node->text == NULL)
		return;
	if (template_check(node->text, &line, message, sizeof(message)) != 0)
		manifest_value_refuse(report, node, NULL, "%s", message);
}

void manifest_value_templates(struct manifest_report *report, const struct yamltree_node *node)
{
	if (node == NULL)
		return;
	manifest_value_template(report, node);
	for (uint32_t i = 0; i < node->count; i++)
		manifest_value_templates(report, node->at[i]);
}

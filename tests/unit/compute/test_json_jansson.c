/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: what jansson refuses as JSON we refuse and the other way round, and values are the same. Shown
   on seeded random objects, as written and damaged. jansson's own limits (numbers beyond double, NUL in
   keys) are left aside. */
#include <stdio.h>

#include "base/prng.h"

#include "jsonbox.h"

#define ROOM 8192

struct writer {
	struct prng prng;
	char text[ROOM];
	size_t used;
};

static const char declaration[] = "{\"i\": \"long\", \"d\": \"double\", \"s\": \"string\","
				  " \"b\": \"boolean\", \"j\": \"json\","
				  " \"x\": {\"type\": \"string\", \"from\": \"m.x\"},"
				  " \"y\": {\"type\": \"long\", \"from\": \"m.n.y\"}}";

static void put(struct writer *writer, const char *text)
{
	size_t size = strlen(text);

	if (writer->used + size < ROOM) {
		memcpy(writer->text + writer->used, text, size);
		writer->used += size;
	}
}

static void put_space(struct writer *writer)
{
	static const char *const spaces[] = { " ", "\n", "\t", "\r", "  " };

	if (prng_chance(&writer->prng, 100))
		put(writer, spaces[prng_below(&writer->prng, ARRAY_COUNT(spaces))]);
}

static void put_string(struct writer *writer)
{
	static const char *const parts[] = { "a",
					     "some words",
					     "\\n",
					     "\\\"",
					     "\\\\",
					     "\\u00e9",
					     "\\u0000",
					     "\\ud83d\\ude00",
					     "\xc3\xa9",
					     "\xf0\x9f\x98\x80",
					     "a longer run of plain characters" };

	put(writer, "\"");
	while (prng_chance(&writer->prng, 700))
		put(writer, parts[prng_below(&writer->prng, ARRAY_COUNT(parts))]);
	put(writer, "\"");
}

static void put_integer(struct writer *writer)
{
	char text[32];
	int64_t value = (int64_t)prng_next(&writer->prng) >> prng_below(&writer->prng, 64);

	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	put(writer, text);
}

static void put_double(struct writer *writer)
{
	char text[64];
	double value = (double)(int64_t)prng_next(&writer->prng) / 1e15;

	switch (prng_below(&writer->prng, 4)) {
	case 0:
		(void)snprintf(text, sizeof(text), "%.17g", value);
		break;
	case 1:
		(void)snprintf(text, sizeof(text), "%.1f", value);
		break;
	case 2:
		(void)snprintf(text, sizeof(text), "%.6e", value);
		break;
	default:
		(void)snprintf(text, sizeof(text), "%.25g", value);
	}
	put(writer, text);
}

static void put_value(struct writer *writer, int depth);

static void put_members(struct writer *writer, int depth)
{
	static const char *const keys[] = { "\"i\"", "\"d\"",       "\"key\"",  "\"\"",
					    "\"m\"", "\"\\u0069\"", "\"k\\n\"", "\"\xc3\xa9\"" };
	const char *separator = "";

	put(writer, "{");
	put_space(writer);
	while (prng_chance(&writer->prng, 600)) {
		put(writer, separator);
		put_space(writer);
		put(writer, keys[prng_below(&writer->prng, ARRAY_COUNT(keys))]);
		put_space(writer);
		put(writer, ":");
		put_space(writer);
		put_value(writer, depth + 1);
		put_space(writer);
		separator = ",";
	}
	put(writer, "}");
}

static void put_value(struct writer *writer, int depth)
{
	const char *separator = "";

	switch (prng_below(&writer->prng, depth < 6 ? 8 : 6)) {
	case 0:
		put(writer, "null");
		break;
	case 1:
		put(writer, "true");
		break;
	case 2:
		put(writer, "false");
		break;
	case 3:
		put_integer(writer);
		break;
	case 4:
		put_double(writer);
		break;
	case 5:
		put_string(writer);
		break;
	case 6:
		put_members(writer, depth);
		break;
	default:
		put(writer, "[");
		while (prng_chance(&writer->prng, 600)) {
			put(writer, separator);
			put_space(writer);
			put_value(writer, depth + 1);
			put_space(writer);
			separator = ",";
		}
		put(writer, "]");
	}
}

/* Members with values of their columns' types, some null or twice, and others. */
static void put_typed(struct writer *writer)
{
	const char *separator = "";

	put(writer, "{");
	while (prng_chance(&writer->prng, 850)) {
		uint64_t which = prng_below(&writer->prng, 9);
		static const char *const keys[] = {
			"i", "d", "s", "b", "j", "m", "m", "other", ""
		};

		put(writer, separator);
		put_space(writer);
		put(writer, "\"");
		put(writer, keys[which]);
		put(writer, "\"");
		put_space(writer);
		put(writer, ":");
		put_space(writer);
		if (prng_chance(&writer->prng, 100)) {
			put(writer, "null");
		} else if (which == 0) {
			put_integer(writer);
		} else if (which == 1) {
			put_double(writer);
		} else if (which == 2) {
			put_string(writer);
		} else if (which == 3) {
			put(writer, prng_chance(&writer->prng, 500) ? "true" : "false");
		} else if (which == 5) {
			put(writer, "{\"x\":");
			put_string(writer);
			put(writer, ",\"n\":{\"y\":");
			put_integer(writer);
			put(writer, "}}");
		} else if (which == 6) {
			put(writer, "{\"n\":{},\"other\":");
			put_value(writer, 2);
			put(writer, "}");
		} else {
			put_value(writer, 1);
		}
		put_space(writer);
		separator = ",";
	}
	put(writer, "}");
}

static void damage(struct writer *writer)
{
	static const char letters[] = "{}[]\",:\\ \n0aeu-.+\x01\x80\xc3\xff";
	size_t at = prng_below(&writer->prng, writer->used);

	switch (prng_below(&writer->prng, 4)) {
	case 0: /* another byte */
		writer->text[at] = letters[prng_below(&writer->prng, sizeof(letters) - 1)];
		break;
	case 1: /* one less */
		memmove(writer->text + at, writer->text + at + 1, --writer->used - at);
		break;
	case 2: /* cut */
		writer->used = at;
		break;
	default: /* one twice */
		if (writer->used < ROOM) {
			memmove(writer->text + at + 1, writer->text + at, writer->used - at);
			writer->used++;
		}
	}
}

/* NULL: not JSON, or no object. */
static json_t *load(const struct writer *writer, bool *ret_is_beyond)
{
	json_error_t error;
	json_t *value = json_loadb(writer->text, writer->used, JSON_ALLOW_NUL, &error);

	*ret_is_beyond = value == NULL && (json_error_code(&error) == json_error_numeric_overflow ||
					   json_error_code(&error) == json_error_null_byte_in_key);
	if (value != NULL && !json_is_object(value)) {
		json_decref(value);
		return NULL;
	}
	return value;
}

static void show(const struct writer *writer, const struct jsonbox *box)
{
	fail_msg("%.*s: %s", (int)writer->used, writer->text, box->error.reason);
}

static void test_json_jansson_agrees_what_json_is(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"i\": \"json\", \"x\": {\"type\": \"json\","
					  " \"from\": \"m.i\"}}");
	struct writer *writer = calloc(1, sizeof(*writer));
	uint32_t good = 0, bad = 0;

	(void)state;
	assert_non_null(writer);
	writer->prng.state = 6;
	for (uint32_t i = 0; i < 40000; i++) {
		json_t *value;
		bool is_beyond;

		writer->used = 0;
		put_members(writer, 0);
		for (uint32_t j = i % 4; j > 1 && writer->used > 0; j--)
			damage(writer);
		value = load(writer, &is_beyond);
		if (is_beyond)
			continue;
		if (jsonbox_decode(box, writer->text, writer->used) !=
		    (value != NULL ? 0 : ERR_MALFORMED))
			show(writer, box);
		value != NULL ? good++ : bad++;
		json_decref(value);
	}
	assert_true(good > 10000 && bad > 5000);
	free(writer);
	jsonbox_free(box);
}

static bool is_same_string(const struct jsonbox *box, uint32_t column, const json_t *value)
{
	size_t size;
	const char *bytes = jsonbox_string(box, column, &size);

	return size == json_string_length(value) &&
	       memcmp(bytes, json_string_value(value), size) == 0;
}

static bool is_same_json(const struct jsonbox *box, uint32_t column, const json_t *value)
{
	size_t size;
	const char *bytes = jsonbox_string(box, column, &size);
	json_t *other = json_loadb(bytes, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	bool is_same = other != NULL && json_equal(other, value);

	json_decref(other);
	return is_same;
}

static bool is_same(const struct jsonbox *box, uint32_t column, const json_t *value)
{
	if (jsonbox_is_null(box, column))
		return value == NULL || json_is_null(value);
	if (value == NULL || json_is_null(value))
		return false;
	if (box->schema->fields[column].is_json)
		return is_same_json(box, column, value);
	switch ((int)box->columns[column].type) {
	case COLUMN_LONG:
		return jsonbox_integer(box, column) == json_integer_value(value);
	case COLUMN_DOUBLE:
		return memcmp(box->columns[column].values, &(double){ json_number_value(value) },
			      sizeof(double)) == 0;
	case COLUMN_BOOLEAN:
		return jsonbox_integer(box, column) == json_is_true(value);
	default:
		return is_same_string(box, column, value);
	}
}

static void test_json_jansson_has_the_same_values(void **state)
{
	struct jsonbox *box = jsonbox_new(declaration);
	struct writer *writer = calloc(1, sizeof(*writer));

	(void)state;
	assert_non_null(writer);
	writer->prng.state = 7;
	for (uint32_t i = 0; i < 40000; i++) {
		bool is_beyond;
		json_t *value;

		writer->used = 0;
		put_typed(writer);
		value = load(writer, &is_beyond);
		if (is_beyond || writer->used + 64 > ROOM) {
			json_decref(value);
			continue;
		}
		assert_non_null(value);
		if (jsonbox_decode(box, writer->text, writer->used) != 0)
			show(writer, box);
		for (uint32_t column = 0; column < box->schema->count; column++) {
			const struct schema_field *field = &box->schema->fields[column];
			const json_t *member = value;

			for (uint32_t j = 0; j < field->depth; j++)
				member = json_object_get(member, field->path[j]);
			if (!is_same(box, column, member))
				fail_msg("%s of %.*s", field->name, (int)writer->used,
					 writer->text);
		}
		json_decref(value);
		json_decoder_reset(box->decoder);
	}
	free(writer);
	jsonbox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_jansson_agrees_what_json_is),
		cmocka_unit_test(test_json_jansson_has_the_same_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: JSON records become rows by the schema's rules; what is bad is refused with a sentence that names
   the column and what was found, whatever columns are wanted; the order of keys is free and may change
   with every record. Shown with tables for each type and for the traps of JSON parsing. */
#include <stdio.h>

#include "jsonbox.h"

struct value_case {
	const char *type, *text;
	int64_t value;
};

static void test_json_values(void **state)
{
	static const struct value_case cases[] = {
		{ "boolean", "true", 1 },
		{ "boolean", "false", 0 },
		{ "integer", "-2147483648", INT32_MIN },
		{ "long", "9223372036854775807", INT64_MAX },
		{ "long", "-0", 0 },
		{ "date", "\"1970-01-02\"", 1 },
		{ "date", "\"19\\u00370-01-02\"", 1 },
		{ "timestamp", "\"1970-01-01T00:00:01Z\"", 1000000 },
		{ "timestamp", "\"1970-01-01 00:00:01\\u002b00:00\"", 1000000 },
		{ "timestamp", "1500", 1500000 },
		{ "timestamp", "-1.5", -1500 },
		{ "timestamp", "1.5e3", 1500000 },
		{ "decimal(6,2)", "1.5", 150 },
		{ "decimal(6,2)", "\"-9999.99\"", -999999 },
		{ "decimal(6,2)", "\"1\\u002e50\"", 150 },
		{ "decimal(18,0)", "999999999999999999", 999999999999999999 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[200];
		struct jsonbox *box;

		(void)snprintf(text, sizeof(text), "{\"x\": \"%s\"}", cases[i].type);
		box = jsonbox_new(text);
		(void)snprintf(text, sizeof(text), "{\"x\":%s}", cases[i].text);
		if (jsonbox_row(box, text) != 0)
			fail_msg("%s: %s", text, box->error.reason);
		assert_false(jsonbox_is_null(box, 0));
		assert_int_equal(jsonbox_integer(box, 0), cases[i].value);
		jsonbox_free(box);
	}
}

static void test_json_doubles(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"x\": \"double\"}");

	(void)state;
	assert_int_equal(jsonbox_row(box, "{\"x\":-12.5e-1}"), 0);
	assert_true(*(double *)box->columns[0].values == -1.25);
	assert_int_equal(jsonbox_row(box, "{\"x\":18446744073709551617}"), 0);
	assert_true(*(double *)box->columns[0].values == 18446744073709551616.0);
	jsonbox_free(box);
}

static void test_json_strings(void **state)
{
	struct jsonbox *box =
		jsonbox_new("{\"s\": \"string\", \"b\": \"binary\", \"j\": \"json\"}");
	size_t size;

	(void)state;
	assert_int_equal(jsonbox_row(box, "{\"s\":\"\",\"b\":\"\",\"j\":\"\"}"), 0);
	jsonbox_expect_string(box, 0, "");
	jsonbox_expect_string(box, 1, "");
	jsonbox_expect_string(box, 2, "\"\"");
	assert_int_equal(jsonbox_row(box, "{\"s\":\"twelve bytes\",\"b\":\"Zm9vYmFy\","
					  "\"j\": {\"a\" : [1, \"\\n\"]} }"),
			 0);
	jsonbox_expect_string(box, 0, "twelve bytes");
	jsonbox_expect_string(box, 1, "foobar");
	jsonbox_expect_string(box, 2, "{\"a\" : [1, \"\\n\"]}");
	assert_int_equal(jsonbox_row(box, "{\"s\":\"longer than twelve \\ud83d\\ude00\\n\","
					  "\"b\":\"dHdlbHZlIGJ5dGVzIGFuZCBtb3Jl\","
					  "\"j\":12.50}"),
			 0);
	jsonbox_expect_string(box, 0, "longer than twelve \xf0\x9f\x98\x80\n");
	jsonbox_expect_string(box, 1, "twelve bytes and more");
	jsonbox_expect_string(box, 2, "12.50");
	assert_int_equal(jsonbox_row(box, "{\"s\":\"a\\u0000b\",\"j\":\"\xc3\xa9\"}"), 0);
	assert_memory_equal(jsonbox_string(box, 0, &size), "a\0b", 3);
	assert_int_equal(size, 3);
	jsonbox_free(box);
}

/* Strings of all rows of a chunk stay until the reset, those with escapes too. */
static void test_json_unescaped_strings_stay(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"s\": \"string\", \"b\": \"binary\"}");
	const struct column_string *strings = box->columns[0].values;
	static char texts[COLUMN_ROWS][200];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < COLUMN_ROWS; i++) {
			(void)snprintf(texts[i], sizeof(texts[i]),
				       "{\"s\":\"%0*u\\t%u\",\"b\":\"AAAAAAAAAAAAAAAAAAAAAAAA\"}",
				       (int)(i % 97 + 1), i, round);
			assert_int_equal(json_decoder_row(box->decoder, (uint8_t *)texts[i],
							  (uint32_t)strlen(texts[i]), box->columns,
							  i, &box->error),
					 0);
		}
		for (uint32_t i = 0; i < COLUMN_ROWS; i++) {
			char expected[200];
			int size = snprintf(expected, sizeof(expected), "%0*u\t%u",
					    (int)(i % 97 + 1), i, round);

			assert_int_equal(strings[i].size, size);
			assert_memory_equal(size <= COLUMN_INLINE_MAX ? strings[i].inlined
								      : strings[i].far.at,
					    expected, size);
		}
		json_decoder_reset(box->decoder);
	}
	jsonbox_free(box);
}

struct refusal {
	const char *type, *text, *said;
};

static void check_refusals(const struct refusal *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char text[300];
		struct jsonbox *box;

		(void)snprintf(text, sizeof(text), "{\"x\": %s}", cases[i].type);
		box = jsonbox_new(text);
		for (int wanted = 1; wanted >= 0; wanted--) { /* judged in either case */
			void *values = box->columns[0].values;
			int error;

			if (!wanted)
				box->columns[0].values = NULL;
			error = jsonbox_row(box, cases[i].text);
			box->columns[0].values = values;
			if (error != ERR_MALFORMED ||
			    strstr(box->error.reason, cases[i].said) == NULL)
				fail_msg("%s: %d %s", cases[i].text, error, box->error.reason);
		}
		jsonbox_free(box);
	}
}

static void test_json_refusals_name_column_and_value(void **state)
{
	static const struct refusal cases[] = {
		{ "\"integer\"", "{\"x\":\"1\"}", "x: string where integer is wanted" },
		{ "\"integer\"", "{\"x\":true}", "x: boolean where integer is wanted" },
		{ "\"integer\"", "{\"x\":1.0}", "x: 1.0 is no integer" },
		{ "\"integer\"", "{\"x\":2147483648}", "x: 2147483648 is out of range of integer" },
		{ "\"long\"", "{\"x\":9223372036854775808}", "is out of range of long" },
		{ "\"long\"", "{\"x\":1e2}", "x: 1e2 is no integer" },
		{ "\"double\"", "{\"x\":1e999}", "x: 1e999 is out of range of double" },
		{ "\"double\"", "{\"x\":\"1.5\"}", "x: string where double is wanted" },
		{ "\"double\"", "{\"x\":NaN}", "x: something that is no JSON value" },
		{ "\"string\"", "{\"x\":1}", "x: number where string is wanted" },
		{ "\"string\"", "{\"x\":{}}", "x: object where string is wanted" },
		{ "\"string\"", "{\"x\":[]}", "x: array where string is wanted" },
		{ "\"boolean\"", "{\"x\":1}", "x: number where boolean is wanted" },
		{ "\"boolean\"", "{\"x\":True}", "x: something that is no JSON value" },
		{ "\"binary\"", "{\"x\":\"a\"}", "x: \"a\" is no base64" },
		{ "\"date\"", "{\"x\":\"2026-02-30\"}", "x: \"2026-02-30\" is no date" },
		{ "\"date\"", "{\"x\":20260101}", "x: number where date is wanted" },
		{ "\"timestamp\"", "{\"x\":\"today\"}", "x: \"today\" is no time" },
		{ "\"timestamp\"", "{\"x\":1700000000000000}", "x: 1700000000000000 is no number" },
		{ "\"timestamp\"", "{\"x\":0.0001}", "x: 0.0001 is no number of milliseconds" },
		{ "\"decimal(4,2)\"", "{\"x\":1.234}", "x: 1.234 does not fit decimal(4,2)" },
		{ "\"decimal(4,2)\"", "{\"x\":100}", "x: 100 does not fit decimal(4,2)" },
		{ "\"decimal(4,2)\"", "{\"x\":\" 1\"}", "x: \" 1\" is no decimal number" },
		{ "\"decimal(4,2)\"", "{\"x\":\"\"}", "x: \"\" is no decimal number" },
		{ "{\"type\": \"long\", \"required\": true}", "{}",
		  "x: null or absent, but required" },
		{ "{\"type\": \"long\", \"required\": true}", "{\"x\":null}", "x: null or absent" },
		{ "{\"type\": \"json\", \"required\": true}", "{\"x\":null}", "x: null or absent" },
		{ "{\"type\": \"long\", \"required\": true}", "{\"x\":1,\"x\":null}", "x: null" },
		{ "{\"type\": \"long\", \"required\": true, \"from\": \"m.y\"}",
		  "{\"m\":{\"y\":1},\"m\":{}}", "x: null or absent, but required" },
	};

	(void)state;
	check_refusals(cases, ARRAY_COUNT(cases));
}

static void test_json_traps(void **state)
{
	static const struct refusal cases[] = {
		{ "\"json\"", "", "record: no bytes in it" },
		{ "\"json\"", " ", "record: not a JSON object" },
		{ "\"json\"", "[]", "record: not a JSON object" },
		{ "\"json\"", "null", "record: not a JSON object" },
		{ "\"json\"", "\xef\xbb\xbf{}", "record: not a JSON object (0xef at byte 0)" },
		{ "\"json\"", "{", "record: object with a key that is no string (at its end)" },
		{ "\"json\"", "{]", "record: object with a key that is no string (] at byte 1)" },
		{ "\"json\"", "{} {}", "record: something behind the object ({ at byte 3)" },
		{ "\"json\"", "{},", "record: something behind the object" },
		{ "\"json\"", "{}x", "record: something behind the object" },
		{ "\"json\"", "{\"x\"}", "record: key without a colon" },
		{ "\"json\"", "{\"x\":}", "x: something that is no JSON value" },
		{ "\"json\"", "{\"x\":", "x: no value" },
		{ "\"json\"", "{\"x\":1", "x: no , or } behind the value" },
		{ "\"json\"", "{\"x\":1,}", "record: object with a key" },
		{ "\"json\"", "{\"x\":1,,\"y\":2}", "record: object with a key" },
		{ "\"json\"", "{,\"x\":1}", "record: object with a key" },
		{ "\"json\"", "{\"x\":1 \"y\":2}", "x: no , or } behind the value" },
		{ "\"json\"", "{x:1}", "record: object with a key" },
		{ "\"json\"", "{'x':1}", "record: object with a key" },
		{ "\"json\"", "{\"x\":01}", "x: number that is not well formed" },
		{ "\"json\"", "{\"x\":1.}", "x: number that is not well formed" },
		{ "\"json\"", "{\"x\":.5}", "x: something that is no JSON value" },
		{ "\"json\"", "{\"x\":+1}", "x: something that is no JSON value" },
		{ "\"json\"", "{\"x\":-}", "x: number that is not well formed" },
		{ "\"json\"", "{\"x\":0x1}", "x: no , or } behind the value" },
		{ "\"json\"", "{\"x\":nul}", "x: something that is no JSON value" },
		{ "\"json\"", "{\"x\":nullx}", "x: no , or } behind the value" },
		{ "\"json\"", "{\"x\":[1,]}", "x: something that is no JSON value" },
		{ "\"json\"", "{\"x\":[1}", "x: array without , or ]" },
		{ "\"json\"", "{\"x\":/**/1}", "x: something that is no JSON value" },
		{ "\"string\"", "{\"x\":\"a\nb\"}", "x: control character in a string (0x0a" },
		{ "\"string\"", "{\"x\":\"\\x41\"}", "x: escape that JSON does not know" },
		{ "\"string\"", "{\"x\":\"\\u12\"}", "x: \\u without four hexadecimal digits" },
		{ "\"string\"", "{\"x\":\"\\ud800\"}", "x: half of a surrogate pair" },
		{ "\"string\"", "{\"x\":\"\\udc00\\ud800\"}", "x: half of a surrogate pair" },
		{ "\"string\"", "{\"x\":\"\\\"}", "x: string without an end" },
		{ "\"string\"", "{\"y\":\"a\nb\"}", "y: control character in a string" },
		{ "\"string\"", "{\"y\":01}", "y: number that is not well formed" },
		{ "\"string\"", "{\"y\ny\":1}", "record: control character in a string" },
		{ "\"long\"", "{\"x\":-01}", "x: number that is not well formed" },
	};

	(void)state;
	check_refusals(cases, ARRAY_COUNT(cases));
}

static void test_json_bad_utf8_is_refused(void **state)
{
	static const char *const cases[] = {
		"{\"x\":\"caf\xe9\"}",
		"{\"y\":\"\xc0\xaf\"}",
		"{\"\xff\":1}",
		"{\"x\":\"\xed\xa0\x80\"}",
		"{\"x\":\"\xf4\x90\x80\x80\"}",
		"{\"x\":\"\xe2\x82\"}",
		"{\"x\":\"a long string with the bad byte behind the first two vectors of it \x80\"}",
	};
	struct jsonbox *box = jsonbox_new("{\"x\": \"string\"}");

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(jsonbox_row(box, cases[i]), ERR_MALFORMED);
		assert_non_null(strstr(box->error.reason, "not UTF-8"));
		assert_true((uint8_t)cases[i][box->error.at] >= 0x80);
	}
	assert_int_equal(jsonbox_row(box, "{\"x\":\"caf\xc3\xa9\"}"), 0);
	jsonbox_expect_string(box, 0, "caf\xc3\xa9");
	jsonbox_free(box);
}

static void test_json_reasons_are_cut_between_characters(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"\xc3\xa9\xc3\xa9\xc3\xa9\": \"date\"}");
	char text[300];
	json_t *reason;

	(void)state;
	for (int lead = 0; lead < 4; lead++) {
		int used = snprintf(text, sizeof(text), "{\"\xc3\xa9\xc3\xa9\xc3\xa9\":\"%.*s",
				    lead, "aaaa");

		for (int i = 0; i < 50; i++)
			used += snprintf(text + used, sizeof(text) - (size_t)used, "\xe2\x82\xac");
		(void)snprintf(text + used, sizeof(text) - (size_t)used, "\"}");
		assert_int_equal(jsonbox_row(box, text), ERR_MALFORMED);
		reason = json_string(box->error.reason); /* NULL for bad UTF-8 */
		assert_non_null(reason);
		json_decref(reason);
		assert_non_null(strstr(box->error.reason, "..."));
	}
	jsonbox_free(box);
}

static void test_json_order_of_keys_is_free(void **state)
{
	static const char *const records[] = {
		"{\"a\":1,\"b\":2,\"c\":3}",
		"{\"a\":1,\"b\":2,\"c\":3}",
		"{\"c\":3,\"b\":2,\"a\":1}",
		"{\"b\":2,\"a\":1,\"other\":[{\"a\":7}],\"c\":3}",
		"{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }",
		"{\n\t\"b\": 2,\n\t\"c\": 3,\n\t\"a\": 1\n}\n",
		"{\"a\":1,\"\":0,\"b\":2,\"ab\":9,\"c\":3}",
		"{\"\\u0061\":1,\"b\":2,\"c\":3}",
		"{\"a\":9,\"a\":1,\"b\":null,\"b\":2,\"c\":3}",
	};
	struct jsonbox *box =
		jsonbox_new("{\"a\": \"long\", \"b\": \"integer\", \"c\": \"decimal(3,0)\"}");
	const size_t count = ARRAY_COUNT(records);

	(void)state;
	for (size_t i = 0; i < count * count; i++) { /* each after each */
		for (int j = 0; j < 2; j++) {
			const char *record = records[j == 0 ? i / count : i % count];

			if (jsonbox_row(box, record) != 0)
				fail_msg("%s: %s", record, box->error.reason);
			for (uint32_t column = 0; column < 3; column++) {
				assert_false(jsonbox_is_null(box, column));
				assert_int_equal(jsonbox_integer(box, column), column + 1);
			}
		}
	}
	jsonbox_free(box);
}

static void test_json_more_white_space_than_predicted(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"a\": \"long\", \"b\": \"json\"}");

	(void)state;
	assert_int_equal(jsonbox_row(box, "{\"a\":1,\"b\":{}}"), 0);
	assert_int_equal(jsonbox_row(box, "{\"a\": 1,\"b\":\t\n {}}"), 0);
	jsonbox_expect_string(box, 1, "{}");
	assert_int_equal(jsonbox_row(box, "{\"a\": "), ERR_MALFORMED);
	assert_int_equal(jsonbox_row(box, "{\"a\":1 ,\"b\":{} }"), 0);
	assert_int_equal(jsonbox_row(box, "{\"a\"\t:1,\"b\" :{}}"), 0);
	jsonbox_free(box);
}

static void test_json_absent_is_null(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"a\": \"long\", \"b\": \"string\"}");

	(void)state;
	assert_int_equal(jsonbox_row(box, "{\"a\":1,\"b\":\"x\"}"), 0);
	assert_false(jsonbox_is_null(box, 0) || jsonbox_is_null(box, 1));
	assert_int_equal(jsonbox_row(box, "{}"), 0);
	assert_true(jsonbox_is_null(box, 0) && jsonbox_is_null(box, 1));
	assert_int_equal(jsonbox_row(box, "{\"b\":null}"), 0);
	assert_true(jsonbox_is_null(box, 0) && jsonbox_is_null(box, 1));
	assert_int_equal(jsonbox_row(box, "{\"b\":\"x\",\"b\":null,\"a\":null,\"a\":5}"), 0);
	assert_true(!jsonbox_is_null(box, 0) && jsonbox_is_null(box, 1));
	jsonbox_free(box);
}

static void test_json_paths(void **state)
{
	struct jsonbox *box =
		jsonbox_new("{\"meta\": \"json\","
			    " \"t\": {\"type\": \"long\", \"from\": \"meta.t\"},"
			    " \"again\": {\"type\": \"json\", \"from\": \"meta.t\"},"
			    " \"deep\": {\"type\": \"long\", \"from\": \"meta.in.x\"},"
			    " \"meta.t\": \"string\"}");

	(void)state;
	assert_int_equal(
		jsonbox_row(box, "{\"meta\": {\"in\":{\"x\":7},\"t\":5}, \"meta.t\":\"flat\"}"), 0);
	jsonbox_expect_string(box, 0, "{\"in\":{\"x\":7},\"t\":5}");
	assert_int_equal(jsonbox_integer(box, 1), 5);
	jsonbox_expect_string(box, 2, "5");
	assert_int_equal(jsonbox_integer(box, 3), 7);
	jsonbox_expect_string(box, 4, "flat");
	/* No object there: what is asked for within is absent. */
	assert_int_equal(jsonbox_row(box, "{\"meta\":[1]}"), 0);
	jsonbox_expect_string(box, 0, "[1]");
	assert_true(jsonbox_is_null(box, 1) && jsonbox_is_null(box, 2) && jsonbox_is_null(box, 3));
	/* The last of two objects counts, whole. */
	assert_int_equal(jsonbox_row(box, "{\"meta\":{\"t\":5,\"in\":{\"x\":1}},"
					  "\"meta\":{\"in\":{\"x\":2},\"in\":{}}}"),
			 0);
	assert_true(jsonbox_is_null(box, 1) && jsonbox_is_null(box, 3));
	assert_int_equal(jsonbox_row(box, "{\"meta\":{\"t\":5},\"meta\":3}"), 0);
	assert_true(!jsonbox_is_null(box, 0) && jsonbox_is_null(box, 1));
	/* A key of the same name elsewhere is another one. */
	assert_int_equal(jsonbox_row(box, "{\"t\":\"x\",\"in\":{\"t\":\"x\"},\"meta\":{\"t\":1}}"),
			 0);
	assert_int_equal(jsonbox_integer(box, 1), 1);
	jsonbox_free(box);
}

static void test_json_object_where_a_column_wants_a_value(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"m\": \"long\","
					  " \"t\": {\"type\": \"long\", \"from\": \"m.t\"}}");

	(void)state;
	assert_int_equal(jsonbox_row(box, "{\"m\":{\"t\":1}}"), ERR_MALFORMED);
	assert_string_equal(box->error.reason, "m: object where long is wanted");
	assert_int_equal(jsonbox_row(box, "{\"m\":4}"), 0);
	assert_true(jsonbox_is_null(box, 1));
	jsonbox_free(box);
}

static void test_json_depth(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"x\": {\"type\": \"json\", \"from\": \"a.b\"}}");
	char text[400];

	(void)state;
	for (uint32_t depth = 3; depth < 70; depth++) { /* two objects, then arrays */
		size_t used = (size_t)snprintf(text, sizeof(text), "{\"a\":{\"b\":");

		memset(text + used, '[', depth - 2);
		memset(text + used + depth - 2, ']', depth - 2);
		memcpy(text + used + 2 * (depth - 2), "}}", 3);
		assert_int_equal(jsonbox_row(box, text),
				 depth <= JSON_DEPTH_MAX ? 0 : ERR_MALFORMED);
	}
	jsonbox_free(box);
}

/* Keys that are new in every record fill the table of learned ones and no more. */
static void test_json_endless_new_keys(void **state)
{
	struct jsonbox *box = jsonbox_new("{\"x\": \"long\"}");
	char text[300], key[200];

	(void)state;
	memset(key, 'k', sizeof(key));
	for (uint32_t i = 0; i < 3000; i++) {
		(void)snprintf(text, sizeof(text), "{\"%.*s%u\":{\"x\":2},\"x\":%u,\"y%u\":[]}",
			       (int)(i % 190), key, i, i, i);
		assert_int_equal(jsonbox_row(box, text), 0);
		assert_int_equal(jsonbox_integer(box, 0), i);
	}
	jsonbox_free(box);
}

static void test_json_every_cut_is_refused(void **state)
{
	static const char whole[] =
		"{\"a\":12.5,\"m\":{\"t\":\"2026-01-01\"},\"s\":\"\\u00e9t\xc3\xa9\","
		"\"z\":[null,true]}";
	struct jsonbox *box = jsonbox_new("{\"a\": \"double\", \"s\": \"string\","
					  " \"t\": {\"type\": \"date\", \"from\": \"m.t\"}}");

	(void)state;
	assert_int_equal(jsonbox_decode(box, whole, sizeof(whole) - 1), 0);
	for (size_t size = 0; size < sizeof(whole) - 1; size++) {
		assert_int_equal(jsonbox_decode(box, whole, size), ERR_MALFORMED);
		assert_true(box->error.at <= size && box->error.reason[0] != '\0');
	}
	jsonbox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_values),
		cmocka_unit_test(test_json_doubles),
		cmocka_unit_test(test_json_strings),
		cmocka_unit_test(test_json_unescaped_strings_stay),
		cmocka_unit_test(test_json_refusals_name_column_and_value),
		cmocka_unit_test(test_json_traps),
		cmocka_unit_test(test_json_bad_utf8_is_refused),
		cmocka_unit_test(test_json_reasons_are_cut_between_characters),
		cmocka_unit_test(test_json_order_of_keys_is_free),
		cmocka_unit_test(test_json_more_white_space_than_predicted),
		cmocka_unit_test(test_json_absent_is_null),
		cmocka_unit_test(test_json_paths),
		cmocka_unit_test(test_json_object_where_a_column_wants_a_value),
		cmocka_unit_test(test_json_depth),
		cmocka_unit_test(test_json_endless_new_keys),
		cmocka_unit_test(test_json_every_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

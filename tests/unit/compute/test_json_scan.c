/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the vector pass and the plain one mark the same bytes, nothing behind the text is read, strings
   and values pass exactly when they are JSON. Shown with seeded random texts of every length that end
   at a page nobody may touch, and tables. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/prng.h"

#include "compute/decode/json_scan.h"

#include "cm.h"

#define ROOM 300

/* The page before one that cannot be read. */
static uint8_t *guarded;
static size_t page;

static int set_up(void **state)
{
	(void)state;
	page = (size_t)sysconf(_SC_PAGESIZE);
	guarded = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded == MAP_FAILED)
		return -1;
	return mprotect(guarded + page, page, PROT_NONE);
}

static struct json_text at_the_edge(const char *bytes, size_t size, uint64_t *marks)
{
	uint8_t *begin = guarded + page - size;

	memcpy(begin, bytes, size);
	return (struct json_text){ .begin = begin, .end = begin + size, .marks = marks };
}

static void test_json_scan_vector_marks_what_plain_does(void **state)
{
	static const char letters[] = "abc\"\\\n\x1f \x7f\x80\xff,:{}";
	json_scan_marks_fn *vector = json_scan_marks_vector();
	struct prng prng = { 5 };

	(void)state;
	if (vector == NULL)
		skip();
	for (uint32_t i = 0; i < 30000; i++) {
		uint64_t marks[2][JSON_SCAN_WORDS(ROOM)] = { 0 };
		uint32_t size = i % ROOM, kinds = i % 3 == 0 ? 3 : sizeof(letters) - 1;
		struct json_text text;
		char bytes[ROOM];
		bool is_ascii;

		for (uint32_t j = 0; j < size; j++)
			bytes[j] = letters[prng_below(&prng, kinds)];
		text = at_the_edge(bytes, size, marks[0]);
		is_ascii = json_scan_marks_plain(&text);
		text.marks = marks[1];
		assert_int_equal(vector(&text), is_ascii);
		assert_memory_equal(marks[0], marks[1], sizeof(marks[0]));
		for (uint32_t j = 0; j < size; j++) {
			bool is_mark =
				(uint8_t)bytes[j] < 0x20 || bytes[j] == '"' || bytes[j] == '\\';

			assert_int_equal(marks[0][j / 64] >> (j % 64) & 1, is_mark);
		}
		assert_int_equal(marks[0][size / 64] >> (size % 64) & 1, 1);
	}
}

/* Whether the whole text is one value. */
static bool is_value(const char *bytes, size_t size, uint32_t depth)
{
	uint64_t marks[JSON_SCAN_WORDS(ROOM)];
	struct json_text text = at_the_edge(bytes, size, marks);
	const uint8_t *behind;

	(void)json_scan_marks(&text);
	behind = json_scan_value(&text, text.begin, depth);
	if (behind == NULL)
		assert_true(text.fault != NULL && text.fault_at >= text.begin &&
			    text.fault_at <= text.end);
	return behind == text.end;
}

static const char *const good_values[] = {
	"1",
	"\"\"",
	"true",
	"false",
	"null",
	"[]",
	"{}",
	"[ ]",
	"{ }",
	"[1]",
	"[1,[2,{}]]",
	"{\"a\":1,\"a\":[]}",
	"{\"\":{\"\":\"\"}}",
	"[ 1 , 2 ]",
	"{ \"a\" : 1 , \"b\" : 2 }",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	"\"\\u0000\\uD83d\\uDE00\\uffff\"",
	"\"\x7f\"",
};
static const char *const bad_values[] = {
	"",
	"tru",
	"True",
	"nul",
	"nulll",
	"[",
	"{",
	"]",
	"[1",
	"[1,",
	"[1,]",
	"[,1]",
	"[1 2]",
	"[1}",
	"{]",
	"{\"a\"}",
	"{\"a\":}",
	"{\"a\":1,}",
	"{,}",
	"{a:1}",
	"{1:1}",
	"{\"a\" 1}",
	"{\"a\":1 \"b\":2}",
	"{'a':1}",
	"'a'",
	"\"",
	"\"a",
	"\"\\\"",
	"\"\\x\"",
	"\"\\\"",
	"\"\\u\"",
	"\"\\u12\"",
	"\"\\u12g4\"",
	"\"\\u123",
	"\"\n\"",
	"\"\x01\"",
	"\"\\ud800\"",
	"\"\\udc00\"",
	"\"\\ud800\\ud800\"",
	"\"\\ud800x\"",
	"\"\\ud800\\n\"",
	"[\"]",
	"{\"a\":\"}",
	"//x",
	"[1]//",
	"\f1",
	"[1\v]",
	"\\u0031",
	"[\"a\\",
	"-",
	"[-]",
	"[01]",
};

static void test_json_scan_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good_values); i++) {
		if (!is_value(good_values[i], strlen(good_values[i]), 64))
			fail_msg("%s was refused", good_values[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad_values); i++) {
		if (is_value(bad_values[i], strlen(bad_values[i]), 64))
			fail_msg("%s was taken", bad_values[i]);
	}
	assert_false(is_value("\"\\\0\"", 4, 64)); /* a NUL is no escape */
}

static void test_json_scan_every_cut_is_refused(void **state)
{
	static const char whole[] =
		"{\"a\":[1.5e3,\"x\\u00e9\\ud83d\\ude00\",{\"b\":true}],\"c\":null}";

	(void)state;
	assert_true(is_value(whole, sizeof(whole) - 1, 64));
	for (size_t size = 0; size < sizeof(whole) - 1; size++)
		assert_false(is_value(whole, size, 64));
}

static void test_json_scan_depth(void **state)
{
	char text[ROOM];

	(void)state;
	for (uint32_t depth = 1; depth <= 70; depth++) {
		for (uint32_t i = 0; i < depth; i++) {
			text[i] = '[';
			text[depth + i] = ']';
		}
		assert_int_equal(is_value(text, 2 * depth, 64), depth <= 64);
		assert_int_equal(is_value(text, 2 * depth, 3), depth <= 3);
	}
	assert_true(is_value("[[],[],{},[[]]]", 15, 3)); /* beside each other does not count */
}

static void test_json_scan_unescape(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t" },
		{ "a\\u0041b", "aAb" },
		{ "\\u00e9\\u20AC\\ud83d\\ude00", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\\u007f\\u0080\\u07ff\\u0800\\uffff",
		  "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf" },
		{ "\\ud800\\udc00\\udbff\\udfff", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\\\\u0041", "\\u0041" },
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t size = json_scan_unescape((const uint8_t *)cases[i][0],
						   (uint32_t)strlen(cases[i][0]), out);

		assert_int_equal(size, strlen(cases[i][1]));
		assert_memory_equal(out, cases[i][1], size);
	}
	assert_int_equal(json_scan_unescape((const uint8_t *)"\\u0000", 6, out), 1);
	assert_int_equal(out[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_scan_vector_marks_what_plain_does),
		cmocka_unit_test(test_json_scan_values),
		cmocka_unit_test(test_json_scan_every_cut_is_refused),
		cmocka_unit_test(test_json_scan_depth),
		cmocka_unit_test(test_json_scan_unescape),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

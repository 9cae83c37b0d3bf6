/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: numbers are read by JSON's grammar alone, doubles are the nearest ones, integers and decimals
   are exact or refused. Shown with tables, against strtod() on seeded random numbers of all lengths
   and on halfway cases, in a locale with another decimal point as well. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

#include "compute/decode/json_number.h"

#include "cm.h"

static bool read_all(const char *text, struct json_number *ret_number)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);

	return json_number_read(at, end, ret_number) == end;
}

static void test_json_number_grammar(void **state)
{
	static const char *const good[] = { "0",   "-0",    "1",      "10",     "1.5",     "0.0",
					    "1e5", "1E+05", "1.0e-0", "-12.34", "9e99999", "0e0" };
	static const char *const bad[] = { "",     "-",        "+1",        "01",  "-01", "00",
					   "1.",   ".5",       "-.5",       "1e",  "1e+", "1e-",
					   "1.e1", "0x10",     "1e5.",      "--1", "1-",  "1_0",
					   "NaN",  "Infinity", "-Infinity", "1,5", " 1",  "1 " };
	struct json_number number;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		if (!read_all(good[i], &number))
			fail_msg("%s was refused", good[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (read_all(bad[i], &number))
			fail_msg("%s was taken", bad[i]);
	}
}

static void check_double(const char *text)
{
	double expected = strtod(text, NULL), value = 0;
	struct json_number number;

	assert_true(read_all(text, &number));
	if (expected > 1.7976931348623157e308 || expected < -1.7976931348623157e308) {
		assert_false(json_number_double(&number, &value));
		return;
	}
	assert_true(json_number_double(&number, &value));
	if (memcmp(&value, &expected, sizeof(value)) != 0)
		fail_msg("%s: %.17g, not %.17g", text, value, expected);
}

/* Random digits with a point somewhere among them. @return characters */
static uint32_t write_digits(struct prng *prng, char *out, uint32_t digits)
{
	uint32_t point = (uint32_t)prng_below(prng, digits + 3), used = 0;

	if (point == 0)
		out[used++] = '0';
	for (uint32_t i = 0; i < digits; i++) {
		uint32_t lowest = i == 0 && point > 1; /* no leading zero */

		if (i == point)
			out[used++] = '.';
		out[used++] = (char)('0' + lowest + prng_below(prng, 10 - lowest));
	}
	out[used] = '\0';
	return used;
}

static void check_random_doubles(uint64_t seed, uint32_t count, uint32_t longest)
{
	struct prng prng = { seed };
	char text[2100];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t used = 0, range = i % 2 == 0 ? 60 : 700;

		if (prng_chance(&prng, 500))
			text[used++] = '-';
		used += write_digits(&prng, text + used, 1 + (uint32_t)prng_below(&prng, longest));
		if (prng_chance(&prng, 500))
			(void)snprintf(text + used, sizeof(text) - used, "e%d",
				       (int)prng_below(&prng, range) - (int)range / 2);
		check_double(text);
	}
}

static void test_json_number_doubles_are_nearest(void **state)
{
	(void)state;
	check_random_doubles(1, 200000, 20);
	check_random_doubles(2, 2000, 2000);
}

static void test_json_number_printed_doubles_come_back(void **state)
{
	struct prng prng = { 3 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t bits = prng_next(&prng);
		char text[40];
		double value;

		memcpy(&value, &bits, sizeof(value));
		if (value - value != 0)
			continue; /* infinite, or no number */
		(void)snprintf(text, sizeof(text), "%.17g", value);
		check_double(text);
		(void)snprintf(text, sizeof(text), "%.17g", (double)(bits >> 11) / 1e6);
		check_double(text);
	}
}

static void test_json_number_halfway_cases(void **state)
{
	static const char *const cases[] = {
		"9007199254740993", /* 2^53 + 1: to even, down */
		"9007199254740995", /* to even, up */
		"9007199254740993.0000000000000000000000000001",
		"9007199254740993.00000000000000000000000000000000000000000000000000000000",
		"900719925474099.3e1",
		"4503599627370496.5",
		"4503599627370497.5",
		"18446744073709551615",
		"18446744073709551616",
		"9223372036854775807",
		"1e23",
		"8.5e22",
		"1e-27",
		"9999999999999999999e27",
		"9999999999999999999e-27",
		"2.2250738585072011e-308",
		"2.2250738585072014e-308",
		"4.9e-324",
		"2.4703282292062327e-324",
		"2.4703282292062328e-324",
		"1e-400",
		"1.7976931348623157e308",
		"1.7976931348623158e308",
		"1.7976931348623159e308",
		"1e309",
		"-1e309",
		"0e999999999999999999999",
		"1e999999999999999999999",
		"1e-999999999999999999999",
	};
	char text[1300] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		check_double(cases[i]);
	/* Far behind the halfway point a last digit decides. */
	(void)snprintf(text, sizeof(text), "9007199254740993.%01100d1", 0);
	check_double(text);
	/* An exponent that undoes the zeros. */
	(void)snprintf(text, sizeof(text), "0.%01000d123456789012345678901e1000", 0);
	check_double(text);
	(void)snprintf(text, sizeof(text), "1%01000de-1000", 0);
	check_double(text);
}

static void test_json_number_does_not_ask_the_locale(void **state)
{
	static const char *const names[] = { "de_DE.UTF-8", "nl_NL.UTF-8", "fr_FR.UTF-8" };
	struct json_number number;
	double value = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (setlocale(LC_NUMERIC, names[i]) != NULL)
			break; /* without any the digits must do */
	}
	assert_true(read_all("1234567890.12345678901234567890e-40", &number));
	assert_true(json_number_double(&number, &value));
	setlocale(LC_NUMERIC, "C");
	assert_true(value == 1234567890.12345678901234567890e-40);
	assert_false(read_all("1,5", &number));
}

static void test_json_number_integers(void **state)
{
	static const struct {
		const char *text;
		uint64_t limit;
		bool is_taken;
		int64_t value;
	} cases[] = {
		{ "0", INT32_MAX, true, 0 },
		{ "-0", INT32_MAX, true, 0 },
		{ "2147483647", INT32_MAX, true, INT32_MAX },
		{ "2147483648", INT32_MAX, false, 0 },
		{ "-2147483648", INT32_MAX, true, INT32_MIN },
		{ "-2147483649", INT32_MAX, false, 0 },
		{ "9223372036854775807", INT64_MAX, true, INT64_MAX },
		{ "9223372036854775808", INT64_MAX, false, 0 },
		{ "-9223372036854775808", INT64_MAX, true, INT64_MIN },
		{ "-9223372036854775809", INT64_MAX, false, 0 },
		{ "18446744073709551616", INT64_MAX, false, 0 },
		{ "18446744073709551617", INT64_MAX, false, 0 },
		{ "10000000000000000000000000000000000000000", INT64_MAX, false, 0 },
		{ "1.0", INT64_MAX, false, 0 },
		{ "1e2", INT64_MAX, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct json_number number;
		int64_t value = 0;

		assert_true(read_all(cases[i].text, &number));
		if (json_number_integer(&number, cases[i].limit, &value) != cases[i].is_taken ||
		    value != cases[i].value)
			fail_msg("%s", cases[i].text);
	}
}

static void test_json_number_scaled_exactly(void **state)
{
	static const struct {
		const char *text;
		uint32_t scale;
		bool is_taken;
		int64_t value;
	} cases[] = {
		{ "12.34", 2, true, 1234 },
		{ "-12.34", 2, true, -1234 },
		{ "12.3400", 2, true, 1234 },
		{ "12.345", 2, false, 0 },
		{ "12", 2, true, 1200 },
		{ "1.2e1", 2, true, 1200 },
		{ "1200e-2", 2, true, 1200 },
		{ "0.00", 0, true, 0 },
		{ "0e99999999", 2, true, 0 },
		{ "9999999999.99", 2, true, 999999999999 },
		{ "10000000000", 2, false, 0 },
		{ "1e99999999", 2, false, 0 },
		{ "1e-99999999", 2, false, 0 },
		{ "0.000000000000000000000000000000", 2, true, 0 },
		{ "1.500000000000000000000000000000", 2, true, 150 },
		{ "1.500000000000000000000000000001", 2, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct json_number number;
		int64_t value = 0;

		assert_true(read_all(cases[i].text, &number));
		if (json_number_scaled(&number, cases[i].scale, 999999999999, &value) !=
			    cases[i].is_taken ||
		    value != cases[i].value)
			fail_msg("%s", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_number_grammar),
		cmocka_unit_test(test_json_number_doubles_are_nearest),
		cmocka_unit_test(test_json_number_printed_doubles_come_back),
		cmocka_unit_test(test_json_number_halfway_cases),
		cmocka_unit_test(test_json_number_does_not_ask_the_locale),
		cmocka_unit_test(test_json_number_integers),
		cmocka_unit_test(test_json_number_scaled_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

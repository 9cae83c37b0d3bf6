/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: instants are written and read as RFC 3339 has them, and nothing else is read. Shown by examples
   around leap days, offsets, fractions and what is malformed. */
#include <string.h>

#include "base/err.h"

#include "orchestrate/instant.h"

#include "cm.h"

static void test_instant_format_and_parse_agree(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} known[] = {
		{ "1970-01-01T00:00:00.000000Z", 0 },
		{ "2024-02-29T23:59:59.999999Z", INT64_C(1709251199999999) },
		{ "2026-11-23T12:20:16.635370Z", INT64_C(1795436416635370) },
		{ "1969-12-31T23:59:59.999999Z", -1 },
	};
	char text[INSTANT_TEXT_SIZE];
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		assert_string_equal(instant_format(known[i].us, text), known[i].text);
		assert_int_equal(instant_parse(known[i].text, &us), 0);
		assert_int_equal(us, known[i].us);
	}
}

static void test_instant_parse_takes_offsets(void **state)
{
	static const char *const same[] = {
		"2026-03-04T05:06:07Z",        "2026-03-04 05:06:07",
		"2026-03-04T05:06:07+00:00",   "2026-03-04T07:06:07+02:00",
		"2026-03-03T23:36:07-0530",    "2026-03-04T05:06:07.000Z",
		"2026-03-04t05:06:07.0000000z"
	};
	int64_t first, us;

	(void)state;
	assert_int_equal(instant_parse(same[0], &first), 0);
	for (size_t i = 1; i < ARRAY_COUNT(same); i++) {
		assert_int_equal(instant_parse(same[i], &us), 0);
		assert_int_equal(us, first);
	}
	assert_int_equal(instant_parse("2026-03-04", &us), 0);
	assert_int_equal(us, first - INT64_C(18367000000));
}

static void test_instant_parse_refuses(void **state)
{
	static const char *const wrong[] = { "",
					     "soon",
					     "2026",
					     "2026-13-01",
					     "2026-02-29",
					     "2026-03-04T24:00:00Z",
					     "2026-03-04T05",
					     "2026-03-04T05:06:60Z",
					     "2026-03-04T05:06:07+25:00",
					     "2026-03-04T05:06:07Zx",
					     "2026-03-04T05:06:07.",
					     "2026-3-4",
					     "2026-03-04T05:06:07+1" };
	int64_t us = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
		assert_int_equal(instant_parse(wrong[i], &us), ERR_MALFORMED);
	assert_int_equal(us, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instant_format_and_parse_agree),
		cmocka_unit_test(test_instant_parse_takes_offsets),
		cmocka_unit_test(test_instant_parse_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

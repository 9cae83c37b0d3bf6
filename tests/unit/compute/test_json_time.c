/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: dates and times of RFC 3339 become days and microseconds since 1970, others are refused.
   Shown with every day of the years 0 to 9999 counted up one by one, and tables. */
#include <stdio.h>
#include <string.h>

#include "compute/decode/json_time.h"

#include "cm.h"

static void test_json_time_every_day(void **state)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int32_t expected = (int32_t)(JSON_TIME_MIN / INT64_C(86400000000)), result;

	(void)state;
	for (int year = 0; year < 10000; year++) {
		for (int month = 1; month <= 12; month++) {
			bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
			int last = days[month - 1] + (month == 2 && is_leap);

			for (int day = 1; day <= last + 1; day++) {
				char text[40];

				(void)snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month,
					       day);
				assert_int_equal(json_time_date((const uint8_t *)text, 10, &result),
						 day <= last);
				if (day <= last)
					assert_int_equal(result, expected++);
			}
		}
	}
	assert_int_equal(expected, JSON_TIME_END / INT64_C(86400000000));
}

static void test_json_time_stamps(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:00", 0 },
		{ "1970-01-01 00:00:01z", 1000000 },
		{ "1970-01-01t00:00:00.5Z", 500000 },
		{ "1969-12-31T23:59:59.999999Z", -1 },
		{ "2013-01-01T05:00:00Z", 1357016400000000 },
		{ "2013-01-01T05:00:00.123456789Z", 1357016400123456 },
		{ "2013-01-01T05:00:00+01:30", 1357011000000000 },
		{ "2013-01-01T05:00:00-05:00", 1357034400000000 },
		{ "2016-12-31T23:59:60Z", 1483228800000000 },
		{ "2017-01-01T00:59:60+01:00", 1483228800000000 },
		{ "0000-01-01T00:00:00Z", JSON_TIME_MIN },
		{ "9999-12-31T23:59:59.999999Z", JSON_TIME_END - 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int64_t us = -7;

		if (!json_time_stamp((const uint8_t *)cases[i].text,
				     (uint32_t)strlen(cases[i].text), &us) ||
		    us != cases[i].us)
			fail_msg("%s: %lld", cases[i].text, (long long)us);
	}
}

static void test_json_time_refusals(void **state)
{
	static const char *const cases[] = {
		"",
		"2013-01-01",
		"2013-01-01T05:00Z",
		"2013-01-01T24:00:00Z",
		"2013-01-01T05:60:00Z",
		"2013-01-01T05:00:61Z",
		"2013-01-01T05:00:60Z",
		"2013-02-29T05:00:00Z",
		"2013-00-01T05:00:00Z",
		"2013-13-01T05:00:00Z",
		"2013-01-00T05:00:00Z",
		"13-01-01T05:00:00Z",
		"2013-01-01X05:00:00Z",
		"2013/01/01T05:00:00Z",
		"2013-01-01T05.00.00Z",
		"2013-01-01T05:00:00.Z",
		"2013-01-01T05:00:00,5Z",
		"2013-01-01T05:00:00 Z",
		"2013-01-01T05:00:00ZZ",
		"2013-01-01T05:00:00+0100",
		"2013-01-01T05:00:00+01",
		"2013-01-01T05:00:00+24:00",
		"2013-01-01T05:00:00+01:60",
		"2013-01-01T05:00:00+01:000",
		"2013-01-01T-5:00:00Z",
		"+013-01-01T05:00:00Z",
		"0000-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int64_t us;

		if (json_time_stamp((const uint8_t *)cases[i], (uint32_t)strlen(cases[i]), &us))
			fail_msg("%s was taken", cases[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_time_every_day),
		cmocka_unit_test(test_json_time_stamps),
		cmocka_unit_test(test_json_time_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: cron expressions match what croniter matches, forwards and backwards, and forms that cron programs
   read differently are refused with a reason. Shown by dates known from the calendar, by walking each
   schedule there and back, and by a table of refusals. (tests/system/timetable.py compares with
   croniter itself.) */
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/civil.h"
#include "orchestrate/cron.h"

#include "cm.h"

static int64_t at(int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute)
{
	return civil_to_days((struct civil_date){ year, month, day }) * CIVIL_DAY_S + hour * 3600 +
	       minute * 60;
}

static struct cron parse(const char *text)
{
	struct cron cron;
	char reterr[256] = "";

	if (cron_parse(text, &cron, reterr, sizeof(reterr)) != 0)
		fail_msg("%s: %s", text, reterr);
	return cron;
}

static int64_t next(const char *text, int64_t from)
{
	struct cron cron = parse(text);
	int64_t found = -1;

	assert_true(cron_next(&cron, from, &found));
	return found;
}

static int64_t prev(const char *text, int64_t from)
{
	struct cron cron = parse(text);
	int64_t found = -1;

	assert_true(cron_prev(&cron, from, &found));
	return found;
}

static void test_cron_steps_through_fields(void **state)
{
	(void)state;
	assert_int_equal(next("5 4 * * *", at(2026, 1, 1, 4, 5)), at(2026, 1, 2, 4, 5));
	assert_int_equal(next("5 4 * * *", at(2026, 1, 1, 4, 5) - 1), at(2026, 1, 1, 4, 5));
	assert_int_equal(prev("5 4 * * *", at(2026, 1, 1, 4, 5)), at(2025, 12, 31, 4, 5));
	assert_int_equal(next("*/20 * * * *", at(2026, 1, 1, 4, 40)), at(2026, 1, 1, 5, 0));
	assert_int_equal(next("10/25 * * * *", at(2026, 1, 1, 4, 10)), at(2026, 1, 1, 4, 35));
	assert_int_equal(next("0 22-3 * * *", at(2026, 1, 1, 3, 0)), at(2026, 1, 1, 22, 0));
	assert_int_equal(next("0 0 1 jan,Jul *", at(2026, 1, 1, 0, 0)), at(2026, 7, 1, 0, 0));
	assert_int_equal(next("0 0 29 2 *", at(2026, 1, 1, 0, 0)), at(2028, 2, 29, 0, 0));
	assert_int_equal(prev("0 0 31 * *", at(2026, 3, 1, 0, 0)), at(2026, 1, 31, 0, 0));
	assert_int_equal(next("0 0 * * * 15,45", at(2026, 1, 1, 0, 0) + 15),
			 at(2026, 1, 1, 0, 0) + 45);
	assert_int_equal(prev("30 5 * * * 10", at(2026, 1, 1, 5, 30) + 10),
			 at(2025, 12, 31, 5, 30) + 10);
}

static void test_cron_day_of_month_or_day_of_week(void **state)
{
	(void)state;
	/* 2026-01-02 is a Friday. Both given: either. */
	assert_int_equal(next("0 0 13 * 5", at(2026, 1, 9, 0, 0)), at(2026, 1, 13, 0, 0));
	assert_int_equal(next("0 0 13 * 5", at(2026, 1, 13, 0, 0)), at(2026, 1, 16, 0, 0));
	assert_int_equal(next("0 0 * * sun", at(2026, 1, 2, 0, 0)), at(2026, 1, 4, 0, 0));
	assert_int_equal(next("0 0 * * 7", at(2026, 1, 2, 0, 0)), at(2026, 1, 4, 0, 0));
	assert_int_equal(next("0 0 * * 5-7", at(2026, 1, 4, 0, 0)), at(2026, 1, 9, 0, 0));
	assert_int_equal(next("0 0 1-31 * 1", at(2026, 1, 1, 0, 0)), at(2026, 1, 2, 0, 0));
	assert_int_equal(next("0 0 1-31 * */2", at(2026, 1, 1, 0, 0)), at(2026, 1, 3, 0, 0));
}

static void test_cron_last_and_nth_days(void **state)
{
	(void)state;
	assert_int_equal(next("0 0 L * *", at(2024, 2, 1, 0, 0)), at(2024, 2, 29, 0, 0));
	assert_int_equal(next("0 0 L * *", at(2024, 2, 29, 0, 0)), at(2024, 3, 31, 0, 0));
	assert_int_equal(next("0 0 * * 5#2", at(2026, 1, 1, 0, 0)), at(2026, 1, 9, 0, 0));
	assert_int_equal(next("0 0 * * L5", at(2026, 1, 1, 0, 0)), at(2026, 1, 30, 0, 0));
	assert_int_equal(next("0 0 * * mon#5", at(2026, 1, 1, 0, 0)), at(2026, 3, 30, 0, 0));
}

static void test_cron_walks_back_the_way_it_came(void **state)
{
	static const char *const texts[] = { "*/7 1-4 * * *",  "0 0 31 * *",     "0 0 29-31,L * 5",
					     "3 */5 * 2,11 *", "0 0 * * L0,3#1", "59 23 * * *" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct cron cron = parse(texts[i]);
		int64_t slots[200], from = at(2023, 12, 30, 11, 11), back;

		for (size_t k = 0; k < ARRAY_COUNT(slots); k++) {
			assert_true(cron_next(&cron, from, &slots[k]));
			assert_true(slots[k] > from);
			from = slots[k];
		}
		for (size_t k = ARRAY_COUNT(slots) - 1; k > 0; k--) {
			assert_true(cron_prev(&cron, slots[k], &back));
			assert_int_equal(back, slots[k - 1]);
			/* also from inside the gap */
			assert_true(cron_prev(&cron, slots[k] - 1, &back) ||
				    slots[k] - 1 == slots[k - 1]);
			assert_true(back <= slots[k - 1]);
		}
	}
}

static void test_cron_knows_who_covers_every_hour(void **state)
{
	struct cron cron;

	(void)state;
	cron = parse("5 * * * *");
	assert_true(cron_covers_every_hour(&cron));
	cron = parse("5 0-23 * * *");
	assert_true(cron_covers_every_hour(&cron));
	cron = parse("5 */1 * 2 *");
	assert_true(cron_covers_every_hour(&cron));
	cron = parse("5 */2 * * *");
	assert_false(cron_covers_every_hour(&cron));
}

static void test_cron_refuses_with_a_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "* * * *", "5 fields" },
		{ "* * * * * * *", "5 fields" },
		{ "60 * * * *", "minute `60`: out of range" },
		{ "* 24 * * *", "hour `24`: out of range" },
		{ "* * 0 * *", "day of month `0`: out of range" },
		{ "* * * 13 *", "month `13`: out of range" },
		{ "* * * * 8", "day of week `8`: out of range" },
		{ "*/90 * * * *", "every 90m" },
		{ "*/0 * * * *", "minute" },
		{ "5-5 * * * *", "range of one value" },
		{ "* 22-3/2 * * *", "over the end" },
		{ "*,5 * * * *", "* stands alone" },
		{ "1, * * * *", "minute" },
		{ "1- * * * *", "minute" },
		{ "x * * * *", "not understood" },
		{ "* * * * mon#6", "not understood" },
		{ "* * 5 * mon#1", "does not go together" },
		{ "* * * * mon#1,3", "do not mix" },
		{ "L * * * *", "minute" },
		{ "-1 * * * *", "minute" },
		{ "1.5 * * * *", "minute" },
		{ "? * * * *", "minute" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct cron cron;
		char reterr[256] = "";

		if (cron_parse(bad[i].text, &cron, reterr, sizeof(reterr)) != ERR_CONFIG ||
		    strstr(reterr, bad[i].why) == NULL)
			fail_msg("%s: \"%s\", expected \"%s\"", bad[i].text, reterr, bad[i].why);
	}
}

static void test_cron_date_that_never_comes_is_not_searched_for_ever(void **state)
{
	struct cron cron = parse("0 0 30 2 *");
	int64_t found = 7;

	(void)state;
	assert_false(cron_next(&cron, 0, &found));
	assert_false(cron_prev(&cron, 0, &found));
	assert_int_equal(found, 7);
}

static void test_civil_days_go_round(void **state)
{
	(void)state;
	assert_int_equal(civil_to_days((struct civil_date){ 1970, 1, 1 }), 0);
	assert_int_equal(civil_to_days((struct civil_date){ 2000, 3, 1 }), 11017);
	assert_int_equal(civil_weekday(0), 4);
	assert_int_equal(civil_weekday(-1), 3);
	for (int64_t day = -800000; day < 800000; day += 13) {
		struct civil_date date = civil_from_days(day);

		assert_int_equal(civil_to_days(date), day);
		assert_in_range(date.day, 1, civil_month_days(date.year, date.month));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cron_steps_through_fields),
		cmocka_unit_test(test_cron_day_of_month_or_day_of_week),
		cmocka_unit_test(test_cron_last_and_nth_days),
		cmocka_unit_test(test_cron_walks_back_the_way_it_came),
		cmocka_unit_test(test_cron_knows_who_covers_every_hour),
		cmocka_unit_test(test_cron_refuses_with_a_reason),
		cmocka_unit_test(test_cron_date_that_never_comes_is_not_searched_for_ever),
		cmocka_unit_test(test_civil_days_go_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

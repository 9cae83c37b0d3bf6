/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: slots are Airflow's: logical date, data interval and earliest start, with and without catchup, over
   changes of the clocks. Shown by days whose answer is known; tests/system/timetable.py compares 5,000
   random cases with Airflow itself. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/civil.h"
#include "orchestrate/timetable.h"

#include "cm.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)
#define DAY_US    (24 * HOUR_US)

static int64_t at(int32_t year, int32_t month, int32_t day, int32_t hour, int32_t minute)
{
	return (civil_to_days((struct civil_date){ year, month, day }) * CIVIL_DAY_S + hour * 3600 +
		minute * 60) *
	       SECOND_US;
}

static struct timetable *make(const char *schedule, const char *zone, bool has_interval,
			      int64_t start_us, bool has_catchup)
{
	struct timetable_spec spec = { .schedule = schedule,
				       .timezone = zone,
				       .has_interval = has_interval,
				       .start_us = start_us,
				       .end_us = TIMETABLE_NONE,
				       .catchup = has_catchup };
	struct timetable *timetable = NULL;
	char reterr[256] = "";

	if (timetable_new(&spec, &timetable, reterr, sizeof(reterr)) != 0)
		fail_msg("%s: %s", schedule, reterr);
	return timetable;
}

/** Starts of the next slots with catchup must be these (UTC). */
static void expect_starts(const char *schedule, const char *zone, int64_t start_us,
			  const int64_t *starts, size_t count)
{
	struct timetable *timetable = make(schedule, zone, false, start_us, true);
	struct timetable_slot slot, last;

	for (size_t i = 0; i < count; i++) {
		assert_true(timetable_next(timetable, i > 0 ? &last : NULL, 0, &slot));
		if (slot.run_after_us != starts[i])
			fail_msg("%s: slot %zu is %lld s off", schedule, i,
				 (long long)((slot.run_after_us - starts[i]) / SECOND_US));
		last = slot;
	}
	timetable_free(timetable);
}

static void test_timetable_dst_fixed_hour_runs_once_in_the_hour_that_comes_twice(void **state)
{
	/* 25 October 2026, Amsterdam: 02:30 comes twice, the second is 01:30 UTC. */
	const int64_t starts[] = { at(2026, 10, 24, 0, 30), at(2026, 10, 25, 1, 30),
				   at(2026, 10, 26, 1, 30) };

	(void)state;
	expect_starts("30 2 * * *", "Europe/Amsterdam", at(2026, 10, 24, 0, 0), starts,
		      ARRAY_COUNT(starts));
}

static void test_timetable_dst_fixed_hour_moves_over_the_gap(void **state)
{
	/* 29 March 2026, Amsterdam: there is no 02:30; 03:30 is 01:30 UTC. */
	const int64_t starts[] = { at(2026, 3, 28, 1, 30), at(2026, 3, 29, 1, 30),
				   at(2026, 3, 30, 0, 30) };

	(void)state;
	expect_starts("30 2 * * *", "Europe/Amsterdam", at(2026, 3, 28, 0, 0), starts,
		      ARRAY_COUNT(starts));
}

static void test_timetable_dst_every_hour_follows_absolute_time(void **state)
{
	const int64_t fold[] = { at(2026, 10, 24, 23, 0), at(2026, 10, 25, 0, 0),
				 at(2026, 10, 25, 1, 0), at(2026, 10, 25, 2, 0) };
	const int64_t gap[] = { at(2026, 3, 29, 0, 0), at(2026, 3, 29, 1, 0),
				at(2026, 3, 29, 2, 0) };

	(void)state;
	expect_starts("0 * * * *", "Europe/Amsterdam", at(2026, 10, 24, 23, 0), fold,
		      ARRAY_COUNT(fold));
	expect_starts("0 * * * *", "Europe/Amsterdam", at(2026, 3, 29, 0, 0), gap,
		      ARRAY_COUNT(gap));
}

static void test_timetable_dst_interval_is_absolute(void **state)
{
	const int64_t starts[] = { at(2026, 3, 28, 12, 0), at(2026, 3, 29, 12, 0) };

	(void)state;
	expect_starts("every 1d", "Europe/Amsterdam", at(2026, 3, 28, 12, 0), starts,
		      ARRAY_COUNT(starts));
}

static void test_timetable_window_previous_runs_at_the_end_of_its_interval(void **state)
{
	struct timetable *timetable = make("@daily", NULL, true, at(2026, 1, 1, 0, 0), true);
	struct timetable_slot slot;

	(void)state;
	assert_true(timetable_next(timetable, NULL, at(2026, 2, 1, 0, 0), &slot));
	assert_int_equal(slot.logical_us, at(2026, 1, 1, 0, 0));
	assert_int_equal(slot.begin_us, at(2026, 1, 1, 0, 0));
	assert_int_equal(slot.end_us, at(2026, 1, 2, 0, 0));
	assert_int_equal(slot.run_after_us, at(2026, 1, 2, 0, 0));
	timetable_manual(timetable, at(2026, 1, 9, 13, 0), &slot);
	assert_int_equal(slot.begin_us, at(2026, 1, 8, 0, 0));
	assert_int_equal(slot.end_us, at(2026, 1, 9, 0, 0));
	assert_int_equal(slot.run_after_us, at(2026, 1, 9, 13, 0));
	timetable_free(timetable);
}

static void test_timetable_window_none_is_a_point(void **state)
{
	struct timetable *timetable = make("@daily", NULL, false, at(2026, 1, 1, 0, 0), true);
	struct timetable_slot slot, last;

	(void)state;
	assert_true(timetable_next(timetable, NULL, at(2026, 2, 1, 0, 0), &slot));
	assert_int_equal(slot.logical_us, at(2026, 1, 1, 0, 0));
	assert_int_equal(slot.begin_us, slot.end_us);
	assert_int_equal(slot.run_after_us, slot.logical_us);
	last = slot;
	assert_true(timetable_next(timetable, &last, at(2026, 2, 1, 0, 0), &slot));
	assert_int_equal(slot.logical_us, at(2026, 1, 2, 0, 0));
	timetable_free(timetable);
}

static void test_timetable_without_catchup_only_the_latest_slot_is_due(void **state)
{
	struct timetable *points = make("@daily", NULL, false, at(2020, 1, 1, 0, 0), false);
	struct timetable *intervals = make("@daily", NULL, true, at(2020, 1, 1, 0, 0), false);
	struct timetable_slot slot, last;

	(void)state;
	assert_true(timetable_next(points, NULL, at(2026, 2, 1, 6, 0), &slot));
	assert_int_equal(slot.run_after_us, at(2026, 2, 1, 0, 0));
	last = slot;
	assert_true(timetable_next(points, &last, at(2026, 2, 1, 6, 0), &slot));
	assert_int_equal(slot.run_after_us, at(2026, 2, 2, 0, 0));
	assert_true(timetable_next(intervals, NULL, at(2026, 2, 1, 6, 0), &slot));
	assert_int_equal(slot.logical_us, at(2026, 1, 31, 0, 0));
	assert_int_equal(slot.run_after_us, at(2026, 2, 1, 0, 0));
	timetable_free(points);
	timetable_free(intervals);
}

static void test_timetable_schedule_that_became_coarser_repeats_no_date(void **state)
{
	struct timetable *hours = make("0 */6 * * *", NULL, true, at(2026, 1, 1, 0, 0), true);
	struct timetable *days = make("@daily", NULL, true, at(2026, 1, 1, 0, 0), true);
	struct timetable_slot slot, last;

	(void)state;
	assert_true(timetable_next(hours, NULL, at(2026, 1, 9, 0, 0), &last));
	assert_int_equal(last.logical_us, at(2026, 1, 1, 0, 0));
	assert_true(timetable_next(days, &last, at(2026, 1, 9, 0, 0), &slot));
	assert_int_equal(slot.logical_us, at(2026, 1, 2, 0, 0));
	timetable_free(hours);
	timetable_free(days);
}

static void test_timetable_start_in_the_future_waits(void **state)
{
	struct timetable *timetable = make("0 6 * * *", NULL, false, at(2026, 5, 1, 7, 0), false);
	struct timetable_slot slot;

	(void)state;
	assert_true(timetable_next(timetable, NULL, at(2026, 2, 1, 6, 0), &slot));
	assert_int_equal(slot.run_after_us, at(2026, 5, 2, 6, 0));
	timetable_free(timetable);
}

static void test_timetable_end_is_the_last_logical_date(void **state)
{
	struct timetable_spec spec = { .schedule = "@daily",
				       .start_us = at(2026, 1, 1, 0, 0),
				       .end_us = at(2026, 1, 2, 0, 0),
				       .catchup = true };
	struct timetable *timetable = NULL;
	struct timetable_slot slot, last;
	char reterr[256];

	(void)state;
	assert_int_equal(timetable_new(&spec, &timetable, reterr, sizeof(reterr)), 0);
	assert_true(timetable_next(timetable, NULL, at(2026, 2, 1, 0, 0), &slot));
	last = slot;
	assert_true(timetable_next(timetable, &last, at(2026, 2, 1, 0, 0), &slot));
	assert_int_equal(slot.logical_us, at(2026, 1, 2, 0, 0));
	last = slot;
	assert_false(timetable_next(timetable, &last, at(2026, 2, 1, 0, 0), &slot));
	timetable_free(timetable);
}

static void test_timetable_once_and_manual(void **state)
{
	struct timetable *once = make("@once", NULL, false, TIMETABLE_NONE, false);
	struct timetable *manual = make(NULL, NULL, false, TIMETABLE_NONE, false);
	struct timetable_slot slot, last;

	(void)state;
	assert_int_equal(timetable_kind(once), TIMETABLE_ONCE);
	assert_true(timetable_next(once, NULL, at(2026, 2, 1, 0, 0), &slot));
	assert_int_equal(slot.run_after_us, at(2026, 2, 1, 0, 0));
	last = slot;
	assert_false(timetable_next(once, &last, at(2026, 3, 1, 0, 0), &slot));
	assert_int_equal(timetable_kind(manual), TIMETABLE_MANUAL);
	assert_false(timetable_next(manual, NULL, at(2026, 2, 1, 0, 0), &slot));
	assert_string_equal(timetable_text(manual), "manual");
	timetable_free(once);
	timetable_free(manual);
}

static void test_timetable_text_and_offset(void **state)
{
	struct timetable *timetable =
		make("0 6 * * *", "Asia/Kolkata", false, TIMETABLE_NONE, false);

	(void)state;
	assert_string_equal(timetable_text(timetable), "0 6 * * *, Asia/Kolkata");
	assert_int_equal(timetable_utc_offset(timetable, at(2026, 1, 1, 0, 0)), 19800);
	timetable_free(timetable);
}

static void test_timetable_refuses_with_a_hint(void **state)
{
	static const struct {
		const char *schedule, *zone, *why;
	} bad[] = {
		{ "@dayly", NULL, "@daily" },
		{ "every 0s", NULL, "every 90s" },
		{ "every day", NULL, "every 90s" },
		{ "every -5m", NULL, "every 90s" },
		{ "61 * * * *", NULL, "minute" },
		{ "0 0 31 2 *", NULL, "never comes" },
		{ "@daily", "Europe/Nowhere", "Europe/Amsterdam" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct timetable_spec spec = { .schedule = bad[i].schedule,
					       .timezone = bad[i].zone,
					       .start_us = TIMETABLE_NONE,
					       .end_us = TIMETABLE_NONE };
		struct timetable *timetable = NULL;
		char reterr[256] = "";

		if (timetable_new(&spec, &timetable, reterr, sizeof(reterr)) != ERR_CONFIG ||
		    strstr(reterr, bad[i].why) == NULL)
			fail_msg("%s: \"%s\"", bad[i].schedule, reterr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_timetable_dst_fixed_hour_runs_once_in_the_hour_that_comes_twice),
		cmocka_unit_test(test_timetable_dst_fixed_hour_moves_over_the_gap),
		cmocka_unit_test(test_timetable_dst_every_hour_follows_absolute_time),
		cmocka_unit_test(test_timetable_dst_interval_is_absolute),
		cmocka_unit_test(test_timetable_window_previous_runs_at_the_end_of_its_interval),
		cmocka_unit_test(test_timetable_window_none_is_a_point),
		cmocka_unit_test(test_timetable_without_catchup_only_the_latest_slot_is_due),
		cmocka_unit_test(test_timetable_schedule_that_became_coarser_repeats_no_date),
		cmocka_unit_test(test_timetable_start_in_the_future_waits),
		cmocka_unit_test(test_timetable_end_is_the_last_logical_date),
		cmocka_unit_test(test_timetable_once_and_manual),
		cmocka_unit_test(test_timetable_text_and_offset),
		cmocka_unit_test(test_timetable_refuses_with_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

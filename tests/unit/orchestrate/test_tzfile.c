/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: offsets and local times of zones are those of the C library, before and after the last transition of
   the file, and no damaged file is read beyond its end. Shown against localtime_r() in many zones, by
   hand-made files for the POSIX footer, and by every truncation of a real file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/prng.h"

#include "orchestrate/civil.h"
#include "orchestrate/tzfile.h"

#include "cm.h"

static const char *const zones[] = { "Europe/Amsterdam", "America/New_York",  "Australia/Lord_Howe",
				     "America/Santiago", "Africa/Casablanca", "Asia/Kolkata",
				     "Europe/Dublin",    "Pacific/Apia",      "Antarctica/Troll",
				     "America/Havana" };

static void test_tzfile_offsets_are_those_of_libc(void **state)
{
	struct prng prng;

	(void)state;
	prng.state = 7;
	for (size_t i = 0; i < ARRAY_COUNT(zones); i++) {
		struct tzfile *zone = NULL;

		assert_int_equal(tzfile_load(zones[i], &zone), 0);
		assert_int_equal(setenv("TZ", zones[i], 1), 0);
		tzset();
		for (int k = 0; k < 5000; k++) {
			/* 1902 to 2099: with the footer's years */
			time_t at = (time_t)(prng_next(&prng) % UINT64_C(6216652800)) - 2145916800;
			struct tm tm;

			assert_non_null(localtime_r(&at, &tm));
			if (tzfile_offset(zone, at) != (int32_t)tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, libc says %ld", zones[i], (long long)at,
					 tzfile_offset(zone, at), tm.tm_gmtoff);
		}
		tzfile_free(zone);
	}
	(void)unsetenv("TZ");
	tzset();
}

static int64_t local(int32_t month, int32_t day, int32_t hour, int32_t minute)
{
	return civil_to_days((struct civil_date){ 2026, month, day }) * CIVIL_DAY_S + hour * 3600 +
	       minute * 60;
}

static void test_tzfile_hour_that_comes_twice_and_hour_that_does_not(void **state)
{
	struct tzfile *zone = NULL;
	int64_t fold = local(10, 25, 2, 30), gap = local(3, 29, 2, 30);

	(void)state;
	assert_int_equal(tzfile_load("Europe/Amsterdam", &zone), 0);
	assert_int_equal(tzfile_to_utc(zone, fold, false), fold - 7200);
	assert_int_equal(tzfile_to_utc(zone, fold, true), fold - 3600);
	/* 02:30 is 03:30 summer time */
	assert_int_equal(tzfile_to_utc(zone, gap, false), gap - 3600);
	assert_int_equal(tzfile_to_utc(zone, gap, true), gap - 3600);
	assert_int_equal(tzfile_offset(zone, gap - 3600), 7200);
	assert_int_equal(tzfile_to_utc(zone, local(7, 1, 0, 0), true), local(7, 1, 0, 0) - 7200);
	tzfile_free(zone);
}

/** A file of version 2 with one type at `offset` and a footer. */
static size_t make_file(uint8_t *bytes, size_t size, int32_t offset, const char *footer)
{
	struct writer w;

	writer_init(&w, bytes, size);
	for (int block = 0; block < 2; block++) {
		writer_bytes(&w, "TZif2", 5);
		for (int i = 0; i < 15; i++)
			writer_u8(&w, 0);
		for (int i = 0; i < 4; i++) /* isut, isstd, leap, time */
			writer_u32(&w, 0);
		writer_u32(&w, 1);
		writer_u32(&w, 4);
		writer_i32(&w, offset);
		writer_u16(&w, 0);
		writer_bytes(&w, "LMT", 4);
	}
	writer_u8(&w, '\n');
	writer_bytes(&w, footer, strlen(footer));
	writer_u8(&w, '\n');
	assert_int_equal(w.error, 0);
	return writer_size(&w);
}

static void test_tzfile_footers(void **state)
{
	static const struct {
		const char *footer;
		int32_t january, july;
	} good[] = {
		{ "", 77, 77 },
		{ "UTC0", 0, 0 },
		{ "<+0545>-5:45", 20700, 20700 },
		{ "CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200 },
		{ "EST5EDT,M3.2.0,M11.1.0", -18000, -14400 },
		{ "<-04>4<-03>,M9.1.6/24,M4.1.6/24", -10800, -14400 },
		{ "IST-1GMT0,M10.5.0,M3.5.0/1", 0, 3600 },
		{ "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 39600, 37800 },
		{ "AAA0BBB,J1/0,J60", 3600, 0 },
		{ "AAA0BBB,180,300/-10", 0, 3600 },
	};
	static const char *const bad[] = { "C",
					   "CET",
					   "CET-1CEST",
					   "CET-25",
					   "CET-1CEST,M3.5.0",
					   "CET-1CEST,M13.5.0,M10.5.0",
					   "<CET-1",
					   "CET-1CEST,M3.6.0,M10.5.0",
					   "CET-1x",
					   "CET-1CEST,M3.5.7,M10.5.0",
					   "CET-1:60" };
	uint8_t bytes[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		size_t size = make_file(bytes, sizeof(bytes), 77, good[i].footer);
		struct tzfile *zone = NULL;

		assert_int_equal(tzfile_parse(bytes, size, &zone), 0);
		assert_int_equal(tzfile_offset(zone, local(1, 20, 0, 0)), good[i].january);
		assert_int_equal(tzfile_offset(zone, local(7, 1, 0, 0)), good[i].july);
		tzfile_free(zone);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		size_t size = make_file(bytes, sizeof(bytes), 0, bad[i]);
		struct tzfile *zone = NULL;

		if (tzfile_parse(bytes, size, &zone) != ERR_MALFORMED)
			fail_msg("%s was taken", bad[i]);
	}
}

static void test_tzfile_truncated_or_damaged_files_are_refused(void **state)
{
	uint8_t *bytes = malloc(TZFILE_SIZE_MAX);
	FILE *file = fopen("/usr/share/zoneinfo/America/Havana", "r");
	struct prng prng;
	size_t size;

	(void)state;
	assert_non_null(bytes);
	assert_non_null(file);
	size = fread(bytes, 1, TZFILE_SIZE_MAX, file);
	assert_int_equal(fclose(file), 0);
	for (size_t i = 0; i < size; i++) {
		uint8_t *exact = malloc(i + 1);
		struct tzfile *zone = NULL;

		assert_non_null(exact);
		memcpy(exact, bytes, i);
		if (tzfile_parse(exact, i, &zone) != ERR_MALFORMED)
			fail_msg("%zu of %zu bytes were taken", i, size);
		free(exact);
	}
	prng.state = 3;
	for (int i = 0; i < 3000; i++) {
		struct tzfile *zone = NULL;
		size_t where = prng_next(&prng) % size;
		uint8_t was = bytes[where];

		bytes[where] = (uint8_t)prng_next(&prng);
		if (tzfile_parse(bytes, size, &zone) == 0)
			(void)tzfile_to_utc(zone, local(10, 25, 2, 30), true);
		tzfile_free(zone);
		bytes[where] = was;
	}
	free(bytes);
}

static void test_tzfile_names_do_not_leave_the_folder(void **state)
{
	static const char *const bad[] = { "Nowhere/City", "../../../etc/passwd", "/etc/passwd",
					   "Europe", "Europe/Amster dam" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct tzfile *zone = NULL;

		assert_int_equal(tzfile_load(bad[i], &zone), -ENOENT);
		assert_null(zone);
	}
}

static void test_tzfile_utc_needs_no_file(void **state)
{
	struct tzfile *zone = NULL;

	(void)state;
	assert_int_equal(tzfile_load(NULL, &zone), 0);
	assert_int_equal(tzfile_offset(zone, 0), 0);
	assert_int_equal(tzfile_to_utc(zone, 1000, true), 1000);
	tzfile_free(zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tzfile_offsets_are_those_of_libc),
		cmocka_unit_test(test_tzfile_hour_that_comes_twice_and_hour_that_does_not),
		cmocka_unit_test(test_tzfile_footers),
		cmocka_unit_test(test_tzfile_truncated_or_damaged_files_are_refused),
		cmocka_unit_test(test_tzfile_names_do_not_leave_the_folder),
		cmocka_unit_test(test_tzfile_utc_needs_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

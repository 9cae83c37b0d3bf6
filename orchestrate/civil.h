/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Dates of the proleptic Gregorian calendar and days since 1970-01-01, by Howard Hinnant's algorithms.
 *
 * Context: any thread. Memory: none. Limits: years -30,000 to 30,000.
 */
#pragma once

#include "base/defs.h"

#define CIVIL_DAY_S INT64_C(86400)

struct civil_date {
	int32_t year;
	int32_t month; /* 1 to 12 */
	int32_t day;   /* 1 to 31 */
};

int64_t civil_to_days(struct civil_date date);
struct civil_date civil_from_days(int64_t days);
/** @return 28 to 31 */
int32_t civil_month_days(int32_t year, int32_t month);
/** @return 0 (Sunday) to 6 */
int32_t civil_weekday(int64_t days);

/** Division that rounds down; `by` is positive. */
static inline int64_t civil_floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Cron expressions on local time without a zone, as croniter reads them.
 *
 * Fields: minute, hour, day of month, month, day of week, and perhaps second at the end. Numbers, lists,
 * ranges (also over the end: 22-3), steps, names of months and days, `L` (last day of the month),
 * `L5` (last Friday), `5#2` (second Friday). Day of month and day of week both given: either of them.
 * Forms that cron programs read differently are refused: 5-5, 22-3/2, and # or L5 beside a day of
 * month.
 *
 * Context: any thread. Memory: none. Limits: looks CRON_YEARS ahead or back.
 */
#pragma once

#include "base/defs.h"

#define CRON_YEARS 50

struct cron {
	uint64_t seconds, minutes, hours; /* a bit for each value */
	uint64_t days, months, weekdays;  /* weekdays: 0 is Sunday */
	uint64_t nth[7];                  /* of a weekday: bits 1 to 5; bit 6: the last */
	bool is_any_day, is_any_weekday;  /* the field is * */
	bool has_last_day;                /* L in the days */
	bool has_nth;
};

/**
 * @param[out] reterr  [reterr_size] which field is wrong, how, and what is meant perhaps
 * @return 0; ERR_CONFIG
 */
NODISCARD int cron_parse(const char *text, struct cron *ret_cron, char *reterr, size_t reterr_size);
/** First match after local_s (seconds since 1970 as if local were UTC). @return false: none in CRON_YEARS */
bool cron_next(const struct cron *cron, int64_t local_s, int64_t *ret_s);
/** Last match before local_s. */
bool cron_prev(const struct cron *cron, int64_t local_s, int64_t *ret_s);
/** Every hour has a match: such schedules follow absolute time over a change of the clocks. */
bool cron_covers_every_hour(const struct cron *cron);

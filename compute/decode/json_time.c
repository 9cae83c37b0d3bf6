/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/json_time.h"

#define DATE_SIZE    10 /* 2026-11-23 */
#define TIME_SIZE    19 /* with T10:00:00 */
#define ZONE_SIZE    6  /* +01:00 */
#define SECONDS_DAY  86400
#define MICROSECONDS INT64_C(1000000)
#define MICRO_DIGITS 6

/* A number of exactly `size` digits; -1: something else. */
static int32_t number(const uint8_t *text, uint32_t size)
{
	int32_t value = 0;

	for (uint32_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

static int32_t days_of_month(int32_t year, int32_t month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar, years from March on. */
static int32_t days_since_1970(int32_t year, int32_t month, int32_t day)
{
	int32_t y = year + 400 - (month <= 2), m = (month + 9) % 12;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 -
	       (719468 + 146097);
}

bool json_time_date(const uint8_t *text, uint32_t size, int32_t *ret_days)
{
	int32_t year, month, day;

	if (size != DATE_SIZE || text[4] != '-' || text[7] != '-')
		return false;
	year = number(text, 4);
	month = number(text + 5, 2);
	day = number(text + 8, 2);
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
		return false;
	*ret_days = days_since_1970(year, month, day);
	return true;
}

/* ".5" and what follows: digits beyond microseconds are dropped. @return behind it; NULL */
static const uint8_t *fraction(const uint8_t *at, const uint8_t *end, int64_t *ret_us)
{
	const uint8_t *point = at;
	int64_t value = 0;
	uint32_t count = 0;

	if (at < end && *at == '.') {
		for (at++; at < end && *at >= '0' && *at <= '9'; at++) {
			if (count < MICRO_DIGITS) {
				value = value * 10 + (*at - '0');
				count++;
			}
		}
		if (at == point + 1)
			return NULL;
	}
	for (; count < MICRO_DIGITS; count++)
		value *= 10;
	*ret_us = value;
	return at;
}

/* What stands behind the seconds, to be taken from the time. */
static bool zone(const uint8_t *at, const uint8_t *end, int32_t *ret_seconds)
{
	int32_t hours, minutes;

	*ret_seconds = 0;
	if (at == end || ((*at == 'Z' || *at == 'z') && at + 1 == end))
		return true;
	if (end - at != ZONE_SIZE || (*at != '+' && *at != '-') || at[3] != ':')
		return false;
	hours = number(at + 1, 2);
	minutes = number(at + 4, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return false;
	*ret_seconds = (hours * 60 + minutes) * (*at == '-' ? -60 : 60);
	return true;
}

bool json_time_stamp(const uint8_t *text, uint32_t size, int64_t *ret_us)
{
	int32_t days, hour, minute, second, offset;
	const uint8_t *at;
	int64_t seconds, part, us;

	if (size < TIME_SIZE || !json_time_date(text, DATE_SIZE, &days))
		return false;
	if ((text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
	    text[16] != ':')
		return false;
	hour = number(text + 11, 2);
	minute = number(text + 14, 2);
	second = number(text + 17, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;
	at = fraction(text + TIME_SIZE, text + size, &part);
	if (at == NULL || !zone(at, text + size, &offset))
		return false;
	seconds = (int64_t)days * SECONDS_DAY + hour * 3600 + minute * 60 + second - offset;
	if (second == 60 && seconds % SECONDS_DAY != 0)
		return false; /* leap seconds end a day of UTC */
	us = seconds * MICROSECONDS + part;
	if (us < JSON_TIME_MIN || us >= JSON_TIME_END)
		return false;
	*ret_us = us;
	return true;
}

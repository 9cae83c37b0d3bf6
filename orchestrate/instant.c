/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/instant.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/civil.h"

#define US_PER_S INT64_C(1000000)

const char *instant_format(int64_t at_us, char *ret)
{
	int64_t seconds = civil_floor_div(at_us, US_PER_S);
	int64_t days = civil_floor_div(seconds, CIVIL_DAY_S);
	struct civil_date date = civil_from_days(days);
	int rest = (int)(seconds - days * CIVIL_DAY_S);

	(void)snprintf(ret, INSTANT_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", date.year,
		       date.month, date.day, rest / 3600, rest / 60 % 60, rest % 60,
		       (int)(at_us - seconds * US_PER_S));
	return ret;
}

/** Exactly `count` digits. @return false: they are not there */
static bool number(const char **at, int count, int min, int max, int *ret)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return false;
		value = value * 10 + (**at - '0');
	}
	*ret = value;
	return value >= min && value <= max;
}

static bool skip(const char **at, char wanted)
{
	if (**at != wanted)
		return false;
	(*at)++;
	return true;
}

/** What follows the seconds: digits after a point. */
static bool fraction(const char **at, int64_t *ret_us)
{
	int64_t unit = US_PER_S / 10;

	if (!skip(at, '.'))
		return true;
	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); (*at)++, unit /= 10)
		*ret_us += (**at - '0') * unit;
	return true;
}

static bool offset(const char **at, int64_t *ret_us)
{
	int hours, minutes, sign = **at == '-' ? -1 : 1;

	if (**at == '\0')
		return true;
	if (skip(at, 'Z') || skip(at, 'z'))
		return **at == '\0';
	if (!skip(at, '+') && !skip(at, '-'))
		return false;
	if (!number(at, 2, 0, 23, &hours))
		return false;
	(void)skip(at, ':');
	if (!number(at, 2, 0, 59, &minutes))
		return false;
	*ret_us -= sign * (hours * INT64_C(3600) + minutes * INT64_C(60)) * US_PER_S;
	return **at == '\0';
}

int instant_parse(const char *text, int64_t *ret_us)
{
	struct civil_date date;
	int hour = 0, minute = 0, second = 0;
	int64_t us = 0;

	if (!number(&text, 4, 1, 9999, &date.year) || !skip(&text, '-') ||
	    !number(&text, 2, 1, 12, &date.month) || !skip(&text, '-') ||
	    !number(&text, 2, 1, civil_month_days(date.year, date.month), &date.day))
		return ERR_MALFORMED;
	if (skip(&text, 'T') || skip(&text, 't') || skip(&text, ' ')) {
		if (!number(&text, 2, 0, 23, &hour) || !skip(&text, ':') ||
		    !number(&text, 2, 0, 59, &minute))
			return ERR_MALFORMED;
		if (skip(&text, ':') &&
		    (!number(&text, 2, 0, 59, &second) || !fraction(&text, &us)))
			return ERR_MALFORMED;
	}
	if (!offset(&text, &us))
		return ERR_MALFORMED;
	*ret_us = us + (civil_to_days(date) * CIVIL_DAY_S + hour * 3600 + minute * 60 + second) *
			       US_PER_S;
	return 0;
}

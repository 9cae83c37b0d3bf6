/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/cron.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#include "orchestrate/civil.h"

#define FIELDS_MAX 6
#define TEXT_MAX   256
#define LAST_NTH   6
#define DAYS_MAX   (CRON_YEARS * 366)

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
					   "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

static const struct field {
	const char *name;
	uint32_t min, max;
	const char *const *words; /* of values from min; NULL: none */
} fields[FIELDS_MAX] = {
	{ "minute", 0, 59, NULL },          { "hour", 0, 23, NULL },
	{ "day of month", 1, 31, NULL },    { "month", 1, 12, month_names },
	{ "day of week", 0, 6, day_names }, { "second", 0, 59, NULL },
};

enum { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_SECOND };

struct parse {
	struct cron *cron;
	const struct field *field;
	uint64_t bits;
	const char *what; /* why the item is wrong; NULL: no more than that it is */
};

static bool read_value(struct parse *parse, const char **at, uint32_t *ret)
{
	const struct field *field = parse->field;
	uint32_t value = 0, max = field == &fields[FIELD_WEEKDAY] ? 7 : field->max;
	const char *begin = *at;

	for (uint32_t i = 0; field->words != NULL && field->words[i] != NULL; i++) {
		if (strncasecmp(*at, field->words[i], 3) == 0) {
			*at += 3;
			*ret = field->min + i;
			return true;
		}
	}
	while (isdigit((unsigned char)**at) && *at - begin < 4)
		value = value * 10 + (uint32_t)(*(*at)++ - '0');
	if (*at == begin)
		return false;
	if (value < field->min || value > max) {
		parse->what = "out of range";
		return false;
	}
	*ret = value;
	return true;
}

static bool read_step(struct parse *parse, const char **at, uint32_t *ret)
{
	const char *begin = ++*at;

	*ret = 0;
	while (isdigit((unsigned char)**at) && *at - begin < 4)
		*ret = *ret * 10 + (uint32_t)(*(*at)++ - '0');
	if (*at == begin || *ret == 0)
		return false;
	if (*ret > parse->field->max) {
		parse->what =
			"the step is longer than the field; for other intervals write \"every 90m\"";
		return false;
	}
	return true;
}

static void add_range(struct parse *parse, uint32_t low, uint32_t high, uint32_t step)
{
	for (uint32_t value = low; value <= high; value += step)
		parse->bits |= UINT64_C(1) << value;
}

/** "5-9", "22-3", "5-9/2" after its begin. */
static bool read_range(struct parse *parse, const char **at, uint32_t low)
{
	const struct field *field = parse->field;
	bool is_weekday = field == &fields[FIELD_WEEKDAY];
	uint32_t high, step = 1;

	(*at)++;
	if (!read_value(parse, at, &high))
		return false;
	if (**at == '/' && !read_step(parse, at, &step))
		return false;
	if (is_weekday && low == 0 && high == 7)
		high = 6;
	if (is_weekday && high == 7)
		high = 0;
	if (is_weekday && low == 7)
		low = 0;
	if (low == high) {
		parse->what = "a range of one value; write the value, or *";
		return false;
	}
	if (low < high) {
		add_range(parse, low, high, step);
		return true;
	}
	if (step != 1) {
		parse->what = "a step in a range over the end; write the values";
		return false;
	}
	add_range(parse, low, field->max, 1);
	add_range(parse, field->min, high, 1);
	return true;
}

/** "L" of the days, "L5" of the weekdays. */
static bool read_last(struct parse *parse, const char **at)
{
	uint32_t day;

	(*at)++;
	if (parse->field == &fields[FIELD_DAY]) {
		parse->cron->has_last_day = true;
		return true;
	}
	if (!read_value(parse, at, &day))
		return false;
	parse->cron->nth[day % 7] |= UINT64_C(1) << LAST_NTH;
	parse->cron->has_nth = true;
	return true;
}

static bool read_nth(struct parse *parse, const char **at, uint32_t day)
{
	uint32_t nth = (uint32_t)((*at)[1] - '0');

	if (parse->field != &fields[FIELD_WEEKDAY] || nth < 1 || nth > 5)
		return false;
	*at += 2;
	parse->cron->nth[day % 7] |= UINT64_C(1) << nth;
	parse->cron->has_nth = true;
	return true;
}

static bool read_item(struct parse *parse, const char **at)
{
	uint32_t low, step;

	if (**at == '*' && (*at)[1] == '/') {
		(*at)++;
		if (!read_step(parse, at, &step))
			return false;
		add_range(parse, parse->field->min, parse->field->max, step);
		return true;
	}
	if (**at == '*') {
		parse->what = "* stands alone";
		return false;
	}
	if (tolower((unsigned char)**at) == 'l' &&
	    (parse->field == &fields[FIELD_DAY] || parse->field == &fields[FIELD_WEEKDAY]))
		return read_last(parse, at);
	if (!read_value(parse, at, &low))
		return false;
	if (**at == '-')
		return read_range(parse, at, low);
	if (**at == '#')
		return read_nth(parse, at, low);
	if (parse->field == &fields[FIELD_WEEKDAY])
		low %= 7;
	if (**at == '/') {
		if (!read_step(parse, at, &step))
			return false;
		add_range(parse, low, parse->field->max, step);
		return true;
	}
	parse->bits |= UINT64_C(1) << low;
	return true;
}

static uint64_t all_of(const struct field *field)
{
	return (UINT64_C(1) << (field->max + 1)) - (UINT64_C(1) << field->min);
}

/** @param text  without spaces */
static bool read_field(struct parse *parse, const char *text, bool *ret_any)
{
	bool is_day = parse->field == &fields[FIELD_DAY] || parse->field == &fields[FIELD_WEEKDAY];
	const char *at = text;

	*ret_any = strcmp(text, "*") == 0 || (is_day && strcmp(text, "?") == 0);
	if (*ret_any) {
		parse->bits = all_of(parse->field);
		return true;
	}
	for (;;) {
		if (!read_item(parse, &at))
			return false;
		if (*at == '\0')
			return true;
		if (*at++ != ',')
			return false;
	}
}

/** What the combination of the day fields means. @return NULL; what is wrong with it */
static const char *join_days(struct cron *cron, char *const *texts)
{
	bool all_days = cron->days == all_of(&fields[FIELD_DAY]);
	bool all_weekdays = cron->weekdays == all_of(&fields[FIELD_WEEKDAY]);

	/* A field that lists all its values is * where the other one has a star in it. */
	if (all_days && strchr(texts[FIELD_WEEKDAY], '*') != NULL)
		cron->is_any_day = true;
	if (all_weekdays && strchr(texts[FIELD_DAY], '*') != NULL)
		cron->is_any_weekday = true;
	if (!cron->has_nth)
		return NULL;
	if (cron->weekdays != 0)
		return "days of the week by number in the month do not mix with others";
	if (!cron->is_any_day)
		return "a day of month does not go together with # or L in the day of week";
	return NULL;
}

/** @return fields found; more than FIELDS_MAX: too many */
static uint32_t split(char *text, char **ret_texts)
{
	char *save = NULL;
	uint32_t count = 0;

	for (char *at = strtok_r(text, " \t", &save); at != NULL;
	     at = strtok_r(NULL, " \t", &save)) {
		if (count < FIELDS_MAX)
			ret_texts[count] = at;
		count++;
	}
	return count;
}

int cron_parse(const char *text, struct cron *ret_cron, char *reterr, size_t reterr_size)
{
	struct cron cron = { .seconds = 1 };
	uint64_t *const sets[FIELDS_MAX] = { &cron.minutes, &cron.hours,    &cron.days,
					     &cron.months,  &cron.weekdays, &cron.seconds };
	char copy[TEXT_MAX], *texts[FIELDS_MAX];
	const char *what;
	uint32_t count;
	bool is_any;

	if (strlen(text) >= sizeof(copy)) {
		(void)snprintf(reterr, reterr_size, "this cron expression is too long");
		return ERR_CONFIG;
	}
	(void)snprintf(copy, sizeof(copy), "%s", text);
	count = split(copy, texts);
	if (count != 5 && count != 6) {
		(void)snprintf(
			reterr, reterr_size,
			"a cron expression has 5 fields (minute hour day month weekday) or 6 "
			"(and second), not %u",
			count);
		return ERR_CONFIG;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct parse parse = { .cron = &cron, .field = &fields[i] };

		if (!read_field(&parse, texts[i], &is_any)) {
			(void)snprintf(reterr, reterr_size, "%s `%.60s`: %s", fields[i].name,
				       texts[i],
				       parse.what != NULL ? parse.what : "not understood");
			return ERR_CONFIG;
		}
		*sets[i] = parse.bits;
		if (i == FIELD_DAY)
			cron.is_any_day = is_any;
		if (i == FIELD_WEEKDAY)
			cron.is_any_weekday = is_any;
	}
	what = join_days(&cron, texts);
	if (what != NULL) {
		(void)snprintf(reterr, reterr_size, "%s", what);
		return ERR_CONFIG;
	}
	*ret_cron = cron;
	return 0;
}

bool cron_covers_every_hour(const struct cron *cron)
{
	return cron->hours == all_of(&fields[FIELD_HOUR]);
}

static bool has_bit(uint64_t bits, int32_t bit)
{
	return (bits >> bit & 1) != 0;
}

static bool matches_day(const struct cron *cron, int64_t days)
{
	struct civil_date date = civil_from_days(days);
	int32_t weekday = civil_weekday(days), length = civil_month_days(date.year, date.month);
	bool is_day, is_weekday;

	if (!has_bit(cron->months, date.month))
		return false;
	is_day = has_bit(cron->days, date.day) || (cron->has_last_day && date.day == length);
	is_weekday = has_bit(cron->weekdays, weekday) ||
		     has_bit(cron->nth[weekday], (date.day - 1) / 7 + 1) ||
		     (has_bit(cron->nth[weekday], LAST_NTH) && date.day + 7 > length);
	if (cron->is_any_day)
		return cron->is_any_weekday || is_weekday;
	if (cron->is_any_weekday)
		return is_day;
	return is_day || is_weekday;
}

/** Lowest bit at or above `from`; -1: none. */
static int32_t bit_up(uint64_t bits, int32_t from)
{
	bits = from > 63 ? 0 : bits >> from << from;
	return bits == 0 ? -1 : __builtin_ctzll(bits);
}

/** Highest bit at or below `from`; -1: none. */
static int32_t bit_down(uint64_t bits, int32_t from)
{
	if (from < 0)
		return -1;
	bits &= UINT64_MAX >> (63 - from);
	return bits == 0 ? -1 : 63 - __builtin_clzll(bits);
}

/** First time of a day at or after `from` seconds; -1: none. */
static int64_t time_up(const struct cron *cron, int64_t from)
{
	int32_t hour = (int32_t)(from / 3600), minute = (int32_t)(from / 60 % 60);
	int32_t second = bit_up(cron->seconds, (int32_t)(from % 60));
	int32_t found;

	if (second < 0) {
		minute++;
		second = bit_up(cron->seconds, 0);
	}
	found = has_bit(cron->hours, hour) ? bit_up(cron->minutes, minute) : -1;
	if (found >= 0)
		return hour * 3600 + found * 60 +
		       (found == minute ? second : bit_up(cron->seconds, 0));
	hour = bit_up(cron->hours, hour + 1);
	if (hour < 0)
		return -1;
	return hour * 3600 + bit_up(cron->minutes, 0) * 60 + bit_up(cron->seconds, 0);
}

/** Last time of a day at or before `from` seconds; -1: none. */
static int64_t time_down(const struct cron *cron, int64_t from)
{
	int32_t hour = (int32_t)(from / 3600), minute = (int32_t)(from / 60 % 60);
	int32_t second = bit_down(cron->seconds, (int32_t)(from % 60));
	int32_t found, last = bit_down(cron->seconds, 59);

	if (second < 0) {
		minute--;
		second = last;
	}
	found = has_bit(cron->hours, hour) ? bit_down(cron->minutes, minute) : -1;
	if (found >= 0)
		return hour * 3600 + found * 60 + (found == minute ? second : last);
	hour = bit_down(cron->hours, hour - 1);
	if (hour < 0)
		return -1;
	return hour * 3600 + bit_down(cron->minutes, 59) * 60 + last;
}

bool cron_next(const struct cron *cron, int64_t local_s, int64_t *ret_s)
{
	int64_t first = civil_floor_div(local_s + 1, CIVIL_DAY_S);
	int64_t from = local_s + 1 - first * CIVIL_DAY_S;

	for (int64_t day = first; day < first + DAYS_MAX; day++, from = 0) {
		int64_t found = matches_day(cron, day) ? time_up(cron, from) : -1;

		if (found >= 0) {
			*ret_s = day * CIVIL_DAY_S + found;
			return true;
		}
	}
	return false;
}

bool cron_prev(const struct cron *cron, int64_t local_s, int64_t *ret_s)
{
	int64_t first = civil_floor_div(local_s - 1, CIVIL_DAY_S);
	int64_t from = local_s - 1 - first * CIVIL_DAY_S;

	for (int64_t day = first; day > first - DAYS_MAX; day--, from = CIVIL_DAY_S - 1) {
		int64_t found = matches_day(cron, day) ? time_down(cron, from) : -1;

		if (found >= 0) {
			*ret_s = day * CIVIL_DAY_S + found;
			return true;
		}
	}
	return false;
}

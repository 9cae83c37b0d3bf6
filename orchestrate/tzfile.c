/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/tzfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

#include "orchestrate/civil.h"

#define ZONEINFO      "/usr/share/zoneinfo/"
#define OFFSET_MAX_S  93599 /* RFC 8536: less than 26 hours */
#define FOOTER_MAX    128
#define RULE_HOUR_MAX 167

struct rule {
	char form;                /* 'M', 'J', or '0' for a day from 0 that counts 29 February */
	int32_t month, week, day; /* of 'M' */
	int32_t year_day;         /* of the others */
	int32_t time_s;           /* local */
};

/** The POSIX form: what holds after the last transition. */
struct footer {
	bool is_there, has_dst;
	int32_t standard_s, dst_s; /* offsets, east positive */
	struct rule begin, end;    /* of daylight saving time */
};

struct tzfile {
	uint32_t count;       /* transitions */
	uint32_t type_count;  /* at least 1 */
	int64_t *transitions; /* [count] ascending */
	uint8_t *types;       /* [count] of the time after each */
	int32_t *offsets;     /* [type_count] */
	struct footer footer;
};

void tzfile_free(struct tzfile *zone)
{
	if (zone == NULL)
		return;
	free(zone->transitions);
	free(zone->types);
	free(zone->offsets);
	free(zone);
}

/* ---- the footer ---- */

static bool read_number(const char **at, int32_t max, int32_t *ret)
{
	int32_t value = 0;
	const char *begin = *at;

	while (**at >= '0' && **at <= '9' && *at - begin < 4)
		value = value * 10 + (*(*at)++ - '0');
	*ret = value;
	return *at > begin && value <= max;
}

/** "hh[:mm[:ss]]" with a sign. */
static bool read_time(const char **at, int32_t hour_max, int32_t *ret_s)
{
	int32_t sign = 1, hours, minutes = 0, seconds = 0;

	if (**at == '-' || **at == '+')
		sign = *(*at)++ == '-' ? -1 : 1;
	if (!read_number(at, hour_max, &hours))
		return false;
	if (**at == ':') {
		(*at)++;
		if (!read_number(at, 59, &minutes))
			return false;
	}
	if (**at == ':') {
		(*at)++;
		if (!read_number(at, 59, &seconds))
			return false;
	}
	*ret_s = sign * (hours * 3600 + minutes * 60 + seconds);
	return true;
}

static bool skip_name(const char **at)
{
	const char *begin = *at;

	if (**at == '<') {
		*at = strchr(*at, '>');
		if (*at == NULL)
			return false;
		(*at)++;
		return true;
	}
	while ((**at >= 'A' && **at <= 'Z') || (**at >= 'a' && **at <= 'z'))
		(*at)++;
	return *at - begin >= 3;
}

static bool read_rule(const char **at, struct rule *rule)
{
	rule->time_s = 7200;
	if (*(*at)++ != ',')
		return false;
	rule->form = **at;
	if (rule->form == 'M') {
		(*at)++;
		if (!read_number(at, 12, &rule->month) || rule->month < 1 || *(*at)++ != '.' ||
		    !read_number(at, 5, &rule->week) || rule->week < 1 || *(*at)++ != '.' ||
		    !read_number(at, 6, &rule->day))
			return false;
	} else if (rule->form == 'J') {
		(*at)++;
		if (!read_number(at, 365, &rule->year_day) || rule->year_day < 1)
			return false;
	} else {
		rule->form = '0';
		if (!read_number(at, 365, &rule->year_day))
			return false;
	}
	if (**at == '/') {
		(*at)++;
		return read_time(at, RULE_HOUR_MAX, &rule->time_s);
	}
	return true;
}

static bool read_footer(const char *at, struct footer *footer)
{
	if (*at == '\0')
		return true;
	if (!skip_name(&at) || !read_time(&at, 24, &footer->standard_s))
		return false;
	footer->standard_s = -footer->standard_s;
	footer->is_there = true;
	if (*at == '\0')
		return true;
	if (!skip_name(&at))
		return false;
	footer->has_dst = true;
	footer->dst_s = footer->standard_s + 3600;
	if (*at != ',') {
		if (!read_time(&at, 24, &footer->dst_s))
			return false;
		footer->dst_s = -footer->dst_s;
	}
	return read_rule(&at, &footer->begin) && read_rule(&at, &footer->end) && *at == '\0';
}

/** Local time of a rule in a year, seconds since 1970. */
static int64_t rule_local(const struct rule *rule, int32_t year)
{
	int64_t first = civil_to_days((struct civil_date){ year, 1, 1 });
	int64_t day;

	if (rule->form == 'M') {
		int32_t days = civil_month_days(year, rule->month), of_month;

		first = civil_to_days((struct civil_date){ year, rule->month, 1 });
		of_month = (rule->day - civil_weekday(first) + 7) % 7 + (rule->week - 1) * 7;
		day = first + (of_month < days ? of_month : of_month - 7);
	} else if (rule->form == 'J') { /* 29 February is never counted */
		day = first + rule->year_day - 1 +
		      (rule->year_day >= 60 && civil_month_days(year, 2) == 29);
	} else {
		day = first + rule->year_day;
	}
	return day * CIVIL_DAY_S + rule->time_s;
}

static int32_t footer_offset(const struct footer *footer, int64_t utc_s)
{
	int64_t begin, end;
	int32_t year;
	bool is_dst;

	if (!footer->has_dst)
		return footer->standard_s;
	year = civil_from_days(civil_floor_div(utc_s + footer->standard_s, CIVIL_DAY_S)).year;
	begin = rule_local(&footer->begin, year) - footer->standard_s;
	end = rule_local(&footer->end, year) - footer->dst_s;
	if (begin < end)
		is_dst = utc_s >= begin && utc_s < end;
	else
		is_dst = utc_s >= begin || utc_s < end;
	return is_dst ? footer->dst_s : footer->standard_s;
}

/* ---- the file ---- */

struct header {
	char version;
	uint32_t isut, isstd, leap, time, type, letters; /* counts, in the file's order */
};

static int read_header(struct reader *r, struct header *ret)
{
	const uint8_t *magic = reader_bytes(r, 4);

	if (magic == NULL || memcmp(magic, "TZif", 4) != 0)
		return ERR_MALFORMED;
	ret->version = (char)reader_u8(r);
	(void)reader_bytes(r, 15);
	ret->isut = reader_u32(r);
	ret->isstd = reader_u32(r);
	ret->leap = reader_u32(r);
	ret->time = reader_u32(r);
	ret->type = reader_u32(r);
	ret->letters = reader_u32(r);
	if (r->error != 0 || ret->type == 0 || ret->type > 256 || ret->time > TZFILE_SIZE_MAX ||
	    ret->leap > TZFILE_SIZE_MAX || ret->letters > TZFILE_SIZE_MAX ||
	    ret->isut > TZFILE_SIZE_MAX || ret->isstd > TZFILE_SIZE_MAX)
		return ERR_MALFORMED;
	return 0;
}

static int read_tables(struct reader *r, const struct header *header, struct tzfile *zone)
{
	if (reader_left(r) < (size_t)header->time * 9 + (size_t)header->type * 6)
		return ERR_MALFORMED;
	zone->count = header->time;
	zone->type_count = header->type;
	zone->transitions = calloc(MAX(zone->count, 1U), sizeof(*zone->transitions));
	zone->types = calloc(MAX(zone->count, 1U), sizeof(*zone->types));
	zone->offsets = calloc(zone->type_count, sizeof(*zone->offsets));
	if (zone->transitions == NULL || zone->types == NULL || zone->offsets == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < zone->count; i++) {
		zone->transitions[i] = reader_i64(r);
		if (i > 0 && zone->transitions[i] <= zone->transitions[i - 1])
			return ERR_MALFORMED;
	}
	for (uint32_t i = 0; i < zone->count; i++) {
		zone->types[i] = reader_u8(r);
		if (zone->types[i] >= zone->type_count)
			return ERR_MALFORMED;
	}
	for (uint32_t i = 0; i < zone->type_count; i++) {
		zone->offsets[i] = reader_i32(r);
		(void)reader_u16(r); /* is_dst, index of its letters */
		if (zone->offsets[i] > OFFSET_MAX_S || zone->offsets[i] < -OFFSET_MAX_S)
			return ERR_MALFORMED;
	}
	(void)reader_bytes(r, header->letters);
	(void)reader_bytes(r, (size_t)header->leap * 12);
	(void)reader_bytes(r, (size_t)header->isstd + header->isut);
	return r->error != 0 ? ERR_MALFORMED : 0;
}

static int read_last_line(struct reader *r, struct footer *ret)
{
	char text[FOOTER_MAX];
	size_t size = reader_left(r);

	if (size < 2 || size > sizeof(text) || r->at[0] != '\n' || r->at[size - 1] != '\n')
		return ERR_MALFORMED;
	memcpy(text, r->at + 1, size - 2);
	text[size - 2] = '\0';
	return strlen(text) == size - 2 && read_footer(text, ret) ? 0 : ERR_MALFORMED;
}

int tzfile_parse(const void *bytes, size_t size, struct tzfile **ret_zone)
{
	CLEANUP(tzfile_freep) struct tzfile *zone = calloc(1, sizeof(*zone));
	struct header header;
	struct reader r;
	int error;

	if (zone == NULL)
		return -ENOMEM;
	reader_init(&r, bytes, size);
	error = read_header(&r, &header);
	if (error != 0)
		return error;
	if (header.version < '2')
		return ERR_MALFORMED;
	/* The first block has 32-bit times, for readers of version 1. */
	(void)reader_bytes(&r, (size_t)header.time * 5 + (size_t)header.type * 6 + header.letters +
				       (size_t)header.leap * 8 + header.isstd + header.isut);
	error = read_header(&r, &header);
	if (error == 0)
		error = read_tables(&r, &header, zone);
	if (error == 0)
		error = read_last_line(&r, &zone->footer);
	if (error != 0)
		return error;
	*ret_zone = TAKE_PTR(zone);
	return 0;
}

static int make_utc(struct tzfile **ret_zone)
{
	struct tzfile *zone = calloc(1, sizeof(*zone));

	if (zone == NULL)
		return -ENOMEM;
	zone->footer.is_there = true;
	*ret_zone = zone;
	return 0;
}

static bool is_name(const char *name)
{
	size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_+-/");

	return size > 0 && size < TZFILE_NAME_MAX && name[size] == '\0' && name[0] != '/';
}

int tzfile_load(const char *name, struct tzfile **ret_zone)
{
	char path[sizeof(ZONEINFO) + TZFILE_NAME_MAX];
	uint8_t *bytes;
	ssize_t size;
	int fd, error;

	if (name == NULL || *name == '\0' || strcmp(name, "UTC") == 0)
		return make_utc(ret_zone);
	if (!is_name(name))
		return -ENOENT;
	(void)snprintf(path, sizeof(path), ZONEINFO "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bytes = malloc(TZFILE_SIZE_MAX);
	size = bytes != NULL ? read(fd, bytes, TZFILE_SIZE_MAX) : 0;
	error = size < 0 ? -errno : 0;
	(void)close(fd);
	if (bytes == NULL)
		return -ENOMEM;
	if (error == 0)
		error = tzfile_parse(bytes, (size_t)size, ret_zone);
	free(bytes);
	return error == -EISDIR ? -ENOENT : error;
}

int32_t tzfile_offset(const struct tzfile *zone, int64_t utc_s)
{
	uint32_t low = 0, high = zone->count;

	if (zone->footer.is_there &&
	    (zone->count == 0 || utc_s >= zone->transitions[zone->count - 1]))
		return footer_offset(&zone->footer, utc_s);
	while (low < high) { /* the first transition after utc_s */
		uint32_t middle = low + (high - low) / 2;

		if (zone->transitions[middle] <= utc_s)
			low = middle + 1;
		else
			high = middle;
	}
	return zone->offsets[low == 0 ? 0 : zone->types[low - 1]];
}

int64_t tzfile_to_utc(const struct tzfile *zone, int64_t local_s, bool is_second)
{
	/* Offsets are less than a day: these are the ones before and after any change near local_s. */
	int32_t before = tzfile_offset(zone, local_s - CIVIL_DAY_S);
	int32_t after = tzfile_offset(zone, local_s + CIVIL_DAY_S);
	bool is_before = tzfile_offset(zone, local_s - before) == before;
	bool is_after = tzfile_offset(zone, local_s - after) == after;

	if (is_before && is_after)
		return is_second ? MAX(local_s - before, local_s - after)
				 : MIN(local_s - before, local_s - after);
	return is_after ? local_s - after : local_s - before;
}

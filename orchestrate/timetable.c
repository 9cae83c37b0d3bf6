/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/timetable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/civil.h"
#include "orchestrate/cron.h"
#include "orchestrate/tzfile.h"

#define SECOND_US INT64_C(1000000)
#define TEXT_MAX  384

#define ZONE_MAX 64

struct timetable {
	enum timetable_kind kind;
	bool has_interval, has_catchup;
	int64_t start_us, end_us;
	int64_t every_us; /* TIMETABLE_INTERVAL */
	struct cron cron; /* TIMETABLE_CRON */
	struct tzfile *zone;
	char zone_name[ZONE_MAX];
	char text[TEXT_MAX];
};

/* ---- making one ---- */

static int parse_every(const char *text, int64_t *ret_us, char *reterr, size_t reterr_size)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	long count = strtol(text, &end, 10);

	for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
		if (*end != units[i].letter || end[1] != '\0' || end == text || count < 1 ||
		    count > 1000000)
			continue;
		*ret_us = count * units[i].seconds * SECOND_US;
		return 0;
	}
	(void)snprintf(
		reterr, reterr_size,
		"`every %.60s` is not an interval; write every 90s, every 5m, every 2h or every 1d",
		text);
	return ERR_CONFIG;
}

/** @return the cron expression of a preset; NULL: not one */
static const char *preset(const char *text)
{
	static const char *const presets[][2] = {
		{ "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
		{ "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
		{ "@monthly", "0 0 1 * *" },  { "@quarterly", "0 0 1 */3 *" },
		{ "@yearly", "0 0 1 1 *" },   { "@annually", "0 0 1 1 *" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(presets); i++) {
		if (strcmp(text, presets[i][0]) == 0)
			return presets[i][1];
	}
	return NULL;
}

static int parse_schedule(struct timetable *timetable, const char *text, char *reterr,
			  size_t reterr_size)
{
	const char *cron = text;
	int64_t at;
	int error;

	if (text == NULL || *text == '\0' || strcmp(text, "@none") == 0) {
		timetable->kind = TIMETABLE_MANUAL;
		return 0;
	}
	if (strcmp(text, "@once") == 0) {
		timetable->kind = TIMETABLE_ONCE;
		return 0;
	}
	if (strncmp(text, "every ", 6) == 0) {
		timetable->kind = TIMETABLE_INTERVAL;
		return parse_every(text + 6, &timetable->every_us, reterr, reterr_size);
	}
	if (*text == '@') {
		cron = preset(text);
		if (cron == NULL) {
			(void)snprintf(
				reterr, reterr_size,
				"`%.60s` is not a preset; there are @hourly, @daily, @weekly, "
				"@monthly, @quarterly, @yearly, @once and @none",
				text);
			return ERR_CONFIG;
		}
	}
	timetable->kind = TIMETABLE_CRON;
	error = cron_parse(cron, &timetable->cron, reterr, reterr_size);
	if (error == 0 && !cron_next(&timetable->cron, 0, &at)) {
		(void)snprintf(reterr, reterr_size, "`%.60s` is a date that never comes", text);
		error = ERR_CONFIG;
	}
	return error;
}

int timetable_new(const struct timetable_spec *spec, struct timetable **ret_timetable, char *reterr,
		  size_t reterr_size)
{
	CLEANUP(timetable_freep) struct timetable *timetable = calloc(1, sizeof(*timetable));
	const char *zone = spec->timezone != NULL ? spec->timezone : "UTC";
	int error;

	if (timetable == NULL)
		return -ENOMEM;
	error = tzfile_load(zone, &timetable->zone);
	if (error == -ENOMEM)
		return error;
	if (error != 0) {
		(void)snprintf(reterr, reterr_size,
			       "there is no time zone `%.60s`; write a name as in Europe/Amsterdam",
			       zone);
		return ERR_CONFIG;
	}
	(void)snprintf(timetable->zone_name, sizeof(timetable->zone_name), "%s", zone);
	error = parse_schedule(timetable, spec->schedule, reterr, reterr_size);
	if (error != 0)
		return error;
	if (spec->start_us != TIMETABLE_NONE && spec->end_us != TIMETABLE_NONE &&
	    spec->end_us < spec->start_us) {
		(void)snprintf(reterr, reterr_size, "the end lies before the start");
		return ERR_CONFIG;
	}
	timetable->has_interval = spec->has_interval;
	timetable->has_catchup = spec->catchup;
	timetable->start_us = spec->start_us;
	timetable->end_us = spec->end_us;
	if (timetable->kind == TIMETABLE_MANUAL)
		(void)snprintf(timetable->text, sizeof(timetable->text), "manual");
	else
		(void)snprintf(timetable->text, sizeof(timetable->text), "%s%s%s", spec->schedule,
			       spec->timezone != NULL ? ", " : "",
			       spec->timezone != NULL ? zone : "");
	*ret_timetable = TAKE_PTR(timetable);
	return 0;
}

void timetable_free(struct timetable *timetable)
{
	if (timetable == NULL)
		return;
	tzfile_free(timetable->zone);
	free(timetable);
}

enum timetable_kind timetable_kind(const struct timetable *timetable)
{
	return timetable->kind;
}

const char *timetable_text(const struct timetable *timetable)
{
	return timetable->text;
}

const char *timetable_zone(const struct timetable *timetable)
{
	return timetable->zone_name;
}

int32_t timetable_utc_offset(const struct timetable *timetable, int64_t at_us)
{
	return tzfile_offset(timetable->zone, civil_floor_div(at_us, SECOND_US));
}

/* ---- slots around an instant: Airflow's CronMixin and DeltaMixin ---- */

static int64_t to_local(const struct timetable *timetable, int64_t at_us)
{
	return at_us + timetable_utc_offset(timetable, at_us) * SECOND_US;
}

/**
 * The instant of a slot that was found on local time. With fixed hours the local time counts: in the
 * hour that comes twice it is the second one. A schedule of every hour goes on by the distance, so
 * that such an hour has its slots twice.
 */
static int64_t from_local(const struct timetable *timetable, int64_t at_us, int64_t local_us,
			  int64_t slot_s)
{
	if (cron_covers_every_hour(&timetable->cron))
		return at_us + (slot_s * SECOND_US - local_us);
	return tzfile_to_utc(timetable->zone, slot_s, true) * SECOND_US;
}

/** First slot after an instant. TIMETABLE_NONE: none. */
static int64_t next_slot(const struct timetable *timetable, int64_t at_us)
{
	int64_t local_us, slot_s;

	if (timetable->kind == TIMETABLE_INTERVAL)
		return at_us + timetable->every_us;
	if (at_us == TIMETABLE_NONE)
		return TIMETABLE_NONE;
	local_us = to_local(timetable, at_us);
	if (!cron_next(&timetable->cron, civil_floor_div(local_us, SECOND_US), &slot_s))
		return TIMETABLE_NONE;
	return from_local(timetable, at_us, local_us, slot_s);
}

/** Last slot before an instant. */
static int64_t prev_slot(const struct timetable *timetable, int64_t at_us)
{
	int64_t local_us, slot_s;

	if (timetable->kind == TIMETABLE_INTERVAL)
		return at_us - timetable->every_us;
	if (at_us == TIMETABLE_NONE)
		return TIMETABLE_NONE;
	local_us = to_local(timetable, at_us);
	if (!cron_prev(&timetable->cron, civil_floor_div(local_us + SECOND_US - 1, SECOND_US),
		       &slot_s))
		return TIMETABLE_NONE;
	return from_local(timetable, at_us, local_us, slot_s);
}

static int64_t align_next(const struct timetable *timetable, int64_t at_us)
{
	int64_t next;

	if (timetable->kind == TIMETABLE_INTERVAL)
		return at_us;
	next = next_slot(timetable, at_us);
	return prev_slot(timetable, next) != at_us ? next : at_us;
}

static int64_t align_prev(const struct timetable *timetable, int64_t at_us)
{
	int64_t prev;

	if (timetable->kind == TIMETABLE_INTERVAL)
		return at_us;
	prev = prev_slot(timetable, at_us);
	return next_slot(timetable, prev) != at_us ? prev : at_us;
}

/* ---- which slot is next: _DataIntervalTimetable and _TriggerTimetable ---- */

/** Without catchup: begin of the last interval that is complete. */
static int64_t skip_to_latest(const struct timetable *timetable, int64_t now_us)
{
	int64_t latest, last, next;

	if (timetable->kind == TIMETABLE_INTERVAL) {
		latest = civil_floor_div(now_us, timetable->every_us) * timetable->every_us -
			 timetable->every_us;
	} else {
		last = prev_slot(timetable, now_us);
		next = next_slot(timetable, last);
		latest = next == now_us ? last : prev_slot(timetable, last);
	}
	if (timetable->start_us == TIMETABLE_NONE)
		return latest;
	return MAX(latest, align_next(timetable, timetable->start_us));
}

static bool next_interval(const struct timetable *timetable, const struct timetable_slot *last,
			  int64_t now_us, struct timetable_slot *ret_slot)
{
	int64_t begin = TIMETABLE_NONE, after_last;

	if (!timetable->has_catchup)
		begin = skip_to_latest(timetable, now_us);
	else if (timetable->start_us != TIMETABLE_NONE)
		begin = align_next(timetable, timetable->start_us);
	if (last != NULL) {
		after_last = align_prev(timetable, last->end_us);
		begin = MAX(begin, after_last);
		/* The slot around it when the schedule has become a coarser one since. */
		while (begin != TIMETABLE_NONE && begin <= last->logical_us)
			begin = next_slot(timetable, begin);
	}
	if (begin == TIMETABLE_NONE ||
	    (timetable->end_us != TIMETABLE_NONE && begin > timetable->end_us))
		return false;
	ret_slot->logical_us = ret_slot->begin_us = begin;
	ret_slot->end_us = ret_slot->run_after_us = next_slot(timetable, begin);
	return ret_slot->end_us != TIMETABLE_NONE;
}

/** A schedule without a start: the last slot if it is just over, else the next one. */
static int64_t first_point(const struct timetable *timetable, int64_t now_us)
{
	int64_t past = align_prev(timetable, now_us), next = align_next(timetable, now_us);
	int64_t grace = MAX((next - past) / 10, 300 * SECOND_US);

	return now_us - past <= grace ? past : next;
}

static void exactly(int64_t at_us, struct timetable_slot *ret_slot)
{
	ret_slot->logical_us = at_us;
	ret_slot->begin_us = ret_slot->end_us = at_us;
	ret_slot->run_after_us = at_us;
}

static bool next_point(const struct timetable *timetable, const struct timetable_slot *last,
		       int64_t now_us, struct timetable_slot *ret_slot)
{
	bool has_start = timetable->start_us != TIMETABLE_NONE;
	int64_t at = TIMETABLE_NONE, other = TIMETABLE_NONE;

	if (!timetable->has_catchup)
		at = align_prev(timetable, now_us);
	if (last != NULL)
		other = next_slot(timetable, last->end_us);
	else if (!has_start)
		other = first_point(timetable, now_us);
	at = MAX(at, other);
	if (has_start && (last == NULL || !timetable->has_catchup)) {
		other = align_next(timetable, timetable->start_us);
		at = MAX(at, other);
	}
	if (at == TIMETABLE_NONE || (timetable->end_us != TIMETABLE_NONE && at > timetable->end_us))
		return false;
	exactly(at, ret_slot);
	return true;
}

bool timetable_next(const struct timetable *timetable, const struct timetable_slot *last,
		    int64_t now_us, struct timetable_slot *ret_slot)
{
	int64_t at;

	switch (timetable->kind) {
	case TIMETABLE_ONCE:
		at = timetable->start_us != TIMETABLE_NONE ? timetable->start_us : now_us;
		if (last != NULL || (timetable->end_us != TIMETABLE_NONE && at > timetable->end_us))
			return false;
		exactly(at, ret_slot);
		return true;
	case TIMETABLE_CRON:
	case TIMETABLE_INTERVAL:
		return timetable->has_interval ? next_interval(timetable, last, now_us, ret_slot)
					       : next_point(timetable, last, now_us, ret_slot);
	case TIMETABLE_MANUAL:
	default:
		return false;
	}
}

void timetable_manual(const struct timetable *timetable, int64_t run_after_us,
		      struct timetable_slot *ret_slot)
{
	exactly(run_after_us, ret_slot);
	if (!timetable->has_interval ||
	    (timetable->kind != TIMETABLE_CRON && timetable->kind != TIMETABLE_INTERVAL))
		return;
	ret_slot->end_us = align_prev(timetable, run_after_us);
	ret_slot->begin_us = prev_slot(timetable, ret_slot->end_us);
}

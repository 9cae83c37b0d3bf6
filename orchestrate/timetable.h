/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * When a pipeline runs: cron expressions, presets and intervals, time zones, data intervals, catchup; as
 * Airflow's CronDataIntervalTimetable, CronTriggerTimetable and DeltaDataIntervalTimetable.
 *
 * Instants are microseconds since 1970 in UTC. A cron slot is computed on local time and localised as
 * Airflow does it: fixed hours take the second of an ambiguous hour and shift forward over a gap;
 * expressions that cover every hour follow absolute time.
 *
 * Context: any thread. Memory: heap at parse; time zones are read once (TZif of /usr/share/zoneinfo).
 */
#pragma once

#include "base/defs.h"

#define TIMETABLE_NONE INT64_MIN /* no such instant */

enum timetable_kind {
	TIMETABLE_MANUAL,   /* no schedule (null, @none): only manual runs */
	TIMETABLE_ONCE,     /* @once */
	TIMETABLE_CRON,     /* "5 4 * * *", @daily, ... */
	TIMETABLE_INTERVAL, /* "every 90s": absolute seconds */
};

struct timetable;

struct timetable_spec {
	const char *
		schedule; /* "" or NULL: manual; cron of 5 or 6 fields (6th: seconds), a preset, "every 5m" */
	const char *timezone; /* IANA name; NULL: UTC */
	/**
	 * true ("window: previous"): a run covers the interval before it; starts at its end (Airflow 2's rule).
	 * false ("window: none"): a point in time, interval of no length (Airflow 3's default for cron).
	 */
	bool has_interval;
	int64_t start_us; /* TIMETABLE_NONE: none */
	int64_t end_us;   /* no logical date after; TIMETABLE_NONE: none */
	bool catchup;
};

/** @param[out] reterr  [reterr_size] what is wrong, with a hint. @return 0; ERR_CONFIG; -ENOMEM */
NODISCARD int timetable_new(const struct timetable_spec *spec, struct timetable **ret_timetable,
			    char *reterr, size_t reterr_size);
void timetable_free(struct timetable *timetable);
DEFINE_CLEANUP(struct timetable, timetable_free);

enum timetable_kind timetable_kind(const struct timetable *timetable);

struct timetable_slot {
	int64_t logical_us;       /* logical date */
	int64_t begin_us, end_us; /* data interval */
	int64_t run_after_us;     /* earliest start */
};

/**
 * The next scheduled run.
 *
 * @param last    data interval of the newest scheduled run; NULL: there was none
 * @param now_us  wall clock, for catchup = false
 * @return true a slot (its run_after may lie in the future or in the past; its logical date is later than
 *         last's, whatever schedule that one was of); false: no further runs
 */
bool timetable_next(const struct timetable *timetable, const struct timetable_slot *last,
		    int64_t now_us, struct timetable_slot *ret_slot);
/** Data interval of a manual run: the last complete one before `run_after_us`. */
void timetable_manual(const struct timetable *timetable, int64_t run_after_us,
		      struct timetable_slot *ret_slot);
/** "At 04:05 every day, Europe/Amsterdam" is too much: the schedule as written, with the zone. */
const char *timetable_text(const struct timetable *timetable);
/** @return IANA name of its zone */
const char *timetable_zone(const struct timetable *timetable);
/** @return UTC offset in seconds of the timetable's zone at an instant */
int32_t timetable_utc_offset(const struct timetable *timetable, int64_t at_us);

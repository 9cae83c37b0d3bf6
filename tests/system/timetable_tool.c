/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of timetables, for timetable.py to compare. One case a line on stdin, fields between tabs:
 * schedule, zone, "previous" or "none", start or -, end or -, catchup 0 or 1, now, then what passes after each
 * slot. All instants and spans are seconds. One line of answer: "begin end" of a manual run now, then
 * "logical begin end run_after" of each slot; "error: ..." for a schedule that is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrate/timetable.h"

#define SECOND_US  INT64_C(1000000)
#define LINE_SIZE  4096
#define FIELDS_MAX 64

static int64_t instant(const char *text)
{
	return strcmp(text, "-") == 0 ? TIMETABLE_NONE : strtoll(text, NULL, 10) * SECOND_US;
}

static void print_slot(const struct timetable_slot *slot)
{
	printf("\t%lld %lld %lld %lld", (long long)(slot->logical_us / SECOND_US),
	       (long long)(slot->begin_us / SECOND_US), (long long)(slot->end_us / SECOND_US),
	       (long long)(slot->run_after_us / SECOND_US));
}

static void answer(const struct timetable *timetable, int64_t now_us, char *const *spans,
		   size_t count)
{
	struct timetable_slot slot, last;

	timetable_manual(timetable, now_us, &slot);
	printf("%lld %lld", (long long)(slot.begin_us / SECOND_US),
	       (long long)(slot.end_us / SECOND_US));
	for (size_t i = 0; i < count; i++) {
		if (!timetable_next(timetable, i > 0 ? &last : NULL, now_us, &slot)) {
			printf("\tnone");
			break;
		}
		print_slot(&slot);
		last = slot;
		now_us = MAX(now_us, slot.run_after_us) + strtoll(spans[i], NULL, 10) * SECOND_US;
	}
	printf("\n");
}

int main(void)
{
	char line[LINE_SIZE], reterr[256];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		char *fields[FIELDS_MAX], *save = NULL;
		struct timetable *timetable = NULL;
		struct timetable_spec spec;
		size_t count = 0;

		line[strcspn(line, "\n")] = '\0';
		for (char *at = strtok_r(line, "\t", &save); at != NULL && count < FIELDS_MAX;
		     at = strtok_r(NULL, "\t", &save))
			fields[count++] = at;
		if (count < 7)
			return 2;
		spec.schedule = fields[0];
		spec.timezone = fields[1];
		spec.has_interval = strcmp(fields[2], "previous") == 0;
		spec.start_us = instant(fields[3]);
		spec.end_us = instant(fields[4]);
		spec.catchup = strcmp(fields[5], "1") == 0;
		if (timetable_new(&spec, &timetable, reterr, sizeof(reterr)) != 0)
			printf("error: %s\n", reterr);
		else
			answer(timetable, instant(fields[6]), fields + 7, count - 7);
		timetable_free(timetable);
	}
	return 0;
}

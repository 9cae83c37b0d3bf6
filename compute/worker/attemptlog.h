/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What an attempt says: NDJSON lines {"timestamp","level","event"} at the end of its log file, secrets masked.
 * Beyond size_max only attemptlog_end() still writes.
 *
 * Context: one thread. Memory: a line at a time.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"
#include "base/redact.h"

struct attemptlog {
	int fd; /* -1: no log */
	int64_t size, size_max;
	bool is_full;
	struct redact *redact; /* NULL: no log */
};

/**
 * @param path  NULL: no log
 * @param masks  array of secrets; NULL: none; copied
 * @return 0; -errno: there is no log, all calls do nothing
 */
int attemptlog_open(struct attemptlog *log, const char *path, int64_t size_max,
		    const json_t *masks);
void attemptlog_close(struct attemptlog *log);

/** @param level  "info", "warning", "error" */
void attemptlog_line(struct attemptlog *log, const char *level, const char *format, ...)
	PRINTF_LIKE(3, 4);
/** The last line, written whatever the size. */
void attemptlog_end(struct attemptlog *log, const char *level, const char *text);

/** Hide the secrets of a text that was formatted with this room; one that fills it is taken as cut. */
void attemptlog_mask(const json_t *masks, char *text, size_t room);

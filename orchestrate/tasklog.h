/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The log of one try: NDJSON lines {"timestamp","level","event"}, bounded, secrets masked.
 *
 * Of more than size_max bytes the middle is left out: the first three quarters are in the file at once, the
 * rest waits in memory and its end is written by tasklog_close(), after a line that tells how much is missing.
 *
 * Context: one thread a log; several processes may append to one file. Memory: a quarter of size_max.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"
#include "base/redact.h"

/* Longer text is split: escaped, a byte may take 6, and readers read whole lines. */
#define TASKLOG_TEXT_MAX (40U << 10)
#define TASKLOG_LINE_MAX (256U << 10) /* in the file */

struct tasklog;

/** @param masks  array of secrets; copied; NULL: none. @return 0; -errno */
NODISCARD int tasklog_open(const char *path, size_t size_max, const json_t *masks,
			   struct tasklog **ret_log);
/** NULL is accepted. */
void tasklog_close(struct tasklog *log);
DEFINE_CLEANUP(struct tasklog, tasklog_close);

/** What its lines hide, for text that is cut into lines: secrets may have several. */
const struct redact *tasklog_redact(const struct tasklog *log);

/**
 * One line, or several of a long text.
 *
 * @param level  "info", "error", ...
 * @param text  [size]; what is not UTF-8 is replaced
 */
void tasklog_line(struct tasklog *log, const char *level, const char *text, size_t size);
/** Open, add one line, close. Failures are nobody's. */
void tasklog_append(const char *path, const json_t *masks, const char *level, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/**
 * Copy of text [size] with the secrets hidden and NUL shown as a blank. Text that is to be cut is masked
 * first. Caller frees.
 *
 * @return NULL: no memory
 */
char *tasklog_mask(const char *text, size_t size, const json_t *masks);

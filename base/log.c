/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static const char *program_name = "millrace";
static enum log_level level_shown = LOG_INFO;

void log_init(const char *program, enum log_level level_min)
{
	program_name = program;
	level_shown = level_min;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	int64_t now_ms = clock_wall_ms();
	time_t seconds = (time_t)(now_ms / 1000);
	char line[1024], stamp[32];
	struct tm tm;
	int head, body;
	va_list args;

	if (level < level_shown)
		return;
	(void)gmtime_r(&seconds, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	head = snprintf(line, sizeof(line), "%s.%03dZ %-5s %s: ", stamp, (int)(now_ms % 1000),
			names[level], program_name);
	va_start(args, fmt);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, args);
	va_end(args);
	body = body < 0 ? 0 : body;
	size_t size = MIN((size_t)head + (size_t)body, sizeof(line) - 2);
	line[size++] = '\n';
	/* One write a line, so that lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, size) < 0)
		return;
}

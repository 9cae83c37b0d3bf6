/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/attemptlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define LINE_SIZE 4096

static int collect(const json_t *masks, struct redact **ret_redact)
{
	CLEANUP(redact_freep) struct redact *redact = NULL;
	int error = redact_new(&redact);
	const json_t *secret;
	size_t i;

	json_array_foreach(masks, i, secret)
	{
		if (error == 0)
			error = redact_add(redact, json_string_value(secret),
					   json_string_length(secret));
	}
	if (error == 0)
		*ret_redact = TAKE_PTR(redact);
	return error;
}

int attemptlog_open(struct attemptlog *log, const char *path, int64_t size_max, const json_t *masks)
{
	off_t size;
	int error;

	*log = (struct attemptlog){ .fd = -1, .size_max = size_max };
	if (path == NULL)
		return 0;
	error = collect(masks, &log->redact);
	if (error != 0)
		return error;
	log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (log->fd < 0) {
		error = -errno;
		attemptlog_close(log);
		return error;
	}
	size = lseek(log->fd, 0, SEEK_END);
	log->size = size > 0 ? size : 0;
	return 0;
}

void attemptlog_close(struct attemptlog *log)
{
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = -1;
	redact_free(log->redact);
	log->redact = NULL;
}

static void hide(const struct redact *redact, char *text, size_t room)
{
	size_t size = strlen(text);

	text[redact_text(redact, text, size, size == room - 1)] = '\0';
}

void attemptlog_mask(const json_t *masks, char *text, size_t room)
{
	CLEANUP(redact_freep) struct redact *redact = NULL;

	CHECK(collect(masks, &redact) == 0);
	hide(redact, text, room);
}

static void write_line(struct attemptlog *log, const char *level, const char *text)
{
	const int64_t now_ms = clock_wall_ms();
	const time_t seconds = (time_t)(now_ms / 1000);
	char when[32], stamp[48];
	struct tm parts;
	json_t *line;
	size_t size;
	char *bytes;

	(void)gmtime_r(&seconds, &parts);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &parts);
	(void)snprintf(stamp, sizeof(stamp), "%s.%03d000Z", when, (int)(now_ms % 1000));
	line = json_pack("{ss ss ss}", "timestamp", stamp, "level", level, "event", text);
	bytes = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (bytes == NULL)
		return;
	/* One write() a line: others append to the same file. */
	size = strlen(bytes);
	bytes[size++] = '\n';
	if (write(log->fd, bytes, size) > 0)
		log->size += (int64_t)size;
	free(bytes);
}

void attemptlog_line(struct attemptlog *log, const char *level, const char *format, ...)
{
	char text[LINE_SIZE];
	va_list args;

	if (log->fd < 0 || log->is_full)
		return;
	if (log->size > log->size_max - 2 * LINE_SIZE) {
		log->is_full = true;
		write_line(log, "warning", "the log is full: what follows is left out");
		return;
	}
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	hide(log->redact, text, sizeof(text));
	write_line(log, level, text);
}

void attemptlog_end(struct attemptlog *log, const char *level, const char *text)
{
	char line[LINE_SIZE];

	if (log->fd < 0)
		return;
	(void)snprintf(line, sizeof(line), "%s", text);
	hide(log->redact, line, sizeof(line));
	write_line(log, level, line);
}

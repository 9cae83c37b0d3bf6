/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/tasklog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#include "orchestrate/instant.h"

#define HEAD_SIZE        128 /* of a line: all but its text */
#define SIZE_MAX_DEFAULT (10U << 20)

struct tasklog {
	int file;
	struct redact *redact;
	size_t head_left; /* bytes that still go to the file at once */
	char *tail;       /* ring [tail_size] of what came after; NULL: nothing yet */
	size_t tail_size;
	uint64_t tail_end; /* bytes ever put into the ring */
};

static void write_all(int file, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(file, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* a full disk costs the log, not the task */
		bytes += written;
		size -= (size_t)written;
	}
}

static int collect(const json_t *masks, struct redact **ret_redact)
{
	CLEANUP(redact_freep) struct redact *redact = NULL;
	int error = redact_new(&redact);
	const json_t *mask;
	size_t index;

	json_array_foreach(masks, index, mask)
	{
		if (error == 0)
			error = redact_add(redact, json_string_value(mask),
					   json_string_length(mask));
	}
	if (error == 0)
		*ret_redact = TAKE_PTR(redact);
	return error;
}

static char *hide(const struct redact *redact, const char *text, size_t size)
{
	char *clean = malloc(size + 1);

	if (clean == NULL)
		return NULL;
	memcpy(clean, text, size);
	size = redact_text(redact, clean, size, false);
	for (size_t i = 0; i < size; i++) {
		if (clean[i] == '\0')
			clean[i] = ' ';
	}
	clean[size] = '\0';
	return clean;
}

char *tasklog_mask(const char *text, size_t size, const json_t *masks)
{
	CLEANUP(redact_freep) struct redact *redact = NULL;

	return collect(masks, &redact) == 0 ? hide(redact, text, size) : NULL;
}

int tasklog_open(const char *path, size_t size_max, const json_t *masks, struct tasklog **ret_log)
{
	CLEANUP(tasklog_closep) struct tasklog *log = calloc(1, sizeof(*log));
	struct stat stat;
	int error;

	if (log == NULL)
		return -ENOMEM;
	log->file = -1;
	error = collect(masks, &log->redact);
	if (error != 0)
		return error;
	log->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (log->file < 0)
		return -errno;
	log->tail_size = size_max / 4;
	log->head_left = size_max - log->tail_size;
	if (fstat(log->file, &stat) == 0)
		log->head_left -= MIN(log->head_left, (size_t)stat.st_size);
	*ret_log = TAKE_PTR(log);
	return 0;
}

const struct redact *tasklog_redact(const struct tasklog *log)
{
	return log->redact;
}

static void put(struct tasklog *log, const char *bytes, size_t size)
{
	if (log->tail == NULL && size <= log->head_left) {
		log->head_left -= size;
		write_all(log->file, bytes, size);
		return;
	}
	if (log->tail == NULL)
		log->tail = malloc(log->tail_size);
	if (log->tail == NULL)
		return;
	for (size_t i = 0; i < size;) {
		size_t at = log->tail_end % log->tail_size;
		size_t run = MIN(size - i, log->tail_size - at);

		memcpy(log->tail + at, bytes + i, run);
		log->tail_end += run;
		i += run;
	}
}

/** @return bytes of the well-formed character at `at`; 0: none */
static size_t character(const uint8_t *at, size_t left)
{
	size_t size = at[0] < 0x80                    ? 1
		      : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
		      : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
		      : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
						      : 0;

	if (size == 0 || size > left)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90))
		return 0;
	return size;
}

/** Text as a JSON string without its quotes, at most 6 bytes for one. @return end */
static char *escape(char *to, const char *text, size_t size)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < size;) {
		uint8_t byte = (uint8_t)text[i];
		size_t run = character((const uint8_t *)text + i, size - i);

		if (byte == '"' || byte == '\\') {
			*to++ = '\\';
			*to++ = (char)byte;
		} else if (byte < 0x20 || run == 0) {
			uint8_t shown = run == 0 ? 0xfd : byte; /* U+FFFD */

			memcpy(to, run == 0 ? "\\uff" : "\\u00", 4);
			to += 4;
			*to++ = hex[shown >> 4];
			*to++ = hex[shown & 15];
		} else {
			memcpy(to, text + i, run);
			to += run;
		}
		i += MAX(run, (size_t)1);
	}
	return to;
}

static void put_line(struct tasklog *log, const char *level, const char *text, size_t size)
{
	char time[INSTANT_TEXT_SIZE];
	char *line = malloc(HEAD_SIZE + 6 * size);
	char *end;

	_Static_assert(HEAD_SIZE + 6 * TASKLOG_TEXT_MAX <= TASKLOG_LINE_MAX,
		       "a line is read whole");
	if (line == NULL)
		return;
	end = line + snprintf(line, HEAD_SIZE,
			      "{\"timestamp\":\"%s\",\"level\":\"%.20s\",\"event\":\"",
			      instant_format(clock_wall_us(), time), level);
	end = escape(end, text, size);
	memcpy(end, "\"}\n", 3);
	put(log, line, (size_t)(end + 3 - line));
	free(line);
}

void tasklog_line(struct tasklog *log, const char *level, const char *text, size_t size)
{
	char *masked = hide(log->redact, text, size);
	const char *at = masked;

	if (masked == NULL)
		return;
	for (size = strlen(masked); size > TASKLOG_TEXT_MAX; size -= TASKLOG_TEXT_MAX) {
		put_line(log, level, at, TASKLOG_TEXT_MAX);
		at += TASKLOG_TEXT_MAX;
	}
	put_line(log, level, at, size);
	free(masked);
}

void tasklog_append(const char *path, const json_t *masks, const char *level, const char *fmt, ...)
{
	struct tasklog *log;
	char *text = NULL;
	va_list args;
	int size;

	va_start(args, fmt);
	size = vasprintf(&text, fmt, args);
	va_end(args);
	if (size < 0)
		return;
	if (tasklog_open(path, SIZE_MAX_DEFAULT, masks, &log) == 0) {
		tasklog_line(log, level, text, (size_t)size);
		tasklog_close(log);
	}
	free(text);
}

/** What the ring holds, from the start of a line on. */
static void write_tail(struct tasklog *log)
{
	uint64_t begin = log->tail_end > log->tail_size ? log->tail_end - log->tail_size : 0;
	bool is_cut = begin > 0;

	begin += is_cut; /* what is before the ring's first byte is not known any more */
	while (is_cut && begin < log->tail_end && log->tail[(begin - 1) % log->tail_size] != '\n')
		begin++;
	if (is_cut) {
		char note[HEAD_SIZE + 100], time[INSTANT_TEXT_SIZE];
		int size =
			snprintf(note, sizeof(note),
				 "{\"timestamp\":\"%s\",\"level\":\"warning\",\"event\":\"... %llu "
				 "bytes of the log are left out here ...\"}\n",
				 instant_format(clock_wall_us(), time), (unsigned long long)begin);

		write_all(log->file, note, (size_t)size);
	}
	while (begin < log->tail_end) {
		size_t at = begin % log->tail_size;
		size_t run = MIN((size_t)(log->tail_end - begin), log->tail_size - at);

		write_all(log->file, log->tail + at, run);
		begin += run;
	}
}

void tasklog_close(struct tasklog *log)
{
	if (log == NULL)
		return;
	if (log->tail != NULL)
		write_tail(log);
	free(log->tail);
	redact_free(log->redact);
	if (log->file >= 0)
		(void)close(log->file);
	free(log);
}

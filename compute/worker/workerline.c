/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/workerline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/task.h"

#define ROOM_MIN 4096U

void workerline_close(struct workerline *line)
{
	free(line->bytes);
	*line = (struct workerline){ 0 };
}

int workerline_room(struct workerline *line, char **ret_at, size_t *ret_room)
{
	size_t wanted;
	char *bigger;

	if (line->begin > 0) {
		memmove(line->bytes, line->bytes + line->begin, line->size - line->begin);
		line->size -= line->begin;
		line->searched -= line->begin;
		line->begin = 0;
	}
	if (line->size >= TASK_LINE_MAX)
		return ERR_TOO_LARGE;
	if (line->room - line->size < ROOM_MIN / 2) {
		wanted = MIN(MAX(2 * line->room, (size_t)ROOM_MIN),
			     (size_t)TASK_LINE_MAX + ROOM_MIN);
		bigger = realloc(line->bytes, wanted);
		if (bigger == NULL)
			return -ENOMEM;
		line->bytes = bigger;
		line->room = wanted;
	}
	*ret_at = line->bytes + line->size;
	*ret_room = line->room - line->size;
	return 0;
}

void workerline_filled(struct workerline *line, size_t count)
{
	CHECK(count <= line->room - line->size);
	line->size += count;
}

int workerline_next(struct workerline *line, json_t **ret_message, char *reterr, size_t reterr_size)
{
	json_error_t error;
	json_t *message;
	char *at, *end;

	if (line->searched == line->size)
		return 0;
	at = line->bytes + line->begin;
	end = memchr(line->bytes + line->searched, '\n', line->size - line->searched);
	if (end == NULL) {
		line->searched = line->size;
		return 0;
	}
	line->begin = line->searched = (size_t)(end + 1 - line->bytes);
	message = json_loadb(at, (size_t)(end - at), 0, &error);
	if (!json_is_object(message)) {
		(void)snprintf(reterr, reterr_size, "not a JSON object: %s",
			       message == NULL ? error.text : "another value");
		json_decref(message);
		return ERR_MALFORMED;
	}
	*ret_message = message;
	return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Bytes of a stream in, JSON objects out: one a line, at most TASK_LINE_MAX bytes.
 *
 * Context: one thread per buffer. Memory: grows to the longest line.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

struct workerline {
	char *bytes;        /* [room] */
	size_t begin, size; /* bytes [begin, size) are not taken yet */
	size_t searched;    /* up to here there is no newline */
	size_t room;
};

/** All zero is an empty buffer. */
void workerline_close(struct workerline *line);

/**
 * Room for more input; what was read is told with workerline_filled().
 *
 * @return 0; ERR_TOO_LARGE a line exceeds TASK_LINE_MAX; -ENOMEM
 */
NODISCARD int workerline_room(struct workerline *line, char **ret_at, size_t *ret_room);
void workerline_filled(struct workerline *line, size_t count);

/**
 * The next object.
 *
 * @param[out] ret_message  new reference
 * @param[out] reterr       [reterr_size] where the line breaks the format
 * @return 1; 0 no whole line is there; ERR_MALFORMED not a JSON object, the line was passed over
 */
NODISCARD int workerline_next(struct workerline *line, json_t **ret_message, char *reterr,
			      size_t reterr_size);

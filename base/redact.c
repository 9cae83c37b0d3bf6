/* SPDX-License-Identifier: Apache-2.0 */
#include "base/redact.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct secret {
	char *text;
	size_t size;
};

struct redact {
	struct secret *secrets;
	size_t count, size_max;
	bool is_first[UCHAR_MAX + 1]; /* bytes that a secret begins with */
};

struct redact_stream {
	const struct redact *redact;
	redact_sink sink;
	void *context;
	size_t held;    /* bytes at the start of text that are not decided */
	size_t covered; /* of them: already known as part of a secret that began before */
	size_t room;
	char *text;
	char memory[];
};

/* A mask may end up to this far behind the byte that ends what it hides, if that began in the piece before. */
#define LEAD 2

int redact_new(struct redact **ret_redact)
{
	struct redact *redact = calloc(1, sizeof(*redact));

	if (redact == NULL)
		return -ENOMEM;
	*ret_redact = redact;
	return 0;
}

void redact_free(struct redact *redact)
{
	if (redact == NULL)
		return;
	for (size_t i = 0; i < redact->count; i++)
		free(redact->secrets[i].text);
	free(redact->secrets);
	free(redact);
}

int redact_add(struct redact *redact, const char *secret, size_t size)
{
	struct secret *secrets;
	char *text;

	if (size < REDACT_SIZE_MIN)
		return 0;
	secrets = reallocarray(redact->secrets, redact->count + 1, sizeof(*secrets));
	if (secrets == NULL)
		return -ENOMEM;
	redact->secrets = secrets;
	text = malloc(size);
	if (text == NULL)
		return -ENOMEM;
	memcpy(text, secret, size);
	secrets[redact->count++] = (struct secret){ .text = text, .size = size };
	redact->size_max = MAX(redact->size_max, size);
	redact->is_first[(uint8_t)secret[0]] = true;
	return 0;
}

/** @return size of the longest secret that is at `at`; 0: none. *ret_is_open: a longer one may be */
static size_t secret_at(const struct redact *redact, const char *at, size_t left, bool *ret_is_open)
{
	size_t found = 0;

	*ret_is_open = false;
	if (!redact->is_first[(uint8_t)*at])
		return 0;
	for (size_t i = 0; i < redact->count; i++) {
		const struct secret *secret = &redact->secrets[i];

		if (memcmp(at, secret->text, MIN(left, secret->size)) != 0)
			continue;
		if (secret->size > left)
			*ret_is_open = true;
		else
			found = MAX(found, secret->size);
	}
	return found;
}

enum at_end {
	WAIT, /* for what comes: the text goes on */
	SHOW,
	HIDE, /* what a secret begins with */
};

/**
 * Clean text [size] up to where it cannot be decided yet.
 *
 * @param to  for what is clean; may be text, or LEAD before it if covered is not 0
 * @param covered  in and out: bytes ahead that belong to a secret
 * @param ret_clean  bytes that are clean
 * @return bytes that are decided
 */
static size_t scan(const struct redact *redact, const char *text, size_t size, enum at_end at_end,
		   char *to, size_t *covered, size_t *ret_clean)
{
	size_t clean = 0, i;

	for (i = 0; i < size; i++) {
		bool is_open;
		size_t found = secret_at(redact, text + i, size - i, &is_open);

		if (is_open && at_end == WAIT)
			break;
		if (is_open && at_end == HIDE && size - i >= REDACT_SIZE_MIN)
			found = size - i;
		*covered = MAX(*covered, found);
		if (*covered == 0) {
			to[clean++] = text[i];
		} else if (--*covered == 0) {
			/* At its end: what lies behind the mask's place has been looked at. */
			memcpy(to + clean, REDACT_MASK, strlen(REDACT_MASK));
			clean += strlen(REDACT_MASK);
		}
	}
	*ret_clean = clean;
	return i;
}

size_t redact_text(const struct redact *redact, char *text, size_t size, bool is_cut)
{
	size_t covered = 0, clean;

	(void)scan(redact, text, size, is_cut ? HIDE : SHOW, text, &covered, &clean);
	return clean;
}

/* ---- in pieces ---- */

int redact_stream_new(const struct redact *redact, redact_sink sink, void *context,
		      struct redact_stream **ret_stream)
{
	/* What is held back is shorter than the longest secret. */
	size_t room = redact->size_max + REDACT_PIECE;
	struct redact_stream *stream = malloc(sizeof(*stream) + LEAD + room);

	if (stream == NULL)
		return -ENOMEM;
	*stream = (struct redact_stream){
		.redact = redact,
		.sink = sink,
		.context = context,
		.room = room,
		.text = stream->memory + LEAD,
	};
	*ret_stream = stream;
	return 0;
}

void redact_stream_free(struct redact_stream *stream)
{
	free(stream);
}

static void work(struct redact_stream *stream, enum at_end at_end)
{
	size_t clean;
	size_t done = scan(stream->redact, stream->text, stream->held, at_end, stream->memory,
			   &stream->covered, &clean);

	if (clean > 0)
		stream->sink(stream->context, stream->memory, clean);
	stream->held -= done;
	memmove(stream->text, stream->text + done, stream->held);
}

void redact_stream_put(struct redact_stream *stream, const char *text, size_t size)
{
	while (size > 0) {
		size_t piece = MIN(size, stream->room - stream->held);

		memcpy(stream->text + stream->held, text, piece);
		stream->held += piece;
		work(stream, WAIT);
		text += piece;
		size -= piece;
	}
}

void redact_stream_end(struct redact_stream *stream, bool is_cut)
{
	work(stream, is_cut ? HIDE : SHOW);
}

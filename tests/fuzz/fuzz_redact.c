/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: a text in pieces comes out as the text in one, never longer, and no secret is in it that the mask
 * itself did not make.
 * Input: lines are secrets, up to an empty one; then a byte that says how long the pieces are; the rest is text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct shown {
	size_t size;
	char *text;
};

static void take(void *context, const char *text, size_t size)
{
	struct shown *shown = context;

	memcpy(shown->text + shown->size, text, size);
	shown->size += size;
}

static char *copy(const char *text, size_t size)
{
	char *to = malloc(size + 1);

	CHECK(to != NULL);
	memcpy(to, text, size);
	return to;
}

/** The next line of what is left. @return false: it is empty */
static bool next_line(const char **at, const char *end, const char **ret_line, size_t *ret_size)
{
	const char *line_end = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;

	if (line_end == NULL)
		line_end = end;
	*ret_line = *at;
	*ret_size = (size_t)(line_end - *at);
	*at = line_end < end ? line_end + 1 : end;
	return *ret_size > 0;
}

/** Between masks the text is as it was, so that only secrets with a * in them may appear. */
static void check_hidden(const char *secrets, const char *end, const char *clean, size_t clean_size)
{
	const char *secret;
	size_t size;

	while (next_line(&secrets, end, &secret, &size)) {
		if (size >= REDACT_SIZE_MIN && memchr(secret, '*', size) == NULL)
			CHECK(memmem(clean, clean_size, secret, size) == NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *secrets = (const char *)bytes, *at = secrets, *end = at + size, *line;
	struct shown shown = { 0 };
	struct redact_stream *stream;
	struct redact *redact;
	char *whole;
	size_t piece = 1, clean, line_size;

	CHECK(redact_new(&redact) == 0);
	while (next_line(&at, end, &line, &line_size))
		CHECK(redact_add(redact, line, line_size) == 0);
	if (at < end)
		piece += (uint8_t)*at++;
	size = (size_t)(end - at);
	whole = copy(at, size);
	clean = redact_text(redact, whole, size, piece % 2 != 0);
	CHECK(clean <= size);
	check_hidden(secrets, end, whole, clean);
	shown.text = copy(at, size);
	CHECK(redact_stream_new(redact, take, &shown, &stream) == 0);
	for (size_t begin = 0; begin < size; begin += piece)
		redact_stream_put(stream, at + begin, MIN(piece, size - begin));
	redact_stream_end(stream, piece % 2 != 0);
	CHECK(shown.size == clean && memcmp(shown.text, whole, clean) == 0);
	redact_stream_free(stream);
	redact_free(redact);
	free(shown.text);
	free(whole);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/unicode.h"

#include <string.h>

#define STRIDE 32

/* The first byte that is not ASCII, give or take the stride it is in. */
static const uint8_t *skip_ascii(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= STRIDE) {
		uint64_t words[STRIDE / 8];

		memcpy(words, at, STRIDE);
		if (((words[0] | words[1] | words[2] | words[3]) & UINT64_C(0x8080808080808080)) !=
		    0)
			break;
		at += STRIDE;
	}
	return at;
}

static bool is_tail(const uint8_t *at)
{
	return (*at & 0xc0) == 0x80;
}

/* Bytes of the sequence at `at`, which is not ASCII; 0: not well-formed. Unicode, table 3-7. */
static size_t sequence(const uint8_t *at, size_t size)
{
	uint8_t first = at[0], low = 0x80, high = 0xbf;

	if (first < 0xc2 || first > 0xf4 || size < 2)
		return 0;
	if (first < 0xe0)
		return is_tail(at + 1) ? 2 : 0;
	if (first == 0xe0)
		low = 0xa0; /* overlong below */
	else if (first == 0xed)
		high = 0x9f; /* surrogates above */
	else if (first == 0xf0)
		low = 0x90; /* overlong below */
	else if (first == 0xf4)
		high = 0x8f; /* beyond U+10FFFF above */
	if (size < 3 || at[1] < low || at[1] > high || !is_tail(at + 2))
		return 0;
	if (first < 0xf0)
		return 3;
	return size >= 4 && is_tail(at + 3) ? 4 : 0;
}

size_t unicode_check(const uint8_t *bytes, size_t size)
{
	const uint8_t *at = bytes, *end = bytes + size;

	for (;;) {
		const uint8_t *stop;

		at = skip_ascii(at, end);
		stop = end - at > STRIDE ? at + STRIDE : end;
		while (at < stop) {
			size_t step = *at < 0x80 ? 1 : sequence(at, (size_t)(end - at));

			if (step == 0)
				return (size_t)(at - bytes);
			at += step;
		}
		if (at == end)
			return size;
	}
}

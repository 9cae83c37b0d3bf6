/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool is_between(uint8_t byte, uint8_t low, uint8_t high)
{
	return byte >= low && byte <= high;
}

/* The second byte is what excludes overlong forms, surrogates and values past U+10FFFF. A zero byte
   is never in a range, so nothing behind the end is looked at. */
uint32_t utf8_size(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	uint8_t low = 0x80, high = 0xbf;
	uint32_t size;

	if (at[0] < 0x80)
		return 1;
	if (is_between(at[0], 0xc2, 0xdf))
		size = 2;
	else if (is_between(at[0], 0xe0, 0xef))
		size = 3;
	else if (is_between(at[0], 0xf0, 0xf4))
		size = 4;
	else
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	if (!is_between(at[1], low, high))
		return 0;
	for (uint32_t i = 2; i < size; i++) {
		if (!is_between(at[i], 0x80, 0xbf))
			return 0;
	}
	return size;
}

char *utf8_clean(const char *text)
{
	const size_t replacement_size = sizeof(UTF8_REPLACEMENT) - 1;
	char *clean = malloc(strlen(text) * replacement_size + 1), *to = clean;

	if (clean == NULL)
		return NULL;
	while (*text != '\0') {
		uint32_t size = utf8_size(text);

		if (size == 0) {
			memcpy(to, UTF8_REPLACEMENT, replacement_size);
			to += replacement_size;
			text++;
			continue;
		}
		memcpy(to, text, size);
		to += size;
		text += size;
	}
	*to = '\0';
	return clean;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <string.h>

#include "base/err.h"
#include "base/prng.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_random(struct uuid *ret_id)
{
	prng_secure(ret_id->bytes, sizeof(ret_id->bytes));
	/* Version and variant bits of RFC 4122 keep the id away from zero and the reserved ones. */
	ret_id->bytes[6] = (uint8_t)((ret_id->bytes[6] & 0x0f) | 0x40);
	ret_id->bytes[8] = (uint8_t)((ret_id->bytes[8] & 0x3f) | 0x80);
}

bool uuid_is_zero(const struct uuid *id)
{
	static const struct uuid zero;

	return uuid_equal(id, &zero);
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, UUID_SIZE) == 0;
}

void uuid_format(const struct uuid *id, char *ret_text)
{
	size_t out = 0;

	for (size_t in = 0; in < UUID_SIZE; in += 3) {
		size_t left = MIN((size_t)3, UUID_SIZE - in);
		uint32_t group = (uint32_t)id->bytes[in] << 16;

		group |= left > 1 ? (uint32_t)id->bytes[in + 1] << 8 : 0;
		group |= left > 2 ? (uint32_t)id->bytes[in + 2] : 0;
		for (size_t i = 0; i <= left; i++)
			ret_text[out++] = alphabet[(group >> (18 - 6 * i)) & 63];
	}
	ret_text[out] = '\0';
}

int uuid_parse(const char *text, struct uuid *ret_id)
{
	struct uuid id = { { 0 } };
	uint32_t bits = 0;
	size_t bit_count = 0, out = 0;

	if (strlen(text) != UUID_TEXT_SIZE - 1)
		return ERR_MALFORMED;
	for (; *text != '\0'; text++) {
		const char *at = strchr(alphabet, *text);

		if (at == NULL)
			return ERR_MALFORMED;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		bit_count += 6;
		if (bit_count >= 8 && out < UUID_SIZE) {
			bit_count -= 8;
			id.bytes[out++] = (uint8_t)(bits >> bit_count);
		}
	}
	*ret_id = id;
	return 0;
}

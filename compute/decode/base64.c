/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/base64.h"

#define BAD 64

static uint32_t value_of(uint8_t letter)
{
	if (letter >= 'A' && letter <= 'Z')
		return (uint32_t)(letter - 'A');
	if (letter >= 'a' && letter <= 'z')
		return (uint32_t)(letter - 'a' + 26);
	if (letter >= '0' && letter <= '9')
		return (uint32_t)(letter - '0' + 52);
	if (letter == '+')
		return 62;
	return letter == '/' ? 63 : BAD;
}

int64_t base64_decode(const uint8_t *text, uint32_t size, uint8_t *out)
{
	const uint8_t *begin = out;
	uint32_t padding = 0;

	if (size % 4 != 0)
		return -1;
	while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
		padding++;
	for (uint32_t i = 0; i < size; i += 4) {
		uint32_t kept = i + 4 == size ? 4 - padding : 4, bits = 0;

		for (uint32_t j = 0; j < 4; j++) {
			uint32_t value = j < kept ? value_of(text[i + j]) : 0;

			if (value == BAD)
				return -1;
			bits = bits << 6 | value;
		}
		if ((bits & ((1U << (4 - kept) * 8) - 1)) != 0)
			return -1; /* bits that stand for nothing */
		for (uint32_t j = 0; j + 1 < kept; j++)
			*out++ = (uint8_t)(bits >> (16 - 8 * j));
	}
	return out - begin;
}

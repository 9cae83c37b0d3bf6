/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: exactly the well-formed UTF-8 of RFC 3629 passes, and the position told is where the first bad
   sequence begins. Shown against a second, simpler judge (decode, then look at the number): every code
   point, every pair and triple of bytes, four bytes around the borders, all at several places of a
   longer text, and cut off. */
#include <string.h>

#include "compute/decode/unicode.h"

#include "cm.h"

#define ROOM 100

/* Bytes of the sequence; 0: bad. */
static size_t judge(const uint8_t *at, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t count = at[0] < 0x80           ? 1
		       : (at[0] >> 5) == 0x06 ? 2
		       : (at[0] >> 4) == 0x0e ? 3
		       : (at[0] >> 3) == 0x1e ? 4
					      : 0;
	uint32_t value = count <= 1 ? at[0] : at[0] & (0x7fU >> count);

	if (count == 0 || count > size)
		return 0;
	for (size_t i = 1; i < count; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3f);
	}
	return value < least[count] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)
		       ? 0
		       : count;
}

static size_t judge_all(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		size_t step = judge(bytes + at, size - at);

		if (step == 0)
			break;
		at += step;
	}
	return at;
}

/* The bytes alone, and where vectors of the fast path end. */
static void compare(const uint8_t *bytes, size_t size)
{
	static const size_t places[] = { 0, 1, 30, 31, 32, 63, 64 };
	uint8_t text[ROOM];

	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		memset(text, 'a', sizeof(text));
		memcpy(text + places[i], bytes, size);
		if (unicode_check(text, sizeof(text)) != judge_all(text, sizeof(text)) ||
		    unicode_check(text, places[i] + size) != judge_all(text, places[i] + size))
			fail_msg("%02x %02x ... of %zu bytes at %zu", bytes[0], bytes[1], size,
				 places[i]);
	}
}

static void test_unicode_every_pair_and_triple(void **state)
{
	uint8_t bytes[4] = { 0 };

	(void)state;
	for (uint32_t value = 0; value < 0x10000; value++) {
		bytes[0] = (uint8_t)(value >> 8);
		bytes[1] = (uint8_t)value;
		compare(bytes, 2);
	}
	for (uint32_t value = 0; value < 0x1000000; value += value < 0xc00000 ? 4099 : 61) {
		bytes[0] = (uint8_t)(value >> 16);
		bytes[1] = (uint8_t)(value >> 8);
		bytes[2] = (uint8_t)value;
		compare(bytes, 3);
	}
}

static void test_unicode_borders_of_four_bytes(void **state)
{
	static const uint8_t borders[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
					   0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed,
					   0xef, 0xf0, 0xf3, 0xf4, 0xf5, 0xff };
	const size_t count = ARRAY_COUNT(borders);

	(void)state;
	for (size_t i = 0; i < count * count * count * count; i++) {
		const uint8_t bytes[4] = { borders[i % count], borders[i / count % count],
					   borders[i / count / count % count],
					   borders[i / count / count / count] };

		compare(bytes, 4);
	}
}

static void test_unicode_named_cases(void **state)
{
	static const struct {
		const char *text;
		size_t good;
	} cases[] = {
		{ "", 0 },
		{ "plain", 5 },
		{ "gr\xc3\xb6\xc3\x9f", 6 },
		{ "\xf0\x9f\x98\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "overlong slash \xc0\xaf", 15 },
		{ "overlong \xe0\x80\xaf", 9 },
		{ "overlong \xf0\x80\x80\xaf", 9 },
		{ "surrogate \xed\xa0\x80", 10 },
		{ "beyond \xf4\x90\x80\x80", 7 },
		{ "latin-1 caf\xe9", 11 },
		{ "lonely tail \x80", 12 },
		{ "cut \xe2\x82", 4 },
		{ "long enough for the fast path, all of it ASCII but the end \xff", 59 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(
			unicode_check((const uint8_t *)cases[i].text, strlen(cases[i].text)),
			cases[i].good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unicode_every_pair_and_triple),
		cmocka_unit_test(test_unicode_borders_of_four_bytes),
		cmocka_unit_test(test_unicode_named_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

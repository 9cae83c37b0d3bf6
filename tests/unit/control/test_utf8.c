/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: exactly the well-formed sequences of Unicode's table 3-7 pass, every other byte is replaced, and
   nothing behind the terminating zero is read. Shown with the borders of each row of that table. */
#include <stdlib.h>
#include <string.h>

#include "control/http/utf8.h"

#include "cm.h"

static void test_utf8_size_at_the_borders(void **state)
{
	static const struct {
		const char *text;
		uint32_t size;
	} rows[] = {
		{ "a", 1 },
		{ "\x7f", 1 },
		{ "\x80", 0 },
		{ "\xc1\xbf", 0 }, /* overlong */
		{ "\xc2\x80", 2 },
		{ "\xdf\xbf", 2 },
		{ "\xe0\x9f\xbf", 0 }, /* overlong */
		{ "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xed\xa0\x80", 0 }, /* surrogate */
		{ "\xef\xbf\xbd", 3 },
		{ "\xf0\x8f\xbf\xbf", 0 }, /* overlong */
		{ "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\xf4\x90\x80\x80", 0 }, /* past U+10FFFF */
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
		{ "\xc3", 0 }, /* cut off */
		{ "\xe2\x82", 0 },
		{ "\xf0\x9f\x98", 0 },
		{ "\xc3(", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char *exact = strdup(rows[i].text); /* a read behind the end is seen by ASan */

		assert_non_null(exact);
		if (utf8_size(exact) != rows[i].size)
			fail_msg("row %zu: %u", i, utf8_size(exact));
		free(exact);
	}
}

static void test_utf8_clean_replaces_byte_by_byte(void **state)
{
	char *clean = utf8_clean("a\xff\xc3\xa9\xed\xa0\x80z");

	(void)state;
	assert_string_equal(clean,
			    "a" UTF8_REPLACEMENT
			    "\xc3\xa9" UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT "z");
	free(clean);
	clean = utf8_clean("");
	assert_string_equal(clean, "");
	free(clean);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_size_at_the_borders),
		cmocka_unit_test(test_utf8_clean_replaces_byte_by_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

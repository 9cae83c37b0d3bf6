/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: base64 is decoded as RFC 4648 says, and only its canonical form is taken. Shown with the
   RFC's vectors, every byte encoded by a second coder, and refusals. */
#include <string.h>

#include "compute/decode/base64.h"

#include "cm.h"

static int64_t decode(const char *text, uint8_t *out)
{
	return base64_decode((const uint8_t *)text, (uint32_t)strlen(text), out);
}

static void test_base64_vectors(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "Zg==", "f" },
		{ "Zm8=", "fo" },
		{ "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" },
		{ "Zm9vYmE=", "fooba" },
		{ "Zm9vYmFy", "foobar" },
		{ "+/+/", "\xfb\xff\xbf" },
	};
	uint8_t out[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		size_t size = strlen(cases[i][1]);

		assert_int_equal(decode(cases[i][0], out), size);
		assert_memory_equal(out, cases[i][1], size);
	}
}

static void test_base64_every_group(void **state)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (uint32_t bits = 0; bits < 1U << 24; bits += 997) {
		const char text[] = { letters[bits >> 18], letters[bits >> 12 & 63],
				      letters[bits >> 6 & 63], letters[bits & 63], '\0' };
		uint8_t out[3];

		assert_int_equal(decode(text, out), 3);
		assert_int_equal((uint32_t)out[0] << 16 | (uint32_t)out[1] << 8 | out[2], bits);
	}
}

static void test_base64_refusals(void **state)
{
	static const char *const cases[] = { "Z",    "Zg",         "Zg=",  "Zm9",  "====",
					     "Z===", "Zh==",       "Zm9=", "Z g=", "Zg==Zg==",
					     "Zm-_", "\xc3\xb6==", "Zg=v", "=Zg=" };
	uint8_t out[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (decode(cases[i], out) != -1)
			fail_msg("%s was taken", cases[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_vectors),
		cmocka_unit_test(test_base64_every_group),
		cmocka_unit_test(test_base64_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the checksum is RFC 1071's for every size and alignment. Shown by a plain 16-bit sum beside
 * it, and by the RFC's own example.
 */
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

#include "dataplane/net/checksum.h"

#include "cm.h"

static uint16_t plain(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 0;
	uint8_t out[2];
	uint16_t result;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	while (sum > UINT16_MAX)
		sum = (sum >> 16) + (sum & UINT16_MAX);
	sum = ~sum & UINT16_MAX;
	out[0] = (uint8_t)(sum >> 8);
	out[1] = (uint8_t)sum;
	memcpy(&result, out, 2);
	return result;
}

static void check_equals_plain_sum(void)
{
	static uint8_t bytes[9100];
	struct prng prng = { .state = 7 };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)prng_next(&prng);
	for (size_t size = 0; size < sizeof(bytes); size += size < 200 ? 1 : 89) {
		size_t at = size % 3;

		size = size > sizeof(bytes) - at ? sizeof(bytes) - at : size;
		assert_int_equal(checksum_fold(checksum_add(0, bytes + at, size)),
				 plain(bytes + at, size));
	}
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(checksum_fold(checksum_add(0, bytes, sizeof(bytes))),
			 plain(bytes, sizeof(bytes)));
}

static void test_checksum_equals_plain_sum(void **state)
{
	(void)state;
	assert_true(checksum_choose(CHECKSUM_WORDS));
	check_equals_plain_sum();
	if (checksum_choose(CHECKSUM_AVX2))
		check_equals_plain_sum();
	if (checksum_choose(CHECKSUM_AVX512))
		check_equals_plain_sum();
}

/* The byte before and behind is another page's: it must not be looked at. */
static void test_checksum_stays_inside(void **state)
{
	for (int form = CHECKSUM_WORDS; form <= CHECKSUM_AVX512; form++) {
		if (!checksum_choose((enum checksum_form)form))
			continue;
		for (size_t size = 1; size < 200; size++) {
			uint8_t *bytes = malloc(size); /* guarded under the sanitizers */

			(void)state;
			assert_non_null(bytes);
			memset(bytes, 0x5a, size);
			assert_int_equal(checksum_fold(checksum_add(0, bytes, size)),
					 plain(bytes, size));
			free(bytes);
		}
	}
}

static void test_checksum_of_rfc_1071(void **state)
{
	const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	const uint8_t expect[] = { 0x22, 0x0d }; /* ~0xddf2 */
	uint16_t sum = checksum_fold(checksum_add(0, bytes, sizeof(bytes)));

	(void)state;
	assert_memory_equal(&sum, expect, 2);
}

static void test_checksum_pseudo_has_all_fields(void **state)
{
	const uint8_t header[12] = { 10, 77, 0, 1, 10, 77, 0, 2, 0, 6, 0x12, 0x34 };

	(void)state;
	assert_int_equal(checksum_fold(checksum_pseudo(0x0a4d0001, 0x0a4d0002, 6, 0x1234)),
			 plain(header, sizeof(header)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_equals_plain_sum),
		cmocka_unit_test(test_checksum_stays_inside),
		cmocka_unit_test(test_checksum_of_rfc_1071),
		cmocka_unit_test(test_checksum_pseudo_has_all_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

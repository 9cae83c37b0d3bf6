/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the hash depends on every input byte, on the length and on the key. Shown by flipping each
   bit of inputs of every length up to 40. */
#include <string.h>

#include "base/siphash.h"

#include "cm.h"

static void test_siphash_every_bit_counts(void **state)
{
	struct siphash_key key = { 1, 2 }, other = { 1, 3 };
	uint8_t bytes[40];

	(void)state;
	memset(bytes, 0x5a, sizeof(bytes));
	for (size_t size = 0; size < sizeof(bytes); size++) {
		uint64_t hash = siphash(&key, bytes, size);

		assert_true(hash == siphash(&key, bytes, size));
		assert_true(hash != siphash(&other, bytes, size));
		assert_true(hash != siphash(&key, bytes, size + 1));
		for (size_t bit = 0; bit < size * 8; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_true(hash != siphash(&key, bytes, size));
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_siphash_every_bit_counts) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

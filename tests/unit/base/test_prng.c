/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: one seed gives one sequence; bounds are kept and reached. */
#include <string.h>

#include "base/prng.h"

#include "cm.h"

static void test_prng_same_seed_same_sequence(void **state)
{
	struct prng a = { 5 }, b = { 5 }, c = { 6 };
	bool differs = false;

	(void)state;
	for (int i = 0; i < 100; i++) {
		uint64_t x = prng_next(&a);

		assert_true(x == prng_next(&b));
		differs |= x != prng_next(&c);
	}
	assert_true(differs);
}

static void test_prng_below_reaches_every_value(void **state)
{
	struct prng prng = { 1 };
	bool seen[7] = { false };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t value = prng_below(&prng, 7);

		assert_true(value < 7);
		seen[value] = true;
	}
	for (int i = 0; i < 7; i++)
		assert_true(seen[i]);
}

static void test_prng_secure_fills_all(void **state)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	prng_secure(a, sizeof(a));
	prng_secure(b, sizeof(b));
	assert_true(memcmp(a, b, sizeof(a)) != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prng_same_seed_same_sequence),
		cmocka_unit_test(test_prng_below_reaches_every_value),
		cmocka_unit_test(test_prng_secure_fills_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

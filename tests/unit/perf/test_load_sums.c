/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the sum looked up for any part of the bytes is, folded, that counted over the part, at even and
   odd beginnings and sizes; swapped, it is that of the part behind one byte of zero. Shown for random
   parts, the smallest and the whole included. */
#include <string.h>

#include "base/prng.h"

#include "dataplane/net/checksum.h"

#include "cm.h"
#include "perf/load/load_sums.h"

#define SIZE  5000U
#define PARTS 20000U

static uint8_t bytes[SIZE], moved[SIZE + 1];

static void check(const struct load_sums *sums, size_t begin, size_t size)
{
	uint64_t sum = load_sums_of(sums, begin, size);

	assert_int_equal(checksum_fold(sum), checksum_fold(checksum_add(0, bytes + begin, size)));
	memcpy(moved + 1, bytes + begin, size);
	assert_int_equal(checksum_fold(load_sums_swap(sum)),
			 checksum_fold(checksum_add(0, moved, size + 1)));
}

static void test_load_sums_are_those_of_every_part(void **state)
{
	struct prng prng = { 17 };
	struct load_sums sums;

	(void)state;
	for (uint32_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)prng_next(&prng);
	assert_int_equal(load_sums_new(&sums, bytes, SIZE), 0);
	check(&sums, 0, SIZE);
	check(&sums, 0, 0);
	check(&sums, SIZE, 0);
	check(&sums, LOAD_SUMS_BLOCK, LOAD_SUMS_BLOCK);
	for (uint32_t i = 0; i < PARTS; i++) {
		size_t begin = prng_below(&prng, SIZE + 1);

		check(&sums, begin, prng_below(&prng, SIZE - begin + 1));
	}
	load_sums_free(&sums);
}

static void test_load_sums_of_less_than_a_block(void **state)
{
	struct load_sums sums;

	(void)state;
	assert_int_equal(load_sums_new(&sums, bytes, 3), 0);
	check(&sums, 0, 3);
	check(&sums, 1, 2);
	load_sums_free(&sums);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_sums_are_those_of_every_part),
		cmocka_unit_test(test_load_sums_of_less_than_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: every form copies exactly the bytes it is told to and agrees with crc32c_extend() on them, in
   any pieces and at any alignment. Shown by all sizes around the steps of the wide form, by random
   pieces of a long run, and by guards around the target. */
#include <string.h>

#include "base/crc32c.h"
#include "base/crc32c_copy.h"
#include "base/prng.h"

#include "cm.h"

#define SIZE  20000
#define GUARD 0xa5

static _Alignas(64) uint8_t from[SIZE], to[SIZE + 128];

static void fill(void)
{
	struct prng prng = { .state = 11 };

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)prng_next(&prng);
}

static uint32_t (*copy)(uint32_t crc, void *to, const void *from, size_t size);

static void check(size_t from_at, size_t to_at, size_t size)
{
	uint32_t before = (uint32_t)(size * 2654435761U);
	uint32_t crc;

	memset(to, GUARD, to_at + size + 64);
	crc = copy(before, to + to_at, from + from_at, size);
	assert_int_equal(crc, crc32c_extend(before, from + from_at, size));
	assert_memory_equal(to + to_at, from + from_at, size);
	for (size_t i = 0; i < to_at; i++)
		assert_int_equal(to[i], GUARD);
	for (size_t i = to_at + size; i < to_at + size + 64; i++)
		assert_int_equal(to[i], GUARD);
}

static void check_sizes(void)
{
	fill();
	for (size_t size = 0; size <= 1100; size++)
		check(size % 61, size % 64, size);
	for (size_t at = 0; at < 64; at++)
		check(at, 63 - at, 3148);
	check(1, 2, SIZE - 64);
}

static void check_pieces(void)
{
	struct prng prng = { .state = 5 };
	uint32_t crc = CRC32C_INIT;
	size_t at = 0;

	fill();
	while (at < SIZE) {
		size_t piece = MIN((size_t)(prng_next(&prng) % 700), SIZE - at);

		crc = copy(crc, to + at, from + at, piece);
		at += piece;
	}
	assert_int_equal(crc, crc32c_extend(CRC32C_INIT, from, SIZE));
	assert_memory_equal(to, from, SIZE);
}

static void check_both(void)
{
	copy = crc32c_copy;
	check_sizes();
	check_pieces();
	copy = crc32c_copy_cold;
	check_sizes();
	check_pieces();
	crc32c_copy_fence();
}

static void test_crc32c_copy_two_passes(void **state)
{
	(void)state;
	assert_true(crc32c_copy_choose(CRC32C_COPY_TWO_PASSES));
	check_both();
}

static void test_crc32c_copy_wide(void **state)
{
	(void)state;
	if (!crc32c_copy_choose(CRC32C_COPY_WIDE)) {
		print_message("this CPU has no wide form\n");
		skip();
	}
	check_both();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_copy_two_passes),
		cmocka_unit_test(test_crc32c_copy_wide),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

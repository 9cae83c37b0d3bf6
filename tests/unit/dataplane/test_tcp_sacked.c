/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the scoreboard is the union of the reports. Shown against a bit map over random reports, across
 * the wrap of sequence numbers.
 */
#include "base/prng.h"

#include "dataplane/tcp/tcp_sacked.h"

#include "cm.h"

static void test_tcp_sacked_matches_a_map(void **state)
{
	const uint32_t base = 0xffffffc0U;
	struct prng prng = { 5 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct tcp_sacked sacked = { .count = 0 };
		bool map[128] = { false };
		uint32_t size = 0;

		for (int i = 0; i < 12; i++) {
			uint32_t start = (uint32_t)prng_below(&prng, 120);
			uint32_t end = start + 1 + (uint32_t)prng_below(&prng, 8);
			bool is_news = false;

			for (uint32_t j = start; j < end; j++) {
				is_news |= !map[j];
				map[j] = true;
			}
			assert_int_equal(tcp_sacked_add(&sacked, base + start, base + end),
					 is_news);
		}
		tcp_sacked_advance(&sacked, base + 20);
		for (uint32_t j = 20; j < 128; j++) {
			assert_int_equal(tcp_sacked_skip(&sacked, base + j) != base + j, map[j]);
			assert_int_equal(tcp_sacked_below(&sacked, base + j), size);
			size += map[j];
		}
		assert_int_equal(sacked.size, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_sacked_matches_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the table finds what was put in and not taken out, however probes wrap and entries move up.
 * Shown against a plain array over many random steps on a small, half-full table.
 */
#include "base/prng.h"

#include "dataplane/tcp/tcp_table.h"

#include "cm.h"

static void test_tcp_table_matches_an_array(void **state)
{
	static const struct siphash_key key = { 3, 4 };
	struct tcp_table_slot slots[64];
	struct tcp_table table;
	struct prng prng = { 7 };
	bool present[100] = { false };

	(void)state;
	tcp_table_init(&table, slots, 64, &key);
	for (int i = 0; i < 100000; i++) {
		uint32_t n = (uint32_t)prng_below(&prng, 100);
		struct tcp_tuple tuple = { 1, n * 65536, 9092, (uint16_t)n };

		assert_int_equal(tcp_table_find(&table, &tuple), present[n] ? n : TCP_TABLE_NONE);
		if (present[n])
			tcp_table_remove(&table, &tuple);
		else if (table.count < 32)
			tcp_table_insert(&table, &tuple, n);
		else
			continue;
		present[n] = !present[n];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_table_matches_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

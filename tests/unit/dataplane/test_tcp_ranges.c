/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: pieces come out in order, each byte once, whatever the order and overlap they came in; every
 * held buffer is released once; caps hold. Shown over random pieces of a known stream.
 */
#include <errno.h>
#include <string.h>

#include "base/prng.h"

#include "dataplane/tcp/tcp_ranges.h"

#include "cm.h"

static int held;

static void on_release(void *ctx, void *buffer)
{
	(void)ctx;
	(void)buffer;
	held--;
}

static void test_tcp_ranges_reassembles(void **state)
{
	static uint8_t stream[200];
	static struct tcp_piece nodes[16];
	struct tcp_piece_pool pool;
	struct prng prng = { 3 };

	(void)state;
	for (uint32_t i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)i;
	tcp_ranges_pool_init(&pool, nodes, 16, on_release, NULL);
	for (int round = 0; round < 3000; round++) {
		const uint32_t base = 0xffffff9cU;
		struct tcp_ranges ranges;
		struct tcp_piece *ready;
		uint32_t next = 1, taken = 1;

		tcp_ranges_init(&ranges);
		for (int i = 0; i < 30; i++) {
			uint32_t start = next + 1 + (uint32_t)prng_below(&prng, 40);
			struct tcp_piece piece = { .seq = base + start,
						   .bytes = stream + start,
						   .size = 1 + (uint32_t)prng_below(&prng, 30) };

			held += tcp_ranges_insert(&ranges, &pool, &piece, 12) == 0;
			assert_true(ranges.count <= 12);
			assert_int_equal(pool.spare_count, 16 - ranges.count);
			if (prng_chance(&prng, 100) && next < 100)
				next = tcp_ranges_absorb(&ranges, &pool, base + next + 3) - base;
			while ((ready = tcp_ranges_ready(&ranges)) != NULL) {
				assert_true(ready->seq - base >= taken);
				assert_memory_equal(ready->bytes, stream + (ready->seq - base),
						    ready->size);
				taken = ready->seq - base + 1;
				tcp_ranges_consume(&ranges, &pool, 1);
			}
		}
		tcp_ranges_clear(&ranges, &pool);
		assert_int_equal(held, 0);
	}
}

static void test_tcp_ranges_empty_pool(void **state)
{
	struct tcp_piece_pool pool;
	struct tcp_ranges ranges;
	struct tcp_piece piece = { .seq = 1, .size = 1 };

	(void)state;
	tcp_ranges_pool_init(&pool, NULL, 0, on_release, NULL);
	tcp_ranges_init(&ranges);
	assert_int_equal(tcp_ranges_insert(&ranges, &pool, &piece, 5), -ENOBUFS);
	assert_int_equal(tcp_ranges_push_ready(&ranges, &pool, &piece, 5), -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_ranges_reassembles),
		cmocka_unit_test(test_tcp_ranges_empty_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

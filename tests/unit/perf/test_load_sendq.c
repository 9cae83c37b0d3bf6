/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: what is seen at any position, copied or peeked, is what was queued, whatever was popped in which
   portions, and so is the sum that comes with a copy. Shown against a plain array over random heads,
   bodies and portions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

#include "dataplane/net/checksum.h"

#include "cm.h"
#include "perf/load/load_sendq.h"

#define PIECES 8
#define TOTAL  (1U << 20)

static uint8_t want[TOTAL], got[TOTAL];

static void test_load_sendq_is_a_stream(void **state)
{
	static uint8_t body[3000];
	struct prng prng = { 3 };
	struct load_sendq queue;
	struct load_sums sums;
	size_t begin = 0, end = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7);
	assert_int_equal(load_sums_new(&sums, body, sizeof(body)), 0);
	assert_int_equal(load_sendq_init(&queue, PIECES), 0);
	for (uint32_t round = 0; round < 2000 && end < TOTAL - 4000; round++) {
		uint8_t head[LOAD_SENDQ_HEAD_MAX];
		uint32_t head_size = (uint32_t)prng_below(&prng, 100);
		uint32_t body_size = (uint32_t)prng_below(&prng, sizeof(body));
		size_t at, size;
		uint64_t sum;
		int r;

		memset(head, (int)round, sizeof(head));
		r = load_sendq_push(&queue, head, head_size, body, body_size);
		if (r == 0) {
			if (round % 2 == 0)
				load_sendq_set_sums(&queue, &sums);
			memcpy(want + end, head, head_size);
			memcpy(want + end + head_size, body, body_size);
			end += head_size + body_size;
		} else {
			assert_int_equal(r, -ENOBUFS);
		}
		assert_int_equal(load_sendq_size(&queue), end - begin);
		at = prng_below(&prng, end - begin + 1);
		size = prng_below(&prng, end - begin - at + 1);
		load_sendq_copy(&queue, at, got, size);
		assert_memory_equal(got, want + begin + at, size);
		memset(got, 0, size);
		sum = load_sendq_copy_sum(&queue, at, got, size);
		assert_memory_equal(got, want + begin + at, size);
		assert_int_equal(checksum_fold(sum), checksum_fold(checksum_add(0, got, size)));
		size = prng_below(&prng, end - begin + 1);
		load_sendq_pop(&queue, size);
		begin += size;
	}
	load_sendq_free(&queue);
	load_sums_free(&sums);
}

static void test_load_sendq_peeks_without_copying_bodies(void **state)
{
	static const uint8_t body[100];
	struct load_sendq queue;
	struct iovec iov[4];

	(void)state;
	assert_int_equal(load_sendq_init(&queue, 2), 0);
	assert_int_equal(load_sendq_push(&queue, "head", 4, body, 100), 0);
	assert_int_equal(load_sendq_push(&queue, "next", 4, body, 100), 0);
	assert_int_equal(load_sendq_push(&queue, "more", 4, body, 100), -ENOBUFS);
	assert_int_equal(load_sendq_peek(&queue, 54, iov, 4), 3);
	assert_ptr_equal(iov[0].iov_base, body + 50);
	assert_int_equal(iov[0].iov_len, 50);
	assert_memory_equal(iov[1].iov_base, "next", 4);
	assert_ptr_equal(iov[2].iov_base, body);
	assert_int_equal(load_sendq_peek(&queue, 208, iov, 4), 0);
	load_sendq_free(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_sendq_is_a_stream),
		cmocka_unit_test(test_load_sendq_peeks_without_copying_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: frames come out as they were put in, wherever the stream is cut, and of long ones no more than
   is wanted. Shown over random frames and cuts; a size that cannot be ends the stream. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/prng.h"

#include "cm.h"
#include "perf/load/load_frame.h"

struct seen {
	uint32_t count;
	size_t keep_max;
	size_t sizes[64];
	uint8_t kept[64][600];
};

static void on_frame(void *ctx, const uint8_t *bytes, size_t kept, size_t size)
{
	struct seen *seen = ctx;

	assert_true(seen->count < ARRAY_COUNT(seen->sizes));
	assert_int_equal(kept, MIN(size, seen->keep_max));
	seen->sizes[seen->count] = size;
	if (kept > 0)
		memcpy(seen->kept[seen->count], bytes, kept);
	seen->count++;
}

static void play(uint64_t seed, size_t keep_max)
{
	static uint8_t stream[64 * 604], contents[64][600];
	static struct seen seen;
	struct prng prng = { seed };
	struct load_frame frame;
	size_t sizes[20], end = 0;

	memset(&seen, 0, sizeof(seen));
	seen.keep_max = keep_max;
	for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		sizes[i] = prng_chance(&prng, 100) ? 0 : prng_below(&prng, 600);
		for (size_t j = 0; j < sizes[i]; j++)
			contents[i][j] = (uint8_t)prng_next(&prng);
		bytes_store_u32(stream + end, (uint32_t)sizes[i]);
		memcpy(stream + end + 4, contents[i], sizes[i]);
		end += 4 + sizes[i];
	}
	load_frame_init(&frame, keep_max);
	for (size_t at = 0; at < end;) {
		size_t n = MIN(end - at, (size_t)prng_below(&prng, 900) + 1);

		assert_int_equal(load_frame_feed(&frame, stream + at, n, on_frame, &seen), 0);
		at += n;
	}
	load_frame_free(&frame);
	assert_int_equal(seen.count, ARRAY_COUNT(sizes));
	for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		assert_int_equal(seen.sizes[i], sizes[i]);
		assert_memory_equal(seen.kept[i], contents[i], MIN(sizes[i], keep_max));
	}
}

static void test_load_frame_whatever_the_cuts(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		play(seed, SIZE_MAX);
		play(seed, 40);
		play(seed, 0);
	}
}

static void test_load_frame_refuses_a_size_that_cannot_be(void **state)
{
	static struct seen seen;
	struct load_frame frame;

	(void)state;
	load_frame_init(&frame, SIZE_MAX);
	assert_int_equal(
		load_frame_feed(&frame, (const uint8_t *)"\xff\xff\xff\xff", 4, on_frame, &seen),
		-EPROTO);
	load_frame_free(&frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_frame_whatever_the_cuts),
		cmocka_unit_test(test_load_frame_refuses_a_size_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: every form copies exactly the bytes it is told to and agrees with crc32c_extend() on them, in
   any pieces and at any alignment. Shown by all sizes around the steps of the wide form, by random
   pieces of a long run, and by guards around the target.
   And: who sees what was written after crc32c_copy_end() sees the copy, though it went past the caches.
   Shown by a thread that looks; without the fence it finds old bytes some dozen times a second. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
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

static void (*put)(struct crc32c_copy *copy, void *to, const void *from, size_t size);

static void check(size_t from_at, size_t to_at, size_t size)
{
	uint32_t before = (uint32_t)(size * 2654435761U), crc = CRC32C_INIT;
	struct crc32c_copy copy;

	memset(to, GUARD, to_at + size + 64);
	crc32c_copy_begin(&copy);
	crc32c_copy_filled(&copy, &before, sizeof(before));
	put(&copy, to + to_at, from + from_at, size);
	crc = crc32c_extend(crc, &before, sizeof(before));
	crc = crc32c_extend(crc, from + from_at, size);
	assert_int_equal(crc32c_copy_end(&copy), crc);
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
	struct crc32c_copy copy;
	size_t at = 0;

	crc32c_copy_begin(&copy);
	fill();
	while (at < SIZE) {
		size_t piece = MIN((size_t)(prng_next(&prng) % 700), SIZE - at);

		put(&copy, to + at, from + at, piece);
		at += piece;
	}
	assert_int_equal(crc32c_copy_end(&copy), crc32c_extend(CRC32C_INIT, from, SIZE));
	assert_memory_equal(to, from, SIZE);
}

static void check_both(void)
{
	put = crc32c_copy_put;
	check_sizes();
	check_pieces();
	put = crc32c_copy_put_cold;
	check_sizes();
	check_pieces();
}

static void test_crc32c_copy_two_passes(void **state)
{
	(void)state;
	assert_true(crc32c_copy_choose(CRC32C_COPY_TWO_PASSES));
	check_both();
}

static void test_crc32c_copy_narrow(void **state)
{
	(void)state;
	if (!crc32c_copy_choose(CRC32C_COPY_NARROW)) {
		print_message("this CPU has no narrow form\n");
		skip();
	}
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

/* ---- another thread looks ---- */

#define SLOT_COUNT 64
#define SLOT_SIZE  4096
#define LOOK_NS    (NS_PER_S / 2)

static _Alignas(64) uint8_t slots[SLOT_COUNT][SLOT_SIZE];
static _Alignas(64) atomic_uint published; /* slots ever; UINT32_MAX: no more */
static _Alignas(64) atomic_uint looked_at;
static uint64_t stale; /* bytes */

/** From the end, which was written last. */
static void *look(void *none)
{
	uint32_t seen = 0;

	for (;;) {
		uint32_t now = atomic_load_explicit(&published, memory_order_acquire);
		const uint8_t *slot = slots[now % SLOT_COUNT];

		if (now == UINT32_MAX)
			return none;
		if (now == seen)
			continue;
		for (size_t i = SLOT_SIZE; i > 0; i -= 64)
			stale += slot[i - 1] != (uint8_t)now;
		seen = now;
		atomic_store_explicit(&looked_at, now, memory_order_release);
	}
}

static void publish_for_a_while(void)
{
	const int64_t begin_ns = clock_now_ns();
	struct crc32c_copy copy;

	for (uint32_t i = 1; clock_now_ns() - begin_ns < LOOK_NS; i++) {
		memset(from, (int)i, SLOT_SIZE);
		crc32c_copy_begin(&copy);
		crc32c_copy_put_cold(&copy, slots[i % SLOT_COUNT], from, SLOT_SIZE);
		(void)crc32c_copy_end(&copy);
		atomic_store_explicit(&published, i, memory_order_release);
		while (atomic_load_explicit(&looked_at, memory_order_acquire) != i)
			;
	}
	atomic_store(&published, UINT32_MAX);
}

static void test_crc32c_copy_end_comes_before_what_follows(void **state)
{
	(void)state;
	for (int form = CRC32C_COPY_TWO_PASSES; form <= CRC32C_COPY_WIDE; form++) {
		pthread_t looker;

		if (!crc32c_copy_choose((enum crc32c_copy_form)form))
			continue;
		memset(slots, 0, sizeof(slots));
		atomic_store(&published, 0);
		atomic_store(&looked_at, 0);
		stale = 0;
		assert_int_equal(pthread_create(&looker, NULL, look, NULL), 0);
		publish_for_a_while();
		assert_int_equal(pthread_join(looker, NULL), 0);
		assert_int_equal(stale, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_copy_two_passes),
		cmocka_unit_test(test_crc32c_copy_narrow),
		cmocka_unit_test(test_crc32c_copy_wide),
		cmocka_unit_test(test_crc32c_copy_end_comes_before_what_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

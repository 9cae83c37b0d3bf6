/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: duplicates, gaps and old epochs are told apart as KIP-98 wants, over sequence wraps, for any
   number of producers within the bound, and a snapshot brings the last batch of each back. Shown
   against those rules and against a plain array under random use. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "storage/producers.h"

#include "cm.h"

static int setup(void **state)
{
	static struct producers producers;

	*state = &producers;
	return producers_init(&producers);
}

static int teardown(void **state)
{
	producers_fini(*state);
	return 0;
}

static struct batch make(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
	return (struct batch){ .producer_id = id,
			       .producer_epoch = epoch,
			       .base_sequence = sequence,
			       .last_offset_delta = count - 1,
			       .record_count = count,
			       .max_timestamp = 1234 };
}

static int check(const struct producers *producers, struct batch batch, int64_t *ret_offset)
{
	int64_t timestamp;

	return producers_check(producers, &batch, ret_offset, &timestamp);
}

static void note(struct producers *producers, struct batch batch, int64_t offset)
{
	batch.base_offset = offset;
	producers_replay(producers, &batch, 1000);
}

static void test_producers_without_id_are_free(void **state)
{
	int64_t offset;

	assert_int_equal(check(*state, make(-1, -1, -1, 3), &offset), 0);
	note(*state, make(-1, -1, -1, 3), 0);
	assert_int_equal(((struct producers *)*state)->count, 0);
}

static void test_producers_unknown_may_start_anywhere(void **state)
{
	int64_t offset;

	assert_int_equal(check(*state, make(5, 2, 900, 3), &offset), 0);
}

static void test_producers_five_batches(void **state)
{
	int64_t offset;

	for (int i = 0; i < 9; i++)
		note(*state, make(5, 0, i * 10, 10), 100 + i * 20);
	for (int i = 0; i < 9; i++) {
		if (i < 4) {
			assert_int_equal(check(*state, make(5, 0, i * 10, 10), &offset),
					 ERR_OUT_OF_ORDER);
		} else {
			assert_int_equal(check(*state, make(5, 0, i * 10, 10), &offset),
					 ERR_DUPLICATE);
			assert_int_equal(offset, 100 + i * 20);
		}
	}
	/* The same begin with another length is no duplicate. */
	assert_int_equal(check(*state, make(5, 0, 80, 9), &offset), ERR_OUT_OF_ORDER);
	assert_int_equal(check(*state, make(5, 0, 90, 1), &offset), 0);
	assert_int_equal(check(*state, make(5, 0, 91, 1), &offset), ERR_OUT_OF_ORDER);
}

static void test_producers_epochs(void **state)
{
	int64_t offset;

	note(*state, make(5, 3, 0, 10), 0);
	assert_int_equal(check(*state, make(5, 2, 10, 1), &offset), ERR_FENCED);
	assert_int_equal(check(*state, make(5, 4, 10, 1), &offset), ERR_OUT_OF_ORDER);
	assert_int_equal(check(*state, make(5, 4, 0, 10), &offset), 0);
	note(*state, make(5, 4, 0, 10), 10);
	assert_int_equal(check(*state, make(5, 4, 0, 10), &offset), ERR_DUPLICATE);
	assert_int_equal(offset, 10);
	assert_int_equal(check(*state, make(5, 3, 10, 1), &offset), ERR_FENCED);
}

static void test_producers_sequence_wraps(void **state)
{
	int64_t offset;

	note(*state, make(5, 0, INT32_MAX - 4, 10), 0); /* up to sequence 4 */
	assert_int_equal(check(*state, make(5, 0, INT32_MAX - 4, 10), &offset), ERR_DUPLICATE);
	assert_int_equal(check(*state, make(5, 0, 4, 1), &offset), ERR_OUT_OF_ORDER);
	assert_int_equal(check(*state, make(5, 0, 5, 1), &offset), 0);
	note(*state, make(6, 0, INT32_MAX, 1), 0);
	assert_int_equal(check(*state, make(6, 0, 0, 1), &offset), 0);
}

static void test_producers_many(void **state)
{
	struct producers *producers = *state;
	int64_t *last = calloc(20000, sizeof(*last));
	struct prng prng;
	int64_t offset;

	prng = (struct prng){ .state = 7 };
	for (int i = 0; i < 100000; i++) {
		int64_t id = (int64_t)(prng_next(&prng) % 20000);

		note(producers, make(id, 0, (int32_t)last[id], 1), i);
		last[id]++;
	}
	for (int64_t id = 0; id < 20000; id++) {
		if (last[id] == 0)
			assert_null(producers_find(producers, id));
		else
			assert_int_equal(
				check(producers, make(id, 0, (int32_t)last[id] - 1, 1), &offset),
				ERR_DUPLICATE);
	}
	free(last);
}

/* The core cannot wait for memory: it forgets who was silent longest. */
static void test_producers_full_table_forgets_the_oldest(void **state)
{
	struct producers *producers = *state;

	for (int i = 0; i < 100; i++) {
		struct batch batch = make(i, 0, 0, 1);

		producers_note(producers, &batch, 1000 + i);
		assert_true(producers->count < PRODUCERS_SLOTS_MIN);
	}
	assert_non_null(producers_find(producers, 99));
	assert_non_null(producers_find(producers, 95));
	assert_null(producers_find(producers, 50));
	assert_true(producers_is_wanting(producers));
	producers_housekeep(producers);
	assert_false(producers_is_wanting(producers));
	for (int i = 100; i < 110; i++) {
		struct batch batch = make(i, 0, 0, 1);

		producers_note(producers, &batch, 1000 + i);
	}
	assert_non_null(producers_find(producers, 95));
	assert_true(producers->count > PRODUCERS_SLOTS_MIN);
	producers_housekeep(producers);
}

static void test_producers_expire_when_moved(void **state)
{
	struct producers *producers = *state;
	struct batch batch = make(1, 0, 0, 1);

	producers_replay(producers, &batch, 1000);
	for (int i = 10; i < 30; i++) {
		batch = make(i, 0, 0, 1);
		producers_replay(producers, &batch, 2000 + PRODUCERS_EXPIRY_MS);
	}
	assert_null(producers_find(producers, 1));
	assert_non_null(producers_find(producers, 10));
}

static void test_producers_snapshot(void **state)
{
	struct producers *producers = *state;
	static uint8_t memory[PRODUCERS_SNAPSHOT_SIZE(200)];
	struct producers other;
	int64_t size, offset;

	for (int i = 0; i < 100; i++) {
		note(producers, make(i, (int16_t)i, 0, 5), 10 * i);
		note(producers, make(i, (int16_t)i, 5, 2), 10 * i + 5);
	}
	size = producers_encode(producers, memory, sizeof(memory));
	assert_int_equal(size, PRODUCERS_SNAPSHOT_SIZE(100));
	assert_int_equal(producers_encode(producers, memory, (size_t)size - 1), ERR_TOO_LARGE);
	size = producers_encode(producers, memory, (size_t)size);
	assert_int_equal(producers_init(&other), 0);
	assert_int_equal(producers_decode(&other, memory, (size_t)size, 1000), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(check(&other, make(i, (int16_t)i, 5, 2), &offset), ERR_DUPLICATE);
		assert_int_equal(offset, 10 * i + 5);
		assert_int_equal(check(&other, make(i, (int16_t)i, 7, 1), &offset), 0);
		assert_int_equal(check(&other, make(i, (int16_t)i, 0, 5), &offset),
				 ERR_OUT_OF_ORDER);
	}
	/* Any change is found, and leaves the table as it was. */
	for (size_t i = 0; i < (size_t)size; i += 13) {
		memory[i] ^= 1;
		assert_true(producers_decode(&other, memory, (size_t)size, 1000) < 0);
		memory[i] ^= 1;
	}
	for (size_t i = 0; i < (size_t)size; i += 7)
		assert_int_equal(producers_decode(&other, memory, i, 1000), ERR_CORRUPT);
	assert_int_equal(other.count, 100);
	producers_fini(&other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_producers_without_id_are_free),
		TEST(test_producers_unknown_may_start_anywhere),
		TEST(test_producers_five_batches),
		TEST(test_producers_epochs),
		TEST(test_producers_sequence_wraps),
		TEST(test_producers_many),
		TEST(test_producers_full_table_forgets_the_oldest),
		TEST(test_producers_expire_when_moved),
		TEST(test_producers_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

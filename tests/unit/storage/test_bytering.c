/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: records of any size come out once each, whole and in order; a full ring refuses; a peer
   that writes nonsense is found out without an access outside the ring. Shown by random sizes
   against a model, by two threads (run it under TSan as well), by changing every byte of a ring
   that stands at the end of its memory, and by mappings that are no ring. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/prng.h"
#include "storage/bytering.h"

#include "cm.h"

#define CAPACITY         1024U
#define RECORD_MAX       (CAPACITY / 4)
#define THREADED_RECORDS 100000U

static int setup(void **state)
{
	void *memory = aligned_alloc(64, bytering_memory_size(CAPACITY));

	if (memory == NULL)
		return -1;
	*state = bytering_init(memory, CAPACITY);
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Record number `i` has a size and bytes that follow from `i`. */
static uint32_t size_of(uint32_t i)
{
	return (i * UINT32_C(2654435761) >> 8) % (RECORD_MAX + 1);
}

static bool push(struct bytering *ring, uint32_t i)
{
	uint32_t size = size_of(i);
	uint8_t *at = bytering_claim(ring, size);

	if (at == NULL)
		return false;
	memset(at, (int)(i & 0xff), size);
	bytering_publish(ring, size);
	return true;
}

static bool pop(struct bytering *ring, uint32_t i)
{
	const void *record;
	uint32_t size;
	int result = bytering_peek(ring, &record, &size);

	assert_in_range(result, 0, 1);
	if (result == 0)
		return false;
	assert_int_equal(size, size_of(i));
	for (uint32_t at = 0; at < size; at++)
		CHECK(((const uint8_t *)record)[at] == (i & 0xff));
	bytering_release(ring);
	return true;
}

static void test_bytering_keeps_records_whole_and_in_order(void **state)
{
	struct bytering *ring = *state;
	struct prng prng = { .state = 3 };
	uint32_t pushed = 0;
	uint32_t popped = 0;

	assert_false(pop(ring, 0));
	for (uint32_t turn = 0; turn < 50000; turn++) {
		if (prng_chance(&prng, 500)) {
			if (push(ring, pushed))
				pushed++;
			else
				assert_true(pushed > popped);
		} else if (pop(ring, popped)) {
			popped++;
		} else {
			assert_int_equal(pushed, popped);
		}
	}
	assert_true(popped > 10000);
	while (popped < pushed)
		assert_true(pop(ring, popped++));
	assert_false(pop(ring, popped));
}

static void test_bytering_limits(void **state)
{
	struct bytering *ring = *state;
	const void *record;
	uint32_t size;
	uint32_t count = 0;

	assert_null(bytering_claim(ring, RECORD_MAX + 1));
	while (bytering_claim(ring, RECORD_MAX) != NULL) {
		bytering_publish(ring, RECORD_MAX - 8);
		count++;
	}
	assert_int_equal(count, 3);
	assert_int_equal(bytering_peek(ring, &record, &size), 1);
	assert_int_equal(size, RECORD_MAX - 8);
	/* Peeking again yields the same one. */
	assert_int_equal(bytering_peek(ring, &record, &size), 1);
	bytering_release(ring);
	/* A claim that is not published does not show. */
	assert_non_null(bytering_claim(ring, 0));
	for (uint32_t i = 1; i < count; i++) {
		assert_int_equal(bytering_peek(ring, &record, &size), 1);
		bytering_release(ring);
	}
	assert_int_equal(bytering_peek(ring, &record, &size), 0);
	assert_non_null(bytering_claim(ring, 0));
	bytering_publish(ring, 0);
	assert_int_equal(bytering_peek(ring, &record, &size), 1);
	assert_int_equal(size, 0);
	bytering_release(ring);
}

static void test_bytering_attach_wants_a_ring(void **state)
{
	struct bytering *ring = *state;
	size_t size = bytering_memory_size(CAPACITY);
	uint8_t *other = aligned_alloc(64, size);

	assert_ptr_equal(bytering_attach(ring, size, CAPACITY), ring);
	assert_null(bytering_attach(ring, size - 1, CAPACITY));
	assert_null(bytering_attach(ring, size, CAPACITY / 2));
	assert_null(bytering_attach(ring, 2 * size, CAPACITY * 2));
	assert_null(bytering_attach(ring, size, 0));
	assert_null(bytering_attach(ring, size, CAPACITY - 1));
	memset(other, 0, size);
	assert_null(bytering_attach(other, size, CAPACITY));
	free(other);
}

/* Read what is there; the sanitizer sees an access outside. */
static void drain(struct bytering *ring)
{
	const void *record;
	uint32_t size;
	uint32_t sum = 0;

	for (int i = 0; i < 64 && bytering_peek(ring, &record, &size) == 1; i++) {
		for (uint32_t at = 0; at < size; at++)
			sum += ((const uint8_t *)record)[at];
		bytering_release(ring);
	}
	assert_true(sum < UINT32_MAX);
}

static void test_bytering_consumer_survives_damage(void **state)
{
	size_t size = bytering_memory_size(CAPACITY);
	uint8_t *good = aligned_alloc(64, size);
	uint8_t *memory = *state;
	static const uint8_t masks[] = { 0x01, 0x08, 0x80, 0xff };
	uint32_t i = 0;

	assert_non_null(good);
	/* A ring that has wrapped, so that there is padding in it. */
	while (i < 40) {
		if (push(*state, i))
			i++;
		else
			drain(*state);
	}
	memcpy(good, memory, size);
	for (size_t at = 0; at < size; at++) {
		for (size_t m = 0; m < ARRAY_COUNT(masks); m++) {
			memcpy(memory, good, size);
			memory[at] ^= masks[m];
			if (bytering_attach(memory, size, CAPACITY) == NULL)
				continue;
			drain(*state);
		}
	}
	free(good);
}

static void test_bytering_says_what_is_corrupt(void **state)
{
	struct bytering *ring = *state;
	uint32_t *at = bytering_claim(ring, 16);
	const void *record;
	uint32_t size;

	bytering_publish(ring, 16);
	at[-2] = 17; /* the size stands before the bytes: more than was published */
	assert_int_equal(bytering_peek(ring, &record, &size), ERR_CORRUPT);
	at[-2] = UINT32_MAX - 1;
	assert_int_equal(bytering_peek(ring, &record, &size), ERR_CORRUPT);
	at[-2] = UINT32_MAX; /* padding with nothing behind it */
	assert_int_equal(bytering_peek(ring, &record, &size), ERR_CORRUPT);
	at[-2] = 16;
	assert_int_equal(bytering_peek(ring, &record, &size), 1);
}

static void *produce(void *arg)
{
	for (uint32_t i = 0; i < THREADED_RECORDS; i++) {
		while (!push(arg, i))
			(void)sched_yield();
	}
	return NULL;
}

static void test_bytering_two_threads(void **state)
{
	pthread_t producer;

	assert_int_equal(pthread_create(&producer, NULL, produce, *state), 0);
	for (uint32_t i = 0; i < THREADED_RECORDS; i++) {
		while (!pop(*state, i))
			(void)sched_yield();
	}
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_false(pop(*state, 0));
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_bytering_keeps_records_whole_and_in_order),
		ROW(test_bytering_limits),
		ROW(test_bytering_attach_wants_a_ring),
		ROW(test_bytering_consumer_survives_damage),
		ROW(test_bytering_says_what_is_corrupt),
		ROW(test_bytering_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

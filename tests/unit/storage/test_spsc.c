/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: items come out once each, in order, and a full ring refuses. Shown by filling and draining
   at every wrap position, and by two threads with a small ring (run it under TSan as well). */
#include <pthread.h>
#include <sched.h>

#include "storage/spsc.h"

#include "cm.h"

#define THREADED_ITEMS 200000

static void *item_of(uintptr_t number)
{
	return (void *)(number + 1);
}

static void test_spsc_keeps_order_and_refuses_when_full(void **state)
{
	struct spsc *ring = spsc_new(8);
	uintptr_t pushed = 0;
	uintptr_t popped = 0;

	(void)state;
	assert_non_null(ring);
	assert_true(spsc_is_empty(ring));
	assert_null(spsc_pop(ring));
	for (int round = 0; round < 100; round++) {
		while (spsc_push(ring, item_of(pushed)))
			pushed++;
		assert_int_equal(pushed - popped, 8);
		assert_false(spsc_is_empty(ring));
		for (int i = 0; i < 1 + round % 8; i++)
			assert_ptr_equal(spsc_pop(ring), item_of(popped++));
	}
	while (popped < pushed)
		assert_ptr_equal(spsc_pop(ring), item_of(popped++));
	assert_null(spsc_pop(ring));
	assert_true(spsc_is_empty(ring));
	spsc_free(ring);
}

struct cargo {
	struct spsc *ring;
	uint64_t values[THREADED_ITEMS]; /* plain memory: the ring must order it */
};

static void *produce(void *arg)
{
	struct cargo *cargo = arg;

	for (uint32_t i = 0; i < THREADED_ITEMS; i++) {
		cargo->values[i] = i * 3;
		while (!spsc_push(cargo->ring, &cargo->values[i]))
			(void)sched_yield();
	}
	return NULL;
}

static void test_spsc_two_threads(void **state)
{
	static struct cargo cargo;
	pthread_t producer;

	(void)state;
	cargo.ring = spsc_new(64);
	assert_non_null(cargo.ring);
	assert_int_equal(pthread_create(&producer, NULL, produce, &cargo), 0);
	for (uint32_t i = 0; i < THREADED_ITEMS; i++) {
		const uint64_t *value;

		while ((value = spsc_pop(cargo.ring)) == NULL)
			(void)sched_yield();
		assert_ptr_equal(value, &cargo.values[i]);
		assert_int_equal(*value, i * 3);
	}
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_null(spsc_pop(cargo.ring));
	spsc_free(cargo.ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spsc_keeps_order_and_refuses_when_full),
		cmocka_unit_test(test_spsc_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

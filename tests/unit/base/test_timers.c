/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: timers run in order of their due time, once, and can be moved and disarmed at any moment.
   Shown against a plain array as model over random operations. */
#include "base/prng.h"
#include "base/timers.h"

#include "cm.h"

#define TIMER_COUNT 200

struct item {
	struct timer timer;
	int runs;
};

static struct item items[TIMER_COUNT];
static int64_t last_due, model[TIMER_COUNT];

static void on_due(struct timer *timer, int64_t now_ns)
{
	struct item *item = CONTAINER_OF(timer, struct item, timer);
	size_t index = (size_t)(item - items);

	assert_false(timer_is_armed(timer));
	assert_true(model[index] != 0 && model[index] <= now_ns);
	assert_true(model[index] >= last_due);
	last_due = model[index];
	model[index] = 0;
	item->runs++;
}

static void test_timers_follow_the_model(void **state)
{
	struct prng prng = { 42 };
	struct timers timers;
	int64_t now = 1;

	(void)state;
	timers_init(&timers);
	for (size_t i = 0; i < TIMER_COUNT; i++)
		timer_init(&items[i].timer, on_due);
	for (int step = 0; step < 20000; step++) {
		size_t index = (size_t)prng_below(&prng, TIMER_COUNT);
		int64_t earliest = INT64_MAX;

		if (prng_chance(&prng, 700)) {
			model[index] = now + 1 + (int64_t)prng_below(&prng, 1000);
			timer_arm(&timers, &items[index].timer, model[index]);
		} else if (prng_chance(&prng, 500)) {
			model[index] = 0;
			timer_disarm(&timers, &items[index].timer);
		} else {
			now += (int64_t)prng_below(&prng, 50);
			last_due = 0;
			(void)timers_run(&timers, now, UINT32_MAX);
		}
		for (size_t i = 0; i < TIMER_COUNT; i++) {
			assert_int_equal(timer_is_armed(&items[i].timer), model[i] != 0);
			if (model[i] != 0)
				earliest = MIN(earliest, model[i]);
		}
		assert_true(timers_next_ns(&timers) == earliest);
	}
	assert_true(items[0].runs > 0);
}

static void rearm(struct timer *timer, int64_t now_ns);
static struct timers own;

static void rearm(struct timer *timer, int64_t now_ns)
{
	timer_arm(&own, timer, now_ns); /* due again at once */
}

static void test_timers_run_is_bounded_when_a_timer_rearms_itself(void **state)
{
	struct timer timer;

	(void)state;
	timers_init(&own);
	timer_init(&timer, rearm);
	timer_arm(&own, &timer, 5);
	assert_int_equal(timers_run(&own, 10, 3), 3);
	assert_true(timer_is_armed(&timer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_follow_the_model),
		cmocka_unit_test(test_timers_run_is_bounded_when_a_timer_rearms_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

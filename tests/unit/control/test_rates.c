/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: rates are the growth of the last RATES_WINDOW seconds and of nothing older, a restart or a
   position that goes back counts as no progress, and the history ends with the newest second. Shown with
   made-up positions, counters and moments. */
#include <math.h>
#include <string.h>

#include "control/http/rates.h"

#include "cm.h"

static const struct uuid flights = { .bytes = { 1 } }, offsets = { .bytes = { 2 } };

struct world {
	struct position all[3];
	struct positions positions;
	struct counters core;
	const struct counters *cores[1];
	struct rates *rates;
	int64_t now_ns;
};

static bool is_internal(void *ctx, const struct uuid *topic_id)
{
	(void)ctx;
	return uuid_equal(topic_id, &offsets);
}

static void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	world->all[0] = (struct position){ .topic_id = flights, .partition = 0 };
	world->all[1] = (struct position){ .topic_id = flights, .partition = 1 };
	world->all[2] = (struct position){ .topic_id = offsets, .partition = 0 };
	world->positions = (struct positions){ world->all, 3, 3 };
	world->cores[0] = &world->core;
	world->rates = rates_new();
	world->now_ns = NS_PER_S;
	assert_non_null(world->rates);
}

static void take(struct world *world)
{
	struct rates_input input = { .now_ns = world->now_ns,
				     .positions = &world->positions,
				     .cores = world->cores,
				     .core_count = 1,
				     .is_internal = is_internal };

	assert_int_equal(rates_take(world->rates, &input), 0);
	world->now_ns += NS_PER_S;
}

static void grow(struct world *world, int64_t records)
{
	for (int i = 0; i < 3; i++) {
		world->all[i].high_watermark += records;
		world->all[i].size += 10 * records;
	}
	counters_add(&world->core, COUNTER_PRODUCE_BYTES, 20U * (uint64_t)records);
	counters_add(&world->core, COUNTER_FETCH_BYTES, 7U * (uint64_t)records);
	counters_add(&world->core, COUNTER_SESSION_REQUESTS, 1);
	counters_add(&world->core, COUNTER_CORE_BUSY_NS, 250);
	counters_add(&world->core, COUNTER_CORE_IDLE_NS, 350);
	counters_add(&world->core, COUNTER_CORE_SLEEP_NS, 400);
}

static void test_rates_before_the_second_sample_are_zero(void **state)
{
	struct world world;
	struct rates_second second;

	(void)state;
	world_init(&world);
	grow(&world, 1000); /* before the first look: nobody knows when */
	take(&world);
	assert_int_equal(rates_total(world.rates).elapsed_ns, 0);
	assert_int_equal(rates_topic(world.rates, &flights).records, 0);
	assert_false(rates_history(world.rates, 0, &second));
	rates_free(world.rates);
}

static void test_rates_are_of_the_last_seconds_only(void **state)
{
	struct world world;
	struct rates_second total, second;

	(void)state;
	world_init(&world);
	take(&world);
	grow(&world, 1000000);
	take(&world);
	for (int i = 1; i <= RATES_WINDOW; i++) {
		grow(&world, i);
		take(&world);
	}
	total = rates_total(world.rates);
	assert_int_equal(total.elapsed_ns, RATES_WINDOW * NS_PER_S);
	assert_int_equal(total.bytes_in, 20 * 15);
	assert_int_equal(total.bytes_out, 7 * 15);
	assert_int_equal(total.records_in, 2 * 15); /* the internal topic is not counted */
	assert_int_equal(total.requests, RATES_WINDOW);
	assert_int_equal(rates_topic(world.rates, &flights).records, 2 * 15);
	assert_int_equal(rates_topic(world.rates, &flights).bytes, 20 * 15);
	assert_int_equal(rates_topic(world.rates, &offsets).records, 15);
	assert_int_equal(rates_topic(world.rates, &(struct uuid){ .bytes = { 9 } }).records, 0);
	assert_true(fabs(rates_busy(world.rates, 0) - 0.25) < 1e-9);
	assert_true(rates_busy(world.rates, 1) == 0.0);
	assert_true(rates_history(world.rates, 0, &second));
	assert_int_equal(second.records_in, 2 * RATES_WINDOW);
	assert_true(rates_history(world.rates, RATES_WINDOW, &second));
	assert_int_equal(second.records_in, 2000000);
	assert_false(rates_history(world.rates, RATES_WINDOW + 1, &second));
	rates_free(world.rates);
}

static void test_rates_history_is_bounded(void **state)
{
	struct world world;
	struct rates_second second;

	(void)state;
	world_init(&world);
	for (int i = 0; i < 3 * RATES_HISTORY; i++) {
		grow(&world, i);
		take(&world);
	}
	assert_true(rates_history(world.rates, RATES_HISTORY - 1, &second));
	assert_int_equal(second.records_in, 2 * (2 * RATES_HISTORY));
	assert_false(rates_history(world.rates, RATES_HISTORY, &second));
	rates_free(world.rates);
}

static void test_rates_of_a_restart_are_not_negative(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	grow(&world, 100);
	take(&world);
	memset(&world.core, 0, sizeof(world.core)); /* counters start anew */
	counters_add(&world.core, COUNTER_CORE_BUSY_NS, 10);
	world.all[0].high_watermark = 40; /* acks=1 records were lost */
	world.all[0].size = 400;
	world.all[1].high_watermark += 5;
	take(&world);
	assert_int_equal(rates_total(world.rates).bytes_in, 0);
	assert_int_equal(rates_total(world.rates).records_in, 5);
	assert_int_equal(rates_topic(world.rates, &flights).bytes, 0);
	assert_true(rates_busy(world.rates, 0) == 1.0);
	rates_free(world.rates);
}

static void test_rates_of_new_and_lost_partitions(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	grow(&world, 100);
	world.positions.count = 1;
	take(&world);
	world.positions.count = 3; /* two more are seen for the first time */
	world.all[0].high_watermark += 3;
	take(&world);
	assert_int_equal(rates_total(world.rates).records_in, 3);
	world.positions = (struct positions){ world.all + 1, 2, 2 };
	world.all[1].high_watermark += 4;
	take(&world);
	assert_int_equal(rates_total(world.rates).records_in, 7);
	rates_free(world.rates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates_before_the_second_sample_are_zero),
		cmocka_unit_test(test_rates_are_of_the_last_seconds_only),
		cmocka_unit_test(test_rates_history_is_bounded),
		cmocka_unit_test(test_rates_of_a_restart_are_not_negative),
		cmocka_unit_test(test_rates_of_new_and_lost_partitions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

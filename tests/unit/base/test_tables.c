/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the tables of errors, counters and clocks are usable: no two errors share a value, every
   counter has a documented name. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/err.h"

#include "cm.h"

static void test_tables_every_error_has_its_own_text(void **state)
{
	static const int all[] = {
#define ERR(name, value, text) name,
#include "base/err.def"
#undef ERR
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
		assert_true(all[i] <= -4096);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(err_str(all[i]), err_str(all[j]));
	}
	assert_string_equal(err_str(-ENOENT), strerrordesc_np(ENOENT));
	assert_string_equal(err_str(-99999), "unknown error");
}

static void test_tables_every_counter_is_documented(void **state)
{
	struct counters counters = { { 0 } };

	(void)state;
	for (enum counter which = 0; which < COUNTER_COUNT; which++) {
		const struct counter_info *info = counters_info(which);

		for (const char *at = info->name; *at != '\0'; at++)
			assert_true(islower(*at) || isdigit(*at) || *at == '_');
		assert_true(strlen(info->unit) > 0);
		assert_true(strlen(info->sentence) > 5);
	}
	counters_add(&counters, COUNTER_CORE_CYCLES, 2);
	counters_inc(&counters, COUNTER_CORE_CYCLES);
	assert_int_equal(counters_get(&counters, COUNTER_CORE_CYCLES), 3);
}

static void test_tables_clocks_go_forward(void **state)
{
	int64_t a = clock_now_ns(), b = clock_now_ns();

	(void)state;
	assert_true(b >= a);
	assert_true(clock_wall_ms() > INT64_C(1700000000000));
	assert_true(clock_cycles() > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_every_error_has_its_own_text),
		cmocka_unit_test(test_tables_every_counter_is_documented),
		cmocka_unit_test(test_tables_clocks_go_forward),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

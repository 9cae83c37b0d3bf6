/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: quantiles are within 1/32 above the true value, merge adds up, outliers are clamped. Shown
   against sorted samples. */
#include <stdlib.h>

#include "base/hist.h"
#include "base/prng.h"

#include "cm.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_hist_quantiles_stay_within_resolution(void **state)
{
	static uint64_t samples[10000];
	static struct hist hist;
	static const uint32_t wanted[] = { 1, 500000, 900000, 990000, 999000, 1000000 };
	struct prng prng = { 7 };

	(void)state;
	hist_init(&hist);
	assert_int_equal(hist_quantile(&hist, 500000), 0);
	for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
		samples[i] = prng_next(&prng) >> (24 + prng_below(&prng, 40));
		hist_add(&hist, samples[i]);
	}
	qsort(samples, ARRAY_COUNT(samples), sizeof(samples[0]), compare);
	for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
		size_t rank = (size_t)((uint64_t)wanted[i] * ARRAY_COUNT(samples) / 1000000);
		uint64_t truth = samples[MAX(rank, (size_t)1) - 1];
		uint64_t got = hist_quantile(&hist, wanted[i]);

		assert_true(got >= truth);
		assert_true(got <= truth + truth / 32 + 1);
	}
}

static void test_hist_merge_and_clamp(void **state)
{
	static struct hist a, b;

	(void)state;
	hist_init(&a);
	hist_init(&b);
	hist_add(&a, 10);
	hist_add(&b, UINT64_MAX);
	hist_merge(&a, &b);
	assert_int_equal(a.count, 2);
	assert_true(a.max == (UINT64_C(1) << HIST_VALUE_BITS) - 1);
	assert_int_equal(hist_quantile(&a, 500000), 10);
}

static void test_hist_count_to_counts_whole_buckets(void **state)
{
	static struct hist hist;

	(void)state;
	hist_init(&hist);
	hist_add(&hist, 5);
	hist_add(&hist, 1000);
	hist_add(&hist, 100000);
	assert_int_equal(hist_count_to(&hist, 4), 0);
	assert_int_equal(hist_count_to(&hist, 5), 1);
	assert_int_equal(hist_count_to(&hist, 1000 + 1000 / 32), 2);
	assert_int_equal(hist_count_to(&hist, 90000), 2);
	assert_int_equal(hist_count_to(&hist, UINT64_MAX), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hist_quantiles_stay_within_resolution),
		cmocka_unit_test(test_hist_merge_and_clamp),
		cmocka_unit_test(test_hist_count_to_counts_whole_buckets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

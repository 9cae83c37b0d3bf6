/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: lists of CPUs are taken only as documented. Shown with good ones and every kind of wrong one. */
#include "base/cpulist.h"
#include "base/err.h"

#include "cm.h"

static void test_cpulist_parse_is_strict(void **state)
{
	static const char *const bad[] = {
		"x", "1,", ",1", "3-1", "1-", "-1", "1 2", "2000", "0-9"
	};
	uint32_t cpus[8];

	(void)state;
	assert_int_equal(cpulist_parse("", cpus, 8), 0);
	assert_int_equal(cpulist_parse("0,2-4", cpus, 8), 4);
	assert_int_equal(cpus[0], 0);
	assert_int_equal(cpus[3], 4);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_int_equal(cpulist_parse(bad[i], cpus, 8), ERR_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpulist_parse_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

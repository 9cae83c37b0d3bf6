/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a token names one request once; late, repeated and foreign tokens name nobody, and the
 * table's end is told. Shown by filling, taking twice and forgetting.
 */
#include "control/meta/parked.h"

#include "cm.h"

static void test_parked_token_is_used_once(void **state)
{
	CLEANUP(parked_freep) struct parked *parked = parked_new();
	struct parked_request request = { 3, 77, 11, 5 };
	struct parked_request got;
	uint64_t token;

	(void)state;
	token = parked_add(parked, &request);
	assert_int_not_equal(token, 0);
	assert_int_equal(parked_find(parked, token)->api_key, 11);
	assert_true(parked_take(parked, token, &got));
	assert_int_equal(got.cookie, 77);
	assert_int_equal(got.core, 3);
	assert_false(parked_take(parked, token, &got));
	/* The place is used again, the old token still names nobody. */
	assert_int_not_equal(parked_add(parked, &request), token);
	assert_null(parked_find(parked, token));
	assert_null(parked_find(parked, 0));
	assert_null(parked_find(parked, UINT64_MAX));
}

static void test_parked_is_bounded_and_forgets(void **state)
{
	CLEANUP(parked_freep) struct parked *parked = parked_new();
	struct parked_request request = { 0 };
	struct parked_request got;
	uint64_t first = parked_add(parked, &request);

	(void)state;
	for (uint32_t i = 1; i < PARKED_MAX; i++)
		assert_int_not_equal(parked_add(parked, &request), 0);
	assert_int_equal(parked_add(parked, &request), 0);
	parked_clear(parked);
	assert_int_equal(parked_count(parked), 0);
	assert_false(parked_take(parked, first, &got));
	assert_int_not_equal(parked_add(parked, &request), first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parked_token_is_used_once),
		cmocka_unit_test(test_parked_is_bounded_and_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

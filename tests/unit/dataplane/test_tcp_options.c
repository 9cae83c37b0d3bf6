/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: what is built is parsed back, lies about length are refused, unknown options are skipped.
 * Shown by round trip and by a table of raw bytes.
 */
#include "base/err.h"

#include "dataplane/tcp/tcp_options.h"

#include "cm.h"

static void test_tcp_options_round_trip(void **state)
{
	struct tcp_options in = { .has_mss = true,
				  .mss = 1460,
				  .has_ts = true,
				  .ts_value = 1,
				  .ts_echo = 2,
				  .has_wscale = true,
				  .wscale = 7,
				  .sack_permitted = true };
	struct tcp_options out;
	uint8_t bytes[TCP_OPTIONS_SIZE_MAX];
	size_t size = tcp_options_build(bytes, &in);

	(void)state;
	assert_int_equal(size, 24);
	assert_int_equal(tcp_options_parse(bytes, size, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void test_tcp_options_blocks_that_do_not_fit_are_left_off(void **state)
{
	struct tcp_options in = { .has_ts = true,
				  .sack_count = 4,
				  .sack = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } } };
	struct tcp_options out;
	uint8_t bytes[TCP_OPTIONS_SIZE_MAX];
	size_t size = tcp_options_build(bytes, &in);

	(void)state;
	assert_int_equal(size, 40);
	assert_int_equal(tcp_options_parse(bytes, size, &out), 0);
	assert_int_equal(out.sack_count, 3);
	assert_int_equal(out.sack[2].end, 6);
}

static void test_tcp_options_refuses_lies(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t size;
		int result;
	} rows[] = {
		{ { 2 }, 1, ERR_MALFORMED },
		{ { 2, 0 }, 2, ERR_MALFORMED },
		{ { 2, 1 }, 2, ERR_MALFORMED },
		{ { 8, 10, 0, 0 }, 4, ERR_MALFORMED },
		{ { 99, 4, 1, 1, 1, 1, 1, 1 }, 8, 0 },
		{ { 0, 2, 0, 0 }, 4, 0 },
		{ { 3, 4, 20, 20 }, 4, 0 },
		{ { 0 }, 0, 0 },
	};
	struct tcp_options out;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(tcp_options_parse(rows[i].bytes, rows[i].size, &out),
				 rows[i].result);
		if (rows[i].result == 0)
			assert_false(out.has_mss || out.has_wscale || out.has_ts);
	}
}

static void test_tcp_options_rfc7323_scale_is_14_at_most(void **state)
{
	static const uint8_t rows[][2] = {
		{ 0, 0 }, { 13, 13 }, { 14, 14 }, { 15, 14 }, { 255, 14 }
	};
	struct tcp_options out;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const uint8_t bytes[] = { 3, 3, rows[i][0], 0 };

		assert_int_equal(tcp_options_parse(bytes, sizeof(bytes), &out), 0);
		assert_true(out.has_wscale);
		assert_int_equal(out.wscale, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_options_round_trip),
		cmocka_unit_test(test_tcp_options_blocks_that_do_not_fit_are_left_off),
		cmocka_unit_test(test_tcp_options_refuses_lies),
		cmocka_unit_test(test_tcp_options_rfc7323_scale_is_14_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

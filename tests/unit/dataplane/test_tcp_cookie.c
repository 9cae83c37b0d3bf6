/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a cookie is known again by the tuple and number it was made for, in its period and the next
 * and no longer, and says a segment size no larger than the one agreed; a timestamp carries window
 * scale, SACK and ECN and is never ahead of the clock (RFC 4987). Shown by values.
 */
#include "base/prng.h"

#include "dataplane/tcp/tcp_cookie.h"

#include "cm.h"

static const struct siphash_key key = { 1, 2 }, other_key = { 1, 3 };
static const struct tcp_tuple tuple = { 0x0a000001, 0x0a000002, 9092, 1234 };

static enum tcp_cookie_kind check(const struct tcp_tuple *of, uint32_t isn, uint32_t number,
				  int64_t now_ns, struct tcp_cookie *ret_cookie)
{
	return tcp_cookie_check(&key, of, isn, number, now_ns, ret_cookie);
}

static void test_tcp_cookie_rfc4987_is_known_again(void **state)
{
	int64_t begin_ns = 1000 * TCP_COOKIE_PERIOD_NS, end_ns = begin_ns + TCP_COOKIE_LIFE_NS;
	uint32_t number = tcp_cookie_make(&key, &tuple, 77, 1460, begin_ns);
	struct tcp_tuple other = tuple;
	struct tcp_cookie cookie = { 0 };

	(void)state;
	assert_int_equal(check(&tuple, 77, number, begin_ns, &cookie), TCP_COOKIE_GOOD);
	assert_int_equal(cookie.mss, 1460);
	assert_int_equal(check(&tuple, 77, number, end_ns - 1, &cookie), TCP_COOKIE_GOOD);
	cookie.mss = 0;
	assert_int_equal(check(&tuple, 77, number, end_ns, &cookie), TCP_COOKIE_NONE);
	assert_int_equal(check(&tuple, 77, number, begin_ns - 1, &cookie), TCP_COOKIE_NONE);
	assert_int_equal(check(&tuple, 78, number, begin_ns, &cookie), TCP_COOKIE_LATER);
	assert_int_equal(check(&tuple, 78, number, end_ns - 1, &cookie), TCP_COOKIE_LATER);
	assert_int_equal(tcp_cookie_check(&other_key, &tuple, 77, number, begin_ns, &cookie),
			 TCP_COOKIE_NONE);
	other.peer_port++;
	assert_int_equal(check(&other, 77, number, begin_ns, &cookie), TCP_COOKIE_NONE);
	other = tuple;
	other.peer_address++;
	assert_int_equal(check(&other, 77, number, begin_ns, &cookie), TCP_COOKIE_NONE);
	assert_int_equal(cookie.mss, 0);
}

static void test_tcp_cookie_guesses_fail(void **state)
{
	uint32_t number = tcp_cookie_make(&key, &tuple, 77, 1460, NS_PER_S), good = 0, near = 0;
	struct prng prng = { .state = 5 };
	struct tcp_cookie cookie;

	(void)state;
	for (uint32_t bit = 0; bit < 32; bit++)
		assert_int_not_equal(check(&tuple, 77, number ^ 1U << bit, NS_PER_S, &cookie),
				     TCP_COOKIE_GOOD);
	for (uint32_t i = 0; i < 1000000; i++) {
		enum tcp_cookie_kind kind =
			check(&tuple, 77, (uint32_t)prng_next(&prng), NS_PER_S, &cookie);

		good += kind == TCP_COOKIE_GOOD;
		near += kind == TCP_COOKIE_LATER;
	}
	assert_true(good <= 1);  /* 16 of 2^32 are good */
	assert_true(near <= 60); /* 2 of 2^16 have the part without the peer's number */
}

static void test_tcp_cookie_segment_size_is_never_larger(void **state)
{
	static const uint16_t rows[][2] = {
		{ 88, 88 },     { 535, 88 },    { 536, 536 },   { 1219, 536 },
		{ 1400, 1400 }, { 1459, 1440 }, { 1460, 1460 }, { 3159, 1460 },
		{ 3160, 3160 }, { 8960, 8960 }, { 9000, 8960 }, { 65495, 8960 },
	};
	struct tcp_cookie cookie;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t number = tcp_cookie_make(&key, &tuple, 1, rows[i][0], NS_PER_S);

		assert_int_equal(check(&tuple, 1, number, NS_PER_S, &cookie), TCP_COOKIE_GOOD);
		assert_int_equal(cookie.mss, rows[i][1]);
	}
}

/** Old segments of one connection are outside the window of the next one of its tuple. */
static void test_tcp_cookie_numbers_of_a_tuple_are_far_apart(void **state)
{
	uint32_t first = tcp_cookie_make(&key, &tuple, 0, 1460, NS_PER_S), near = 0;

	(void)state;
	for (uint32_t isn = 1; isn < 1000; isn++) {
		uint32_t gap = tcp_cookie_make(&key, &tuple, isn, 1460, NS_PER_S) - first;

		near += gap + 65536 < 2 * 65536;
	}
	assert_true(near <= 2); /* one in 8192 */
}

static void test_tcp_cookie_timestamp_carries_options(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		struct tcp_options in = { .has_wscale = i % 16 < 15,
					  .wscale = i % 16 < 15 ? (uint8_t)(i % 16) : 0,
					  .sack_permitted = (i & 16) != 0 };
		uint32_t now = i * 0x00fffff1U;
		uint32_t ts = tcp_cookie_ts(&in, (i & 32) != 0, now);
		struct tcp_options out = { 0 };
		bool has_ecn;

		assert_true(now - ts < 128); /* the past, and not long ago */
		tcp_cookie_read_ts(ts, &out, &has_ecn);
		assert_memory_equal(&in, &out, sizeof(in));
		assert_int_equal(has_ecn, (i & 32) != 0);
	}
}

static void test_tcp_cookie_opens_once(void **state)
{
	uint64_t slots[64 * TCP_COOKIE_WAYS] = { 0 };
	struct tcp_cookies cookies = { slots, ARRAY_COUNT(slots) };
	struct tcp_cookie all[64];
	uint32_t known = 0;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_COUNT(all); i++) {
		uint32_t number = tcp_cookie_make(&key, &tuple, i, 1460, NS_PER_S);

		assert_int_equal(check(&tuple, i, number, NS_PER_S, &all[i]), TCP_COOKIE_GOOD);
		assert_false(tcp_cookie_was_taken(&cookies, &all[i]));
		tcp_cookie_take(&cookies, &all[i]);
		assert_true(tcp_cookie_was_taken(&cookies, &all[i]));
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(all); i++)
		known += tcp_cookie_was_taken(&cookies, &all[i]);
	assert_in_range(known, 62, 64); /* newer ones push out an older one, seldom */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_cookie_rfc4987_is_known_again),
		cmocka_unit_test(test_tcp_cookie_guesses_fail),
		cmocka_unit_test(test_tcp_cookie_segment_size_is_never_larger),
		cmocka_unit_test(test_tcp_cookie_numbers_of_a_tuple_are_far_apart),
		cmocka_unit_test(test_tcp_cookie_timestamp_carries_options),
		cmocka_unit_test(test_tcp_cookie_opens_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void test_tcp_cookie_rfc4987_is_known_again(void **state)
{
	int64_t begin_ns = 1000 * TCP_COOKIE_PERIOD_NS;
	uint32_t cookie = tcp_cookie_make(&key, &tuple, 77, 1460, begin_ns);
	struct tcp_tuple other = tuple;
	uint16_t mss = 0;

	(void)state;
	assert_true(tcp_cookie_check(&key, &tuple, 77, cookie, begin_ns, &mss));
	assert_int_equal(mss, 1460);
	assert_true(tcp_cookie_check(&key, &tuple, 77, cookie, begin_ns + TCP_COOKIE_LIFE_NS - 1,
				     &mss));
	mss = 0;
	assert_false(
		tcp_cookie_check(&key, &tuple, 77, cookie, begin_ns + TCP_COOKIE_LIFE_NS, &mss));
	assert_false(tcp_cookie_check(&key, &tuple, 77, cookie, begin_ns - 1, &mss));
	assert_false(tcp_cookie_check(&key, &tuple, 78, cookie, begin_ns, &mss));
	assert_false(tcp_cookie_check(&other_key, &tuple, 77, cookie, begin_ns, &mss));
	assert_int_equal(mss, 0);
	other.peer_port++;
	assert_false(tcp_cookie_check(&key, &other, 77, cookie, begin_ns, &mss));
	other = tuple;
	other.peer_address++;
	assert_false(tcp_cookie_check(&key, &other, 77, cookie, begin_ns, &mss));
}

static void test_tcp_cookie_guesses_fail(void **state)
{
	uint32_t cookie = tcp_cookie_make(&key, &tuple, 77, 1460, NS_PER_S), good = 0;
	struct prng prng = { .state = 5 };
	uint16_t mss;

	(void)state;
	for (uint32_t bit = 0; bit < 32; bit++)
		assert_false(
			tcp_cookie_check(&key, &tuple, 77, cookie ^ 1U << bit, NS_PER_S, &mss));
	for (uint32_t i = 0; i < 1000000; i++)
		good += tcp_cookie_check(&key, &tuple, 77, (uint32_t)prng_next(&prng), NS_PER_S,
					 &mss) != 0;
	assert_true(good <= 1); /* 16 of 2^32 are good */
}

static void test_tcp_cookie_segment_size_is_never_larger(void **state)
{
	static const uint16_t rows[][2] = {
		{ 88, 88 },     { 535, 88 },    { 536, 536 },   { 1219, 536 },
		{ 1400, 1400 }, { 1459, 1440 }, { 1460, 1460 }, { 3159, 1460 },
		{ 3160, 3160 }, { 8960, 8960 }, { 9000, 8960 }, { 65495, 8960 },
	};
	uint16_t mss;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t cookie = tcp_cookie_make(&key, &tuple, 1, rows[i][0], NS_PER_S);

		assert_true(tcp_cookie_check(&key, &tuple, 1, cookie, NS_PER_S, &mss));
		assert_int_equal(mss, rows[i][1]);
	}
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
	uint64_t slots[64] = { 0 };
	struct tcp_cookies cookies = { slots, ARRAY_COUNT(slots) };
	uint64_t ids[32];
	uint32_t known = 0;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++) {
		uint32_t cookie = tcp_cookie_make(&key, &tuple, i, 1460, NS_PER_S);
		uint16_t mss;

		ids[i] = tcp_cookie_check(&key, &tuple, i, cookie, NS_PER_S, &mss);
		assert_int_not_equal(ids[i], 0);
		assert_false(tcp_cookie_was_taken(&cookies, ids[i]));
		tcp_cookie_take(&cookies, ids[i]);
		assert_true(tcp_cookie_was_taken(&cookies, ids[i]));
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
		known += tcp_cookie_was_taken(&cookies, ids[i]);
	assert_in_range(known, 16, 32); /* a newer one pushes out an older one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_cookie_rfc4987_is_known_again),
		cmocka_unit_test(test_tcp_cookie_guesses_fail),
		cmocka_unit_test(test_tcp_cookie_segment_size_is_never_larger),
		cmocka_unit_test(test_tcp_cookie_timestamp_carries_options),
		cmocka_unit_test(test_tcp_cookie_opens_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

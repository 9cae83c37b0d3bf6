/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: cursors never read or write outside their memory, errors stick, varints round-trip and
   overlong ones are refused. Shown by known encodings and by every truncation of them. */
#include <stdlib.h>

#include "base/bytes.h"

#include "cm.h"

static void test_bytes_numbers_are_big_endian(void **state)
{
	uint8_t memory[32];
	struct writer w;
	struct reader r;

	(void)state;
	writer_init(&w, memory, sizeof(memory));
	writer_i8(&w, -2);
	writer_i16(&w, -300);
	writer_i32(&w, -70000);
	writer_i64(&w, INT64_MIN);
	assert_int_equal(w.error, 0);
	assert_int_equal(writer_size(&w), 15);
	assert_int_equal(memory[1], 0xfe);
	assert_int_equal(memory[2], 0xd4);
	reader_init(&r, memory, writer_size(&w));
	assert_int_equal(reader_i8(&r), -2);
	assert_int_equal(reader_i16(&r), -300);
	assert_int_equal(reader_i32(&r), -70000);
	assert_true(reader_i64(&r) == INT64_MIN);
	assert_int_equal(r.error, 0);
	assert_int_equal(reader_left(&r), 0);
}

static void test_bytes_error_sticks_after_short_read(void **state)
{
	uint8_t memory[3] = { 1, 2, 3 };
	struct reader r;

	(void)state;
	reader_init(&r, memory, sizeof(memory));
	assert_int_equal(reader_u32(&r), 0);
	assert_int_equal(r.error, ERR_TRUNCATED);
	assert_int_equal(reader_u8(&r), 0); /* the byte is there, but the cursor has failed */
	assert_null(reader_bytes(&r, 1));
	assert_int_equal(r.error, ERR_TRUNCATED);
}

static void test_bytes_full_writer_takes_nothing_more(void **state)
{
	uint8_t memory[4] = { 0 };
	struct writer w;

	(void)state;
	writer_init(&w, memory, 3);
	writer_u16(&w, 0x0102);
	writer_u16(&w, 0x0304);
	assert_int_equal(w.error, ERR_TOO_LARGE);
	writer_u8(&w, 9); /* would fit, but the error sticks */
	assert_int_equal(writer_size(&w), 2);
	assert_int_equal(memory[2], 0);
	assert_int_equal(memory[3], 0);
}

static void test_bytes_varints_round_trip(void **state)
{
	static const int64_t values[] = { 0,         -1,        1,         63,          64,
					  -64,       -65,       8191,      INT32_MAX,   INT32_MIN,
					  INT64_MAX, INT64_MIN, 1LL << 42, -(1LL << 42) };
	uint8_t memory[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		struct writer w;
		struct reader r;

		writer_init(&w, memory, sizeof(memory));
		writer_varint64(&w, values[i]);
		reader_init(&r, memory, writer_size(&w));
		assert_true(reader_varint64(&r) == values[i]);
		assert_int_equal(r.error, 0);
		for (size_t cut = 0; cut < writer_size(&w); cut++) {
			reader_init(&r, memory, cut);
			(void)reader_varint64(&r);
			assert_int_equal(r.error, ERR_TRUNCATED);
		}
		if (values[i] < INT32_MIN || values[i] > INT32_MAX)
			continue;
		writer_init(&w, memory, sizeof(memory));
		writer_varint(&w, (int32_t)values[i]);
		reader_init(&r, memory, writer_size(&w));
		assert_int_equal(reader_varint(&r), (int32_t)values[i]);
	}
}

static void test_bytes_overlong_varint_is_malformed(void **state)
{
	static const uint8_t eleven[11] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
					    0x80, 0x80, 0x80, 0x80, 0x01 };
	static const uint8_t past_64_bits[10] = { 0xff, 0xff, 0xff, 0xff, 0xff,
						  0xff, 0xff, 0xff, 0xff, 0x02 };
	static const uint8_t past_32_bits[5] = { 0xff, 0xff, 0xff, 0xff, 0x1f };
	struct reader r;

	(void)state;
	reader_init(&r, eleven, sizeof(eleven));
	(void)reader_uvarint64(&r);
	assert_int_equal(r.error, ERR_MALFORMED);
	reader_init(&r, past_64_bits, sizeof(past_64_bits));
	(void)reader_uvarint64(&r);
	assert_int_equal(r.error, ERR_MALFORMED);
	reader_init(&r, past_32_bits, sizeof(past_32_bits));
	(void)reader_uvarint(&r);
	assert_int_equal(r.error, ERR_MALFORMED);
}

static void test_bytes_uvarint_size_matches_writer(void **state)
{
	uint8_t memory[16];

	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		struct writer w;

		writer_init(&w, memory, sizeof(memory));
		writer_uvarint64(&w, UINT64_C(1) << bit);
		assert_int_equal(writer_size(&w), bytes_uvarint_size(UINT64_C(1) << bit));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_numbers_are_big_endian),
		cmocka_unit_test(test_bytes_error_sticks_after_short_read),
		cmocka_unit_test(test_bytes_full_writer_takes_nothing_more),
		cmocka_unit_test(test_bytes_varints_round_trip),
		cmocka_unit_test(test_bytes_overlong_varint_is_malformed),
		cmocka_unit_test(test_bytes_uvarint_size_matches_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

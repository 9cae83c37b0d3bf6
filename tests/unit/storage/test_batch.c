/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: batches are read and judged as Kafka's brokers do, and what we build is a batch. Shown with
   bytes laid out by hand from the format, by breaking one field at a time, and by building and
   reading back. */
#include <string.h>

#include "base/crc32c.h"
#include "storage/batch.h"

#include "cm.h"

static uint32_t build(uint8_t *memory, size_t size, int records)
{
	struct batch_builder builder;
	int64_t result;

	batch_builder_init(&builder, memory, size, 1000, 0);
	for (int i = 0; i < records; i++)
		batch_builder_add(&builder, "k", 1, "v", 1);
	result = batch_builder_end(&builder, 0, -1);
	assert_true(result > 0);
	return (uint32_t)result;
}

static void test_batch_builder_bytes(void **state)
{
	static const uint8_t expected[] = {
		0,    0,    0,    0,    0,    0,    0,    0,    /* base offset */
		0,    0,    0,    58,                           /* length */
		0xff, 0xff, 0xff, 0xff,                         /* leader epoch */
		2,    0,    0,    0,    0,                      /* magic, checksum */
		0,    0,    0,    0,    0,    0,                /* attributes, last delta */
		0,    0,    0,    0,    0,    0,    3,    0xe8, /* base timestamp */
		0,    0,    0,    0,    0,    0,    3,    0xe8, /* largest timestamp */
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* producer id */
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,             /* epoch, sequence */
		0,    0,    0,    1,                            /* count */
		16,   0,    0,    0,    2,    'k',  2,    'v',  0,
	};
	uint8_t memory[128];

	(void)state;
	assert_int_equal(build(memory, sizeof(memory), 1), sizeof(expected));
	assert_int_equal(bytes_load_u32(memory + 17),
			 crc32c_extend(CRC32C_INIT, memory + 21, sizeof(expected) - 21));
	memset(memory + 17, 0, 4);
	assert_memory_equal(memory, expected, sizeof(expected));
}

static void test_batch_builder_full_memory_is_an_error(void **state)
{
	uint8_t memory[128];

	(void)state;
	for (size_t size = 0; size < 70; size++) {
		struct batch_builder builder;

		batch_builder_init(&builder, memory, size, 0, 0);
		batch_builder_add(&builder, "k", 1, "v", 1);
		assert_int_equal(batch_builder_end(&builder, 0, 0), ERR_TOO_LARGE);
	}
}

static void test_batch_decode_fields(void **state)
{
	uint8_t header[BATCH_HEADER_SIZE];
	struct batch batch;

	(void)state;
	for (uint32_t i = 0; i < sizeof(header); i++)
		header[i] = (uint8_t)i;
	assert_int_equal(batch_decode(header, &batch), 0);
	assert_int_equal(batch.base_offset, 0x0001020304050607);
	assert_int_equal(batch.size, 0x08090a0b + 12);
	assert_int_equal(batch.leader_epoch, 0x0c0d0e0f);
	assert_int_equal(batch.magic, 16);
	assert_int_equal(batch.crc, 0x11121314);
	assert_int_equal(batch.attributes, 0x1516);
	assert_int_equal(batch.last_offset_delta, 0x1718191a);
	assert_int_equal(batch.base_timestamp, 0x1b1c1d1e1f202122);
	assert_int_equal(batch.max_timestamp, 0x232425262728292a);
	assert_int_equal(batch.producer_id, 0x2b2c2d2e2f303132);
	assert_int_equal(batch.producer_epoch, 0x3334);
	assert_int_equal(batch.base_sequence, 0x35363738);
	assert_int_equal(batch.record_count, 0x393a3b3c);
	bytes_store_u32(header + 8, 48);
	assert_int_equal(batch_decode(header, &batch), ERR_MALFORMED);
	bytes_store_u32(header + 8, 49);
	assert_int_equal(batch_decode(header, &batch), 0);
	bytes_store_u32(header + 8, UINT32_MAX);
	assert_int_equal(batch_decode(header, &batch), ERR_MALFORMED);
	bytes_store_u32(header + 8, INT32_MAX - 11);
	assert_int_equal(batch_decode(header, &batch), ERR_MALFORMED);
}

static void test_batch_check_verdicts(void **state)
{
	uint8_t memory[256];
	struct batch good, batch;
	uint32_t size;

	(void)state;
	size = build(memory, sizeof(memory), 3);
	assert_int_equal(batch_decode(memory, &good), 0);
	assert_int_equal(batch_check(&good, size, 1000), BATCH_OK);
	assert_int_equal(batch_check(&good, size, size), BATCH_OK);
	assert_int_equal(batch_check(&good, size, size - 1), BATCH_TOO_LARGE);
	assert_int_equal(batch_check(&good, size + 1, 1000), BATCH_BAD_SIZE);
	assert_int_equal(batch_check(&good, size - 1, 1000), BATCH_BAD_SIZE);
#define EXPECT(field, value, verdict)                                                              \
	batch = good;                                                                              \
	batch.field = (value);                                                                     \
	assert_int_equal(batch_check(&batch, size, 1000), verdict)
	EXPECT(magic, 1, BATCH_BAD_MAGIC);
	EXPECT(magic, 3, BATCH_BAD_MAGIC);
	EXPECT(record_count, 0, BATCH_BAD_COUNT);
	EXPECT(record_count, -1, BATCH_BAD_COUNT);
	EXPECT(record_count, 4, BATCH_BAD_COUNT);
	EXPECT(last_offset_delta, 1, BATCH_BAD_COUNT);
	EXPECT(base_offset, 1, BATCH_BAD_COUNT);
	EXPECT(attributes, BATCH_ATTRIBUTE_CONTROL, BATCH_BAD_CONTROL);
	EXPECT(producer_id, 5, BATCH_BAD_PRODUCER);
	EXPECT(attributes, BATCH_CODEC_ZSTD, BATCH_OK);
	EXPECT(attributes, 5, BATCH_BAD_CODEC);
	EXPECT(attributes, 7, BATCH_BAD_CODEC);
#undef EXPECT
	batch = good;
	batch.producer_id = 5;
	batch.producer_epoch = 0;
	assert_int_equal(batch_check(&batch, size, 1000), BATCH_BAD_PRODUCER);
	batch.base_sequence = 0;
	assert_int_equal(batch_check(&batch, size, 1000), BATCH_OK);
}

static void test_batch_patch_spares_the_checksum(void **state)
{
	uint8_t memory[256], before[256];
	uint32_t size;

	(void)state;
	size = build(memory, sizeof(memory), 2);
	memcpy(before, memory, size);
	batch_patch(memory, 0x1122334455667788, 9);
	assert_int_equal(bytes_load_u64(memory), 0x1122334455667788);
	assert_int_equal(bytes_load_u32(memory + 12), 9);
	assert_memory_equal(memory + 8, before + 8, 4);
	assert_memory_equal(memory + 16, before + 16, size - 16);
}

static void test_batch_records_round_trip(void **state)
{
	static const char value[300] = "some value";
	static uint8_t memory[2048];
	struct batch_builder builder;
	struct batch_record record;
	struct reader reader;
	int64_t size;

	(void)state;
	batch_builder_init(&builder, memory, sizeof(memory), 77, 0);
	batch_builder_add(&builder, "key", 3, value, sizeof(value));
	batch_builder_add(&builder, NULL, 0, "x", 1);
	batch_builder_add(&builder, "", 0, NULL, 0);
	size = batch_builder_end(&builder, 500, 2);
	assert_true(size > 0);
	reader_init(&reader, memory + BATCH_HEADER_SIZE, (size_t)size - BATCH_HEADER_SIZE);
	assert_int_equal(batch_record_next(&reader, &record), 0);
	assert_int_equal(record.offset_delta, 0);
	assert_int_equal(record.key_size, 3);
	assert_memory_equal(record.key, "key", 3);
	assert_int_equal(record.value_size, sizeof(value));
	assert_memory_equal(record.value, value, sizeof(value));
	assert_int_equal(batch_record_next(&reader, &record), 0);
	assert_int_equal(record.offset_delta, 1);
	assert_null(record.key);
	assert_int_equal(record.value_size, 1);
	assert_int_equal(batch_record_next(&reader, &record), 0);
	assert_non_null(record.key);
	assert_int_equal(record.key_size, 0);
	assert_null(record.value);
	assert_int_equal(reader_left(&reader), 0);
	assert_true(batch_record_next(&reader, &record) < 0);
}

static void test_batch_record_with_headers(void **state)
{
	/* length 14: attributes, delta 0, offset 0, null key, null value, 2 headers: a=1, b=null */
	static const uint8_t bytes[] = { 26, 0, 0, 0, 1, 1, 4, 2, 'a', 2, '1', 2, 'b', 1 };
	struct batch_record record;
	struct reader reader;

	(void)state;
	reader_init(&reader, bytes, sizeof(bytes));
	assert_int_equal(batch_record_next(&reader, &record), 0);
	assert_int_equal(record.header_count, 2);
	assert_int_equal(record.headers_size, 7);
	/* Cut anywhere, it is an error and never a read past the end. */
	for (size_t size = 0; size < sizeof(bytes); size++) {
		reader_init(&reader, bytes, size);
		assert_true(batch_record_next(&reader, &record) < 0);
	}
}

static void test_batch_record_lies(void **state)
{
	static const uint8_t cases[][8] = {
		{ 1 },                        /* length -1 */
		{ 14, 0, 0, 0, 99, 1, 0, 0 }, /* key longer than the record */
		{ 14, 0, 0, 0, 3, 1, 0, 0 },  /* key length -2 */
		{ 14, 0, 0, 0, 1, 1, 1, 0 },  /* headers -1 */
		{ 14, 0, 0, 0, 1, 1, 0, 0 },  /* a byte too much */
	};
	struct batch_record record;
	struct reader reader;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		reader_init(&reader, cases[i], sizeof(cases[i]));
		assert_int_equal(batch_record_next(&reader, &record), ERR_MALFORMED);
		assert_int_equal(reader_left(&reader), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch_builder_bytes),
		cmocka_unit_test(test_batch_builder_full_memory_is_an_error),
		cmocka_unit_test(test_batch_decode_fields),
		cmocka_unit_test(test_batch_check_verdicts),
		cmocka_unit_test(test_batch_patch_spares_the_checksum),
		cmocka_unit_test(test_batch_records_round_trip),
		cmocka_unit_test(test_batch_record_with_headers),
		cmocka_unit_test(test_batch_record_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

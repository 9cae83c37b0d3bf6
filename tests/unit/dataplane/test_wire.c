/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: the codec's ground never reads past the input, never takes a size on trust, never uses
 * more scratch memory than it was given, skips what it does not know, and leaves outputs alone on
 * failure. Shown: each rule is broken once by hand-made bytes; ASan watches the edges.
 */
#include <stdlib.h>

#include "dataplane/wire/api.h"

#include "cm.h"

static uint8_t memory[4096];

static struct reader reader_of(const void *bytes, size_t size)
{
	struct reader reader;

	reader_init(&reader, bytes, size);
	return reader;
}

#define READER(...)                                                                                \
	reader_of((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void test_wire_string_forms(void **state)
{
	struct reader reader = READER(0, 2, 'a', 'b', 3, 'c', 'd', 0xff, 0xff, 0, 0, 0, 1);

	(void)state;
	assert_true(wire_string_equal(wire_read_string(&reader, false, false), WIRE_STRING("ab")));
	assert_true(wire_string_equal(wire_read_string(&reader, true, false), WIRE_STRING("cd")));
	assert_int_equal(wire_read_string(&reader, false, true).size, -1);
	assert_int_equal(wire_read_string(&reader, true, true).size, -1);
	assert_int_equal(wire_read_string(&reader, false, true).size, 0);
	assert_int_equal(wire_read_string(&reader, true, false).size, 0);
	assert_int_equal(reader.error, 0);
	assert_int_equal(reader_left(&reader), 0);
}

static void test_wire_string_refused(void **state)
{
	struct reader null_classic = READER(0xff, 0xff);
	struct reader null_compact = READER(0);
	struct reader negative = READER(0xff, 0xfe);
	struct reader short_one = READER(0, 3, 'a', 'b');
	struct reader too_long = READER(0x81, 0x80, 0x02); /* 32,768 bytes */

	(void)state;
	assert_int_equal(wire_read_string(&null_classic, false, false).size, 0);
	assert_int_equal(null_classic.error, ERR_MALFORMED);
	(void)wire_read_string(&null_compact, true, false);
	assert_int_equal(null_compact.error, ERR_MALFORMED);
	(void)wire_read_string(&negative, false, true);
	assert_int_equal(negative.error, ERR_MALFORMED);
	assert_int_equal(wire_read_string(&short_one, false, false).size, 0);
	assert_int_equal(short_one.error, ERR_TRUNCATED);
	(void)wire_read_string(&too_long, true, true);
	assert_int_equal(too_long.error, ERR_MALFORMED);
}

static void test_wire_bytes_refused(void **state)
{
	struct reader huge = READER(0xff, 0xff, 0xff, 0xff, 0x0f, 1); /* 4 GiB - 2 */
	struct reader short_one = READER(0x7f, 0xff, 0xff, 0xff, 1);
	struct reader null = READER(0xff, 0xff, 0xff, 0xff);

	(void)state;
	(void)wire_read_bytes(&huge, true, true);
	assert_int_equal(huge.error, ERR_MALFORMED);
	assert_int_equal(wire_read_bytes(&short_one, false, true).size, 0);
	assert_int_equal(short_one.error, ERR_TRUNCATED);
	assert_int_equal(wire_read_bytes(&null, false, true).size, -1);
	assert_int_equal(null.error, 0);
}

static void test_wire_count_is_bounded_by_input(void **state)
{
	struct reader exact = READER(0, 0, 0, 2, 1, 1);
	struct reader one_more = READER(0, 0, 0, 3, 1, 1);
	struct reader compact = READER(4, 1, 1);

	(void)state;
	assert_int_equal(wire_read_count(&exact, false, false), 2);
	assert_int_equal(exact.error, 0);
	assert_int_equal(wire_read_count(&one_more, false, false), 0);
	assert_int_equal(one_more.error, ERR_MALFORMED);
	assert_int_equal(wire_read_count(&compact, true, false), 0);
	assert_int_equal(compact.error, ERR_MALFORMED);
}

static void test_wire_scratch_is_bounded_and_aligned(void **state)
{
	struct reader reader = READER(1);
	struct wire_scratch scratch;
	uint8_t *block = malloc(65);

	(void)state;
	assert_non_null(block);
	wire_scratch_init(&scratch, block + 1, 64);
	for (int i = 0; i < 3; i++) {
		uint8_t *at = wire_scratch_take(&reader, &scratch, 1, 9);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % 16, 0);
		memset(at, 0xaa, 9);
	}
	assert_int_equal(reader.error, 0);
	assert_null(wire_scratch_take(&reader, &scratch, 0, 8));
	assert_int_equal(reader.error, 0);
	assert_null(wire_scratch_take(&reader, &scratch, INT32_MAX, SIZE_MAX / 2));
	assert_int_equal(reader.error, ERR_TOO_LARGE);
	free(block);
}

static void test_wire_decode_needs_scratch(void **state)
{
	/* Metadata v1 for two topics: 4 KiB are plenty, one element's room is not. */
	static const uint8_t bytes[] = { 0, 0, 0, 2, 0, 1, 'a', 0, 1, 'b' };
	struct wire_metadata_request request = { .topics_count = 77 };
	struct wire_scratch scratch;
	struct reader reader = reader_of(bytes, sizeof(bytes));

	(void)state;
	wire_scratch_init(&scratch, memory, sizeof(*request.topics));
	assert_int_equal(wire_decode_metadata_request(&reader, 1, &scratch, &request),
			 ERR_TOO_LARGE);
	assert_int_equal(request.topics_count, 77);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	reader = reader_of(bytes, sizeof(bytes));
	assert_int_equal(wire_decode_metadata_request(&reader, 1, &scratch, &request), 0);
	assert_int_equal(request.topics_count, 2);
	assert_true(wire_string_equal(request.topics[1].name, WIRE_STRING("b")));
	assert_true(request.allow_auto_topic_creation); /* absent before version 4: its default */
}

static void test_wire_decode_refuses_versions(void **state)
{
	struct wire_produce_request request;
	struct wire_scratch scratch;
	struct reader reader = READER(0);
	struct writer writer;

	(void)state;
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_produce_request(&reader, 2, &scratch, &request),
			 ERR_UNSUPPORTED);
	assert_int_equal(wire_decode_produce_request(&reader, 14, &scratch, &request),
			 ERR_UNSUPPORTED);
	wire_default_produce_request(&request);
	writer_init(&writer, memory, sizeof(memory));
	wire_encode_produce_request(&writer, -1, &request);
	assert_int_equal(writer.error, ERR_UNSUPPORTED);
	writer_u8(&writer, 1);
	assert_int_equal(writer.error, ERR_UNSUPPORTED);
	assert_int_equal(writer_size(&writer), 0);
}

static void test_wire_unknown_tags_are_skipped(void **state)
{
	/* Heartbeat response v4: throttle, error, then tag 5 of three bytes and tag 900 of none. */
	struct reader reader = READER(0, 0, 0, 9, 0, 27, 2, 5, 3, 1, 2, 3, 0x84, 0x07, 0);
	struct reader lying = READER(0, 0, 0, 9, 0, 27, 1, 5, 4, 1, 2, 3);
	struct reader many = READER(0, 0, 0, 9, 0, 27, 0xff, 0xff, 0x03, 1, 2, 3);
	struct wire_heartbeat_response response;
	struct wire_scratch scratch;

	(void)state;
	wire_scratch_init(&scratch, memory, 0);
	assert_int_equal(wire_decode_heartbeat_response(&reader, 4, &scratch, &response), 0);
	assert_int_equal(response.error_code, 27);
	assert_int_equal(reader_left(&reader), 0);
	assert_int_equal(wire_decode_heartbeat_response(&lying, 4, &scratch, &response),
			 ERR_TRUNCATED);
	assert_int_equal(wire_decode_heartbeat_response(&many, 4, &scratch, &response),
			 ERR_MALFORMED);
}

static void test_wire_known_tag_must_fit_its_size(void **state)
{
	/* PartitionChangeRecord: partition 1, id 0, one tagged field: leader (tag 1), an int32. */
	uint8_t bytes[64] = { 0, 0, 0, 1 };
	struct wire_partition_change_record record;
	struct wire_scratch scratch;
	struct reader reader;

	(void)state;
	memcpy(bytes + 20, (const uint8_t[]){ 1, 1, 4, 0, 0, 0, 7 }, 7);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	reader_init(&reader, bytes, 27);
	assert_int_equal(wire_decode_partition_change_record(&reader, 0, &scratch, &record), 0);
	assert_int_equal(record.leader, 7);
	assert_int_equal(record.isr_count, -1);
	bytes[22] = 3; /* too small for an int32 */
	reader_init(&reader, bytes, 27);
	assert_int_equal(wire_decode_partition_change_record(&reader, 0, &scratch, &record),
			 ERR_TRUNCATED);
	bytes[22] = 5; /* a byte is left over */
	reader_init(&reader, bytes, 28);
	assert_int_equal(wire_decode_partition_change_record(&reader, 0, &scratch, &record),
			 ERR_MALFORMED);
}

static void test_wire_tagged_field_of_other_version_is_skipped(void **state)
{
	/* Tag 8 (directories) exists from version 1 on; version 0 must pass over it. */
	uint8_t bytes[64] = { 0, 0, 0, 1 };
	struct wire_partition_change_record record;
	struct wire_scratch scratch;
	struct reader reader;

	(void)state;
	memcpy(bytes + 20, (const uint8_t[]){ 1, 8, 1, 1 }, 4);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	reader_init(&reader, bytes, 24);
	assert_int_equal(wire_decode_partition_change_record(&reader, 0, &scratch, &record), 0);
	assert_int_equal(record.directories_count, -1);
	reader_init(&reader, bytes, 24);
	assert_int_equal(wire_decode_partition_change_record(&reader, 1, &scratch, &record), 0);
	assert_int_equal(record.directories_count, 0);
}

static void test_wire_long_tag_moves_up(void **state)
{
	/* 100 broker ids of 4 bytes: the size in front of them takes two bytes. */
	static int32_t isr[100];
	struct wire_partition_change_record record, copy;
	struct wire_scratch scratch;
	struct reader reader;
	struct writer writer;
	uint8_t out[1024];

	(void)state;
	for (int32_t i = 0; i < 100; i++)
		isr[i] = i * 1000;
	wire_default_partition_change_record(&record);
	record.isr = isr;
	record.isr_count = 100;
	record.leader = 42;
	writer_init(&writer, out, sizeof(out));
	wire_encode_partition_change_record(&writer, 0, &record);
	assert_int_equal(writer.error, 0);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	reader_init(&reader, out, writer_size(&writer));
	assert_int_equal(wire_decode_partition_change_record(&reader, 0, &scratch, &copy), 0);
	assert_int_equal(reader_left(&reader), 0);
	assert_int_equal(copy.isr_count, 100);
	assert_memory_equal(copy.isr, isr, sizeof(isr));
	assert_int_equal(copy.leader, 42);
}

static void test_wire_encode_refuses_null_and_length(void **state)
{
	struct wire_find_coordinator_request request;
	struct writer writer;

	(void)state;
	wire_default_find_coordinator_request(&request);
	request.key = WIRE_STRING_NULL;
	writer_init(&writer, memory, sizeof(memory));
	wire_encode_find_coordinator_request(&writer, 0, &request);
	assert_int_equal(writer.error, ERR_MALFORMED);
	request.key = (struct wire_string){ .bytes = (const char *)memory, .size = 32768 };
	writer_init(&writer, memory, sizeof(memory));
	wire_encode_find_coordinator_request(&writer, 3, &request);
	assert_int_equal(writer.error, ERR_TOO_LARGE);
}

static void test_wire_defaults(void **state)
{
	struct wire_fetch_request_topics_partitions partition;
	struct wire_metadata_request metadata;
	struct wire_fetch_request fetch;

	(void)state;
	wire_default_fetch_request(&fetch);
	assert_int_equal(fetch.cluster_id.size, -1);
	assert_int_equal(fetch.max_bytes, INT32_MAX);
	assert_int_equal(fetch.session_epoch, -1);
	assert_int_equal(fetch.replica_state.replica_id, -1);
	wire_default_fetch_request_topics_partitions(&partition);
	assert_true(partition.high_watermark == INT64_MAX);
	wire_default_metadata_request(&metadata);
	assert_int_equal(metadata.topics_count, 0);
	assert_true(metadata.allow_auto_topic_creation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_string_forms),
		cmocka_unit_test(test_wire_string_refused),
		cmocka_unit_test(test_wire_bytes_refused),
		cmocka_unit_test(test_wire_count_is_bounded_by_input),
		cmocka_unit_test(test_wire_scratch_is_bounded_and_aligned),
		cmocka_unit_test(test_wire_decode_needs_scratch),
		cmocka_unit_test(test_wire_decode_refuses_versions),
		cmocka_unit_test(test_wire_unknown_tags_are_skipped),
		cmocka_unit_test(test_wire_known_tag_must_fit_its_size),
		cmocka_unit_test(test_wire_tagged_field_of_other_version_is_skipped),
		cmocka_unit_test(test_wire_long_tag_moves_up),
		cmocka_unit_test(test_wire_encode_refuses_null_and_length),
		cmocka_unit_test(test_wire_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

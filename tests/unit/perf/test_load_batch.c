/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: head and batch together are a Produce request that the box's own parser reads, its batch judged
   good and its checksum right; answers are read back. Shown with dataplane/wire and storage/batch. */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/batch.h"

#include "dataplane/wire/frame.h"

#include "cm.h"
#include "perf/load/load_batch.h"

static void check_batch(uint32_t batch_size, uint32_t record_size)
{
	struct load_batch batch;
	struct batch read;
	struct batch_record record;
	struct reader reader;

	assert_int_equal(load_batch_new(&batch, batch_size, record_size, 1700000000000), 0);
	assert_int_equal(batch_decode(batch.bytes, &read), 0);
	assert_int_equal(read.size, batch.size);
	assert_int_equal(read.record_count, batch.records);
	assert_int_equal(batch_check(&read, batch.size, 1U << 21), BATCH_OK);
	assert_int_equal(read.crc, crc32c_extend(CRC32C_INIT, batch.bytes + BATCH_CRC_BEGIN,
						 batch.size - BATCH_CRC_BEGIN));
	if (batch.records > 1)
		assert_true(batch.size <= batch_size);
	/* Full: one more would not have fitted. */
	assert_true(batch.size + record_size + 32 > batch_size);
	reader_init(&reader, batch.bytes + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
	for (uint32_t i = 0; i < batch.records; i++) {
		assert_int_equal(batch_record_next(&reader, &record), 0);
		assert_int_equal(record.value_size, record_size);
	}
	assert_int_equal(reader_left(&reader), 0);
	load_batch_free(&batch);
}

static void test_load_batch_is_full_and_good(void **state)
{
	(void)state;
	check_batch(65536, 1024);
	check_batch(65536, 100);
	check_batch(1000000, 1024);
	check_batch(1, 1024); /* one record, however small the batch is to be */
	check_batch(300, 1);
}

static void test_load_batch_head_makes_a_request(void **state)
{
	static uint8_t bytes[80000];
	uint8_t head[LOAD_BATCH_HEAD_MAX];
	_Alignas(16) uint8_t memory[1024];
	struct wire_produce_request request;
	struct wire_request_header header;
	struct wire_scratch scratch;
	struct load_batch batch;
	struct reader reader;
	int size;

	(void)state;
	assert_int_equal(load_batch_new(&batch, 65536, 1024, 1), 0);
	size = load_batch_head(&batch, "a.topic", 77, -1, head);
	assert_true(size > 0);
	load_batch_number(head, 4711);
	memcpy(bytes, head, (size_t)size);
	memcpy(bytes + size, batch.bytes, batch.size);
	assert_int_equal(bytes_load_u32(bytes), (uint32_t)size + batch.size - 4);
	reader_init(&reader, bytes + 4, (size_t)size + batch.size - 4);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_request_header(&reader, &header), 0);
	assert_int_equal(header.api_key, WIRE_API_PRODUCE);
	assert_int_equal(header.correlation_id, 4711);
	assert_int_equal(
		wire_decode_produce_request(&reader, header.api_version, &scratch, &request), 0);
	assert_int_equal(reader_left(&reader), 0);
	assert_int_equal(request.acks, -1);
	assert_int_equal(request.topic_data_count, 1);
	assert_true(wire_string_equal(request.topic_data[0].name, WIRE_STRING("a.topic")));
	assert_int_equal(request.topic_data[0].partition_data[0].index, 77);
	assert_int_equal(request.topic_data[0].partition_data[0].records.size, batch.size);
	assert_memory_equal(request.topic_data[0].partition_data[0].records.bytes, batch.bytes,
			    batch.size);
	load_batch_free(&batch);
}

static void test_load_batch_head_refuses_a_long_name(void **state)
{
	uint8_t head[LOAD_BATCH_HEAD_MAX];
	struct load_batch batch;
	char name[LOAD_BATCH_TOPIC_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[LOAD_BATCH_TOPIC_MAX + 1] = '\0';
	assert_int_equal(load_batch_new(&batch, 1, 10, 1), 0);
	assert_int_equal(load_batch_head(&batch, name, 0, -1, head), -EINVAL);
	name[LOAD_BATCH_TOPIC_MAX] = '\0';
	assert_true(load_batch_head(&batch, name, 0, -1, head) > 0);
	load_batch_free(&batch);
}

static void test_load_batch_answer_is_read(void **state)
{
	struct wire_produce_response_responses_partition_responses partition;
	struct wire_produce_response_responses topic;
	struct wire_produce_response response;
	struct load_batch_ack ack;
	struct writer writer;
	uint8_t bytes[256];

	(void)state;
	wire_default_produce_response_responses_partition_responses(&partition);
	wire_default_produce_response_responses(&topic);
	wire_default_produce_response(&response);
	partition.index = 3;
	partition.error_code = 6;
	partition.base_offset = 99;
	topic.name = WIRE_STRING("t");
	topic.partition_responses = &partition;
	topic.partition_responses_count = 1;
	response.responses = &topic;
	response.responses_count = 1;
	writer_init(&writer, bytes, sizeof(bytes));
	wire_encode_response_header(&writer, WIRE_API_PRODUCE, LOAD_BATCH_PRODUCE_VERSION, 5);
	wire_encode_produce_response(&writer, LOAD_BATCH_PRODUCE_VERSION, &response);
	assert_int_equal(writer.error, 0);
	assert_int_equal(load_batch_answer(bytes, writer_size(&writer), &ack), 0);
	assert_int_equal(ack.correlation_id, 5);
	assert_int_equal(ack.partition, 3);
	assert_int_equal(ack.error, 6);
	assert_int_equal(ack.base_offset, 99);
	for (size_t size = 0; size < writer_size(&writer); size++)
		assert_int_equal(load_batch_answer(bytes, size, &ack), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_batch_is_full_and_good),
		cmocka_unit_test(test_load_batch_head_makes_a_request),
		cmocka_unit_test(test_load_batch_head_refuses_a_long_name),
		cmocka_unit_test(test_load_batch_answer_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

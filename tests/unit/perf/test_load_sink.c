/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: the sink's answers are what a client's own codec reads, with as many partitions as asked for and an
   offset of its own for each batch; of a request it needs no more than the first bytes; what it does not
   know, and what is cut off before them, is refused. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#include "dataplane/wire/frame.h"

#include "cm.h"
#include "perf/load/load_batch.h"
#include "perf/load/load_sink.h"

static const struct load_sink_options options = { .address = 0x7f000001,
						  .port = 9092,
						  .partitions = 16 };
static int64_t next_offset;
static uint8_t answer[32768];

static int ask(const uint8_t *bytes, size_t kept)
{
	return load_sink_answer(&options, bytes, kept, &next_offset, answer, sizeof(answer));
}

static size_t request(uint8_t *bytes, size_t size, int16_t api, int16_t version)
{
	struct wire_request_header header = { .api_key = api,
					      .api_version = version,
					      .correlation_id = 9,
					      .client_id = WIRE_STRING("c") };
	struct wire_metadata_request_topics topic;
	struct wire_metadata_request metadata;
	struct writer writer;

	writer_init(&writer, bytes, size);
	wire_encode_request_header(&writer, &header);
	if (api == WIRE_API_METADATA) {
		wire_default_metadata_request_topics(&topic);
		wire_default_metadata_request(&metadata);
		topic.name = WIRE_STRING("topic");
		metadata.topics = &topic;
		metadata.topics_count = 1;
		wire_encode_metadata_request(&writer, version, &metadata);
	}
	assert_int_equal(writer.error, 0);
	return writer_size(&writer);
}

static void test_load_sink_tells_partitions(void **state)
{
	_Alignas(16) static uint8_t memory[65536];
	struct wire_metadata_response response;
	struct wire_scratch scratch;
	struct reader reader;
	uint8_t bytes[200];
	int32_t id;

	(void)state;
	for (int16_t version = 1; version <= 8; version++) {
		size_t size = request(bytes, sizeof(bytes), WIRE_API_METADATA, version);
		int r = ask(bytes, size);

		assert_true(r > 4);
		assert_int_equal(bytes_load_u32(answer), r - 4);
		reader_init(&reader, answer + 4, (size_t)r - 4);
		wire_scratch_init(&scratch, memory, sizeof(memory));
		assert_int_equal(
			wire_decode_response_header(&reader, WIRE_API_METADATA, version, &id), 0);
		assert_int_equal(id, 9);
		assert_int_equal(
			wire_decode_metadata_response(&reader, version, &scratch, &response), 0);
		assert_int_equal(response.brokers[0].port, 9092);
		assert_true(wire_string_equal(response.brokers[0].host, WIRE_STRING("127.0.0.1")));
		assert_int_equal(response.topics[0].partitions_count, 16);
		assert_int_equal(response.topics[0].partitions[15].partition_index, 15);
	}
}

static void test_load_sink_acknowledges_by_the_first_bytes(void **state)
{
	uint8_t head[LOAD_BATCH_HEAD_MAX];
	struct load_batch_ack ack;
	struct load_batch batch;
	int size, r;

	(void)state;
	next_offset = 5;
	assert_int_equal(load_batch_new(&batch, 65536, 100, 1), 0);
	size = load_batch_head(&batch, "topic", 11, -1, head);
	load_batch_number(head, 123);
	/* The records never come to be seen. */
	r = ask(head + 4, (size_t)size - 4);
	assert_true(r > 4);
	assert_int_equal(load_batch_answer(answer + 4, (size_t)r - 4, &ack), 0);
	assert_int_equal(ack.correlation_id, 123);
	assert_int_equal(ack.partition, 11);
	assert_int_equal(ack.error, 0);
	assert_int_equal(ack.base_offset, 5);
	assert_int_equal(next_offset, 6);
	for (int i = 0; i < size - 8; i++) /* the size of the records may miss */
		assert_int_equal(ask(head + 4, (size_t)i), -EPROTO);
	assert_true(load_batch_head(&batch, "topic", 0, 0, head) > 0);
	assert_int_equal(ask(head + 4, (size_t)size - 4), 0); /* acks=0 */
	load_batch_free(&batch);
}

static void test_load_sink_versions_and_what_it_does_not_know(void **state)
{
	uint8_t bytes[200];

	(void)state;
	assert_true(ask(bytes, request(bytes, sizeof(bytes), WIRE_API_API_VERSIONS, 0)) > 4);
	assert_true(ask(bytes, request(bytes, sizeof(bytes), WIRE_API_API_VERSIONS, 3)) > 4);
	assert_true(ask(bytes, request(bytes, sizeof(bytes), WIRE_API_API_VERSIONS, 4)) > 4);
	assert_int_equal(ask(bytes, request(bytes, sizeof(bytes), WIRE_API_FETCH, 11)), -EPROTO);
	assert_int_equal(ask(bytes, request(bytes, sizeof(bytes), WIRE_API_METADATA, 9)), -EPROTO);
}

/* librdkafka counts every record with the old, dear checksum for a server whose Fetch it does not find: the
   sink was slower than the box it is the limit of. */
static void test_load_sink_looks_as_if_it_knew_batches_of_version_2(void **state)
{
	_Alignas(16) static uint8_t memory[4096];
	struct wire_api_versions_response response;
	struct wire_scratch scratch;
	struct reader reader;
	uint8_t bytes[200];
	bool has_fetch = false;
	int32_t id;
	int r;

	(void)state;
	r = ask(bytes, request(bytes, sizeof(bytes), WIRE_API_API_VERSIONS, 0));
	assert_true(r > 4);
	reader_init(&reader, answer + 4, (size_t)r - 4);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_response_header(&reader, WIRE_API_API_VERSIONS, 0, &id), 0);
	assert_int_equal(wire_decode_api_versions_response(&reader, 0, &scratch, &response), 0);
	for (int32_t i = 0; i < response.api_keys_count; i++)
		has_fetch |= response.api_keys[i].api_key == WIRE_API_FETCH &&
			     response.api_keys[i].min_version <= 4 &&
			     response.api_keys[i].max_version >= 4;
	assert_true(has_fetch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_sink_tells_partitions),
		cmocka_unit_test(test_load_sink_acknowledges_by_the_first_bytes),
		cmocka_unit_test(test_load_sink_versions_and_what_it_does_not_know),
		cmocka_unit_test(test_load_sink_looks_as_if_it_knew_batches_of_version_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

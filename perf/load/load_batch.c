/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "storage/batch.h"

#include "dataplane/wire/frame.h"

#define RECORD_OVERHEAD_MAX 24 /* lengths, deltas, no key, no headers */
#define CORRELATION_AT      8  /* frame size, api, version */

static void fill(uint8_t *value, uint32_t size)
{
	struct prng prng = { 0x6c6f6164 };

	for (uint32_t i = 0; i < size; i += 8) {
		uint64_t word = prng_next(&prng);

		memcpy(value + i, &word, MIN(8U, size - i));
	}
}

int load_batch_new(struct load_batch *batch, uint32_t batch_size, uint32_t record_size,
		   int64_t timestamp_ms)
{
	uint32_t room = MAX(batch_size, BATCH_HEADER_SIZE + record_size + RECORD_OVERHEAD_MAX);
	struct batch_builder builder;
	uint8_t *value = malloc(MAX(record_size, 1U));
	int64_t size;

	*batch = (struct load_batch){ .bytes = malloc(room) };
	if (value == NULL || batch->bytes == NULL) {
		free(value);
		load_batch_free(batch);
		return -ENOMEM;
	}
	fill(value, record_size);
	batch_builder_init(&builder, batch->bytes, room, timestamp_ms, 0);
	do {
		batch_builder_add(&builder, NULL, 0, value, record_size);
		batch->records++;
	} while (writer_size(&builder.writer) + record_size + RECORD_OVERHEAD_MAX <= batch_size);
	size = batch_builder_end(&builder, 0, -1);
	CHECK(size > 0);
	batch->size = (uint32_t)size;
	free(value);
	if (load_sums_new(&batch->sums, batch->bytes, batch->size) != 0) {
		load_batch_free(batch);
		return -ENOMEM;
	}
	return 0;
}

void load_batch_free(struct load_batch *batch)
{
	load_sums_free(&batch->sums);
	free(batch->bytes);
	batch->bytes = NULL;
}

int load_batch_head(const struct load_batch *batch, const char *topic, int32_t partition,
		    int16_t acks, uint8_t *head)
{
	struct wire_request_header header = { .api_key = WIRE_API_PRODUCE,
					      .api_version = LOAD_BATCH_PRODUCE_VERSION,
					      .client_id = WIRE_STRING("millrace-load") };
	struct wire_produce_request_topic_data_partition_data data;
	struct wire_produce_request_topic_data topic_data;
	struct wire_produce_request request;
	struct writer writer;
	size_t mark;

	if (strlen(topic) > LOAD_BATCH_TOPIC_MAX)
		return -EINVAL;
	wire_default_produce_request_topic_data_partition_data(&data);
	wire_default_produce_request_topic_data(&topic_data);
	wire_default_produce_request(&request);
	/* Empty records first: their size, and the frame's, are put right below. */
	data.index = partition;
	data.records = (struct wire_bytes){ .bytes = head, .size = 0 };
	topic_data.name = wire_string_from(topic);
	topic_data.partition_data = &data;
	topic_data.partition_data_count = 1;
	request.acks = acks;
	request.timeout_ms = 30000;
	request.topic_data = &topic_data;
	request.topic_data_count = 1;
	writer_init(&writer, head, LOAD_BATCH_HEAD_MAX);
	mark = wire_frame_open(&writer);
	wire_encode_request_header(&writer, &header);
	wire_encode_produce_request(&writer, LOAD_BATCH_PRODUCE_VERSION, &request);
	wire_frame_close(&writer, mark);
	CHECK(writer.error == 0);
	bytes_store_u32(writer.at - 4, batch->size);
	bytes_store_u32(head, bytes_load_u32(head) + batch->size);
	return (int)writer_size(&writer);
}

void load_batch_number(uint8_t *head, int32_t correlation_id)
{
	bytes_store_u32(head + CORRELATION_AT, (uint32_t)correlation_id);
}

int load_batch_answer(const uint8_t *bytes, size_t size, struct load_batch_ack *ret_ack)
{
	struct wire_produce_response response;
	struct wire_scratch scratch;
	struct reader reader;
	_Alignas(16) uint8_t memory[1024];
	int32_t correlation_id;

	reader_init(&reader, bytes, size);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	if (wire_decode_response_header(&reader, WIRE_API_PRODUCE, LOAD_BATCH_PRODUCE_VERSION,
					&correlation_id) != 0 ||
	    wire_decode_produce_response(&reader, LOAD_BATCH_PRODUCE_VERSION, &scratch,
					 &response) != 0 ||
	    response.responses_count != 1 || response.responses[0].partition_responses_count != 1)
		return -EPROTO;
	ret_ack->correlation_id = correlation_id;
	ret_ack->partition = response.responses[0].partition_responses[0].index;
	ret_ack->error = response.responses[0].partition_responses[0].error_code;
	ret_ack->base_offset = response.responses[0].partition_responses[0].base_offset;
	return 0;
}

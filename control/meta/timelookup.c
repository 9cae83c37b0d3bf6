/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/timelookup.h"

#include "base/err.h"
#include "storage/segreader.h"

/** The first record of an uncompressed batch at or after the time. */
static bool find_record(const struct batch *batch, const uint8_t *bytes, int64_t timestamp,
			struct timelookup_result *result)
{
	struct reader reader;

	reader_init(&reader, bytes + BATCH_HEADER_SIZE, batch->size - BATCH_HEADER_SIZE);
	for (int32_t i = 0; i < batch->record_count; i++) {
		struct batch_record record;
		int64_t at;

		if (batch_record_next(&reader, &record) != 0)
			return false;
		at = (batch->attributes & BATCH_ATTRIBUTE_APPEND_TIME) != 0
			     ? batch->max_timestamp
			     : batch->base_timestamp + record.timestamp_delta;
		if (at >= timestamp) {
			result->offset = batch->base_offset + record.offset_delta;
			result->timestamp = at;
			return true;
		}
	}
	return false;
}

/** @return true when the batch holds the answer */
static bool look_at(const struct batch *batch, const uint8_t *bytes, int64_t timestamp,
		    struct timelookup_result *result)
{
	if (batch->max_timestamp < timestamp || (batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0)
		return false;
	result->leader_epoch = batch->leader_epoch;
	if ((batch->attributes & BATCH_ATTRIBUTE_CODEC) == 0)
		return find_record(batch, bytes, timestamp, result);
	result->offset = batch->base_offset;
	result->timestamp = batch->max_timestamp;
	return true;
}

static enum kafka_err kafka_error(int error)
{
	if (error == ERR_UNKNOWN)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	return error == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR;
}

enum kafka_err timelookup_find(const char *log_dir, const struct partitions *table,
			       const struct uuid *topic_id, uint32_t partition, int64_t timestamp,
			       struct timelookup_result *ret_result)
{
	CLEANUP(segreader_closep) struct segreader *reader = NULL;
	struct timelookup_result result = { -1, -1, -1 };
	struct timelookup_result none = result;
	int64_t newest = -1;
	int64_t read = 0, next = -1;
	const uint8_t *bytes;
	struct batch batch;
	int got = segreader_open(log_dir, table, topic_id, partition, -2, &reader);

	if (got != 0)
		return kafka_error(got);
	while (read < TIMELOOKUP_READ_MAX) {
		got = segreader_next(reader, &batch, &bytes);
		if (got <= 0)
			break;
		read += batch.size;
		next = batch_last_offset(&batch) + 1;
		if (timestamp != TIMELOOKUP_MAX_TIMESTAMP) {
			if (look_at(&batch, bytes, timestamp, &result))
				break;
			result = none;
		} else if (batch.max_timestamp > newest &&
			   look_at(&batch, bytes, batch.max_timestamp, &result)) {
			newest = batch.max_timestamp;
		}
	}
	if (got < 0)
		return kafka_error(got);
	/* Not all was looked at: what was not may hold the record, so reading begins there. */
	if (got > 0 && result.offset < 0)
		result.offset = next;
	*ret_result = result;
	return KAFKA_NONE;
}

static enum kafka_err look_up(const char *log_dir, const struct partitions *table,
			      const struct uuid *topic_id,
			      const struct wire_list_offsets_request_topics_partitions *wanted,
			      struct timelookup_result *ret_result)
{
	struct partition_view view;

	if (table == NULL)
		return KAFKA_LEADER_NOT_AVAILABLE;
	if (partitions_find(table, topic_id, (uint32_t)wanted->partition_index, &view) != 0)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (view.error != 0)
		return KAFKA_KAFKA_STORAGE_ERROR;
	if (wanted->timestamp == TIMELOOKUP_LATEST || wanted->timestamp == TIMELOOKUP_EARLIEST) {
		ret_result->offset = wanted->timestamp == TIMELOOKUP_LATEST ? view.high_watermark
									    : view.start_offset;
		ret_result->leader_epoch = view.leader_epoch;
		return KAFKA_NONE;
	}
	/* Negative times name tiers of remote storage, which this box has not. */
	if (wanted->timestamp < TIMELOOKUP_MAX_TIMESTAMP)
		return KAFKA_NONE;
	return timelookup_find(log_dir, table, topic_id, (uint32_t)wanted->partition_index,
			       wanted->timestamp, ret_result);
}

enum call_result timelookup_list_offsets(const struct meta *meta, const char *log_dir,
					 const struct partitions *table, struct call *call)
{
	struct wire_list_offsets_request request;
	struct wire_list_offsets_response response;

	if (wire_decode_list_offsets_request(&call->body, call->version, &call->scratch,
					     &request) != 0)
		return CALL_BAD;
	wire_default_list_offsets_response(&response);
	response.topics = call_array(call, request.topics_count, sizeof(*response.topics));
	response.topics_count = response.topics != NULL ? request.topics_count : 0;
	for (int32_t i = 0; i < response.topics_count; i++) {
		const struct metaimage_topic *topic =
			metaimage_topic(meta_image(meta), request.topics[i].name);
		int32_t count = request.topics[i].partitions_count;
		struct wire_list_offsets_response_topics_partitions *answers =
			call_array(call, count, sizeof(*answers));

		response.topics[i].name = request.topics[i].name;
		response.topics[i].partitions = answers;
		response.topics[i].partitions_count = answers != NULL ? count : 0;
		for (int32_t k = 0; k < response.topics[i].partitions_count; k++) {
			struct timelookup_result result = { -1, -1, -1 };
			enum kafka_err error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;

			if (topic != NULL)
				error = look_up(log_dir, table, &topic->id,
						&request.topics[i].partitions[k], &result);
			answers[k].partition_index =
				request.topics[i].partitions[k].partition_index;
			answers[k].error_code = (int16_t)error;
			answers[k].offset = result.offset;
			answers[k].timestamp = result.timestamp;
			answers[k].leader_epoch = result.leader_epoch;
		}
	}
	wire_encode_list_offsets_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

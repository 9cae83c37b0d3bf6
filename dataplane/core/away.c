/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/away.h"

#include "base/check.h"

#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

/* What one answer is made with. */
struct away {
	struct request *request;
	struct reader reader;
	struct wire_scratch scratch;
	int16_t version;
	struct writer *writer;
};

/* Zeroed memory for `count` elements. @return NULL none, or the scratch is used up */
static void *list_of(struct away *away, int32_t count, size_t size)
{
	if (count <= 0)
		return NULL;
	return request_alloc(&away->scratch, (size_t)count * size);
}

/*
 * The coordinator is where it was and comes back there, so group requests hear what Kafka says while
 * a coordinator loads: a heartbeat is believed, an assignment is to be asked for again, the rest may
 * be tried again in a moment. COORDINATOR_NOT_AVAILABLE would make clients drop their connection to
 * look for another coordinator, and some lose their session over it.
 *
 * Each function writes one api's response and returns 0, or the error of the request's decoder. A
 * list that found no room is left empty: the client misses its entries and asks again.
 */

static int join_group(struct away *away)
{
	struct wire_join_group_response response;

	wire_default_join_group_response(&response);
	response.error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	wire_encode_join_group_response(away->writer, away->version, &response);
	return 0;
}

static int sync_group(struct away *away)
{
	struct wire_sync_group_response response;

	wire_default_sync_group_response(&response);
	response.error_code = KAFKA_REBALANCE_IN_PROGRESS;
	wire_encode_sync_group_response(away->writer, away->version, &response);
	return 0;
}

static int heartbeat(struct away *away)
{
	struct wire_heartbeat_response response;

	wire_default_heartbeat_response(&response);
	response.error_code = KAFKA_NONE;
	wire_encode_heartbeat_response(away->writer, away->version, &response);
	return 0;
}

static int leave_group(struct away *away)
{
	struct wire_leave_group_response response;

	wire_default_leave_group_response(&response);
	response.error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	wire_encode_leave_group_response(away->writer, away->version, &response);
	return 0;
}

static int list_groups(struct away *away)
{
	struct wire_list_groups_response response;

	wire_default_list_groups_response(&response);
	response.error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	wire_encode_list_groups_response(away->writer, away->version, &response);
	return 0;
}

static int describe_groups(struct away *away)
{
	struct wire_describe_groups_request asked;
	struct wire_describe_groups_response response;
	int error = wire_decode_describe_groups_request(&away->reader, away->version,
							&away->scratch, &asked);

	if (error != 0)
		return error;
	wire_default_describe_groups_response(&response);
	response.groups = list_of(away, asked.groups_count, sizeof(*response.groups));
	for (int32_t i = 0; response.groups != NULL && i < asked.groups_count; i++) {
		wire_default_describe_groups_response_groups(&response.groups[i]);
		response.groups[i].group_id = asked.groups[i];
		response.groups[i].error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
		response.groups_count++;
	}
	wire_encode_describe_groups_response(away->writer, away->version, &response);
	return 0;
}

static int delete_groups(struct away *away)
{
	struct wire_delete_groups_request asked;
	struct wire_delete_groups_response response;
	int error = wire_decode_delete_groups_request(&away->reader, away->version, &away->scratch,
						      &asked);

	if (error != 0)
		return error;
	wire_default_delete_groups_response(&response);
	response.results = list_of(away, asked.groups_names_count, sizeof(*response.results));
	for (int32_t i = 0; response.results != NULL && i < asked.groups_names_count; i++) {
		wire_default_delete_groups_response_results(&response.results[i]);
		response.results[i].group_id = asked.groups_names[i];
		response.results[i].error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
		response.results_count++;
	}
	wire_encode_delete_groups_response(away->writer, away->version, &response);
	return 0;
}

static int create_topics(struct away *away)
{
	struct wire_create_topics_request asked;
	struct wire_create_topics_response response;
	int error = wire_decode_create_topics_request(&away->reader, away->version, &away->scratch,
						      &asked);

	if (error != 0)
		return error;
	wire_default_create_topics_response(&response);
	response.topics = list_of(away, asked.topics_count, sizeof(*response.topics));
	for (int32_t i = 0; response.topics != NULL && i < asked.topics_count; i++) {
		wire_default_create_topics_response_topics(&response.topics[i]);
		response.topics[i].name = asked.topics[i].name;
		response.topics[i].error_code = KAFKA_NOT_CONTROLLER;
		response.topics[i].error_message = WIRE_STRING_NULL;
		response.topics[i].configs_count = -1;
		response.topics_count++;
	}
	wire_encode_create_topics_response(away->writer, away->version, &response);
	return 0;
}

static int create_partitions(struct away *away)
{
	struct wire_create_partitions_request asked;
	struct wire_create_partitions_response response;
	int error = wire_decode_create_partitions_request(&away->reader, away->version,
							  &away->scratch, &asked);

	if (error != 0)
		return error;
	wire_default_create_partitions_response(&response);
	response.results = list_of(away, asked.topics_count, sizeof(*response.results));
	for (int32_t i = 0; response.results != NULL && i < asked.topics_count; i++) {
		wire_default_create_partitions_response_results(&response.results[i]);
		response.results[i].name = asked.topics[i].name;
		response.results[i].error_code = KAFKA_NOT_CONTROLLER;
		response.results_count++;
	}
	wire_encode_create_partitions_response(away->writer, away->version, &response);
	return 0;
}

static int describe_configs(struct away *away)
{
	struct wire_describe_configs_request asked;
	struct wire_describe_configs_response response;
	int error = wire_decode_describe_configs_request(&away->reader, away->version,
							 &away->scratch, &asked);

	if (error != 0)
		return error;
	wire_default_describe_configs_response(&response);
	response.results = list_of(away, asked.resources_count, sizeof(*response.results));
	for (int32_t i = 0; response.results != NULL && i < asked.resources_count; i++) {
		wire_default_describe_configs_response_results(&response.results[i]);
		response.results[i].resource_type = asked.resources[i].resource_type;
		response.results[i].resource_name = asked.resources[i].resource_name;
		response.results[i].error_message = WIRE_STRING_NULL;
		response.results[i].error_code = KAFKA_REQUEST_TIMED_OUT;
		response.results_count++;
	}
	wire_encode_describe_configs_response(away->writer, away->version, &response);
	return 0;
}

static int delete_topics(struct away *away)
{
	struct wire_delete_topics_request asked;
	struct wire_delete_topics_response response;
	int error = wire_decode_delete_topics_request(&away->reader, away->version, &away->scratch,
						      &asked);
	bool has_ids = away->version >= 6;
	int32_t count;

	if (error != 0)
		return error;
	count = has_ids ? asked.topics_count : asked.topic_names_count;
	wire_default_delete_topics_response(&response);
	response.responses = list_of(away, count, sizeof(*response.responses));
	for (int32_t i = 0; response.responses != NULL && i < count; i++) {
		wire_default_delete_topics_response_responses(&response.responses[i]);
		response.responses[i].name = has_ids ? asked.topics[i].name : asked.topic_names[i];
		if (has_ids)
			response.responses[i].topic_id = asked.topics[i].topic_id;
		response.responses[i].error_code = KAFKA_NOT_CONTROLLER;
		response.responses_count++;
	}
	wire_encode_delete_topics_response(away->writer, away->version, &response);
	return 0;
}

static int offset_commit(struct away *away)
{
	struct wire_offset_commit_request asked;
	struct wire_offset_commit_response response;
	int error = wire_decode_offset_commit_request(&away->reader, away->version, &away->scratch,
						      &asked);

	if (error != 0)
		return error;
	wire_default_offset_commit_response(&response);
	response.topics = list_of(away, asked.topics_count, sizeof(*response.topics));
	for (int32_t t = 0; response.topics != NULL && t < asked.topics_count; t++) {
		const struct wire_offset_commit_request_topics *from = &asked.topics[t];
		struct wire_offset_commit_response_topics *to = &response.topics[t];

		to->name = from->name;
		to->topic_id = from->topic_id;
		to->partitions = list_of(away, from->partitions_count, sizeof(*to->partitions));
		response.topics_count++;
		for (int32_t p = 0; to->partitions != NULL && p < from->partitions_count; p++) {
			to->partitions[p].partition_index = from->partitions[p].partition_index;
			to->partitions[p].error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
			to->partitions_count++;
		}
	}
	wire_encode_offset_commit_response(away->writer, away->version, &response);
	return 0;
}

static int offset_fetch(struct away *away)
{
	struct wire_offset_fetch_request asked;
	struct wire_offset_fetch_response response;
	int error = wire_decode_offset_fetch_request(&away->reader, away->version, &away->scratch,
						     &asked);

	if (error != 0)
		return error;
	wire_default_offset_fetch_response(&response);
	response.error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	response.groups = list_of(away, asked.groups_count, sizeof(*response.groups));
	for (int32_t i = 0; response.groups != NULL && i < asked.groups_count; i++) {
		response.groups[i].group_id = asked.groups[i].group_id;
		response.groups[i].error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
		response.groups_count++;
	}
	wire_encode_offset_fetch_response(away->writer, away->version, &response);
	return 0;
}

static int list_offsets(struct away *away)
{
	struct wire_list_offsets_request asked;
	struct wire_list_offsets_response response;
	int error = wire_decode_list_offsets_request(&away->reader, away->version, &away->scratch,
						     &asked);

	if (error != 0)
		return error;
	wire_default_list_offsets_response(&response);
	response.topics = list_of(away, asked.topics_count, sizeof(*response.topics));
	for (int32_t t = 0; response.topics != NULL && t < asked.topics_count; t++) {
		const struct wire_list_offsets_request_topics *from = &asked.topics[t];
		struct wire_list_offsets_response_topics *to = &response.topics[t];

		to->name = from->name;
		to->partitions = list_of(away, from->partitions_count, sizeof(*to->partitions));
		response.topics_count++;
		for (int32_t p = 0; to->partitions != NULL && p < from->partitions_count; p++) {
			wire_default_list_offsets_response_topics_partitions(&to->partitions[p]);
			to->partitions[p].partition_index = from->partitions[p].partition_index;
			to->partitions[p].error_code = away->version >= 5
							       ? KAFKA_OFFSET_NOT_AVAILABLE
							       : KAFKA_LEADER_NOT_AVAILABLE;
			to->partitions_count++;
		}
	}
	wire_encode_list_offsets_response(away->writer, away->version, &response);
	return 0;
}

static const struct {
	int16_t key;
	int (*write)(struct away *away);
} answers[] = {
	{ WIRE_API_LIST_OFFSETS, list_offsets },
	{ WIRE_API_OFFSET_COMMIT, offset_commit },
	{ WIRE_API_OFFSET_FETCH, offset_fetch },
	{ WIRE_API_JOIN_GROUP, join_group },
	{ WIRE_API_HEARTBEAT, heartbeat },
	{ WIRE_API_LEAVE_GROUP, leave_group },
	{ WIRE_API_SYNC_GROUP, sync_group },
	{ WIRE_API_DESCRIBE_GROUPS, describe_groups },
	{ WIRE_API_LIST_GROUPS, list_groups },
	{ WIRE_API_CREATE_TOPICS, create_topics },
	{ WIRE_API_DELETE_TOPICS, delete_topics },
	{ WIRE_API_DESCRIBE_CONFIGS, describe_configs },
	{ WIRE_API_CREATE_PARTITIONS, create_partitions },
	{ WIRE_API_DELETE_GROUPS, delete_groups },
};

void away_answer(struct request *request)
{
	struct writer writer = request_begin(request);
	struct away away = { .request = request,
			     .reader = request_body(request),
			     .scratch = request_scratch(request),
			     .version = request->api_version,
			     .writer = &writer };

	for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
		if (answers[i].key != request->api_key)
			continue;
		if (answers[i].write(&away) != 0)
			session_fail(request->session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		else
			request_end(request, &writer);
		return;
	}
	session_fail(request->session, COUNTER_SESSION_CLOSE_CONTROL, false);
}

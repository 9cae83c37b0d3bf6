/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetCommit and OffsetFetch. */
#include "control/group/coordinator_impl.h"
#include "control/meta/metaimage.h"
#include "dataplane/wire/wire_gen.h"

/* ---- commit ---- */

typedef struct wire_offset_commit_request commit_request;
typedef struct wire_offset_commit_request_topics commit_topic;
typedef struct wire_offset_commit_response commit_response;

/** The topic a request means, by id from version 10 on. */
static const struct metaimage_topic *find_topic(const struct coordinator *coordinator,
						int16_t version, struct wire_string name,
						const struct uuid *id)
{
	const struct metaimage *image = meta_image(coordinator->meta);

	return version >= 10 ? metaimage_topic_by_id(image, id) : metaimage_topic(image, name);
}

/** Make the answer's arrays, every partition with `error`. @return partitions in all */
static int32_t commit_skeleton(struct call *call, const commit_request *request,
			       enum kafka_err error, commit_response *response)
{
	int32_t all = 0;

	wire_default_offset_commit_response(response);
	response->topics = call_array(call, request->topics_count, sizeof(*response->topics));
	response->topics_count = response->topics != NULL ? request->topics_count : 0;
	for (int32_t i = 0; i < response->topics_count; i++) {
		const commit_topic *topic = &request->topics[i];
		struct wire_offset_commit_response_topics *answer = &response->topics[i];

		answer->name = topic->name;
		answer->topic_id = topic->topic_id;
		answer->partitions =
			call_array(call, topic->partitions_count, sizeof(*answer->partitions));
		answer->partitions_count = answer->partitions != NULL ? topic->partitions_count : 0;
		for (int32_t k = 0; k < answer->partitions_count; k++) {
			answer->partitions[k].partition_index =
				topic->partitions[k].partition_index;
			answer->partitions[k].error_code = (int16_t)error;
		}
		all += answer->partitions_count;
	}
	return all;
}

/** Judge each partition; the good ones go to `offsets`. @return how many */
static int32_t judge(const struct coordinator *coordinator, const struct call *call,
		     const commit_request *request, commit_response *response,
		     struct grouplog_offset *offsets)
{
	int32_t count = 0;

	for (int32_t i = 0; i < response->topics_count; i++) {
		const commit_topic *topic = &request->topics[i];
		const struct metaimage_topic *known =
			find_topic(coordinator, call->version, topic->name, &topic->topic_id);

		for (int32_t k = 0; k < response->topics[i].partitions_count; k++) {
			int16_t *error = &response->topics[i].partitions[k].error_code;
			const struct wire_offset_commit_request_topics_partitions *one =
				&topic->partitions[k];

			if (known == NULL && call->version >= 10) {
				*error = KAFKA_UNKNOWN_TOPIC_ID;
			} else if (known == NULL || one->partition_index < 0 ||
				   one->partition_index >= known->partition_count) {
				*error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
			} else if (one->committed_metadata.size > OFFSETS_METADATA_MAX) {
				*error = KAFKA_OFFSET_METADATA_TOO_LARGE;
			} else {
				offsets[count++] = (struct grouplog_offset){
					.topic = wire_string_from(known->name),
					.partition = one->partition_index,
					.leader_epoch = one->committed_leader_epoch,
					.offset = one->committed_offset,
					.metadata = one->committed_metadata,
				};
			}
		}
	}
	return count;
}

/** What the client is told when the good partitions could not be written. */
static void fail_good(commit_response *response, enum kafka_err error)
{
	for (int32_t i = 0; i < response->topics_count; i++)
		for (int32_t k = 0; k < response->topics[i].partitions_count; k++)
			if (response->topics[i].partitions[k].error_code == KAFKA_NONE)
				response->topics[i].partitions[k].error_code = (int16_t)error;
}

static enum call_result commit_now(struct coordinator *coordinator, struct call *call,
				   const char *group_id, const struct grouplog_offset *offsets,
				   int32_t count, commit_response *response)
{
	struct coordinator_answer *answer;
	struct writer fail;
	enum kafka_err error;
	int64_t size = grouplog_offsets_batch(group_id, offsets, count, false, call->wall_ms,
					      coordinator->buffer, COORDINATOR_BATCH_MAX);

	wire_encode_offset_commit_response(&call->reply, call->version, response);
	fail_good(response, KAFKA_COORDINATOR_NOT_AVAILABLE);
	writer_init(&fail, coordinator->reply, COORDINATOR_BATCH_MAX);
	wire_encode_offset_commit_response(&fail, call->version, response);
	if (call->reply.error != 0 || fail.error != 0)
		return CALL_BAD;
	answer = coordinator_answer_new(call->token, &call->reply, &fail);
	if (answer == NULL)
		return CALL_BAD;
	error = coordinator_append(coordinator, group_id, 0, answer, size);
	if (error == KAFKA_NONE)
		return CALL_LATER;
	coordinator_answer_free(answer);
	/* The good ones carry the failure now: say it with the reason. */
	for (int32_t i = 0; i < response->topics_count; i++)
		for (int32_t k = 0; k < response->topics[i].partitions_count; k++)
			if (response->topics[i].partitions[k].error_code ==
			    KAFKA_COORDINATOR_NOT_AVAILABLE)
				response->topics[i].partitions[k].error_code = (int16_t)error;
	call->reply.at = call->reply.begin;
	wire_encode_offset_commit_response(&call->reply, call->version, response);
	return call_end(call, CALL_DONE);
}

enum call_result offsetcalls_commit(struct coordinator *coordinator, struct call *call)
{
	struct group *group = NULL;
	struct grouplog_offset *offsets;
	commit_request request;
	commit_response response;
	enum kafka_err error;
	int32_t all;
	int32_t count;

	if (wire_decode_offset_commit_request(&call->body, call->version, &call->scratch,
					      &request) != 0)
		return CALL_BAD;
	error = coordinator_ready(coordinator, request.group_id);
	if (error == KAFKA_NONE)
		error = rebalance_commit(&coordinator->groups, request.group_id, request.member_id,
					 request.group_instance_id,
					 request.generation_id_or_member_epoch, call->now_ns,
					 &group);
	all = commit_skeleton(call, &request, error, &response);
	offsets = call_array(call, all, sizeof(*offsets));
	if (error != KAFKA_NONE || offsets == NULL) {
		wire_encode_offset_commit_response(&call->reply, call->version, &response);
		return call_end(call, CALL_DONE);
	}
	count = judge(coordinator, call, &request, &response, offsets);
	if (count == 0) {
		wire_encode_offset_commit_response(&call->reply, call->version, &response);
		return call_end(call, CALL_DONE);
	}
	return commit_now(coordinator, call, group->id, offsets, count, &response);
}

/* ---- fetch ---- */

typedef struct wire_offset_fetch_request_groups fetch_group;
typedef struct wire_offset_fetch_response_groups group_answer;
typedef struct wire_offset_fetch_response_groups_topics topic_answer;
typedef struct wire_offset_fetch_response_groups_topics_partitions partition_answer;

static void fill_partition(partition_answer *answer, int32_t index, const struct offset *offset)
{
	wire_default_offset_fetch_response_groups_topics_partitions(answer);
	answer->partition_index = index;
	answer->committed_offset = offset != NULL ? offset->offset : -1;
	answer->committed_leader_epoch = offset != NULL ? offset->leader_epoch : -1;
	answer->metadata = wire_string_from(offset != NULL ? offset->metadata : "");
}

/** Every committed offset of the group: the request's topics are null. */
static void fetch_all(const struct coordinator *coordinator, struct call *call,
		      const struct group *group, group_answer *answer)
{
	const struct offsets *offsets = &group->offsets;
	partition_answer *partitions =
		call_array(call, (int32_t)offsets->count, sizeof(*partitions));
	topic_answer *topic = NULL;

	answer->topics = call_array(call, (int32_t)offsets->count, sizeof(*answer->topics));
	if (partitions == NULL || answer->topics == NULL)
		return;
	for (size_t i = 0; i < offsets->count; i++) {
		const struct offset *offset = &offsets->all[i];
		struct wire_string name = wire_string_from(offset->topic);

		if (topic == NULL || !wire_string_equal(topic->name, name)) {
			const struct metaimage_topic *known =
				metaimage_topic(meta_image(coordinator->meta), name);

			/* A deleted topic has no id to be told by. */
			if (known == NULL && call->version >= 10)
				continue;
			topic = &answer->topics[answer->topics_count++];
			topic->name = name;
			if (known != NULL)
				topic->topic_id = known->id;
			topic->partitions = &partitions[i];
		}
		fill_partition(&topic->partitions[topic->partitions_count++], offset->partition,
			       offset);
	}
}

static void fetch_asked(const struct coordinator *coordinator, struct call *call,
			const struct group *group, const fetch_group *asked, group_answer *answer)
{
	answer->topics = call_array(call, asked->topics_count, sizeof(*answer->topics));
	answer->topics_count = answer->topics != NULL ? asked->topics_count : 0;
	for (int32_t i = 0; i < answer->topics_count; i++) {
		const struct wire_offset_fetch_request_groups_topics *from = &asked->topics[i];
		topic_answer *to = &answer->topics[i];
		const struct metaimage_topic *known =
			find_topic(coordinator, call->version, from->name, &from->topic_id);
		struct wire_string name =
			call->version >= 10 ? wire_string_from(known != NULL ? known->name : "")
					    : from->name;

		to->name = from->name;
		to->topic_id = from->topic_id;
		to->partitions =
			call_array(call, from->partition_indexes_count, sizeof(*to->partitions));
		to->partitions_count = to->partitions != NULL ? from->partition_indexes_count : 0;
		for (int32_t k = 0; k < to->partitions_count; k++) {
			int32_t index = from->partition_indexes[k];

			fill_partition(&to->partitions[k], index,
				       group != NULL ? offsets_find(&group->offsets, name, index)
						     : NULL);
			if (call->version >= 10 && known == NULL)
				to->partitions[k].error_code = KAFKA_UNKNOWN_TOPIC_ID;
		}
	}
}

static void fetch_one(struct coordinator *coordinator, struct call *call, const fetch_group *asked,
		      group_answer *answer)
{
	struct group *group;

	wire_default_offset_fetch_response_groups(answer);
	answer->group_id = asked->group_id;
	answer->error_code = (int16_t)coordinator_ready(coordinator, asked->group_id);
	if (answer->error_code != KAFKA_NONE)
		return;
	group = groups_find(&coordinator->groups, asked->group_id);
	if (asked->topics_count >= 0)
		fetch_asked(coordinator, call, group, asked, answer);
	else if (group != NULL)
		fetch_all(coordinator, call, group, answer);
}

/** Versions up to 7 ask for one group at the top: the same data in other structs. */
static void lift_request(struct call *call, const struct wire_offset_fetch_request *request,
			 fetch_group *ret_group)
{
	wire_default_offset_fetch_request_groups(ret_group);
	ret_group->group_id = request->group_id;
	ret_group->topics = call_array(call, request->topics_count, sizeof(*ret_group->topics));
	ret_group->topics_count = request->topics_count;
	for (int32_t i = 0; i < request->topics_count && ret_group->topics != NULL; i++) {
		ret_group->topics[i].name = request->topics[i].name;
		ret_group->topics[i].partition_indexes = request->topics[i].partition_indexes;
		ret_group->topics[i].partition_indexes_count =
			request->topics[i].partition_indexes_count;
	}
}

static void sink_answer(struct call *call, const group_answer *answer,
			struct wire_offset_fetch_response *response)
{
	response->error_code = answer->error_code;
	response->topics = call_array(call, answer->topics_count, sizeof(*response->topics));
	response->topics_count = response->topics != NULL ? answer->topics_count : 0;
	for (int32_t i = 0; i < response->topics_count; i++) {
		const topic_answer *from = &answer->topics[i];
		struct wire_offset_fetch_response_topics *to = &response->topics[i];

		to->name = from->name;
		to->partitions = call_array(call, from->partitions_count, sizeof(*to->partitions));
		to->partitions_count = to->partitions != NULL ? from->partitions_count : 0;
		for (int32_t k = 0; k < to->partitions_count; k++) {
			to->partitions[k].partition_index = from->partitions[k].partition_index;
			to->partitions[k].committed_offset = from->partitions[k].committed_offset;
			to->partitions[k].committed_leader_epoch =
				from->partitions[k].committed_leader_epoch;
			to->partitions[k].metadata = from->partitions[k].metadata;
			to->partitions[k].error_code = from->partitions[k].error_code;
		}
	}
}

enum call_result offsetcalls_fetch(struct coordinator *coordinator, struct call *call)
{
	struct wire_offset_fetch_request request;
	struct wire_offset_fetch_response response;

	if (wire_decode_offset_fetch_request(&call->body, call->version, &call->scratch,
					     &request) != 0)
		return CALL_BAD;
	wire_default_offset_fetch_response(&response);
	if (call->version >= 8) {
		response.groups = call_array(call, request.groups_count, sizeof(*response.groups));
		response.groups_count = response.groups != NULL ? request.groups_count : 0;
		for (int32_t i = 0; i < response.groups_count; i++)
			fetch_one(coordinator, call, &request.groups[i], &response.groups[i]);
	} else {
		fetch_group asked;
		group_answer answer;

		lift_request(call, &request, &asked);
		if (call->body.error == 0) {
			fetch_one(coordinator, call, &asked, &answer);
			/* Version 1 has no place for the group's error but the partitions. */
			if (call->version < 2 && answer.error_code != KAFKA_NONE)
				return CALL_BAD;
			sink_answer(call, &answer, &response);
		}
	}
	wire_encode_offset_fetch_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/metadata.h"

#include <string.h>

#include "base/check.h"
#include "storage/partitions.h"

#include "dataplane/core/forward.h"
#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

#define OFFSETS_TOPIC     "__consumer_offsets"
#define COORDINATOR_GROUP 0
#define COORDINATOR_TXN   1
#define ENDPOINT_BROKERS  1
#define UNKNOWN_NAMES_MAX 1024 /* topics that one Metadata request may create */

bool metadata_name_is_valid(const char *name, int32_t size)
{
	if (size <= 0 || size > SNAPSHOT_TOPIC_NAME_MAX)
		return false;
	if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
		return false;
	for (int32_t i = 0; i < size; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

static int32_t port_of(const struct core *core, uint32_t index)
{
	return (int32_t)(core->config->port + index);
}

/* ---- Metadata ---- */

static struct wire_metadata_response_brokers *
brokers(const struct request *request, struct wire_scratch *scratch, int32_t *ret_count)
{
	const struct core *core = request->core;
	const char *host = request->session->link->host;
	struct wire_metadata_response_brokers *list =
		request_alloc(scratch, core->count * sizeof(*list));

	if (list == NULL)
		return NULL;
	for (uint32_t i = 0; i < core->count; i++) {
		list[i].node_id = core_node_id(core, i);
		list[i].host = wire_string_from(host);
		list[i].port = port_of(core, i);
		list[i].rack = WIRE_STRING_NULL;
	}
	*ret_count = (int32_t)core->count;
	return list;
}

/* Describe a known topic. @return false: the scratch is used up */
static bool describe(const struct core *core, struct wire_scratch *scratch,
		     const struct topic *topic, struct wire_metadata_response_topics *to)
{
	int32_t count = topic->info->partition_count;
	struct wire_metadata_response_topics_partitions *list =
		request_alloc(scratch, (size_t)count * sizeof(*list));
	int32_t *leaders = request_alloc(scratch, (size_t)count * sizeof(*leaders));

	if (list == NULL || leaders == NULL)
		return false;
	to->error_code = KAFKA_NONE;
	to->name = wire_string_from(topic->info->name);
	to->topic_id = topic->info->id;
	to->is_internal = topic->info->is_internal;
	to->partitions = list;
	to->partitions_count = count;
	for (int32_t i = 0; i < count; i++) {
		const struct partition *partition = topic->partitions[i];

		leaders[i] = core_node_id(core, partition->owner);
		list[i].partition_index = i;
		list[i].leader_id = leaders[i];
		list[i].leader_epoch = topic->info->leader_epoch;
		if (partition->cell != NULL) {
			struct partition_view view;

			if (partition_cell_read(partition->cell, &view))
				list[i].leader_epoch = view.leader_epoch;
		}
		list[i].replica_nodes = list[i].isr_nodes = &leaders[i];
		list[i].replica_nodes_count = list[i].isr_nodes_count = 1;
	}
	return true;
}

static void describe_unknown(const struct wire_metadata_request_topics *asked, int16_t error,
			     struct wire_metadata_response_topics *to)
{
	to->error_code = error;
	to->name = asked->name;
	to->topic_id = asked->topic_id;
	to->topic_authorized_operations = INT32_MIN;
}

struct answer {
	struct request *request;
	const struct wire_metadata_request *asked;
	struct wire_scratch scratch;
	struct wire_metadata_response response;
	struct wire_string *create; /* unknown names that may be created */
	uint32_t create_count;
};

static bool describe_all(struct answer *answer)
{
	const struct core *core = answer->request->core;
	const struct topics *table = core->topics;
	struct wire_metadata_response_topics *list =
		request_alloc(&answer->scratch, table->topic_count * sizeof(*list));

	if (list == NULL)
		return false;
	for (uint32_t i = 0; i < table->topic_count; i++) {
		wire_default_metadata_response_topics(&list[i]);
		if (!describe(core, &answer->scratch, &table->topics[i], &list[i]))
			return false;
	}
	answer->response.topics = list;
	answer->response.topics_count = (int32_t)table->topic_count;
	return true;
}

static int16_t unknown_name_error(struct answer *answer, struct wire_string name)
{
	if (!metadata_name_is_valid(name.bytes, name.size))
		return KAFKA_INVALID_TOPIC_EXCEPTION;
	if (!answer->request->core->config->auto_create ||
	    !answer->asked->allow_auto_topic_creation)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	/* Clients ask again after either error; this one says that it may come to be. */
	if (answer->request->is_second_run)
		return KAFKA_LEADER_NOT_AVAILABLE;
	if (answer->create_count < UNKNOWN_NAMES_MAX)
		answer->create[answer->create_count++] = name;
	return KAFKA_LEADER_NOT_AVAILABLE;
}

static bool describe_asked(struct answer *answer)
{
	const struct core *core = answer->request->core;
	int32_t count = answer->asked->topics_count;
	struct wire_metadata_response_topics *list =
		request_alloc(&answer->scratch, (size_t)count * sizeof(*list));

	if (list == NULL)
		return false;
	for (int32_t i = 0; i < count; i++) {
		const struct wire_metadata_request_topics *asked = &answer->asked->topics[i];
		const struct topic *topic;

		wire_default_metadata_response_topics(&list[i]);
		if (asked->name.size >= 0)
			topic = topics_find(core->topics, asked->name.bytes,
					    (size_t)asked->name.size);
		else
			topic = topics_find_id(core->topics, &asked->topic_id);
		if (topic != NULL) {
			if (!describe(core, &answer->scratch, topic, &list[i]))
				return false;
		} else if (asked->name.size < 0) {
			describe_unknown(asked, KAFKA_UNKNOWN_TOPIC_ID, &list[i]);
		} else {
			describe_unknown(asked, unknown_name_error(answer, asked->name), &list[i]);
		}
	}
	answer->response.topics = list;
	answer->response.topics_count = count;
	return true;
}

static bool build(struct answer *answer)
{
	const struct core *core = answer->request->core;
	struct wire_metadata_response *response = &answer->response;
	/* Version 0 has no null: there an empty list asks for all. */
	bool wants_all = answer->asked->topics_count < 0 ||
			 (answer->request->api_version == 0 && answer->asked->topics_count == 0);

	wire_default_metadata_response(response);
	response->brokers = brokers(answer->request, &answer->scratch, &response->brokers_count);
	answer->create =
		request_alloc(&answer->scratch, UNKNOWN_NAMES_MAX * sizeof(*answer->create));
	if (response->brokers == NULL || answer->create == NULL)
		return false;
	response->cluster_id = wire_string_from(core->topics->snapshot->cluster_id);
	response->controller_id = core_node_id(core, 0);
	return wants_all ? describe_all(answer) : describe_asked(answer);
}

void metadata_answer(struct request *request)
{
	struct reader reader = request_body(request);
	struct answer answer = { .request = request, .scratch = request_scratch(request) };
	struct wire_metadata_request asked;
	struct writer writer;

	if (wire_decode_metadata_request(&reader, request->api_version, &answer.scratch, &asked) !=
	    0) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		return;
	}
	answer.asked = &asked;
	if (!build(&answer)) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_OUTPUT, false);
		return;
	}
	if (answer.create_count > 0) {
		const struct forward_names names = { answer.create, answer.create_count };

		if (forward_create(request->core, request, &names))
			return;
	}
	writer = request_begin(request);
	wire_encode_metadata_response(&writer, request->api_version, &answer.response);
	request_end(request, &writer);
}

/* ---- DescribeCluster ---- */

void metadata_describe_cluster(struct request *request)
{
	const struct core *core = request->core;
	struct reader reader = request_body(request);
	struct wire_scratch scratch = request_scratch(request);
	struct wire_describe_cluster_request asked;
	struct wire_describe_cluster_response response;
	struct wire_describe_cluster_response_brokers *list;
	struct writer writer;

	if (wire_decode_describe_cluster_request(&reader, request->api_version, &scratch, &asked) !=
	    0) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		return;
	}
	wire_default_describe_cluster_response(&response);
	list = request_alloc(&scratch, core->count * sizeof(*list));
	CHECK(list != NULL); /* at most 64 brokers in megabytes of scratch */
	response.endpoint_type = asked.endpoint_type;
	response.cluster_id = wire_string_from(core->topics->snapshot->cluster_id);
	response.controller_id = core_node_id(core, 0);
	if (asked.endpoint_type != ENDPOINT_BROKERS) {
		response.error_code = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
	} else {
		for (uint32_t i = 0; i < core->count; i++) {
			list[i].broker_id = core_node_id(core, i);
			list[i].host = wire_string_from(request->session->link->host);
			list[i].port = port_of(core, i);
			list[i].rack = WIRE_STRING_NULL;
		}
		response.brokers = list;
		response.brokers_count = (int32_t)core->count;
	}
	writer = request_begin(request);
	wire_encode_describe_cluster_response(&writer, request->api_version, &response);
	request_end(request, &writer);
}

/* ---- FindCoordinator ---- */

/* Java hashes UTF-16 units: what UTF-8 encodes beyond the first plane becomes a surrogate pair. */
static int32_t java_hash(struct wire_string text)
{
	const uint8_t *at = (const uint8_t *)text.bytes;
	const uint8_t *end = at + (text.size > 0 ? text.size : 0);
	uint32_t hash = 0;

	while (at < end) {
		uint32_t code = *at++;
		uint32_t more = code >= 0xf0 ? 3 : code >= 0xe0 ? 2 : code >= 0xc0 ? 1 : 0;

		if (more > 0)
			code &= 0x3fU >> more;
		for (; more > 0 && at < end; more--)
			code = code << 6 | (*at++ & 0x3f);
		if (code >= 0x10000) {
			hash = 31 * hash + (0xd800 + ((code - 0x10000) >> 10));
			code = 0xdc00 + ((code - 0x10000) & 0x3ff);
		}
		hash = 31 * hash + code;
	}
	return (int32_t)hash;
}

uint32_t metadata_group_partition(struct wire_string group, int32_t partitions)
{
	int32_t hash = java_hash(group);

	/* Utils.abs(): the one value without a positive counterpart becomes 0. */
	if (hash == INT32_MIN)
		hash = 0;
	return (uint32_t)((hash < 0 ? -hash : hash) % partitions);
}

struct coordinator {
	int16_t error;
	int32_t node_id;
	int32_t port;
	const char *host;
	struct wire_string message;
};

static struct coordinator coordinator_find(struct request *request, int8_t type,
					   struct wire_string key)
{
	struct core *core = request->core;
	struct coordinator found = { .error = KAFKA_COORDINATOR_NOT_AVAILABLE,
				     .node_id = -1,
				     .port = -1,
				     .host = "",
				     .message = WIRE_STRING_NULL };
	const struct topic *topic;
	uint32_t owner;

	if (type != COORDINATOR_GROUP) {
		if (type != COORDINATOR_TXN)
			found.error = KAFKA_INVALID_REQUEST;
		return found;
	}
	topic = topics_find(core->topics, OFFSETS_TOPIC, sizeof(OFFSETS_TOPIC) - 1);
	if (topic == NULL) {
		const struct wire_string name = WIRE_STRING(OFFSETS_TOPIC);
		const struct forward_names names = { &name, 1 };

		(void)forward_create(core, NULL, &names); /* the client asks again either way */
		return found;
	}
	owner = topic->partitions[metadata_group_partition(key, topic->info->partition_count)]
			->owner;
	found.error = KAFKA_NONE;
	found.node_id = core_node_id(core, owner);
	found.port = port_of(core, owner);
	found.host = request->session->link->host;
	return found;
}

static bool coordinators_fill(struct request *request, struct wire_scratch *scratch,
			      const struct wire_find_coordinator_request *asked,
			      struct wire_find_coordinator_response *response)
{
	int32_t count = asked->coordinator_keys_count;
	struct wire_find_coordinator_response_coordinators *list;

	if (request->api_version < 4) {
		struct coordinator found = coordinator_find(request, asked->key_type, asked->key);

		response->error_code = found.error;
		response->error_message = found.message;
		response->node_id = found.node_id;
		response->host = wire_string_from(found.host);
		response->port = found.port;
		return true;
	}
	list = request_alloc(scratch, (size_t)count * sizeof(*list));
	if (list == NULL)
		return false;
	for (int32_t i = 0; i < count; i++) {
		struct wire_string key = asked->coordinator_keys[i];
		struct coordinator found = coordinator_find(request, asked->key_type, key);

		list[i].key = key;
		list[i].error_code = found.error;
		list[i].error_message = found.message;
		list[i].node_id = found.node_id;
		list[i].host = wire_string_from(found.host);
		list[i].port = found.port;
	}
	response->coordinators = list;
	response->coordinators_count = count;
	return true;
}

void metadata_find_coordinator(struct request *request)
{
	struct reader reader = request_body(request);
	struct wire_scratch scratch = request_scratch(request);
	struct wire_find_coordinator_request asked;
	struct wire_find_coordinator_response response;
	struct writer writer;

	if (wire_decode_find_coordinator_request(&reader, request->api_version, &scratch, &asked) !=
	    0) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		return;
	}
	wire_default_find_coordinator_response(&response);
	if (!coordinators_fill(request, &scratch, &asked, &response)) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_OUTPUT, false);
		return;
	}
	writer = request_begin(request);
	wire_encode_find_coordinator_response(&writer, request->api_version, &response);
	request_end(request, &writer);
}

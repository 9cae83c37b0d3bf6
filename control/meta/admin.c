/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/admin.h"

#include <stdio.h>

#include "base/err.h"

#include "control/meta/topicconf.h"

#define TEXT_SIZE  256
#define TOPICS_MAX SNAPSHOT_TOPICS_MAX /* of one request */

/** What is wrong with a request's part. */
struct fault {
	enum kafka_err error; /* KAFKA_NONE: nothing */
	char text[TEXT_SIZE];
};

#define FAULT(fault, kafka_error, ...)                                                             \
	do {                                                                                       \
		(fault)->error = (kafka_error);                                                    \
		(void)snprintf((fault)->text, TEXT_SIZE, __VA_ARGS__);                             \
	} while (0)

/** @return the text in the call's memory; null without a fault */
static struct wire_string fault_text(struct call *call, const struct fault *fault)
{
	int32_t size = (int32_t)strlen(fault->text);
	char *copy;

	if (fault->error == KAFKA_NONE)
		return WIRE_STRING_NULL;
	copy = call_array(call, size + 1, 1);
	if (copy == NULL)
		return WIRE_STRING_NULL;
	memcpy(copy, fault->text, (size_t)size);
	return (struct wire_string){ copy, size };
}

static void meta_fault(struct fault *fault, int error)
{
	if (error == ERR_TOO_LARGE)
		FAULT(fault, KAFKA_INVALID_PARTITIONS,
		      "the box's limit of %d topics or %d "
		      "partitions is reached",
		      SNAPSHOT_TOPICS_MAX, SNAPSHOT_PARTITIONS_MAX);
	else if (error != 0)
		FAULT(fault, KAFKA_UNKNOWN_SERVER_ERROR, "%s", err_str(error));
}

static void check_name(const struct admin *admin, struct wire_string name, struct fault *fault)
{
	const struct metaimage *image = meta_image(admin->meta);
	const char *why = topicconf_name_fault(name);

	if (why != NULL) {
		FAULT(fault, KAFKA_INVALID_TOPIC_EXCEPTION, "%s", why);
		return;
	}
	if (metaimage_topic(image, name) != NULL) {
		FAULT(fault, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", name.size,
		      name.bytes);
		return;
	}
	for (size_t i = 0; i < image->topic_count; i++) {
		const char *other = image->topics[i]->name;

		if (topicconf_names_collide(name, other)) {
			FAULT(fault, KAFKA_INVALID_TOPIC_EXCEPTION,
			      "Topic '%.*s' collides with existing topic: %.64s",
			      MIN(name.size, 64), name.bytes, other);
			return;
		}
	}
}

/** A broker of ours, whichever core; a box holds one copy, so one replica is all that fits. */
static bool is_our_node(const struct admin *admin, int32_t id)
{
	return id >= admin->config->box_id && id < admin->config->box_id + admin->config->cores;
}

typedef struct wire_create_topics_request_topics create_topic;

static void check_assignments(const struct admin *admin, const create_topic *topic,
			      struct fault *fault)
{
	if (topic->num_partitions != -1 || topic->replication_factor != -1) {
		FAULT(fault, KAFKA_INVALID_REQUEST,
		      "with a manual assignment, partitions and replication factor must be -1");
		return;
	}
	for (int32_t i = 0; i < topic->assignments_count; i++) {
		const struct wire_create_topics_request_topics_assignments *one =
			&topic->assignments[i];

		/* In order and dense: else an index is missing or named twice. */
		if (one->partition_index != i || one->broker_ids_count != 1 ||
		    !is_our_node(admin, one->broker_ids[0])) {
			FAULT(fault, KAFKA_INVALID_REPLICA_ASSIGNMENT,
			      "partitions must be 0, 1, ... in order, with one replica on this "
			      "box each");
			return;
		}
	}
}

static void check_counts(const struct admin *admin, const create_topic *topic, struct fault *fault)
{
	int32_t factor = topic->replication_factor;

	if (topic->assignments_count > 0) {
		check_assignments(admin, topic, fault);
		return;
	}
	if (topic->num_partitions == 0 || topic->num_partitions < -1 ||
	    topic->num_partitions > SNAPSHOT_PARTITIONS_MAX) {
		FAULT(fault, KAFKA_INVALID_PARTITIONS,
		      "Number of partitions was set to an invalid value: %d",
		      topic->num_partitions);
		return;
	}
	if (factor != -1 && factor != 1 && !(factor > 1 && admin->config->clamp_replication))
		FAULT(fault, KAFKA_INVALID_REPLICATION_FACTOR,
		      "Replication factor %d: this box holds one copy (use 1 or -1, or set "
		      "replication.factor.clamp)",
		      factor);
}

static struct meta_setting *check_settings(struct call *call, const create_topic *topic,
					   struct fault *fault)
{
	struct meta_setting *settings =
		call_array(call, topic->configs_count, sizeof(struct meta_setting));

	for (int32_t i = 0; i < topic->configs_count && settings != NULL; i++) {
		const struct topicconf *conf = topicconf_find(topic->configs[i].name);
		char text[TEXT_SIZE];

		if (conf == NULL) {
			FAULT(fault, KAFKA_INVALID_CONFIG, "Unknown topic config name: %.*s",
			      MIN(topic->configs[i].name.size, 128), topic->configs[i].name.bytes);
			return NULL;
		}
		if (topicconf_check(conf, topic->configs[i].value, text, sizeof(text)) != 0) {
			FAULT(fault, KAFKA_INVALID_CONFIG, "%s", text);
			return NULL;
		}
		settings[i].name = topic->configs[i].name;
		settings[i].value = topic->configs[i].value;
	}
	return settings;
}

/** The settings of a new topic, as the answer shows them. */
static void show_settings(const struct admin *admin, struct call *call, const create_topic *topic,
			  struct wire_create_topics_response_topics *ret)
{
	struct wire_create_topics_response_topics_configs *shown =
		call_array(call, (int32_t)topicconf_count, sizeof(*shown));

	if (shown == NULL || call->version < 5)
		return;
	ret->configs = shown;
	ret->configs_count = (int32_t)topicconf_count;
	for (size_t i = 0; i < topicconf_count; i++) {
		char text[TOPICCONF_VALUE_MAX];
		enum topicconf_source source =
			topicconf_box_value(&topicconfs[i], admin->config, text);
		int32_t size = (int32_t)strlen(text);
		char *copy = call_array(call, size + 1, 1);

		if (copy == NULL)
			return;
		memcpy(copy, text, (size_t)size);
		shown[i].name = wire_string_from(topicconfs[i].name);
		shown[i].value = (struct wire_string){ copy, size };
		shown[i].config_source = (int8_t)source;
		for (int32_t k = 0; k < topic->configs_count; k++) {
			if (wire_string_equal(topic->configs[k].name, shown[i].name)) {
				shown[i].value = topic->configs[k].value;
				shown[i].config_source = TOPICCONF_FROM_TOPIC;
			}
		}
	}
}

static void create_one(struct admin *admin, struct call *call, const create_topic *topic,
		       bool validate_only, struct wire_create_topics_response_topics *ret)
{
	struct fault fault = { .error = KAFKA_NONE };
	struct meta_setting *settings = NULL;
	const struct metaimage_topic *made;
	int32_t partitions = topic->num_partitions;

	wire_default_create_topics_response_topics(ret);
	ret->name = topic->name;
	check_name(admin, topic->name, &fault);
	if (fault.error == KAFKA_NONE)
		check_counts(admin, topic, &fault);
	if (fault.error == KAFKA_NONE)
		settings = check_settings(call, topic, &fault);
	if (topic->assignments_count > 0)
		partitions = topic->assignments_count;
	else if (partitions == -1)
		partitions = (int32_t)admin->config->partitions;
	if (fault.error == KAFKA_NONE && call->body.error == 0 && !validate_only)
		meta_fault(&fault, meta_create_topic(admin->meta, topic->name, partitions, settings,
						     topic->configs_count));
	ret->error_code = (int16_t)fault.error;
	ret->error_message = fault_text(call, &fault);
	if (fault.error != KAFKA_NONE)
		return;
	ret->num_partitions = partitions;
	ret->replication_factor = 1;
	show_settings(admin, call, topic, ret);
	made = metaimage_topic(meta_image(admin->meta), topic->name);
	if (made != NULL)
		ret->topic_id = made->id;
}

static bool named_twice(const struct wire_create_topics_request *request, int32_t at)
{
	for (int32_t i = 0; i < request->topics_count; i++)
		if (i != at && wire_string_equal(request->topics[i].name, request->topics[at].name))
			return true;
	return false;
}

enum call_result admin_create_topics(struct admin *admin, struct call *call)
{
	struct wire_create_topics_request request;
	struct wire_create_topics_response response;

	if (wire_decode_create_topics_request(&call->body, call->version, &call->scratch,
					      &request) != 0 ||
	    request.topics_count > TOPICS_MAX)
		return CALL_BAD;
	wire_default_create_topics_response(&response);
	response.topics = call_array(call, request.topics_count, sizeof(*response.topics));
	response.topics_count = response.topics != NULL ? request.topics_count : 0;
	for (int32_t i = 0; i < response.topics_count; i++) {
		if (named_twice(&request, i)) {
			wire_default_create_topics_response_topics(&response.topics[i]);
			response.topics[i].name = request.topics[i].name;
			response.topics[i].error_code = KAFKA_INVALID_REQUEST;
			response.topics[i].error_message =
				WIRE_STRING("Duplicate topic name in request.");
			continue;
		}
		create_one(admin, call, &request.topics[i], request.validate_only,
			   &response.topics[i]);
	}
	wire_encode_create_topics_response(&call->reply, call->version, &response);
	call->timeout_ms = request.timeout_ms;
	return call_end(call, meta_is_dirty(admin->meta) ? CALL_SERVED : CALL_DONE);
}

static void delete_one(struct admin *admin, const struct wire_delete_topics_request_topics *topic,
		       struct wire_delete_topics_response_responses *ret)
{
	const struct metaimage *image = meta_image(admin->meta);
	bool by_name = topic->name.size >= 0;
	const struct metaimage_topic *found =
		by_name ? metaimage_topic(image, topic->name)
			: metaimage_topic_by_id(image, &topic->topic_id);
	char name[SNAPSHOT_TOPIC_NAME_MAX + 1];
	struct uuid id;

	wire_default_delete_topics_response_responses(ret);
	ret->name = topic->name;
	ret->topic_id = topic->topic_id;
	if (found == NULL) {
		ret->error_code =
			by_name ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID;
		ret->error_message = WIRE_STRING("This server does not host this topic.");
		return;
	}
	if (topicconf_is_internal(found->name)) {
		ret->error_code = KAFKA_INVALID_REQUEST;
		ret->error_message = WIRE_STRING("Internal topics are not deleted.");
		return;
	}
	id = found->id;
	memcpy(name, found->name, sizeof(name));
	ret->topic_id = id;
	if (meta_delete_topic(admin->meta, &id) != 0)
		ret->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
	else if (admin->on_deleted != NULL)
		admin->on_deleted(admin->context, name);
}

enum call_result admin_delete_topics(struct admin *admin, struct call *call)
{
	struct wire_delete_topics_request request;
	struct wire_delete_topics_response response;
	int32_t count;

	if (wire_decode_delete_topics_request(&call->body, call->version, &call->scratch,
					      &request) != 0)
		return CALL_BAD;
	count = call->version >= 6 ? request.topics_count : request.topic_names_count;
	wire_default_delete_topics_response(&response);
	response.responses = call_array(call, count, sizeof(*response.responses));
	response.responses_count = response.responses != NULL ? count : 0;
	for (int32_t i = 0; i < response.responses_count; i++) {
		struct wire_delete_topics_request_topics topic = { .name = WIRE_STRING_NULL };
		const struct metaimage_topic *found;
		char *name;

		if (call->version >= 6)
			topic = request.topics[i];
		else
			topic.name = request.topic_names[i];
		/* The answer tells the name of a topic given by id: it must outlive the topic. */
		found = metaimage_topic_by_id(meta_image(admin->meta), &topic.topic_id);
		name = call_array(call, SNAPSHOT_TOPIC_NAME_MAX + 1, 1);
		if (name == NULL)
			break;
		if (found != NULL)
			memcpy(name, found->name, sizeof(found->name));
		delete_one(admin, &topic, &response.responses[i]);
		if (found != NULL && topic.name.size < 0)
			response.responses[i].name = wire_string_from(name);
	}
	wire_encode_delete_topics_response(&call->reply, call->version, &response);
	call->timeout_ms = request.timeout_ms;
	return call_end(call, meta_is_dirty(admin->meta) ? CALL_SERVED : CALL_DONE);
}

static void grow_one(struct admin *admin, const struct wire_create_partitions_request_topics *topic,
		     bool validate_only, struct fault *fault)
{
	const struct metaimage_topic *found = metaimage_topic(meta_image(admin->meta), topic->name);

	if (found == NULL) {
		FAULT(fault, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "no such topic");
	} else if (topicconf_is_internal(found->name)) {
		FAULT(fault, KAFKA_INVALID_REQUEST, "internal topics keep their partitions");
	} else if (topic->count <= found->partition_count ||
		   topic->count > SNAPSHOT_PARTITIONS_MAX) {
		FAULT(fault, KAFKA_INVALID_PARTITIONS,
		      "The topic %.64s currently has %d partition(s); %d would not be an "
		      "increase within the limits.",
		      found->name, found->partition_count, topic->count);
	} else if (topic->assignments_count >= 0 &&
		   topic->assignments_count != topic->count - found->partition_count) {
		FAULT(fault, KAFKA_INVALID_REPLICA_ASSIGNMENT,
		      "one assignment per new partition is wanted");
	}
	for (int32_t i = 0; i < topic->assignments_count && fault->error == KAFKA_NONE; i++)
		if (topic->assignments[i].broker_ids_count != 1 ||
		    !is_our_node(admin, topic->assignments[i].broker_ids[0]))
			FAULT(fault, KAFKA_INVALID_REPLICA_ASSIGNMENT,
			      "one replica on this box is wanted");
	if (fault->error == KAFKA_NONE && !validate_only) {
		struct uuid id = found->id;

		meta_fault(fault, meta_add_partitions(admin->meta, &id, topic->count));
	}
}

enum call_result admin_create_partitions(struct admin *admin, struct call *call)
{
	struct wire_create_partitions_request request;
	struct wire_create_partitions_response response;

	if (wire_decode_create_partitions_request(&call->body, call->version, &call->scratch,
						  &request) != 0)
		return CALL_BAD;
	wire_default_create_partitions_response(&response);
	response.results = call_array(call, request.topics_count, sizeof(*response.results));
	response.results_count = response.results != NULL ? request.topics_count : 0;
	for (int32_t i = 0; i < response.results_count; i++) {
		struct wire_create_partitions_response_results *one = &response.results[i];
		struct fault fault = { .error = KAFKA_NONE };

		wire_default_create_partitions_response_results(one);
		grow_one(admin, &request.topics[i], request.validate_only, &fault);
		one->name = request.topics[i].name;
		one->error_code = (int16_t)fault.error;
		one->error_message = fault_text(call, &fault);
	}
	wire_encode_create_partitions_response(&call->reply, call->version, &response);
	call->timeout_ms = request.timeout_ms;
	return call_end(call, meta_is_dirty(admin->meta) ? CALL_SERVED : CALL_DONE);
}

enum kafka_err admin_auto_create(struct admin *admin, struct wire_string name)
{
	struct fault fault = { .error = KAFKA_NONE };

	check_name(admin, name, &fault);
	if (fault.error == KAFKA_NONE)
		meta_fault(&fault, meta_create_topic(admin->meta, name,
						     (int32_t)admin->config->partitions, NULL, 0));
	return fault.error;
}

int admin_create_offsets_topic(struct admin *admin)
{
	/* As Kafka makes it: small segments, so that compaction reaches them soon. */
	static const struct meta_setting settings[] = {
		{ WIRE_STRING("cleanup.policy"), WIRE_STRING("compact") },
		{ WIRE_STRING("compression.type"), WIRE_STRING("producer") },
		{ WIRE_STRING("segment.bytes"), WIRE_STRING("104857600") },
	};
	struct wire_string name = WIRE_STRING("__consumer_offsets");

	if (metaimage_topic(meta_image(admin->meta), name) != NULL)
		return 0;
	return meta_create_topic(admin->meta, name, (int32_t)admin->config->offsets_partitions,
				 settings, ARRAY_COUNT(settings));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: what they are, where their partitions stand, making and deleting them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "control/http/webapi_impl.h"
#include "control/meta/topicconf.h"
#include "dataplane/wire/wire_gen.h"

#define CREATE_TIMEOUT_MS 10000

struct extent {
	int64_t records;
	int64_t size;
	bool has_fault; /* a partition is not online */
};

static bool is_up(const struct webapi *api)
{
	return api->config.ops->is_dataplane_up(api->config.ctx);
}

static const char *partition_state(const struct webapi *api, const struct position *position)
{
	if (position == NULL || !is_up(api))
		return "unknown";
	if (position->error == 0)
		return "online";
	return position->error == ERR_POISONED ? "poisoned" : "offline";
}

static json_t *partition_json(const struct webapi *api, int32_t index,
			      const struct position *position)
{
	static const struct position nowhere = { .core = 0 };
	const char *state = partition_state(api, position);
	int64_t leader = -1;

	if (position != NULL)
		leader = api->config.config->box_id + position->core;
	else
		position = &nowhere;
	return json_pack("{s:i, s:I, s:i, s:I, s:I, s:I, s:I, s:s}", "partition", index, "leader",
			 (json_int_t)leader, "leader_epoch", position->leader_epoch, "start_offset",
			 (json_int_t)position->start_offset, "high_watermark",
			 (json_int_t)position->high_watermark, "next_offset",
			 (json_int_t)position->next_offset, "size", (json_int_t)position->size,
			 "state", state);
}

static struct extent topic_extent(const struct positions *positions,
				  const struct metaimage_topic *topic)
{
	struct extent extent = { 0 };

	for (int32_t i = 0; i < topic->partition_count; i++) {
		const struct position *position =
			positions_find(positions, &topic->id, (uint32_t)i);

		if (position == NULL || position->error != 0)
			extent.has_fault = true;
		if (position == NULL)
			continue;
		extent.records += position->high_watermark - position->start_offset;
		extent.size += position->size;
	}
	return extent;
}

static json_t *summary_json(struct webapi *api, const struct metaimage_topic *topic)
{
	struct extent extent = topic_extent(webapi_positions(api), topic);
	char id[UUID_TEXT_SIZE];

	uuid_format(&topic->id, id);
	return json_pack("{s:s, s:s, s:b, s:i, s:I, s:I, s:s}", "name", topic->name, "id", id,
			 "internal", topicconf_is_internal(topic->name), "partition_count",
			 topic->partition_count, "records", (json_int_t)extent.records, "size",
			 (json_int_t)extent.size, "state",
			 !is_up(api)        ? "unknown"
			 : extent.has_fault ? "degraded"
					    : "online");
}

json_t *webapi_topic_json(struct webapi *api, const struct metaimage_topic *topic)
{
	const struct positions *positions = webapi_positions(api);
	json_t *value = summary_json(api, topic);
	json_t *configs = json_object(), *partitions = json_array();

	for (int32_t i = 0; i < topic->config_count; i++)
		webapi_set(configs, topic->configs[i].name, webapi_text(topic->configs[i].value));
	for (int32_t i = 0; i < topic->partition_count; i++)
		(void)json_array_append_new(
			partitions,
			partition_json(api, i, positions_find(positions, &topic->id, (uint32_t)i)));
	webapi_set(value, "config", configs);
	webapi_set(value, "partitions", partitions);
	return value;
}

void webapi_get_topics(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct metaimage *image = meta_image(api->config.meta);
	bool is_brief = webapi_is_brief(call);
	json_t *topics = json_array();

	for (size_t i = 0; i < image->topic_count; i++)
		(void)json_array_append_new(topics,
					    is_brief ? summary_json(api, image->topics[i])
						     : webapi_topic_json(api, image->topics[i]));
	http_reply_json(call, 200, json_pack("{s:o}", "topics", topics));
}

/** @return the topic that the path names; NULL: answered 404 */
static const struct metaimage_topic *named_topic(const struct webapi *api, struct http_call *call)
{
	const char *name = http_call_rest(call);
	const struct metaimage_topic *topic =
		metaimage_topic(meta_image(api->config.meta), wire_string_from(name));

	if (topic == NULL)
		http_reply_error(call, 404, "there is no topic '%s'", name);
	return topic;
}

void webapi_get_topic(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct metaimage_topic *topic = named_topic(api, call);

	if (topic != NULL)
		http_reply_json(call, 200, webapi_topic_json(api, topic));
}

/** Text of a setting's value, which may be a string, a number or a boolean. @return false: none */
static bool setting_text(const json_t *value, char *ret_text, size_t size)
{
	const char *text = json_string_value(value);
	int wanted = -1;

	if (text != NULL)
		wanted = snprintf(ret_text, size, "%s", text);
	else if (json_is_integer(value))
		wanted = snprintf(ret_text, size, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		wanted = snprintf(ret_text, size, "%.17g", json_real_value(value));
	else if (json_is_boolean(value))
		wanted = snprintf(ret_text, size, "%s", json_is_true(value) ? "true" : "false");
	return wanted >= 0 && (size_t)wanted < size;
}

struct setting {
	char value[TOPICCONF_VALUE_MAX];
};

/** @return why the settings cannot be; NULL: filled */
static const char *read_settings(json_t *object, struct setting *values,
				 struct wire_create_topics_request_topics_configs *ret_configs)
{
	const char *name;
	json_t *value;
	size_t i = 0;

	json_object_foreach(object, name, value)
	{
		if (!setting_text(value, values[i].value, sizeof(values[i].value)))
			return "a value of \"config\" is no short text, number or boolean";
		wire_default_create_topics_request_topics_configs(&ret_configs[i]);
		ret_configs[i].name = wire_string_from(name);
		ret_configs[i].value = wire_string_from(values[i].value);
		i++;
	}
	return NULL;
}

/** Encode the request and send it on. @return why it cannot be; NULL: answered or on its way */
static const char *create_topic(struct webapi *api, struct http_call *call, const char *name,
				int32_t partitions, json_t *settings)
{
	static uint8_t body[128 * 1024];
	static struct setting values[32];
	struct wire_create_topics_request_topics_configs configs[ARRAY_COUNT(values)];
	struct wire_create_topics_request_topics topic;
	struct wire_create_topics_request request;
	struct writer writer;
	const char *why;

	if (json_object_size(settings) > ARRAY_COUNT(values))
		return "\"config\" has too many settings";
	why = read_settings(settings, values, configs);
	if (why != NULL)
		return why;
	wire_default_create_topics_request_topics(&topic);
	topic.name = wire_string_from(name);
	topic.num_partitions = partitions;
	topic.replication_factor = -1;
	topic.configs = configs;
	topic.configs_count = (int32_t)json_object_size(settings);
	wire_default_create_topics_request(&request);
	request.topics = &topic;
	request.topics_count = 1;
	request.timeout_ms = CREATE_TIMEOUT_MS;
	writer_init(&writer, body, sizeof(body));
	wire_encode_create_topics_request(&writer, WEBAPI_CREATE_TOPIC_VERSION, &request);
	if (writer.error != 0)
		return "the name is too long";
	webapi_change(api, call, WEBAPI_CREATE_TOPIC, name, body, (uint32_t)writer_size(&writer));
	return NULL;
}

void webapi_post_topic(void *ctx, struct http_call *call)
{
	json_t *body = http_call_json(call);
	json_t *partitions = json_object_get(body, "partitions");
	json_t *settings = json_object_get(body, "config");
	const char *name = json_string_value(json_object_get(body, "name"));
	json_int_t count = partitions != NULL ? json_integer_value(partitions) : -1;
	const char *why = NULL;

	if (!json_is_object(body))
		why = "the body must be a JSON object: {\"name\", \"partitions\", \"config\"}";
	else if (name == NULL)
		why = "\"name\" must be a text";
	else if (partitions != NULL && (count < 1 || count > SNAPSHOT_PARTITIONS_MAX))
		why = "\"partitions\" must be a whole number from 1 to 60000";
	else if (settings != NULL && !json_is_object(settings))
		why = "\"config\" must be an object";
	else
		why = create_topic(ctx, call, name, (int32_t)count, settings);
	if (why != NULL)
		http_reply_error(call, 400, "%s", why);
	json_decref(body);
}

void webapi_delete_topic(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct metaimage_topic *topic = named_topic(api, call);
	struct wire_delete_topics_request request;
	uint8_t body[2 * SNAPSHOT_TOPIC_NAME_MAX];
	struct wire_string name;
	struct writer writer;

	if (topic == NULL)
		return;
	name = wire_string_from(topic->name);
	wire_default_delete_topics_request(&request);
	request.topic_names = &name;
	request.topic_names_count = 1;
	request.timeout_ms = CREATE_TIMEOUT_MS;
	writer_init(&writer, body, sizeof(body));
	wire_encode_delete_topics_request(&writer, WEBAPI_DELETE_TOPIC_VERSION, &request);
	CHECK(writer.error == 0);
	webapi_change(api, call, WEBAPI_DELETE_TOPIC, topic->name, body,
		      (uint32_t)writer_size(&writer));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#include "control/meta/topicconf.h"

#define RESOURCE_TOPIC  2
#define RESOURCE_BROKER 4
#define SYNONYMS_MAX    3

typedef struct wire_describe_configs_request_resources resource_request;
typedef struct wire_describe_configs_response_results resource_result;
typedef struct wire_describe_configs_response_results_configs shown_config;

enum box_kind { BOX_STRING, BOX_INT, BOX_BOOL };

struct box_setting {
	const char *name;
	const char *sentence;
	enum box_kind kind;
	size_t at; /* in struct config */
};

static const struct box_setting box_settings[] = {
#define CONFIG_STRING(field, name, value, sentence)                                                \
	{ name, sentence, BOX_STRING, offsetof(struct config, field) },
#define CONFIG_INT(field, name, value, min, max, unit, sentence)                                   \
	{ name, sentence, BOX_INT, offsetof(struct config, field) },
#define CONFIG_BOOL(field, name, value, sentence)                                                  \
	{ name, sentence, BOX_BOOL, offsetof(struct config, field) },
#define CONFIG_INTS(field, name, value, min, max, unit, sentence)                                  \
	{ name, sentence, BOX_STRING, offsetof(struct config, field) },
#include "base/config.def"
#undef CONFIG_STRING
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_INTS
};

static struct wire_string keep(struct call *call, const char *text)
{
	int32_t size = (int32_t)strlen(text);
	char *copy = call_array(call, size + 1, 1);

	if (copy == NULL)
		return WIRE_STRING("");
	memcpy(copy, text, (size_t)size);
	return (struct wire_string){ copy, size };
}

static bool is_wanted(const resource_request *request, const char *name)
{
	if (request->configuration_keys_count < 0)
		return true;
	for (int32_t i = 0; i < request->configuration_keys_count; i++)
		if (wire_string_equal(request->configuration_keys[i], wire_string_from(name)))
			return true;
	return false;
}

static void add_synonym(shown_config *shown, struct wire_string name, struct wire_string value,
			enum topicconf_source source)
{
	CHECK(shown->synonyms_count < SYNONYMS_MAX);
	shown->synonyms[shown->synonyms_count++] =
		(struct wire_describe_configs_response_results_configs_synonyms){
			.name = name, .value = value, .source = (int8_t)source
		};
}

/** One setting of a topic: its own value, the box's, Kafka's default, in this order. */
static void show_topic_config(const struct admin *admin, struct call *call,
			      const struct metaimage_topic *topic, const struct topicconf *conf,
			      bool with_synonyms, shown_config *shown)
{
	const char *own = metaimage_config(topic, conf->name);
	struct wire_string broker_name =
		wire_string_from(conf->broker_name != NULL ? conf->broker_name : conf->name);
	char text[TOPICCONF_VALUE_MAX];
	enum topicconf_source source = topicconf_box_value(conf, admin->config, text);
	struct wire_string box_value = keep(call, text);

	wire_default_describe_configs_response_results_configs(shown);
	shown->name = wire_string_from(conf->name);
	shown->value = own != NULL ? keep(call, own) : box_value;
	shown->config_source = (int8_t)(own != NULL ? TOPICCONF_FROM_TOPIC : source);
	shown->config_type = (int8_t)conf->type;
	shown->documentation = wire_string_from(conf->sentence);
	if (!with_synonyms)
		return;
	shown->synonyms = call_array(call, SYNONYMS_MAX, sizeof(*shown->synonyms));
	if (shown->synonyms == NULL)
		return;
	if (own != NULL)
		add_synonym(shown, shown->name, shown->value, TOPICCONF_FROM_TOPIC);
	if (source == TOPICCONF_FROM_BROKER)
		add_synonym(shown, broker_name, box_value, TOPICCONF_FROM_BROKER);
	add_synonym(shown, broker_name, wire_string_from(conf->value), TOPICCONF_FROM_DEFAULT);
}

static void describe_topic(const struct admin *admin, struct call *call,
			   const resource_request *request, bool with_synonyms,
			   resource_result *result)
{
	const struct metaimage_topic *topic =
		metaimage_topic(meta_image(admin->meta), request->resource_name);

	if (topic == NULL) {
		result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		result->error_message = WIRE_STRING("no such topic");
		return;
	}
	result->configs = call_array(call, (int32_t)topicconf_count, sizeof(*result->configs));
	for (size_t i = 0; i < topicconf_count && result->configs != NULL; i++)
		if (is_wanted(request, topicconfs[i].name))
			show_topic_config(admin, call, topic, &topicconfs[i], with_synonyms,
					  &result->configs[result->configs_count++]);
}

static void setting_text(const struct box_setting *setting, const struct config *config,
			 char *ret_text, size_t size)
{
	const char *field = (const char *)config + setting->at;

	switch (setting->kind) {
	case BOX_STRING:
		(void)snprintf(ret_text, size, "%s", field);
		break;
	case BOX_INT: {
		int64_t number;

		memcpy(&number, field, sizeof(number));
		(void)snprintf(ret_text, size, "%" PRId64, number);
		break;
	}
	case BOX_BOOL:
		(void)snprintf(ret_text, size, "%s", *(const bool *)field ? "true" : "false");
		break;
	}
}

static void show_box_setting(const struct admin *admin, struct call *call,
			     const struct box_setting *setting, const struct config *defaults,
			     bool with_synonyms, shown_config *shown)
{
	static const int8_t types[] = { TOPICCONF_STRING, TOPICCONF_LONG, TOPICCONF_BOOLEAN };
	char value[CONFIG_TEXT_MAX];
	char usual[CONFIG_TEXT_MAX];
	bool is_default;

	setting_text(setting, admin->config, value, sizeof(value));
	setting_text(setting, defaults, usual, sizeof(usual));
	is_default = strcmp(value, usual) == 0;
	wire_default_describe_configs_response_results_configs(shown);
	shown->name = wire_string_from(setting->name);
	shown->value = keep(call, value);
	shown->read_only = true;
	shown->config_source =
		(int8_t)(is_default ? TOPICCONF_FROM_DEFAULT : TOPICCONF_FROM_BROKER);
	shown->config_type = types[setting->kind];
	shown->documentation = wire_string_from(setting->sentence);
	if (!with_synonyms)
		return;
	shown->synonyms = call_array(call, SYNONYMS_MAX, sizeof(*shown->synonyms));
	if (shown->synonyms == NULL)
		return;
	if (!is_default)
		add_synonym(shown, shown->name, shown->value, TOPICCONF_FROM_BROKER);
	add_synonym(shown, shown->name, keep(call, usual), TOPICCONF_FROM_DEFAULT);
}

static bool is_our_name(const struct admin *admin, struct wire_string name)
{
	char text[16];
	char *end;
	long id;

	if (name.size <= 0)
		return name.size == 0; /* the cluster's defaults */
	if (name.size >= (int32_t)sizeof(text))
		return false;
	memcpy(text, name.bytes, (size_t)name.size);
	text[name.size] = '\0';
	id = strtol(text, &end, 10);
	return *end == '\0' && id >= admin->config->box_id &&
	       id < admin->config->box_id + admin->config->cores;
}

static void describe_box(const struct admin *admin, struct call *call,
			 const resource_request *request, bool with_synonyms,
			 resource_result *result)
{
	struct config defaults;

	if (!is_our_name(admin, request->resource_name)) {
		result->error_code = KAFKA_INVALID_REQUEST;
		result->error_message = WIRE_STRING("not a broker id of this box");
		return;
	}
	if (request->resource_name.size == 0)
		return; /* no dynamic defaults are kept */
	config_init(&defaults);
	result->configs =
		call_array(call, (int32_t)ARRAY_COUNT(box_settings), sizeof(*result->configs));
	for (size_t i = 0; i < ARRAY_COUNT(box_settings) && result->configs != NULL; i++)
		if (is_wanted(request, box_settings[i].name))
			show_box_setting(admin, call, &box_settings[i], &defaults, with_synonyms,
					 &result->configs[result->configs_count++]);
}

enum call_result describe_configs(const struct admin *admin, struct call *call)
{
	struct wire_describe_configs_request request;
	struct wire_describe_configs_response response;

	if (wire_decode_describe_configs_request(&call->body, call->version, &call->scratch,
						 &request) != 0)
		return CALL_BAD;
	wire_default_describe_configs_response(&response);
	response.results = call_array(call, request.resources_count, sizeof(*response.results));
	response.results_count = response.results != NULL ? request.resources_count : 0;
	for (int32_t i = 0; i < response.results_count; i++) {
		const resource_request *resource = &request.resources[i];
		resource_result *result = &response.results[i];

		wire_default_describe_configs_response_results(result);
		result->error_message = WIRE_STRING_NULL;
		result->resource_type = resource->resource_type;
		result->resource_name = resource->resource_name;
		if (resource->resource_type == RESOURCE_TOPIC) {
			describe_topic(admin, call, resource, request.include_synonyms, result);
		} else if (resource->resource_type == RESOURCE_BROKER) {
			describe_box(admin, call, resource, request.include_synonyms, result);
		} else {
			result->error_code = KAFKA_INVALID_REQUEST;
			result->error_message = WIRE_STRING("resource type is not supported");
		}
	}
	wire_encode_describe_configs_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/topicconf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "storage/seglog.h"

const struct topicconf topicconfs[] = {
#define TOPICCONF(name, type, value, min, max, broker, sentence)                                   \
	{ name, TOPICCONF_##type, value, min, max, broker, sentence },
#include "control/meta/topicconf.def"
#undef TOPICCONF
};
const size_t topicconf_count = ARRAY_COUNT(topicconfs);

static bool equals(struct wire_string a, const char *b)
{
	return a.size >= 0 && strlen(b) == (size_t)a.size &&
	       (a.size == 0 || memcmp(a.bytes, b, (size_t)a.size) == 0);
}

const struct topicconf *topicconf_find(struct wire_string name)
{
	for (size_t i = 0; i < topicconf_count; i++)
		if (equals(name, topicconfs[i].name))
			return &topicconfs[i];
	return NULL;
}

static bool one_of(const char *const *allowed, struct wire_string value)
{
	for (; *allowed != NULL; allowed++)
		if (equals(value, *allowed))
			return true;
	return false;
}

/** Every comma-separated part must be allowed; no part at all is allowed as well. */
static bool list_of(const char *const *allowed, struct wire_string value)
{
	const char *at = value.bytes;
	const char *end = at + value.size;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma != NULL ? comma : end;
		struct wire_string part = { at, (int32_t)(stop - at) };

		while (part.size > 0 && part.bytes[0] == ' ')
			part = (struct wire_string){ part.bytes + 1, part.size - 1 };
		while (part.size > 0 && part.bytes[part.size - 1] == ' ')
			part.size--;
		if (!one_of(allowed, part))
			return false;
		at = comma != NULL ? comma + 1 : end;
	}
	return true;
}

static bool check_words(const struct topicconf *conf, struct wire_string value)
{
	static const char *const policies[] = { "delete", "compact", NULL };
	static const char *const codecs[] = { "uncompressed", "zstd",     "lz4", "snappy",
					      "gzip",         "producer", NULL };
	static const char *const stamps[] = { "CreateTime", "LogAppendTime", NULL };

	if (strcmp(conf->name, "cleanup.policy") == 0)
		return list_of(policies, value);
	if (strcmp(conf->name, "compression.type") == 0)
		return one_of(codecs, value);
	if (strcmp(conf->name, "message.timestamp.type") == 0)
		return one_of(stamps, value);
	return true;
}

static bool parse_number(const char *text, int64_t *ret_number)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		return false;
	*ret_number = number;
	return true;
}

static bool check_number(const struct topicconf *conf, const char *text)
{
	int64_t number;

	if (conf->type == TOPICCONF_DOUBLE) {
		char *end;
		double value = strtod(text, &end);

		return end != text && *end == '\0' && value >= (double)conf->min &&
		       value <= (double)conf->max;
	}
	return parse_number(text, &number) && number >= conf->min && number <= conf->max;
}

int topicconf_check(const struct topicconf *conf, struct wire_string value, char *reterr,
		    size_t size)
{
	char text[64];
	bool ok = false;

	if (value.size < 0 || value.size >= TOPICCONF_VALUE_MAX) {
		(void)snprintf(reterr, size, "%s wants a value of at most %d bytes", conf->name,
			       TOPICCONF_VALUE_MAX - 1);
		return ERR_CONFIG;
	}
	if (conf->type == TOPICCONF_STRING || conf->type == TOPICCONF_LIST) {
		ok = check_words(conf, value);
	} else if (conf->type == TOPICCONF_BOOLEAN) {
		ok = equals(value, "true") || equals(value, "false");
	} else if (value.size < (int32_t)sizeof(text)) {
		memcpy(text, value.bytes, (size_t)value.size);
		text[value.size] = '\0';
		ok = check_number(conf, text);
	}
	if (ok)
		return 0;
	if (conf->type == TOPICCONF_INT || conf->type == TOPICCONF_LONG)
		(void)snprintf(reterr, size,
			       "%.*s is not a value of %s: a number from %" PRId64 " to %" PRId64,
			       MIN(value.size, 64), value.bytes, conf->name, conf->min, conf->max);
	else
		(void)snprintf(reterr, size, "%.*s is not a value of %s", MIN(value.size, 64),
			       value.bytes, conf->name);
	return ERR_CONFIG;
}

/** Where the box's own setting of this key lies; NULL: the box has none. */
static const int64_t *box_field(const struct topicconf *conf, const struct config *config)
{
	if (conf->broker_name == NULL)
		return NULL;
	if (strcmp(conf->broker_name, "message.max.bytes") == 0)
		return &config->message_size_max;
	if (strcmp(conf->broker_name, "log.segment.bytes") == 0)
		return &config->segment_size;
	if (strcmp(conf->broker_name, "log.roll.ms") == 0)
		return &config->segment_ms;
	if (strcmp(conf->broker_name, "log.retention.ms") == 0)
		return &config->retention_ms;
	if (strcmp(conf->broker_name, "log.retention.bytes") == 0)
		return &config->retention_size;
	return NULL;
}

enum topicconf_source topicconf_box_value(const struct topicconf *conf, const struct config *config,
					  char *ret_text)
{
	const int64_t *field = box_field(conf, config);

	if (field == NULL) {
		(void)snprintf(ret_text, TOPICCONF_VALUE_MAX, "%s", conf->value);
		return TOPICCONF_FROM_DEFAULT;
	}
	(void)snprintf(ret_text, TOPICCONF_VALUE_MAX, "%" PRId64, *field);
	return strcmp(ret_text, conf->value) == 0 ? TOPICCONF_FROM_DEFAULT : TOPICCONF_FROM_BROKER;
}

static int64_t number_of(const struct metaimage_topic *topic, const char *name, int64_t box)
{
	const char *text = metaimage_config(topic, name);
	int64_t number;

	return text != NULL && parse_number(text, &number) ? number : box;
}

void topicconf_resolve(const struct metaimage_topic *topic, const struct config *config,
		       struct snapshot_topic *ret_topic)
{
	const char *policy = metaimage_config(topic, "cleanup.policy");
	const char *stamp = metaimage_config(topic, "message.timestamp.type");

	ret_topic->segment_size = number_of(topic, "segment.bytes", config->segment_size);
	ret_topic->segment_ms = number_of(topic, "segment.ms", config->segment_ms);
	ret_topic->retention_ms = number_of(topic, "retention.ms", config->retention_ms);
	ret_topic->retention_size = number_of(topic, "retention.bytes", config->retention_size);
	/* A metadata log of Kafka, which knows no such limit, may ask for more. */
	ret_topic->message_size_max =
		MIN(number_of(topic, "max.message.bytes", config->message_size_max),
		    SEGLOG_BATCH_SIZE_MAX);
	ret_topic->append_time = stamp != NULL && strcmp(stamp, "LogAppendTime") == 0;
	ret_topic->is_compacted = policy != NULL && strstr(policy, "compact") != NULL;
	/* Compacted without delete: nothing is removed by age or size. */
	if (ret_topic->is_compacted && strstr(policy, "delete") == NULL) {
		ret_topic->retention_ms = -1;
		ret_topic->retention_size = -1;
	}
}

const char *topicconf_name_fault(struct wire_string name)
{
	if (name.size <= 0)
		return "the topic name is empty";
	if (name.size > SNAPSHOT_TOPIC_NAME_MAX)
		return "the topic name is longer than 249 characters";
	if (equals(name, ".") || equals(name, ".."))
		return "the topic name cannot be \".\" or \"..\"";
	for (int32_t i = 0; i < name.size; i++) {
		char c = name.bytes[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return "the topic name has a character other than ASCII letters, digits, "
			       "'.', '_' and '-'";
	}
	return NULL;
}

bool topicconf_names_collide(struct wire_string a, const char *b)
{
	if (strlen(b) != (size_t)MAX(a.size, 0) || equals(a, b))
		return false;
	for (int32_t i = 0; i < a.size; i++) {
		char x = a.bytes[i] == '.' ? '_' : a.bytes[i];
		char y = b[i] == '.' ? '_' : b[i];

		if (x != y)
			return false;
	}
	return true;
}

bool topicconf_is_internal(const char *name)
{
	return strcmp(name, "__consumer_offsets") == 0 || strcmp(name, "__transaction_state") == 0;
}

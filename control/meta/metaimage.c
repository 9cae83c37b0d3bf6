/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/metaimage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "dataplane/wire/frame.h"
#include "dataplane/wire/wire_gen.h"

#define CONFIG_RESOURCE_TOPIC 2
#define SCRATCH_SIZE          65536 /* replicas, end points and features of one record */

void metaimage_init(struct metaimage *image)
{
	memset(image, 0, sizeof(*image));
	image->broker_id = -1;
}

static void topic_free(struct metaimage_topic *topic)
{
	for (int32_t i = 0; i < topic->config_count; i++) {
		free(topic->configs[i].name);
		free(topic->configs[i].value);
	}
	free(topic->configs);
	free(topic);
}

void metaimage_clear(struct metaimage *image)
{
	for (size_t i = 0; i < image->topic_count; i++)
		topic_free(image->topics[i]);
	free(image->topics);
	metaimage_init(image);
}

static int compare(const char *name, struct wire_string other)
{
	size_t have = strlen(name);
	size_t want = other.size > 0 ? (size_t)other.size : 0;
	size_t both = MIN(have, want);
	int order = both > 0 ? memcmp(name, other.bytes, both) : 0;

	return order != 0 ? order : (have > want) - (have < want);
}

static size_t lower(const struct metaimage *image, struct wire_string name)
{
	size_t low = 0;
	size_t high = image->topic_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(image->topics[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct metaimage_topic *find(const struct metaimage *image, struct wire_string name)
{
	size_t at = lower(image, name);

	if (at < image->topic_count && compare(image->topics[at]->name, name) == 0)
		return image->topics[at];
	return NULL;
}

static struct metaimage_topic *find_id(const struct metaimage *image, const struct uuid *id)
{
	/* The partitions of a topic follow its record. */
	if (image->recent != NULL && uuid_equal(&image->recent->id, id))
		return image->recent;
	for (size_t i = 0; i < image->topic_count; i++)
		if (uuid_equal(&image->topics[i]->id, id))
			return image->topics[i];
	return NULL;
}

const struct metaimage_topic *metaimage_topic(const struct metaimage *image,
					      struct wire_string name)
{
	return find(image, name);
}

const struct metaimage_topic *metaimage_topic_by_id(const struct metaimage *image,
						    const struct uuid *id)
{
	return find_id(image, id);
}

const char *metaimage_config(const struct metaimage_topic *topic, const char *name)
{
	for (int32_t i = 0; i < topic->config_count; i++)
		if (strcmp(topic->configs[i].name, name) == 0)
			return topic->configs[i].value;
	return NULL;
}

static int make_room(struct metaimage *image)
{
	size_t capacity = image->topic_capacity > 0 ? image->topic_capacity * 2 : 16;
	struct metaimage_topic **topics;

	if (image->topic_count >= SNAPSHOT_TOPICS_MAX)
		return ERR_TOO_LARGE;
	if (image->topic_count < image->topic_capacity)
		return 0;
	topics = realloc(image->topics, capacity * sizeof(struct metaimage_topic *));
	if (topics == NULL)
		return -ENOMEM;
	image->topics = topics;
	image->topic_capacity = capacity;
	return 0;
}

static int apply_topic(struct metaimage *image, const struct wire_topic_record *record)
{
	struct metaimage_topic *topic;
	size_t at = lower(image, record->name);
	int error;

	if (record->name.size <= 0 || record->name.size > SNAPSHOT_TOPIC_NAME_MAX ||
	    find(image, record->name) != NULL)
		return ERR_MALFORMED;
	error = make_room(image);
	if (error != 0)
		return error;
	topic = calloc(1, sizeof(*topic));
	if (topic == NULL)
		return -ENOMEM;
	memcpy(topic->name, record->name.bytes, (size_t)record->name.size);
	topic->id = record->topic_id;
	memmove(&image->topics[at + 1], &image->topics[at],
		(image->topic_count - at) * sizeof(struct metaimage_topic *));
	image->topics[at] = topic;
	image->topic_count++;
	image->recent = topic;
	return 0;
}

static int apply_partition(struct metaimage *image, const struct wire_partition_record *record)
{
	struct metaimage_topic *topic = NULL;

	/* The partitions of a topic follow its record: look at the end of a replay's habit first. */
	topic = find_id(image, &record->topic_id);
	if (topic == NULL)
		return ERR_UNKNOWN;
	if (record->partition_id != topic->partition_count)
		return ERR_MALFORMED;
	if (image->partition_count >= SNAPSHOT_PARTITIONS_MAX)
		return ERR_TOO_LARGE;
	topic->partition_count++;
	image->partition_count++;
	return 0;
}

static int apply_remove(struct metaimage *image, const struct wire_remove_topic_record *record)
{
	struct metaimage_topic *topic = find_id(image, &record->topic_id);
	size_t at;

	if (topic == NULL)
		return ERR_UNKNOWN;
	at = lower(image, wire_string_from(topic->name));
	CHECK(image->topics[at] == topic);
	image->recent = NULL;
	image->partition_count -= topic->partition_count;
	image->topic_count--;
	memmove(&image->topics[at], &image->topics[at + 1],
		(image->topic_count - at) * sizeof(struct metaimage_topic *));
	topic_free(topic);
	return 0;
}

static char *text(struct wire_string string)
{
	size_t size = string.size > 0 ? (size_t)string.size : 0;

	return size > 0 ? strndup(string.bytes, size) : strdup("");
}

static void config_remove(struct metaimage_topic *topic, int32_t at)
{
	free(topic->configs[at].name);
	free(topic->configs[at].value);
	topic->config_count--;
	memmove(&topic->configs[at], &topic->configs[at + 1],
		(size_t)(topic->config_count - at) * sizeof(*topic->configs));
}

static int config_insert(struct metaimage_topic *topic, int32_t at, struct wire_string name,
			 char *value)
{
	size_t count = (size_t)topic->config_count + 1;
	struct metaimage_config *configs = realloc(topic->configs, count * sizeof(*configs));
	char *key;

	if (configs == NULL)
		return -ENOMEM;
	topic->configs = configs;
	key = text(name);
	if (key == NULL)
		return -ENOMEM;
	memmove(&configs[at + 1], &configs[at],
		(size_t)(topic->config_count - at) * sizeof(*configs));
	configs[at] = (struct metaimage_config){ key, value };
	topic->config_count++;
	return 0;
}

static int apply_config(struct metaimage *image, const struct wire_config_record *record)
{
	struct metaimage_topic *topic;
	int32_t at = 0;
	char *value;
	int error;

	if (record->resource_type != CONFIG_RESOURCE_TOPIC)
		return 0; /* of brokers: not used by this box */
	topic = find(image, record->resource_name);
	if (topic == NULL)
		return ERR_UNKNOWN;
	while (at < topic->config_count && compare(topic->configs[at].name, record->name) < 0)
		at++;
	if (at < topic->config_count && compare(topic->configs[at].name, record->name) == 0)
		config_remove(topic, at);
	if (record->value.size < 0)
		return 0;
	value = text(record->value);
	if (value == NULL)
		return -ENOMEM;
	error = config_insert(topic, at, record->name, value);
	if (error != 0)
		free(value);
	return error;
}

/** Decode the message and apply it; `read` holds all after the frame. */
#define APPLY(type, call)                                                                          \
	do {                                                                                       \
		struct wire_##type record;                                                         \
                                                                                                   \
		error = wire_decode_##type(read, version, scratch, &record);                       \
		if (error == 0 && reader_left(read) > 0)                                           \
			error = ERR_MALFORMED;                                                     \
		if (error == 0)                                                                    \
			error = (call);                                                            \
	} while (0)

static int apply_other(struct metaimage *image, int16_t key, int16_t version, struct reader *read,
		       struct wire_scratch *scratch)
{
	int error = 0;

	switch (key) {
	case WIRE_RECORD_REGISTER_BROKER:
		APPLY(register_broker_record, (image->broker_id = record.broker_id, 0));
		return error;
	case WIRE_RECORD_PRODUCER_IDS:
		APPLY(producer_ids_record, (image->next_producer_id = record.next_producer_id, 0));
		return error;
	case WIRE_RECORD_FEATURE_LEVEL:
		APPLY(feature_level_record, (image->metadata_version = record.feature_level, 0));
		return error;
	case WIRE_RECORD_BROKER_REGISTRATION_CHANGE:
		APPLY(broker_registration_change_record, 0);
		return error;
	case WIRE_RECORD_NO_OP:
		APPLY(no_op_record, 0);
		return error;
	default:
		return ERR_UNSUPPORTED;
	}
}

int metaimage_apply(struct metaimage *image, const uint8_t *value, uint32_t size)
{
	uint8_t memory[SCRATCH_SIZE];
	struct wire_scratch arrays;
	struct wire_scratch *scratch = &arrays;
	struct reader reader;
	struct reader *read = &reader;
	struct wire_record_frame frame;
	int16_t version;
	int error;

	wire_scratch_init(scratch, memory, sizeof(memory));
	reader_init(read, value, size);
	error = wire_record_frame_decode(read, &frame);
	if (error != 0)
		return error;
	version = frame.version;
	switch (frame.key) {
	case WIRE_RECORD_TOPIC:
		APPLY(topic_record, apply_topic(image, &record));
		return error;
	case WIRE_RECORD_PARTITION:
		APPLY(partition_record, apply_partition(image, &record));
		return error;
	case WIRE_RECORD_REMOVE_TOPIC:
		APPLY(remove_topic_record, apply_remove(image, &record));
		return error;
	case WIRE_RECORD_CONFIG:
		APPLY(config_record, apply_config(image, &record));
		return error;
	default:
		return apply_other(image, frame.key, version, read, scratch);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "storage/snapshot.h"

#include "control/meta/metalog.h"
#include "control/meta/topicconf.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/wire_gen.h"

#define METADATA_VERSION     27 /* Kafka's 4.1-IV1 */
#define PARTITION_VERSION    1  /* of PartitionRecord: with directories */
#define REGISTRATION_VERSION 3
#define RECORD_SIZE_MAX      8192
#define PENDING_SIZE_MAX     (64U * 1024 * 1024)

struct meta {
	const struct config *config;
	char dir[CONFIG_TEXT_MAX + 16];
	char cluster_id[UUID_TEXT_SIZE];
	struct uuid directory_id;
	struct metaimage image;
	struct metalog *log;
	uint8_t *pending; /* [pending_size] values of gathered records, each behind its u32 size */
	size_t pending_size;
	size_t pending_capacity;
	uint32_t pending_count;
};

/* ---- meta.properties: cluster id and directory id ---- */

static bool read_property(const char *path, const char *name, char *ret_value, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t name_size = strlen(name);
	char line[256];
	bool found = false;

	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strncmp(line, name, name_size) == 0 && line[name_size] == '=' &&
		    strlen(line + name_size + 1) < size) {
			(void)snprintf(ret_value, size, "%s", line + name_size + 1);
			found = true;
		}
	}
	(void)fclose(file); /* read-only */
	return found;
}

static int write_properties(const struct meta *meta, const char *path)
{
	char text[512];
	char directory[UUID_TEXT_SIZE];
	int size;
	int fd;
	int error = 0;

	uuid_format(&meta->directory_id, directory);
	size = snprintf(text, sizeof(text),
			"version=1\ncluster.id=%s\nnode.id=%lld\ndirectory.id=%s\n",
			meta->cluster_id, (long long)meta->config->box_id, directory);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)size) != size || fsync(fd) != 0)
		error = errno != 0 ? -errno : -EIO;
	if (close(fd) != 0 && error == 0)
		error = -errno;
	return error;
}

/** Our own file first; a new box takes the cluster id the log directory already has. */
static int load_properties(struct meta *meta)
{
	char path[PATH_MAX];
	char directory[UUID_TEXT_SIZE];
	struct uuid id;

	(void)snprintf(path, sizeof(path), "%s/meta.properties", meta->dir);
	if (read_property(path, "cluster.id", meta->cluster_id, sizeof(meta->cluster_id)) &&
	    read_property(path, "directory.id", directory, sizeof(directory)) &&
	    uuid_parse(directory, &meta->directory_id) == 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/log/meta.properties", meta->config->data_dir);
	if (!read_property(path, "cluster.id", meta->cluster_id, sizeof(meta->cluster_id)) ||
	    uuid_parse(meta->cluster_id, &id) != 0) {
		uuid_random(&id);
		uuid_format(&id, meta->cluster_id);
	}
	uuid_random(&meta->directory_id);
	(void)snprintf(path, sizeof(path), "%s/meta.properties", meta->dir);
	return write_properties(meta, path);
}

/* ---- records ---- */

static int reserve(struct meta *meta, size_t size)
{
	size_t capacity = meta->pending_capacity > 0 ? meta->pending_capacity : 4096;
	uint8_t *pending;

	if (meta->pending_size + size > PENDING_SIZE_MAX)
		return ERR_TOO_LARGE;
	while (capacity < meta->pending_size + size)
		capacity *= 2;
	if (capacity == meta->pending_capacity)
		return 0;
	pending = realloc(meta->pending, capacity);
	if (pending == NULL)
		return -ENOMEM;
	meta->pending = pending;
	meta->pending_capacity = capacity;
	return 0;
}

/** Apply a record and gather it for the log. */
static int put(struct meta *meta, const struct writer *writer)
{
	uint32_t size = (uint32_t)writer_size(writer);
	int error = writer->error;

	if (error == 0)
		error = reserve(meta, sizeof(size) + size);
	if (error == 0)
		error = metaimage_apply(&meta->image, writer->begin, size);
	if (error != 0)
		return error;
	memcpy(meta->pending + meta->pending_size, &size, sizeof(size));
	memcpy(meta->pending + meta->pending_size + sizeof(size), writer->begin, size);
	meta->pending_size += sizeof(size) + size;
	meta->pending_count++;
	return 0;
}

/** Frame, encode and put one record. */
#define PUT(meta, key, type, version, record)                                                      \
	({                                                                                         \
		uint8_t bytes_[RECORD_SIZE_MAX];                                                   \
		struct writer writer_;                                                             \
                                                                                                   \
		writer_init(&writer_, bytes_, sizeof(bytes_));                                     \
		wire_record_frame_encode(&writer_, (key), (version));                              \
		wire_encode_##type(&writer_, (version), (record));                                 \
		put((meta), &writer_);                                                             \
	})

static int put_feature(struct meta *meta, const char *name, int16_t level)
{
	struct wire_feature_level_record record;

	wire_default_feature_level_record(&record);
	record.name = wire_string_from(name);
	record.feature_level = level;
	return PUT(meta, WIRE_RECORD_FEATURE_LEVEL, feature_level_record, 0, &record);
}

static int put_registration(struct meta *meta)
{
	struct wire_register_broker_record record;
	struct wire_register_broker_record_end_points point;

	wire_default_register_broker_record_end_points(&point);
	point.name = WIRE_STRING("PLAINTEXT");
	point.host = wire_string_from(meta->config->socket_address);
	point.port = (uint16_t)meta->config->port;
	wire_default_register_broker_record(&record);
	record.broker_id = (int32_t)meta->config->box_id;
	record.incarnation_id = meta->directory_id;
	record.end_points = &point;
	record.end_points_count = 1;
	record.rack = WIRE_STRING_NULL;
	record.fenced = false;
	record.log_dirs = &meta->directory_id;
	record.log_dirs_count = 1;
	return PUT(meta, WIRE_RECORD_REGISTER_BROKER, register_broker_record, REGISTRATION_VERSION,
		   &record);
}

static int put_partition(struct meta *meta, const struct uuid *topic_id, int32_t index)
{
	struct wire_partition_record record;
	int32_t replica = (int32_t)meta->config->box_id;

	wire_default_partition_record(&record);
	record.partition_id = index;
	record.topic_id = *topic_id;
	record.replicas = record.isr = &replica;
	record.replicas_count = record.isr_count = 1;
	record.leader = replica;
	record.leader_epoch = 0;
	record.partition_epoch = 0;
	record.directories = &meta->directory_id;
	record.directories_count = 1;
	return PUT(meta, WIRE_RECORD_PARTITION, partition_record, PARTITION_VERSION, &record);
}

static int put_config(struct meta *meta, struct wire_string topic,
		      const struct meta_setting *setting)
{
	struct wire_config_record record;

	wire_default_config_record(&record);
	record.resource_type = 2; /* topic */
	record.resource_name = topic;
	record.name = setting->name;
	record.value = setting->value;
	return PUT(meta, WIRE_RECORD_CONFIG, config_record, 0, &record);
}

int meta_create_topic(struct meta *meta, struct wire_string name, int32_t partitions,
		      const struct meta_setting *settings, int32_t setting_count)
{
	struct wire_topic_record record;
	int error;

	CHECK(partitions > 0);
	if (meta->image.topic_count >= SNAPSHOT_TOPICS_MAX ||
	    meta->image.partition_count + partitions > SNAPSHOT_PARTITIONS_MAX)
		return ERR_TOO_LARGE;
	wire_default_topic_record(&record);
	record.name = name;
	uuid_random(&record.topic_id);
	error = PUT(meta, WIRE_RECORD_TOPIC, topic_record, 0, &record);
	for (int32_t i = 0; i < setting_count && error == 0; i++)
		error = put_config(meta, name, &settings[i]);
	for (int32_t i = 0; i < partitions && error == 0; i++)
		error = put_partition(meta, &record.topic_id, i);
	return error;
}

int meta_add_partitions(struct meta *meta, const struct uuid *topic_id, int32_t count)
{
	const struct metaimage_topic *topic = metaimage_topic_by_id(&meta->image, topic_id);
	int error = 0;

	CHECK(topic != NULL && count > topic->partition_count);
	if (meta->image.partition_count + count - topic->partition_count > SNAPSHOT_PARTITIONS_MAX)
		return ERR_TOO_LARGE;
	for (int32_t i = topic->partition_count; i < count && error == 0; i++)
		error = put_partition(meta, topic_id, i);
	return error;
}

int meta_delete_topic(struct meta *meta, const struct uuid *topic_id)
{
	struct wire_remove_topic_record record = { .topic_id = *topic_id };

	return PUT(meta, WIRE_RECORD_REMOVE_TOPIC, remove_topic_record, 0, &record);
}

int meta_next_producer_ids(struct meta *meta)
{
	struct wire_producer_ids_record record;

	wire_default_producer_ids_record(&record);
	record.broker_id = (int32_t)meta->config->box_id;
	record.broker_epoch = 0;
	record.next_producer_id = meta->image.next_producer_id + META_PRODUCER_IDS;
	return PUT(meta, WIRE_RECORD_PRODUCER_IDS, producer_ids_record, 0, &record);
}

/* ---- log and snapshot ---- */

bool meta_is_dirty(const struct meta *meta)
{
	return meta->pending_count > 0;
}

int meta_flush(struct meta *meta, int64_t now_ms)
{
	struct metalog_record *records;
	size_t at = 0;
	int error;

	if (!meta_is_dirty(meta))
		return 0;
	records = calloc(meta->pending_count, sizeof(*records));
	if (records == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < meta->pending_count; i++) {
		memcpy(&records[i].size, meta->pending + at, sizeof(records[i].size));
		records[i].bytes = meta->pending + at + sizeof(records[i].size);
		at += sizeof(records[i].size) + records[i].size;
	}
	CHECK(at == meta->pending_size);
	error = metalog_append(meta->log, records, meta->pending_count, now_ms);
	free(records);
	if (error == 0)
		meta->pending_size = meta->pending_count = 0;
	return error;
}

uint64_t meta_generation(const struct meta *meta)
{
	return (uint64_t)metalog_next_offset(meta->log) + meta->pending_count;
}

int meta_save(const struct meta *meta)
{
	const struct metaimage *image = &meta->image;
	char path[PATH_MAX];
	struct snapshot snapshot = {
		.generation = meta_generation(meta),
		.producer_id_first = MAX(image->next_producer_id - META_PRODUCER_IDS, INT64_C(0)),
		.producer_id_end = image->next_producer_id,
		.topic_count = (uint32_t)image->topic_count,
	};
	int error;

	CHECK(!meta_is_dirty(meta));
	(void)snprintf(snapshot.cluster_id, sizeof(snapshot.cluster_id), "%s", meta->cluster_id);
	snapshot.topics =
		calloc(image->topic_count > 0 ? image->topic_count : 1, sizeof(*snapshot.topics));
	if (snapshot.topics == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < image->topic_count; i++) {
		struct snapshot_topic *topic = &snapshot.topics[i];

		memcpy(topic->name, image->topics[i]->name, sizeof(topic->name));
		topic->id = image->topics[i]->id;
		topic->partition_count = image->topics[i]->partition_count;
		topic->leader_epoch = 0;
		topic->is_internal = topicconf_is_internal(topic->name);
		topicconf_resolve(image->topics[i], meta->config, topic);
	}
	(void)snprintf(path, sizeof(path), "%s/" SNAPSHOT_FILE, meta->config->data_dir);
	error = snapshot_save(path, &snapshot);
	free(snapshot.topics);
	return error;
}

static int replay(void *context, int64_t offset, const uint8_t *value, uint32_t size)
{
	struct meta *meta = context;

	(void)offset; /* records speak for themselves */
	return metaimage_apply(&meta->image, value, size);
}

/** A new log starts with the features, this box and a first block of producer ids. */
static int bootstrap(struct meta *meta, int64_t now_ms)
{
	int error;

	error = put_feature(meta, "metadata.version", METADATA_VERSION);
	if (error == 0)
		error = put_registration(meta);
	if (error == 0)
		error = meta_next_producer_ids(meta);
	return error == 0 ? meta_flush(meta, now_ms) : error;
}

int meta_open(const struct config *config, int64_t now_ms, struct meta **ret_meta)
{
	CLEANUP(meta_closep) struct meta *meta = calloc(1, sizeof(*meta));
	int error;

	if (meta == NULL)
		return -ENOMEM;
	meta->config = config;
	metaimage_init(&meta->image);
	(void)snprintf(meta->dir, sizeof(meta->dir), "%s/metadata", config->data_dir);
	if (mkdir(meta->dir, 0755) != 0 && errno != EEXIST)
		return -errno;
	error = load_properties(meta);
	if (error == 0)
		error = metalog_open(meta->dir, replay, meta, &meta->log);
	if (error == 0 && meta->image.broker_id < 0)
		error = bootstrap(meta, now_ms);
	if (error != 0)
		return error;
	*ret_meta = TAKE_PTR(meta);
	return 0;
}

void meta_close(struct meta *meta)
{
	if (meta == NULL)
		return;
	metalog_close(meta->log);
	metaimage_clear(&meta->image);
	free(meta->pending);
	free(meta);
}

const struct metaimage *meta_image(const struct meta *meta)
{
	return &meta->image;
}

const char *meta_cluster_id(const struct meta *meta)
{
	return meta->cluster_id;
}

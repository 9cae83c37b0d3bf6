/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "storage/segfile.h"

#define SNAPSHOT_MAGIC      UINT32_C(0x4d6c5370) /* "MlSp" */
#define SNAPSHOT_VERSION    UINT32_C(1)
#define HEADER_SIZE         16U
#define CRC_AT              12U
#define FIXED_SIZE          64U /* of the fields before the topics */
#define TOPIC_SIZE_MAX      (2U + SNAPSHOT_TOPIC_NAME_MAX + 96U) /* encoded */
#define TOPIC_SIZE_MIN      (2U + 1U + 67U)
#define TOPICS_SIZE_MAX     (SNAPSHOT_TOPICS_MAX * (size_t)TOPIC_SIZE_MAX)
#define FILE_SIZE_MAX       (HEADER_SIZE + FIXED_SIZE + TOPICS_SIZE_MAX)
#define TOPIC_NAME_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* ---- what a snapshot must satisfy, both ways ---- */

static bool is_topic_good(const struct snapshot_topic *topic)
{
	size_t size = strnlen(topic->name, sizeof(topic->name));

	/* The name becomes a folder's. */
	if (size == 0 || size > SNAPSHOT_TOPIC_NAME_MAX ||
	    strspn(topic->name, TOPIC_NAME_ALPHABET) != size || strcmp(topic->name, ".") == 0 ||
	    strcmp(topic->name, "..") == 0)
		return false;
	return topic->partition_count > 0 && topic->partition_count <= SNAPSHOT_PARTITIONS_MAX &&
	       topic->leader_epoch >= 0 && !uuid_is_zero(&topic->id);
}

static bool is_good(const struct snapshot *snapshot)
{
	int64_t partition_count = 0;

	if (snapshot->topic_count > SNAPSHOT_TOPICS_MAX || snapshot->producer_id_first < 0 ||
	    snapshot->producer_id_end < snapshot->producer_id_first ||
	    memchr(snapshot->cluster_id, '\0', sizeof(snapshot->cluster_id)) == NULL)
		return false;
	for (uint32_t i = 0; i < snapshot->topic_count; i++) {
		const struct snapshot_topic *topic = &snapshot->topics[i];

		if (!is_topic_good(topic))
			return false;
		if (i > 0 && strcmp(topic[-1].name, topic->name) >= 0)
			return false;
		partition_count += topic->partition_count;
	}
	return partition_count <= SNAPSHOT_PARTITIONS_MAX;
}

/* Of everything but the checksum's own bytes. */
static uint32_t crc_of(const uint8_t *bytes, size_t size)
{
	return crc32c_extend(crc32c_extend(CRC32C_INIT, bytes, CRC_AT), bytes + HEADER_SIZE,
			     size - HEADER_SIZE);
}

/* ---- encoding ---- */

static void put_text(struct writer *writer, const char *text)
{
	size_t size = strlen(text);

	writer_u16(writer, (uint16_t)size);
	writer_bytes(writer, text, size);
}

static void put_topic(struct writer *writer, const struct snapshot_topic *topic)
{
	put_text(writer, topic->name);
	writer_bytes(writer, topic->id.bytes, UUID_SIZE);
	writer_i32(writer, topic->partition_count);
	writer_i32(writer, topic->leader_epoch);
	writer_u8(writer, topic->is_internal);
	writer_i64(writer, topic->segment_size);
	writer_i64(writer, topic->segment_ms);
	writer_i64(writer, topic->retention_ms);
	writer_i64(writer, topic->retention_size);
	writer_i64(writer, topic->message_size_max);
	writer_u8(writer, topic->append_time);
	writer_u8(writer, topic->is_compacted);
}

static void encode(struct writer *writer, const struct snapshot *snapshot)
{
	writer_u32(writer, SNAPSHOT_MAGIC);
	writer_u32(writer, SNAPSHOT_VERSION);
	writer_u32(writer, 0);
	writer_u32(writer, 0);
	writer_u64(writer, snapshot->generation);
	put_text(writer, snapshot->cluster_id);
	writer_i64(writer, snapshot->producer_id_first);
	writer_i64(writer, snapshot->producer_id_end);
	writer_u32(writer, snapshot->topic_count);
	for (uint32_t i = 0; i < snapshot->topic_count; i++)
		put_topic(writer, &snapshot->topics[i]);
	CHECK(writer->error == 0);
	bytes_store_u32(writer->begin + 8, (uint32_t)(writer_size(writer) - HEADER_SIZE));
	bytes_store_u32(writer->begin + CRC_AT, crc_of(writer->begin, writer_size(writer)));
}

/* Split `path` and open its folder; the rename needs both. */
static int open_parent(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd;

	if (folder == NULL)
		return -ENOMEM;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return -errno;
	*ret_name = slash != NULL ? slash + 1 : path;
	return fd;
}

int snapshot_save(const char *path, const struct snapshot *snapshot)
{
	struct writer writer;
	const char *name = NULL;
	uint8_t *bytes;
	size_t size;
	int fd;
	int error;

	if (!is_good(snapshot))
		return -EINVAL;
	size = HEADER_SIZE + FIXED_SIZE + snapshot->topic_count * (size_t)TOPIC_SIZE_MAX;
	fd = open_parent(path, &name);
	if (fd < 0)
		return fd;
	bytes = malloc(size);
	if (bytes == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	writer_init(&writer, bytes, size);
	encode(&writer, snapshot);
	error = segfile_replace(fd, name, bytes, writer_size(&writer));
	(void)close(fd); /* a folder; segfile_replace() has synced it */
	free(bytes);
	return error;
}

/* ---- decoding ---- */

static void get_text(struct reader *reader, char *ret_text, size_t ret_size)
{
	uint16_t size = reader_u16(reader);
	const uint8_t *bytes = reader_bytes(reader, size);

	if (bytes == NULL)
		return;
	if (size >= ret_size || memchr(bytes, '\0', size) != NULL) {
		reader_fail(reader, ERR_MALFORMED);
		return;
	}
	memcpy(ret_text, bytes, size);
	ret_text[size] = '\0';
}

static bool get_bool(struct reader *reader)
{
	uint8_t value = reader_u8(reader);

	if (value > 1)
		reader_fail(reader, ERR_MALFORMED);
	return value == 1;
}

static void get_topic(struct reader *reader, struct snapshot_topic *topic)
{
	const uint8_t *id;

	get_text(reader, topic->name, sizeof(topic->name));
	id = reader_bytes(reader, UUID_SIZE);
	if (id != NULL)
		memcpy(topic->id.bytes, id, UUID_SIZE);
	topic->partition_count = reader_i32(reader);
	topic->leader_epoch = reader_i32(reader);
	topic->is_internal = get_bool(reader);
	topic->segment_size = reader_i64(reader);
	topic->segment_ms = reader_i64(reader);
	topic->retention_ms = reader_i64(reader);
	topic->retention_size = reader_i64(reader);
	topic->message_size_max = reader_i64(reader);
	topic->append_time = get_bool(reader);
	topic->is_compacted = get_bool(reader);
}

static int decode_body(struct reader *reader, struct snapshot **ret_snapshot)
{
	struct snapshot fixed;
	struct snapshot *snapshot;

	memset(&fixed, 0, sizeof(fixed));
	fixed.generation = reader_u64(reader);
	get_text(reader, fixed.cluster_id, sizeof(fixed.cluster_id));
	fixed.producer_id_first = reader_i64(reader);
	fixed.producer_id_end = reader_i64(reader);
	fixed.topic_count = reader_u32(reader);
	/* The count is believed only as far as there are bytes for so many. */
	if (reader->error != 0 || fixed.topic_count > SNAPSHOT_TOPICS_MAX ||
	    fixed.topic_count > reader_left(reader) / TOPIC_SIZE_MIN)
		return ERR_CORRUPT;
	snapshot = calloc(1, sizeof(*snapshot) + fixed.topic_count * sizeof(snapshot->topics[0]));
	if (snapshot == NULL)
		return -ENOMEM;
	*snapshot = fixed;
	snapshot->topics = (void *)(snapshot + 1);
	for (uint32_t i = 0; i < snapshot->topic_count; i++)
		get_topic(reader, &snapshot->topics[i]);
	if (reader->error != 0 || reader_left(reader) != 0 || !is_good(snapshot)) {
		free(snapshot);
		return ERR_CORRUPT;
	}
	*ret_snapshot = snapshot;
	return 0;
}

static int decode(const uint8_t *bytes, size_t size, struct snapshot **ret_snapshot)
{
	struct reader reader;
	uint32_t body_size;
	uint32_t version;

	if (size < HEADER_SIZE || bytes_load_u32(bytes) != SNAPSHOT_MAGIC)
		return ERR_CORRUPT;
	version = bytes_load_u32(bytes + 4);
	body_size = bytes_load_u32(bytes + 8);
	if (body_size != size - HEADER_SIZE ||
	    bytes_load_u32(bytes + CRC_AT) != crc_of(bytes, size))
		return ERR_CORRUPT;
	if (version != SNAPSHOT_VERSION)
		return ERR_UNSUPPORTED;
	reader_init(&reader, bytes + HEADER_SIZE, body_size);
	return decode_body(&reader, ret_snapshot);
}

int snapshot_load(const char *path, struct snapshot **ret_snapshot)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes = NULL;
	struct stat st;
	int error;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		error = -errno;
	else if (st.st_size <= 0 || (uint64_t)st.st_size > FILE_SIZE_MAX)
		error = ERR_CORRUPT;
	else if ((bytes = malloc((size_t)st.st_size)) == NULL)
		error = -ENOMEM;
	else
		error = segfile_read(fd, bytes, (size_t)st.st_size, 0);
	(void)close(fd); /* read only */
	if (error == 0)
		error = decode(bytes, (size_t)st.st_size, ret_snapshot);
	free(bytes);
	return error;
}

void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot);
}

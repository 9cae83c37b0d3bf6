/* SPDX-License-Identifier: Apache-2.0 */
#include "control/group/grouplog.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/wire/wire_gen.h"

#define OFFSET_KEY    1
#define GROUP_KEY     2
#define OFFSET_VALUE  3 /* versions written */
#define GROUP_VALUE   3
#define SCRATCH_EXTRA 4096

/** Next UTF-16 unit or pair of a UTF-8 string into the hash, as String.hashCode() sees it. */
static uint32_t hash_code_point(uint32_t hash, uint32_t point)
{
	if (point < 0x10000)
		return hash * 31 + point;
	point -= 0x10000;
	hash = hash * 31 + (0xd800 + (point >> 10));
	return hash * 31 + (0xdc00 + (point & 0x3ff));
}

static uint32_t java_hash(struct wire_string text)
{
	uint32_t hash = 0;
	int32_t i = 0;

	while (i < text.size) {
		uint8_t lead = (uint8_t)text.bytes[i++];
		int32_t more = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
		uint32_t point = more == 0 ? lead : lead & (0x3fU >> more);

		for (; more > 0 && i < text.size; more--)
			point = point << 6 | ((uint8_t)text.bytes[i++] & 0x3f);
		hash = hash_code_point(hash, point);
	}
	return hash;
}

uint32_t grouplog_partition(struct wire_string group_id, uint32_t partitions)
{
	int32_t hash = (int32_t)java_hash(group_id);

	if (hash == INT32_MIN)
		return 0;
	return (uint32_t)(hash < 0 ? -hash : hash) % partitions;
}

static void encode_group_key(struct writer *writer, const char *group_id)
{
	struct wire_group_metadata_key key = { .group = wire_string_from(group_id) };

	writer_i16(writer, GROUP_KEY);
	wire_encode_group_metadata_key(writer, GROUP_KEY, &key);
}

static int fill_members(const struct group *group,
			struct wire_group_metadata_value_members *members)
{
	int32_t count = 0;

	LIST_EACH(&group->members, node)
	{
		const struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		struct wire_group_metadata_value_members *one = &members[count++];
		int32_t size;
		const uint8_t *metadata = group_member_metadata(member, &size);

		wire_default_group_metadata_value_members(one);
		one->member_id = wire_string_from(member->id);
		one->group_instance_id = wire_string_from(member->instance_id);
		one->client_id = wire_string_from(member->client_id);
		one->client_host = wire_string_from(member->client_host);
		one->rebalance_timeout = member->rebalance_timeout_ms;
		one->session_timeout = member->session_timeout_ms;
		one->subscription = (struct wire_bytes){ metadata, size };
		one->assignment =
			(struct wire_bytes){ member->assignment, member->assignment_size };
	}
	return count;
}

int64_t grouplog_group_batch(const struct group *group, int64_t wall_ms, void *memory, size_t size)
{
	struct wire_group_metadata_value value;
	struct batch_builder builder;
	struct writer key;
	struct writer writer;
	uint8_t key_bytes[GROUPLOG_KEY_MAX];
	uint8_t *bytes = malloc(size);
	int64_t result = ERR_TOO_LARGE;

	wire_default_group_metadata_value(&value);
	value.members = calloc((size_t)group->member_count + 1, sizeof(*value.members));
	if (bytes == NULL || value.members == NULL) {
		free(bytes);
		free(value.members);
		return -ENOMEM;
	}
	value.protocol_type =
		wire_string_from(group->protocol_type != NULL ? group->protocol_type : "");
	value.generation = group->generation;
	value.protocol = wire_string_from(group->protocol);
	value.leader = wire_string_from(group->leader_id);
	value.current_state_timestamp = group->state_since_ms;
	value.members_count = fill_members(group, value.members);
	writer_init(&key, key_bytes, sizeof(key_bytes));
	encode_group_key(&key, group->id);
	writer_init(&writer, bytes, size);
	writer_i16(&writer, GROUP_VALUE);
	wire_encode_group_metadata_value(&writer, GROUP_VALUE, &value);
	if (key.error == 0 && writer.error == 0) {
		batch_builder_init(&builder, memory, size, wall_ms, 0);
		batch_builder_add(&builder, key_bytes, writer_size(&key), bytes,
				  writer_size(&writer));
		result = batch_builder_end(&builder, 0, 0);
	}
	free(bytes);
	free(value.members);
	return result;
}

static void add_offset(struct batch_builder *builder, const char *group_id,
		       const struct grouplog_offset *offset, int64_t wall_ms)
{
	struct wire_offset_commit_key key = {
		.group = wire_string_from(group_id),
		.topic = offset->topic,
		.partition = offset->partition,
	};
	struct wire_offset_commit_value value;
	uint8_t key_bytes[GROUPLOG_KEY_MAX];
	uint8_t value_bytes[OFFSETS_METADATA_MAX + 64];
	struct writer key_writer;
	struct writer writer;

	writer_init(&key_writer, key_bytes, sizeof(key_bytes));
	writer_i16(&key_writer, OFFSET_KEY);
	wire_encode_offset_commit_key(&key_writer, OFFSET_KEY, &key);
	wire_default_offset_commit_value(&value);
	value.offset = offset->offset;
	value.leader_epoch = offset->leader_epoch;
	value.metadata = offset->metadata.size >= 0 ? offset->metadata : WIRE_STRING("");
	value.commit_timestamp = wall_ms;
	writer_init(&writer, value_bytes, sizeof(value_bytes));
	writer_i16(&writer, OFFSET_VALUE);
	wire_encode_offset_commit_value(&writer, OFFSET_VALUE, &value);
	if (key_writer.error != 0 || writer.error != 0)
		builder->writer.error = ERR_TOO_LARGE;
	else if (offset->is_tombstone)
		batch_builder_add(builder, key_bytes, writer_size(&key_writer), NULL, 0);
	else
		batch_builder_add(builder, key_bytes, writer_size(&key_writer), value_bytes,
				  writer_size(&writer));
}

int64_t grouplog_offsets_batch(const char *group_id, const struct grouplog_offset *offsets,
			       int32_t count, bool is_last, int64_t wall_ms, void *memory,
			       size_t size)
{
	struct batch_builder builder;

	batch_builder_init(&builder, memory, size, wall_ms, 0);
	for (int32_t i = 0; i < count; i++)
		add_offset(&builder, group_id, &offsets[i], wall_ms);
	if (is_last) {
		uint8_t key_bytes[GROUPLOG_KEY_MAX];
		struct writer key;

		writer_init(&key, key_bytes, sizeof(key_bytes));
		encode_group_key(&key, group_id);
		if (key.error != 0)
			return key.error;
		batch_builder_add(&builder, key_bytes, writer_size(&key), NULL, 0);
	}
	return batch_builder_end(&builder, 0, 0);
}

/* ---- applying ---- */

static int apply_offset(struct groups *groups, struct reader *key, int16_t version,
			const struct batch_record *record, int64_t wall_ms)
{
	struct wire_offset_commit_key id;
	struct wire_offset_commit_value value;
	struct wire_scratch none;
	struct group *group;
	struct reader reader;
	int16_t value_version;
	int error;

	wire_scratch_init(&none, &none, 0);
	error = wire_decode_offset_commit_key(key, version, &none, &id);
	if (error != 0)
		return error;
	if (record->value == NULL) {
		group = groups_find(groups, id.group);
		if (group != NULL)
			offsets_remove(&group->offsets, id.topic, id.partition);
		return 0;
	}
	reader_init(&reader, record->value, (size_t)record->value_size);
	value_version = reader_i16(&reader);
	if (reader.error != 0 || value_version < 0 || value_version > 4)
		return ERR_MALFORMED;
	error = wire_decode_offset_commit_value(&reader, value_version, &none, &value);
	if (error != 0)
		return error;
	group = groups_get(groups, id.group);
	if (group == NULL)
		return ERR_TOO_LARGE;
	return offsets_set(&group->offsets, id.topic, id.partition, value.offset,
			   value.leader_epoch, value.metadata,
			   value.commit_timestamp > 0 ? value.commit_timestamp : wall_ms);
}

static int restore_member(struct group *group, const struct wire_group_metadata_value_members *from)
{
	struct group_member *member =
		group_add_member(group, from->member_id, from->group_instance_id);
	union {
		const uint8_t *borrowed;
		uint8_t *copied_only; /* group_member_vote() copies and never writes */
	} metadata = { .borrowed = from->subscription.bytes };
	struct group_protocol protocol = { group->protocol, metadata.copied_only,
					   MAX(from->subscription.size, 0) };

	if (member == NULL)
		return -ENOMEM;
	member->client_id = group_text(from->client_id);
	member->client_host = group_text(from->client_host);
	member->session_timeout_ms = from->session_timeout;
	member->rebalance_timeout_ms =
		from->rebalance_timeout >= 0 ? from->rebalance_timeout : from->session_timeout;
	if (member->client_id == NULL || member->client_host == NULL)
		return -ENOMEM;
	if (from->assignment.size > 0) {
		member->assignment = malloc((size_t)from->assignment.size);
		if (member->assignment == NULL)
			return -ENOMEM;
		memcpy(member->assignment, from->assignment.bytes, (size_t)from->assignment.size);
		member->assignment_size = from->assignment.size;
	}
	return protocol.name != NULL ? group_member_vote(member, &protocol, 1) : 0;
}

static void forget_members(struct group *group)
{
	LIST_EACH_SAFE(&group->members, node)
	group_remove_member(group, LIST_ENTRY(node, struct group_member, link));
	free(group->protocol_type);
	free(group->protocol);
	free(group->leader_id);
	group->protocol_type = group->protocol = group->leader_id = NULL;
}

static char *text_or_null(struct wire_string text)
{
	return text.size >= 0 ? group_text(text) : NULL;
}

static int restore_group(struct groups *groups, struct wire_string id,
			 const struct wire_group_metadata_value *value)
{
	struct group *group = groups_get(groups, id);
	int error = 0;

	if (group == NULL)
		return ERR_TOO_LARGE;
	forget_members(group);
	group->generation = value->generation;
	group->protocol_type = text_or_null(value->protocol_type);
	group->protocol = text_or_null(value->protocol);
	group->leader_id = text_or_null(value->leader);
	for (int32_t i = 0; i < value->members_count && error == 0; i++)
		error = restore_member(group, &value->members[i]);
	group->state = value->members_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
	group->state_since_ms = value->current_state_timestamp;
	return error;
}

/** @return true when live members (replayed ones have no session yet) or future ones are there */
static bool is_in_use(const struct group *group)
{
	LIST_EACH(&group->members, node)
	if (LIST_ENTRY(node, struct group_member, link)->session.fn != NULL)
		return true;
	return group->pending_count > 0;
}

/** Who is in memory is ahead of the log: only a tombstone or a replay changes it. */
static int apply_group(struct groups *groups, struct reader *key, int16_t version,
		       const struct batch_record *record)
{
	struct wire_group_metadata_key id;
	struct wire_group_metadata_value value;
	struct wire_scratch scratch;
	struct reader reader;
	struct group *group;
	int16_t value_version;
	uint8_t *memory;
	size_t size;
	int error;

	wire_scratch_init(&scratch, &scratch, 0);
	error = wire_decode_group_metadata_key(key, version, &scratch, &id);
	if (error != 0)
		return error;
	group = groups_find(groups, id.group);
	if (record->value == NULL) {
		if (group != NULL && is_in_use(group))
			offsets_clear(&group->offsets); /* somebody joined meanwhile */
		else if (group != NULL)
			groups_remove(groups, group);
		return 0;
	}
	/* A member takes at least 16 bytes of the value, and its struct less than 16 times that. */
	size = (size_t)record->value_size * 16 + SCRATCH_EXTRA;
	memory = malloc(size);
	if (memory == NULL)
		return -ENOMEM;
	wire_scratch_init(&scratch, memory, size);
	reader_init(&reader, record->value, (size_t)record->value_size);
	value_version = reader_i16(&reader);
	error = ERR_MALFORMED;
	if (reader.error == 0 && value_version >= 0 && value_version <= 4)
		error = wire_decode_group_metadata_value(&reader, value_version, &scratch, &value);
	if (error == 0)
		error = restore_group(groups, id.group, &value);
	free(memory);
	return error;
}

static int apply_record(struct groups *groups, const struct batch_record *record, int64_t wall_ms)
{
	struct reader key;
	int16_t version;

	if (record->key == NULL)
		return ERR_MALFORMED;
	reader_init(&key, record->key, (size_t)record->key_size);
	version = reader_i16(&key);
	if (key.error != 0)
		return key.error;
	if (version == 0 || version == OFFSET_KEY)
		return apply_offset(groups, &key, version, record, wall_ms);
	if (version == GROUP_KEY)
		return apply_group(groups, &key, version, record);
	return 0; /* of newer group types: not ours to judge */
}

int grouplog_apply(struct groups *groups, const uint8_t *bytes, const struct batch *batch)
{
	struct reader reader;

	if ((batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0)
		return 0;
	if ((batch->attributes & BATCH_ATTRIBUTE_CODEC) != 0)
		return ERR_UNSUPPORTED;
	reader_init(&reader, bytes + BATCH_HEADER_SIZE, batch->size - BATCH_HEADER_SIZE);
	for (int32_t i = 0; i < batch->record_count; i++) {
		struct batch_record record;
		int error = batch_record_next(&reader, &record);

		if (error == 0)
			error = apply_record(groups, &record,
					     batch->base_timestamp + record.timestamp_delta);
		if (error != 0)
			return error;
	}
	return 0;
}

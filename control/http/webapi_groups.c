/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups: their members, what they committed, and how far behind they are. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "control/http/webapi_impl.h"
#include "dataplane/wire/wire_gen.h"

#define ASSIGNMENT_VERSION_MAX 3 /* newer ones only add behind it */
#define SCRATCH_SIZE                                                                               \
	(256 * 1024) /* decoded assignment of one member: topics and partition numbers */

/** @return watermark of a partition; -1 unknown */
static int64_t watermark(struct webapi *api, const char *topic_name, int32_t partition)
{
	const struct metaimage_topic *topic =
		metaimage_topic(meta_image(api->config.meta), wire_string_from(topic_name));
	const struct position *position;

	if (topic == NULL)
		return -1;
	position = positions_find(webapi_positions(api), &topic->id, (uint32_t)partition);
	return position != NULL ? position->high_watermark : -1;
}

static int64_t lag_of(const struct offset *offset, int64_t high_watermark)
{
	return high_watermark >= 0 ? MAX(high_watermark - offset->offset, INT64_C(0)) : 0;
}

int64_t webapi_group_lag(struct webapi *api, const struct group *group)
{
	int64_t lag = 0;

	for (size_t i = 0; i < group->offsets.count; i++) {
		const struct offset *offset = &group->offsets.all[i];

		lag += lag_of(offset, watermark(api, offset->topic, offset->partition));
	}
	return lag;
}

static json_t *offsets_json(struct webapi *api, const struct group *group)
{
	json_t *offsets = json_array();

	for (size_t i = 0; i < group->offsets.count; i++) {
		const struct offset *offset = &group->offsets.all[i];
		int64_t high = watermark(api, offset->topic, offset->partition);

		(void)json_array_append_new(
			offsets,
			json_pack("{s:o*, s:i, s:I, s:I, s:I}", "topic", webapi_text(offset->topic),
				  "partition", offset->partition, "committed",
				  (json_int_t)offset->offset, "high_watermark", (json_int_t)high,
				  "lag", (json_int_t)lag_of(offset, high)));
	}
	return offsets;
}

static json_t *
topic_partitions(const struct wire_consumer_protocol_assignment_assigned_partitions *assigned)
{
	json_t *partitions = json_array();
	char *name = strndup(assigned->topic.bytes, (size_t)MAX(assigned->topic.size, 0));
	json_t *value;

	for (int32_t i = 0; i < assigned->partitions_count; i++)
		(void)json_array_append_new(partitions, json_integer(assigned->partitions[i]));
	value = json_pack("{s:o*, s:o}", "topic", name != NULL ? webapi_text(name) : NULL,
			  "partitions", partitions);
	free(name);
	return value;
}

/* Only the "consumer" protocol says what its bytes mean. */
static json_t *assignment_json(const struct group *group, const struct group_member *member)
{
	static uint8_t memory[SCRATCH_SIZE];
	struct wire_consumer_protocol_assignment assignment;
	json_t *value = json_array();
	struct wire_scratch scratch;
	struct reader reader;
	int16_t version;

	if (group->protocol_type == NULL || strcmp(group->protocol_type, "consumer") != 0 ||
	    member->assignment == NULL)
		return value;
	reader_init(&reader, member->assignment, (size_t)member->assignment_size);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	version = reader_i16(&reader);
	if (wire_decode_consumer_protocol_assignment(&reader,
						     (int16_t)MIN(version, ASSIGNMENT_VERSION_MAX),
						     &scratch, &assignment) != 0)
		return value;
	for (int32_t i = 0; i < assignment.assigned_partitions_count; i++)
		(void)json_array_append_new(value,
					    topic_partitions(&assignment.assigned_partitions[i]));
	return value;
}

static json_t *members_json(const struct group *group)
{
	json_t *members = json_array();

	for (struct list *node = group->members.next; node != &group->members; node = node->next) {
		const struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		json_t *value = json_object();

		webapi_set(value, "member_id", webapi_text(member->id));
		webapi_set(value, "instance_id",
			   member->instance_id != NULL ? webapi_text(member->instance_id)
						       : json_null());
		webapi_set(value, "client_id", webapi_text(member->client_id));
		webapi_set(value, "host", webapi_text(member->client_host));
		webapi_set(value, "assignment", assignment_json(group, member));
		(void)json_array_append_new(members, value);
	}
	return members;
}

static json_t *group_json(struct webapi *api, const struct group *group, bool is_brief)
{
	json_t *value = json_object();

	webapi_set(value, "group", webapi_text(group->id));
	webapi_set(value, "state", json_string(group_state_name(group->state)));
	webapi_set(value, "protocol_type",
		   webapi_text(group->protocol_type != NULL ? group->protocol_type : ""));
	webapi_set(value, "protocol", webapi_text(group->protocol != NULL ? group->protocol : ""));
	webapi_set(value, "generation", json_integer(group->generation));
	webapi_set(value, "member_count", json_integer(group->member_count));
	webapi_set(value, "lag", json_integer(webapi_group_lag(api, group)));
	if (is_brief)
		return value;
	webapi_set(value, "members", members_json(group));
	webapi_set(value, "offsets", offsets_json(api, group));
	return value;
}

void webapi_get_groups(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct groups *groups = api->config.groups;
	bool is_brief = webapi_is_brief(call);
	json_t *list = json_array();

	for (size_t i = 0; i < groups->count; i++)
		(void)json_array_append_new(list, group_json(api, groups->all[i], is_brief));
	http_reply_json(call, 200, json_pack("{s:o}", "groups", list));
}

/** @return the group that the path names; NULL: answered 404 */
static const struct group *named_group(const struct webapi *api, struct http_call *call)
{
	const char *name = http_call_rest(call);
	const struct group *group = groups_find(api->config.groups, wire_string_from(name));

	if (group == NULL)
		http_reply_error(call, 404, "there is no group '%s'", name);
	return group;
}

void webapi_get_group(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct group *group = named_group(api, call);

	if (group != NULL)
		http_reply_json(call, 200, group_json(api, group, false));
}

void webapi_delete_group(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct group *group = named_group(api, call);
	struct wire_delete_groups_request request;
	uint8_t body[1024]; /* the path is shorter */
	struct wire_string name;
	struct writer writer;

	if (group == NULL)
		return;
	name = wire_string_from(group->id);
	wire_default_delete_groups_request(&request);
	request.groups_names = &name;
	request.groups_names_count = 1;
	writer_init(&writer, body, sizeof(body));
	wire_encode_delete_groups_request(&writer, WEBAPI_DELETE_GROUP_VERSION, &request);
	CHECK(writer.error == 0);
	webapi_change(api, call, WEBAPI_DELETE_GROUP, group->id, body,
		      (uint32_t)writer_size(&writer));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups. */
#include <stdlib.h>
#include <strings.h>

#include "control/group/coordinator_impl.h"
#include "dataplane/wire/wire_gen.h"

#define GROUPS_PER_REQUEST_MAX 10000

/* ---- join and sync: the requests ---- */

/** The protocols with zero-terminated names, in the call's memory. */
static struct group_protocol *lift_protocols(struct call *call,
					     const struct wire_join_group_request *request)
{
	struct group_protocol *protocols =
		call_array(call, request->protocols_count, sizeof(*protocols));

	for (int32_t i = 0; i < request->protocols_count && protocols != NULL; i++) {
		const struct wire_join_group_request_protocols *from = &request->protocols[i];
		char *name = call_array(call, from->name.size + 1, 1);
		uint8_t *metadata = call_array(call, from->metadata.size, 1);

		if (name == NULL || (metadata == NULL && from->metadata.size > 0))
			return NULL;
		memcpy(name, from->name.bytes, (size_t)from->name.size);
		if (metadata != NULL)
			memcpy(metadata, from->metadata.bytes, (size_t)from->metadata.size);
		protocols[i] = (struct group_protocol){ name, metadata, from->metadata.size };
	}
	return protocols;
}

static enum call_result join(struct coordinator *coordinator, struct call *call)
{
	struct wire_join_group_request request;
	struct group_joined refused = { .member_id = "" };
	struct rebalance_join how;

	if (wire_decode_join_group_request(&call->body, call->version, &call->scratch, &request) !=
	    0)
		return CALL_BAD;
	refused.error = coordinator_ready(coordinator, request.group_id);
	if (refused.error != KAFKA_NONE) {
		membercalls_join_done(coordinator, call->token, &refused);
		return CALL_LATER;
	}
	how = (struct rebalance_join){
		.group_id = request.group_id,
		.member_id = request.member_id,
		.instance_id = request.group_instance_id,
		.client_id = call->client_id,
		.client_host = call->client_host,
		.protocol_type = request.protocol_type,
		.protocols = lift_protocols(call, &request),
		.protocol_count = request.protocols_count,
		.session_timeout_ms = request.session_timeout_ms,
		/* Version 0 knows one timeout for both. */
		.rebalance_timeout_ms = request.rebalance_timeout_ms >= 0
						? request.rebalance_timeout_ms
						: request.session_timeout_ms,
		.id_required = call->version >= 4,
		.skip_assignment = call->version >= 9,
	};
	if (call->body.error != 0)
		return CALL_BAD;
	rebalance_join(&coordinator->groups, &how, call->token, call->now_ns);
	return CALL_LATER;
}

static enum call_result sync(struct coordinator *coordinator, struct call *call)
{
	struct wire_sync_group_request request;
	struct group_synced refused = { .error = KAFKA_NONE };
	struct rebalance_assignment *assignments;
	struct rebalance_sync how;

	if (wire_decode_sync_group_request(&call->body, call->version, &call->scratch, &request) !=
	    0)
		return CALL_BAD;
	refused.error = coordinator_ready(coordinator, request.group_id);
	/* An assignment that was under way is lost: joining again gives a new one, as in Kafka. */
	if (refused.error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
		refused.error = KAFKA_REBALANCE_IN_PROGRESS;
	if (refused.error != KAFKA_NONE) {
		membercalls_sync_done(coordinator, call->token, &refused);
		return CALL_LATER;
	}
	assignments = call_array(call, request.assignments_count, sizeof(*assignments));
	if (call->body.error != 0)
		return CALL_BAD;
	for (int32_t i = 0; i < request.assignments_count; i++) {
		assignments[i].member_id = request.assignments[i].member_id;
		assignments[i].bytes = request.assignments[i].assignment;
	}
	how = (struct rebalance_sync){
		.group_id = request.group_id,
		.member_id = request.member_id,
		.instance_id = request.group_instance_id,
		.protocol_type = request.protocol_type,
		.protocol = request.protocol_name,
		.generation = request.generation_id,
		.assignments = assignments,
		.assignment_count = request.assignments_count,
	};
	rebalance_sync(&coordinator->groups, &how, call->token, call->now_ns);
	return CALL_LATER;
}

/* ---- join and sync: the answers, now or later ---- */

static void send(struct coordinator *coordinator, uint64_t token, const struct writer *writer)
{
	/* An answer that does not fit the channel cannot be given: the connection is closed. */
	coordinator->ops->reply(coordinator->context, token,
				writer->error == 0 ? writer->begin : NULL,
				(uint32_t)writer_size(writer));
}

static void list_members(const struct group *group,
			 struct wire_join_group_response_members *members)
{
	int32_t count = 0;

	LIST_EACH(&group->members, node)
	{
		const struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		struct wire_join_group_response_members *one = &members[count++];
		int32_t size;
		const uint8_t *metadata = group_member_metadata(member, &size);

		one->member_id = wire_string_from(member->id);
		one->group_instance_id = wire_string_from(member->instance_id);
		one->metadata = (struct wire_bytes){ metadata, size };
	}
}

void membercalls_join_done(void *context, uint64_t cookie, const struct group_joined *joined)
{
	struct coordinator *coordinator = context;
	const struct parked_request *request = parked_find(coordinator->parked, cookie);
	struct wire_join_group_response response;
	struct writer writer;

	if (request == NULL)
		return;
	wire_default_join_group_response(&response);
	response.error_code = (int16_t)joined->error;
	response.member_id = wire_string_from(joined->member_id);
	response.protocol_name = request->version >= 7 ? WIRE_STRING_NULL : WIRE_STRING("");
	response.leader = WIRE_STRING("");
	if (joined->error == KAFKA_NONE) {
		const struct group *group = joined->group;

		response.generation_id = group->generation;
		response.protocol_type = wire_string_from(group->protocol_type);
		response.protocol_name = wire_string_from(group->protocol);
		response.leader = wire_string_from(joined->leader_id);
		response.skip_assignment = joined->skip_assignment;
		if (joined->with_members) {
			response.members =
				calloc((size_t)group->member_count, sizeof(*response.members));
			if (response.members != NULL) {
				list_members(group, response.members);
				response.members_count = group->member_count;
			}
		}
	}
	writer_init(&writer, coordinator->reply, COORDINATOR_BATCH_MAX);
	wire_encode_join_group_response(&writer, request->version, &response);
	/* A leader without its members would assign nothing. */
	if (joined->with_members && response.members == NULL)
		writer.error = ERR_TOO_LARGE;
	free(response.members);
	send(coordinator, cookie, &writer);
}

void membercalls_sync_done(void *context, uint64_t cookie, const struct group_synced *synced)
{
	struct coordinator *coordinator = context;
	const struct parked_request *request = parked_find(coordinator->parked, cookie);
	struct wire_sync_group_response response;
	struct writer writer;

	if (request == NULL)
		return;
	wire_default_sync_group_response(&response);
	response.error_code = (int16_t)synced->error;
	response.assignment = (struct wire_bytes){ synced->assignment, synced->size };
	if (synced->error == KAFKA_NONE) {
		response.protocol_type = wire_string_from(synced->group->protocol_type);
		response.protocol_name = wire_string_from(synced->group->protocol);
	}
	writer_init(&writer, coordinator->reply, COORDINATOR_BATCH_MAX);
	wire_encode_sync_group_response(&writer, request->version, &response);
	send(coordinator, cookie, &writer);
}

/* ---- heartbeat and leave ---- */

static enum call_result heartbeat(struct coordinator *coordinator, struct call *call)
{
	struct wire_heartbeat_request request;
	struct wire_heartbeat_response response;
	enum kafka_err error;

	if (wire_decode_heartbeat_request(&call->body, call->version, &call->scratch, &request) !=
	    0)
		return CALL_BAD;
	error = coordinator_ready(coordinator, request.group_id);
	/* While its group is read, a member is alive for all we know: as Kafka does. */
	if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
		error = KAFKA_NONE;
	else if (error == KAFKA_NONE)
		error = rebalance_heartbeat(&coordinator->groups, request.group_id,
					    request.member_id, request.group_instance_id,
					    request.generation_id, call->now_ns);
	wire_default_heartbeat_response(&response);
	response.error_code = (int16_t)error;
	wire_encode_heartbeat_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

static enum call_result leave(struct coordinator *coordinator, struct call *call)
{
	struct wire_leave_group_request request;
	struct wire_leave_group_response response;
	enum kafka_err error;

	if (wire_decode_leave_group_request(&call->body, call->version, &call->scratch, &request) !=
	    0)
		return CALL_BAD;
	wire_default_leave_group_response(&response);
	error = coordinator_ready(coordinator, request.group_id);
	if (error == KAFKA_NONE && call->version < 3)
		error = rebalance_leave(&coordinator->groups, request.group_id, request.member_id,
					WIRE_STRING_NULL, call->now_ns);
	if (error == KAFKA_NONE && call->version >= 3) {
		response.members =
			call_array(call, request.members_count, sizeof(*response.members));
		response.members_count = response.members != NULL ? request.members_count : 0;
	}
	for (int32_t i = 0; i < response.members_count; i++) {
		const struct wire_leave_group_request_members *one = &request.members[i];

		response.members[i].member_id = one->member_id;
		response.members[i].group_instance_id = one->group_instance_id;
		response.members[i].error_code = (int16_t)rebalance_leave(
			&coordinator->groups, request.group_id, one->member_id,
			one->group_instance_id, call->now_ns);
	}
	response.error_code = (int16_t)error;
	wire_encode_leave_group_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

/* ---- describe, list, delete ---- */

static void describe_members(struct call *call, const struct group *group,
			     struct wire_describe_groups_response_groups *answer)
{
	int32_t count = 0;

	answer->members = call_array(call, group->member_count, sizeof(*answer->members));
	if (answer->members == NULL)
		return;
	LIST_EACH(&group->members, node)
	{
		const struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		struct wire_describe_groups_response_groups_members *one =
			&answer->members[count++];

		wire_default_describe_groups_response_groups_members(one);
		one->member_id = wire_string_from(member->id);
		one->group_instance_id = wire_string_from(member->instance_id);
		one->client_id = wire_string_from(member->client_id);
		one->client_host = wire_string_from(member->client_host);
		if (group->state == GROUP_STABLE) {
			int32_t size;
			const uint8_t *metadata = group_member_metadata(member, &size);

			one->member_metadata = (struct wire_bytes){ metadata, size };
			one->member_assignment =
				(struct wire_bytes){ member->assignment, member->assignment_size };
		}
	}
	answer->members_count = count;
}

static void describe_one(struct coordinator *coordinator, struct call *call, struct wire_string id,
			 struct wire_describe_groups_response_groups *answer)
{
	const struct group *group;

	wire_default_describe_groups_response_groups(answer);
	answer->group_id = id;
	answer->group_state = answer->protocol_type = answer->protocol_data = WIRE_STRING("");
	answer->error_code = (int16_t)coordinator_ready(coordinator, id);
	if (answer->error_code != KAFKA_NONE)
		return;
	group = groups_find(&coordinator->groups, id);
	if (group == NULL) {
		answer->group_state = wire_string_from(group_state_name(GROUP_DEAD));
		if (call->version >= 6) {
			answer->error_code = KAFKA_GROUP_ID_NOT_FOUND;
			answer->error_message = WIRE_STRING("no such group");
		}
		return;
	}
	answer->group_state = wire_string_from(group_state_name(group->state));
	if (group->protocol_type != NULL)
		answer->protocol_type = wire_string_from(group->protocol_type);
	if (group->state == GROUP_STABLE && group->protocol != NULL)
		answer->protocol_data = wire_string_from(group->protocol);
	describe_members(call, group, answer);
}

static enum call_result describe(struct coordinator *coordinator, struct call *call)
{
	struct wire_describe_groups_request request;
	struct wire_describe_groups_response response;

	if (wire_decode_describe_groups_request(&call->body, call->version, &call->scratch,
						&request) != 0)
		return CALL_BAD;
	wire_default_describe_groups_response(&response);
	response.groups = call_array(call, request.groups_count, sizeof(*response.groups));
	response.groups_count = response.groups != NULL ? request.groups_count : 0;
	for (int32_t i = 0; i < response.groups_count; i++)
		describe_one(coordinator, call, request.groups[i], &response.groups[i]);
	wire_encode_describe_groups_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

/** An empty filter lets everything through; names are compared without case, as in Kafka. */
static bool passes(const struct wire_string *filter, int32_t count, const char *name)
{
	if (count <= 0)
		return true;
	for (int32_t i = 0; i < count; i++)
		if ((size_t)MAX(filter[i].size, 0) == strlen(name) &&
		    strncasecmp(filter[i].bytes, name, strlen(name)) == 0)
			return true;
	return false;
}

static enum call_result list_groups(struct coordinator *coordinator, struct call *call)
{
	const struct groups *groups = &coordinator->groups;
	struct wire_list_groups_request request;
	struct wire_list_groups_response response;

	if (wire_decode_list_groups_request(&call->body, call->version, &call->scratch, &request) !=
	    0)
		return CALL_BAD;
	wire_default_list_groups_response(&response);
	if (!coordinator->running)
		response.error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
	else if (!coordinator_is_loaded(coordinator))
		response.error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	else
		response.groups =
			call_array(call, (int32_t)groups->count, sizeof(*response.groups));
	for (size_t i = 0; i < groups->count && response.groups != NULL; i++) {
		const struct group *group = groups->all[i];
		struct wire_list_groups_response_groups *one;

		if (!passes(request.states_filter, request.states_filter_count,
			    group_state_name(group->state)) ||
		    !passes(request.types_filter, request.types_filter_count, "classic"))
			continue;
		one = &response.groups[response.groups_count++];
		one->group_id = wire_string_from(group->id);
		one->protocol_type =
			wire_string_from(group->protocol_type != NULL ? group->protocol_type : "");
		one->group_state = wire_string_from(group_state_name(group->state));
		one->group_type = WIRE_STRING("classic");
	}
	wire_encode_list_groups_response(&call->reply, call->version, &response);
	return call_end(call, CALL_DONE);
}

static enum kafka_err may_delete(struct coordinator *coordinator, struct wire_string id)
{
	enum kafka_err error = coordinator_ready(coordinator, id);
	const struct group *group;

	if (error != KAFKA_NONE)
		return error;
	group = groups_find(&coordinator->groups, id);
	if (group == NULL)
		return KAFKA_GROUP_ID_NOT_FOUND;
	return group->state == GROUP_EMPTY ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

static enum kafka_err bury(struct coordinator *coordinator, struct call *call,
			   const struct group *group, struct coordinator_answer *answer)
{
	int32_t count = (int32_t)group->offsets.count;
	struct grouplog_offset *gone = calloc((size_t)count + 1, sizeof(*gone));
	enum kafka_err error;
	int64_t size;

	if (gone == NULL)
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	for (int32_t i = 0; i < count; i++)
		gone[i] = (struct grouplog_offset){
			.topic = wire_string_from(group->offsets.all[i].topic),
			.partition = group->offsets.all[i].partition,
			.is_tombstone = true,
		};
	size = grouplog_offsets_batch(group->id, gone, count, true, call->wall_ms,
				      coordinator->buffer, COORDINATOR_BATCH_MAX);
	error = coordinator_append(coordinator, group->id, 0, answer, size);
	free(gone);
	return error;
}

static enum call_result delete_groups(struct coordinator *coordinator, struct call *call)
{
	struct wire_delete_groups_request request;
	struct wire_delete_groups_response response;
	struct coordinator_answer *answer;
	struct writer fail;
	bool any = false;

	if (wire_decode_delete_groups_request(&call->body, call->version, &call->scratch,
					      &request) != 0 ||
	    request.groups_names_count > GROUPS_PER_REQUEST_MAX)
		return CALL_BAD;
	wire_default_delete_groups_response(&response);
	response.results = call_array(call, request.groups_names_count, sizeof(*response.results));
	response.results_count = response.results != NULL ? request.groups_names_count : 0;
	for (int32_t i = 0; i < response.results_count; i++) {
		enum kafka_err error = may_delete(coordinator, request.groups_names[i]);

		response.results[i].group_id = request.groups_names[i];
		response.results[i].error_code = (int16_t)error;
		any |= error == KAFKA_NONE;
	}
	wire_encode_delete_groups_response(&call->reply, call->version, &response);
	if (!any || call_end(call, CALL_DONE) == CALL_BAD)
		return call_end(call, CALL_DONE);
	writer_init(&fail, coordinator->reply, COORDINATOR_BATCH_MAX);
	for (int32_t i = 0; i < response.results_count; i++)
		if (response.results[i].error_code == KAFKA_NONE)
			response.results[i].error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
	wire_encode_delete_groups_response(&fail, call->version, &response);
	answer = coordinator_answer_new(call->token, &call->reply, &fail);
	if (answer == NULL)
		return CALL_BAD;
	for (int32_t i = 0; i < response.results_count; i++) {
		if (response.results[i].error_code != KAFKA_COORDINATOR_NOT_AVAILABLE)
			continue;
		if (bury(coordinator, call,
			 groups_find(&coordinator->groups, request.groups_names[i]),
			 answer) != KAFKA_NONE)
			answer->failed = true;
	}
	if (answer->waiting > 0)
		return CALL_LATER;
	call->reply.at = call->reply.begin;
	writer_bytes(&call->reply, answer->fail_body, answer->fail_size);
	coordinator_answer_free(answer);
	return call_end(call, CALL_DONE);
}

enum call_result membercalls_call(struct coordinator *coordinator, struct call *call)
{
	switch (call->api_key) {
	case WIRE_API_JOIN_GROUP:
		return join(coordinator, call);
	case WIRE_API_SYNC_GROUP:
		return sync(coordinator, call);
	case WIRE_API_HEARTBEAT:
		return heartbeat(coordinator, call);
	case WIRE_API_LEAVE_GROUP:
		return leave(coordinator, call);
	case WIRE_API_DESCRIBE_GROUPS:
		return describe(coordinator, call);
	case WIRE_API_LIST_GROUPS:
		return list_groups(coordinator, call);
	case WIRE_API_DELETE_GROUPS:
		return delete_groups(coordinator, call);
	default:
		return CALL_BAD;
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JoinGroup: new, pending, static and returning members. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"

#include "control/group/rebalance_impl.h"

#define NEW_MEMBER_TIMEOUT_MS 300000 /* a parked first join is given up after this, as in Kafka */

static int32_t joining_count(const struct group *group)
{
	int32_t count = 0;

	LIST_EACH(&group->members, node)
	count += LIST_ENTRY(node, struct group_member, link)->join_cookie != 0;
	return count;
}

static bool has_room(struct group *group, struct wire_string member_id)
{
	struct group_member *member = group_find_member(group, member_id);
	int32_t max = group->groups->settings.size_max;

	if (group->state == GROUP_EMPTY)
		return true;
	if (group->state == GROUP_PREPARING)
		return (member != NULL && member->join_cookie != 0) || joining_count(group) < max;
	return member != NULL || group->member_count < max;
}

/** <client id or instance id>-<random>, as Kafka does. */
static int make_member_id(const struct rebalance_join *join, char *ret_id, size_t size)
{
	struct wire_string prefix =
		join->instance_id.size >= 0 ? join->instance_id : join->client_id;
	int prefix_size = MAX(prefix.size, 0);
	struct uuid uuid;
	const uint8_t *b = uuid.bytes;
	int written;

	uuid_random(&uuid);
	written = snprintf(ret_id, size,
			   "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
			   "%02x%02x%02x%02x%02x%02x",
			   prefix_size, prefix_size > 0 ? prefix.bytes : "", b[0], b[1], b[2], b[3],
			   b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
			   b[15]);
	return written > 0 && (size_t)written < size ? 0 : ERR_TOO_LARGE;
}

/** Park the join with its member, and take over what it says. */
static enum kafka_err park_join(struct group_member *member, const struct rebalance_join *join,
				uint64_t cookie)
{
	if (group_member_vote(member, join->protocols, join->protocol_count) != 0)
		return KAFKA_COORDINATOR_NOT_AVAILABLE;
	member->session_timeout_ms = join->session_timeout_ms;
	member->rebalance_timeout_ms = join->rebalance_timeout_ms;
	member->skip_assignment = join->skip_assignment;
	rebalance_fail_join(member,
			    KAFKA_REBALANCE_IN_PROGRESS); /* an older join of the same member */
	member->join_cookie = cookie;
	return KAFKA_NONE;
}

static void join_again(struct group_member *member, const struct rebalance_join *join,
		       uint64_t cookie, int64_t now_ns)
{
	struct group *group = member->group;
	enum kafka_err error = park_join(member, join, cookie);

	if (error != KAFKA_NONE) {
		rebalance_answer_join_error(group->groups, cookie, member->id, error);
		return;
	}
	rebalance_prepare(group, now_ns);
	rebalance_try_complete(group, now_ns);
}

static void add_member(struct group *group, const struct rebalance_join *join, const char *id,
		       uint64_t cookie, int64_t now_ns)
{
	struct group_member *member = NULL;

	if (group->protocol_type == NULL || group->state == GROUP_EMPTY) {
		char *type = group_text(join->protocol_type);

		if (type == NULL)
			goto fail;
		free(group->protocol_type);
		group->protocol_type = type;
	}
	member = group_add_member(group, wire_string_from(id), join->instance_id);
	if (member == NULL)
		goto fail;
	timer_init(&member->session, rebalance_session_expired);
	member->client_id = group_text(join->client_id);
	member->client_host = group_text(join->client_host);
	if (member->client_id == NULL || member->client_host == NULL)
		goto fail;
	if (park_join(member, join, cookie) != KAFKA_NONE)
		goto fail;
	member->is_new = true;
	rebalance_arm_ms(group, &member->session, now_ns, NEW_MEMBER_TIMEOUT_MS);
	if (group->state == GROUP_PREPARING)
		group->member_added = true;
	rebalance_prepare(group, now_ns);
	rebalance_try_complete(group, now_ns);
	return;
fail:
	if (member != NULL)
		group_remove_member(group, member);
	rebalance_answer_join_error(group->groups, cookie, id, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/** Give a static member its new id. @return false without memory, nothing changed */
static bool replace_id(struct group_member *member, const char *id)
{
	char *member_id = strdup(id);
	char *leader_id = rebalance_is_leader(member) ? strdup(id) : NULL;

	if (member_id == NULL || (leader_id == NULL && rebalance_is_leader(member))) {
		free(member_id);
		free(leader_id);
		return false;
	}
	rebalance_fail_join(member, KAFKA_FENCED_INSTANCE_ID);
	rebalance_fail_sync(member, KAFKA_FENCED_INSTANCE_ID);
	if (leader_id != NULL) {
		free(member->group->leader_id);
		member->group->leader_id = leader_id;
	}
	free(member->id);
	member->id = member_id;
	return true;
}

/** A static member came back under a new id: the old one is fenced; no rebalance if none is needed. */
static void replace_static(struct group_member *member, const struct rebalance_join *join,
			   const char *id, uint64_t cookie, int64_t now_ns)
{
	struct group *group = member->group;
	bool led = rebalance_is_leader(member);
	const char *selected;

	if (!replace_id(member, id) || park_join(member, join, cookie) != KAFKA_NONE) {
		rebalance_answer_join_error(group->groups, cookie, id,
					    KAFKA_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	rebalance_touch(member, now_ns);
	selected = group_select_protocol(group);
	if (group->state == GROUP_STABLE && selected != NULL && group->protocol != NULL &&
	    strcmp(selected, group->protocol) == 0) {
		/* An older client must not think that it leads: it would assign again. */
		member->old_leader_id = led && !join->skip_assignment;
		member->static_ticket = rebalance_next_ticket(group);
		rebalance_store(group);
		return;
	}
	rebalance_prepare(group, now_ns);
	rebalance_try_complete(group, now_ns);
}

static void require_id(struct group *group, const struct rebalance_join *join, const char *id,
		       uint64_t cookie, int64_t now_ns)
{
	struct group_pending *pending = NULL;

	if (group->pending_count < GROUP_PENDING_MAX)
		pending = calloc(1, sizeof(*pending));
	if (pending != NULL)
		pending->id = strdup(id);
	if (pending == NULL || pending->id == NULL) {
		free(pending);
		rebalance_answer_join_error(group->groups, cookie, "",
					    KAFKA_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	pending->group = group;
	list_init(&pending->link);
	timer_init(&pending->expiry, rebalance_pending_expired);
	list_push_back(&group->pending, &pending->link);
	group->pending_count++;
	rebalance_arm_ms(group, &pending->expiry, now_ns, join->session_timeout_ms);
	rebalance_answer_join_error(group->groups, cookie, id, KAFKA_MEMBER_ID_REQUIRED);
}

static void join_new(struct group *group, const struct rebalance_join *join, uint64_t cookie,
		     int64_t now_ns)
{
	char id[1024];
	struct group_member *member;

	if (make_member_id(join, id, sizeof(id)) != 0) {
		rebalance_answer_join_error(group->groups, cookie, "", KAFKA_INVALID_REQUEST);
		return;
	}
	if (join->instance_id.size >= 0) {
		member = group_find_static(group, join->instance_id);
		if (member != NULL)
			replace_static(member, join, id, cookie, now_ns);
		else
			add_member(group, join, id, cookie, now_ns);
	} else if (join->id_required) {
		require_id(group, join, id, cookie, now_ns);
	} else {
		add_member(group, join, id, cookie, now_ns);
	}
}

static void join_known(struct group *group, const struct rebalance_join *join, uint64_t cookie,
		       int64_t now_ns)
{
	struct group_pending *pending = group_find_pending(group, join->member_id);
	struct group_member *member = NULL;
	enum kafka_err error;
	bool same;

	if (pending != NULL && join->instance_id.size < 0) {
		char *id = TAKE_PTR(pending->id);

		group_remove_pending(group, pending);
		add_member(group, join, id, cookie, now_ns);
		free(id);
		return;
	}
	error = rebalance_validate(group, join->member_id, join->instance_id, &member);
	if (error != KAFKA_NONE) {
		char *id = group_text(join->member_id);

		rebalance_answer_join_error(group->groups, cookie, id != NULL ? id : "", error);
		free(id);
		return;
	}
	same = group_member_matches(member, join->protocols, join->protocol_count);
	if ((group->state == GROUP_COMPLETING && same) ||
	    (group->state == GROUP_STABLE && same && !rebalance_is_leader(member))) {
		/* It asks again for what it was told: the answer was lost. */
		rebalance_touch(member, now_ns);
		rebalance_answer_join(
			member, cookie, group->leader_id,
			rebalance_is_leader(member) && group->state == GROUP_COMPLETING, false);
		return;
	}
	join_again(member, join, cookie, now_ns);
}

void rebalance_join(struct groups *groups, const struct rebalance_join *join, uint64_t cookie,
		    int64_t now_ns)
{
	bool is_known = join->member_id.size > 0;
	enum kafka_err error = KAFKA_NONE;
	struct group *group = NULL;
	char *id;

	if (join->group_id.size <= 0)
		error = KAFKA_INVALID_GROUP_ID;
	else if (join->session_timeout_ms < groups->settings.session_min_ms ||
		 join->session_timeout_ms > groups->settings.session_max_ms)
		error = KAFKA_INVALID_SESSION_TIMEOUT;
	else if (join->protocol_count > GROUP_PROTOCOLS_MAX || join->rebalance_timeout_ms < 0)
		error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	if (error == KAFKA_NONE) {
		group = is_known ? groups_find(groups, join->group_id)
				 : groups_get(groups, join->group_id);
		if (group == NULL)
			error = is_known ? KAFKA_UNKNOWN_MEMBER_ID
					 : KAFKA_COORDINATOR_NOT_AVAILABLE;
		else if (!has_room(group, join->member_id))
			error = KAFKA_GROUP_MAX_SIZE_REACHED;
		else if (!group_supports(group, join->protocol_type, join->protocols,
					 join->protocol_count))
			error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	}
	if (error != KAFKA_NONE) {
		id = group_text(join->member_id);
		rebalance_answer_join_error(groups, cookie, id != NULL ? id : "", error);
		free(id);
		return;
	}
	rebalance_timers_ready(group);
	if (is_known)
		join_known(group, join, cookie, now_ns);
	else
		join_new(group, join, cookie, now_ns);
}

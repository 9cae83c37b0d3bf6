/* SPDX-License-Identifier: Apache-2.0 */
#include "control/group/rebalance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"

#define NEW_MEMBER_TIMEOUT_MS 300000 /* a parked first join is given up after this, as in Kafka */
#define TIMERS_PER_RUN        10000

static void prepare(struct group *group, int64_t now_ns);
static void complete_join(struct group *group, int64_t now_ns);

static struct wire_string text(const char *bytes)
{
	return (struct wire_string){ bytes, (int32_t)strlen(bytes) };
}

static void answer_join_error(struct groups *groups, uint64_t cookie, const char *member_id,
			      enum kafka_err error)
{
	struct group_joined joined = { .error = error, .member_id = member_id };

	groups->ops->join_done(groups->context, cookie, &joined);
}

static void answer_sync_error(struct groups *groups, uint64_t cookie, enum kafka_err error)
{
	struct group_synced synced = { .error = error };

	groups->ops->sync_done(groups->context, cookie, &synced);
}

/** Answer the parked join of a member, if there is one, with an error. */
static void fail_join(struct group_member *member, enum kafka_err error)
{
	uint64_t cookie = member->join_cookie;

	member->join_cookie = 0;
	member->static_ticket = 0;
	if (cookie != 0)
		answer_join_error(member->group->groups, cookie, member->id, error);
}

static void fail_sync(struct group_member *member, enum kafka_err error)
{
	uint64_t cookie = member->sync_cookie;

	member->sync_cookie = 0;
	if (cookie != 0)
		answer_sync_error(member->group->groups, cookie, error);
}

/** Answer a join with the group's present generation. */
static void answer_join(const struct group_member *member, uint64_t cookie, const char *leader_id,
			bool with_members, bool skip_assignment)
{
	const struct group *group = member->group;
	struct group_joined joined = {
		.error = KAFKA_NONE,
		.member_id = member->id,
		.group = group,
		.leader_id = leader_id,
		.with_members = with_members,
		.skip_assignment = skip_assignment,
	};

	group->groups->ops->join_done(group->groups->context, cookie, &joined);
}

static void answer_sync(const struct group_member *member, uint64_t cookie)
{
	struct groups *groups = member->group->groups;
	struct group_synced synced = {
		.error = KAFKA_NONE,
		.group = member->group,
		.assignment = member->assignment,
		.size = member->assignment_size,
	};

	groups->ops->sync_done(groups->context, cookie, &synced);
}

static bool is_leader(const struct group_member *member)
{
	return member->group->leader_id != NULL &&
	       strcmp(member->group->leader_id, member->id) == 0;
}

/**
 * Write the group. The outcome may be reported before this returns, so who waits for it notes
 * next_ticket() first.
 */
static void store(struct group *group)
{
	struct groups *groups = group->groups;

	groups->ticket++;
	groups->ops->store(groups->context, group, groups->ticket);
}

static uint64_t next_ticket(const struct group *group)
{
	return group->groups->ticket + 1;
}

static void arm_ms(struct group *group, struct timer *timer, int64_t now_ns, int64_t ms)
{
	timer_arm(&group->groups->timers, timer, now_ns + ms * NS_PER_MS);
}

static void touch(struct group_member *member, int64_t now_ns)
{
	arm_ms(member->group, &member->session, now_ns, member->session_timeout_ms);
}

/** The members' largest rebalance timeout. */
static int32_t rebalance_timeout_ms(const struct group *group)
{
	int32_t longest = 0;

	LIST_EACH(&group->members, node)
	{
		const struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		longest = MAX(longest, member->rebalance_timeout_ms);
	}
	return longest;
}

static bool all_joined(const struct group *group)
{
	if (group->pending_count > 0)
		return false;
	LIST_EACH(&group->members, node)
	if (LIST_ENTRY(node, struct group_member, link)->join_cookie == 0)
		return false;
	return true;
}

/** End the join phase as soon as nobody is missing; the initial delay is waited for in any case. */
static void try_complete(struct group *group, int64_t now_ns)
{
	if (group->state == GROUP_PREPARING && !group->in_initial_delay && all_joined(group))
		complete_join(group, now_ns);
}

/** A member or a pending one is gone: what that means for the others. */
static void after_removal(struct group *group, int64_t now_ns)
{
	if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING)
		prepare(group, now_ns);
	try_complete(group, now_ns);
}

static void remove_member(struct group_member *member, enum kafka_err error, int64_t now_ns)
{
	struct group *group = member->group;

	fail_join(member, error);
	fail_sync(member, error);
	group_remove_member(group, member);
	after_removal(group, now_ns);
}

static void session_expired(struct timer *timer, int64_t now_ns)
{
	struct group_member *member = CONTAINER_OF(timer, struct group_member, session);

	/* Who is parked with us shows life by its open request; only a first join is bounded. */
	if (!member->is_new && (member->join_cookie != 0 || member->sync_cookie != 0))
		return;
	remove_member(member, KAFKA_UNKNOWN_MEMBER_ID, now_ns);
}

static void pending_expired(struct timer *timer, int64_t now_ns)
{
	struct group_pending *pending = CONTAINER_OF(timer, struct group_pending, expiry);
	struct group *group = pending->group;

	group_remove_pending(group, pending);
	try_complete(group, now_ns);
}

static void sync_expired(struct timer *timer, int64_t now_ns)
{
	struct group *group = CONTAINER_OF(timer, struct group, sync);
	bool removed = false;

	LIST_EACH_SAFE(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (member->sync_wanted) {
			fail_join(member, KAFKA_UNKNOWN_MEMBER_ID);
			group_remove_member(group, member);
			removed = true;
		}
	}
	if (removed)
		after_removal(group, now_ns);
}

static void rebalance_due(struct timer *timer, int64_t now_ns)
{
	struct group *group = CONTAINER_OF(timer, struct group, rebalance);

	if (group->state != GROUP_PREPARING)
		return;
	if (group->in_initial_delay && group->member_added && group->delay_left_ms > 0) {
		/* More came during the wait: wait again, but never beyond the rebalance timeout. */
		int64_t delay = MIN((int64_t)group->groups->settings.initial_delay_ms,
				    group->delay_left_ms);

		group->member_added = false;
		group->delay_left_ms -= delay;
		arm_ms(group, timer, now_ns, delay);
		return;
	}
	complete_join(group, now_ns);
}

/** Groups are made by lookup; their timers get their functions with the first member. */
static void timers_ready(struct group *group)
{
	if (group->rebalance.fn == NULL) {
		timer_init(&group->rebalance, rebalance_due);
		timer_init(&group->sync, sync_expired);
	}
}

static void clear_assignments(struct group *group)
{
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		free(member->assignment);
		member->assignment = NULL;
		member->assignment_size = 0;
	}
}

static void fail_syncs(struct group *group, enum kafka_err error, int64_t now_ns)
{
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (member->sync_cookie != 0) {
			fail_sync(member, error);
			touch(member, now_ns);
		}
	}
}

/** Start a rebalance: members learn of it by heartbeat and join again. */
static void prepare(struct group *group, int64_t now_ns)
{
	int64_t delay = group->groups->settings.initial_delay_ms;
	int64_t timeout = rebalance_timeout_ms(group);
	bool was_empty = group->state == GROUP_EMPTY;

	if (group->state == GROUP_PREPARING)
		return;
	if (group->state == GROUP_COMPLETING) {
		clear_assignments(group);
		fail_syncs(group, KAFKA_REBALANCE_IN_PROGRESS, now_ns);
	}
	group->sync_ticket = 0;
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		member->sync_wanted = false;
		/* A join that waits for a write joins the new round instead. */
		member->static_ticket = 0;
	}
	timer_disarm(&group->groups->timers, &group->sync);
	group_set_state(group, GROUP_PREPARING);
	group->in_initial_delay = was_empty && delay > 0;
	group->member_added = false;
	group->delay_left_ms = MAX(timeout - delay, 0);
	arm_ms(group, &group->rebalance, now_ns, group->in_initial_delay ? delay : timeout);
}

/** Dynamic members that did not join again in time are out; static ones keep their place. */
static void drop_absent(struct group *group)
{
	LIST_EACH_SAFE(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (member->join_cookie == 0 && member->instance_id == NULL)
			group_remove_member(group, member);
	}
}

/** Lead by somebody who has joined. @return false when nobody has */
static bool elect_joined_leader(struct group *group)
{
	struct group_member *leader = NULL;

	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (member->join_cookie != 0 && (leader == NULL || is_leader(member)))
			leader = member;
	}
	if (leader == NULL)
		return false;
	if (!is_leader(leader)) {
		char *id = strdup(leader->id);

		if (id == NULL)
			return false;
		free(group->leader_id);
		group->leader_id = id;
	}
	return true;
}

static void become_empty(struct group *group)
{
	group->generation++;
	free(group->protocol);
	group->protocol = NULL;
	group_set_state(group, GROUP_EMPTY);
	store(group); /* nobody waits for it: a lost one leaves members that expire */
}

/** The join phase is over: fix the generation and tell everybody. */
static void complete_join(struct group *group, int64_t now_ns)
{
	const char *selected;
	char *protocol;

	timer_disarm(&group->groups->timers, &group->rebalance);
	group->in_initial_delay = false;
	drop_absent(group);
	if (list_is_empty(&group->members)) {
		become_empty(group);
		return;
	}
	selected = group_select_protocol(group);
	protocol = selected != NULL ? strdup(selected) : NULL;
	if (protocol == NULL || !elect_joined_leader(group)) {
		/* Only static members that are away: give them another round. */
		free(protocol);
		arm_ms(group, &group->rebalance, now_ns, MAX(rebalance_timeout_ms(group), 1));
		return;
	}
	group->generation++;
	free(group->protocol);
	group->protocol = protocol;
	group_set_state(group, GROUP_COMPLETING);
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		uint64_t cookie = member->join_cookie;

		member->join_cookie = 0;
		member->is_new = false;
		member->sync_wanted = true;
		touch(member, now_ns);
		if (cookie != 0)
			answer_join(member, cookie, group->leader_id, is_leader(member), false);
	}
	arm_ms(group, &group->sync, now_ns, MAX(rebalance_timeout_ms(group), 1));
}

/** Three things at once: the member is known, its instance id is its own, it is not fenced. */
static enum kafka_err validate(struct group *group, struct wire_string member_id,
			       struct wire_string instance_id, struct group_member **ret_member)
{
	struct group_member *member;

	if (instance_id.size >= 0) {
		member = group_find_static(group, instance_id);
		if (member == NULL)
			return KAFKA_UNKNOWN_MEMBER_ID;
		if (!group_text_equal(member->id, member_id))
			return KAFKA_FENCED_INSTANCE_ID;
	}
	member = group_find_member(group, member_id);
	if (member == NULL)
		return KAFKA_UNKNOWN_MEMBER_ID;
	*ret_member = member;
	return KAFKA_NONE;
}

/* ---- join ---- */

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
	fail_join(member, KAFKA_REBALANCE_IN_PROGRESS); /* an older join of the same member */
	member->join_cookie = cookie;
	return KAFKA_NONE;
}

static void join_again(struct group_member *member, const struct rebalance_join *join,
		       uint64_t cookie, int64_t now_ns)
{
	struct group *group = member->group;
	enum kafka_err error = park_join(member, join, cookie);

	if (error != KAFKA_NONE) {
		answer_join_error(group->groups, cookie, member->id, error);
		return;
	}
	prepare(group, now_ns);
	try_complete(group, now_ns);
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
	member = group_add_member(group, text(id), join->instance_id);
	if (member == NULL)
		goto fail;
	timer_init(&member->session, session_expired);
	member->client_id = group_text(join->client_id);
	member->client_host = group_text(join->client_host);
	if (member->client_id == NULL || member->client_host == NULL)
		goto fail;
	if (park_join(member, join, cookie) != KAFKA_NONE)
		goto fail;
	member->is_new = true;
	arm_ms(group, &member->session, now_ns, NEW_MEMBER_TIMEOUT_MS);
	if (group->state == GROUP_PREPARING)
		group->member_added = true;
	prepare(group, now_ns);
	try_complete(group, now_ns);
	return;
fail:
	if (member != NULL)
		group_remove_member(group, member);
	answer_join_error(group->groups, cookie, id, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/** Give a static member its new id. @return false without memory, nothing changed */
static bool replace_id(struct group_member *member, const char *id)
{
	char *member_id = strdup(id);
	char *leader_id = is_leader(member) ? strdup(id) : NULL;

	if (member_id == NULL || (leader_id == NULL && is_leader(member))) {
		free(member_id);
		free(leader_id);
		return false;
	}
	fail_join(member, KAFKA_FENCED_INSTANCE_ID);
	fail_sync(member, KAFKA_FENCED_INSTANCE_ID);
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
	bool led = is_leader(member);
	const char *selected;

	if (!replace_id(member, id) || park_join(member, join, cookie) != KAFKA_NONE) {
		answer_join_error(group->groups, cookie, id, KAFKA_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	touch(member, now_ns);
	selected = group_select_protocol(group);
	if (group->state == GROUP_STABLE && selected != NULL && group->protocol != NULL &&
	    strcmp(selected, group->protocol) == 0) {
		/* An older client must not think that it leads: it would assign again. */
		member->old_leader_id = led && !join->skip_assignment;
		member->static_ticket = next_ticket(group);
		store(group);
		return;
	}
	prepare(group, now_ns);
	try_complete(group, now_ns);
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
		answer_join_error(group->groups, cookie, "", KAFKA_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	pending->group = group;
	list_init(&pending->link);
	timer_init(&pending->expiry, pending_expired);
	list_push_back(&group->pending, &pending->link);
	group->pending_count++;
	arm_ms(group, &pending->expiry, now_ns, join->session_timeout_ms);
	answer_join_error(group->groups, cookie, id, KAFKA_MEMBER_ID_REQUIRED);
}

static void join_new(struct group *group, const struct rebalance_join *join, uint64_t cookie,
		     int64_t now_ns)
{
	char id[1024];
	struct group_member *member;

	if (make_member_id(join, id, sizeof(id)) != 0) {
		answer_join_error(group->groups, cookie, "", KAFKA_INVALID_REQUEST);
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
	error = validate(group, join->member_id, join->instance_id, &member);
	if (error != KAFKA_NONE) {
		char *id = group_text(join->member_id);

		answer_join_error(group->groups, cookie, id != NULL ? id : "", error);
		free(id);
		return;
	}
	same = group_member_matches(member, join->protocols, join->protocol_count);
	if ((group->state == GROUP_COMPLETING && same) ||
	    (group->state == GROUP_STABLE && same && !is_leader(member))) {
		/* It asks again for what it was told: the answer was lost. */
		touch(member, now_ns);
		answer_join(member, cookie, group->leader_id,
			    is_leader(member) && group->state == GROUP_COMPLETING, false);
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
		answer_join_error(groups, cookie, id != NULL ? id : "", error);
		free(id);
		return;
	}
	timers_ready(group);
	if (is_known)
		join_known(group, join, cookie, now_ns);
	else
		join_new(group, join, cookie, now_ns);
}

/* ---- sync ---- */

/** Take the leader's assignments; members it forgot get an empty one. */
static bool take_assignments(struct group *group, const struct rebalance_sync *sync)
{
	clear_assignments(group);
	for (int32_t i = 0; i < sync->assignment_count; i++) {
		const struct wire_bytes *bytes = &sync->assignments[i].bytes;
		struct group_member *member =
			group_find_member(group, sync->assignments[i].member_id);
		uint8_t *copy;

		if (member == NULL || bytes->size <= 0)
			continue;
		copy = malloc((size_t)bytes->size);
		if (copy == NULL)
			return false;
		memcpy(copy, bytes->bytes, (size_t)bytes->size);
		free(member->assignment);
		member->assignment = copy;
		member->assignment_size = bytes->size;
	}
	return true;
}

static enum kafka_err check_sync(struct groups *groups, const struct rebalance_sync *sync,
				 struct group_member **ret_member)
{
	struct group *group;
	enum kafka_err error;

	if (sync->group_id.size <= 0)
		return KAFKA_INVALID_GROUP_ID;
	group = groups_find(groups, sync->group_id);
	if (group == NULL)
		return KAFKA_UNKNOWN_MEMBER_ID;
	error = validate(group, sync->member_id, sync->instance_id, ret_member);
	if (error != KAFKA_NONE)
		return error;
	if (sync->generation != group->generation)
		return KAFKA_ILLEGAL_GENERATION;
	if ((sync->protocol_type.size >= 0 &&
	     !group_text_equal(group->protocol_type, sync->protocol_type)) ||
	    (sync->protocol.size >= 0 && group->protocol != NULL &&
	     !group_text_equal(group->protocol, sync->protocol)))
		return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	if (group->state == GROUP_EMPTY)
		return KAFKA_UNKNOWN_MEMBER_ID;
	if (group->state == GROUP_PREPARING)
		return KAFKA_REBALANCE_IN_PROGRESS;
	return KAFKA_NONE;
}

void rebalance_sync(struct groups *groups, const struct rebalance_sync *sync, uint64_t cookie,
		    int64_t now_ns)
{
	struct group_member *member = NULL;
	enum kafka_err error = check_sync(groups, sync, &member);
	struct group *group;

	if (error != KAFKA_NONE) {
		answer_sync_error(groups, cookie, error);
		return;
	}
	group = member->group;
	member->sync_wanted = false;
	if (group->state == GROUP_STABLE) {
		touch(member, now_ns);
		answer_sync(member, cookie);
		return;
	}
	CHECK(group->state == GROUP_COMPLETING);
	fail_sync(member, KAFKA_REBALANCE_IN_PROGRESS); /* an older sync of the same member */
	member->sync_cookie = cookie;
	if (!is_leader(member) || group->sync_ticket != 0)
		return;
	if (!take_assignments(group, sync)) {
		fail_syncs(group, KAFKA_COORDINATOR_NOT_AVAILABLE, now_ns);
		prepare(group, now_ns);
		return;
	}
	group->sync_ticket = next_ticket(group);
	store(group);
}

static void assignment_stored(struct group *group, enum kafka_err error, int64_t now_ns)
{
	group->sync_ticket = 0;
	if (group->state != GROUP_COMPLETING)
		return;
	if (error != KAFKA_NONE) {
		clear_assignments(group);
		fail_syncs(group, error, now_ns);
		prepare(group, now_ns);
		return;
	}
	group_set_state(group, GROUP_STABLE);
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		uint64_t cookie = member->sync_cookie;

		member->sync_cookie = 0;
		if (cookie != 0) {
			touch(member, now_ns);
			answer_sync(member, cookie);
		}
	}
}

static void static_stored(struct group_member *member, enum kafka_err error, int64_t now_ns)
{
	struct group *group = member->group;
	uint64_t cookie = member->join_cookie;
	bool leads = is_leader(member) && !member->old_leader_id;

	member->static_ticket = 0;
	member->join_cookie = 0;
	touch(member, now_ns);
	if (cookie == 0)
		return;
	if (error != KAFKA_NONE) {
		answer_join_error(group->groups, cookie, member->id, error);
		return;
	}
	answer_join(member, cookie, member->old_leader_id ? "" : group->leader_id, leads, leads);
	member->old_leader_id = false;
}

void rebalance_stored(struct groups *groups, struct wire_string group_id, uint64_t ticket,
		      enum kafka_err error, int64_t now_ns)
{
	struct group *group = groups_find(groups, group_id);

	if (group == NULL || ticket == 0)
		return;
	if (group->sync_ticket == ticket) {
		assignment_stored(group, error, now_ns);
		return;
	}
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (member->static_ticket == ticket) {
			static_stored(member, error, now_ns);
			return;
		}
	}
}

/* ---- heartbeat, leave, commit ---- */

enum kafka_err rebalance_heartbeat(struct groups *groups, struct wire_string group_id,
				   struct wire_string member_id, struct wire_string instance_id,
				   int32_t generation, int64_t now_ns)
{
	struct group_member *member = NULL;
	struct group *group;
	enum kafka_err error;

	if (group_id.size <= 0)
		return KAFKA_INVALID_GROUP_ID;
	group = groups_find(groups, group_id);
	if (group == NULL)
		return KAFKA_UNKNOWN_MEMBER_ID;
	error = validate(group, member_id, instance_id, &member);
	if (error != KAFKA_NONE)
		return error;
	if (generation != group->generation)
		return KAFKA_ILLEGAL_GENERATION;
	if (group->state == GROUP_EMPTY)
		return KAFKA_UNKNOWN_MEMBER_ID;
	touch(member, now_ns);
	return group->state == GROUP_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

enum kafka_err rebalance_leave(struct groups *groups, struct wire_string group_id,
			       struct wire_string member_id, struct wire_string instance_id,
			       int64_t now_ns)
{
	struct group_member *member = NULL;
	struct group_pending *pending;
	struct group *group;
	enum kafka_err error;

	if (group_id.size <= 0)
		return KAFKA_INVALID_GROUP_ID;
	group = groups_find(groups, group_id);
	if (group == NULL)
		return KAFKA_UNKNOWN_MEMBER_ID;
	if (member_id.size <= 0 && instance_id.size >= 0) {
		member = group_find_static(group, instance_id);
		if (member == NULL)
			return KAFKA_UNKNOWN_MEMBER_ID;
	} else {
		pending = group_find_pending(group, member_id);
		if (pending != NULL) {
			group_remove_pending(group, pending);
			try_complete(group, now_ns);
			return KAFKA_NONE;
		}
		error = validate(group, member_id, instance_id, &member);
		if (error != KAFKA_NONE)
			return error;
	}
	remove_member(member, KAFKA_UNKNOWN_MEMBER_ID, now_ns);
	return KAFKA_NONE;
}

enum kafka_err rebalance_commit(struct groups *groups, struct wire_string group_id,
				struct wire_string member_id, struct wire_string instance_id,
				int32_t generation, int64_t now_ns, struct group **ret_group)
{
	struct group_member *member = NULL;
	struct group *group;
	enum kafka_err error;

	/* Kafka allows the empty id here: old simple consumers use it. */
	group = groups_find(groups, group_id);
	if (group == NULL) {
		if (generation >= 0)
			return KAFKA_ILLEGAL_GENERATION;
		group = groups_get(groups, group_id);
		if (group == NULL)
			return KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	if (generation >= 0 || group->state != GROUP_EMPTY) {
		if (generation < 0 && member_id.size <= 0 && instance_id.size < 0)
			return KAFKA_UNKNOWN_MEMBER_ID;
		error = validate(group, member_id, instance_id, &member);
		if (error != KAFKA_NONE)
			return error;
		if (generation != group->generation)
			return KAFKA_ILLEGAL_GENERATION;
		if (group->state == GROUP_COMPLETING)
			return KAFKA_REBALANCE_IN_PROGRESS;
		touch(member, now_ns);
	}
	*ret_group = group;
	return KAFKA_NONE;
}

void rebalance_restore(struct group_member *member, int64_t now_ns)
{
	timers_ready(member->group);
	timer_init(&member->session, session_expired);
	touch(member, now_ns);
}

int64_t rebalance_run(struct groups *groups, int64_t now_ns)
{
	(void)timers_run(&groups->timers, now_ns, TIMERS_PER_RUN); /* the rest is due again */
	return timers_next_ns(&groups->timers);
}

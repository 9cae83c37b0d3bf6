/* SPDX-License-Identifier: Apache-2.0 */
#include "control/group/rebalance.h"

#include <stdlib.h>
#include <string.h>

#include "control/group/rebalance_impl.h"

#define TIMERS_PER_RUN 10000

static void complete_join(struct group *group, int64_t now_ns);

void rebalance_answer_join_error(struct groups *groups, uint64_t cookie, const char *member_id,
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
void rebalance_fail_join(struct group_member *member, enum kafka_err error)
{
	uint64_t cookie = member->join_cookie;

	member->join_cookie = 0;
	member->static_ticket = 0;
	if (cookie != 0)
		rebalance_answer_join_error(member->group->groups, cookie, member->id, error);
}

void rebalance_fail_sync(struct group_member *member, enum kafka_err error)
{
	uint64_t cookie = member->sync_cookie;

	member->sync_cookie = 0;
	if (cookie != 0)
		answer_sync_error(member->group->groups, cookie, error);
}

/** Answer a join with the group's present generation. */
void rebalance_answer_join(const struct group_member *member, uint64_t cookie,
			   const char *leader_id, bool with_members, bool skip_assignment)
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

bool rebalance_is_leader(const struct group_member *member)
{
	return member->group->leader_id != NULL &&
	       strcmp(member->group->leader_id, member->id) == 0;
}

/**
 * Write the group. The outcome may be reported before this returns, so who waits for it notes
 * rebalance_next_ticket() first.
 */
void rebalance_store(struct group *group)
{
	struct groups *groups = group->groups;

	groups->ticket++;
	groups->ops->store(groups->context, group, groups->ticket);
}

uint64_t rebalance_next_ticket(const struct group *group)
{
	return group->groups->ticket + 1;
}

void rebalance_arm_ms(struct group *group, struct timer *timer, int64_t now_ns, int64_t ms)
{
	timer_arm(&group->groups->timers, timer, now_ns + ms * NS_PER_MS);
}

void rebalance_touch(struct group_member *member, int64_t now_ns)
{
	rebalance_arm_ms(member->group, &member->session, now_ns, member->session_timeout_ms);
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
void rebalance_try_complete(struct group *group, int64_t now_ns)
{
	if (group->state == GROUP_PREPARING && !group->in_initial_delay && all_joined(group))
		complete_join(group, now_ns);
}

/** A member or a pending one is gone: what that means for the others. */
static void after_removal(struct group *group, int64_t now_ns)
{
	if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING)
		rebalance_prepare(group, now_ns);
	rebalance_try_complete(group, now_ns);
}

static void remove_member(struct group_member *member, enum kafka_err error, int64_t now_ns)
{
	struct group *group = member->group;

	rebalance_fail_join(member, error);
	rebalance_fail_sync(member, error);
	group_remove_member(group, member);
	after_removal(group, now_ns);
}

void rebalance_session_expired(struct timer *timer, int64_t now_ns)
{
	struct group_member *member = CONTAINER_OF(timer, struct group_member, session);

	/* Who is parked with us shows life by its open request; only a first join is bounded. */
	if (!member->is_new && (member->join_cookie != 0 || member->sync_cookie != 0))
		return;
	remove_member(member, KAFKA_UNKNOWN_MEMBER_ID, now_ns);
}

void rebalance_pending_expired(struct timer *timer, int64_t now_ns)
{
	struct group_pending *pending = CONTAINER_OF(timer, struct group_pending, expiry);
	struct group *group = pending->group;

	group_remove_pending(group, pending);
	rebalance_try_complete(group, now_ns);
}

static void sync_expired(struct timer *timer, int64_t now_ns)
{
	struct group *group = CONTAINER_OF(timer, struct group, sync);
	bool removed = false;

	LIST_EACH_SAFE(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (member->sync_wanted) {
			rebalance_fail_join(member, KAFKA_UNKNOWN_MEMBER_ID);
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
		rebalance_arm_ms(group, timer, now_ns, delay);
		return;
	}
	complete_join(group, now_ns);
}

/** Groups are made by lookup; their timers get their functions with the first member. */
void rebalance_timers_ready(struct group *group)
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
			rebalance_fail_sync(member, error);
			rebalance_touch(member, now_ns);
		}
	}
}

/** Start a rebalance: members learn of it by heartbeat and join again. */
void rebalance_prepare(struct group *group, int64_t now_ns)
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
	rebalance_arm_ms(group, &group->rebalance, now_ns,
			 group->in_initial_delay ? delay : timeout);
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

		if (member->join_cookie != 0 && (leader == NULL || rebalance_is_leader(member)))
			leader = member;
	}
	if (leader == NULL)
		return false;
	if (!rebalance_is_leader(leader)) {
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
	rebalance_store(group); /* nobody waits for it: a lost one leaves members that expire */
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
		rebalance_arm_ms(group, &group->rebalance, now_ns,
				 MAX(rebalance_timeout_ms(group), 1));
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
		rebalance_touch(member, now_ns);
		if (cookie != 0)
			rebalance_answer_join(member, cookie, group->leader_id,
					      rebalance_is_leader(member), false);
	}
	rebalance_arm_ms(group, &group->sync, now_ns, MAX(rebalance_timeout_ms(group), 1));
}

/** Three things at once: the member is known, its instance id is its own, it is not fenced. */
enum kafka_err rebalance_validate(struct group *group, struct wire_string member_id,
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
	error = rebalance_validate(group, sync->member_id, sync->instance_id, ret_member);
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
		rebalance_touch(member, now_ns);
		answer_sync(member, cookie);
		return;
	}
	CHECK(group->state == GROUP_COMPLETING);
	rebalance_fail_sync(member,
			    KAFKA_REBALANCE_IN_PROGRESS); /* an older sync of the same member */
	member->sync_cookie = cookie;
	if (!rebalance_is_leader(member) || group->sync_ticket != 0)
		return;
	if (!take_assignments(group, sync)) {
		fail_syncs(group, KAFKA_COORDINATOR_NOT_AVAILABLE, now_ns);
		rebalance_prepare(group, now_ns);
		return;
	}
	group->sync_ticket = rebalance_next_ticket(group);
	rebalance_store(group);
}

static void assignment_stored(struct group *group, enum kafka_err error, int64_t now_ns)
{
	group->sync_ticket = 0;
	if (group->state != GROUP_COMPLETING)
		return;
	if (error != KAFKA_NONE) {
		clear_assignments(group);
		fail_syncs(group, error, now_ns);
		rebalance_prepare(group, now_ns);
		return;
	}
	group_set_state(group, GROUP_STABLE);
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);
		uint64_t cookie = member->sync_cookie;

		member->sync_cookie = 0;
		if (cookie != 0) {
			rebalance_touch(member, now_ns);
			answer_sync(member, cookie);
		}
	}
}

static void static_stored(struct group_member *member, enum kafka_err error, int64_t now_ns)
{
	struct group *group = member->group;
	uint64_t cookie = member->join_cookie;
	bool leads = rebalance_is_leader(member) && !member->old_leader_id;

	member->static_ticket = 0;
	member->join_cookie = 0;
	rebalance_touch(member, now_ns);
	if (cookie == 0)
		return;
	if (error != KAFKA_NONE) {
		rebalance_answer_join_error(group->groups, cookie, member->id, error);
		return;
	}
	rebalance_answer_join(member, cookie, member->old_leader_id ? "" : group->leader_id, leads,
			      leads);
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
	error = rebalance_validate(group, member_id, instance_id, &member);
	if (error != KAFKA_NONE)
		return error;
	if (generation != group->generation)
		return KAFKA_ILLEGAL_GENERATION;
	if (group->state == GROUP_EMPTY)
		return KAFKA_UNKNOWN_MEMBER_ID;
	rebalance_touch(member, now_ns);
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
			rebalance_try_complete(group, now_ns);
			return KAFKA_NONE;
		}
		error = rebalance_validate(group, member_id, instance_id, &member);
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
		error = rebalance_validate(group, member_id, instance_id, &member);
		if (error != KAFKA_NONE)
			return error;
		if (generation != group->generation)
			return KAFKA_ILLEGAL_GENERATION;
		if (group->state == GROUP_COMPLETING)
			return KAFKA_REBALANCE_IN_PROGRESS;
		rebalance_touch(member, now_ns);
	}
	*ret_group = group;
	return KAFKA_NONE;
}

void rebalance_restore(struct group_member *member, int64_t now_ns)
{
	rebalance_timers_ready(member->group);
	timer_init(&member->session, rebalance_session_expired);
	rebalance_touch(member, now_ns);
}

int64_t rebalance_run(struct groups *groups, int64_t now_ns)
{
	(void)timers_run(&groups->timers, now_ns, TIMERS_PER_RUN); /* the rest is due again */
	return timers_next_ns(&groups->timers);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/group/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *group_text(struct wire_string text)
{
	size_t size = text.size > 0 ? (size_t)text.size : 0;
	char *copy = malloc(size + 1);

	if (copy == NULL)
		return NULL;
	if (size > 0)
		memcpy(copy, text.bytes, size);
	copy[size] = '\0';
	return copy;
}

bool group_text_equal(const char *text, struct wire_string other)
{
	size_t size = other.size > 0 ? (size_t)other.size : 0;

	return text != NULL && strlen(text) == size &&
	       (size == 0 || memcmp(text, other.bytes, size) == 0);
}

static int text_compare(const char *text, struct wire_string other)
{
	size_t have = strlen(text);
	size_t want = other.size > 0 ? (size_t)other.size : 0;
	size_t both = MIN(have, want);
	int order = both > 0 ? memcmp(text, other.bytes, both) : 0;

	return order != 0 ? order : (have > want) - (have < want);
}

static size_t lower(const struct groups *groups, struct wire_string id)
{
	size_t low = 0;
	size_t high = groups->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (text_compare(groups->all[middle]->id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void groups_init(struct groups *groups, const struct group_settings *settings,
		 const struct group_ops *ops, void *context)
{
	memset(groups, 0, sizeof(*groups));
	groups->settings = *settings;
	groups->ops = ops;
	groups->context = context;
	timers_init(&groups->timers);
}

static void protocols_free(struct group_protocol *protocols, int32_t count)
{
	for (int32_t i = 0; i < count; i++) {
		free(protocols[i].name);
		free(protocols[i].metadata);
	}
	free(protocols);
}

static void member_free(struct group_member *member)
{
	timer_disarm(&member->group->groups->timers, &member->session);
	protocols_free(member->protocols, member->protocol_count);
	free(member->id);
	free(member->instance_id);
	free(member->client_id);
	free(member->client_host);
	free(member->assignment);
	free(member);
}

static void group_free(struct group *group)
{
	LIST_EACH_SAFE(&group->members, node)
	{
		list_remove(node);
		member_free(LIST_ENTRY(node, struct group_member, link));
	}
	LIST_EACH_SAFE(&group->pending, node)
	group_remove_pending(group, LIST_ENTRY(node, struct group_pending, link));
	timer_disarm(&group->groups->timers, &group->rebalance);
	timer_disarm(&group->groups->timers, &group->sync);
	offsets_clear(&group->offsets);
	free(group->id);
	free(group->protocol_type);
	free(group->protocol);
	free(group->leader_id);
	free(group);
}

void groups_clear(struct groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		group_free(groups->all[i]);
	free(groups->all);
	groups->all = NULL;
	groups->count = groups->capacity = 0;
}

struct group *groups_find(struct groups *groups, struct wire_string id)
{
	size_t at = lower(groups, id);

	if (at < groups->count && text_compare(groups->all[at]->id, id) == 0)
		return groups->all[at];
	return NULL;
}

static bool make_room(struct groups *groups)
{
	size_t capacity = groups->capacity > 0 ? groups->capacity * 2 : 16;
	struct group **all;

	if (groups->count < groups->capacity)
		return true;
	all = realloc(groups->all, capacity * sizeof(struct group *));
	if (all == NULL)
		return false;
	groups->all = all;
	groups->capacity = capacity;
	return true;
}

static struct group *group_new(struct groups *groups, struct wire_string id)
{
	struct group *group = calloc(1, sizeof(*group));

	if (group == NULL)
		return NULL;
	group->id = group_text(id);
	if (group->id == NULL) {
		free(group);
		return NULL;
	}
	group->groups = groups;
	group->state_since_ms = -1;
	list_init(&group->members);
	list_init(&group->pending);
	offsets_init(&group->offsets);
	return group;
}

struct group *groups_get(struct groups *groups, struct wire_string id)
{
	struct group *group = groups_find(groups, id);
	size_t at;

	if (group != NULL)
		return group;
	if (groups->count >= GROUPS_MAX || !make_room(groups))
		return NULL;
	group = group_new(groups, id);
	if (group == NULL)
		return NULL;
	at = lower(groups, id);
	memmove(&groups->all[at + 1], &groups->all[at],
		(groups->count - at) * sizeof(struct group *));
	groups->all[at] = group;
	groups->count++;
	return group;
}

void groups_remove(struct groups *groups, struct group *group)
{
	struct wire_string id = { group->id, (int32_t)strlen(group->id) };
	size_t at = lower(groups, id);

	CHECK(at < groups->count && groups->all[at] == group);
	groups->count--;
	memmove(&groups->all[at], &groups->all[at + 1],
		(groups->count - at) * sizeof(struct group *));
	group_free(group);
}

const char *group_state_name(enum group_state state)
{
	switch (state) {
	case GROUP_EMPTY:
		return "Empty";
	case GROUP_PREPARING:
		return "PreparingRebalance";
	case GROUP_COMPLETING:
		return "CompletingRebalance";
	case GROUP_STABLE:
		return "Stable";
	case GROUP_DEAD:
		return "Dead";
	}
	WRONG("group state");
}

void group_set_state(struct group *group, enum group_state state)
{
	group->state_before = group->state;
	group->state = state;
	group->state_since_ms = group->groups->wall_ms;
}

struct group_member *group_find_member(struct group *group, struct wire_string id)
{
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (group_text_equal(member->id, id))
			return member;
	}
	return NULL;
}

struct group_member *group_find_static(struct group *group, struct wire_string instance_id)
{
	LIST_EACH(&group->members, node)
	{
		struct group_member *member = LIST_ENTRY(node, struct group_member, link);

		if (group_text_equal(member->instance_id, instance_id))
			return member;
	}
	return NULL;
}

struct group_member *group_add_member(struct group *group, struct wire_string id,
				      struct wire_string instance_id)
{
	struct group_member *member = calloc(1, sizeof(*member));
	char *leader_id = NULL;

	if (member == NULL)
		return NULL;
	list_init(&member->link);
	member->group = group;
	member->id = group_text(id);
	if (group->leader_id == NULL)
		leader_id = group_text(id);
	if (instance_id.size >= 0)
		member->instance_id = group_text(instance_id);
	if (member->id == NULL || (group->leader_id == NULL && leader_id == NULL) ||
	    (instance_id.size >= 0 && member->instance_id == NULL)) {
		free(leader_id);
		member_free(member);
		return NULL;
	}
	if (leader_id != NULL)
		group->leader_id = leader_id;
	list_push_back(&group->members, &member->link);
	group->member_count++;
	return member;
}

void group_remove_member(struct group *group, struct group_member *member)
{
	CHECK(member->group == group);
	list_remove(&member->link);
	group->member_count--;
	CHECK(group->member_count >= 0);
	if (group->leader_id != NULL && strcmp(group->leader_id, member->id) == 0) {
		free(group->leader_id);
		group->leader_id = NULL;
		/* Without memory for the id there is no leader until the next election. */
		if (!list_is_empty(&group->members))
			group->leader_id = strdup(
				LIST_ENTRY(group->members.next, struct group_member, link)->id);
	}
	member_free(member);
}

struct group_pending *group_find_pending(struct group *group, struct wire_string id)
{
	LIST_EACH(&group->pending, node)
	{
		struct group_pending *pending = LIST_ENTRY(node, struct group_pending, link);

		if (group_text_equal(pending->id, id))
			return pending;
	}
	return NULL;
}

void group_remove_pending(struct group *group, struct group_pending *pending)
{
	timer_disarm(&group->groups->timers, &pending->expiry);
	list_remove(&pending->link);
	group->pending_count--;
	free(pending->id);
	free(pending);
}

int group_member_vote(struct group_member *member, const struct group_protocol *protocols,
		      int32_t count)
{
	struct group_protocol *copy = calloc(count > 0 ? (size_t)count : 1, sizeof(*copy));

	if (copy == NULL)
		return -ENOMEM;
	for (int32_t i = 0; i < count; i++) {
		size_t size = (size_t)protocols[i].size;

		copy[i].name = strdup(protocols[i].name);
		copy[i].metadata = malloc(size > 0 ? size : 1);
		if (copy[i].name == NULL || copy[i].metadata == NULL) {
			protocols_free(copy, i + 1);
			return -ENOMEM;
		}
		if (size > 0)
			memcpy(copy[i].metadata, protocols[i].metadata, size);
		copy[i].size = protocols[i].size;
	}
	protocols_free(member->protocols, member->protocol_count);
	member->protocols = copy;
	member->protocol_count = count;
	return 0;
}

bool group_member_matches(const struct group_member *member, const struct group_protocol *protocols,
			  int32_t count)
{
	if (member->protocol_count != count)
		return false;
	for (int32_t i = 0; i < count; i++) {
		const struct group_protocol *a = &member->protocols[i];
		const struct group_protocol *b = &protocols[i];

		if (strcmp(a->name, b->name) != 0 || a->size != b->size ||
		    (a->size > 0 && memcmp(a->metadata, b->metadata, (size_t)a->size) != 0))
			return false;
	}
	return true;
}

const uint8_t *group_member_metadata(const struct group_member *member, int32_t *ret_size)
{
	for (int32_t i = 0; i < member->protocol_count; i++) {
		if (member->group->protocol != NULL &&
		    strcmp(member->protocols[i].name, member->group->protocol) == 0) {
			*ret_size = member->protocols[i].size;
			return member->protocols[i].metadata;
		}
	}
	*ret_size = 0;
	return NULL;
}

static bool member_speaks(const struct group_member *member, const char *name)
{
	for (int32_t i = 0; i < member->protocol_count; i++)
		if (strcmp(member->protocols[i].name, name) == 0)
			return true;
	return false;
}

static bool all_speak(const struct group *group, const char *name)
{
	LIST_EACH(&group->members, node)
	if (!member_speaks(LIST_ENTRY(node, struct group_member, link), name))
		return false;
	return true;
}

bool group_supports(const struct group *group, struct wire_string protocol_type,
		    const struct group_protocol *protocols, int32_t count)
{
	if (group->state == GROUP_EMPTY)
		return protocol_type.size > 0 && count > 0;
	if (!group_text_equal(group->protocol_type, protocol_type))
		return false;
	for (int32_t i = 0; i < count; i++)
		if (all_speak(group, protocols[i].name))
			return true;
	return false;
}

/** @return index among the first member's protocols of the member's favourite that all speak; -1 */
static int32_t member_vote(const struct group_member *member, const struct group_member *first,
			   const int32_t *votes)
{
	for (int32_t i = 0; i < member->protocol_count; i++)
		for (int32_t k = 0; k < first->protocol_count; k++)
			if (votes[k] >= 0 &&
			    strcmp(member->protocols[i].name, first->protocols[k].name) == 0)
				return k;
	return -1;
}

const char *group_select_protocol(const struct group *group)
{
	const struct group_member *first;
	int32_t votes[GROUP_PROTOCOLS_MAX];
	int32_t best = -1;

	if (list_is_empty(&group->members))
		return NULL;
	/* What all speak is among what the first one speaks: -1 marks what is not common. */
	first = LIST_ENTRY(group->members.next, struct group_member, link);
	CHECK(first->protocol_count <= GROUP_PROTOCOLS_MAX);
	for (int32_t i = 0; i < first->protocol_count; i++)
		votes[i] = all_speak(group, first->protocols[i].name) ? 0 : -1;
	LIST_EACH(&group->members, node)
	{
		int32_t vote =
			member_vote(LIST_ENTRY(node, struct group_member, link), first, votes);

		if (vote >= 0)
			votes[vote]++;
	}
	for (int32_t i = 0; i < first->protocol_count; i++)
		if (votes[i] > 0 && (best < 0 || votes[i] > votes[best]))
			best = i;
	return best >= 0 ? first->protocols[best].name : NULL;
}

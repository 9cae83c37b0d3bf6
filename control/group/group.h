/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Classic consumer groups as data: groups, members, the protocols they vote for, and the timers that
 * watch them. What happens to them is in rebalance.h; their committed offsets are in offsets.h.
 *
 * Nothing here does I/O or reads a clock: `now` is an argument, answers and writes go out through
 * `struct group_ops`.
 *
 * Context: one thread owns a `struct groups`. Memory: heap, bounded by GROUPS_MAX, the members per
 * group of the settings, GROUP_PENDING_MAX and the frame size.
 * Source: Kafka's ClassicGroup and ClassicGroupMember.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"
#include "base/list.h"
#include "base/timers.h"

#include "control/group/offsets.h"
#include "dataplane/wire/kafka_err.h"
#include "dataplane/wire/wire.h"

#define GROUPS_MAX          20000
#define GROUP_PROTOCOLS_MAX 64    /* protocols of one member */
#define GROUP_PENDING_MAX   10000 /* member ids of one group given out and not yet used */

enum group_state {
	GROUP_EMPTY,     /* no members; offsets may be there */
	GROUP_PREPARING, /* members are asked to join again; joins are parked */
	GROUP_COMPLETING, /* the generation is fixed, the leader's assignment is awaited; syncs are parked */
	GROUP_STABLE, /* every member may have its assignment */
	GROUP_DEAD,   /* deleted; never kept in `struct groups` */
};

struct group_protocol {
	char *name;
	uint8_t *metadata; /* [size] */
	int32_t size;
};

struct group_member {
	struct list link;    /* in group->members, by order of joining */
	struct group *group; /* the one it belongs to */
	char *id;
	char *instance_id; /* NULL: dynamic member */
	char *client_id;
	char *client_host;
	int32_t session_timeout_ms;
	int32_t rebalance_timeout_ms;
	struct group_protocol *protocols; /* [protocol_count], by preference */
	int32_t protocol_count;
	uint8_t *assignment; /* [assignment_size]; NULL: empty */
	int32_t assignment_size;
	struct timer session;
	uint64_t join_cookie;   /* parked JoinGroup; 0: none */
	uint64_t sync_cookie;   /* parked SyncGroup; 0: none */
	uint64_t static_ticket; /* write that the parked join of a replaced static member awaits */
	bool is_new;            /* joined for the first time, first generation not yet out */
	bool sync_wanted;       /* got the generation, has not asked for its assignment yet */
	bool skip_assignment;   /* the client understands SkipAssignment (JoinGroup 9) */
	bool old_leader_id;     /* replaced static leader of an older client: tell it the old id */
};

/** A member id given out with MEMBER_ID_REQUIRED, until it joins or its time is over. */
struct group_pending {
	struct list link; /* in group->pending */
	struct group *group;
	struct timer expiry;
	char *id;
};

struct groups;

struct group {
	struct groups *groups;
	char *id;
	enum group_state state;
	enum group_state state_before; /* the state it came from */
	int64_t state_since_ms;        /* wall clock; -1: unknown */
	int32_t generation;
	char *protocol_type; /* NULL: none yet (offsets only) */
	char *protocol;      /* chosen; NULL: none */
	char *leader_id;     /* NULL: none */
	struct list members;
	int32_t member_count;
	struct list pending;
	int32_t pending_count;
	struct timer rebalance; /* end of the join phase */
	struct timer sync;      /* members that never sync are removed */
	bool in_initial_delay;  /* first rebalance of an empty group: waits for more members */
	bool member_added;      /* during that wait */
	int64_t delay_left_ms;
	uint64_t sync_ticket; /* write of the leader's assignment under way; 0: none */
	struct offsets offsets;
};

/** Answer to a JoinGroup. */
struct group_joined {
	enum kafka_err error;
	const char *member_id; /* "" when there is none */
	/* the following only without error */
	const struct group *group;
	const char *leader_id;
	bool with_members; /* list every member with its metadata for group->protocol */
	bool skip_assignment;
};

/** Answer to a SyncGroup. */
struct group_synced {
	enum kafka_err error;
	const struct group *group; /* NULL with an error */
	const uint8_t *assignment; /* [size] */
	int32_t size;
};

struct group_ops {
	void (*join_done)(void *context, uint64_t cookie, const struct group_joined *joined);
	void (*sync_done)(void *context, uint64_t cookie, const struct group_synced *synced);
	/** Write the group's metadata as it is now; rebalance_stored() reports the outcome. */
	void (*store)(void *context, const struct group *group, uint64_t ticket);
};

struct group_settings {
	int32_t session_min_ms;
	int32_t session_max_ms;
	int32_t initial_delay_ms;
	int32_t size_max; /* members of a group */
};

struct groups {
	struct group_settings settings;
	const struct group_ops *ops;
	void *context;
	struct timers timers;
	struct group **all; /* [count], sorted by id */
	size_t count;
	size_t capacity;
	uint64_t ticket; /* last one given to a store */
	int64_t wall_ms; /* calendar time of this turn, set by the caller */
};

void groups_init(struct groups *groups, const struct group_settings *settings,
		 const struct group_ops *ops, void *context);
/** Forget every group; nobody is answered. */
void groups_clear(struct groups *groups);

/** @return NULL unknown */
struct group *groups_find(struct groups *groups, struct wire_string id);
/** @return found or new (empty); NULL at GROUPS_MAX or out of memory */
struct group *groups_get(struct groups *groups, struct wire_string id);
/** Take a group out and free it. Members must be gone or unanswered on purpose. */
void groups_remove(struct groups *groups, struct group *group);

/** @return Kafka's name of the state */
const char *group_state_name(enum group_state state);
void group_set_state(struct group *group, enum group_state state);

/** @return NULL unknown */
struct group_member *group_find_member(struct group *group, struct wire_string id);
struct group_member *group_find_static(struct group *group, struct wire_string instance_id);
/** @return a member at the end of the list, made leader when there is none; NULL out of memory */
struct group_member *group_add_member(struct group *group, struct wire_string id,
				      struct wire_string instance_id);
/** Take a member out and free it; leadership passes to the oldest one left. */
void group_remove_member(struct group *group, struct group_member *member);
/** @return the pending id; NULL unknown */
struct group_pending *group_find_pending(struct group *group, struct wire_string id);
void group_remove_pending(struct group *group, struct group_pending *pending);

/** Replace what a member votes for. @return 0; -ENOMEM and nothing changed */
NODISCARD int group_member_vote(struct group_member *member, const struct group_protocol *protocols,
				int32_t count);
/** @return true when the member voted for exactly these, in this order */
bool group_member_matches(const struct group_member *member, const struct group_protocol *protocols,
			  int32_t count);
/** @return metadata for the group's chosen protocol; NULL none. Size in ret_size. */
const uint8_t *group_member_metadata(const struct group_member *member, int32_t *ret_size);

/** @return true when at least one of the protocols is spoken by every member */
bool group_supports(const struct group *group, struct wire_string protocol_type,
		    const struct group_protocol *protocols, int32_t count);
/** Each member votes for its first protocol that all speak. @return name, borrowed; NULL none */
const char *group_select_protocol(const struct group *group);

/** @return a copy, zero-terminated ("" for null); NULL out of memory. Caller frees with free(). */
char *group_text(struct wire_string text);
bool group_text_equal(const char *text, struct wire_string other);

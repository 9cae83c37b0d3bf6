/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What happens to a classic group: join, sync, heartbeat, leave, and time. A pure state machine:
 * requests in, actions out through `struct group_ops`, `now` as an argument.
 *
 *   Empty -join-> Preparing -all joined or time-> Completing -leader's assignment stored-> Stable
 *   Stable or Completing -join, leave, expiry-> Preparing;  Preparing with no members left -> Empty
 *
 * Context: one thread. Memory: heap, bounded as group.h says.
 * Source: Kafka's GroupMetadataManager (classicGroup*), KIP-345 (static members), KIP-394 (member id
 * first), KIP-814 (static leader keeps its assignment).
 */
#pragma once

#define CONTROL_LAYER

#include "control/group/group.h"

struct rebalance_join {
	struct wire_string group_id;
	struct wire_string member_id;   /* empty: new member */
	struct wire_string instance_id; /* null: dynamic member */
	struct wire_string client_id;
	struct wire_string client_host;
	struct wire_string protocol_type;
	const struct group_protocol *protocols; /* [protocol_count], copied */
	int32_t protocol_count;
	int32_t session_timeout_ms;
	int32_t rebalance_timeout_ms;
	bool id_required;     /* JoinGroup 4 and later: a new member gets its id first */
	bool skip_assignment; /* JoinGroup 9 and later */
};

struct rebalance_sync {
	struct wire_string group_id;
	struct wire_string member_id;
	struct wire_string instance_id;
	struct wire_string protocol_type; /* null: not told */
	struct wire_string protocol;      /* null: not told */
	int32_t generation;
	const struct rebalance_assignment {
		struct wire_string member_id;
		struct wire_bytes bytes;
	} * assignments; /* [assignment_count]; the leader's */
	int32_t assignment_count;
};

/** Answered through ops->join_done(cookie), now or later. */
void rebalance_join(struct groups *groups, const struct rebalance_join *join, uint64_t cookie,
		    int64_t now_ns);

/** Answered through ops->sync_done(cookie), now or later. */
void rebalance_sync(struct groups *groups, const struct rebalance_sync *sync, uint64_t cookie,
		    int64_t now_ns);

enum kafka_err rebalance_heartbeat(struct groups *groups, struct wire_string group_id,
				   struct wire_string member_id, struct wire_string instance_id,
				   int32_t generation, int64_t now_ns);

/** One member leaves; an empty member id with an instance id names a static member. */
enum kafka_err rebalance_leave(struct groups *groups, struct wire_string group_id,
			       struct wire_string member_id, struct wire_string instance_id,
			       int64_t now_ns);

/**
 * May this member commit offsets now? A member's commit also counts as a heartbeat.
 *
 * @param generation  -1 and an empty member id: not a member; allowed while the group is empty
 * @param[out] ret_group  the group, made when it was unknown; only without error
 */
enum kafka_err rebalance_commit(struct groups *groups, struct wire_string group_id,
				struct wire_string member_id, struct wire_string instance_id,
				int32_t generation, int64_t now_ns, struct group **ret_group);

/** Outcome of ops->store(ticket). @param error  KAFKA_NONE or what the members are told */
void rebalance_stored(struct groups *groups, struct wire_string group_id, uint64_t ticket,
		      enum kafka_err error, int64_t now_ns);

/** Give a member that was read back from the log a fresh session. */
void rebalance_restore(struct group_member *member, int64_t now_ns);

/** Run what is due. @return next due time; INT64_MAX: none */
int64_t rebalance_run(struct groups *groups, int64_t now_ns);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the two files of the group state machine share: rebalance.c (rounds, sync, heartbeat, leave)
 * and rebalance_join.c (who may join, and as whom).
 *
 * Context, Memory: as rebalance.h.
 */
#pragma once

#define CONTROL_LAYER

#include "control/group/rebalance.h"

/** Answer a join that is not parked with an error. */
void rebalance_answer_join_error(struct groups *groups, uint64_t cookie, const char *member_id,
				 enum kafka_err error);
/** Answer the parked join of a member, if there is one, with an error. */
void rebalance_fail_join(struct group_member *member, enum kafka_err error);
/** The same for its parked sync. */
void rebalance_fail_sync(struct group_member *member, enum kafka_err error);
/** Answer a join with the group's present generation. */
void rebalance_answer_join(const struct group_member *member, uint64_t cookie,
			   const char *leader_id, bool with_members, bool skip_assignment);
bool rebalance_is_leader(const struct group_member *member);
/** Write the group; who waits for the outcome notes next_ticket() first. */
void rebalance_store(struct group *group);
uint64_t rebalance_next_ticket(const struct group *group);
void rebalance_arm_ms(struct group *group, struct timer *timer, int64_t now_ns, int64_t ms);
/** The member lives: its session starts again. */
void rebalance_touch(struct group_member *member, int64_t now_ns);
/** End the join phase if nobody is missing. */
void rebalance_try_complete(struct group *group, int64_t now_ns);
/** Start a rebalance unless one is under way. */
void rebalance_prepare(struct group *group, int64_t now_ns);
/** @param[out] ret_member  only without error */
enum kafka_err rebalance_validate(struct group *group, struct wire_string member_id,
				  struct wire_string instance_id, struct group_member **ret_member);
/** Timer functions of members, of pending ids. */
void rebalance_session_expired(struct timer *timer, int64_t now_ns);
void rebalance_pending_expired(struct timer *timer, int64_t now_ns);
/** A group's timers get their functions with its first member. */
void rebalance_timers_ready(struct group *group);

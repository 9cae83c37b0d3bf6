/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: classic groups go through their states as Kafka's do. Shown with virtual time: every test
 * drives requests and moments into the state machine and looks at the answers by cookie, at what was
 * stored, and at the state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/group/rebalance.h"

#include "cm.h"

#define MS       NS_PER_MS
#define COOKIES  64
#define DELAY_MS 500

struct answer {
	bool given;
	enum kafka_err error;
	char member_id[96];
	char leader_id[96];
	char protocol[32];
	int32_t generation;
	bool with_members;
	bool skip_assignment;
	char assignment[32];
};

struct fixture {
	struct groups groups;
	struct answer joins[COOKIES];
	struct answer syncs[COOKIES];
	uint64_t stored[COOKIES]; /* tickets */
	uint32_t store_count;
	int64_t now_ns;
};

static void join_done(void *context, uint64_t cookie, const struct group_joined *joined)
{
	struct fixture *f = context;
	struct answer *answer = &f->joins[cookie];

	assert_false(answer->given);
	answer->given = true;
	answer->error = joined->error;
	(void)snprintf(answer->member_id, sizeof(answer->member_id), "%s", joined->member_id);
	if (joined->error != KAFKA_NONE)
		return;
	answer->generation = joined->group->generation;
	(void)snprintf(answer->leader_id, sizeof(answer->leader_id), "%s", joined->leader_id);
	(void)snprintf(answer->protocol, sizeof(answer->protocol), "%s", joined->group->protocol);
	answer->with_members = joined->with_members;
	answer->skip_assignment = joined->skip_assignment;
}

static void sync_done(void *context, uint64_t cookie, const struct group_synced *synced)
{
	struct fixture *f = context;
	struct answer *answer = &f->syncs[cookie];

	assert_false(answer->given);
	answer->given = true;
	answer->error = synced->error;
	if (synced->size > 0)
		memcpy(answer->assignment, synced->assignment, (size_t)synced->size);
}

static void store(void *context, const struct group *group, uint64_t ticket)
{
	struct fixture *f = context;

	(void)group;
	f->stored[f->store_count++ % COOKIES] = ticket;
}

static const struct group_ops ops = { join_done, sync_done, store };

static struct wire_string text(const char *bytes)
{
	return wire_string_from(bytes);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct group_settings settings = { 6000, 1800000, DELAY_MS, 3 };

	if (f == NULL)
		return -1;
	groups_init(&f->groups, &settings, &ops, f);
	f->groups.wall_ms = 1000000;
	f->now_ns = NS_PER_S;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	groups_clear(&f->groups);
	free(f);
	return 0;
}

static void pass(struct fixture *f, int64_t ms)
{
	f->now_ns += ms * MS;
	f->groups.wall_ms += ms;
	(void)rebalance_run(&f->groups, f->now_ns);
}

struct join_how {
	const char *member_id;
	const char *instance_id;
	const char *protocols; /* names of one letter each */
	bool id_required;
	bool skip_assignment;
};

static struct answer *join(struct fixture *f, uint64_t cookie, struct join_how how)
{
	struct group_protocol protocols[8];
	char names[8][2];
	struct rebalance_join request = {
		.group_id = text("g"),
		.member_id = text(how.member_id != NULL ? how.member_id : ""),
		.instance_id = text(how.instance_id),
		.client_id = text("client"),
		.client_host = text("10.0.0.1"),
		.protocol_type = text("consumer"),
		.protocols = protocols,
		.session_timeout_ms = 10000,
		.rebalance_timeout_ms = 60000,
		.id_required = how.id_required,
		.skip_assignment = how.skip_assignment,
	};
	const char *all = how.protocols != NULL ? how.protocols : "a";
	static uint8_t metadata[] = "meta";

	for (; all[request.protocol_count] != '\0'; request.protocol_count++) {
		int32_t i = request.protocol_count;

		names[i][0] = all[i];
		names[i][1] = '\0';
		protocols[i] = (struct group_protocol){ names[i], metadata, 4 };
	}
	memset(&f->joins[cookie], 0, sizeof(f->joins[cookie]));
	rebalance_join(&f->groups, &request, cookie, f->now_ns);
	return &f->joins[cookie];
}

static struct answer *sync(struct fixture *f, uint64_t cookie, const char *member_id,
			   int32_t generation, const char *mine, const char *other)
{
	struct rebalance_assignment assignments[2] = {
		{ text(member_id), { (const uint8_t *)"mine", 4 } },
		{ text(other != NULL ? other : ""), { (const uint8_t *)"other", 5 } },
	};
	struct rebalance_sync request = {
		.group_id = text("g"),
		.member_id = text(member_id),
		.instance_id = WIRE_STRING_NULL,
		.protocol_type = WIRE_STRING_NULL,
		.protocol = WIRE_STRING_NULL,
		.generation = generation,
		.assignments = assignments,
		.assignment_count = mine == NULL    ? 0
				    : other != NULL ? 2
						    : 1,
	};

	memset(&f->syncs[cookie], 0, sizeof(f->syncs[cookie]));
	rebalance_sync(&f->groups, &request, cookie, f->now_ns);
	return &f->syncs[cookie];
}

static void stored(struct fixture *f, enum kafka_err error)
{
	rebalance_stored(&f->groups, text("g"), f->stored[(f->store_count - 1) % COOKIES], error,
			 f->now_ns);
}

static enum kafka_err beat(struct fixture *f, const char *member_id, int32_t generation)
{
	return rebalance_heartbeat(&f->groups, text("g"), text(member_id), WIRE_STRING_NULL,
				   generation, f->now_ns);
}

static enum kafka_err leave(struct fixture *f, const char *member_id)
{
	return rebalance_leave(&f->groups, text("g"), text(member_id), WIRE_STRING_NULL, f->now_ns);
}

static struct group *group(struct fixture *f)
{
	return groups_find(&f->groups, text("g"));
}

/** One member, stable in generation 1; its id is in joins[1]. */
static const char *one_stable(struct fixture *f)
{
	struct answer *joined = join(f, 1, (struct join_how){ .protocols = "a" });

	assert_false(joined->given);
	pass(f, DELAY_MS);
	assert_true(joined->given);
	assert_int_equal(joined->error, KAFKA_NONE);
	assert_false(sync(f, 1, joined->member_id, 1, "mine", NULL)->given);
	stored(f, KAFKA_NONE);
	assert_int_equal(group(f)->state, GROUP_STABLE);
	return joined->member_id;
}

static void test_rebalance_first_generation(void **state)
{
	struct fixture *f = *state;
	struct answer *first = join(f, 1, (struct join_how){ .protocols = "ba" });
	struct answer *second = join(f, 2, (struct join_how){ .protocols = "a" });

	assert_int_equal(group(f)->state, GROUP_PREPARING);
	/* The second came during the wait, so it is waited for once more. */
	pass(f, DELAY_MS);
	assert_false(first->given);
	pass(f, DELAY_MS);
	assert_true(first->given);
	assert_true(second->given);
	assert_int_equal(group(f)->state, GROUP_COMPLETING);
	assert_int_equal(first->generation, 1);
	assert_string_equal(first->protocol, "a"); /* what both speak */
	assert_string_equal(first->leader_id, first->member_id);
	assert_string_equal(second->leader_id, first->member_id);
	assert_true(first->with_members);
	assert_false(second->with_members);

	assert_false(sync(f, 2, second->member_id, 1, NULL, NULL)->given);
	assert_int_equal(f->store_count, 0);
	assert_false(sync(f, 1, first->member_id, 1, "mine", second->member_id)->given);
	assert_int_equal(f->store_count, 1);
	/* Nothing is answered before the assignment is durable. */
	assert_false(f->syncs[2].given);
	stored(f, KAFKA_NONE);
	assert_string_equal(f->syncs[1].assignment, "mine");
	assert_string_equal(f->syncs[2].assignment, "other");
	assert_int_equal(group(f)->state, GROUP_STABLE);
	assert_int_equal(beat(f, first->member_id, 1), KAFKA_NONE);
}

static void test_rebalance_member_id_required(void **state)
{
	struct fixture *f = *state;
	struct answer *refused = join(f, 1, (struct join_how){ .id_required = true });
	struct answer *joined;

	assert_true(refused->given);
	assert_int_equal(refused->error, KAFKA_MEMBER_ID_REQUIRED);
	assert_memory_equal(refused->member_id, "client-", 7);
	assert_int_equal(group(f)->state, GROUP_EMPTY);
	joined = join(f, 2, (struct join_how){ .member_id = refused->member_id });
	pass(f, DELAY_MS);
	assert_int_equal(joined->error, KAFKA_NONE);
	assert_string_equal(joined->member_id, refused->member_id);
	/* A given id that is never used is forgotten after the session timeout. */
	refused = join(f, 3, (struct join_how){ .id_required = true });
	assert_int_equal(group(f)->pending_count, 1);
	pass(f, 10000);
	assert_int_equal(group(f)->pending_count, 0);
	assert_int_equal(join(f, 4, (struct join_how){ .member_id = refused->member_id })->error,
			 KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_rebalance_refusals(void **state)
{
	struct fixture *f = *state;
	const char *member = one_stable(f);
	struct rebalance_join request = { .group_id = text(""), .instance_id = WIRE_STRING_NULL };

	assert_int_equal(join(f, 2, (struct join_how){ .protocols = "z" })->error,
			 KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	assert_int_equal(join(f, 3, (struct join_how){ .member_id = "nobody" })->error,
			 KAFKA_UNKNOWN_MEMBER_ID);
	rebalance_join(&f->groups, &request, 4, f->now_ns);
	assert_int_equal(f->joins[4].error, KAFKA_INVALID_GROUP_ID);
	request.group_id = text("g");
	request.session_timeout_ms = 5999;
	rebalance_join(&f->groups, &request, 5, f->now_ns);
	assert_int_equal(f->joins[5].error, KAFKA_INVALID_SESSION_TIMEOUT);
	assert_int_equal(beat(f, member, 2), KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(beat(f, "nobody", 1), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(sync(f, 6, member, 7, NULL, NULL)->error, KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(sync(f, 7, "nobody", 1, NULL, NULL)->error, KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(leave(f, "nobody"), KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(group(f)->state, GROUP_STABLE);
}

static void test_rebalance_second_member_joins(void **state)
{
	struct fixture *f = *state;
	char member[96];
	struct answer *second;
	struct answer *again;

	(void)snprintf(member, sizeof(member), "%s", one_stable(f));
	second = join(f, 2, (struct join_how){ .protocols = "a" });
	assert_false(second->given);
	assert_int_equal(group(f)->state, GROUP_PREPARING);
	assert_int_equal(beat(f, member, 1), KAFKA_REBALANCE_IN_PROGRESS);
	assert_int_equal(sync(f, 3, member, 1, NULL, NULL)->error, KAFKA_REBALANCE_IN_PROGRESS);
	again = join(f, 3, (struct join_how){ .member_id = member });
	/* All are here: no wait but the first rebalance's. */
	assert_true(second->given);
	assert_true(again->given);
	assert_int_equal(again->generation, 2);
	assert_string_equal(again->leader_id, member);
}

static void test_rebalance_absent_member_is_dropped(void **state)
{
	struct fixture *f = *state;
	char member[96];
	struct answer *second;

	(void)snprintf(member, sizeof(member), "%s", one_stable(f));
	second = join(f, 2, (struct join_how){ .protocols = "a" });
	/* It heartbeats but never joins again: out after the rebalance timeout. */
	for (int i = 0; i < 12; i++) {
		assert_false(second->given);
		assert_int_equal(beat(f, member, 1), KAFKA_REBALANCE_IN_PROGRESS);
		pass(f, 5000);
	}
	assert_true(second->given);
	assert_string_equal(second->leader_id, second->member_id);
	assert_int_equal(group(f)->member_count, 1);
	assert_int_equal(beat(f, member, 2), KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_rebalance_session_expiry_empties_group(void **state)
{
	struct fixture *f = *state;

	(void)one_stable(f);
	pass(f, 9999);
	assert_int_equal(group(f)->state, GROUP_STABLE);
	pass(f, 1);
	assert_int_equal(group(f)->state, GROUP_EMPTY);
	assert_int_equal(group(f)->generation, 2);
	assert_int_equal(group(f)->member_count, 0);
	assert_null(group(f)->protocol);
	assert_int_equal(f->store_count, 2); /* the assignment, then the empty group */
}

static void test_rebalance_leave(void **state)
{
	struct fixture *f = *state;
	char member[96];
	char other[96];
	struct answer *second;

	(void)snprintf(member, sizeof(member), "%s", one_stable(f));
	second = join(f, 2, (struct join_how){ .protocols = "a" });
	assert_int_equal(leave(f, member), KAFKA_NONE);
	assert_true(second->given);
	(void)snprintf(other, sizeof(other), "%s", second->member_id);
	assert_string_equal(second->leader_id, other);
	assert_int_equal(leave(f, other), KAFKA_NONE);
	assert_int_equal(group(f)->state, GROUP_EMPTY);
	assert_int_equal(leave(f, other), KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_rebalance_failed_store_starts_over(void **state)
{
	struct fixture *f = *state;
	struct answer *joined = join(f, 1, (struct join_how){ .protocols = "a" });

	pass(f, DELAY_MS);
	(void)sync(f, 1, joined->member_id, 1, "mine", NULL);
	stored(f, KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(f->syncs[1].error, KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(group(f)->state, GROUP_PREPARING);
}

static void test_rebalance_join_during_sync(void **state)
{
	struct fixture *f = *state;
	struct answer *joined = join(f, 1, (struct join_how){ .protocols = "a" });

	pass(f, DELAY_MS);
	(void)sync(f, 1, joined->member_id, 1, "mine", NULL);
	(void)join(f, 2, (struct join_how){ .protocols = "a" });
	assert_int_equal(f->syncs[1].error, KAFKA_REBALANCE_IN_PROGRESS);
	assert_int_equal(group(f)->state, GROUP_PREPARING);
	/* The write of the old generation's assignment comes late and changes nothing. */
	stored(f, KAFKA_NONE);
	assert_int_equal(group(f)->state, GROUP_PREPARING);
}

static void test_rebalance_member_that_never_syncs(void **state)
{
	struct fixture *f = *state;
	struct answer *joined = join(f, 1, (struct join_how){ .protocols = "a" });
	char member[96];

	pass(f, DELAY_MS);
	(void)snprintf(member, sizeof(member), "%s", joined->member_id);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(beat(f, member, 1), KAFKA_NONE);
		pass(f, 5000);
	}
	assert_int_equal(group(f)->state, GROUP_EMPTY);
	assert_int_equal(beat(f, member, 1), KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_rebalance_lost_answers(void **state)
{
	struct fixture *f = *state;
	char leader[96];
	char follower[96];
	struct answer *second;

	(void)snprintf(leader, sizeof(leader), "%s", one_stable(f));
	second = join(f, 2, (struct join_how){ .protocols = "a" });
	(void)join(f, 3, (struct join_how){ .member_id = leader });
	(void)snprintf(follower, sizeof(follower), "%s", second->member_id);
	/* Completing: who joins again unchanged is told the same generation again. */
	assert_int_equal(join(f, 4, (struct join_how){ .member_id = leader })->generation, 2);
	assert_true(f->joins[4].with_members);
	(void)sync(f, 4, leader, 2, "mine", follower);
	stored(f, KAFKA_NONE);
	/* Stable: a follower likewise, the leader's join means that it wants a rebalance. */
	assert_int_equal(join(f, 5, (struct join_how){ .member_id = follower })->generation, 2);
	assert_string_equal(sync(f, 5, follower, 2, NULL, NULL)->assignment, "other");
	assert_false(join(f, 6, (struct join_how){ .member_id = leader })->given);
	assert_int_equal(group(f)->state, GROUP_PREPARING);
}

static void test_rebalance_static_member_returns(void **state)
{
	struct fixture *f = *state;
	struct answer *joined =
		join(f, 1, (struct join_how){ .instance_id = "i", .skip_assignment = true });
	struct answer *back;
	char old[96];

	pass(f, DELAY_MS);
	(void)snprintf(old, sizeof(old), "%s", joined->member_id);
	assert_memory_equal(old, "i-", 2);
	(void)sync(f, 1, old, 1, "mine", NULL);
	stored(f, KAFKA_NONE);
	back = join(f, 2, (struct join_how){ .instance_id = "i", .skip_assignment = true });
	assert_false(back->given); /* the new id must be durable first */
	stored(f, KAFKA_NONE);
	assert_int_equal(back->error, KAFKA_NONE);
	assert_int_equal(back->generation, 1); /* no rebalance */
	assert_int_equal(group(f)->state, GROUP_STABLE);
	assert_true(back->skip_assignment);
	assert_string_not_equal(back->member_id, old);
	assert_string_equal(sync(f, 3, back->member_id, 1, NULL, NULL)->assignment, "mine");
	/* The old id is fenced. */
	assert_int_equal(
		rebalance_heartbeat(&f->groups, text("g"), text(old), text("i"), 1, f->now_ns),
		KAFKA_FENCED_INSTANCE_ID);
	assert_int_equal(rebalance_leave(&f->groups, text("g"), text(""), text("i"), f->now_ns),
			 KAFKA_NONE);
	assert_int_equal(group(f)->state, GROUP_EMPTY);
}

static void test_rebalance_group_size(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 1; i <= 3; i++)
		assert_false(join(f, i, (struct join_how){ .protocols = "a" })->given);
	assert_int_equal(join(f, 4, (struct join_how){ .protocols = "a" })->error,
			 KAFKA_GROUP_MAX_SIZE_REACHED);
}

static void test_rebalance_commit(void **state)
{
	static const struct {
		const char *member; /* "*": the stable member */
		int32_t generation;
		enum kafka_err error;
	} rows[] = {
		{ "*", 1, KAFKA_NONE },
		{ "*", 2, KAFKA_ILLEGAL_GENERATION },
		{ "nobody", 1, KAFKA_UNKNOWN_MEMBER_ID },
		{ "", -1, KAFKA_UNKNOWN_MEMBER_ID }, /* the group is in use */
	};
	struct fixture *f = *state;
	struct group *found = NULL;
	const char *member = one_stable(f);

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(
			rebalance_commit(&f->groups, text("g"),
					 text(rows[i].member[0] == '*' ? member : rows[i].member),
					 WIRE_STRING_NULL, rows[i].generation, f->now_ns, &found),
			rows[i].error);
	assert_ptr_equal(found, group(f));
	/* A group nobody has joined takes offsets of simple consumers only. */
	assert_int_equal(rebalance_commit(&f->groups, text("new"), text(""), WIRE_STRING_NULL, 3,
					  f->now_ns, &found),
			 KAFKA_ILLEGAL_GENERATION);
	assert_int_equal(rebalance_commit(&f->groups, text("new"), text(""), WIRE_STRING_NULL, -1,
					  f->now_ns, &found),
			 KAFKA_NONE);
	assert_string_equal(found->id, "new");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rebalance_first_generation),
		TEST(test_rebalance_member_id_required),
		TEST(test_rebalance_refusals),
		TEST(test_rebalance_second_member_joins),
		TEST(test_rebalance_absent_member_is_dropped),
		TEST(test_rebalance_session_expiry_empties_group),
		TEST(test_rebalance_leave),
		TEST(test_rebalance_failed_store_starts_over),
		TEST(test_rebalance_join_during_sync),
		TEST(test_rebalance_member_that_never_syncs),
		TEST(test_rebalance_lost_answers),
		TEST(test_rebalance_static_member_returns),
		TEST(test_rebalance_group_size),
		TEST(test_rebalance_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: groups and offsets written to __consumer_offsets come back the same, tombstones take them
 * away, keys and values have Kafka's bytes, and groups fall on Kafka's partitions. Shown by building
 * batches and applying them to an empty set of groups, and by bytes taken from the format.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "control/group/grouplog.h"
#include "control/group/rebalance.h"

#include "cm.h"

#define MEMORY_SIZE 65536

static void no_store(void *context, const struct group *group, uint64_t ticket)
{
	(void)context;
	(void)group;
	(void)ticket;
}

static const struct group_ops ops = { .store = no_store };

struct fixture {
	struct groups from;
	struct groups to;
	uint8_t memory[MEMORY_SIZE];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct group_settings settings = { 6000, 60000, 0, 10 };

	if (f == NULL)
		return -1;
	groups_init(&f->from, &settings, &ops, f);
	groups_init(&f->to, &settings, &ops, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	groups_clear(&f->from);
	groups_clear(&f->to);
	free(f);
	return 0;
}

static struct wire_string text(const char *bytes)
{
	return wire_string_from(bytes);
}

static int apply(struct fixture *f, int64_t size)
{
	struct batch batch;

	assert_true(size > 0);
	assert_int_equal(batch_decode(f->memory, &batch), 0);
	assert_int_equal(batch.size, size);
	return grouplog_apply(&f->to, f->memory, &batch);
}

static void test_grouplog_partitions_as_java(void **state)
{
	(void)state;
	/* "group".hashCode() is 98629247; of U+00E4 228, of U+1F600 1772899. */
	assert_int_equal(grouplog_partition(text("group"), 50), 98629247 % 50);
	assert_int_equal(grouplog_partition(text("\xc3\xa4"), 50), 228 % 50);
	assert_int_equal(grouplog_partition(text("\xf0\x9f\x98\x80"), 1000), 1772899 % 1000);
	/* Integer.MIN_VALUE */
	assert_int_equal(grouplog_partition(text("polygenelubricants"), 50), 0);
	assert_int_equal(grouplog_partition(text(""), 50), 0);
}

static void test_grouplog_offset_bytes(void **state)
{
	static const uint8_t key[] = { 0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 7 };
	static const uint8_t value[] = { 0, 3, 0, 0,   0, 0, 0, 0, 0, 42, 0, 0,  0,
					 5, 0, 1, 'm', 0, 0, 0, 0, 0, 0,  3, 232 };
	struct grouplog_offset offset = { text("t"), 7, 5, 42, text("m"), false };
	struct fixture *f = *state;
	struct batch_record record;
	struct reader reader;
	int64_t size = grouplog_offsets_batch("g", &offset, 1, false, 1000, f->memory, MEMORY_SIZE);

	assert_true(size > 0);
	reader_init(&reader, f->memory + BATCH_HEADER_SIZE, (size_t)size - BATCH_HEADER_SIZE);
	assert_int_equal(batch_record_next(&reader, &record), 0);
	assert_int_equal(record.key_size, sizeof(key));
	assert_memory_equal(record.key, key, sizeof(key));
	assert_int_equal(record.value_size, sizeof(value));
	assert_memory_equal(record.value, value, sizeof(value));
}

static void test_grouplog_offsets_and_tombstones(void **state)
{
	struct grouplog_offset offsets[] = {
		{ text("b"), 0, -1, 10, text(""), false },
		{ text("a"), 2, 3, 20, text("note"), false },
		{ text("a"), 1, 3, 30, WIRE_STRING_NULL, false },
	};
	struct fixture *f = *state;
	const struct offset *found;
	struct group *group;

	assert_int_equal(apply(f, grouplog_offsets_batch("g", offsets, 3, false, 1000, f->memory,
							 MEMORY_SIZE)),
			 0);
	group = groups_find(&f->to, text("g"));
	assert_non_null(group);
	assert_int_equal(group->offsets.count, 3);
	found = offsets_find(&group->offsets, text("a"), 2);
	assert_int_equal(found->offset, 20);
	assert_int_equal(found->leader_epoch, 3);
	assert_int_equal(found->commit_ms, 1000);
	assert_string_equal(found->metadata, "note");
	assert_null(offsets_find(&group->offsets, text("a"), 0));
	offsets[1].is_tombstone = true;
	assert_int_equal(apply(f, grouplog_offsets_batch("g", offsets + 1, 1, false, 2000,
							 f->memory, MEMORY_SIZE)),
			 0);
	assert_null(offsets_find(&group->offsets, text("a"), 2));
	assert_int_equal(
		apply(f, grouplog_offsets_batch("g", NULL, 0, true, 2000, f->memory, MEMORY_SIZE)),
		0);
	assert_null(groups_find(&f->to, text("g")));
}

static void test_grouplog_group_comes_back(void **state)
{
	struct fixture *f = *state;
	struct group *group = groups_get(&f->from, text("g"));
	struct group_member *member = group_add_member(group, text("m-1"), text("i"));
	static uint8_t metadata[] = { 1, 2, 3 };
	static char name[] = "range";
	struct group_protocol protocol = { name, metadata, 3 };
	const uint8_t *back;
	int32_t size;

	group->generation = 7;
	group->protocol_type = strdup("consumer");
	group->protocol = strdup("range");
	group->state = GROUP_STABLE;
	group->state_since_ms = 555;
	member->client_id = strdup("c");
	member->client_host = strdup("/10.0.0.1");
	member->session_timeout_ms = 10000;
	member->rebalance_timeout_ms = 60000;
	member->assignment = malloc(2);
	memcpy(member->assignment, "as", 2);
	member->assignment_size = 2;
	assert_int_equal(group_member_vote(member, &protocol, 1), 0);
	assert_int_equal(apply(f, grouplog_group_batch(group, 1000, f->memory, MEMORY_SIZE)), 0);

	group = groups_find(&f->to, text("g"));
	assert_int_equal(group->state, GROUP_STABLE);
	assert_int_equal(group->generation, 7);
	assert_string_equal(group->leader_id, "m-1");
	assert_int_equal(group->state_since_ms, 555);
	member = group_find_static(group, text("i"));
	assert_string_equal(member->id, "m-1");
	assert_string_equal(member->client_host, "/10.0.0.1");
	assert_int_equal(member->rebalance_timeout_ms, 60000);
	assert_memory_equal(member->assignment, "as", 2);
	back = group_member_metadata(member, &size);
	assert_int_equal(size, 3);
	assert_memory_equal(back, metadata, 3);
	/* A fresh session from the moment it is restored. */
	rebalance_restore(member, NS_PER_S);
	assert_int_equal(
		rebalance_heartbeat(&f->to, text("g"), text("m-1"), text("i"), 7, 2 * NS_PER_S),
		KAFKA_NONE);
	(void)rebalance_run(&f->to, 12 * NS_PER_S);
	assert_int_equal(group->member_count, 0);
}

static void test_grouplog_refuses_what_it_cannot_read(void **state)
{
	struct grouplog_offset offset = { text("t"), 7, 5, 42, text("m"), false };
	struct fixture *f = *state;
	struct batch batch;
	int64_t size = grouplog_offsets_batch("g", &offset, 1, false, 1000, f->memory, MEMORY_SIZE);

	assert_true(size > 0);
	assert_int_equal(batch_decode(f->memory, &batch), 0);
	batch.attributes = BATCH_CODEC_LZ4;
	assert_int_equal(grouplog_apply(&f->to, f->memory, &batch), ERR_UNSUPPORTED);
	batch.attributes = 0;
	batch.record_count = 2;
	assert_true(grouplog_apply(&f->to, f->memory, &batch) < 0);
	assert_int_equal(grouplog_offsets_batch("g", &offset, 1, false, 1000, f->memory, 64),
			 ERR_TOO_LARGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_grouplog_partitions_as_java),
		TEST(test_grouplog_offset_bytes),
		TEST(test_grouplog_offsets_and_tombstones),
		TEST(test_grouplog_group_comes_back),
		TEST(test_grouplog_refuses_what_it_cannot_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: lookups find by name and by id, and only that; a new table keeps the partition objects of
 * the one before and makes the missing ones; topics_diff() names exactly what came and went; owners
 * spread over the cores. Shown on small snapshots built by hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/topics.h"

#include "cm.h"

/* Names "a", "b", ... with ids that sort the other way round. */
static struct snapshot *snapshot_of(const char *names, int32_t partitions)
{
	uint32_t count = (uint32_t)strlen(names);
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	assert_non_null(snapshot);
	snapshot->topics = calloc(count + 1, sizeof(*snapshot->topics));
	assert_non_null(snapshot->topics);
	snapshot->topic_count = count;
	snapshot->generation = 5;
	for (uint32_t i = 0; i < count; i++) {
		snapshot->topics[i].name[0] = names[i];
		memset(&snapshot->topics[i].id, 0xff - names[i], sizeof(struct uuid));
		snapshot->topics[i].partition_count = partitions;
	}
	return snapshot;
}

/* The tests build snapshots from two blocks, so they free them that way. */
void snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	free(snapshot->topics);
	free(snapshot);
}

struct seen {
	uint32_t new_count, kept_count, removed_count;
	struct partition *removed[16];
};

static void on_present(void *ctx, const struct topic *topic, struct partition *partition,
		       bool is_new)
{
	struct seen *seen = ctx;

	assert_ptr_equal(topics_partition(topic, (int32_t)partition->index), partition);
	if (is_new)
		seen->new_count++;
	else
		seen->kept_count++;
}

static void on_removed(void *ctx, struct partition *partition)
{
	struct seen *seen = ctx;

	assert_true(seen->removed_count < ARRAY_COUNT(seen->removed));
	seen->removed[seen->removed_count++] = partition;
}

static struct seen diff(const struct topics *before, const struct topics *after)
{
	struct seen seen = { 0 };
	const struct topics_visitor visitor = { .ctx = &seen,
						.on_present = on_present,
						.on_removed = on_removed };

	topics_diff(before, after, &visitor);
	return seen;
}

static void free_partitions(struct topics *table)
{
	for (uint32_t i = 0; i < table->topic_count; i++) {
		for (int32_t j = 0; j < table->topics[i].info->partition_count; j++)
			topics_partition_free(table->topics[i].partitions[j]);
	}
	topics_free(table);
}

static void test_topics_finds_by_name_and_id(void **state)
{
	struct topics *table = topics_new(NULL, snapshot_of("bdfa", 2), 3);
	struct uuid id;

	(void)state;
	assert_non_null(table);
	assert_int_equal(table->generation, 5);
	for (const char *name = "abdf"; *name != '\0'; name++) {
		const struct topic *topic = topics_find(table, name, 1);

		assert_non_null(topic);
		assert_int_equal(topic->info->name[0], *name);
		assert_ptr_equal(topics_find_id(table, &topic->info->id), topic);
		assert_null(topics_partition(topic, -1));
		assert_null(topics_partition(topic, 2));
		assert_non_null(topics_partition(topic, 1));
	}
	assert_null(topics_find(table, "c", 1));
	assert_null(topics_find(table, "ab", 2));
	assert_null(topics_find(table, "", 0));
	memset(&id, 7, sizeof(id));
	assert_null(topics_find_id(table, &id));
	free_partitions(table);
}

static void test_topics_diff_names_what_came_and_went(void **state)
{
	struct topics *before = topics_new(NULL, snapshot_of("abc", 2), 2);
	struct topics *after = topics_new(before, snapshot_of("bcd", 3), 2);
	struct seen seen = diff(NULL, before);
	const struct topic *kept = topics_find(after, "b", 1);

	(void)state;
	assert_int_equal(seen.new_count, 6);
	assert_int_equal(seen.removed_count, 0);
	seen = diff(before, after);
	assert_int_equal(seen.kept_count, 4);
	assert_int_equal(seen.new_count, 5);
	assert_int_equal(seen.removed_count, 2);
	assert_ptr_equal(kept->partitions[1], topics_find(before, "b", 1)->partitions[1]);
	assert_int_equal(kept->partitions[2]->index, 2);
	assert_null(kept->partitions[2]->log);
	topics_partition_free(seen.removed[0]);
	topics_partition_free(seen.removed[1]);
	topics_free(before);
	free_partitions(after);
}

static void test_topics_a_topic_made_anew_has_new_partitions(void **state)
{
	struct snapshot *again = snapshot_of("a", 1);
	struct topics *before = topics_new(NULL, snapshot_of("a", 1), 1);
	struct topics *after;
	struct seen seen;

	(void)state;
	memset(&again->topics[0].id, 3, sizeof(struct uuid));
	after = topics_new(before, again, 1);
	seen = diff(before, after);
	assert_int_equal(seen.new_count, 1);
	assert_int_equal(seen.removed_count, 1);
	topics_partition_free(seen.removed[0]);
	topics_free(before);
	free_partitions(after);
}

static void test_topics_owner_spreads_partitions(void **state)
{
	struct uuid id;
	uint32_t count[4] = { 0 };

	(void)state;
	memset(&id, 9, sizeof(id));
	for (uint32_t i = 0; i < 16; i++)
		count[topics_owner(&id, i, 4)]++;
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(count[i], 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics_finds_by_name_and_id),
		cmocka_unit_test(test_topics_diff_names_what_came_and_went),
		cmocka_unit_test(test_topics_a_topic_made_anew_has_new_partitions),
		cmocka_unit_test(test_topics_owner_spreads_partitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

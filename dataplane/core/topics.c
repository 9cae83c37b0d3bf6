/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/topics.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Byte order, a shorter name before its extensions: the order of strcmp(). */
static int name_compare(const char *name, size_t name_size, const char *other)
{
	size_t other_size = strlen(other);
	int order = memcmp(name, other, MIN(name_size, other_size));

	if (order != 0)
		return order;
	return name_size < other_size ? -1 : name_size > other_size;
}

const struct topic *topics_find(const struct topics *table, const char *name, size_t name_size)
{
	uint32_t low = 0, high = table->topic_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = name_compare(name, name_size, table->topics[middle].info->name);

		if (order == 0)
			return &table->topics[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct topic *topics_find_id(const struct topics *table, const struct uuid *id)
{
	uint32_t low = 0, high = table->topic_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct topic *topic = &table->topics[table->by_id[middle]];
		int order = memcmp(id, &topic->info->id, sizeof(*id));

		if (order == 0)
			return topic;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

struct partition *topics_partition(const struct topic *topic, int32_t index)
{
	if (index < 0 || index >= topic->info->partition_count)
		return NULL;
	return topic->partitions[index];
}

/* Neighbouring partitions of a topic lie on different cores, and topics begin on different ones. */
uint32_t topics_owner(const struct uuid *topic_id, uint32_t partition, uint32_t cores)
{
	uint32_t words[sizeof(*topic_id) / sizeof(uint32_t)];
	uint32_t sum = 0;

	memcpy(words, topic_id, sizeof(words));
	for (uint32_t i = 0; i < ARRAY_COUNT(words); i++)
		sum = sum * 31 + words[i];
	return (uint32_t)(((uint64_t)sum + partition) % cores);
}

struct partition *topics_partition_new(const struct uuid *topic_id, uint32_t index, uint32_t owner)
{
	struct partition *partition = calloc(1, sizeof(*partition));

	if (partition == NULL)
		return NULL;
	partition->topic_id = *topic_id;
	partition->index = index;
	partition->owner = owner;
	list_init(&partition->waiters);
	list_init(&partition->pending);
	list_init(&partition->blocked);
	list_init(&partition->dirty);
	list_init(&partition->housekeep.node);
	list_init(&partition->nudge.node);
	list_init(&partition->later);
	return partition;
}

void topics_partition_free(struct partition *partition)
{
	free(partition);
}

static int topic_name_order(const void *a, const void *b)
{
	const struct topic *left = a, *right = b;

	return strcmp(left->info->name, right->info->name);
}

static int topic_id_order(const void *a, const void *b, void *ctx)
{
	const struct topics *table = ctx;
	const uint32_t *left = a, *right = b;

	return memcmp(&table->topics[*left].info->id, &table->topics[*right].info->id,
		      sizeof(struct uuid));
}

/* Take the partitions of the table before and make those that it lacks. */
static bool fill_topic(struct topic *topic, const struct topics *before, uint32_t cores)
{
	const struct snapshot_topic *info = topic->info;
	const struct topic *old = before != NULL ? topics_find_id(before, &info->id) : NULL;

	topic->partitions = calloc((size_t)info->partition_count, sizeof(struct partition *));
	if (topic->partitions == NULL)
		return false;
	for (int32_t i = 0; i < info->partition_count; i++) {
		struct partition *partition = old != NULL ? topics_partition(old, i) : NULL;

		if (partition == NULL)
			partition =
				topics_partition_new(&info->id, (uint32_t)i,
						     topics_owner(&info->id, (uint32_t)i, cores));
		if (partition == NULL)
			return false;
		topic->partitions[i] = partition;
	}
	return true;
}

static bool is_in(const struct topics *table, const struct partition *partition)
{
	const struct topic *topic =
		table != NULL ? topics_find_id(table, &partition->topic_id) : NULL;

	return topic != NULL && topics_partition(topic, (int32_t)partition->index) == partition;
}

/* A table that could not be finished: what it made goes, what it borrowed stays. */
static void free_unfinished(struct topics *table, const struct topics *before)
{
	for (uint32_t i = 0; i < table->topic_count; i++) {
		const struct topic *topic = &table->topics[i];

		for (int32_t j = 0; topic->partitions != NULL && j < topic->info->partition_count;
		     j++) {
			if (topic->partitions[j] != NULL && !is_in(before, topic->partitions[j]))
				topics_partition_free(topic->partitions[j]);
		}
	}
	table->snapshot = NULL;
	topics_free(table);
}

struct topics *topics_new(const struct topics *before, struct snapshot *snapshot, uint32_t cores)
{
	struct topics *table = calloc(1, sizeof(*table));

	CHECK(cores > 0);
	if (table == NULL)
		return NULL;
	table->generation = snapshot->generation;
	table->topics = calloc((size_t)snapshot->topic_count + 1, sizeof(*table->topics));
	table->by_id = calloc((size_t)snapshot->topic_count + 1, sizeof(*table->by_id));
	if (table->topics == NULL || table->by_id == NULL) {
		topics_free(table);
		return NULL;
	}
	table->topic_count = snapshot->topic_count;
	for (uint32_t i = 0; i < table->topic_count; i++) {
		table->topics[i].info = &snapshot->topics[i];
		table->by_id[i] = i;
	}
	qsort(table->topics, table->topic_count, sizeof(*table->topics), topic_name_order);
	qsort_r(table->by_id, table->topic_count, sizeof(*table->by_id), topic_id_order, table);
	for (uint32_t i = 0; i < table->topic_count; i++) {
		if (!fill_topic(&table->topics[i], before, cores)) {
			free_unfinished(table, before);
			return NULL;
		}
	}
	table->snapshot = snapshot;
	return table;
}

void topics_free(struct topics *table)
{
	if (table == NULL)
		return;
	for (uint32_t i = 0; i < table->topic_count; i++)
		free(table->topics[i].partitions);
	free(table->topics);
	free(table->by_id);
	/* The table owns its snapshot; the const is for the cores. */
	snapshot_free((struct snapshot *)(uintptr_t)table->snapshot);
	free(table);
}

void topics_diff(const struct topics *before, const struct topics *after,
		 const struct topics_visitor *visitor)
{
	for (uint32_t i = 0; before != NULL && i < before->topic_count; i++) {
		for (int32_t j = 0; j < before->topics[i].info->partition_count; j++) {
			struct partition *partition = before->topics[i].partitions[j];

			if (!is_in(after, partition))
				visitor->on_removed(visitor->ctx, partition);
		}
	}
	for (uint32_t i = 0; i < after->topic_count; i++) {
		const struct topic *topic = &after->topics[i];

		for (int32_t j = 0; j < topic->info->partition_count; j++)
			visitor->on_present(visitor->ctx, topic, topic->partitions[j],
					    !is_in(before, topic->partitions[j]));
	}
}

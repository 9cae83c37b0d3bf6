/* SPDX-License-Identifier: Apache-2.0 */
#include "control/group/offsets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

static char *text_copy(struct wire_string text)
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

static int compare(const struct offset *entry, struct wire_string topic, int32_t partition)
{
	size_t have = strlen(entry->topic);
	size_t want = topic.size > 0 ? (size_t)topic.size : 0;
	int order = memcmp(entry->topic, topic.bytes, MIN(have, want));

	if (order != 0)
		return order;
	if (have != want)
		return have < want ? -1 : 1;
	return (entry->partition > partition) - (entry->partition < partition);
}

/** @return index of the first entry that is not below the key; *ret_found when it is the key */
static size_t lower(const struct offsets *offsets, struct wire_string topic, int32_t partition,
		    bool *ret_found)
{
	size_t low = 0;
	size_t high = offsets->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&offsets->all[middle], topic, partition) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = low < offsets->count && compare(&offsets->all[low], topic, partition) == 0;
	return low;
}

static void entry_free(struct offset *entry)
{
	free(entry->topic);
	free(entry->metadata);
}

void offsets_init(struct offsets *offsets)
{
	memset(offsets, 0, sizeof(*offsets));
}

void offsets_clear(struct offsets *offsets)
{
	for (size_t i = 0; i < offsets->count; i++)
		entry_free(&offsets->all[i]);
	free(offsets->all);
	offsets_init(offsets);
}

static int make_room(struct offsets *offsets)
{
	size_t capacity = offsets->capacity > 0 ? offsets->capacity * 2 : 8;
	struct offset *all;

	if (offsets->count < offsets->capacity)
		return 0;
	if (offsets->count >= OFFSETS_MAX)
		return ERR_TOO_LARGE;
	all = realloc(offsets->all, capacity * sizeof(*all));
	if (all == NULL)
		return -ENOMEM;
	offsets->all = all;
	offsets->capacity = capacity;
	return 0;
}

static int insert(struct offsets *offsets, size_t at, struct wire_string topic, int32_t partition)
{
	char *name;
	int error = make_room(offsets);

	if (error != 0)
		return error;
	name = text_copy(topic);
	if (name == NULL)
		return -ENOMEM;
	CHECK(at <= offsets->count);
	memmove(&offsets->all[at + 1], &offsets->all[at],
		(offsets->count - at) * sizeof(*offsets->all));
	offsets->all[at] = (struct offset){ .topic = name, .partition = partition };
	offsets->count++;
	return 0;
}

int offsets_set(struct offsets *offsets, struct wire_string topic, int32_t partition,
		int64_t offset, int32_t leader_epoch, struct wire_string metadata,
		int64_t commit_ms)
{
	bool found;
	size_t at = lower(offsets, topic, partition, &found);
	char *text = text_copy(metadata);
	struct offset *entry;
	int error;

	if (text == NULL)
		return -ENOMEM;
	if (!found) {
		error = insert(offsets, at, topic, partition);
		if (error != 0) {
			free(text);
			return error;
		}
	}
	entry = &offsets->all[at];
	free(entry->metadata);
	entry->metadata = text;
	entry->offset = offset;
	entry->leader_epoch = leader_epoch;
	entry->commit_ms = commit_ms;
	return 0;
}

void offsets_remove(struct offsets *offsets, struct wire_string topic, int32_t partition)
{
	bool found;
	size_t at = lower(offsets, topic, partition, &found);

	if (!found)
		return;
	entry_free(&offsets->all[at]);
	offsets->count--;
	memmove(&offsets->all[at], &offsets->all[at + 1],
		(offsets->count - at) * sizeof(*offsets->all));
}

const struct offset *offsets_find(const struct offsets *offsets, struct wire_string topic,
				  int32_t partition)
{
	bool found;
	size_t at = lower(offsets, topic, partition, &found);

	return found ? &offsets->all[at] : NULL;
}

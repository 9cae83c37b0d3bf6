/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/fetchsession.h"

#include <string.h>

#include "base/check.h"

#include "dataplane/core/fetchsession_impl.h"
#include "dataplane/core/session.h"

#include "dataplane/core/hot.h"

static struct fetch_entry *entries_of(const struct buffer *buffer)
{
	return (struct fetch_entry *)(void *)buffer->mem;
}

static void free_slot(struct core *core, struct fetchsession *session)
{
	struct fetchsession_cache *cache = core->sessions->fetchsessions;

	buffer_give(core->sessions->buffers, session->buffer);
	session->buffer = NULL;
	session->id = 0;
	list_remove(&session->node);
	list_push_front(&cache->idle, &session->node);
}

static bool evict_one(struct core *core)
{
	LIST_EACH(&core->sessions->fetchsessions->used, node)
	{
		struct fetchsession *session = LIST_ENTRY(node, struct fetchsession, node);

		if (core->now_ns - session->used_ns < FETCHSESSION_EVICT_NS)
			return false; /* the others were used later */
		if (session->is_busy)
			continue;
		counters_inc(core->counters, COUNTER_FETCH_SESSIONS_EVICTED);
		free_slot(core, session);
		return true;
	}
	return false;
}

struct fetchsession *fetchsession_add(struct core *core, struct buffer *buffer, uint32_t count)
{
	struct fetchsession_cache *cache = core->sessions->fetchsessions;
	struct fetchsession *session;
	struct list *node;

	if (list_is_empty(&cache->idle) && !evict_one(core))
		return NULL;
	node = list_pop_front(&cache->idle);
	CHECK(node != NULL); /* there was one, or one was freed */
	session = LIST_ENTRY(node, struct fetchsession, node);
	memset(session, 0, sizeof(*session));
	list_init(&session->node);
	/* Ids of one core step over those of the others, and a wrapped id skips living ones. */
	do {
		cache->next_id = cache->next_id == INT32_MAX ? 1 : cache->next_id + 1;
	} while (fetchsession_find(core, cache->next_id) != NULL);
	session->id = cache->next_id;
	session->epoch = 1;
	session->used_ns = core->now_ns;
	session->buffer = buffer;
	session->count = count;
	list_push_back(&cache->used, &session->node);
	return session;
}

struct fetchsession *fetchsession_find(struct core *core, int32_t id)
{
	struct fetchsession_cache *cache = core->sessions->fetchsessions;

	for (uint32_t i = 0; id > 0 && i < cache->slots; i++)
		if (cache->memory[i].id == id && !cache->memory[i].is_dropped)
			return &cache->memory[i];
	return NULL;
}

void fetchsession_touch(struct core *core, struct fetchsession *session)
{
	session->used_ns = core->now_ns;
	list_remove(&session->node);
	list_push_back(&core->sessions->fetchsessions->used, &session->node);
}

void fetchsession_drop(struct core *core, struct fetchsession *session)
{
	if (session->is_busy)
		session->is_dropped = true;
	else
		free_slot(core, session);
}

struct fetch_entry *fetchsession_entry(struct core *core, struct fetchsession *session,
				       const struct uuid *topic_id, int32_t index)
{
	struct fetchsession_cache *cache = core->sessions->fetchsessions;
	struct fetch_entry *entries = entries_of(session->buffer);

	for (uint32_t i = 0; i < session->count; i++) {
		uint32_t at = (cache->hint + i) % session->count;

		if (entries[at].index == index && !entries[at].is_forgotten &&
		    uuid_equal(&entries[at].topic_id, topic_id)) {
			cache->hint = at + 1;
			return &entries[at];
		}
	}
	return NULL;
}

struct fetch_entry *fetchsession_append(struct core *core, struct buffer **buffer, uint32_t *count)
{
	struct buffers *buffers = core->sessions->buffers;
	size_t size = *count * sizeof(struct fetch_entry);
	struct fetch_entry *entry;

	if (*buffer == NULL || size + sizeof(*entry) > (*buffer)->size) {
		size_t want = MAX(size + size / 2, 4 * sizeof(*entry)) + sizeof(*entry);
		struct buffer *larger = buffer_take(buffers, (uint32_t)want);

		if (larger == NULL)
			return NULL;
		if (*buffer != NULL)
			memcpy(larger->mem, (*buffer)->mem, size);
		buffer_give(buffers, *buffer);
		*buffer = larger;
		/* Nobody waits while entries are added, so no list holds the old addresses. */
		for (uint32_t i = 0; i < *count; i++)
			list_init(&entries_of(larger)[i].waiter.node);
	}
	entry = &entries_of(*buffer)[(*count)++];
	memset(entry, 0, sizeof(*entry));
	list_init(&entry->waiter.node);
	entry->sent_watermark = -1;
	entry->sent_start = -1;
	return entry;
}

void fetchsession_compact(struct fetchsession *session)
{
	struct fetch_entry *entries = entries_of(session->buffer);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < session->count; i++) {
		CHECK(!list_is_linked(&entries[i].waiter.node));
		if (entries[i].is_forgotten)
			continue;
		if (kept != i) {
			entries[kept] = entries[i];
			list_init(&entries[kept].waiter.node);
		}
		kept++;
	}
	session->count = kept;
}

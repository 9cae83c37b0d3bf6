/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dataplane/core/fetchsession_impl.h"

uint64_t fetchsession_cache_size(uint32_t slots)
{
	return sizeof(struct fetchsession_cache) + slots * (uint64_t)sizeof(struct fetchsession);
}

struct fetchsession_cache *fetchsession_cache_new(uint32_t slots)
{
	struct fetchsession_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return NULL;
	list_init(&cache->idle);
	list_init(&cache->used);
	cache->slots = slots;
	cache->memory = calloc(slots, sizeof(*cache->memory));
	if (cache->memory == NULL) {
		free(cache);
		return NULL;
	}
	for (uint32_t i = 0; i < slots; i++) {
		list_init(&cache->memory[i].node);
		list_push_back(&cache->idle, &cache->memory[i].node);
	}
	return cache;
}

void fetchsession_cache_free(struct fetchsession_cache *cache, struct buffers *buffers)
{
	struct list *node;

	if (cache == NULL)
		return;
	while ((node = list_pop_front(&cache->used)) != NULL)
		buffer_give(buffers, LIST_ENTRY(node, struct fetchsession, node)->buffer);
	free(cache->memory);
	free(cache);
}

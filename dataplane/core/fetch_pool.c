/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dataplane/core/fetch.h"

#define FETCHES_SPARE 64 /* of closed connections, until other cores have answered */

uint64_t fetch_pool_size(uint32_t connections)
{
	return sizeof(struct fetch_pool) +
	       (connections + FETCHES_SPARE) * (uint64_t)sizeof(struct fetch) +
	       FETCH_READS_MAX * sizeof(struct fetch_read);
}

struct fetch_pool *fetch_pool_new(uint32_t connections)
{
	struct fetch_pool *pool = calloc(1, sizeof(*pool));
	uint32_t count = connections + FETCHES_SPARE;

	if (pool == NULL)
		return NULL;
	list_init(&pool->fetches);
	list_init(&pool->reads);
	pool->fetch_memory = calloc(count, sizeof(*pool->fetch_memory));
	pool->read_memory = calloc(FETCH_READS_MAX, sizeof(*pool->read_memory));
	if (pool->fetch_memory == NULL || pool->read_memory == NULL) {
		fetch_pool_free(pool);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) {
		list_init(&pool->fetch_memory[i].node);
		list_push_back(&pool->fetches, &pool->fetch_memory[i].node);
	}
	for (uint32_t i = 0; i < FETCH_READS_MAX; i++) {
		list_init(&pool->read_memory[i].node);
		list_push_back(&pool->reads, &pool->read_memory[i].node);
	}
	return pool;
}

void fetch_pool_free(struct fetch_pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->fetch_memory);
	free(pool->read_memory);
	free(pool);
}

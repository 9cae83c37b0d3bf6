/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "storage/snapshot.h"

#include "dataplane/core/channel.h"
#include "dataplane/core/core.h"
#include "dataplane/core/outq.h"

/*
 * The written sum of one core, for C = max.connections:
 *   output blocks   C + 8192 of OUTQ_BLOCK_SIZE: answers that are not sent from the ring. A connection
 *                   that waits for its answer needs one, and whoever reads on gives his back
 *   ring entries    RING_ENTRIES between two polls; files: one per open segment and the lock
 *   chunks          ring.size (storage/chunk.h); sessions: session_pool.c; connections: sock_new.c
 */
#define OUTQ_BLOCKS_BASE 8192
#define RING_ENTRIES     1024
#define RING_FILES_MAX   16384

static struct topics *topics_none(uint32_t cores)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct topics *table;

	if (snapshot == NULL)
		return NULL;
	table = topics_new(NULL, snapshot, cores);
	if (table == NULL)
		free(snapshot);
	return table;
}

static uint32_t blocks_of(const struct config *config)
{
	return (uint32_t)config->connections_max + OUTQ_BLOCKS_BASE;
}

uint64_t core_size(const struct config *config)
{
	return sizeof(struct core) + outq_pool_size(blocks_of(config)) +
	       (uint64_t)config->ring_size / CHUNK_SIZE_MIN * sizeof(struct chunk) +
	       RING_FILES_MAX * sizeof(int);
}

struct core *core_new(const struct core_args *args)
{
	struct core *core = calloc(1, sizeof(*core));

	if (core == NULL)
		return NULL;
	core->args = *args;
	core->index = args->index;
	core->count = args->count;
	core->config = args->config;
	core->mesh = args->mesh;
	core->chunks = args->chunks;
	core->counters = args->counters;
	core->flush_ns = args->flush_ns;
	timers_init(&core->timers);
	list_init(&core->dirty);
	list_init(&core->detaching);
	core->topics_empty = topics_none(args->count);
	core->topics = core->topics_empty;
	core->outq_pool = outq_pool_new(blocks_of(args->config));
	core->channel = channel_new(core);
	if (core->topics_empty == NULL || core->outq_pool == NULL || core->channel == NULL) {
		core_free(core);
		return NULL;
	}
	mesh_join(core->mesh, core->index, core);
	return core;
}

void core_free(struct core *core)
{
	if (core == NULL)
		return;
	CHECK(core->uring == NULL);
	channel_free(core->channel);
	outq_pool_free(core->outq_pool);
	topics_free(core->topics_empty);
	free(core);
}

int core_ring_open(struct core *core)
{
	const struct uring_config config = { .entries = RING_ENTRIES, .files_max = RING_FILES_MAX };
	const struct iovec *buffers;
	uint32_t count = chunk_pool_buffers(core->chunks, &buffers);
	int error = uring_open(&config, &core->uring);

	if (error < 0)
		return error;
	error = uring_buffers_register(core->uring, buffers, count);
	if (error >= 0 && core->args.lock_fd >= 0)
		error = uring_file_add(core->uring, core->args.lock_fd);
	if (error < 0) {
		core_ring_close(core);
		return error;
	}
	return 0;
}

void core_ring_close(struct core *core)
{
	uring_close(core->uring);
	core->uring = NULL;
}

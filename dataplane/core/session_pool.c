/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/check.h"

#include "dataplane/core/fetch.h"
#include "dataplane/core/fetchsession.h"
#include "dataplane/core/session.h"

/*
 * The written sum of one core, for C = max.connections:
 *   sessions      C
 *   requests      2 C + 64: every connection has one, and some overlap their Produce requests
 *   operations    4 C + 1024: batches waiting for a flush or another core, and foreign reads
 *   buffers       buffer_pool.c
 *   fetches       C, one a connection, and FETCH_READS_MAX reads with their slices
 *   fetch sessions SESSION_FETCHES_MAX slots; their partitions lie in buffers
 *   scratch       SCRATCH_SIZE for decoded arrays, OUT_SIZE for a response; one handler runs at a time
 * A pool that is empty blocks the session that wants more, until something is given back.
 */
#define SCRATCH_SIZE                                                                               \
	(24U * 1024 * 1024) /* 60,000 partitions in a Metadata answer; touched on demand */
#define OUT_SIZE (8U * 1024 * 1024)

static void lists_init(struct sessions *sessions)
{
	list_init(&sessions->sessions_idle);
	list_init(&sessions->sessions_open);
	list_init(&sessions->requests_idle);
	list_init(&sessions->ops_idle);
	list_init(&sessions->blocked);
	list_init(&sessions->reserving);
	list_init(&sessions->starved);
	list_init(&sessions->unsent);
	list_init(&sessions->ready);
}

static void pools_fill(struct sessions *sessions)
{
	for (uint32_t i = 0; i < sessions->session_max; i++) {
		struct session *session = &sessions->session_memory[i];

		list_init(&session->node);
		list_push_back(&sessions->sessions_idle, &session->node);
	}
	for (uint32_t i = 0; i < sessions->request_max; i++) {
		struct request *request = &sessions->request_memory[i];

		list_init(&request->node);
		list_push_back(&sessions->requests_idle, &request->node);
	}
	for (uint32_t i = 0; i < sessions->op_max; i++) {
		struct partition_op *op = &sessions->op_memory[i];

		list_init(&op->node);
		list_init(&op->starved);
		list_init(&op->waiter.node);
		list_init(&op->item.node);
		list_init(&op->cancel.node);
		list_push_back(&sessions->ops_idle, &op->node);
	}
}

static uint32_t requests_of(uint32_t connections)
{
	return 2 * connections + 64;
}

static uint32_t ops_of(uint32_t connections)
{
	return 4 * connections + 1024;
}

uint64_t sessions_size(uint32_t connections)
{
	return sizeof(struct sessions) + connections * (uint64_t)sizeof(struct session) +
	       requests_of(connections) * (uint64_t)sizeof(struct request) +
	       ops_of(connections) * (uint64_t)sizeof(struct partition_op) +
	       buffers_size(connections) + fetch_pool_size(connections) +
	       fetchsession_cache_size(SESSION_FETCHES_MAX) + SCRATCH_SIZE + OUT_SIZE;
}

struct sessions *sessions_new(struct core *core)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));
	uint32_t connections = (uint32_t)core->config->connections_max;

	if (sessions == NULL)
		return NULL;
	lists_init(sessions);
	sessions->core = core;
	sessions->session_max = connections;
	sessions->request_max = requests_of(connections);
	sessions->op_max = ops_of(connections);
	sessions->session_memory = calloc(sessions->session_max, sizeof(struct session));
	sessions->request_memory = calloc(sessions->request_max, sizeof(struct request));
	sessions->op_memory = calloc(sessions->op_max, sizeof(struct partition_op));
	sessions->buffers = buffers_new(core->chunks, connections);
	sessions->scratch_size = SCRATCH_SIZE;
	sessions->scratch = malloc(SCRATCH_SIZE);
	sessions->out_size = OUT_SIZE;
	sessions->out = malloc(OUT_SIZE);
	sessions->fetches = fetch_pool_new(connections);
	sessions->fetchsessions = fetchsession_cache_new(SESSION_FETCHES_MAX);
	if (sessions->session_memory == NULL || sessions->request_memory == NULL ||
	    sessions->op_memory == NULL || sessions->buffers == NULL || sessions->scratch == NULL ||
	    sessions->out == NULL || sessions->fetches == NULL || sessions->fetchsessions == NULL) {
		sessions_free(sessions);
		return NULL;
	}
	pools_fill(sessions);
	sessions_timers_init(sessions);
	return sessions;
}

void sessions_free(struct sessions *sessions)
{
	if (sessions == NULL)
		return;
	if (sessions->fetchsessions != NULL)
		fetchsession_cache_free(sessions->fetchsessions, sessions->buffers);
	fetch_pool_free(sessions->fetches);
	buffers_free(sessions->buffers);
	free(sessions->session_memory);
	free(sessions->request_memory);
	free(sessions->op_memory);
	free(sessions->scratch);
	free(sessions->out);
	free(sessions);
}

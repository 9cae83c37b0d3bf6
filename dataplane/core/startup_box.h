/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the box, shared by startup.c and startup_transports.c.
 *
 * Context: main thread. Memory: heap.
 */
#pragma once

#include <semaphore.h>

#include "base/portlist.h"

#include "dataplane/core/startup.h"

struct core;

struct box_thread {
	struct box *box;
	struct core *core;
	pthread_t id;
	bool is_created;
	int error; /* of its start */
};

struct box {
	const struct config *config;
	uint32_t core_count;
	struct datadir *datadir;
	int32_t unclean_starts;
	struct startup_rings rings;
	struct mesh *mesh;
	struct partitions *partitions;
	struct shmcounters *counters;
	struct channel_server *server;
	struct housekeeper *housekeeper;
	struct portlist ports;          /* as the settings have them */
	struct nic *nics[PORTLIST_MAX]; /* theirs; NULL: could not be opened */
	sem_t started;
	bool is_serving;
	struct chunk_pool *chunks[COUNTERS_CORES_MAX];
	struct box_thread threads[COUNTERS_CORES_MAX];
};

#define STARTUP_MEMORY_PARTS 8

struct nic_config;

struct startup_memory_part {
	const char *name;
	uint64_t size; /* bytes */
};

/**
 * The written sum: what the process takes at most, by part.
 *
 * @param ports  [port_count] the kernel-bypass ports
 * @return bytes of all parts
 */
uint64_t startup_memory(const struct config *config, const struct nic_config *ports,
			uint32_t port_count,
			struct startup_memory_part ret_parts[STARTUP_MEMORY_PARTS]);

/** Say it in the log and, for people who ask the box, in <run>/memory: "name bytes" a line. */
void startup_memory_publish(const struct config *config, const struct nic_config *ports,
			    uint32_t port_count);

/** Open the configured transports for every core and say what runs where. @return 0; -errno */
NODISCARD int startup_transports_open(struct box *box);
/** @context a core's thread, before its loop */
NODISCARD int startup_transports_thread_begin(struct core *core);
/** After the threads ended. */
void startup_transports_close(struct box *box);

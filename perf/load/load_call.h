/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Single requests, each on a connection of its own, waited for: topics made and deleted, and where
 * the partitions of a topic are.
 *
 * Context: one thread. Memory: answers on the heap.
 */
#pragma once

#include "perf/load/load_link.h"

#define LOAD_CALL_BROKERS_MAX 64

struct load_call_target {
	uint32_t address; /* host byte order */
	uint16_t port;
};

/** Parse "10.77.0.2:9092"; names are looked up. @return 0; -EINVAL */
NODISCARD int load_call_parse(const char *text, struct load_call_target *ret_target);

struct load_call_cluster {
	struct load_call_target brokers[LOAD_CALL_BROKERS_MAX];
	uint32_t broker_count;
	uint32_t partition_count;
	uint16_t *leaders; /* [partition_count] index into `brokers` */
};

/**
 * Find a topic's partitions, waiting until each has a leader.
 *
 * @param is_direct  all partitions are the target's, whatever addresses it tells
 * @return 0; -ETIMEDOUT; -EPROTO; other -errno of the connection
 */
NODISCARD int load_call_find(struct load_net *net, const struct load_call_target *target,
			     const char *topic, bool is_direct,
			     struct load_call_cluster *ret_cluster);
void load_call_cluster_free(struct load_call_cluster *cluster);

/**
 * Make a topic.
 *
 * @param configs  [config_count] "name=value"
 * @return 0; -EEXIST; -EPROTO refused, the reason is printed; other -errno of the connection
 */
NODISCARD int load_call_create(struct load_net *net, const struct load_call_target *target,
			       const char *topic, int32_t partitions, char **configs,
			       uint32_t config_count);

/** Wait until the leaders of a topic serve it, which may be later than its partitions are told.
    @return 0; -ETIMEDOUT; -EPROTO; other -errno of a connection */
NODISCARD int load_call_wait(struct load_net *net, const struct load_call_cluster *cluster,
			     const char *topic);

/** Delete a topic. @return as load_call_create(); -ENOENT */
NODISCARD int load_call_delete(struct load_net *net, const struct load_call_target *target,
			       const char *topic);

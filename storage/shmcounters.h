/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The counters file <run>/counters: what the poll cores count, and what their ports say of themselves,
 * shared read-only with other processes.
 *
 *     header, SHMCOUNTERS_HEADER_SIZE bytes
 *     struct counters          for each core
 *     struct hist              for each core: commit rounds, submit to durable, nanoseconds
 *     struct shmcounters_port  for PORTLIST_MAX ports, of which the first are in use
 *
 * Context: opened at start; then plain loads and stores. Memory: one tmpfs file.
 * Limits: COUNTERS_CORES_MAX cores, PORTLIST_MAX ports.
 */
#pragma once

#include "base/counters.h"
#include "base/defs.h"
#include "base/hist.h"
#include "base/portlist.h"

#define SHMCOUNTERS_HEADER_SIZE 4096

struct shmcounters;

enum shmcounters_port_value {
	SHMCOUNTERS_PORT_UP, /* 1: it has a link */
	SHMCOUNTERS_PORT_RX_PACKETS,
	SHMCOUNTERS_PORT_RX_BYTES,
	SHMCOUNTERS_PORT_RX_MISSED,
	SHMCOUNTERS_PORT_RX_ERRORS,
	SHMCOUNTERS_PORT_RX_NO_BUFFER,
	SHMCOUNTERS_PORT_TX_PACKETS,
	SHMCOUNTERS_PORT_TX_BYTES,
	SHMCOUNTERS_PORT_TX_ERRORS,
	SHMCOUNTERS_PORT_LINK_CHANGES,
	SHMCOUNTERS_PORT_RESETS,
	SHMCOUNTERS_PORT_VALUES
};

/** What a port says of itself, a few times a second. A port that is made anew counts from 0 again. */
struct shmcounters_port {
	char name[CONFIG_TEXT_MAX]; /* as in dpdk.port */
	uint64_t values[SHMCOUNTERS_PORT_VALUES];
};

struct shmcounters_port_info {
	const char *name; /* "rx_packets" */
	bool is_gauge;
	const char *help;
};

extern const struct shmcounters_port_info shmcounters_port_infos[SHMCOUNTERS_PORT_VALUES];

/**
 * Writer: make the file anew, all zero, in the place of an old one. The old one's readers see it
 * retired.
 *
 * @return 0; -errno
 */
NODISCARD int shmcounters_create(const char *path, uint32_t cores, struct shmcounters **ret_shared);

/** Reader. @return 0; -ENOENT; -errno; ERR_UNSUPPORTED written by another version */
NODISCARD int shmcounters_open(const char *path, struct shmcounters **ret_shared);

/** NULL is accepted. The file stays; a writer's is retired. */
void shmcounters_close(struct shmcounters *shared);
DEFINE_CLEANUP(struct shmcounters, shmcounters_close);

/** @return whether its writer has left or started anew: a reader should open the path again */
bool shmcounters_is_retired(const struct shmcounters *shared);

uint32_t shmcounters_cores(const struct shmcounters *shared);
/** @return process id of the writer */
uint32_t shmcounters_pid(const struct shmcounters *shared);

/** @param core  below shmcounters_cores(). Readers must not write. */
struct counters *shmcounters_core(const struct shmcounters *shared, uint32_t core);
struct hist *shmcounters_flush_ns(const struct shmcounters *shared, uint32_t core);

/** Writer: one more port. @param name  up to CONFIG_TEXT_MAX. @return its place; written by one thread */
struct shmcounters_port *shmcounters_port_add(struct shmcounters *shared, const char *name);

/** @return ports in use */
uint32_t shmcounters_ports(const struct shmcounters *shared);
/** @param index  below shmcounters_ports() */
const struct shmcounters_port *shmcounters_port(const struct shmcounters *shared, uint32_t index);

static inline void shmcounters_port_set(struct shmcounters_port *port,
					enum shmcounters_port_value which, uint64_t value)
{
	__atomic_store_n(&port->values[which], value, __ATOMIC_RELAXED);
}

static inline uint64_t shmcounters_port_get(const struct shmcounters_port *port,
					    enum shmcounters_port_value which)
{
	return __atomic_load_n(&port->values[which], __ATOMIC_RELAXED);
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The counters file <run>/counters: what the poll cores count, shared read-only with other processes.
 *
 *     header, SHMCOUNTERS_HEADER_SIZE bytes
 *     struct counters  for each core
 *     struct hist      for each core: commit rounds, submit to durable, nanoseconds
 *
 * Context: opened at start; then plain loads and stores. Memory: one tmpfs file.
 * Limits: COUNTERS_CORES_MAX cores.
 */
#pragma once

#include "base/counters.h"
#include "base/defs.h"
#include "base/hist.h"

#define SHMCOUNTERS_HEADER_SIZE 4096

struct shmcounters;

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

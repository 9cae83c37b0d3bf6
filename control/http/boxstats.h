/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the dataplane says of itself in its run directory: <run>/counters, followed when the dataplane
 * starts anew, and <run>/transports, one sentence a line.
 *
 * Context: one thread. Memory: the mapped file.
 */
#pragma once

#define CONTROL_LAYER

#include <jansson.h>
#include <limits.h>

#include "base/counters.h"
#include "base/defs.h"
#include "base/hist.h"
#include "storage/shmcounters.h"

struct boxstats {
	char run_dir[PATH_MAX];
	struct shmcounters *shared; /* NULL: not there */
	uint32_t count;             /* cores; 0: not there */
	const struct counters *counters[COUNTERS_CORES_MAX];
	const struct hist *flush_ns[COUNTERS_CORES_MAX];
};

void boxstats_init(struct boxstats *stats, const char *run_dir);
void boxstats_fini(struct boxstats *stats);

/** Open the counters, or open them anew when their writer has left. */
void boxstats_refresh(struct boxstats *stats);

/** Commit rounds of all cores. */
void boxstats_flush_all(const struct boxstats *stats, struct hist *ret_hist);
/** @return sum of a counter over the cores */
int64_t boxstats_sum(const struct boxstats *stats, enum counter which);
/** @return object of the dataplane's written sum of memory, bytes by part; empty when it wrote none */
json_t *boxstats_memory(const struct boxstats *stats);
/** @return array of objects, one for each kernel-bypass port: its name and what it counts */
json_t *boxstats_ports(const struct boxstats *stats);
/** @return array of sentences, empty when the dataplane wrote none */
json_t *boxstats_transports(const struct boxstats *stats);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Bytes without a meaning, as fast as they are taken: what a stock client can send at all.
 *
 * Context: one thread. Memory: the connections and one body, at load_blast_new().
 */
#pragma once

#include "perf/load/load_call.h"

struct load_blast;

/** Open connections and begin. @return 0; -ENOMEM; -ETIMEDOUT; other -errno */
NODISCARD int load_blast_new(struct load_net *net, const struct load_call_target *target,
			     uint32_t connections, uint32_t size, struct load_blast **ret_blast);
void load_blast_free(struct load_blast *blast);

/** Queue what there is room for, and wait for events. */
void load_blast_run(struct load_blast *blast, struct load_net *net, int64_t timeout_ns);

/** @return bytes handed over to TCP so far */
uint64_t load_blast_bytes(const struct load_blast *blast);
/** @return connections that are gone */
uint32_t load_blast_lost(const struct load_blast *blast);

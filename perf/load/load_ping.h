/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Connections that ask little: many that are opened, answered once and held, or one that asks now and
 * then and waits, which tells how soon an idle box answers.
 *
 * Context: one thread. Memory: the connections, at load_ping_new().
 */
#pragma once

#include "base/hist.h"

#include "perf/load/load_call.h"

struct load_ping;

/** @return NULL out of memory */
struct load_ping *load_ping_new(struct load_net *net, const struct load_call_target *target,
				uint32_t connections);
void load_ping_free(struct load_ping *ping);

/**
 * Open connections, some at a time, and ask each once.
 *
 * @param[out] latency  ns from the opening to the first answer
 * @return connections that were answered
 */
uint32_t load_ping_open(struct load_ping *ping, struct hist *latency);

/** Ask on the first connection and wait for the answer. @return ns; -errno */
int64_t load_ping_ask(struct load_ping *ping);

/** @return connections that are gone */
uint32_t load_ping_lost(const struct load_ping *ping);

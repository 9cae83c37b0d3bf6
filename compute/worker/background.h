/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * SQL runs when nobody else wants the processor: on shared CPUs it must not delay a poll core, which
 * sleeps and wakes thousands of times a second.
 *
 * Context: a thread of the worker, before it makes others: they inherit it. The worker's main thread
 * is not in the background: messages, deadlines and cancellation are prompt.
 */
#pragma once

#include "base/config.h"

/** The calling thread and those that it will make: by worker.background, SCHED_IDLE, or where poll
    cores never sleep (idle.mode=busy) the lowest nice value, as it would else never run. */
void background_enter(const struct config *config);

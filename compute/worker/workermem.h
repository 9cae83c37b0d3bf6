/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The worker's memory as a whole: a cgroup of its own as the last bound, and the resident size to
 * watch, so that one attempt is ended before all are.
 *
 * Context: set-up as root, where it can be; workermem_resident() from the main thread.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"

/** @return resident bytes at which the largest attempt is ended */
int64_t workermem_limit(const struct config *config);

/**
 * Move this process into a cgroup (v2, else v1) somewhat above workermem_limit(); the log says how it went.
 * Without one the watch over the resident size is all there is.
 */
void workermem_enclose(const struct config *config);

/** @return resident bytes that are the process's own, maps of files not counted; -errno */
int64_t workermem_resident(void);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the fetch session cache, shared by fetchsession.c and its set-up.
 *
 * Context: owning core. Memory: see fetchsession.h.
 */
#pragma once

#include "dataplane/core/fetchsession.h"

struct fetchsession_cache {
	struct list idle;
	struct list used; /* least recently used first */
	struct fetchsession *memory;
	uint32_t slots;
	uint32_t hint; /* entry found last: requests name partitions in the session's order */
	int32_t next_id;
};

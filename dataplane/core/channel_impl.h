/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of a core's channel, shared by channel.c (every turn) and channel_new.c (set-up).
 *
 * Context: owning core. Memory: one block per core.
 */
#pragma once

#include "base/list.h"

#include "dataplane/core/channel.h"

struct channel {
	struct channel_port *port; /* NULL: not connected */
	uint64_t connection; /* connections so far: tells old snapshot commands from new ones */
	uint32_t claimed;    /* bytes of the open claim; 0: none */
	bool is_published;   /* control is to be woken at the end of the turn */
	struct list snapshots_idle;
	struct list snapshots_done; /* served, UPCALL_SNAPSHOT not sent yet: the ring was full */
	struct channel_snapshot snapshots[CHANNEL_SNAPSHOTS_MAX];
};

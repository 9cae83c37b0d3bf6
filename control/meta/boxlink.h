/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Control's end of the channel to the dataplane (dataplane/core/command.h, upcall.h): connects for
 * ever, hands over fresh rings each time, sends commands, receives upcalls.
 *
 * When the dataplane ends or breaks the rules, the connection is dropped with its rings and all that
 * was in them, `lost` is called, and connecting starts again.
 *
 * Context: the event loop's thread; never blocks. Memory: one memfd per connection, and what waits
 * for room in a full command ring, at most BOXLINK_BACKLOG_MAX.
 */
#pragma once

#define CONTROL_LAYER

#include <poll.h>

#include "base/defs.h"

#include "dataplane/core/command.h"
#include "dataplane/core/upcall.h"

#define BOXLINK_CORES_MAX   64
#define BOXLINK_BACKLOG_MAX (64U * 1024 * 1024) /* bytes; more: the connection is dropped */
#define BOXLINK_POLL_FDS    2
#define BOXLINK_RETRY_NS    (200 * NS_PER_MS)
#define BOXLINK_WELCOME_NS  (5 * NS_PER_S)
#define BOXLINK_RECORDS_MAX 4096 /* upcalls taken of one core in one run */
#define BOXLINK_RECORD_MAX  (CHANNEL_RING_SIZE / 4)

struct boxlink;

struct boxlink_ops {
	void (*connected)(void *context, const struct channel_welcome *welcome);
	void (*lost)(void *context);
	/** @param record  [size], borrowed; its size is at least the header's, nothing else is checked */
	void (*upcall)(void *context, uint32_t core, const struct upcall_header *record,
		       uint32_t size);
};

/** @param run_dir  folder of dataplane.sock and cores. @return 0; -ENOMEM, -errno */
NODISCARD int boxlink_new(const char *run_dir, uint64_t epoch, const struct boxlink_ops *ops,
			  void *context, struct boxlink **ret_link);
void boxlink_free(struct boxlink *link);
DEFINE_CLEANUP(struct boxlink, boxlink_free);

/** Connect or look after the connection, and deliver upcalls. @return when to run again at the latest */
int64_t boxlink_run(struct boxlink *link, int64_t now_ns);
/** @return descriptors to poll before the next run, at most BOXLINK_POLL_FDS */
int boxlink_poll_fds(const struct boxlink *link, struct pollfd *ret_fds);

bool boxlink_is_up(const struct boxlink *link);
/** @return cores of the connected dataplane; 0: not connected */
uint32_t boxlink_cores(const struct boxlink *link);

/**
 * Send one record; `parts` go behind each other. Kept back while the ring is full.
 *
 * @return 0; -ENOTCONN; ERR_TOO_LARGE over BOXLINK_RECORD_MAX; -ENOMEM
 */
NODISCARD int boxlink_send(struct boxlink *link, uint32_t core, const void *head,
			   uint32_t head_size, const void *tail, uint32_t tail_size);
/** Wake the cores that got commands since the last flush. */
void boxlink_flush(struct boxlink *link);

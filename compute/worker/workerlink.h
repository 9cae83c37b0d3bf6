/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The worker's side of the unix socket: connections, lines in, lines out.
 *
 * Context: the worker's main thread, driven by its poll(). Memory: a buffer of input and one of output for each
 * connection. Limits: WORKERLINK_PEERS_MAX connections; a peer that lets WORKERLINK_OUTPUT_MAX bytes
 * lie is closed (it learns all on its next hello).
 */
#pragma once

#include <jansson.h>
#include <poll.h>

#include "base/defs.h"

#define WORKERLINK_PEERS_MAX  16
#define WORKERLINK_FDS_MAX    (WORKERLINK_PEERS_MAX + 1)
#define WORKERLINK_OUTPUT_MAX (64U << 20)
#define WORKERLINK_ALL        0 /* every peer that said hello */

struct workerlink;

struct workerlink_ops {
	/** A line of a peer (a number that is never used again). May call workerlink_send(). */
	void (*line)(void *context, uint32_t peer, json_t *message);
	/** The peer is gone. */
	void (*closed)(void *context, uint32_t peer);
};

/**
 * Bind and listen; what lies at the path is removed, as only one worker runs at a run directory.
 *
 * @return 0; -errno; ERR_TOO_LARGE the path is longer than a socket's address
 */
NODISCARD int workerlink_open(const char *path, const struct workerlink_ops *ops, void *context,
			      struct workerlink **ret_link);
void workerlink_close(struct workerlink *link);
DEFINE_CLEANUP(struct workerlink, workerlink_close);

/** @param[out] ret_fds  [WORKERLINK_FDS_MAX] what to poll for. @return how many */
uint32_t workerlink_fds(const struct workerlink *link, struct pollfd *ret_fds);
/** Accept, read, write as far as possible now. */
void workerlink_run(struct workerlink *link);

/** Mark a peer as one that WORKERLINK_ALL means. */
void workerlink_subscribe(struct workerlink *link, uint32_t peer);
/** @param peer  or WORKERLINK_ALL; one that is gone is passed over */
void workerlink_send(struct workerlink *link, uint32_t peer, const json_t *message);

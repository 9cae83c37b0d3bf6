/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The control process: one event loop that joins the metadata (meta/), the group coordinator
 * (group/) and the channel to the dataplane (meta/boxlink.h), and lets guests, the HTTP API and the
 * scheduler, run in the same loop.
 *
 * A turn: upcalls in, requests handled, changed metadata made durable once for the whole turn, the
 * new snapshot announced, timers. Answers to changes wait until every core serves the snapshot.
 *
 * Threads: there is one. Whoever wants to read or change anything does it from the loop, as the
 * guest does; nothing here is locked.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"
#include "base/defs.h"
#include "storage/partitions.h"

#include "control/group/group.h"
#include "control/meta/meta.h"

struct control;

/** A part that lives in the loop and may send requests as clients do. */
struct control_guest {
	void *context;
	int (*fd)(void *context); /* polled for reading */
	/** @return when to run again at the latest */
	int64_t (*run)(void *context, int64_t now_ns);
	/** Answer to control_request(). @param body  NULL: it was not served */
	void (*answer)(void *context, uint64_t token, const uint8_t *body, uint32_t size);
};

/** Read the metadata and get ready; says on the log what fails. @return 0; -errno or `enum err` */
NODISCARD int control_open(const struct config *config, struct control **ret_control);
void control_close(struct control *control);
DEFINE_CLEANUP(struct control, control_close);

/** At most four. @param guest  borrowed for the life of the loop */
void control_attach(struct control *control, const struct control_guest *guest);
/** Run until control_stop() or SIGTERM/SIGINT. @return 0; the error that ends the process */
NODISCARD int control_run(struct control *control);

/** Serve a request of a guest (client id "http"). @return 0; -EBUSY too many are under way */
NODISCARD int control_request(struct control *control, const struct control_guest *guest,
			      uint64_t token, int16_t api_key, int16_t version, const uint8_t *body,
			      uint32_t size);

bool control_is_dataplane_up(const struct control *control);
/** @return NULL: not connected */
const struct partitions *control_partitions(const struct control *control);
const struct meta *control_meta(const struct control *control);
struct groups *control_groups(struct control *control);

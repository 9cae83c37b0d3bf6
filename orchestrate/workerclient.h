/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Control's end of the task interface (compute/task.h): one worker, reconnected to whenever it is there.
 *
 * At most the worker's slots of task attempts are sent; more wait here, in order. Queries (numbers below 0) do not
 * count, and fail when there is no worker. Attempts outlive the connection: the next hello tells about them, and
 * what it does not name is lost.
 *
 * Context: control's loop. Memory: heap, TASK_LINE_MAX at most each way.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/commands.h"
#include "orchestrate/events.h"

struct workerclient;

struct workerclient_ops {
	/** It was sent, so it runs or waits for the worker. */
	void (*started)(void *context, int64_t attempt);
	commands_ended *ended;
};

/** @return 0; ERR_TOO_LARGE path; -errno */
NODISCARD int workerclient_new(struct events *events, const char *run_dir,
			       const struct workerclient_ops *ops, void *context,
			       struct workerclient **ret_client);
void workerclient_free(struct workerclient *client);
DEFINE_CLEANUP(struct workerclient, workerclient_free);

/** @param start  message of task.h without its op; taken. @return 0; -ENOTCONN of a query; -ENOMEM */
NODISCARD int workerclient_start(struct workerclient *client, int64_t attempt, json_t *start);
/** After a restart: this one was started before; its end comes, or ENGINE_LOST. @return 0; -ENOMEM */
NODISCARD int workerclient_expect(struct workerclient *client, int64_t attempt);
bool workerclient_has(const struct workerclient *client, int64_t attempt);
/** Its end follows. @return false: it is not here */
bool workerclient_cancel(struct workerclient *client, int64_t attempt);
/** Its end is durable, or nobody wants to know. */
void workerclient_forget(struct workerclient *client, int64_t attempt);
/** Connect, send. @return when to call again, monotonic */
int64_t workerclient_run(struct workerclient *client, int64_t now_ns);

struct workerclient_view {
	bool is_connected;
	uint32_t slots, running, waiting;
	const char *duckdb; /* version; "": not known */
};

void workerclient_view(const struct workerclient *client, struct workerclient_view *ret_view);

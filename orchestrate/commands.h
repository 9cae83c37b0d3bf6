/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Attempts that are processes. Each has a directory <folder>/<attempt>/ and a millrace-attempt that
 * outlives control:
 *
 *   spec    what to run, JSON: "argv" [text], "env" {}, "log" path, "log_max" bytes, "mask" [text],
 *           "output" none|text|json, "timeout_ms" (0: none), "dag", "run", "task", "try"
 *   lock    locked (flock) from before the start until the attempt and its command have ended; holds the pid of
 *           the one and the process group of the other
 *   exit    how it ended, JSON: "outcome" success|failed|skipped|cancelled, "message", "result"; comes by rename
 *   work/   the command's working directory
 *
 * Ends are noticed by pidfd. An attempt found after a restart runs on; one whose lock is free and that left no
 * exit file is lost, and what is left of its command is killed: it may be tried again.
 *
 * Context: control's loop. Memory: heap, small.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/engine.h"
#include "orchestrate/events.h"

#define COMMANDS_LOCK_FD 3 /* where millrace-attempt finds its lock */

/** How an attempt ended. @param message, result  borrowed; NULL: none */
typedef void commands_ended(void *context, int64_t attempt, enum engine_outcome outcome,
			    const char *message, json_t *result);

struct commands;

/** @param program  path of millrace-attempt. @param ended  called from the loop, never from below. @return 0; -errno */
NODISCARD int commands_new(struct events *events, const char *folder, const char *program,
			   commands_ended *ended, void *context, struct commands **ret_commands);
/** Leaves the attempts running. NULL is accepted. */
void commands_free(struct commands *commands);
DEFINE_CLEANUP(struct commands, commands_free);

/** @param spec  borrowed. @return 0; -errno: it was not started, and nothing will be reported */
NODISCARD int commands_start(struct commands *commands, int64_t attempt, const json_t *spec);
/**
 * After a restart: take every attempt up again that has a directory; those that ended or were lost are reported by
 * the next commands_run().
 *
 * @return 0; -errno
 */
NODISCARD int commands_adopt(struct commands *commands);
/** @return whether it was started or adopted, and has not been reported */
bool commands_has(const struct commands *commands, int64_t attempt);
/** End it: SIGTERM to its process group, SIGKILL 5 s later. @return false: it is not here */
bool commands_cancel(struct commands *commands, int64_t attempt);
/** Its end is durable: remove its directory. */
void commands_forget(struct commands *commands, int64_t attempt);
/** Report what is known without waiting. @return when to call again, monotonic; INT64_MAX: not needed */
int64_t commands_run(struct commands *commands, int64_t now_ns);
uint32_t commands_count(const struct commands *commands);

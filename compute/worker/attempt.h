/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The life of an attempt: a thread, an engine, an outcome.
 *
 * Context: made, stopped and taken over by the worker's main thread; runs in a thread of its own.
 * Memory: the message, an engine while it runs, the outcome.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"
#include "base/list.h"

#include "compute/worker/taskjob.h"
#include "compute/worker/warmduck.h"

enum attempt_state { ATTEMPT_WAITING, ATTEMPT_RUNNING, ATTEMPT_DONE };

struct attempt_config {
	const struct config *config;
	struct warmduck *warm;
	int wake_fd; /* eventfd: written when an attempt has ended */
};

/** What of an attempt can be counted now. */
struct attempt_progress {
	int64_t records, total, bytes, bad;
};

struct attempt;

/**
 * Judge a start message; the attempt waits until attempt_start().
 *
 * @param peer  whose it is alone; 0: a task instance's, which outlives connections
 * @return 0; ERR_CONFIG with reterr; -ENOMEM
 */
NODISCARD int attempt_new(const struct attempt_config *config, json_t *message, uint32_t peer,
			  struct attempt **ret_attempt, char *reterr, size_t reterr_size);
/** One that runs is waited for: attempt_stop() it before. */
void attempt_free(struct attempt *attempt);

/** Begin its thread. A thread that cannot be made is an outcome. */
void attempt_start(struct attempt *attempt, int64_t now_ns);
/** Make it end soon; one that waits has ended at once. Again and again does no harm. */
void attempt_stop(struct attempt *attempt, enum taskjob_stop why);
/** See whether its thread has ended. @return true once: it is done now */
bool attempt_take_over(struct attempt *attempt);

struct list *attempt_link(struct attempt *attempt);
struct attempt *attempt_of(struct list *link);
int64_t attempt_number(const struct attempt *attempt);
uint32_t attempt_peer(const struct attempt *attempt);
enum attempt_state attempt_state(const struct attempt *attempt);
bool attempt_is_stopping(const struct attempt *attempt);
/** @return when it has to be stopped; INT64_MAX: never */
int64_t attempt_deadline_ns(const struct attempt *attempt);
/** Memory it may use: a measure of which one is the largest. */
int64_t attempt_memory(const struct attempt *attempt);
/** @return whether there is something new to tell since the last call */
bool attempt_progress(struct attempt *attempt, struct attempt_progress *ret_progress);
/** The `done` message. @return borrowed; NULL before ATTEMPT_DONE */
const json_t *attempt_outcome(const struct attempt *attempt);

/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/attempt.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include "compute/task.h"
#include "compute/worker/background.h"

#define ROUNDS_MAX 4 /* of one attempt, when others write its table meanwhile */

struct attempt {
	struct list link;
	const struct attempt_config *config;
	struct taskspec *spec;
	uint32_t peer;
	enum attempt_state state; /* of the main thread */
	pthread_t thread;
	int64_t started_ns;
	atomic_int stop; /* enum taskjob_stop */
	atomic_bool has_ended;
	pthread_mutex_t lock; /* of `engine`: others interrupt and look */
	struct warmduck_engine engine;
	struct attempt_progress told;
	json_t *outcome; /* `done` */
};

int attempt_new(const struct attempt_config *config, json_t *message, uint32_t peer,
		struct attempt **ret_attempt, char *reterr, size_t reterr_size)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));
	int error;

	if (attempt == NULL)
		return -ENOMEM;
	error = taskspec_parse(message, &attempt->spec, reterr, reterr_size);
	if (error != 0) {
		free(attempt);
		return error;
	}
	list_init(&attempt->link);
	attempt->config = config;
	attempt->peer = peer;
	CHECK(pthread_mutex_init(&attempt->lock, NULL) == 0);
	*ret_attempt = attempt;
	return 0;
}

void attempt_free(struct attempt *attempt)
{
	if (attempt == NULL)
		return;
	if (attempt->state == ATTEMPT_RUNNING)
		(void)pthread_join(attempt->thread, NULL);
	(void)pthread_mutex_destroy(&attempt->lock);
	json_decref(attempt->outcome);
	taskspec_free(attempt->spec);
	free(attempt);
}

/* ---- the outcome ---- */

static void set_outcome(struct attempt *attempt, const char *outcome, const char *reason,
			char *message, json_t *result)
{
	const double seconds = attempt->started_ns == 0
				       ? 0.0
				       : (double)(clock_now_ns() - attempt->started_ns) / 1e9;
	json_t *text;

	attemptlog_mask(attempt->spec->mask, message, TASKJOB_MESSAGE_MAX);
	text = json_string(message);
	if (text == NULL) /* not UTF-8 */
		text = json_string("the message of the error is not text");
	attempt->outcome =
		json_pack("{ss sI ss so sf so}", "op", "done", "attempt",
			  (json_int_t)attempt->spec->attempt, "outcome", outcome, "message", text,
			  "seconds", seconds, "result", result != NULL ? result : json_null());
	CHECK(attempt->outcome != NULL);
	if (reason != NULL)
		(void)json_object_set_new(attempt->outcome, "reason", json_string(reason));
}

/** Whoever stopped the attempt has more to say than what the SQL ended with. */
static void explain_stop(const struct attempt *attempt, struct taskjob *job)
{
	switch ((enum taskjob_stop)atomic_load(&attempt->stop)) {
	case TASKJOB_TIMEOUT:
		(void)taskjob_fail(job, "timeout", "not done within its timeout of %.1f s",
				   (double)attempt->spec->timeout_ms / 1e3);
		break;
	case TASKJOB_MEMORY:
		(void)taskjob_fail(job, "memory",
				   "the worker reached its resident memory limit and ended its "
				   "largest attempt, this one. Raise worker.memory.hard, or lower "
				   "worker.memory, worker.slots or the memory of the task");
		break;
	case TASKJOB_CANCELLED:
		(void)snprintf(job->message, sizeof(job->message), "cancelled");
		break;
	case TASKJOB_GO_ON:
		break;
	}
}

static void finish(struct attempt *attempt, struct taskjob *job, int result)
{
	if (result == 0) {
		attemptlog_end(job->log, "info", "done");
		set_outcome(attempt, "success", NULL, job->message, TAKE_PTR(job->result));
		return;
	}
	explain_stop(attempt, job);
	if (atomic_load(&attempt->stop) == TASKJOB_CANCELLED) {
		attemptlog_end(job->log, "warning", job->message);
		set_outcome(attempt, "cancelled", NULL, job->message, NULL);
		return;
	}
	attemptlog_end(job->log, "error", job->message);
	set_outcome(attempt, "failed", job->reason, job->message, TAKE_PTR(job->result));
}

/* ---- its thread ---- */

static int open_engine(struct attempt *attempt, struct taskjob *job)
{
	char message[512] = "";
	struct warmduck_engine engine;
	int error =
		warmduck_take(attempt->config->warm, attempt->spec->memory,
			      (uint32_t)attempt->spec->threads, &engine, message, sizeof(message));

	if (error != 0)
		return taskjob_fail(job, "worker", "no SQL engine: %s: %s", message,
				    err_str(error));
	(void)pthread_mutex_lock(&attempt->lock);
	attempt->engine = engine;
	(void)pthread_mutex_unlock(&attempt->lock);
	job->duck = engine.duck;
	job->table = engine.table;
	/* Whoever stopped the attempt before found no engine to interrupt. */
	if (atomic_load(&attempt->stop) != TASKJOB_GO_ON)
		return taskjob_fail(job, "worker", "stopped");
	return 0;
}

static void close_engine(struct attempt *attempt, struct taskjob *job)
{
	struct warmduck_engine engine;

	(void)pthread_mutex_lock(&attempt->lock);
	engine = attempt->engine;
	attempt->engine = (struct warmduck_engine){ 0 };
	(void)pthread_mutex_unlock(&attempt->lock);
	taskjob_forget_views(job);
	job->duck = NULL;
	warmduck_give_back(attempt->config->warm, &engine);
}

static int run_kind(struct taskjob *job)
{
	switch (job->spec->kind) {
	case TASKSPEC_SQL:
		return tasksql_run(job);
	case TASKSPEC_CHECK:
		return taskcheck_run(job);
	case TASKSPEC_QUERY:
		return taskquery_run(job);
	case TASKSPEC_TABLES:
	case TASKSPEC_TABLE:
		break;
	}
	return tasktables_run(job);
}

/** One round with an engine of its own. */
static int run_round(struct attempt *attempt, struct taskjob *job)
{
	int result = open_engine(attempt, job);

	if (result == 0)
		result = run_kind(job);
	close_engine(attempt, job);
	return result;
}

static void *run(void *context)
{
	struct attempt *attempt = context;
	const struct taskspec *spec = attempt->spec;
	const struct config *config = attempt->config->config;
	struct attemptlog log;
	struct taskjob *job = calloc(1, sizeof(*job));
	const uint64_t one = 1;
	int result, error;

	CHECK(job != NULL);
	background_enter(config);
	error = attemptlog_open(&log, spec->log, config->log_size_max, spec->mask);
	if (error != 0)
		log_warn("attempt %" PRId64 ": no log %s: %s", spec->attempt, spec->log,
			 err_str(error));
	*job = (struct taskjob){
		.config = config,
		.spec = spec,
		.log = &log,
		.stop = &attempt->stop,
	};
	attemptlog_line(&log, "info", "worker %d: attempt %" PRId64 ", try %" PRId64, getpid(),
			spec->attempt, spec->try_number);
	result = TASKJOB_AGAIN;
	for (uint32_t i = 0; i < ROUNDS_MAX && result == TASKJOB_AGAIN &&
			     atomic_load(&attempt->stop) == TASKJOB_GO_ON;
	     i++) {
		if (i > 0)
			attemptlog_line(&log, "warning", "%s; once more", job->message);
		result = run_round(attempt, job);
	}
	finish(attempt, job, result);
	attemptlog_close(&log);
	json_decref(job->result);
	free(job);
	atomic_store(&attempt->has_ended, true);
	if (write(attempt->config->wake_fd, &one, sizeof(one)) < 0)
		log_error("the worker could not be woken: %s", strerror(errno));
	return NULL;
}

/* ---- what the main thread does ---- */

void attempt_start(struct attempt *attempt, int64_t now_ns)
{
	char message[] = "the worker has no thread left; fewer worker.slots need fewer";

	attempt->started_ns = now_ns;
	if (pthread_create(&attempt->thread, NULL, run, attempt) == 0) {
		attempt->state = ATTEMPT_RUNNING;
		return;
	}
	set_outcome(attempt, "failed", "worker", message, NULL);
	attempt->state = ATTEMPT_DONE;
}

void attempt_stop(struct attempt *attempt, enum taskjob_stop why)
{
	int none = TASKJOB_GO_ON;
	char message[] = "cancelled before it began";

	(void)atomic_compare_exchange_strong(&attempt->stop, &none, (int)why);
	if (attempt->state == ATTEMPT_WAITING) {
		set_outcome(attempt, "cancelled", NULL, message, NULL);
		attempt->state = ATTEMPT_DONE;
		return;
	}
	(void)pthread_mutex_lock(&attempt->lock);
	if (attempt->engine.duck != NULL)
		duck_interrupt(attempt->engine.duck);
	(void)pthread_mutex_unlock(&attempt->lock);
}

bool attempt_take_over(struct attempt *attempt)
{
	if (attempt->state != ATTEMPT_RUNNING || !atomic_load(&attempt->has_ended))
		return false;
	(void)pthread_join(attempt->thread, NULL);
	attempt->state = ATTEMPT_DONE;
	return true;
}

struct list *attempt_link(struct attempt *attempt)
{
	return &attempt->link;
}

struct attempt *attempt_of(struct list *link)
{
	return LIST_ENTRY(link, struct attempt, link);
}

int64_t attempt_number(const struct attempt *attempt)
{
	return attempt->spec->attempt;
}

uint32_t attempt_peer(const struct attempt *attempt)
{
	return attempt->peer;
}

enum attempt_state attempt_state(const struct attempt *attempt)
{
	return attempt->state;
}

bool attempt_is_stopping(const struct attempt *attempt)
{
	return atomic_load(&attempt->stop) != TASKJOB_GO_ON;
}

int64_t attempt_deadline_ns(const struct attempt *attempt)
{
	if (attempt->spec->timeout_ms == 0 || attempt->state != ATTEMPT_RUNNING)
		return INT64_MAX;
	return attempt->started_ns + attempt->spec->timeout_ms * NS_PER_MS;
}

int64_t attempt_memory(const struct attempt *attempt)
{
	return attempt->spec->memory != 0 ? attempt->spec->memory
					  : attempt->config->config->worker_memory;
}

bool attempt_progress(struct attempt *attempt, struct attempt_progress *ret_progress)
{
	struct topics_progress now = { 0 };
	bool is_new;

	(void)pthread_mutex_lock(&attempt->lock);
	if (attempt->engine.duck != NULL)
		now = topics_progress(attempt->engine.duck);
	(void)pthread_mutex_unlock(&attempt->lock);
	is_new = now.records > attempt->told.records || now.bad > attempt->told.bad;
	if (is_new)
		attempt->told = (struct attempt_progress){
			.records = now.records,
			.total = now.records_total,
			.bytes = now.bytes,
			.bad = now.bad,
		};
	*ret_progress = attempt->told;
	return is_new;
}

const json_t *attempt_outcome(const struct attempt *attempt)
{
	return attempt->state == ATTEMPT_DONE ? attempt->outcome : NULL;
}

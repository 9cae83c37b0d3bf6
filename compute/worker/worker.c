/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"

#include "compute/task.h"
#include "compute/worker/attempt.h"
#include "compute/worker/workerlink.h"
#include "compute/worker/workermem.h"

#define TICK_MS       50 /* while attempts run: memory, deadlines, stops */
#define PROGRESS_NS   NS_PER_S
#define QUERY_SLOTS   1
#define STOP_GRACE_NS (10 * NS_PER_S)

struct worker {
	const struct config *config;
	struct workerlink *link;
	struct attempt_config attempt_config;
	struct list attempts; /* of struct attempt, in order of arrival */
	uint32_t attempt_count;
	int64_t progress_ns; /* when it was told last */
	int64_t now_ns;
	int signal_fd, wake_fd;
	bool is_stopping;
};

/* ---- attempts ---- */

static struct attempt *find_attempt(struct worker *worker, int64_t number, uint32_t peer)
{
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);

		if (attempt_number(attempt) == number && attempt_peer(attempt) == peer)
			return attempt;
	}
	return NULL;
}

static void drop_attempt(struct worker *worker, struct attempt *attempt)
{
	list_remove(attempt_link(attempt));
	worker->attempt_count--;
	attempt_free(attempt);
}

/** Tell the outcome. Of a connection's own attempt that is all; a task instance's waits for its forget. */
static void tell_outcome(struct worker *worker, struct attempt *attempt)
{
	const uint32_t peer = attempt_peer(attempt);

	workerlink_send(worker->link, peer, attempt_outcome(attempt));
	if (peer != WORKERLINK_ALL)
		drop_attempt(worker, attempt);
}

/** @return attempts that run */
static uint32_t fill_slots(struct worker *worker)
{
	int64_t running[2] = { 0 };
	const int64_t slots[2] = { worker->config->worker_slots, QUERY_SLOTS };

	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);

		if (attempt_state(attempt) == ATTEMPT_RUNNING)
			running[attempt_peer(attempt) != WORKERLINK_ALL]++;
	}
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);
		const uint32_t kind = attempt_peer(attempt) != WORKERLINK_ALL;

		if (worker->is_stopping || attempt_state(attempt) != ATTEMPT_WAITING ||
		    running[kind] >= slots[kind])
			continue;
		attempt_start(attempt, worker->now_ns);
		if (attempt_state(attempt) == ATTEMPT_DONE)
			tell_outcome(worker, attempt);
		else
			running[kind]++;
	}
	return (uint32_t)(running[0] + running[1]);
}

/** Take over what has ended, stop what is late. */
static void look_after_attempts(struct worker *worker)
{
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);

		if (attempt_take_over(attempt)) {
			tell_outcome(worker, attempt);
			continue;
		}
		if (attempt_state(attempt) != ATTEMPT_RUNNING)
			continue;
		if (attempt_deadline_ns(attempt) <= worker->now_ns)
			attempt_stop(attempt, TASKJOB_TIMEOUT);
		/* Between two statements there was nothing to interrupt: again, until it ends. */
		else if (attempt_is_stopping(attempt))
			attempt_stop(attempt, TASKJOB_CANCELLED);
	}
}

static void watch_memory(struct worker *worker)
{
	struct attempt *largest = NULL;

	if (workermem_resident() < workermem_limit(worker->config))
		return;
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);

		if (attempt_state(attempt) != ATTEMPT_RUNNING)
			continue;
		if (attempt_is_stopping(attempt))
			return; /* see first what this one gives back */
		if (largest == NULL || attempt_memory(attempt) >= attempt_memory(largest))
			largest = attempt;
	}
	if (largest == NULL)
		return;
	log_warn("resident memory is at its limit of %" PRId64 " MiB: attempt %" PRId64
		 " is ended (worker.memory.hard)",
		 workermem_limit(worker->config) >> 20, attempt_number(largest));
	attempt_stop(largest, TASKJOB_MEMORY);
}

static void tell_progress(struct worker *worker)
{
	struct attempt_progress progress;

	if (worker->now_ns - worker->progress_ns < PROGRESS_NS)
		return;
	worker->progress_ns = worker->now_ns;
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);
		json_t *message;

		if (attempt_state(attempt) != ATTEMPT_RUNNING ||
		    !attempt_progress(attempt, &progress))
			continue;
		message = json_pack("{ss sI sI sI sI sI}", "op", "progress", "attempt",
				    (json_int_t)attempt_number(attempt), "records",
				    (json_int_t)progress.records, "total",
				    (json_int_t)progress.total, "bytes", (json_int_t)progress.bytes,
				    "bad", (json_int_t)progress.bad);
		workerlink_send(worker->link, attempt_peer(attempt), message);
		json_decref(message);
	}
}

/* ---- messages ---- */

static void send_error(struct worker *worker, uint32_t peer, const char *text)
{
	json_t *message = json_pack("{ss ss}", "op", "error", "message", text);

	workerlink_send(worker->link, peer, message);
	json_decref(message);
}

static void on_hello(struct worker *worker, uint32_t peer, json_t *message)
{
	json_t *attempts = json_array();
	json_t *hello;

	(void)message;
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		const struct attempt *attempt = attempt_of(node);
		json_t *entry;

		if (attempt_peer(attempt) != WORKERLINK_ALL)
			continue;
		entry = attempt_outcome(attempt) != NULL
				? json_copy((json_t *)(uintptr_t)attempt_outcome(attempt))
				: json_pack("{sI}", "attempt", (json_int_t)attempt_number(attempt));
		(void)json_object_del(entry, "op");
		(void)json_object_set_new(
			entry, "state",
			json_string(attempt_outcome(attempt) != NULL ? "done" : "running"));
		(void)json_array_append_new(attempts, entry);
	}
	hello = json_pack("{ss si si sI ss so}", "op", "hello", "version", TASK_VERSION, "pid",
			  (int)getpid(), "slots", (json_int_t)worker->config->worker_slots,
			  "duckdb", duck_version(), "attempts", attempts);
	workerlink_subscribe(worker->link, peer);
	workerlink_send(worker->link, peer, hello);
	json_decref(hello);
}

/** An attempt that could not even begin. */
static void refuse_start(struct worker *worker, uint32_t peer, int64_t number, const char *reason,
			 const char *text)
{
	json_t *message = json_pack("{ss sI ss ss ss sf sn}", "op", "done", "attempt",
				    (json_int_t)number, "outcome", "failed", "reason", reason,
				    "message", text, "seconds", 0.0, "result");

	workerlink_send(worker->link, peer, message);
	json_decref(message);
}

static void on_start(struct worker *worker, uint32_t peer, json_t *message)
{
	const int64_t number = json_integer_value(json_object_get(message, "attempt"));
	const uint32_t owner = number < 0 ? peer : WORKERLINK_ALL;
	struct attempt *attempt = NULL;
	char reason[512];
	int error;

	if (find_attempt(worker, number, owner) != NULL)
		return; /* sent again after a reconnect */
	if (worker->attempt_count >= WORKER_ATTEMPTS_MAX) {
		refuse_start(worker, peer, number, "worker", "too many attempts wait");
		return;
	}
	error = attempt_new(&worker->attempt_config, message, owner, &attempt, reason,
			    sizeof(reason));
	if (error != 0) {
		refuse_start(worker, peer, number, error == ERR_CONFIG ? "user" : "memory",
			     error == ERR_CONFIG ? reason : err_str(error));
		return;
	}
	list_push_back(&worker->attempts, attempt_link(attempt));
	worker->attempt_count++;
}

static void on_cancel(struct worker *worker, uint32_t peer, json_t *message)
{
	const int64_t number = json_integer_value(json_object_get(message, "attempt"));
	struct attempt *attempt = find_attempt(worker, number, number < 0 ? peer : WORKERLINK_ALL);

	if (attempt == NULL || attempt_state(attempt) == ATTEMPT_DONE)
		return;
	attempt_stop(attempt, TASKJOB_CANCELLED);
	if (attempt_state(attempt) == ATTEMPT_DONE)
		tell_outcome(worker, attempt);
}

static void on_forget(struct worker *worker, uint32_t peer, json_t *message)
{
	const int64_t number = json_integer_value(json_object_get(message, "attempt"));
	struct attempt *attempt = find_attempt(worker, number, WORKERLINK_ALL);

	(void)peer;
	if (attempt != NULL && attempt_state(attempt) == ATTEMPT_DONE)
		drop_attempt(worker, attempt);
}

static const struct {
	const char *op;
	void (*run)(struct worker *worker, uint32_t peer, json_t *message);
} ops[] = {
	{ "hello", on_hello },
	{ "start", on_start },
	{ "cancel", on_cancel },
	{ "forget", on_forget },
};

static void on_line(void *context, uint32_t peer, json_t *message)
{
	struct worker *worker = context;
	const char *op = json_string_value(json_object_get(message, "op"));

	for (size_t i = 0; op != NULL && i < ARRAY_COUNT(ops); i++) {
		if (strcmp(op, ops[i].op) == 0) {
			ops[i].run(worker, peer, message);
			return;
		}
	}
	send_error(worker, peer, "\"op\" is one of hello, start, cancel, forget");
}

/** What was the connection's alone ends with it. */
static void on_closed(void *context, uint32_t peer)
{
	struct worker *worker = context;

	LIST_EACH_SAFE(&worker->attempts, node)
	{
		struct attempt *attempt = attempt_of(node);

		if (attempt_peer(attempt) != peer)
			continue;
		attempt_stop(attempt, TASKJOB_CANCELLED);
		if (attempt_state(attempt) == ATTEMPT_DONE)
			drop_attempt(worker, attempt);
	}
}

static const struct workerlink_ops link_ops = { .line = on_line, .closed = on_closed };

/* ---- the loop ---- */

int worker_open(const struct config *config, struct worker **ret_worker)
{
	CLEANUP(worker_closep) struct worker *worker = calloc(1, sizeof(*worker));
	char path[PATH_MAX];
	sigset_t wanted;
	int error;

	if (worker == NULL)
		return -ENOMEM;
	worker->config = config;
	worker->signal_fd = worker->wake_fd = -1;
	list_init(&worker->attempts);
	error = task_socket_path(config->run_dir, path, sizeof(path));
	if (error == 0)
		error = workerlink_open(path, &link_ops, worker, &worker->link);
	if (error != 0)
		return error;
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	if (sigprocmask(SIG_BLOCK, &wanted, NULL) != 0)
		return -errno;
	worker->signal_fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
	worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->signal_fd < 0 || worker->wake_fd < 0)
		return -errno;
	*ret_worker = TAKE_PTR(worker);
	return 0;
}

static void stop_attempts(struct worker *worker)
{
	LIST_EACH_SAFE(&worker->attempts, node)
	{
		if (attempt_state(attempt_of(node)) == ATTEMPT_RUNNING)
			attempt_stop(attempt_of(node), TASKJOB_CANCELLED);
	}
}

void worker_close(struct worker *worker)
{
	if (worker == NULL)
		return;
	workerlink_close(worker->link);
	LIST_EACH_SAFE(&worker->attempts, node)
	drop_attempt(worker, attempt_of(node));
	warmduck_free(worker->attempt_config.warm);
	if (worker->signal_fd >= 0)
		(void)close(worker->signal_fd);
	if (worker->wake_fd >= 0)
		(void)close(worker->wake_fd);
	free(worker);
}

static void wait_for_events(struct worker *worker, bool is_ticking)
{
	struct pollfd fds[WORKERLINK_FDS_MAX + 2];
	uint32_t count = workerlink_fds(worker->link, fds);
	struct signalfd_siginfo info;
	uint64_t wakes;

	fds[count++] = (struct pollfd){ .fd = worker->signal_fd, .events = POLLIN };
	fds[count++] = (struct pollfd){ .fd = worker->wake_fd, .events = POLLIN };
	(void)poll(fds, count, is_ticking ? TICK_MS : -1);
	if (read(worker->wake_fd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
		log_error("eventfd: %s", strerror(errno));
	if (read(worker->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		worker->is_stopping = true;
	worker->now_ns = clock_now_ns();
}

int worker_run(struct worker *worker, const uint32_t *cpus, uint32_t cpu_count)
{
	uint32_t running = 0;
	int64_t stop_ns = 0;
	int error = warmduck_new(worker->config, cpus, cpu_count, &worker->attempt_config.warm);

	if (error != 0)
		return error;
	worker->attempt_config.config = worker->config;
	worker->attempt_config.wake_fd = worker->wake_fd;
	while (!worker->is_stopping || running > 0) {
		wait_for_events(worker, running > 0);
		workerlink_run(worker->link);
		look_after_attempts(worker);
		running = fill_slots(worker);
		watch_memory(worker);
		tell_progress(worker);
		if (!worker->is_stopping)
			continue;
		stop_attempts(worker);
		stop_ns = stop_ns == 0 ? worker->now_ns + STOP_GRACE_NS : stop_ns;
		if (worker->now_ns > stop_ns) {
			log_warn("%u attempts did not end in time", running);
			_exit(1);
		}
	}
	return 0;
}

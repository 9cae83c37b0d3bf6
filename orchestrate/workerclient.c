/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/workerclient.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"

#include "compute/task.h"

#define RETRY_NS     (200 * NS_PER_MS)
#define READ_SIZE    65536
#define WORKER_ENDED "the worker ended while it ran; the log of millrace up says why"

enum job_state {
	JOB_WAITING, /* here, for a slot or the worker */
	JOB_SENT,
	JOB_EXPECTED, /* sent by a control before this one, or over a connection before this one */
};

struct job {
	struct list link;
	int64_t attempt;
	enum job_state state;
	bool is_cancelled;
	json_t *start; /* WAITING */
};

struct workerclient {
	struct events *events;
	struct sockaddr_un address;
	struct workerclient_ops ops;
	void *context;
	struct event_source source;
	struct list jobs; /* in order */
	bool is_ready;    /* its hello is here */
	uint32_t slots;
	char duckdb[64];
	int64_t retry_ns;
	char *in; /* [in_capacity] */
	size_t in_size, in_capacity;
	char *out; /* [out_size], `out_sent` of it are gone */
	size_t out_size, out_sent;
};

static struct job *find(const struct workerclient *client, int64_t attempt)
{
	LIST_EACH(&client->jobs, node)
	{
		struct job *job = LIST_ENTRY(node, struct job, link);

		if (job->attempt == attempt)
			return job;
	}
	return NULL;
}

static void job_free(struct job *job)
{
	list_remove(&job->link);
	json_decref(job->start);
	free(job);
}

/* ---- the connection ---- */

static void end_job(struct workerclient *client, struct job *job, enum engine_outcome outcome,
		    const char *message, json_t *result)
{
	int64_t attempt = job->attempt;

	job_free(job);
	client->ops.ended(client->context, attempt, outcome, message, result);
}

static void disconnect(struct workerclient *client, const char *why)
{
	int fd = client->source.fd;

	if (fd < 0)
		return;
	if (client->is_ready)
		log_warn("the worker is gone: %s", why);
	events_forget(client->events, &client->source);
	(void)close(fd);
	client->is_ready = false;
	client->in_size = client->out_size = client->out_sent = 0;
	LIST_EACH_SAFE(&client->jobs, node)
	{
		struct job *job = LIST_ENTRY(node, struct job, link);

		if (job->state == JOB_SENT)
			job->state = JOB_EXPECTED;
		if (job->attempt < 0)
			end_job(client, job, ENGINE_FAILED, WORKER_ENDED, NULL);
	}
}

static void flush(struct workerclient *client)
{
	while (client->out_sent < client->out_size) {
		ssize_t sent =
			send(client->source.fd, client->out + client->out_sent,
			     client->out_size - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			break;
		if (sent < 0) {
			disconnect(client, err_str(-errno));
			return;
		}
		client->out_sent += (size_t)sent;
	}
	if (client->out_sent == client->out_size)
		client->out_size = client->out_sent = 0;
	if (events_watch(client->events, &client->source, client->source.fd,
			 client->out_size > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN) != 0)
		disconnect(client, "it cannot be watched");
}

/** @param message  taken */
static int post(struct workerclient *client, json_t *message)
{
	char *line = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL, *grown;
	size_t size = line != NULL ? strlen(line) : 0;
	int error = 0;

	json_decref(message);
	if (line == NULL)
		return -ENOMEM;
	line[size++] = '\n'; /* in the place of the zero */
	if (size > TASK_LINE_MAX)
		error = ERR_TOO_LARGE;
	grown = error == 0 ? realloc(client->out, client->out_size + size) : NULL;
	if (error == 0 && grown == NULL)
		error = -ENOMEM;
	if (error == 0) {
		client->out = grown;
		memcpy(client->out + client->out_size, line, size);
		client->out_size += size;
	}
	free(line);
	return error;
}

static void post_about(struct workerclient *client, const char *op, int64_t attempt)
{
	if (client->is_ready &&
	    post(client, json_pack("{s:s,s:I}", "op", op, "attempt", (json_int_t)attempt)) != 0)
		log_error("the worker cannot be told to %s attempt %ld", op, (long)attempt);
}

/* ---- what the worker says ---- */

static enum engine_outcome outcome_of(const json_t *done)
{
	static const char *const final[] = { "retention", "schema", "check" };
	const char *outcome = json_string_value(json_object_get(done, "outcome"));
	const char *reason = json_string_value(json_object_get(done, "reason"));

	if (outcome != NULL && strcmp(outcome, "success") == 0)
		return ENGINE_SUCCESS;
	if (outcome != NULL && strcmp(outcome, "cancelled") == 0)
		return ENGINE_CANCELLED;
	/* What another try cannot change. */
	for (size_t i = 0; reason != NULL && i < ARRAY_COUNT(final); i++) {
		if (strcmp(final[i], reason) == 0)
			return ENGINE_FAILED_FINAL;
	}
	return ENGINE_FAILED;
}

static void on_done(struct workerclient *client, const json_t *done)
{
	int64_t attempt = json_integer_value(json_object_get(done, "attempt"));
	const char *message = json_string_value(json_object_get(done, "message"));
	struct job *job = find(client, attempt);

	if (job == NULL) {
		post_about(client, "forget", attempt); /* of nobody any more */
		return;
	}
	end_job(client, job, outcome_of(done),
		message != NULL && message[0] != '\0' ? message : NULL,
		json_object_get(done, "result"));
	if (attempt < 0)
		post_about(client, "forget", attempt);
}

static void take_up(struct workerclient *client, const json_t *known)
{
	const char *state = json_string_value(json_object_get(known, "state"));
	struct job *job = find(client, json_integer_value(json_object_get(known, "attempt")));

	if (state != NULL && strcmp(state, "done") == 0) {
		on_done(client, known);
	} else if (job == NULL) {
		post_about(client, "cancel", json_integer_value(json_object_get(known, "attempt")));
	} else {
		job->state = JOB_SENT;
		client->ops.started(client->context, job->attempt);
		if (job->is_cancelled)
			post_about(client, "cancel", job->attempt);
	}
}

static void on_hello(struct workerclient *client, const json_t *hello)
{
	const char *duckdb = json_string_value(json_object_get(hello, "duckdb"));
	size_t index;
	json_t *known;

	if (json_integer_value(json_object_get(hello, "version")) != TASK_VERSION) {
		disconnect(client, "it is of another version: start the one of this release");
		return;
	}
	client->is_ready = true;
	client->slots = (uint32_t)MAX(json_integer_value(json_object_get(hello, "slots")), 1);
	(void)snprintf(client->duckdb, sizeof(client->duckdb), "%s", duckdb != NULL ? duckdb : "");
	json_array_foreach(json_object_get(hello, "attempts"), index, known) take_up(client, known);
	LIST_EACH_SAFE(&client->jobs, node)
	{
		struct job *job = LIST_ENTRY(node, struct job, link);

		if (job->state == JOB_EXPECTED)
			end_job(client, job, job->is_cancelled ? ENGINE_CANCELLED : ENGINE_LOST,
				WORKER_ENDED, NULL);
	}
	log_info("connected to the worker: %u slots, DuckDB %s", client->slots, client->duckdb);
}

static void on_line(struct workerclient *client, const char *line, size_t size)
{
	json_t *message = json_loadb(line, size, 0, NULL);
	const char *op = json_string_value(json_object_get(message, "op"));

	if (op == NULL)
		disconnect(client, "it spoke what is no message");
	else if (strcmp(op, "hello") == 0)
		on_hello(client, message);
	else if (strcmp(op, "done") == 0)
		on_done(client, message);
	else if (strcmp(op, "error") == 0)
		log_error("the worker does not understand control: %s",
			  json_string_value(json_object_get(message, "message")));
	json_decref(message);
}

/** Serve the whole lines that are here. */
static void take_lines(struct workerclient *client)
{
	size_t begin = 0;

	while (client->source.fd >= 0 && begin < client->in_size) {
		const char *end = memchr(client->in + begin, '\n', client->in_size - begin);

		if (end == NULL)
			break;
		on_line(client, client->in + begin, (size_t)(end - (client->in + begin)));
		begin = (size_t)(end + 1 - client->in);
	}
	if (client->source.fd < 0)
		return;
	client->in_size -= begin;
	memmove(client->in, client->in + begin, client->in_size);
}

/** @return false: nothing more is there, or the connection has ended */
static bool receive(struct workerclient *client)
{
	ssize_t got;

	if (client->in_capacity - client->in_size < READ_SIZE) {
		size_t wanted = client->in_capacity * 2 + READ_SIZE;
		char *grown = wanted <= 2 * TASK_LINE_MAX + READ_SIZE ? realloc(client->in, wanted)
								      : NULL;

		if (grown == NULL) {
			disconnect(client, "it said too much at once");
			return false;
		}
		client->in = grown;
		client->in_capacity = wanted;
	}
	got = recv(client->source.fd, client->in + client->in_size,
		   client->in_capacity - client->in_size, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		disconnect(client, got == 0 ? "it ended" : err_str(-errno));
		return false;
	}
	client->in_size += (size_t)got;
	return true;
}

static void on_ready(struct event_source *source, uint32_t mask)
{
	struct workerclient *client = CONTAINER_OF(source, struct workerclient, source);

	(void)mask;
	while (receive(client))
		take_lines(client);
	if (client->source.fd >= 0)
		flush(client);
}

/* ---- what control says ---- */

static void dial(struct workerclient *client, int64_t now_ns)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	client->retry_ns = now_ns + RETRY_NS;
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&client->address, sizeof(client->address)) != 0 ||
	    events_watch(client->events, &client->source, fd, EPOLLIN) != 0) {
		(void)close(fd);
		return;
	}
	if (post(client, json_pack("{s:s,s:i}", "op", "hello", "version", TASK_VERSION)) != 0)
		disconnect(client, "out of memory");
}

static uint32_t sent_tasks(const struct workerclient *client)
{
	uint32_t count = 0;

	LIST_EACH(&client->jobs, node)
	{
		const struct job *job = LIST_ENTRY(node, struct job, link);

		count += job->attempt > 0 && job->state != JOB_WAITING;
	}
	return count;
}

static void send_waiting(struct workerclient *client)
{
	uint32_t sent = sent_tasks(client);

	LIST_EACH_SAFE(&client->jobs, node)
	{
		struct job *job = LIST_ENTRY(node, struct job, link);
		int error;

		if (job->state != JOB_WAITING || (job->attempt > 0 && sent >= client->slots))
			continue;
		error = post(client, TAKE_PTR(job->start));
		if (error != 0) {
			end_job(client, job, ENGINE_FAILED_FINAL, err_str(error), NULL);
			continue;
		}
		job->state = JOB_SENT;
		sent += job->attempt > 0;
		client->ops.started(client->context, job->attempt);
	}
}

int64_t workerclient_run(struct workerclient *client, int64_t now_ns)
{
	if (client->source.fd < 0 && now_ns >= client->retry_ns)
		dial(client, now_ns);
	if (client->is_ready)
		send_waiting(client);
	if (client->source.fd >= 0)
		flush(client);
	return client->source.fd < 0 ? client->retry_ns : INT64_MAX;
}

static struct job *add(struct workerclient *client, int64_t attempt, enum job_state state)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	list_init(&job->link);
	job->attempt = attempt;
	job->state = state;
	list_push_back(&client->jobs, &job->link);
	return job;
}

int workerclient_start(struct workerclient *client, int64_t attempt, json_t *start)
{
	struct job *job;

	if (attempt < 0 && !client->is_ready) {
		json_decref(start);
		return -ENOTCONN;
	}
	job = add(client, attempt, JOB_WAITING);
	if (job == NULL || json_object_set_new(start, "op", json_string("start")) != 0 ||
	    json_object_set_new(start, "attempt", json_integer(attempt)) != 0) {
		json_decref(start);
		if (job != NULL)
			job_free(job);
		return -ENOMEM;
	}
	job->start = start;
	return 0;
}

int workerclient_expect(struct workerclient *client, int64_t attempt)
{
	return add(client, attempt, JOB_EXPECTED) != NULL ? 0 : -ENOMEM;
}

bool workerclient_has(const struct workerclient *client, int64_t attempt)
{
	return find(client, attempt) != NULL;
}

bool workerclient_cancel(struct workerclient *client, int64_t attempt)
{
	struct job *job = find(client, attempt);

	if (job == NULL)
		return false;
	if (job->state == JOB_WAITING)
		end_job(client, job, ENGINE_CANCELLED, NULL, NULL);
	else if (!job->is_cancelled) {
		job->is_cancelled = true; /* told again after a reconnect */
		if (job->state == JOB_SENT)
			post_about(client, "cancel", attempt);
	}
	return true;
}

void workerclient_forget(struct workerclient *client, int64_t attempt)
{
	struct job *job = find(client, attempt);

	if (job != NULL)
		job_free(job); /* given up */
	post_about(client, "forget", attempt);
}

void workerclient_view(const struct workerclient *client, struct workerclient_view *ret_view)
{
	uint32_t sent = sent_tasks(client), all = 0;

	LIST_EACH(&client->jobs, node)
	all += LIST_ENTRY(node, struct job, link)->attempt > 0;
	*ret_view = (struct workerclient_view){
		.is_connected = client->is_ready,
		.slots = client->is_ready ? client->slots : 0,
		.running = sent,
		.waiting = all - sent,
		.duckdb = client->duckdb,
	};
}

int workerclient_new(struct events *events, const char *run_dir, const struct workerclient_ops *ops,
		     void *context, struct workerclient **ret_client)
{
	struct workerclient *client = calloc(1, sizeof(*client));
	int error;

	if (client == NULL)
		return -ENOMEM;
	client->events = events;
	client->ops = *ops;
	client->context = context;
	client->source = (struct event_source){ .fd = -1, .ready = on_ready };
	client->address.sun_family = AF_UNIX;
	list_init(&client->jobs);
	error = task_socket_path(run_dir, client->address.sun_path,
				 sizeof(client->address.sun_path));
	if (error != 0) {
		free(client);
		return error;
	}
	*ret_client = client;
	return 0;
}

void workerclient_free(struct workerclient *client)
{
	if (client == NULL)
		return;
	if (client->source.fd >= 0) {
		int fd = client->source.fd;

		events_forget(client->events, &client->source);
		(void)close(fd);
	}
	while (!list_is_empty(&client->jobs))
		job_free(LIST_ENTRY(client->jobs.next, struct job, link));
	free(client->in);
	free(client->out);
	free(client);
}

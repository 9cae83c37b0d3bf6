/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/orchestrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include "compute/task.h"
#include "orchestrate/orchestrate_impl.h"

#define US_PER_S      INT64_C(1000000)
#define SWEEP_NS      (3600 * NS_PER_S)
#define SWEEP_SOON_NS (60 * NS_PER_S)

/* ---- what the engine asks for ---- */

static void engine_save(void *context, const struct engine_change *change)
{
	struct orchestrate *o = context;

	store_save_change(o->store, change);
}

struct action *orchestrate_later(struct orchestrate *o, enum action_kind kind, int64_t attempt)
{
	struct action *action = calloc(1, sizeof(*action));

	/* An attempt that is never started would wait for ever: a restart starts it. */
	CHECK(action != NULL);
	list_init(&action->link);
	action->kind = kind;
	action->attempt = attempt;
	list_push_back(&o->actions, &action->link);
	return action;
}

static void engine_start(void *context, const struct ti *ti)
{
	(void)orchestrate_later(context, ACTION_START, ti->attempt);
}

static void engine_cancel_attempt(void *context, const struct ti *ti, const char *why)
{
	struct action *action = orchestrate_later(context, ACTION_CANCEL, ti->attempt);

	(void)snprintf(action->text, sizeof(action->text), "%s", why);
}

static void engine_give_up(void *context, const struct ti *ti, int64_t attempt)
{
	struct orchestrate *o = context;
	const struct dag_task *task = &ti->run->dag->tasks[ti->task];
	struct action *action = orchestrate_later(o, ACTION_FENCE, ti->attempt);
	char folder[ORCHESTRATE_PATH_SIZE];

	orchestrate_log_path(o, ti->run->dag->id, ti->run->id, task->name, 0, folder);
	(void)snprintf(action->text, sizeof(action->text), "%.1200s/fence", folder);
	action = orchestrate_later(o, ACTION_FORGET, attempt);
	action->task_kind = task->kind;
}

static void engine_run_ended(void *context, const struct run *run)
{
	(void)context;
	log_info("%s %s: %s%s%s", run->dag->id, run->id, run_state_name(run->state),
		 run->note != NULL ? ": " : "", run->note != NULL ? run->note : "");
}

static const struct engine_ports ports = {
	.save = engine_save,
	.start = engine_start,
	.cancel = engine_cancel_attempt,
	.give_up = engine_give_up,
	.run_ended = engine_run_ended,
};

/* ---- what attempts report ---- */

void orchestrate_ended(void *context, int64_t attempt, enum engine_outcome outcome,
		       const char *message, json_t *result)
{
	struct orchestrate *o = context;
	const struct ti *ti = engine_ti(o->engine, attempt);
	struct action *forget;
	enum task_kind kind = TASK_COMMAND;

	if (attempt < 0) {
		dagapi_query_ended(o, attempt, outcome, message, result);
		return;
	}
	if (ti != NULL)
		kind = ti->run->dag->tasks[ti->task].kind;
	if (engine_attempt_ended(o->engine, attempt, outcome, message, result, o->now_us) != 0) {
		log_warn("attempt %ld ended, which nobody waits for any more", (long)attempt);
		kind = commands_has(o->commands, attempt) ? TASK_COMMAND : TASK_SQL;
	}
	forget = orchestrate_later(o, ACTION_FORGET, attempt);
	forget->task_kind = kind;
}

static void worker_started(void *context, int64_t attempt)
{
	struct orchestrate *o = context;

	if (attempt > 0)
		engine_attempt_started(o->engine, attempt, o->now_us);
}

/* ---- a turn ---- */

static void carry_out(struct orchestrate *o, struct action *action)
{
	int error;

	o->needs_turn = true;
	switch (action->kind) {
	case ACTION_START:
		orchestrate_start(o, action->attempt);
		break;
	case ACTION_CANCEL:
		orchestrate_cancel(o, action->attempt);
		break;
	case ACTION_FENCE:
		error = task_fence_set(action->text, action->attempt);
		if (error != 0 && error != -ENOENT)
			log_error("%s: %s", action->text, err_str(error));
		break;
	case ACTION_FORGET:
		orchestrate_forget(o, action->attempt, action->task_kind);
		break;
	case ACTION_REPLY:
		http_reply_json(action->call, 200, TAKE_PTR(action->reply));
		break;
	}
}

static void carry_out_durable(struct orchestrate *o)
{
	uint64_t durable = store_durable(o->store);
	struct list cleaning, *node;

	list_init(&cleaning);
	while (!list_is_empty(&o->actions)) {
		struct action *action = LIST_ENTRY(o->actions.next, struct action, link);

		if (action->turn == 0 || action->turn > durable)
			break;
		list_remove(&action->link);
		if (action->kind == ACTION_FORGET) {
			list_push_back(&cleaning, &action->link); /* what waits comes first */
			continue;
		}
		carry_out(o, action);
		free(action);
	}
	while ((node = list_pop_front(&cleaning)) != NULL) {
		struct action *action = LIST_ENTRY(node, struct action, link);

		carry_out(o, action);
		free(action);
	}
}

/** Close the turn: what it asked for waits for it. */
static void seal(struct orchestrate *o)
{
	uint64_t turn = store_seal(o->store);

	for (struct list *node = o->actions.prev; node != &o->actions; node = node->prev) {
		struct action *action = LIST_ENTRY(node, struct action, link);

		if (action->turn != 0)
			break;
		action->turn = turn;
	}
}

/** Those that the engine has ended and forgotten leave the store. */
static void forget_removed(struct orchestrate *o)
{
	struct engine_dag_view view;
	const char *dag_id;
	json_t *flag;
	void *next;

	json_object_foreach_safe(o->removed, next, dag_id, flag)
	{
		if (engine_dag(o->engine, dag_id, &view) == 0)
			continue;
		store_delete_dag(o->store, dag_id);
		(void)json_object_del(o->removed, dag_id);
	}
}

static void tell_store_error(struct orchestrate *o)
{
	char text[256];
	bool is_failing = store_error(o->store, text, sizeof(text));

	if (is_failing && !o->was_failing)
		log_error(
			"the state of pipelines cannot be written, nothing starts until it can: %s",
			text);
	if (!is_failing && o->was_failing)
		log_info("the state of pipelines is written again");
	o->was_failing = is_failing;
}

/** Wake at a wall time, and when the wall clock jumps. */
static void set_clock(struct orchestrate *o, int64_t due_us)
{
	struct itimerspec when = { 0 };

	/* Armed always, far away at least: a jump is told only by an armed timer. */
	due_us = MIN(MAX(due_us, 1), INT64_C(1) << 52);
	if (due_us == o->clock_us)
		return;
	when.it_value.tv_sec = due_us / US_PER_S;
	when.it_value.tv_nsec = due_us % US_PER_S * NS_PER_US;
	if (timerfd_settime(o->clock.fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when,
			    NULL) == 0)
		o->clock_us = due_us;
}

int64_t orchestrate_run(struct orchestrate *o, int64_t now_ns)
{
	int64_t due_ns, due_us;

	o->now_ns = now_ns;
	o->now_us = clock_wall_us();
	if (o->error[0] != '\0')
		return INT64_MAX;
	events_run(o->events);
	due_ns = commands_run(o->commands, now_ns);
	due_ns = MIN(due_ns, workerclient_run(o->worker, now_ns));
	due_ns = MIN(due_ns, webcalls_run(o->webcalls, now_ns));
	carry_out_durable(o);
	due_us = engine_turn(o->engine, o->now_us);
	forget_removed(o);
	if (now_ns >= o->sweep_ns) {
		orchestrate_sweep(o);
		o->sweep_ns = now_ns + SWEEP_NS;
	}
	seal(o);
	carry_out_durable(o); /* turns that changed nothing */
	due_ns = MIN(due_ns, dagapi_run(o));
	set_clock(o, due_us);
	/* The HTTP server, which had its turn before, sends what was answered; so does the worker's client. */
	if (o->needs_turn)
		due_ns = now_ns;
	o->needs_turn = false;
	return MIN(due_ns, o->sweep_ns);
}

static void on_stored(struct event_source *source, uint32_t mask)
{
	struct orchestrate *o = CONTAINER_OF(source, struct orchestrate, stored);

	(void)mask;
	store_drain(o->store);
	tell_store_error(o);
}

static void on_clock(struct event_source *source, uint32_t mask)
{
	struct orchestrate *o = CONTAINER_OF(source, struct orchestrate, clock);
	uint64_t count;

	(void)mask;
	if (read(source->fd, &count, sizeof(count)) < 0 && errno == ECANCELED)
		log_info("the clock was set");
	o->clock_us = 0;
}

/* ---- opening ---- */

int orchestrate_open_program(void)
{
	static const char *const places[] = { "", "orchestrate/" };
	char self[ORCHESTRATE_PATH_SIZE], path[ORCHESTRATE_PATH_SIZE + 32];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		return -errno;
	self[length] = '\0';
	*(strrchr(self, '/') + 1) = '\0';
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		int fd, low;

		(void)snprintf(path, sizeof(path), "%s%smillrace-attempt", self, places[i]);
		low = open(path, O_PATH | O_CLOEXEC);
		if (low < 0)
			continue;
		/* The low numbers are given away in a child before it uses this one. */
		fd = fcntl(low, F_DUPFD_CLOEXEC, COMMANDS_LOCK_FD + 1);
		(void)close(low);
		return fd < 0 ? -errno : fd;
	}
	return -ENOENT;
}

static int make_folders(const struct orchestrate *o)
{
	static const char *const folders[] = { "", "/logs", "/attempts" };
	char path[ORCHESTRATE_PATH_SIZE];

	for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", o->folder, folders[i]);
		if (mkdir(path, 0750) != 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int open_sources(struct orchestrate *o)
{
	int clock = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	int error;

	if (clock < 0)
		return -errno;
	error = events_watch(o->events, &o->clock, clock, EPOLLIN);
	if (error != 0) {
		(void)close(clock);
		return error;
	}
	return events_watch(o->events, &o->stored, store_fd(o->store), EPOLLIN);
}

static int open_executors(struct orchestrate *o)
{
	const struct workerclient_ops ops = { .started = worker_started,
					      .ended = orchestrate_ended };
	char folder[ORCHESTRATE_PATH_SIZE], program[64];
	int error;

	if (o->config.attempt_fd < 0) {
		(void)snprintf(o->error, sizeof(o->error),
			       "millrace-attempt is not beside this program: %s",
			       err_str(o->config.attempt_fd));
		return o->config.attempt_fd;
	}
	/* By this name it is found from whatever folder, by whatever user. */
	(void)snprintf(program, sizeof(program), "/proc/self/fd/%d", o->config.attempt_fd);
	(void)snprintf(folder, sizeof(folder), "%s/attempts", o->folder);
	error = commands_new(o->events, folder, program, orchestrate_ended, o, &o->commands);
	if (error == 0)
		error = workerclient_new(o->events, o->config.config->run_dir, &ops, o, &o->worker);
	if (error == 0)
		error = webcalls_new(o->events, orchestrate_called, o, &o->webcalls);
	return error;
}

static int open_parts(struct orchestrate *o)
{
	const struct engine_limits limits = {
		.parallelism = (uint32_t)o->config.config->parallelism,
		.default_pool_slots = (uint32_t)o->config.config->pool_slots,
	};
	char path[ORCHESTRATE_PATH_SIZE], why[300] = "";
	int error = make_folders(o);

	(void)snprintf(path, sizeof(path), "%s/state.db", o->folder);
	if (error == 0)
		error = store_open(path, &o->store, why, sizeof(why));
	if (error != 0) {
		(void)snprintf(
			o->error, sizeof(o->error),
			"the state of pipelines, %.200s, cannot be used (%s%s%s); everything else "
			"is served",
			path, err_str(error), why[0] != '\0' ? ": " : "", why);
		return error;
	}
	(void)snprintf(path, sizeof(path), "%s/key", o->folder);
	error = vault_open(o->store, path, &o->vault);
	if (error == 0)
		error = engine_new(&ports, o, &limits, &o->engine);
	if (error == 0)
		error = open_executors(o);
	if (error == 0)
		error = open_sources(o);
	return error == 0 ? orchestrate_restore(o) : error;
}

int orchestrate_open(const struct orchestrate_config *config, struct orchestrate **ret_orchestrate)
{
	CLEANUP(orchestrate_closep) struct orchestrate *o = calloc(1, sizeof(*o));
	int error;

	if (o == NULL)
		return -ENOMEM;
	o->config = *config;
	(void)snprintf(o->folder, sizeof(o->folder), "%s/orchestrate", config->config->data_dir);
	list_init(&o->actions);
	list_init(&o->waiters);
	hist_init(&o->due_to_start);
	o->stored = (struct event_source){ .fd = -1, .ready = on_stored };
	o->clock = (struct event_source){ .fd = -1, .ready = on_clock };
	o->removed = json_object();
	o->now_ns = clock_now_ns();
	o->now_us = clock_wall_us();
	o->sweep_ns = o->now_ns + SWEEP_SOON_NS;
	if (o->removed == NULL)
		return -ENOMEM;
	error = events_new(&o->events);
	if (error != 0)
		return error;
	if (!config->config->orchestrate_enable)
		(void)snprintf(o->error, sizeof(o->error),
			       "pipelines are turned off: orchestrate.enable=false");
	else
		error = open_parts(o);
	if (error != 0 && o->error[0] == '\0')
		(void)snprintf(o->error, sizeof(o->error), "pipelines cannot be run: %s",
			       err_str(error));
	if (error != 0)
		log_error("%s", o->error);
	*ret_orchestrate = TAKE_PTR(o);
	return 0;
}

static void free_action(struct action *action)
{
	json_decref(action->reply);
	free(action);
}

void orchestrate_close(struct orchestrate *o)
{
	struct list *node;

	if (o == NULL)
		return;
	while ((node = list_pop_front(&o->actions)) != NULL)
		free_action(LIST_ENTRY(node, struct action, link));
	dagapi_close(o);
	webcalls_free(o->webcalls);
	workerclient_free(o->worker);
	commands_free(o->commands);
	if (o->clock.fd >= 0)
		(void)close(o->clock.fd);
	engine_free(o->engine);
	vault_close(o->vault);
	store_close(o->store);
	events_free(o->events);
	json_decref(o->removed);
	free(o);
}

int orchestrate_fd(const struct orchestrate *o)
{
	return events_fd(o->events);
}

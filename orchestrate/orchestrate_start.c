/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include "compute/task.h"
#include "orchestrate/orchestrate_impl.h"
#include "orchestrate/render.h"
#include "orchestrate/sensors.h"
#include "orchestrate/tasklog.h"

#define REASON_SIZE      700
#define SOON_US          INT64_C(1000000)
#define SHOWN_BODY_MAX   300
#define TIMEOUT_GRACE_US INT64_C(2000000) /* the engine's own timeout comes first */

struct starting {
	struct orchestrate *o;
	const struct ti *ti;
	const struct dag_task *task;
	json_t *spec; /* rendered */
	char log[ORCHESTRATE_PATH_SIZE];
};

void orchestrate_log_path(const struct orchestrate *o, const char *dag_id, const char *run_id,
			  const char *task, uint32_t try_number, char *ret)
{
	int size = snprintf(ret, ORCHESTRATE_PATH_SIZE, "%s/logs/%s/%s/%s", o->folder, dag_id,
			    run_id, task);

	if (try_number > 0)
		(void)snprintf(ret + size, ORCHESTRATE_PATH_SIZE - (size_t)size, "/%u.log",
			       try_number);
}

/** Make the folders above a file. */
static int make_parents(char *path)
{
	for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
		int result;

		*at = '\0';
		result = mkdir(path, 0750);
		*at = '/';
		if (result != 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static void put(json_t *object, const char *name, json_t *value)
{
	(void)json_object_set_new(object, name, value != NULL ? value : json_null());
}

/** Copy of a text without secrets, to be cut to what there is room for. */
static char *hide(const struct starting *s, const char *text)
{
	char *shown = tasklog_mask(text, strlen(text), vault_masks(s->o->vault));

	CHECK(shown != NULL);
	return shown;
}

/** A failure before anything ran. */
static void refuse(const struct starting *s, enum engine_outcome outcome, const char *why)
{
	char *shown = hide(s, why);

	tasklog_append(s->log, NULL, "error", "%s", shown);
	orchestrate_ended(s->o, s->ti->attempt, outcome, shown, NULL);
	free(shown);
}

/* ---- command ---- */

static void put_context(json_t *env, const struct starting *s)
{
	static const struct {
		const char *ours, *airflow;
	} names[] = {
		{ "MILLRACE_DAG_ID", "AIRFLOW_CTX_DAG_ID" },
		{ "MILLRACE_RUN_ID", "AIRFLOW_CTX_DAG_RUN_ID" },
		{ "MILLRACE_TASK_ID", "AIRFLOW_CTX_TASK_ID" },
		{ "MILLRACE_TRY", "AIRFLOW_CTX_TRY_NUMBER" },
	};
	char number[12];
	const char *values[] = { s->ti->run->dag->id, s->ti->run->id, s->task->name, number };

	(void)snprintf(number, sizeof(number), "%u", s->ti->try_number);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		put(env, names[i].ours, json_string(values[i]));
		put(env, names[i].airflow, json_string(values[i]));
	}
}

static void start_command(struct starting *s)
{
	json_t *command = json_object_get(s->spec, "command"), *env, *job;
	char why[REASON_SIZE];
	int error;

	env = json_object();
	put_context(env, s);
	(void)json_object_update(env, json_object_get(s->spec, "env"));
	job = json_pack("{s:o?,s:o,s:O?,s:s,s:I,s:O,s:I}", "argv",
			json_is_array(command) ? json_incref(command)
					       : json_pack("[s,s,O]", "/bin/sh", "-c", command),
			"env", env, "output", json_object_get(s->spec, "output"), "log", s->log,
			"log_max", (json_int_t)s->o->config.config->log_size_max, "mask",
			vault_masks(s->o->vault), "timeout_ms",
			(json_int_t)(s->task->timeout_us > 0
					     ? (s->task->timeout_us + TIMEOUT_GRACE_US) / 1000
					     : 0));
	error = job != NULL ? commands_start(s->o->commands, s->ti->attempt, job) : -ENOMEM;
	json_decref(job);
	if (error == 0) {
		engine_attempt_started(s->o->engine, s->ti->attempt, s->o->now_us);
		return;
	}
	(void)snprintf(why, sizeof(why), "the attempt's process cannot be started: %s",
		       err_str(error));
	refuse(s, ENGINE_FAILED, why);
}

/* ---- sql, checks ---- */

static void start_worker(struct starting *s)
{
	const struct run *run = s->ti->run;
	json_t *start = json_deep_copy(s->spec), *on_lost = json_object_get(run->conf, "on_lost");
	char fence[ORCHESTRATE_PATH_SIZE], why[REASON_SIZE];
	int error;

	if (start == NULL)
		return;
	put(start, "kind", json_string(s->task->kind == TASK_SQL ? "sql" : "check"));
	put(start, "dag", json_string(run->dag->id));
	put(start, "run", json_string(run->id));
	put(start, "task", json_string(s->task->name));
	put(start, "try", json_integer(s->ti->try_number));
	put(start, "hash", json_string(s->task->hash));
	if (json_is_string(on_lost))
		put(start, "on_lost", json_incref(on_lost));
	put(start, "log", json_string(s->log));
	put(start, "topics", json_incref(run->dag->topics));
	put(start, "mask", json_incref((json_t *)(uintptr_t)vault_masks(s->o->vault)));
	orchestrate_log_path(s->o, run->dag->id, run->id, s->task->name, 0, fence);
	(void)snprintf(fence + strlen(fence), sizeof(fence) - strlen(fence), "/fence");
	put(start, "fence", json_string(fence));
	error = task_fence_set(fence, s->ti->attempt);
	if (error == 0)
		error = workerclient_start(s->o->worker, s->ti->attempt, start);
	else
		json_decref(start);
	if (error == 0)
		return;
	(void)snprintf(why, sizeof(why), "the attempt cannot be started: %s", err_str(error));
	refuse(s, ENGINE_FAILED, why);
}

/* ---- http, notify ---- */

/** "https://host:port/path" of a connection. @return caller frees; NULL: no memory */
static char *connection_url(const json_t *connection, const char *path)
{
	const char *type = json_string_value(json_object_get(connection, "conn_type"));
	const char *host = json_string_value(json_object_get(connection, "host"));
	const char *schema = json_string_value(json_object_get(connection, "schema"));
	json_int_t port = json_integer_value(json_object_get(connection, "port"));
	bool is_https = (type != NULL && strcmp(type, "https") == 0) ||
			(schema != NULL && strcmp(schema, "https") == 0);
	char number[16] = "";
	char *url;

	if (host == NULL)
		host = "";
	if (port > 0)
		(void)snprintf(number, sizeof(number), ":%d", (int)port);
	if (path == NULL)
		path = "";
	if (asprintf(&url, "%s%s%s%s%s",
		     strstr(host, "://") != NULL ? ""
		     : is_https                  ? "https://"
						 : "http://",
		     host, number, path[0] != '/' && path[0] != '\0' ? "/" : "", path) < 0)
		return NULL;
	return url;
}

static const json_t *find_connection(const struct starting *s, const char *name, char *why)
{
	const json_t *connection = json_object_get(vault_connections(s->o->vault), name);
	const char *error = vault_error(s->o->vault);

	if (connection == NULL)
		(void)snprintf(why, REASON_SIZE,
			       "there is no connection %.200s: set it with PUT "
			       "/api/v1/connections/%.200s%s%.250s",
			       name, name, error != NULL ? "; " : "", error != NULL ? error : "");
	return connection;
}

/** @param body  taken; NULL: none. @param path  below the connection's host */
static void start_call(struct starting *s, const char *path, const char *method,
		       const json_t *headers, char *body)
{
	const char *name = json_string_value(json_object_get(s->spec, "conn"));
	const char *given = json_string_value(json_object_get(s->spec, "url"));
	const json_t *connection = NULL;
	struct webcall_request request = { .method = method, .headers = headers, .body = body };
	char why[REASON_SIZE] = "";
	char *url = NULL, *shown;

	if (name != NULL) {
		connection = find_connection(s, name, why);
		if (connection != NULL)
			url = connection_url(connection, path);
		request.login = json_string_value(json_object_get(connection, "login"));
		request.password = json_string_value(json_object_get(connection, "password"));
	} else {
		url = given != NULL ? strdup(given) : NULL;
	}
	request.url = url;
	request.timeout_ms = s->task->timeout_us > 0 ? s->task->timeout_us / 1000 : 0;
	if (url != NULL && webcall_start(s->o->webcalls, s->ti->attempt, &request) == 0) {
		tasklog_append(s->log, vault_masks(s->o->vault), "info", "%s %s", method, url);
		engine_attempt_started(s->o->engine, s->ti->attempt, s->o->now_us);
	} else {
		shown = hide(s, url != NULL ? url : "");
		if (why[0] == '\0')
			(void)snprintf(why, sizeof(why), "%.500s is no URL of http or https",
				       shown);
		refuse(s, ENGINE_FAILED_FINAL, why);
		free(shown);
	}
	free(url);
	free(body);
}

static void start_http(struct starting *s)
{
	const json_t *json = json_object_get(s->spec, "json");
	const char *body = json_string_value(json_object_get(s->spec, "body"));
	const char *method = json_string_value(json_object_get(s->spec, "method"));
	const char *path = json_string_value(json_object_get(s->spec, "path"));
	json_t *headers = json_object_get(s->spec, "headers");
	char *text = NULL;

	if (json != NULL) {
		text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
		if (json_object_get(headers, "Content-Type") == NULL)
			put(headers, "Content-Type", json_string("application/json"));
	} else if (body != NULL) {
		text = strdup(body);
	}
	start_call(s, path, method, headers, text);
}

static void start_notify(struct starting *s)
{
	const char *message = json_string_value(json_object_get(s->spec, "message"));
	const struct run *run = s->ti->run;
	json_t *json, *headers;

	tasklog_append(s->log, vault_masks(s->o->vault), "info", "%s", message);
	if (json_object_get(s->spec, "conn") == NULL) {
		engine_attempt_started(s->o->engine, s->ti->attempt, s->o->now_us);
		orchestrate_ended(s->o, s->ti->attempt, ENGINE_SUCCESS, NULL, NULL);
		return;
	}
	/* "text" is what the webhooks of chat programs show. */
	json = json_pack("{s:s,s:s,s:s,s:s}", "text", message, "dag_id", run->dag->id, "dag_run_id",
			 run->id, "state", render_run_state(run));
	headers = json_pack("{s:s}", "Content-Type", "application/json");
	start_call(s, NULL, "POST", headers, json_dumps(json, JSON_COMPACT));
	json_decref(headers);
	json_decref(json);
}

static bool is_expected(const json_t *wanted, long status)
{
	size_t index;
	json_t *value;

	if (!json_is_array(wanted))
		return status >= 200 && status < 300;
	json_array_foreach(wanted, index, value)
	{
		if (json_integer_value(value) == status)
			return true;
	}
	return false;
}

static json_t *answer_json(const struct webcall_answer *answer)
{
	json_t *body = NULL, *result = json_pack("{s:I}", "status", (json_int_t)answer->status);

	if (answer->body_size <= TASK_RESULT_MAX / 4 && !answer->is_cut) {
		body = json_loadb(answer->body, answer->body_size, JSON_DECODE_ANY, NULL);
		put(result, body != NULL ? "json" : "text",
		    body != NULL ? body : json_stringn(answer->body, answer->body_size));
	}
	return result;
}

void orchestrate_called(void *context, int64_t attempt, const struct webcall_answer *answer)
{
	struct orchestrate *o = context;
	const struct ti *ti = engine_ti(o->engine, attempt);
	struct starting s = { .o = o, .ti = ti };
	char why[REASON_SIZE], *shown;
	json_t *result;

	if (ti == NULL)
		return;
	s.task = &ti->run->dag->tasks[ti->task];
	orchestrate_log_path(o, ti->run->dag->id, ti->run->id, s.task->name, ti->try_number, s.log);
	if (answer->error != NULL) {
		(void)snprintf(why, sizeof(why), "the call failed: %.600s", answer->error);
		refuse(&s, ENGINE_FAILED, why);
		return;
	}
	shown = hide(&s, answer->body);
	tasklog_append(s.log, NULL, "info", "status %ld, %zu bytes%s: %.2000s", answer->status,
		       answer->body_size, answer->is_cut ? " (cut)" : "", shown);
	(void)snprintf(why, sizeof(why), "status %ld: %.*s", answer->status, SHOWN_BODY_MAX, shown);
	free(shown);
	if (!is_expected(json_object_get(s.task->spec, "expect_status"), answer->status)) {
		refuse(&s, ENGINE_FAILED, why);
		return;
	}
	result = answer_json(answer);
	orchestrate_ended(o, attempt, ENGINE_SUCCESS, NULL, result);
	json_decref(result);
}

/* ---- sensor ---- */

static void poke(struct starting *s)
{
	const struct partitions *table = s->o->config.partitions(s->o->config.ctx);
	char seen[REASON_SIZE], *shown;
	enum engine_outcome outcome;

	engine_attempt_started(s->o->engine, s->ti->attempt, s->o->now_us);
	outcome = sensors_poke(s->spec, table, s->o->now_us, seen, sizeof(seen));
	shown = hide(s, seen);
	if (outcome != ENGINE_NOT_YET || s->ti->message == NULL ||
	    strcmp(s->ti->message, shown) != 0)
		tasklog_append(s->log, NULL, "info", "%s", shown);
	orchestrate_ended(s->o, s->ti->attempt, outcome, shown, NULL);
	free(shown);
}

/* ---- all ---- */

/** From when nothing held it back: its time has come, what it waits for has ended, it has a slot. */
static void note_latency(struct orchestrate *o, const struct ti *ti)
{
	const struct run *run = ti->run;
	bool is_first = ti->run->dag->tasks[ti->task].upstream_count == 0 && ti->try_number == 1;
	int64_t due_us = ti->queued_us;

	/* A run that waited for nothing but its time, and no catching up. */
	if (run->type == RUN_SCHEDULED && is_first && run->start_us == run->queued_us &&
	    ti->queued_us - run->queued_us < SOON_US &&
	    run->queued_us - run->slot.run_after_us < SOON_US)
		due_us = run->slot.run_after_us;
	hist_add(&o->due_to_start, (uint64_t)MAX(clock_wall_us() - due_us, 0));
}

void orchestrate_start(struct orchestrate *o, int64_t attempt)
{
	struct starting s = { .o = o, .ti = engine_ti(o->engine, attempt) };
	char why[REASON_SIZE] = "";
	int error;

	if (s.ti == NULL || s.ti->is_cancelling)
		return; /* its cancel follows, and ends it */
	s.task = &s.ti->run->dag->tasks[s.ti->task];
	orchestrate_log_path(o, s.ti->run->dag->id, s.ti->run->id, s.task->name, s.ti->try_number,
			     s.log);
	if (s.task->kind != TASK_SENSOR)
		note_latency(o, s.ti);
	error = make_parents(s.log);
	if (error == 0)
		error = render_spec(s.ti, o->vault, &s.spec, why, sizeof(why));
	if (error != 0) {
		if (why[0] == '\0')
			(void)snprintf(why, sizeof(why), "it cannot be started: %s",
				       err_str(error));
		refuse(&s, ENGINE_FAILED_FINAL, why);
		return;
	}
	switch (s.task->kind) {
	case TASK_COMMAND:
		start_command(&s);
		break;
	case TASK_SQL:
	case TASK_CHECK:
		start_worker(&s);
		break;
	case TASK_HTTP:
		start_http(&s);
		break;
	case TASK_NOTIFY:
		start_notify(&s);
		break;
	case TASK_SENSOR:
		poke(&s);
		break;
	}
	json_decref(s.spec);
}

void orchestrate_cancel(struct orchestrate *o, int64_t attempt)
{
	if (commands_cancel(o->commands, attempt) || workerclient_cancel(o->worker, attempt))
		return;
	(void)webcall_cancel(o->webcalls, attempt);
	if (engine_ti(o->engine, attempt) != NULL)
		orchestrate_ended(o, attempt, ENGINE_CANCELLED, NULL, NULL);
}

void orchestrate_forget(struct orchestrate *o, int64_t attempt, enum task_kind kind)
{
	if (kind == TASK_COMMAND)
		commands_forget(o->commands, attempt);
	else if (kind == TASK_SQL || kind == TASK_CHECK)
		workerclient_forget(o->worker, attempt);
}

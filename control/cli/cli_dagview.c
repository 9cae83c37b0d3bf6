/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "control/cli/cli_dag.h"

#define LOG_WAIT_S 20

/** The first 19 characters of a time are enough for people; "-" for none. */
static const char *moment(const json_t *object, const char *name, char ret[static 24])
{
	const char *text = cli_text(object, name);

	(void)snprintf(ret, 24, "%.19s", *text != '\0' ? text : "-");
	return ret;
}

static int list_dags(struct cli *cli)
{
	json_t *reply = NULL, *dag;
	int status = cli_call(cli, "GET", "/api/v1/dags", NULL, &reply);
	char next[24];
	size_t index;

	if (status != CLI_OK)
		return status;
	if (cli->is_json) {
		cli_print_json(reply);
	} else {
		(void)printf("%-32s %-20s %-20s %-7s %s\n", "DAG", "SCHEDULE", "NEXT RUN (UTC)",
			     "ACTIVE", "LAST");
		json_array_foreach(json_object_get(reply, "dags"), index, dag)
		{
			const json_t *last = json_array_get(json_object_get(dag, "last_runs"), 0);
			bool is_paused = json_is_true(json_object_get(dag, "is_paused"));

			(void)printf("%-32s %-20s %-20s %-7lld %s\n", cli_text(dag, "dag_id"),
				     cli_text(dag, "schedule"),
				     is_paused ? "paused"
					       : moment(json_object_get(dag, "next_run"),
							"run_after", next),
				     (long long)cli_integer(dag, "active_runs"),
				     last != NULL ? cli_text(last, "state") : "-");
		}
	}
	json_decref(reply);
	return CLI_OK;
}

static void print_dag(const json_t *dag)
{
	const json_t *task, *upstream;
	size_t index, inner;
	char next[24];

	(void)printf("%s  %s\nschedule %s %s, next run %s, version %.12s%s\n\n",
		     cli_text(dag, "dag_id"), cli_text(dag, "description"),
		     cli_text(dag, "schedule"), cli_text(dag, "timezone"),
		     moment(json_object_get(dag, "next_run"), "run_after", next),
		     cli_text(dag, "version"),
		     json_is_true(json_object_get(dag, "is_paused")) ? ", paused" : "");
	(void)printf("%-32s %-8s %-12s %s\n", "TASK", "KIND", "RULE", "AFTER");
	json_array_foreach(json_object_get(dag, "tasks"), index, task)
	{
		(void)printf("%-32s %-8s %-12s", cli_text(task, "task_id"), cli_text(task, "kind"),
			     cli_text(task, "trigger_rule"));
		json_array_foreach(json_object_get(task, "upstream"), inner, upstream)(void)
			printf(" %s", json_string_value(upstream));
		(void)putchar('\n');
	}
}

/** What there is to say of a task instance: why it waits or failed, or what it did. */
static const char *remark(const json_t *task, char *ret, size_t size)
{
	const json_t *result = json_object_get(task, "result");
	const json_t *rows = json_object_get(result, "rows");
	bool has_ended = json_is_string(json_object_get(task, "end_date"));

	if (*cli_text(task, "message") != '\0')
		return cli_text(task, "message");
	if (!has_ended)
		return cli_text(task, "why");
	if (json_is_true(json_object_get(result, "nothing_new")))
		return "nothing new";
	ret[0] = '\0';
	if (json_is_integer(rows))
		(void)snprintf(ret, size, "%lld rows", (long long)json_integer_value(rows));
	return ret;
}

void cli_dagview_run(const json_t *run)
{
	const json_t *task;
	char begin[24], end[24], words[64];
	size_t index;

	(void)printf("%s  %s  %s to %s  %s\n\n", cli_text(run, "dag_run_id"),
		     cli_text(run, "state"), moment(run, "start_date", begin),
		     moment(run, "end_date", end), cli_text(run, "note"));
	(void)printf("%-28s %-16s %3s  %-19s %9s  %s\n", "TASK", "STATE", "TRY", "START", "SECONDS",
		     "");
	json_array_foreach(json_object_get(run, "tasks"), index, task)
	{
		double seconds = json_number_value(json_object_get(task, "duration"));

		(void)printf("%-28s %-16s %3lld  %-19s %9.3f  %s\n", cli_text(task, "task_id"),
			     cli_text(task, "state"), (long long)cli_integer(task, "try_number"),
			     moment(task, "start_date", begin), seconds,
			     remark(task, words, sizeof(words)));
	}
}

static void print_runs(const json_t *reply)
{
	const json_t *run;
	char begin[24], end[24];
	size_t index;

	(void)printf("%-52s %-10s %-20s %s\n", "RUN", "STATE", "START", "END");
	json_array_foreach(json_object_get(reply, "dag_runs"), index, run)(void) printf(
		"%-52s %-10s %-20s %s\n", cli_text(run, "dag_run_id"), cli_text(run, "state"),
		moment(run, "start_date", begin), moment(run, "end_date", end));
}

/** Call, print as JSON or by `print`. */
static int show(struct cli *cli, const char *path, void (*print)(const json_t *))
{
	json_t *reply = NULL;
	int status = cli_call(cli, "GET", path, NULL, &reply);

	if (status != CLI_OK)
		return status;
	if (cli->is_json)
		cli_print_json(reply);
	else
		print(reply);
	json_decref(reply);
	return CLI_OK;
}

static void print_why(const json_t *reply)
{
	(void)printf("%s\n", cli_text(reply, "why"));
}

/** A log line for people: time, level, words. */
static void print_line(const char *text, size_t size)
{
	json_t *line = json_loadb(text, size, 0, NULL);
	char at[24];

	if (line == NULL)
		(void)printf("%.*s\n", (int)size, text);
	else
		(void)printf("%s %-7s %s\n", moment(line, "timestamp", at), cli_text(line, "level"),
			     cli_text(line, "event"));
	json_decref(line);
}

static void print_lines(const char *text)
{
	while (*text != '\0') {
		size_t size = strcspn(text, "\n");

		print_line(text, size);
		text += size + (text[size] == '\n');
	}
	(void)fflush(stdout);
}

static int logs(struct cli *cli, const char *dag, const char *run, const char *task)
{
	const char *try_text = cli_option(cli, "--try");
	bool is_following = cli_flag(cli, "-f") || cli_flag(cli, "--follow"), ended = false;
	char rest[1024], path[4096], name[768];
	int64_t offset = 0;

	while (!ended) {
		json_t *reply = NULL;
		int64_t next;
		int status;

		(void)snprintf(rest, sizeof(rest), "/tasks/%s/logs?offset=%lld&wait=%d%s%s",
			       cli_escape(task, name, sizeof(name)), (long long)offset,
			       is_following ? LOG_WAIT_S : 0, try_text != NULL ? "&try=" : "",
			       try_text != NULL ? try_text : "");
		status = cli_call(cli, "GET", cli_dag_path(path, sizeof(path), dag, run, rest),
				  NULL, &reply);
		if (status != CLI_OK)
			return status;
		if (cli->is_json)
			(void)fputs(cli_text(reply, "content"), stdout);
		else
			print_lines(cli_text(reply, "content"));
		next = cli_integer(reply, "next_offset");
		/* Without -f: all there is, which may be several answers long. */
		ended = json_is_true(json_object_get(reply, "ended")) ||
			(!is_following && next == offset);
		offset = next;
		json_decref(reply);
	}
	return CLI_OK;
}

int cli_dagview_resolve(struct cli *cli, const char *dag, const char *name, char *ret, size_t size)
{
	json_t *reply = NULL;
	const json_t *newest;
	char path[2048];
	int status;

	if (strcmp(name, "last") != 0) {
		(void)snprintf(ret, size, "%s", name);
		return CLI_OK;
	}
	status = cli_call(cli, "GET", cli_dag_path(path, sizeof(path), dag, NULL, "/runs?limit=1"),
			  NULL, &reply);
	if (status != CLI_OK)
		return status;
	newest = json_array_get(json_object_get(reply, "dag_runs"), 0);
	if (newest == NULL) {
		(void)fprintf(stderr, "millrace: %s has no run yet\n", dag);
		status = CLI_NOT_FOUND;
	} else {
		(void)snprintf(ret, size, "%s", cli_text(newest, "dag_run_id"));
	}
	json_decref(reply);
	return status;
}

static int show_in_run(struct cli *cli, const char *verb)
{
	const char *dag = cli->arguments[1];
	char run[512], path[4096], rest[1024], task[768];
	int status = cli_dagview_resolve(cli, dag, cli->arguments[2], run, sizeof(run));

	if (status != CLI_OK)
		return status;
	if (strcmp(verb, "run") == 0)
		return show(cli, cli_dag_path(path, sizeof(path), dag, run, ""), cli_dagview_run);
	if (cli->argument_count < 4)
		return CLI_USAGE;
	if (strcmp(verb, "logs") == 0)
		return logs(cli, dag, run, cli->arguments[3]);
	(void)snprintf(rest, sizeof(rest), "/tasks/%s/why",
		       cli_escape(cli->arguments[3], task, sizeof(task)));
	return show(cli, cli_dag_path(path, sizeof(path), dag, run, rest), print_why);
}

int cli_dagview(struct cli *cli, const char *verb)
{
	char path[2048];

	if (strcmp(verb, "list") == 0 && cli->argument_count <= 1)
		return list_dags(cli);
	if (strcmp(verb, "show") == 0 && cli->argument_count == 2)
		return show(cli, cli_dag_path(path, sizeof(path), cli->arguments[1], NULL, ""),
			    print_dag);
	if (strcmp(verb, "runs") == 0 && cli->argument_count == 2)
		return show(cli, cli_dag_path(path, sizeof(path), cli->arguments[1], NULL, "/runs"),
			    print_runs);
	if ((strcmp(verb, "run") == 0 || strcmp(verb, "why") == 0 || strcmp(verb, "logs") == 0) &&
	    cli->argument_count >= 3)
		return show_in_run(cli, verb);
	return CLI_USAGE;
}

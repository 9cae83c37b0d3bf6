/* SPDX-License-Identifier: Apache-2.0 */
/* `millrace dag`: what changes something. What only looks is in cli_dagview.c. */
#include "control/cli/cli_dag.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "control/cli/cli.h"
#include "orchestrate/manifest.h"

#define WAIT_S 20 /* of one long poll; below the client's own timeout */

const char *cli_dag_path(char *ret, size_t size, const char *dag, const char *run, const char *rest)
{
	char dag_part[768], run_part[768];

	(void)snprintf(ret, size, "/api/v1/dags/%s%s%s%s",
		       cli_escape(dag, dag_part, sizeof(dag_part)), run != NULL ? "/runs/" : "",
		       run != NULL ? cli_escape(run, run_part, sizeof(run_part)) : "", rest);
	return ret;
}

/** Send the folder; the box judges it. */
static int apply(struct cli *cli, bool is_check)
{
	bool replace = cli_flag(cli, "--replace");
	json_t *files = NULL, *body, *reply = NULL;
	char why[512], folder[PATH_MAX];
	int status, error;

	if (cli->argument_count != 2)
		return CLI_USAGE;
	error = manifest_read_folder(cli->arguments[1], &files, why, sizeof(why));
	if (error != 0) {
		(void)fprintf(stderr, "millrace: %s\n", why);
		return CLI_FAILED;
	}
	if (realpath(cli->arguments[1], folder) == NULL)
		folder[0] = '\0';
	body = json_pack("{s:o, s:s, s:b, s:b}", "files", files, "folder", folder, "check_only",
			 is_check, "replace", replace);
	status = cli_call(cli, "POST", "/api/v1/dags", body, &reply);
	json_decref(body);
	if (status != CLI_OK)
		return status;
	if (cli->is_json)
		cli_print_json(reply);
	else if (is_check)
		(void)printf("%s: no errors\n", cli_text(reply, "dag_id"));
	else
		(void)printf("%s %s, version %.12s\n", cli_text(reply, "dag_id"),
			     json_is_true(json_object_get(reply, "changed")) ? "applied"
									     : "is unchanged",
			     cli_text(reply, "version"));
	json_decref(reply);
	return CLI_OK;
}

static bool has_ended(const json_t *run)
{
	const char *state = cli_text(run, "state");

	return strcmp(state, "success") == 0 || strcmp(state, "failed") == 0;
}

/** Follow a run to its end; each change of a task is a line on stderr when that is a terminal. */
static int wait_for_run(struct cli *cli, const char *dag, const char *run, json_t **ret_run)
{
	char rest[64], path[2048], run_path[2048];
	json_t *reply = NULL;
	int status =
		cli_call(cli, "GET", cli_dag_path(path, sizeof(path), dag, run, ""), NULL, &reply);

	while (status == CLI_OK && !has_ended(reply)) {
		(void)snprintf(rest, sizeof(rest), "?wait=%d&state=%s", WAIT_S,
			       cli_text(reply, "state"));
		json_decref(reply);
		reply = NULL;
		status = cli_call(cli, "GET",
				  cli_dag_path(run_path, sizeof(run_path), dag, run, rest), NULL,
				  &reply);
	}
	if (status == CLI_OK)
		*ret_run = reply;
	return status;
}

static int trigger(struct cli *cli)
{
	const char *conf = cli_option(cli, "--conf"), *run = cli_option(cli, "--run-id");
	const char *logical = cli_option(cli, "--logical-date");
	bool is_waiting = cli_flag(cli, "--wait");
	json_t *body = json_object(), *reply = NULL;
	char path[2048];
	int status;

	if (cli->argument_count != 2 || body == NULL) {
		json_decref(body);
		return CLI_USAGE;
	}
	if (conf != NULL && json_object_set_new(body, "conf", json_loads(conf, 0, NULL)) != 0) {
		(void)fprintf(stderr, "millrace: --conf wants a JSON object, as '{\"day\": 3}'\n");
		json_decref(body);
		return CLI_USAGE;
	}
	if (run != NULL)
		(void)json_object_set_new(body, "dag_run_id", json_string(run));
	if (logical != NULL)
		(void)json_object_set_new(body, "logical_date", json_string(logical));
	status = cli_call(cli, "POST",
			  cli_dag_path(path, sizeof(path), cli->arguments[1], NULL, "/runs"), body,
			  &reply);
	json_decref(body);
	if (status == CLI_OK && is_waiting) {
		json_t *ended = NULL;

		status =
			wait_for_run(cli, cli->arguments[1], cli_text(reply, "dag_run_id"), &ended);
		json_decref(reply);
		reply = ended;
	}
	if (status != CLI_OK)
		return status;
	if (cli->is_json)
		cli_print_json(reply);
	else
		cli_dagview_run(reply);
	status = is_waiting && strcmp(cli_text(reply, "state"), "success") != 0 ? CLI_FAILED
										: CLI_OK;
	json_decref(reply);
	return status;
}

static int pause_dag(struct cli *cli, bool is_paused)
{
	json_t *body, *reply = NULL;
	char path[2048];
	int status;

	if (cli->argument_count != 2)
		return CLI_USAGE;
	body = json_pack("{s:b}", "is_paused", is_paused);
	status = cli_call(cli, "PATCH",
			  cli_dag_path(path, sizeof(path), cli->arguments[1], NULL, ""), body,
			  &reply);
	json_decref(body);
	json_decref(reply);
	if (status == CLI_OK)
		(void)printf("%s is %s\n", cli->arguments[1], is_paused ? "paused" : "active");
	return status;
}

static int delete_dag(struct cli *cli)
{
	json_t *reply = NULL;
	char path[2048];
	int status;

	if (cli->argument_count != 2)
		return CLI_USAGE;
	status = cli_call(cli, "DELETE",
			  cli_dag_path(path, sizeof(path), cli->arguments[1], NULL, ""), NULL,
			  &reply);
	json_decref(reply);
	if (status == CLI_OK)
		(void)printf("%s is deleted\n", cli->arguments[1]);
	return status;
}

/** @param task  NULL: all that failed, or with `verb` cancel, the run */
static int change_run(struct cli *cli, const char *verb, const char *done)
{
	json_t *body = json_object(), *reply = NULL;
	const char *task = cli->argument_count == 4 ? cli->arguments[3] : NULL;
	char path[2048], rest[32], run[512];
	int status;

	if (cli->argument_count < 3 || cli->argument_count > 4) {
		json_decref(body);
		return CLI_USAGE;
	}
	status = cli_dagview_resolve(cli, cli->arguments[1], cli->arguments[2], run, sizeof(run));
	if (status != CLI_OK) {
		json_decref(body);
		return status;
	}
	if (task != NULL)
		(void)json_object_set_new(body, "task_id", json_string(task));
	(void)snprintf(rest, sizeof(rest), "/%s", verb);
	status = cli_call(cli, "POST",
			  cli_dag_path(path, sizeof(path), cli->arguments[1], run, rest), body,
			  &reply);
	json_decref(body);
	if (status == CLI_OK && json_is_integer(json_object_get(reply, "cleared")))
		(void)printf("%lld task instances are cleared\n",
			     (long long)cli_integer(reply, "cleared"));
	else if (status == CLI_OK)
		(void)printf("%s %s\n", run, done);
	json_decref(reply);
	return status;
}

int cli_dag(struct cli *cli)
{
	const char *verb = cli->argument_count > 0 ? cli->arguments[0] : "list";
	int status;

	if (strcmp(verb, "apply") == 0)
		status = apply(cli, false);
	else if (strcmp(verb, "check") == 0)
		status = apply(cli, true);
	else if (strcmp(verb, "trigger") == 0)
		status = trigger(cli);
	else if (strcmp(verb, "pause") == 0)
		status = pause_dag(cli, true);
	else if (strcmp(verb, "unpause") == 0)
		status = pause_dag(cli, false);
	else if (strcmp(verb, "delete") == 0)
		status = delete_dag(cli);
	else if (strcmp(verb, "clear") == 0)
		status = change_run(cli, "clear", "is cleared");
	else if (strcmp(verb, "cancel") == 0)
		status = change_run(cli, "cancel", "is being cancelled");
	else
		status = cli_dagview(cli, verb);
	if (status == CLI_USAGE)
		(void)fprintf(
			stderr,
			"usage: millrace dag\n"
			"  list | show DAG | apply DIR [--replace] | check DIR | delete DAG\n"
			"  trigger DAG [--conf JSON] [--run-id ID] [--logical-date TIME] [--wait]\n"
			"  runs DAG | run DAG RUN | why DAG RUN TASK\n"
			"  logs DAG RUN TASK [--try N] [-f] | clear DAG RUN [TASK] | cancel DAG RUN\n"
			"  pause DAG | unpause DAG\n"
			"RUN may be `last`: the newest one.\n");
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* millrace: the command line. Each command is one file, cli_<command>.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "control/cli/cli.h"

static int show_config(struct cli *cli)
{
	config_print(&cli->config, stdout);
	return CLI_OK;
}

static const struct cli_command commands[] = {
	{ "up", "",
	  "run the box in the foreground: dataplane, control, worker, restarted when they die",
	  cli_up },
	{ "topic",
	  "list | describe NAME | create NAME [--partitions N] [--topic-config K=V] | delete NAME",
	  "topics and their partitions", cli_topic },
	{ "group", "list | describe NAME | delete NAME", "consumer groups, their members and lag",
	  cli_group },
	{ "dag",
	  "list | apply DIR | trigger DAG | runs DAG | logs DAG RUN TASK | ... (millrace dag help)",
	  "pipelines: deploy, run, look, ask why", cli_dag },
	{ "sql", "[SQL | -f FILE] [--format table|csv|json]",
	  "SQL over topics, topic('raw.flights'), and tables, bronze.flights; no SQL: a shell",
	  cli_sql },
	{ "table", "list | history TABLE | schema TABLE", "the Delta tables below tables.dir",
	  cli_table },
	{ "status", "", "cores, transports, rates, flush latency", cli_status },
	{ "doctor", "", "check this machine: hugepages, io_uring, AF_XDP, disk; say the remedies",
	  cli_doctor },
	{ "config", "",
	  "print every setting with its value, range and meaning; a valid config file",
	  show_config },
};

static void print_help(FILE *out)
{
	(void)fprintf(out,
		      "usage: millrace COMMAND [ARGUMENTS] [--config FILE] [--set NAME=VALUE]... "
		      "[--json]\n\ncommands\n");
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		(void)fprintf(out, "  %-7s %s\n          %s\n", commands[i].name,
			      commands[i].synopsis, commands[i].sentence);
	(void)fprintf(out,
		      "\noptions\n"
		      "  --config FILE      read settings from a properties file\n"
		      "  --set NAME=VALUE   set one setting; `millrace config` lists them\n"
		      "  --data DIR         short for --set data.dir=DIR\n"
		      "  --json             print JSON (topic, group, table, status, doctor)\n"
		      "  --help, --version\n"
		      "\nexit codes\n"
		      "  0 done   1 refused or a check failed   2 wrong arguments or settings\n"
		      "  3 no box answers at http.address:http.port   4 no such topic or group\n");
}

const char *cli_option(struct cli *cli, const char *name)
{
	for (int i = 0; i + 1 < cli->argument_count; i++) {
		const char *value = cli->arguments[i + 1];

		if (strcmp(cli->arguments[i], name) != 0)
			continue;
		for (int j = i; j + 2 < cli->argument_count; j++)
			cli->arguments[j] = cli->arguments[j + 2];
		cli->argument_count -= 2;
		return value;
	}
	return NULL;
}

bool cli_flag(struct cli *cli, const char *name)
{
	for (int i = 0; i < cli->argument_count; i++) {
		if (strcmp(cli->arguments[i], name) != 0)
			continue;
		for (int j = i; j + 1 < cli->argument_count; j++)
			cli->arguments[j] = cli->arguments[j + 1];
		cli->argument_count--;
		return true;
	}
	return false;
}

static int apply_set(struct cli *cli, const char *pair)
{
	char why[4 * CONFIG_TEXT_MAX];

	if (cli->set_count == (int)ARRAY_COUNT(cli->sets)) {
		(void)fprintf(stderr, "millrace: --set at most %zu times\n",
			      ARRAY_COUNT(cli->sets));
		return CLI_USAGE;
	}
	if (config_assign(&cli->config, pair, why, sizeof(why)) != 0) {
		(void)fprintf(stderr, "millrace: %s\n", why);
		return CLI_USAGE;
	}
	cli->sets[cli->set_count] = strdup(pair);
	return cli->sets[cli->set_count++] != NULL ? CLI_OK : CLI_FAILED;
}

/** Read the options every command takes; what is left are the command's arguments. */
static int read_settings(struct cli *cli)
{
	char why[4 * CONFIG_TEXT_MAX], pair[CONFIG_TEXT_MAX + 16];
	const char *value;
	int status;

	config_init(&cli->config);
	cli->is_json = cli_flag(cli, "--json");
	cli->config_path = cli_option(cli, "--config");
	if (cli->config_path != NULL &&
	    config_load(&cli->config, cli->config_path, why, sizeof(why)) != 0) {
		(void)fprintf(stderr, "millrace: %s\n", why);
		return CLI_USAGE;
	}
	while ((value = cli_option(cli, "--data")) != NULL) {
		(void)snprintf(pair, sizeof(pair), "data.dir=%s", value);
		status = apply_set(cli, pair);
		if (status != CLI_OK)
			return status;
	}
	while ((value = cli_option(cli, "--set")) != NULL) {
		status = apply_set(cli, value);
		if (status != CLI_OK)
			return status;
	}
	config_finish(&cli->config);
	return CLI_OK;
}

int main(int argc, char **argv)
{
	struct cli cli = { .argument_count = argc - 2, .arguments = argv + 2 };
	const struct cli_command *command = NULL;
	int status;

	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("millrace %s\n", MILLRACE_VERSION);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0 || cli_flag(&cli, "--help")) {
		print_help(stdout);
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		if (strcmp(commands[i].name, argv[1]) == 0)
			command = &commands[i];
	}
	if (command == NULL) {
		(void)fprintf(stderr, "millrace: no command '%s'; see millrace --help\n", argv[1]);
		return CLI_USAGE;
	}
	status = read_settings(&cli);
	if (status == CLI_OK)
		status = command->run(&cli);
	for (int i = 0; i < cli.set_count; i++)
		free(cli.sets[i]);
	return status;
}

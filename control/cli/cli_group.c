/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "control/cli/cli.h"

static int list_groups(struct cli *cli)
{
	json_t *reply = NULL, *group;
	int status = cli_call(cli, "GET", "/api/v1/groups", NULL, &reply);
	size_t index;

	if (status != CLI_OK)
		return status;
	if (cli->is_json) {
		cli_print_json(reply);
	} else {
		(void)printf("%-40s %-20s %8s %12s\n", "GROUP", "STATE", "MEMBERS", "LAG");
		json_array_foreach(json_object_get(reply, "groups"), index, group)(void)
			printf("%-40s %-20s %8zu %12lld\n", cli_text(group, "group"),
			       cli_text(group, "state"),
			       json_array_size(json_object_get(group, "members")),
			       (long long)cli_integer(group, "lag"));
	}
	json_decref(reply);
	return CLI_OK;
}

static void print_group(const json_t *group)
{
	const json_t *member, *offset;
	size_t index;

	(void)printf("%s  %s  protocol %s  lag %lld\n\n", cli_text(group, "group"),
		     cli_text(group, "state"), cli_text(group, "protocol"),
		     (long long)cli_integer(group, "lag"));
	(void)printf("%-40s %9s %14s %14s %12s\n", "TOPIC", "PARTITION", "COMMITTED", "WATERMARK",
		     "LAG");
	json_array_foreach(json_object_get(group, "offsets"), index, offset)(void)
		printf("%-40s %9lld %14lld %14lld %12lld\n", cli_text(offset, "topic"),
		       (long long)cli_integer(offset, "partition"),
		       (long long)cli_integer(offset, "committed"),
		       (long long)cli_integer(offset, "high_watermark"),
		       (long long)cli_integer(offset, "lag"));
	(void)printf("\n%-60s %-24s %s\n", "MEMBER", "CLIENT", "HOST");
	json_array_foreach(json_object_get(group, "members"), index, member)(void)
		printf("%-60s %-24s %s\n", cli_text(member, "member_id"),
		       cli_text(member, "client_id"), cli_text(member, "host"));
}

int cli_group(struct cli *cli)
{
	const char *verb = cli->argument_count > 0 ? cli->arguments[0] : "list";
	json_t *reply = NULL;
	char path[512];
	int status;

	if (strcmp(verb, "list") == 0 && cli->argument_count <= 1)
		return list_groups(cli);
	if (cli->argument_count != 2 ||
	    (strcmp(verb, "describe") != 0 && strcmp(verb, "delete") != 0)) {
		(void)fprintf(stderr, "usage: millrace group list | describe NAME | delete NAME\n");
		return CLI_USAGE;
	}
	(void)snprintf(path, sizeof(path), "/api/v1/groups/%s", cli->arguments[1]);
	status = cli_call(cli, strcmp(verb, "delete") == 0 ? "DELETE" : "GET", path, NULL, &reply);
	if (status != CLI_OK)
		return status;
	if (cli->is_json && reply != NULL)
		cli_print_json(reply);
	else if (strcmp(verb, "delete") == 0)
		(void)printf("deleted group %s\n", cli->arguments[1]);
	else
		print_group(reply);
	json_decref(reply);
	return CLI_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

static void print_topic_line(const json_t *topic)
{
	const json_t *partitions = json_object_get(topic, "partitions");
	int64_t records = 0, size = 0;
	char text[32];
	size_t index;
	json_t *partition;

	json_array_foreach(partitions, index, partition)
	{
		records += cli_integer(partition, "high_watermark") -
			   cli_integer(partition, "start_offset");
		size += cli_integer(partition, "size");
	}
	(void)printf("%-40s %10zu %14lld %12s%s\n", cli_text(topic, "name"),
		     json_array_size(partitions), (long long)records,
		     cli_bytes(size, text, sizeof(text)),
		     json_is_true(json_object_get(topic, "internal")) ? "  internal" : "");
}

static int list_topics(struct cli *cli)
{
	json_t *reply = NULL, *topic;
	int status = cli_call(cli, "GET", "/api/v1/topics", NULL, &reply);
	size_t index;

	if (status != CLI_OK)
		return status;
	if (cli->is_json) {
		cli_print_json(reply);
	} else {
		(void)printf("%-40s %10s %14s %12s\n", "TOPIC", "PARTITIONS", "RECORDS", "SIZE");
		json_array_foreach(json_object_get(reply, "topics"), index, topic)
			print_topic_line(topic);
	}
	json_decref(reply);
	return CLI_OK;
}

static int describe_topic(struct cli *cli, const char *name)
{
	char path[512], text[32];
	json_t *reply = NULL, *partition;
	size_t index;
	int status;

	(void)snprintf(path, sizeof(path), "/api/v1/topics/%s", name);
	status = cli_call(cli, "GET", path, NULL, &reply);
	if (status != CLI_OK)
		return status;
	if (cli->is_json) {
		cli_print_json(reply);
	} else {
		(void)printf("%s  id %s\n", cli_text(reply, "name"), cli_text(reply, "id"));
		(void)printf("%9s %7s %6s %14s %14s %14s %12s  %s\n", "PARTITION", "LEADER",
			     "EPOCH", "START", "WATERMARK", "END", "SIZE", "STATE");
		json_array_foreach(json_object_get(reply, "partitions"), index, partition)(void)
			printf("%9lld %7lld %6lld %14lld %14lld %14lld %12s  %s\n",
			       (long long)cli_integer(partition, "partition"),
			       (long long)cli_integer(partition, "leader"),
			       (long long)cli_integer(partition, "leader_epoch"),
			       (long long)cli_integer(partition, "start_offset"),
			       (long long)cli_integer(partition, "high_watermark"),
			       (long long)cli_integer(partition, "next_offset"),
			       cli_bytes(cli_integer(partition, "size"), text, sizeof(text)),
			       cli_text(partition, "state"));
	}
	json_decref(reply);
	return CLI_OK;
}

static int create_topic(struct cli *cli, const char *name, const char *partitions, json_t *configs)
{
	json_t *body = json_pack("{s:s, s:o}", "name", name, "config", configs);
	json_t *reply = NULL;
	int status;

	if (partitions != NULL)
		(void)json_object_set_new(body, "partitions",
					  json_integer(strtol(partitions, NULL, 10)));
	status = cli_call(cli, "POST", "/api/v1/topics", body, &reply);
	json_decref(body);
	if (status != CLI_OK)
		return status;
	if (cli->is_json)
		cli_print_json(reply);
	else
		(void)printf("created topic %s\n", name);
	json_decref(reply);
	return CLI_OK;
}

static int delete_topic(struct cli *cli, const char *name)
{
	json_t *reply = NULL;
	char path[512];
	int status;

	(void)snprintf(path, sizeof(path), "/api/v1/topics/%s", name);
	status = cli_call(cli, "DELETE", path, NULL, &reply);
	if (status != CLI_OK)
		return status;
	if (!cli->is_json)
		(void)printf("deleted topic %s\n", name);
	json_decref(reply);
	return CLI_OK;
}

/** Collect --topic-config K=V pairs. @return NULL: one of them has no `=`, reported */
static json_t *take_configs(struct cli *cli)
{
	json_t *configs = json_object();
	const char *pair;

	while ((pair = cli_option(cli, "--topic-config")) != NULL) {
		const char *equals = strchr(pair, '=');
		char name[128];

		if (equals == NULL || (size_t)(equals - pair) >= sizeof(name)) {
			(void)fprintf(stderr, "millrace: --topic-config wants NAME=VALUE\n");
			json_decref(configs);
			return NULL;
		}
		(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - pair), pair);
		(void)json_object_set_new(configs, name, json_string(equals + 1));
	}
	return configs;
}

int cli_topic(struct cli *cli)
{
	const char *partitions = cli_option(cli, "--partitions");
	const char *verb, *name;
	json_t *configs = take_configs(cli);

	if (configs == NULL)
		return CLI_USAGE;
	verb = cli->argument_count > 0 ? cli->arguments[0] : "list";
	name = cli->argument_count > 1 ? cli->arguments[1] : NULL;
	if (strcmp(verb, "create") == 0 && name != NULL && cli->argument_count == 2)
		return create_topic(cli, name, partitions, configs);
	json_decref(configs);
	if (strcmp(verb, "list") == 0 && cli->argument_count <= 1)
		return list_topics(cli);
	if (strcmp(verb, "describe") == 0 && name != NULL)
		return describe_topic(cli, name);
	if (strcmp(verb, "delete") == 0 && name != NULL)
		return delete_topic(cli, name);
	(void)fprintf(stderr, "usage: millrace topic list | describe NAME | delete NAME |\n"
			      "       create NAME [--partitions N] [--topic-config K=V]...\n");
	return CLI_USAGE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "control/cli/cli.h"

static void print_status(const json_t *status)
{
	const json_t *flush = json_object_get(status, "flush");
	const json_t *core, *line;
	char text[32];
	size_t index;

	(void)printf("millrace %s  cluster %s  up %lld s  dataplane %s\n",
		     cli_text(status, "version"), cli_text(status, "cluster_id"),
		     (long long)(cli_integer(status, "uptime_ms") / 1000),
		     json_is_true(json_object_get(status, "dataplane")) ? "connected" : "away");
	json_array_foreach(json_object_get(status, "transports"), index, line)(void)
		printf("transport  %s\n", json_string_value(line));
	json_array_foreach(json_object_get(status, "ports"), index, line)(void) printf(
		"port       %s  %s  in %lld packets, out %lld, lost %lld\n", cli_text(line, "port"),
		cli_integer(line, "up") != 0 ? "up" : "down",
		(long long)cli_integer(line, "rx_packets"),
		(long long)cli_integer(line, "tx_packets"),
		(long long)(cli_integer(line, "rx_missed") + cli_integer(line, "rx_no_buffer")));
	(void)printf("topics     %lld, %lld partitions, %lld groups\n",
		     (long long)cli_integer(status, "topics"),
		     (long long)cli_integer(status, "partitions"),
		     (long long)cli_integer(status, "groups"));
	(void)printf("flush      %lld rounds, %s, p50 %lld us, p99 %lld us, p99.9 %lld us\n",
		     (long long)cli_integer(flush, "rounds"),
		     cli_bytes(cli_integer(flush, "bytes"), text, sizeof(text)),
		     (long long)cli_integer(flush, "p50_us"),
		     (long long)cli_integer(flush, "p99_us"),
		     (long long)cli_integer(flush, "p999_us"));
	json_array_foreach(json_object_get(status, "cores"), index, core)(void)
		printf("core %-5lld busy %5.1f %%  stalls %lld  connections %lld\n",
		       (long long)cli_integer(core, "core"),
		       100.0 * json_number_value(json_object_get(core, "busy_ratio")),
		       (long long)cli_integer(core, "stalls"),
		       (long long)cli_integer(core, "connections"));
}

int cli_status(struct cli *cli)
{
	json_t *reply = NULL;
	int status = cli_call(cli, "GET", "/api/v1/status", NULL, &reply);

	if (status != CLI_OK)
		return status;
	if (cli->is_json)
		cli_print_json(reply);
	else
		print_status(reply);
	json_decref(reply);
	return CLI_OK;
}

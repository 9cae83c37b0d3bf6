/* SPDX-License-Identifier: Apache-2.0 */
/* `millrace doctor`: what this machine offers, what is missing, and the remedy of each. */
#include <stdio.h>

#include "base/machine.h"

#include "control/cli/cli.h"

struct report {
	json_t *checks; /* NULL: text */
};

static void say(void *ctx, const struct machine_finding *finding)
{
	static const char *const words[] = {
		[MACHINE_GOOD] = "ok",
		[MACHINE_WEAK] = "warn",
		[MACHINE_BAD] = "FAIL",
	};
	struct report *report = ctx;

	if (report->checks != NULL) {
		(void)json_array_append_new(
			report->checks, json_pack("{s:s, s:s, s:s, s:s}", "check", finding->check,
						  "verdict", words[finding->verdict], "found",
						  finding->found, "remedy", finding->remedy));
		return;
	}
	(void)printf("%-5s %-14s %s\n", words[finding->verdict], finding->check, finding->found);
	if (finding->verdict != MACHINE_GOOD)
		(void)printf("                     remedy: %s\n", finding->remedy);
}

int cli_doctor(struct cli *cli)
{
	struct report report = { .checks = cli->is_json ? json_array() : NULL };
	struct machine machine;

	machine_init(&machine, say, &report);
	machine_check(&machine, &cli->config);
	if (report.checks != NULL)
		cli_print_json(report.checks);
	json_decref(report.checks);
	return machine.bad_count == 0 ? CLI_OK : CLI_FAILED;
}

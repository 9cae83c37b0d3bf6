/* SPDX-License-Identifier: Apache-2.0 */
/* `millrace sql` and `millrace table`: the worker's program reads the data directory itself, so both go
   without a box (tables) and without limits on rows. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#include "control/cli/cli_program.h"

static int run_worker(const struct cli *cli, const char *const *arguments, int count)
{
	char path[PATH_MAX];
	int error = cli_program_find("millrace-worker", "../../compute/worker", path, sizeof(path));

	if (error == 0)
		cli_program_exec(cli, path, arguments, count);
	(void)fprintf(stderr, "millrace: millrace-worker is not beside this program: %s\n",
		      err_str(error));
	return CLI_FAILED;
}

int cli_sql(struct cli *cli)
{
	const char *arguments[8] = { "--sql" };
	const char *file = cli_option(cli, "-f"), *format = cli_option(cli, "--format");
	int count = 1;

	if (cli->argument_count > 1 || (cli->argument_count == 1 && file != NULL)) {
		(void)fprintf(stderr,
			      "millrace: sql takes one text of SQL, in quotes, or -f FILE\n");
		return CLI_USAGE;
	}
	if (format != NULL || cli->is_json) {
		arguments[count++] = "--format";
		arguments[count++] = format != NULL ? format : "json";
	}
	if (file != NULL) {
		arguments[count++] = "--file";
		arguments[count++] = file;
	}
	if (cli->argument_count == 1) {
		arguments[count++] = "--query";
		arguments[count++] = cli->arguments[0];
	}
	return run_worker(cli, arguments, count);
}

int cli_table(struct cli *cli)
{
	const char *arguments[8] = { "--tables" };
	const char *action = cli->argument_count > 0 ? cli->arguments[0] : "";
	const bool is_list = strcmp(action, "list") == 0;
	int count = 1;

	if (!(is_list && cli->argument_count == 1) &&
	    !((strcmp(action, "history") == 0 || strcmp(action, "schema") == 0) &&
	      cli->argument_count == 2)) {
		(void)fprintf(stderr, "millrace: table list | history TABLE | schema TABLE\n");
		return CLI_USAGE;
	}
	arguments[count++] = action;
	if (!is_list) {
		arguments[count++] = "--table";
		arguments[count++] = cli->arguments[1];
	}
	if (cli->is_json) {
		arguments[count++] = "--format";
		arguments[count++] = "json";
	}
	return run_worker(cli, arguments, count);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cli/cli_program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#define EXIT_NOT_FOUND 127

int cli_program_find(const char *name, const char *folder, char *ret_path, size_t size)
{
	const char *const places[] = { ".", folder };
	char self[PATH_MAX / 2];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		return -errno;
	self[length] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		if ((size_t)snprintf(ret_path, size, "%s/%s/%s", self, places[i], name) < size &&
		    access(ret_path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

void cli_program_exec(const struct cli *cli, const char *path, const char *const *arguments,
		      int count)
{
	const char *list[CLI_PROGRAM_ARGUMENTS_MAX + 3 + 2 * ARRAY_COUNT(cli->sets) + 1];
	int used = 0;

	CHECK(count <= CLI_PROGRAM_ARGUMENTS_MAX);
	list[used++] = path;
	for (int i = 0; i < count; i++)
		list[used++] = arguments[i];
	if (cli->config_path != NULL) {
		list[used++] = "--config";
		list[used++] = cli->config_path;
	}
	for (int i = 0; i < cli->set_count; i++) {
		list[used++] = "--set";
		list[used++] = cli->sets[i];
	}
	list[used] = NULL;
	(void)execv(path, (char *const *)(uintptr_t)list);
	(void)fprintf(stderr, "millrace: cannot run %s: %s\n", path, strerror(errno));
	_exit(EXIT_NOT_FOUND);
}

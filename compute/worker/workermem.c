/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/workermem.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#define CGROUP    "/sys/fs/cgroup"
#define NAME      "millrace-worker"
#define HEADROOM  (INT64_C(256) << 20) /* at least: what grows between two looks */
#define LINE_SIZE 1024

int64_t workermem_limit(const struct config *config)
{
	if (config->worker_memory_hard != 0)
		return config->worker_memory_hard;
	return config->worker_slots * (config->worker_memory / 10 * 16);
}

int64_t workermem_resident(void)
{
	long long size, resident, shared;
	FILE *file = fopen("/proc/self/statm", "re");
	int count;

	if (file == NULL)
		return -errno;
	count = fscanf(file, "%lld %lld %lld", &size, &resident, &shared);
	(void)fclose(file);
	if (count != 3)
		return -EIO;
	return (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE);
}

static int write_text(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd, error = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	(void)close(fd);
	return error;
}

/** Folder of this process's group. @param controller  "memory" of v1; "" v2. @return 0; -ENOENT */
static int own_group(const char *controller, char *ret_path, size_t size)
{
	char line[LINE_SIZE];
	FILE *file = fopen("/proc/self/cgroup", "re");
	int result = -ENOENT;

	if (file == NULL)
		return -errno;
	while (result != 0 && fgets(line, sizeof(line), file) != NULL) {
		char *names = strchr(line, ':'), *path;

		line[strcspn(line, "\n")] = '\0';
		path = names != NULL ? strchr(names + 1, ':') : NULL;
		if (path == NULL)
			continue;
		*path++ = '\0';
		if (strcmp(names + 1, controller) == 0) {
			(void)snprintf(ret_path, size, CGROUP "%s%s%s",
				       controller[0] != '\0' ? "/" : "", controller, path);
			result = 0;
		}
	}
	(void)fclose(file);
	return result;
}

/** Those of workers that have ended; one that is used cannot be removed. */
static void remove_empty_groups(const char *parent)
{
	char pattern[PATH_MAX];
	glob_t found;

	(void)snprintf(pattern, sizeof(pattern), "%s/" NAME "-*", parent);
	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		(void)rmdir(found.gl_pathv[i]);
	globfree(&found);
}

static int enclose(const char *controller, const char *file, int64_t limit)
{
	char parent[PATH_MAX - 64], folder[PATH_MAX - 32], text[32];
	int error = own_group(controller, parent, sizeof(parent));

	if (error != 0)
		return error;
	remove_empty_groups(parent);
	(void)snprintf(folder, sizeof(folder), "%s/" NAME "-%d", parent, getpid());
	if (mkdir(folder, 0755) != 0 && errno != EEXIST)
		return -errno;
	(void)snprintf(text, sizeof(text), "%" PRId64, limit);
	error = write_text(folder, file, text);
	if (error == 0)
		error = write_text(folder, "cgroup.procs", "0");
	if (error != 0)
		(void)rmdir(folder);
	return error;
}

void workermem_enclose(const struct config *config)
{
	const int64_t watched = workermem_limit(config);
	const int64_t limit = watched + MAX(watched / 2, HEADROOM);
	int error = enclose("", "memory.max", limit);

	if (error != 0)
		error = enclose("memory", "memory.limit_in_bytes", limit);
	if (error == 0)
		log_info("memory: attempts are ended at %" PRId64
			 " MiB resident, cgroup of %" PRId64 " MiB",
			 watched >> 20, limit >> 20);
	else
		log_info("memory: attempts are ended at %" PRId64 " MiB resident; no cgroup (%s)",
			 watched >> 20, err_str(error));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define WALK_DEPTH_MAX 32

void (*delta_disk_step_hook)(const char *step);

int delta_disk_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return error;
}

/* Make the folder `path`, whose parent is there, and make it durable. */
static int make_one(const char *path)
{
	char *copy;
	char *slash;
	int error;

	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	copy = strdup(path);
	if (copy == NULL)
		return -ENOMEM;
	slash = strrchr(copy, '/');
	if (slash == NULL)
		(void)snprintf(copy, 2, ".");
	else
		slash[slash == copy] = '\0';
	error = delta_disk_sync_dir(copy);
	free(copy);
	return error;
}

int delta_disk_make_dir(const char *path)
{
	char *copy = strdup(path);
	struct stat st;
	int error = copy == NULL ? -ENOMEM : 0;

	for (char *at = copy; error == 0 && at != NULL;) {
		at = strchr(at + 1, '/');
		if (at != NULL)
			*at = '\0';
		/* Folders that are there may be closed to us for writing. */
		if (stat(copy, &st) < 0)
			error = make_one(copy);
		if (at != NULL)
			*at = '/';
	}
	free(copy);
	return error;
}

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return error;
}

int delta_disk_sync(const char *root, const json_t *paths)
{
	CLEANUP(json_decrefp) json_t *done = json_object();
	char path[4096];
	size_t index;
	json_t *value;
	int error;

	json_array_foreach(paths, index, value)
	{
		if (snprintf(path, sizeof(path), "%s/%s", root, json_string_value(value)) >=
		    (int)sizeof(path))
			return -ENAMETOOLONG;
		error = sync_file(path);
		/* Its folders: each once, from the inside out, the root too. */
		for (char *slash = strrchr(path, '/'); error == 0; slash = strrchr(path, '/')) {
			*slash = '\0';
			if (json_object_get(done, path) != NULL)
				break;
			error = delta_disk_sync_dir(path);
			if (json_object_set_new_nocheck(done, path, json_true()) < 0)
				return -ENOMEM;
			if (strlen(path) <= strlen(root))
				break;
		}
		if (error != 0)
			return error;
	}
	return 0;
}

int64_t delta_disk_load(int dir_fd, const char *name, int64_t size_max, char **ret_text)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	int64_t size = 0;
	ssize_t got = 1;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		size = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > size_max)
		size = ERR_TOO_LARGE;
	else if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		size = -ENOMEM;
	while (size >= 0 && size < st.st_size && got > 0) {
		got = read(fd, text + size, (size_t)(st.st_size - size));
		size = got < 0 ? -errno : size + got;
	}
	(void)close(fd);
	if (size < 0) {
		free(text);
		return size;
	}
	text[size] = '\0';
	*ret_text = text;
	return size;
}

int delta_disk_store(int dir_fd, const char *name, const char *text, size_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int error = 0;
	size_t done = 0;

	if (fd < 0)
		return -errno;
	while (error == 0 && done < size) {
		ssize_t got = write(fd, text + done, size - done);

		if (got >= 0)
			done += (size_t)got;
		else if (errno != EINTR)
			error = -errno;
	}
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	if (close(fd) < 0 && error == 0)
		error = -errno;
	if (error != 0)
		(void)unlinkat(dir_fd, name, 0);
	return error;
}

/* ---- walking ---- */

struct walk {
	int (*visit)(void *context, const struct delta_disk_entry *entry);
	void *context;
};

static int64_t walk_dir(const struct walk *walk, int fd, const char *path, uint32_t depth);

static int64_t walk_entry(const struct walk *walk, int fd, const char *dir, const char *name,
			  uint32_t depth)
{
	struct stat st;
	char path[4096];
	bool is_hidden = name[0] == '_' || name[0] == '.';
	int child;

	if (snprintf(path, sizeof(path), "%s%s%s", dir, dir[0] != '\0' ? "/" : "", name) >=
	    (int)sizeof(path))
		return 0;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISREG(st.st_mode)) {
		struct delta_disk_entry entry = { fd, name, path, &st };

		return is_hidden ? 0 : walk->visit(walk->context, &entry);
	}
	if (!S_ISDIR(st.st_mode) || depth == 0 || name[0] == '.' ||
	    (is_hidden && strchr(name, '=') == NULL))
		return 0;
	child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return child < 0 ? (errno == ENOENT ? 0 : -errno) : walk_dir(walk, child, path, depth - 1);
}

/* Takes the descriptor. */
static int64_t walk_dir(const struct walk *walk, int fd, const char *path, uint32_t depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int64_t sum = 0;

	if (dir == NULL) {
		sum = -errno;
		(void)close(fd);
		return sum;
	}
	while (sum >= 0 && (entry = readdir(dir)) != NULL) {
		int64_t got;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		got = walk_entry(walk, dirfd(dir), path, entry->d_name, depth);
		sum = got < 0 ? got : sum + got;
	}
	(void)closedir(dir);
	return sum;
}

int64_t delta_disk_walk(const char *root,
			int (*visit)(void *context, const struct delta_disk_entry *entry),
			void *context)
{
	struct walk walk = { visit, context };
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : walk_dir(&walk, fd, "", WALK_DEPTH_MAX);
}

static int discard(void *prefix, const struct delta_disk_entry *entry)
{
	if (strncmp(entry->name, prefix, strlen(prefix)) == 0)
		(void)unlinkat(entry->dir_fd, entry->name, 0);
	return 0;
}

void delta_disk_discard(const char *root, const char *prefix)
{
	char copy[128];

	(void)snprintf(copy, sizeof(copy), "%s", prefix);
	(void)!delta_disk_walk(root, discard, copy);
}

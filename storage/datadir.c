/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "storage/segfile.h"

#define LOCK_NAME       ".lock"
#define META_NAME       "meta.properties"
#define CLEAN_NAME      ".kafka_cleanshutdown"
#define META_SIZE_MAX   8192
#define VALUE_SIZE      128
#define CONTROL_META    "metadata/" META_NAME
#define BOOT_ID_PATH    "/proc/sys/kernel/random/boot_id"
#define CLEAN_TEXT      "{\"version\":0,\"brokerEpoch\":-1}"
#define CLEAN_SIZE_MAX  256
#define CLUSTER_ID_CHAR "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

/* Fill the reason, hand the error on. */
PRINTF_LIKE(3, 4)
static int fail(char *reterr_reason, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reterr_reason, DATADIR_REASON_SIZE, format, args);
	va_end(args);
	return error;
}

/* ---- meta.properties ---- */

/* @return whether `text` has a line `name`=value; the value is trimmed of blanks */
static bool find_property(const char *text, const char *name, char *ret_value)
{
	size_t name_size = strlen(name);
	size_t line_size;

	for (const char *at = text; *at != '\0'; at += line_size + (at[line_size] != '\0')) {
		const char *value = at + name_size + 1;
		const char *end;

		line_size = strcspn(at, "\n");
		end = at + line_size;
		if (strncmp(at, name, name_size) != 0 || at[name_size] != '=')
			continue;
		while (value < end && *value == ' ')
			value++;
		while (end > value && (end[-1] == ' ' || end[-1] == '\r'))
			end--;
		if ((size_t)(end - value) >= VALUE_SIZE)
			return false;
		memcpy(ret_value, value, (size_t)(end - value));
		ret_value[end - value] = '\0';
		return true;
	}
	return false;
}

static bool find_cluster_id(const char *text, char *ret_id)
{
	char value[VALUE_SIZE];

	if (!find_property(text, "cluster.id", value) || value[0] == '\0' ||
	    strlen(value) >= DATADIR_CLUSTER_MAX || strspn(value, CLUSTER_ID_CHAR) != strlen(value))
		return false;
	memcpy(ret_id, value, strlen(value) + 1);
	return true;
}

static int write_meta(const struct datadir *datadir)
{
	char text[META_SIZE_MAX];
	char directory_id[UUID_TEXT_SIZE];
	int size;

	uuid_format(&datadir->directory_id, directory_id);
	size = snprintf(text, sizeof(text),
			"version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n",
			datadir->cluster_id, datadir->node_id, directory_id);
	return segfile_replace(datadir->log_fd, META_NAME, text, (size_t)size);
}

/* A new directory: control may have named the cluster already, when it was started first. */
static int make_meta(struct datadir *datadir, char *reterr_reason)
{
	char text[META_SIZE_MAX];
	struct uuid id;
	int error;

	if (segfile_load(datadir->dir_fd, CONTROL_META, text, sizeof(text)) < 0 ||
	    !find_cluster_id(text, datadir->cluster_id)) {
		uuid_random(&id);
		uuid_format(&id, datadir->cluster_id);
	}
	uuid_random(&datadir->directory_id);
	datadir->is_new = true;
	error = write_meta(datadir);
	if (error != 0)
		return fail(reterr_reason, error, "%s/" META_NAME " cannot be written: %s",
			    datadir->log_path, err_str(error));
	return 0;
}

static int load_meta(struct datadir *datadir, char *reterr_reason)
{
	char text[META_SIZE_MAX];
	char value[VALUE_SIZE];
	int64_t size = segfile_load(datadir->log_fd, META_NAME, text, sizeof(text));

	if (size == -ENOENT)
		return make_meta(datadir, reterr_reason);
	if (size < 0)
		return fail(reterr_reason, (int)size, "%s/" META_NAME " cannot be read: %s",
			    datadir->log_path, err_str((int)size));
	if (!find_property(text, "version", value) || strcmp(value, "1") != 0)
		return fail(reterr_reason, ERR_UNSUPPORTED,
			    "%s/" META_NAME " has no version=1, the only one known",
			    datadir->log_path);
	if (!find_cluster_id(text, datadir->cluster_id))
		return fail(reterr_reason, ERR_MALFORMED, "%s/" META_NAME " has no cluster.id",
			    datadir->log_path);
	if (!find_property(text, "node.id", value) || strtol(value, NULL, 10) != datadir->node_id)
		return fail(reterr_reason, ERR_CONFIG,
			    "%s/" META_NAME " says another node.id than the configured %d",
			    datadir->log_path, datadir->node_id);
	if (find_property(text, "directory.id", value))
		return uuid_parse(value, &datadir->directory_id) == 0
			       ? 0
			       : fail(reterr_reason, ERR_MALFORMED,
				      "%s/" META_NAME " has a directory.id that is none",
				      datadir->log_path);
	/* Kafka before 3.7 wrote none. */
	uuid_random(&datadir->directory_id);
	return write_meta(datadir);
}

/* ---- folders, lock, mark ---- */

static int open_folder(int parent_fd, const char *path, mode_t mode, int *ret_fd)
{
	if (mkdirat(parent_fd, path, mode) != 0 && errno != EEXIST)
		return -errno;
	*ret_fd = openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd >= 0 ? 0 : -errno;
}

static int open_folders(struct datadir *datadir, const char *path, char *reterr_reason)
{
	int error;

	if (snprintf(datadir->path, DATADIR_PATH_MAX, "%s", path) >= DATADIR_PATH_MAX ||
	    snprintf(datadir->log_path, DATADIR_PATH_MAX, "%s/log", path) >= DATADIR_PATH_MAX)
		return fail(reterr_reason, -ENAMETOOLONG, "the data directory's path is too long");
	error = open_folder(AT_FDCWD, path, 0750, &datadir->dir_fd);
	if (error != 0)
		return fail(reterr_reason, error,
			    "%s cannot be opened: %s: set data.dir to a folder that this user may "
			    "make and write",
			    path, err_str(error));
	error = open_folder(datadir->dir_fd, "log", 0750, &datadir->log_fd);
	if (error == 0 && fsync(datadir->dir_fd) != 0)
		error = -errno;
	if (error != 0)
		return fail(reterr_reason, error, "%s cannot be opened: %s", datadir->log_path,
			    err_str(error));
	return 0;
}

static int take_lock(struct datadir *datadir, char *reterr_reason)
{
	char owner[32] = "";
	int size;

	datadir->lock_fd = openat(datadir->log_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (datadir->lock_fd < 0)
		return fail(reterr_reason, -errno, "%s/" LOCK_NAME " cannot be opened: %s",
			    datadir->log_path, err_str(-errno));
	if (flock(datadir->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return fail(reterr_reason, -errno, "%s/" LOCK_NAME ": %s",
				    datadir->log_path, err_str(-errno));
		if (segfile_load(datadir->log_fd, LOCK_NAME, owner, sizeof(owner)) < 0)
			owner[0] = '\0';
		owner[strspn(owner, "0123456789")] = '\0';
		return fail(
			reterr_reason, ERR_LOCKED,
			"another millrace, process %s, owns the data directory %s, or its last "
			"writes are still under way: stop it, or set data.dir to another folder",
			owner[0] != '\0' ? owner : "(unknown)", datadir->path);
	}
	/* The text is for people alone; the lock does not depend on it. */
	size = snprintf(owner, sizeof(owner), "%d\n", (int)getpid());
	if (ftruncate(datadir->lock_fd, 0) == 0)
		(void)!pwrite(datadir->lock_fd, owner, (size_t)size, 0);
	return 0;
}

/* The mark must be gone before anything is written: a crash right after must not look clean. */
static int take_clean_mark(struct datadir *datadir, char *reterr_reason)
{
	char text[CLEAN_SIZE_MAX];
	int64_t size = segfile_load(datadir->log_fd, CLEAN_NAME, text, sizeof(text));

	if (size == -ENOENT) {
		datadir->was_clean = false;
		return 0;
	}
	datadir->was_clean = size > 0 && strstr(text, "\"version\":0") != NULL;
	if (unlinkat(datadir->log_fd, CLEAN_NAME, 0) != 0 || fsync(datadir->log_fd) != 0)
		return fail(reterr_reason, -errno, "%s/" CLEAN_NAME " cannot be removed: %s",
			    datadir->log_path, err_str(-errno));
	return 0;
}

int datadir_open(const char *path, int32_t node_id, struct datadir **ret_datadir,
		 char *reterr_reason)
{
	struct datadir *datadir = calloc(1, sizeof(*datadir));
	int error;

	if (datadir == NULL)
		return fail(reterr_reason, -ENOMEM, "out of memory");
	datadir->dir_fd = datadir->log_fd = datadir->lock_fd = -1;
	datadir->node_id = node_id;
	error = open_folders(datadir, path, reterr_reason);
	if (error == 0)
		error = take_lock(datadir, reterr_reason);
	if (error == 0)
		error = load_meta(datadir, reterr_reason);
	if (error == 0)
		error = take_clean_mark(datadir, reterr_reason);
	if (error != 0) {
		datadir_close(datadir);
		return error;
	}
	*ret_datadir = datadir;
	return 0;
}

void datadir_close(struct datadir *datadir)
{
	if (datadir == NULL)
		return;
	/* Closing the last descriptor of the lock lets it go; there is nothing buffered in the others. */
	if (datadir->lock_fd >= 0)
		(void)close(datadir->lock_fd);
	if (datadir->log_fd >= 0)
		(void)close(datadir->log_fd);
	if (datadir->dir_fd >= 0)
		(void)close(datadir->dir_fd);
	free(datadir);
}

int datadir_mark_clean(const struct datadir *datadir)
{
	return segfile_replace(datadir->log_fd, CLEAN_NAME, CLEAN_TEXT, strlen(CLEAN_TEXT));
}

int64_t datadir_free_size(const struct datadir *datadir)
{
	struct statvfs fs;

	if (fstatvfs(datadir->log_fd, &fs) != 0)
		return -errno;
	return (int64_t)(fs.f_bavail * fs.f_frsize);
}

int datadir_boot_id(char ret_id[DATADIR_BOOT_SIZE])
{
	char text[DATADIR_BOOT_SIZE] = "";
	int64_t size = segfile_load(AT_FDCWD, BOOT_ID_PATH, text, sizeof(text));

	if (size < 0)
		return (int)size;
	text[strcspn(text, "\n")] = '\0';
	memset(ret_id, 0, DATADIR_BOOT_SIZE);
	memcpy(ret_id, text, strlen(text));
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

/*
 * Files are protected by what they are, not by how the log spells them: {"device:inode": true}. Only files that a
 * walk below the table finds are ever removed.
 */
struct vacuum {
	const char *path;
	int64_t older_ms;
	json_t *needed;
};

static void put_key(const struct stat *st, char *ret_key, size_t size)
{
	(void)snprintf(ret_key, size, "%" PRIx64 ":%" PRIx64, (uint64_t)st->st_dev,
		       (uint64_t)st->st_ino);
}

static int64_t modified_ms(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / NS_PER_MS;
}

static int protect(struct vacuum *vacuum, const char *path)
{
	struct stat st;
	char *full = NULL;
	char key[40];
	int failed = 0;

	if (asprintf(&full, "%s%s%s", path[0] == '/' ? "" : vacuum->path, path[0] == '/' ? "" : "/",
		     path) < 0)
		return -ENOMEM;
	if (stat(full, &st) == 0) {
		put_key(&st, key, sizeof(key));
		failed = json_object_set_new(vacuum->needed, key, json_true()) < 0 ? -ENOMEM : 0;
	} else if (errno != ENOENT) {
		failed = -errno;
	}
	free(full);
	return failed;
}

/* A file that was removed since then is still needed by versions of that time. */
static int visit_action(void *context, const char *kind, json_t *body, struct delta_error *error)
{
	const json_t *when = json_object_get(body, "deletionTimestamp");
	const char *uri = json_string_value(json_object_get(body, "path"));
	struct vacuum *vacuum = context;
	char *path = NULL;
	int failed;

	if (strcmp(kind, "remove") != 0 || uri == NULL ||
	    (json_is_integer(when) && json_integer_value(when) < vacuum->older_ms))
		return 0;
	failed = delta_text_path(uri, &path);
	if (failed != 0)
		return delta_text_fail(error, failed,
				       "remove with a path that is not valid: %.200s", uri);
	failed = protect(vacuum, path);
	free(path);
	return failed;
}

static int protect_removed(struct vacuum *vacuum, const struct delta_snapshot *snapshot,
			   struct delta_error *error)
{
	struct delta_log log;
	const char *path;
	json_t *tomb;
	int failed = delta_log_open(vacuum->path, false, &log, error);

	if (failed != 0)
		return failed;
	/* All the log, for checkpoints forget removed files after a week; and what only a checkpoint knows. */
	for (uint32_t i = 0; failed == 0 && i < log.commit_count; i++)
		failed = delta_log_read(&log, log.commits[i], visit_action, vacuum, error);
	json_object_foreach(snapshot->state.tombs, path, tomb)
	{
		if (failed == 0)
			failed = visit_action(vacuum, "remove", tomb, error);
	}
	delta_log_close(&log);
	return failed;
}

static int remove_old(void *context, const struct delta_disk_entry *entry)
{
	const struct vacuum *vacuum = context;
	char key[40];

	put_key(entry->st, key, sizeof(key));
	if (modified_ms(entry->st) >= vacuum->older_ms ||
	    json_object_get(vacuum->needed, key) != NULL)
		return 0;
	if (unlinkat(entry->dir_fd, entry->name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 1;
}

/* What a writer that died left among the files of the log. */
static int remove_temporary(const struct vacuum *vacuum)
{
	struct delta_error error = { (char[8]){ 0 }, 8 };
	struct delta_log log;
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	if (delta_log_open(vacuum->path, false, &log, &error) != 0)
		return 0;
	dir = fdopendir(dup(log.fd));
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct stat st;

		if (strncmp(entry->d_name, DELTA_TEMPORARY, sizeof(DELTA_TEMPORARY) - 1) == 0 &&
		    fstatat(log.fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    modified_ms(&st) < vacuum->older_ms && unlinkat(log.fd, entry->d_name, 0) == 0)
			count++;
	}
	if (dir != NULL)
		(void)closedir(dir);
	delta_log_close(&log);
	return count;
}

int64_t delta_vacuum(const char *path, int64_t older_ms, struct duck *duck, char *reterr,
		     size_t reterr_size)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = NULL;
	CLEANUP(json_decrefp) json_t *needed = json_object();
	struct delta_error error = { reterr, reterr_size };
	struct vacuum vacuum = { path, older_ms, needed };
	int64_t count = 0;
	int failed = delta_open(path, DELTA_VERSION_NEWEST, duck, &snapshot, reterr, reterr_size);

	if (failed == 0)
		failed = delta_state_writable(&snapshot->state, snapshot->schema, &error);
	for (uint32_t i = 0; failed == 0 && i < snapshot->file_count; i++)
		failed = protect(&vacuum, snapshot->files[i].path);
	if (failed == 0)
		failed = protect_removed(&vacuum, snapshot, &error);
	if (failed != 0)
		return failed;
	count = delta_disk_walk(path, remove_old, &vacuum);
	if (count < 0)
		return delta_text_fail(&error, (int)count, "%s: %s", path, err_str((int)count));
	return count + remove_temporary(&vacuum);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define VERSION_DIGITS 20
#define PART_DIGITS    10
#define PARTS_MAX      10000

void delta_log_name(int64_t version, char *ret_name)
{
	(void)snprintf(ret_name, DELTA_NAME_MAX, "%020" PRId64 ".json", version);
}

/* Exactly `digits` decimal digits. @return false: something else, or beyond int64 */
static bool take_number(const char **at, uint32_t digits, int64_t *ret_number)
{
	int64_t number = 0;

	for (uint32_t i = 0; i < digits; i++) {
		if ((*at)[i] < '0' || (*at)[i] > '9')
			return false;
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (*at)[i] - '0', &number))
			return false;
	}
	*at += digits;
	*ret_number = number;
	return true;
}

static bool take_text(const char **at, const char *text)
{
	size_t size = strlen(text);

	if (strncmp(*at, text, size) != 0)
		return false;
	*at += size;
	return true;
}

/* What a file's name says: a commit, a checkpoint's part, or neither. */
static void take_name(const char *name, struct delta_log_part *ret_part)
{
	struct delta_log_part found = { -1, 0, 0 };
	int64_t part = 1;
	int64_t parts = 1;

	*ret_part = found;
	if (!take_number(&name, VERSION_DIGITS, &found.version))
		return;
	if (strcmp(name, ".json") == 0) {
		*ret_part = found;
		return;
	}
	if (!take_text(&name, ".checkpoint"))
		return;
	if (strcmp(name, ".parquet") != 0) {
		if (!take_text(&name, ".") || !take_number(&name, PART_DIGITS, &part) ||
		    !take_text(&name, ".") || !take_number(&name, PART_DIGITS, &parts) ||
		    strcmp(name, ".parquet") != 0 || part < 1 || part > parts || parts > PARTS_MAX)
			return;
	}
	found.part = (uint32_t)part;
	found.parts = (uint32_t)parts;
	*ret_part = found;
}

static int compare_versions(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left;
	int64_t b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

static int compare_parts(const void *left, const void *right)
{
	const struct delta_log_part *a = left;
	const struct delta_log_part *b = right;

	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	if (a->parts != b->parts)
		return a->parts < b->parts ? -1 : 1;
	return a->part < b->part ? -1 : a->part > b->part;
}

/* Room for one more in an array that doubles at powers of two. */
static int make_room(void **array, uint32_t count, size_t size)
{
	void *grown;

	if (count != 0 && (count < 16 || !IS_POW2(count)))
		return 0;
	grown = realloc(*array, (count == 0 ? 16 : (size_t)count * 2) * size);
	if (grown == NULL)
		return -ENOMEM;
	*array = grown;
	return 0;
}

static int take_entry(struct delta_log *log, const char *name)
{
	struct delta_log_part part;
	int error = 0;

	take_name(name, &part);
	if (part.version < 0)
		return 0;
	if (part.parts == 0) {
		error = make_room((void **)&log->commits, log->commit_count,
				  sizeof(log->commits[0]));
		if (error == 0)
			log->commits[log->commit_count++] = part.version;
	} else {
		error = make_room((void **)&log->checkpoints, log->checkpoint_count,
				  sizeof(log->checkpoints[0]));
		if (error == 0)
			log->checkpoints[log->checkpoint_count++] = part;
	}
	return error;
}

int delta_log_refresh(struct delta_log *log, struct delta_error *error)
{
	int fd = openat(log->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	if (dir == NULL) {
		result = -errno;
		if (fd >= 0)
			(void)close(fd);
		return delta_text_fail(error, result, "%s: %s", DELTA_LOG_DIR, err_str(result));
	}
	log->commit_count = 0;
	log->checkpoint_count = 0;
	errno = 0;
	while (result == 0 && (entry = readdir(dir)) != NULL)
		result = take_entry(log, entry->d_name);
	if (result == 0 && errno != 0)
		result = -errno;
	(void)closedir(dir);
	if (result != 0)
		return delta_text_fail(error, result, "%s: %s", DELTA_LOG_DIR, err_str(result));
	if (log->commit_count > 0)
		qsort(log->commits, log->commit_count, sizeof(log->commits[0]), compare_versions);
	if (log->checkpoint_count > 0)
		qsort(log->checkpoints, log->checkpoint_count, sizeof(log->checkpoints[0]),
		      compare_parts);
	return 0;
}

int delta_log_open(const char *path, bool may_be_empty, struct delta_log *ret_log,
		   struct delta_error *error)
{
	struct delta_log log = { .fd = -1 };
	char dir[4096];
	int result;

	if (snprintf(dir, sizeof(dir), "%s/%s", path, DELTA_LOG_DIR) >= (int)sizeof(dir))
		return delta_text_fail(error, -ENAMETOOLONG, "the table's path is too long");
	log.fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log.fd < 0) {
		result = -errno;
		return delta_text_fail(error, result, "%s: %s", path,
				       result == -ENOENT ? "there is no table" : err_str(result));
	}
	result = delta_log_refresh(&log, error);
	if (result == 0 && !may_be_empty && log.commit_count + log.checkpoint_count == 0)
		result = delta_text_fail(error, -ENOENT, "%s: there is no table", path);
	if (result != 0) {
		delta_log_close(&log);
		return result;
	}
	*ret_log = log;
	return 0;
}

void delta_log_close(struct delta_log *log)
{
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = -1;
	free(log->commits);
	free(log->checkpoints);
	log->commits = NULL;
	log->checkpoints = NULL;
}

bool delta_log_has(const struct delta_log *log, int64_t version)
{
	return log->commit_count > 0 && bsearch(&version, log->commits, log->commit_count,
						sizeof(log->commits[0]), compare_versions) != NULL;
}

/* ---- the actions of a commit ---- */

/* One line: an object with, as a rule, one key. */
static int parse_line(const char *line, size_t size, delta_log_visit visit, void *context,
		      struct delta_error *error)
{
	json_error_t why;
	CLEANUP(json_decrefp) json_t *action = json_loadb(line, size, 0, &why);
	const char *kind;
	json_t *body;
	int result = 0;

	if (action == NULL)
		return delta_text_fail(error, ERR_CORRUPT, "not JSON: %s", why.text);
	if (!json_is_object(action))
		return delta_text_fail(error, ERR_CORRUPT, "not a JSON object");
	json_object_foreach(action, kind, body)
	{
		if (json_is_null(body))
			continue;
		if (!json_is_object(body))
			return delta_text_fail(error, ERR_CORRUPT, "'%.40s' is not an object",
					       kind);
		result = visit(context, kind, body, error);
		if (result != 0)
			break;
	}
	return result;
}

int delta_log_parse(const char *name, const char *text, size_t size, delta_log_visit visit,
		    void *context, struct delta_error *error)
{
	const char *end = text + size;
	char message[512] = "";
	struct delta_error inner = { message, sizeof(message) };
	uint32_t number = 0;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t line = (size_t)((stop != NULL ? stop : end) - text);
		int result;

		number++;
		if (line > 0 && !(line == 1 && *text == '\r')) {
			result = parse_line(text, line, visit, context, &inner);
			if (result != 0)
				return delta_text_fail(error, result, "%s:%u: %s", name, number,
						       message);
		}
		text += line + 1;
	}
	return 0;
}

int delta_log_read(const struct delta_log *log, int64_t version, delta_log_visit visit,
		   void *context, struct delta_error *error)
{
	char name[DELTA_NAME_MAX];
	char *text = NULL;
	int64_t size;
	int result;

	delta_log_name(version, name);
	size = delta_disk_load(log->fd, name, DELTA_COMMIT_MAX, &text);
	if (size < 0)
		return delta_text_fail(error, (int)size, "%s/%s: %s", DELTA_LOG_DIR, name,
				       err_str((int)size));
	if (size == 0) {
		/* What a crash of another writer leaves; to read on would lose rows in silence. */
		free(text);
		return delta_text_fail(error, ERR_CORRUPT, "%s is empty", name);
	}
	result = delta_log_parse(name, text, (size_t)size, visit, context, error);
	free(text);
	return result;
}

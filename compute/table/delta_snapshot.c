/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

void delta_close(struct delta_snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	delta_state_free(&snapshot->state);
	json_decref(snapshot->schema);
	free(snapshot->files);
	free(snapshot->path);
	free(snapshot);
}

/* The newest whole checkpoint up to a version. @return parts; 0: none */
static uint32_t find_checkpoint(const struct delta_log *log, int64_t version,
				const struct delta_log_part **ret_parts)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < log->checkpoint_count;) {
		const struct delta_log_part *first = &log->checkpoints[i];
		uint32_t count = 1;

		while (i + count < log->checkpoint_count &&
		       first[count].version == first->version &&
		       first[count].parts == first->parts && first[count].part == count + 1)
			count++;
		if (first->version <= version && first->part == 1 && count == first->parts) {
			*ret_parts = first;
			found = count;
		}
		i += count;
	}
	return found;
}

static int replay(struct delta_snapshot *snapshot, const struct delta_log *log, struct duck *duck,
		  struct delta_error *error)
{
	const struct delta_log_part *parts = NULL;
	uint32_t count = find_checkpoint(log, snapshot->version, &parts);
	struct delta_state *state = &snapshot->state;
	int64_t next = 0;
	int result = 0;

	if (count > 0) {
		next = parts->version + 1;
		result = delta_checkpoint_read(snapshot->path, parts, count, duck, state, error);
	}
	for (; result == 0 && next <= snapshot->version; next++) {
		if (!delta_log_has(log, next))
			return delta_text_fail(error, ERR_CORRUPT,
					       "%s/%020" PRId64 ".json is missing", DELTA_LOG_DIR,
					       next);
		state->version = next;
		result = delta_log_read(log, next, delta_state_apply, state, error);
	}
	if (result == 0 && (state->protocol == NULL || state->metadata == NULL))
		result = delta_text_fail(error, ERR_CORRUPT,
					 "the log has no protocol or no metaData");
	return result;
}

static int list_files(struct delta_snapshot *snapshot)
{
	const char *path;
	json_t *add;

	snapshot->files =
		calloc(json_object_size(snapshot->state.files) + 1, sizeof(snapshot->files[0]));
	if (snapshot->files == NULL)
		return -ENOMEM;
	json_object_foreach(snapshot->state.files, path, add)
	{
		struct delta_file *file = &snapshot->files[snapshot->file_count++];

		file->path = path;
		file->partition_values = json_object_get(add, "partitionValues");
		file->stats = json_string_value(json_object_get(add, "stats"));
		file->size = json_integer_value(json_object_get(add, "size"));
		file->modified_ms = json_integer_value(json_object_get(add, "modificationTime"));
		file->version = delta_state_added(add);
		file->rows = file->stats != NULL ? delta_stats_rows(file->stats) : -1;
	}
	return 0;
}

/* Each file says its value of each partition column. */
static int check_partitions(const struct delta_snapshot *snapshot, struct delta_error *error)
{
	const json_t *columns = delta_partition_columns(snapshot);
	json_t *column;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)columns, index, column)
	{
		if (!json_is_string(column) ||
		    delta_schema_field(snapshot->schema, json_string_value(column)) == NULL)
			return delta_text_fail(
				error, ERR_CORRUPT, "partition column %.100s is not in the schema",
				json_is_string(column) ? json_string_value(column) : "?");
	}
	return 0;
}

static int fill(struct delta_snapshot *snapshot, const struct delta_log *log, struct duck *duck,
		struct delta_error *error)
{
	int result = delta_state_init(&snapshot->state);

	if (result == 0)
		result = replay(snapshot, log, duck, error);
	if (result == 0)
		result = delta_state_readable(&snapshot->state, error);
	if (result == 0)
		result = delta_schema_parse(json_string_value(json_object_get(
						    snapshot->state.metadata, "schemaString")),
					    &snapshot->schema, error);
	if (result == 0)
		result = check_partitions(snapshot, error);
	return result == 0 ? list_files(snapshot) : result;
}

/* Version of the newest file of the log. */
static int64_t newest(const struct delta_log *log)
{
	int64_t commit = log->commit_count > 0 ? log->commits[log->commit_count - 1] : -1;
	int64_t checkpoint = log->checkpoint_count > 0
				     ? log->checkpoints[log->checkpoint_count - 1].version
				     : -1;

	return MAX(commit, checkpoint);
}

static int open_version(const char *path, const struct delta_log *log, int64_t version,
			struct duck *duck, struct delta_snapshot **ret_snapshot,
			struct delta_error *error)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int result;

	if (snapshot == NULL)
		return -ENOMEM;
	if (version < 0 || version > newest(log))
		return delta_text_fail(error, -ENOENT,
				       "%s: version %" PRId64
				       " is not there; the newest is %" PRId64,
				       path, version, newest(log));
	snapshot->path = strdup(path);
	snapshot->version = version;
	if (snapshot->path == NULL)
		return -ENOMEM;
	result = fill(snapshot, log, duck, error);
	if (result == 0)
		*ret_snapshot = TAKE_PTR(snapshot);
	return result;
}

int delta_open(const char *path, int64_t version, struct duck *duck,
	       struct delta_snapshot **ret_snapshot, char *reterr, size_t reterr_size)
{
	struct delta_error error = { reterr, reterr_size };
	struct delta_log log;
	int result = delta_log_open(path, false, &log, &error);

	if (result != 0)
		return result;
	if (version == DELTA_VERSION_NEWEST)
		version = newest(&log);
	result = open_version(path, &log, version, duck, ret_snapshot, &error);
	delta_log_close(&log);
	return result;
}

int delta_open_at_time(const char *path, int64_t time_ms, struct duck *duck,
		       struct delta_snapshot **ret_snapshot, char *reterr, size_t reterr_size)
{
	struct delta_error error = { reterr, reterr_size };
	struct delta_log log;
	int64_t version = -1;
	int result = delta_log_open(path, false, &log, &error);

	if (result != 0)
		return result;
	for (uint32_t i = log.commit_count; i > 0 && version < 0; i--) {
		char name[DELTA_NAME_MAX];
		struct stat st;

		delta_log_name(log.commits[i - 1], name);
		if (fstatat(log.fd, name, &st, 0) == 0 &&
		    st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / NS_PER_MS <= time_ms)
			version = log.commits[i - 1];
	}
	if (version < 0)
		result = delta_text_fail(&error, -ENOENT,
					 "%s: there is no version of that time or before", path);
	else
		result = open_version(path, &log, version, duck, ret_snapshot, &error);
	delta_log_close(&log);
	return result;
}

int64_t delta_version(const struct delta_snapshot *snapshot)
{
	return snapshot->version;
}

const char *delta_id(const struct delta_snapshot *snapshot)
{
	const char *id = json_string_value(json_object_get(snapshot->state.metadata, "id"));

	return id != NULL ? id : "";
}

const json_t *delta_schema(const struct delta_snapshot *snapshot)
{
	return snapshot->schema;
}

const json_t *delta_partition_columns(const struct delta_snapshot *snapshot)
{
	return json_object_get(snapshot->state.metadata, "partitionColumns");
}

const json_t *delta_configuration(const struct delta_snapshot *snapshot)
{
	return json_object_get(snapshot->state.metadata, "configuration");
}

const struct delta_file *delta_files(const struct delta_snapshot *snapshot, uint32_t *ret_count)
{
	*ret_count = snapshot->file_count;
	return snapshot->files;
}

int64_t delta_rows(const struct delta_snapshot *snapshot)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < snapshot->file_count; i++) {
		if (snapshot->files[i].rows < 0)
			return -1;
		sum += snapshot->files[i].rows;
	}
	return sum;
}

int64_t delta_txn(const struct delta_snapshot *snapshot, const char *app_id)
{
	const json_t *txn = json_object_get(snapshot->state.txns, app_id);

	return txn != NULL ? json_integer_value(json_object_get(txn, "version")) : -1;
}

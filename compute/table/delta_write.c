/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include "compute/table/delta_job.h"

#define ENGINE      "millrace/" MILLRACE_VERSION
#define FILE_COLUMN "_millrace_file"

static const char *const mode_names[] = {
	[DELTA_APPEND] = "Append",
	[DELTA_OVERWRITE] = "Overwrite",
	[DELTA_REPLACE_WHERE] = "Overwrite",
	[DELTA_MERGE] = "Merge",
};

/* ---- files that go ---- */

static int remove_file(struct delta_job *job, const json_t *add)
{
	return json_array_append_new(job->removes,
				     json_pack("{s:{s:O, s:I, s:b, s:b, s:O, s:O}}", "remove",
					       "path", json_object_get(add, "path"),
					       "deletionTimestamp", (json_int_t)clock_wall_ms(),
					       "dataChange", 1, "extendedFileMetadata", 1,
					       "partitionValues",
					       json_object_get(add, "partitionValues"), "size",
					       json_object_get(add, "size"))) < 0
		       ? -ENOMEM
		       : 0;
}

static int remove_all(struct delta_job *job)
{
	const char *path;
	json_t *add;
	int failed = 0;

	json_object_foreach(job->snapshot->state.files, path, add)
	{
		if (failed == 0)
			failed = remove_file(job, add);
	}
	return failed;
}

/* Rows that satisfy the predicate, by file: {absolute path: rows}. */
static int count_matches(struct delta_job *job, json_t *ret_matches)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	char *table = delta_select_sql(job->snapshot, job->snapshot->state.files, FILE_COLUMN);
	char *sql = NULL;
	uint32_t count;
	int failed;

	if (table == NULL ||
	    asprintf(&sql, "SELECT " FILE_COLUMN ", count(*) FROM (%s) WHERE (\n%s\n) GROUP BY ALL",
		     table, job->write->predicate) < 0)
		sql = NULL;
	free(table);
	failed = delta_plan_run(job, sql, &result);
	while (failed == 0 && (count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; failed == 0 && i < count; i++) {
			int64_t rows = duck_result_integer(result, 1, i);
			char *file = delta_text_value(result, 0, i);

			if (file != NULL &&
			    json_object_set_new_nocheck(ret_matches, file, json_integer(rows)) < 0)
				failed = -ENOMEM;
			free(file);
		}
	}
	return failed;
}

/* Rows of the files in `kept` that the predicate leaves. */
static int put_kept(struct delta_job *job, FILE *out)
{
	char *table = delta_select_sql(job->snapshot, job->kept, NULL);
	int failed = table == NULL ? -ENOMEM : delta_copy_put_rows(job, out, job->snapshot->schema);

	if (failed == 0)
		(void)fprintf(out, "(%s) WHERE (\n%s\n) IS NOT TRUE", table, job->write->predicate);
	free(table);
	return failed;
}

/* Take files out whose rows match, and write again those rows of them that do not. */
static int replace_where(struct delta_job *job)
{
	CLEANUP(json_decrefp) json_t *matches = json_object();
	int failed = count_matches(job, matches);
	int64_t rows = 0;

	job->kept = json_object();
	for (uint32_t i = 0; failed == 0 && i < job->snapshot->file_count; i++) {
		const struct delta_file *file = &job->snapshot->files[i];
		json_t *add = json_object_get(job->snapshot->state.files, file->path);
		const json_t *match;
		char *full = NULL;

		if (asprintf(&full, "%s%s%s", file->path[0] == '/' ? "" : job->write->path,
			     file->path[0] == '/' ? "" : "/", file->path) < 0)
			return -ENOMEM;
		match = json_object_get(matches, full);
		free(full);
		if (match == NULL)
			continue;
		failed = remove_file(job, add);
		if (failed == 0 && json_integer_value(match) != file->rows &&
		    json_object_set_nocheck(job->kept, file->path, add) < 0)
			failed = -ENOMEM;
	}
	if (failed == 0 && json_object_size(job->kept) > 0)
		rows = delta_copy_files(job, put_kept);
	return rows < 0 ? (int)rows : failed;
}

/* ---- the commit's actions ---- */

static json_t *make_metadata(struct delta_job *job)
{
	CLEANUP(json_decrefp) json_t *metadata = NULL;
	char *schema = json_dumps(job->schema, JSON_COMPACT);
	char id[DELTA_ID_SIZE];

	if (schema == NULL)
		return NULL;
	delta_text_id(id);
	if (job->snapshot == NULL)
		metadata = json_pack("{s:s, s:{s:s, s:{}}, s:O, s:{}, s:I}", "id", id, "format",
				     "provider", "parquet", "options", "partitionColumns",
				     job->partitions, "configuration", "createdTime",
				     (json_int_t)clock_wall_ms());
	else
		metadata = json_copy(job->snapshot->state.metadata);
	(void)json_object_set_new(metadata, "schemaString", json_string(schema));
	free(schema);
	return TAKE_PTR(metadata);
}

static json_t *make_info(const struct delta_job *job)
{
	const struct delta_write *write = job->write;
	char *partitions = json_dumps(job->partitions, JSON_COMPACT);
	char rows[24];
	char bytes[24];
	char files[24];
	json_t *info;

	(void)snprintf(rows, sizeof(rows), "%" PRId64, job->rows);
	(void)snprintf(bytes, sizeof(bytes), "%" PRId64, job->bytes);
	(void)snprintf(files, sizeof(files), "%zu", json_array_size(job->adds));
	info = json_pack("{s:I, s:s, s:{s:s, s:s?}, s:{s:s, s:s, s:s}, s:s, s:b, s:s}", "timestamp",
			 (json_int_t)clock_wall_ms(), "operation",
			 write->operation != NULL     ? write->operation
			 : write->mode == DELTA_MERGE ? "MERGE"
						      : "WRITE",
			 "operationParameters", "mode", mode_names[write->mode], "partitionBy",
			 partitions, "operationMetrics", "numFiles", files, "numOutputRows", rows,
			 "numOutputBytes", bytes, "isolationLevel", "Serializable", "isBlindAppend",
			 write->mode == DELTA_APPEND, "engineInfo", ENGINE);
	free(partitions);
	if (write->predicate != NULL)
		(void)json_object_set_new(json_object_get(info, "operationParameters"), "predicate",
					  json_string(write->predicate));
	if (job->snapshot != NULL)
		(void)json_object_set_new(info, "readVersion",
					  json_integer(job->snapshot->version));
	if (write->info != NULL)
		(void)json_object_update_missing(info, write->info);
	return info;
}

static int put_action(json_t *actions, const char *kind, json_t *body)
{
	return body == NULL || json_array_append_new(actions, json_pack("{s:o}", kind, body)) < 0
		       ? -ENOMEM
		       : 0;
}

static int make_actions(struct delta_job *job, json_t *actions)
{
	const struct delta_write *write = job->write;
	int failed = put_action(actions, "commitInfo", make_info(job));

	if (failed == 0 && job->snapshot == NULL)
		failed = put_action(
			actions, "protocol",
			json_pack("{s:i, s:i}", "minReaderVersion", 1, "minWriterVersion", 2));
	if (failed == 0 && job->is_grown)
		failed = put_action(actions, "metaData", make_metadata(job));
	for (uint32_t i = 0; failed == 0 && i < write->txn_count; i++) {
		if (delta_commit_txn_moves(write, i))
			failed = put_action(actions, "txn",
					    json_pack("{s:s, s:I, s:I}", "appId",
						      write->txns[i].app_id, "version",
						      (json_int_t)write->txns[i].version,
						      "lastUpdated", (json_int_t)clock_wall_ms()));
	}
	if (failed == 0 && (json_array_extend(actions, job->removes) < 0 ||
			    json_array_extend(actions, job->adds) < 0))
		failed = -ENOMEM;
	return failed;
}

/* ---- the whole ---- */

/* Whether there is anything to say to the table. */
static bool is_news(const struct delta_job *job)
{
	const struct delta_write *write = job->write;
	bool moves = false;

	for (uint32_t i = 0; i < write->txn_count; i++)
		moves |= delta_commit_txn_moves(write, i);
	return moves || json_array_size(job->adds) > 0 || json_array_size(job->removes) > 0 ||
	       (job->snapshot == NULL && write->mode == DELTA_OVERWRITE);
}

static int write_data(struct delta_job *job)
{
	int64_t rows = delta_copy_files(job, delta_copy_put_source);
	int failed = rows < 0 ? (int)rows : 0;

	job->rows = rows;
	if (failed == 0 && job->snapshot != NULL && job->write->mode == DELTA_OVERWRITE)
		failed = remove_all(job);
	if (failed == 0 && job->snapshot != NULL && job->snapshot->file_count > 0 &&
	    job->write->mode == DELTA_REPLACE_WHERE)
		failed = replace_where(job);
	if (failed != 0)
		return failed;
	delta_disk_step("data written");
	failed = delta_disk_sync(job->write->path, job->paths);
	if (failed != 0)
		return delta_text_fail(&job->error, failed, "data files: %s", err_str(failed));
	delta_disk_step("data durable");
	return 0;
}

/* The table is whole without its checkpoint: the next one that is due tries again. */
static void checkpoint(const struct delta_job *job, int64_t version)
{
	char why[512] = "";
	struct delta_error error = { why, sizeof(why) };
	int failed = delta_checkpoint_write(job->write->path, version, job->duck, &error);

	if (failed != 0)
		log_warn("%s: version %" PRId64 " has no checkpoint: %s", job->write->path, version,
			 why[0] != '\0' ? why : err_str(failed));
}

static int commit(struct delta_job *job, struct delta_written *written)
{
	CLEANUP(json_decrefp) json_t *actions = json_array();
	struct delta_commit commit = {
		.path = job->write->path,
		.write = job->write,
		.actions = actions,
		.read_version = job->snapshot != NULL ? job->snapshot->version : -1,
		.is_blind = job->write->mode == DELTA_APPEND,
	};
	int failed = make_actions(job, actions);

	if (failed == 0)
		failed = delta_commit_run(&commit, &written->version, &written->attempts,
					  &job->error);
	job->is_committed = written->version >= 0;
	if (failed == 0 && delta_checkpoint_is_due(job->snapshot, written->version))
		checkpoint(job, written->version);
	return failed;
}

static int run(struct delta_job *job, struct delta_written *written)
{
	char dir[4096];
	int failed = delta_open(job->write->path, DELTA_VERSION_NEWEST, job->duck, &job->snapshot,
				job->error.text, job->error.size);

	if (failed == -ENOENT) {
		(void)snprintf(dir, sizeof(dir), "%s/%s", job->write->path, DELTA_LOG_DIR);
		failed = delta_disk_make_dir(dir);
		if (failed != 0)
			return delta_text_fail(&job->error, failed, "%.1000s: %s", dir,
					       err_str(failed));
	}
	if (failed == 0)
		failed = delta_commit_txns(job->write, job->snapshot, &job->error);
	if (failed == 0)
		failed = delta_plan_describe(job);
	if (failed == 0)
		failed = delta_plan_fit(job);
	if (failed == 0)
		failed = write_data(job);
	if (failed != 0)
		return failed;
	written->rows = job->rows;
	written->bytes = job->bytes;
	written->files_added = (uint32_t)json_array_size(job->adds);
	written->files_removed = (uint32_t)json_array_size(job->removes);
	return is_news(job) ? commit(job, written) : 0;
}

static void job_free(struct delta_job *job)
{
	json_decref(job->query);
	json_decref(job->schema);
	json_decref(job->partitions);
	json_decref(job->paths);
	json_decref(job->adds);
	json_decref(job->removes);
	json_decref(job->kept);
	delta_close(job->snapshot);
}

int delta_write(struct duck *duck, const struct delta_write *write,
		struct delta_written *ret_written, enum duck_status *ret_status, char *reterr,
		size_t reterr_size)
{
	struct delta_job job = {
		.duck = duck,
		.write = write,
		.error = { reterr, reterr_size },
		.paths = json_array(),
		.adds = json_array(),
		.removes = json_array(),
	};
	struct delta_written written = { .version = -1 };
	char id[DELTA_ID_SIZE];
	int failed;

	delta_text_id(id);
	(void)snprintf(job.prefix, sizeof(job.prefix), DELTA_PART "%.8s-", id);
	failed = run(&job, &written);
	if (failed != 0 && !job.is_committed)
		delta_disk_discard(write->path, job.prefix);
	if (failed == 0)
		*ret_written = written;
	*ret_status = job.status;
	job_free(&job);
	return failed;
}

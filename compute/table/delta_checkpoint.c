/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#include "compute/table/delta_impl.h"

#define INTERVAL     10                 /* commits, unless the table says otherwise */
#define TOMB_KEPT_MS INT64_C(604800000) /* a week, as Delta's default */
#define OBJECT_MIN   ((size_t)1 << 20)
#define NAME_FORMAT  "%020" PRId64 ".checkpoint.parquet"

/* Sidecars belong to another kind of checkpoint and are refused, where there is one. */
static const char *const kinds[] = { "protocol", "metaData", "txn", "remove", "add", "sidecar" };

/* ---- reading ---- */

static void put_parts(FILE *out, const char *path, const struct delta_log_part *parts,
		      uint32_t count)
{
	(void)fputs("read_parquet([", out);
	for (uint32_t i = 0; i < count; i++) {
		char *name = NULL;
		int got = parts[i].parts == 1
				  ? asprintf(&name, "%s/%s/" NAME_FORMAT, path, DELTA_LOG_DIR,
					     parts[i].version)
				  : asprintf(&name,
					     "%s/%s/%020" PRId64 ".checkpoint.%010u.%010u.parquet",
					     path, DELTA_LOG_DIR, parts[i].version, parts[i].part,
					     parts[i].parts);

		(void)fputs(i > 0 ? "," : "", out);
		if (got >= 0)
			delta_text_literal(out, name);
		free(got >= 0 ? name : NULL);
	}
	(void)fputs("], hive_partitioning=false, union_by_name=true)", out);
}

static int run(struct duck *duck, char *sql, struct duck_result **ret_result,
	       struct delta_error *error)
{
	enum duck_status status;

	if (sql == NULL)
		return -ENOMEM;
	status = duck_run(duck, sql, ret_result, error->text, error->size);
	free(sql);
	/* What the engine cannot read is not our SQL's fault. */
	return status == DUCK_USER ? ERR_CORRUPT : delta_text_status(status, error->text);
}

/* Bit per kind: the columns that the checkpoint has. */
static int find_columns(struct duck *duck, const char *source, uint32_t *ret_columns,
			struct delta_error *error)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	char *sql = NULL;
	uint32_t columns = 0;
	uint32_t count;
	int failed;

	if (asprintf(&sql, "DESCRIBE SELECT * FROM %s", source) < 0)
		sql = NULL;
	failed = run(duck, sql, &result, error);
	while (failed == 0 && (count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			char *name = delta_text_value(result, 0, i);

			for (uint32_t k = 0; name != NULL && k < ARRAY_COUNT(kinds); k++)
				columns |= strcmp(name, kinds[k]) == 0 ? 1U << k : 0;
			free(name);
		}
	}
	*ret_columns = columns;
	return failed;
}

static int apply_text(struct delta_state *state, const char *kind, const char *text, size_t size,
		      struct delta_error *error)
{
	CLEANUP(json_decrefp) json_t *body = json_loadb(text, size, JSON_DECODE_ANY, NULL);

	if (json_is_null(body))
		return 0;
	if (!json_is_object(body))
		return delta_text_fail(error, ERR_CORRUPT, "%s is not an object", kind);
	return delta_state_apply(state, kind, body, error);
}

static int read_rows(struct duck *duck, const char *source, uint32_t columns,
		     struct delta_state *state, struct delta_error *error)
{
	CLEANUP(duck_result_freep) struct duck_result *result = NULL;
	char *sql = NULL;
	uint32_t count;
	size_t size;
	int failed;
	FILE *out = open_memstream(&sql, &size);

	if (out == NULL)
		return -ENOMEM;
	(void)fputs("SELECT ", out);
	for (uint32_t k = 0; k < ARRAY_COUNT(kinds); k++)
		(void)fprintf(out,
			      columns & 1U << k ? "%sCAST(to_json(\"%s\") AS VARCHAR)" : "%sNULL",
			      k > 0 ? ", " : "", kinds[k]);
	(void)fprintf(out, " FROM %s", source);
	failed = delta_text_end(out, &sql);
	if (failed == 0)
		failed = run(duck, sql, &result, error);
	while (failed == 0 && (count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; failed == 0 && i < count * ARRAY_COUNT(kinds); i++) {
			uint32_t k = i % (uint32_t)ARRAY_COUNT(kinds);
			const char *text = duck_result_text(
				result, k, i / (uint32_t)ARRAY_COUNT(kinds), &size);

			if (text != NULL)
				failed = apply_text(state, kinds[k], text, size, error);
		}
	}
	return failed;
}

int delta_checkpoint_read(const char *path, const struct delta_log_part *parts, uint32_t count,
			  struct duck *duck, struct delta_state *state, struct delta_error *error)
{
	char message[512] = "";
	struct delta_error inner = { message, sizeof(message) };
	char *source = NULL;
	uint32_t columns = 0;
	size_t size;
	int failed;
	FILE *out = open_memstream(&source, &size);

	if (out == NULL)
		return -ENOMEM;
	put_parts(out, path, parts, count);
	failed = delta_text_end(out, &source);
	state->version = -1;
	if (failed == 0)
		failed = find_columns(duck, source, &columns, &inner);
	if (failed == 0)
		failed = read_rows(duck, source, columns, state, &inner);
	free(source);
	if (failed != 0)
		return delta_text_fail(error, failed, "%s/" NAME_FORMAT ": %s", DELTA_LOG_DIR,
				       parts->version, message);
	return 0;
}

/* ---- writing: the actions as lines of JSON, then SQL that makes Parquet of them ---- */

static void put_line(FILE *out, const char *kind, const json_t *body, uint64_t *count)
{
	char *text = json_dumps(body, JSON_COMPACT);

	if (text != NULL)
		(void)fprintf(out, "{\"%s\":%s}\n", kind, text);
	free(text);
	*count += text != NULL;
}

/* Tombstones that nobody needs any more stay out. */
static char *make_lines(const struct delta_state *state, uint64_t *ret_count, size_t *ret_size)
{
	int64_t oldest = clock_wall_ms() - TOMB_KEPT_MS;
	char *text = NULL;
	const char *key;
	json_t *value;
	FILE *out = open_memstream(&text, ret_size);

	*ret_count = 0;
	if (out == NULL)
		return NULL;
	put_line(out, "protocol", state->protocol, ret_count);
	put_line(out, "metaData", state->metadata, ret_count);
	json_object_foreach(state->txns, key, value) put_line(out, "txn", value, ret_count);
	json_object_foreach(state->tombs, key, value)
	{
		const json_t *when = json_object_get(value, "deletionTimestamp");

		if (json_is_integer(when) && json_integer_value(when) >= oldest)
			put_line(out, "remove", value, ret_count);
	}
	json_object_foreach(state->files, key, value) put_line(out, "add", value, ret_count);
	return delta_text_end(out, &text) == 0 ? text : NULL;
}

#define MAP "MAP(VARCHAR, VARCHAR)"
static const char columns_sql[] =
	"{protocol: 'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER, readerFeatures "
	"VARCHAR[], writerFeatures VARCHAR[])', "
	"metaData: 'STRUCT(id VARCHAR, name VARCHAR, description VARCHAR, format STRUCT(provider "
	"VARCHAR, options " MAP "), schemaString VARCHAR, partitionColumns VARCHAR[], createdTime "
	"BIGINT, configuration " MAP ")', "
	"txn: 'STRUCT(appId VARCHAR, version BIGINT, lastUpdated BIGINT)', "
	"remove: 'STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, "
	"extendedFileMetadata BOOLEAN, partitionValues " MAP ", size BIGINT)', "
	"add: 'STRUCT(path VARCHAR, partitionValues " MAP
	", size BIGINT, modificationTime BIGINT, dataChange BOOLEAN, stats VARCHAR, tags " MAP
	")'}";

/* Reading takes twice that much memory for each thread. */
static size_t longest_line(const char *lines, size_t size)
{
	const char *end = lines + size;
	size_t longest = 0;

	while (lines < end) {
		const char *stop = memchr(lines, '\n', (size_t)(end - lines));

		longest = MAX(longest, (size_t)((stop != NULL ? stop : end) - lines));
		lines = stop != NULL ? stop + 1 : end;
	}
	return longest;
}

static int make_parquet(const char *lines, size_t longest, const char *parquet, struct duck *duck,
			struct delta_error *error)
{
	char *sql = NULL;
	size_t size;
	int failed;
	FILE *out = open_memstream(&sql, &size);

	if (out == NULL)
		return -ENOMEM;
	(void)fputs("COPY (SELECT * FROM read_json(", out);
	delta_text_literal(out, lines);
	(void)fprintf(out,
		      ", format='newline_delimited', hive_partitioning=false, "
		      "maximum_object_size=%zu, columns=%s)) TO ",
		      MAX(longest, OBJECT_MIN) + 1, columns_sql);
	delta_text_literal(out, parquet);
	(void)fputs(" (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)", out);
	failed = delta_text_end(out, &sql);
	return failed == 0 ? run(duck, sql, NULL, error) : failed;
}

/* `_last_checkpoint` is a hint for readers; it is replaced as a whole. */
static int store_hint(int log_fd, const char *name, int64_t version, uint64_t count)
{
	char text[100];
	int size = snprintf(text, sizeof(text), "{\"version\":%" PRId64 ",\"size\":%" PRIu64 "}",
			    version, count);
	int failed = delta_disk_store(log_fd, name, text, (size_t)size);

	if (failed == 0 && renameat(log_fd, name, log_fd, "_last_checkpoint") < 0)
		failed = -errno;
	return failed;
}

/* Names of the checkpoint on its way. */
struct names {
	char lines[DELTA_NAME_MAX];
	char parquet[DELTA_NAME_MAX];
	char hint[DELTA_NAME_MAX];
	char final[DELTA_NAME_MAX];
};

static int finish(int log_fd, const struct names *names, int64_t version, uint64_t count)
{
	int fd = openat(log_fd, names->parquet, O_RDONLY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	delta_disk_step("checkpoint stored");
	/* Another writer may have made the same one. */
	if (failed == 0 && linkat(log_fd, names->parquet, log_fd, names->final, 0) < 0 &&
	    errno != EEXIST)
		failed = -errno;
	delta_disk_step("checkpoint linked");
	if (failed == 0 && fsync(log_fd) < 0)
		failed = -errno;
	if (failed == 0)
		failed = store_hint(log_fd, names->hint, version, count);
	delta_disk_step("checkpoint told");
	return failed;
}

static int write_state(const char *path, int log_fd, const struct delta_snapshot *snapshot,
		       struct duck *duck, struct delta_error *error)
{
	char id[DELTA_ID_SIZE];
	char *lines_path = NULL;
	char *parquet_path = NULL;
	uint64_t count = 0;
	size_t size = 0;
	char *lines = make_lines(&snapshot->state, &count, &size);
	struct names names;
	int failed = lines == NULL ? -ENOMEM : 0;

	delta_text_id(id);
	(void)snprintf(names.lines, sizeof(names.lines), DELTA_TEMPORARY "%s.ndjson", id);
	(void)snprintf(names.parquet, sizeof(names.parquet), DELTA_TEMPORARY "%s.parquet", id);
	(void)snprintf(names.hint, sizeof(names.hint), DELTA_TEMPORARY "%s.hint", id);
	(void)snprintf(names.final, sizeof(names.final), NAME_FORMAT, snapshot->version);
	if (asprintf(&lines_path, "%s/%s/%s", path, DELTA_LOG_DIR, names.lines) < 0)
		lines_path = NULL;
	if (asprintf(&parquet_path, "%s/%s/%s", path, DELTA_LOG_DIR, names.parquet) < 0)
		parquet_path = NULL;
	if (lines_path == NULL || parquet_path == NULL)
		failed = -ENOMEM;
	if (failed == 0)
		failed = delta_disk_store(log_fd, names.lines, lines, size);
	if (failed == 0)
		failed = make_parquet(lines_path, longest_line(lines, size), parquet_path, duck,
				      error);
	if (failed == 0)
		failed = finish(log_fd, &names, snapshot->version, count);
	(void)unlinkat(log_fd, names.lines, 0);
	(void)unlinkat(log_fd, names.parquet, 0);
	(void)unlinkat(log_fd, names.hint, 0);
	free(lines);
	free(lines_path);
	free(parquet_path);
	return failed;
}

bool delta_checkpoint_is_due(const struct delta_snapshot *before, int64_t version)
{
	const char *text =
		before == NULL ? NULL
			       : delta_state_setting(&before->state, "delta.checkpointInterval");
	long long interval = text != NULL ? strtoll(text, NULL, 10) : 0;

	return version > 0 && version % (interval > 0 ? interval : INTERVAL) == 0;
}

int delta_checkpoint_write(const char *path, int64_t version, struct duck *duck,
			   struct delta_error *error)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = NULL;
	struct delta_log log;
	int failed;

	failed = delta_open(path, version, duck, &snapshot, error->text, error->size);
	if (failed == 0)
		failed = delta_log_open(path, false, &log, error);
	if (failed != 0)
		return failed;
	failed = write_state(path, log.fd, snapshot, duck, error);
	delta_log_close(&log);
	return failed;
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Delta Lake tables on a local file system: reading a snapshot, writing commits.
 *
 * A table is a folder with `_delta_log/`. Data files are Parquet, written and read by DuckDB; this part keeps the
 * log: replay (JSON commits, checkpoints), schema, statistics, partition values, `txn` actions, optimistic
 * concurrency. Written with reader version 1, writer version 2. Tables that need more (deletion
 * vectors, column mapping, unknown features) are refused by name, never misread.
 *
 * A commit is made by writing `<version>.json` under a temporary name, fsync, link() to its name (which fails when
 * the name is taken), fsync of the folder; data files are fsynced before. So a table is never half
 * written, and two writers never take one version.
 *
 * Context: any thread, one at a time per handle; blocks on the file system. Memory: heap, the live files of
 * a snapshot. Source: the Delta protocol document (PROTOCOL.md of delta-io/delta).
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "compute/duck/duck.h"

#define DELTA_VERSION_NEWEST (-1)
#define DELTA_APP_ID_MAX     512

/** A live data file. */
struct delta_file {
	const char *path; /* as in the log: relative to the table or absolute; not URI-encoded */
	json_t *partition_values; /* object of strings or null */
	const char *stats;        /* JSON text; NULL: none */
	int64_t size;
	int64_t modified_ms;
	int64_t version; /* commit that added it; -1: known from a checkpoint only */
	int64_t rows;    /* numRecords; -1: not known */
};

struct delta_snapshot;

/**
 * Read the state at a version. A folder without a log is a table that does not exist yet.
 *
 * @param duck         used for checkpoints; borrowed for the call
 * @param version      or DELTA_VERSION_NEWEST
 * @param[out] reterr  [reterr_size] which file of the log is wrong and how
 * @return 0; -ENOENT no table, or no such version; ERR_UNSUPPORTED a feature, named; ERR_CORRUPT; -errno
 */
NODISCARD int delta_open(const char *path, int64_t version, struct duck *duck,
			 struct delta_snapshot **ret_snapshot, char *reterr, size_t reterr_size);
/** The newest version whose commit is not younger than the time. Otherwise as delta_open(). */
NODISCARD int delta_open_at_time(const char *path, int64_t time_ms, struct duck *duck,
				 struct delta_snapshot **ret_snapshot, char *reterr,
				 size_t reterr_size);
void delta_close(struct delta_snapshot *snapshot);
DEFINE_CLEANUP(struct delta_snapshot, delta_close);

int64_t delta_version(const struct delta_snapshot *snapshot);
/** @return the table's own id, which another table at the same place would not have; borrowed */
const char *delta_id(const struct delta_snapshot *snapshot);
/** @return the Delta schema (a struct type in JSON); borrowed */
const json_t *delta_schema(const struct delta_snapshot *snapshot);
/** @return array of column names; borrowed */
const json_t *delta_partition_columns(const struct delta_snapshot *snapshot);
const json_t *delta_configuration(const struct delta_snapshot *snapshot);
const struct delta_file *delta_files(const struct delta_snapshot *snapshot, uint32_t *ret_count);
/** @return sum of the files' rows; -1 when a file does not say */
int64_t delta_rows(const struct delta_snapshot *snapshot);
/** @return version of the application's newest `txn`; -1: none */
int64_t delta_txn(const struct delta_snapshot *snapshot, const char *app_id);

/**
 * SQL of a SELECT that reads the snapshot, all columns in the schema's order, with partition values, and
 * nulls for columns that older files lack. Caller frees with free(); NULL: out of memory, or
 * the commits after `after` are not there any more.
 *
 * @param after  read only files that commits after this version added with dataChange (and not removed
 *               since, but by compaction); -1: all. A file that was removed in that span by something
 *               other than compaction makes the span unreadable: see delta_is_append_only_since()
 */
char *delta_select(const struct delta_snapshot *snapshot, int64_t after);
/** @return whether every commit after `version` only added rows (appends, and compaction) */
bool delta_is_append_only_since(const struct delta_snapshot *snapshot, int64_t version);

/* ---- history ---- */

/** @return newest first, [{version, timestamp, operation, parameters, metrics, ...}]; NULL with reterr */
json_t *delta_history(const char *path, uint32_t count, char *reterr, size_t reterr_size);

/* ---- writing ---- */

enum delta_mode {
	DELTA_APPEND,
	DELTA_OVERWRITE,
	DELTA_REPLACE_WHERE, /* rows that satisfy the predicate are replaced by the query's, which must satisfy it */
	DELTA_MERGE, /* rows whose key is not there yet are appended (insert-only MERGE) */
};

struct delta_txn {
	char app_id[DELTA_APP_ID_MAX];
	int64_t version;
};

struct delta_write {
	const char *path;
	const char *query; /* SQL of the rows; runs in `duck` */
	enum delta_mode mode;
	const char *predicate;  /* of DELTA_REPLACE_WHERE, SQL */
	const char *const *key; /* [key_count] columns, of DELTA_MERGE */
	uint32_t key_count;
	const char *const
		*partition_by; /* [partition_count] for a new table; else must agree or be none */
	uint32_t partition_count;
	bool merge_schema; /* columns the table lacks are added; else they are an error */
	const struct delta_txn *txns; /* [txn_count] committed with the rows */
	const int64_t *
		txns_before; /* [txn_count] versions this write was planned from: if the table's differ
					    at commit, ERR_DUPLICATE; NULL: not checked */
	uint32_t txn_count;
	const char *operation; /* for the history: "WRITE", "MERGE" */
	json_t *info;          /* more fields of commitInfo; borrowed; NULL: none */
	/**
	 * Asked once, when all but the commit's name is there; not 0: give up and return that. What it finds
	 * must hold until delta_write() returns, whatever the attempts. NULL: none.
	 */
	int (*may_commit)(void *context);
	void *context;
};

struct delta_written {
	int64_t version; /* -1: nothing was committed, there were no rows and no new txn */
	int64_t rows;    /* added by the query */
	int64_t bytes;
	uint32_t files_added, files_removed;
	uint32_t attempts; /* of the commit; more than 1: others wrote meanwhile */
};

/**
 * Run the query into data files and commit them. On any failure the table is as before, and the files
 * of this write are removed (what kill -9 leaves is unreferenced; delta_vacuum() takes it).
 *
 * An overwrite with an empty query empties the table; an append of no rows commits only when it brings a
 * newer txn. A checkpoint is written every 10 commits.
 *
 * @return 0; ERR_DUPLICATE a txn is there already: the rows are in the table; -EBUSY conflict with another
 *         writer, reterr names its version: run the whole again; ERR_CONFIG schema or partition columns
 *         do not fit, or rows outside the predicate; ERR_FENCED from may_commit; *ret_status says
 *         more when the SQL failed:
 *         then ERR_POISONED, -ECANCELED, -ENOMEM, -ENOSPC, -EIO or ERR_MALFORMED (the SQL's fault)
 */
NODISCARD int delta_write(struct duck *duck, const struct delta_write *write,
			  struct delta_written *ret_written, enum duck_status *ret_status,
			  char *reterr, size_t reterr_size);

/** Remove files that no version younger than `older_ms` needs. @return files removed; -errno */
NODISCARD int64_t delta_vacuum(const char *path, int64_t older_ms, struct duck *duck, char *reterr,
			       size_t reterr_size);

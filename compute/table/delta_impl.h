/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the parts of the Delta reader and writer share. Nobody outside compute/table includes this.
 *
 * Context: as delta.h. Memory: heap; JSON values are jansson's, counted by reference.
 */
#pragma once

#include <stdio.h>

#include "compute/table/delta.h"

#define DELTA_LOG_DIR     "_delta_log"
#define DELTA_NAME_MAX    64                   /* of a file of the log */
#define DELTA_COMMIT_MAX  (INT64_C(256) << 20) /* bytes of a commit file */
#define DELTA_DEPTH_MAX   32                   /* types within types */
#define DELTA_ID_SIZE     37                   /* a GUID as text */
#define DELTA_INDEXED_MAX 32           /* leaf columns with statistics, as Spark's default */
#define DELTA_PART        "part-"      /* data files: part-<write>-<file>.parquet */
#define DELTA_TEMPORARY   ".millrace-" /* files of the log that are not there yet */

/* ---- delta_text.c: messages, names in SQL, paths ---- */

/** Where a message for people goes. */
struct delta_error {
	char *text; /* [size] */
	size_t size;
};

/** Put the message there. @return `code` */
int delta_text_fail(struct delta_error *error, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/** Write a string literal, an identifier in quotes. */
void delta_text_literal(FILE *out, const char *text);
void delta_text_name(FILE *out, const char *name);
/** End a stream of open_memstream(). @return 0; -ENOMEM: *text is NULL then */
NODISCARD int delta_text_end(FILE *out, char **text);
/** @return caller frees; NULL: out of memory */
char *delta_text_uri_encode(const char *path);
/** @return caller frees; NULL: not valid, or out of memory */
char *delta_text_uri_decode(const char *uri);
/**
 * Path of a data file as the log has it, made plain: decoded, without file: and empty parts.
 *
 * @return 0; ERR_CORRUPT leaves the table; ERR_UNSUPPORTED on another kind of storage; -ENOMEM
 */
NODISCARD int delta_text_path(const char *uri, char **ret_path);
/** Random GUID. @param[out] ret_id  [DELTA_ID_SIZE] */
void delta_text_id(char *ret_id);
/** A value of a result as text. @return caller frees; NULL: null, or out of memory */
char *delta_text_value(struct duck_result *result, uint32_t column, uint32_t row);
/** Error for a status of the SQL engine. `message` tells a full disk. */
int delta_text_status(enum duck_status status, const char *message);

/* ---- delta_disk.c: files and folders ---- */

/** Make a folder and those above it, durably. @return 0; -errno */
NODISCARD int delta_disk_make_dir(const char *path);
/** fsync files and the folders from them up to `root`. `paths`: array of paths below root. @return 0; -errno */
NODISCARD int delta_disk_sync(const char *root, const json_t *paths);
NODISCARD int delta_disk_sync_dir(const char *path);
/** Read a whole file of the folder. @return size; ERR_TOO_LARGE; -errno */
NODISCARD int64_t delta_disk_load(int dir_fd, const char *name, int64_t size_max, char **ret_text);
/** Make a new file durable, not yet its name. On failure there is none. @return 0; -errno */
NODISCARD int delta_disk_store(int dir_fd, const char *name, const char *text, size_t size);

struct stat;
struct delta_disk_entry {
	int dir_fd;
	const char *name;
	const char *path; /* below the root */
	const struct stat *st;
};
/**
 * Visit every plain file below a table, in no order; not `_x` and `.x`, except folders of partitions. Follows
 * no links, so nothing outside is ever seen.
 *
 * @param visit  returns a number to add, or an error to stop
 * @return sum; -errno or visit's error
 */
NODISCARD int64_t delta_disk_walk(const char *root,
				  int (*visit)(void *context, const struct delta_disk_entry *entry),
				  void *context);
/** Remove data files whose name begins so; what cannot be removed stays for the vacuum. */
void delta_disk_discard(const char *root, const char *prefix);

/**
 * Called between the durable steps of a commit with the name of the step; tests set it to die there.
 * NULL otherwise.
 */
extern void (*delta_disk_step_hook)(const char *step);
static inline void delta_disk_step(const char *step)
{
	if (unlikely(delta_disk_step_hook != NULL))
		delta_disk_step_hook(step);
}

/* ---- delta_log.c: the files of a log and the actions in them ---- */

struct delta_log_part {
	int64_t version;
	uint32_t part, parts; /* 1 of 1: a single file */
};

struct delta_log {
	int fd;
	int64_t *commits; /* [commit_count] ascending */
	uint32_t commit_count;
	struct delta_log_part *checkpoints; /* [checkpoint_count] ascending */
	uint32_t checkpoint_count;
};

/** @return 0 to go on; else the error, with a message */
typedef int (*delta_log_visit)(void *context, const char *kind, json_t *body,
			       struct delta_error *error);

/** @param path  of the table. @return 0; -ENOENT no log, or an empty one where it may not be; -errno */
NODISCARD int delta_log_open(const char *path, bool may_be_empty, struct delta_log *ret_log,
			     struct delta_error *error);
void delta_log_close(struct delta_log *log);
/** Read the files that lie there now again. */
NODISCARD int delta_log_refresh(struct delta_log *log, struct delta_error *error);
bool delta_log_has(const struct delta_log *log, int64_t version);
/** Give the actions of a commit to the visitor. @return 0; -ENOENT; ERR_CORRUPT; the visitor's; -errno */
NODISCARD int delta_log_read(const struct delta_log *log, int64_t version, delta_log_visit visit,
			     void *context, struct delta_error *error);
/** The same of a commit's text; `name` for messages. */
NODISCARD int delta_log_parse(const char *name, const char *text, size_t size,
			      delta_log_visit visit, void *context, struct delta_error *error);
/** Name of a commit's file. @param[out] ret_name  [DELTA_NAME_MAX] */
void delta_log_name(int64_t version, char *ret_name);

/* ---- delta_state.c: what the actions add up to ---- */

struct delta_state {
	json_t *protocol;
	json_t *metadata;
	json_t *files;   /* plain path: add */
	json_t *tombs;   /* plain path: remove */
	json_t *txns;    /* appId: txn */
	int64_t version; /* of the actions being applied; -1: a checkpoint's */
};

NODISCARD int delta_state_init(struct delta_state *state);
void delta_state_free(struct delta_state *state);
/** A delta_log_visit whose context is the state. */
NODISCARD int delta_state_apply(void *state, const char *kind, json_t *body,
				struct delta_error *error);
/** Version of the commit that added a file. */
int64_t delta_state_added(const json_t *add);
/** @return 0; ERR_UNSUPPORTED a feature, named */
NODISCARD int delta_state_readable(const struct delta_state *state, struct delta_error *error);
NODISCARD int delta_state_writable(const struct delta_state *state, const json_t *schema,
				   struct delta_error *error);
/** A setting of the table. @return borrowed; NULL: not set */
const char *delta_state_setting(const struct delta_state *state, const char *name);

/* ---- delta_snapshot.c ---- */

struct delta_snapshot {
	char *path;
	int64_t version;
	struct delta_state state;
	json_t *schema;
	struct delta_file *files; /* [file_count] */
	uint32_t file_count;
};

/* ---- delta_schema.c: types of Delta and of SQL, growth of a schema ---- */

/** Write the SQL type of a Delta type. @return 0; ERR_UNSUPPORTED; ERR_CORRUPT */
NODISCARD int delta_schema_sql(const json_t *type, FILE *out, struct delta_error *error);
/** @return 0; ERR_CORRUPT, ERR_UNSUPPORTED with the column's name */
NODISCARD int delta_schema_parse(const char *text, json_t **ret_schema, struct delta_error *error);
/** Delta type of an SQL type as DESCRIBE writes it. @return 0; ERR_CONFIG */
NODISCARD int delta_schema_from_sql(const char *type, json_t **ret_type, struct delta_error *error);
/** Field of a struct type by name, as SQL compares names. @return borrowed; NULL: none */
json_t *delta_schema_field(const json_t *schema, const char *name);
const char *delta_schema_field_name(const json_t *field);
/**
 * The table's schema after rows with the query's came in.
 *
 * @param table       NULL: a new table
 * @param may_grow    columns the table lacks are added; else they are an error
 * @param[out] ret_schema  caller frees; ret_grown tells whether it differs from the table's
 * @return 0; ERR_CONFIG
 */
NODISCARD int delta_schema_grow(const json_t *table, const json_t *query, bool may_grow,
				json_t **ret_schema, bool *ret_grown, struct delta_error *error);
/** Whether a name is among an array of names, as SQL compares names. */
bool delta_schema_names(const json_t *names, const char *name);

/* ---- delta_stats.c ---- */

/** Data files whose statistics are wanted. */
struct delta_stats_files {
	const json_t *schema;
	const json_t *partitions; /* array of column names */
	const json_t *paths;      /* array of absolute paths */
	const int64_t *rows;      /* [count of paths] */
};

/**
 * Statistics of Parquet files, from their footers.
 *
 * @param[out] ret_stats  array of JSON texts, one per path; caller frees
 */
NODISCARD int delta_stats_read(struct duck *duck, const struct delta_stats_files *files,
			       json_t **ret_stats, struct delta_error *error);
/** @return numRecords of statistics; -1: not there */
int64_t delta_stats_rows(const char *stats);
/** Partition values of a file from the folders of its path, as our own writes name them; NULL: they do not fit. */
json_t *delta_stats_partition(const json_t *partitions, const char *path);

/* ---- delta_select.c ---- */

/**
 * SELECT of all columns of some of the files. With `file_column` not NULL that column has each row's file
 * as an absolute path.
 *
 * @param adds  object {plain path: add}
 * @return caller frees; NULL: out of memory
 */
char *delta_select_sql(const struct delta_snapshot *snapshot, const json_t *adds,
		       const char *file_column);

/* ---- delta_commit.c ---- */

/** What a writer made and read, for the commit. */
struct delta_commit {
	const char *path;
	const struct delta_write *write;
	const json_t *actions; /* array of {kind: body} in the order of the file */
	int64_t read_version;  /* the table was read at; -1: it was not there */
	bool is_blind;         /* nothing was read to make the rows */
};

/** @return 0; ERR_DUPLICATE; -EBUSY; may_commit()'s; -errno; ERR_CORRUPT */
NODISCARD int delta_commit_run(const struct delta_commit *commit, int64_t *ret_version,
			       uint32_t *ret_attempts, struct delta_error *error);
/** Whether the table has our txns already. @return 0; ERR_DUPLICATE */
NODISCARD int delta_commit_txns(const struct delta_write *write,
				const struct delta_snapshot *snapshot, struct delta_error *error);
/** Whether a txn is news, not a repetition of txns_before. */
bool delta_commit_txn_moves(const struct delta_write *write, uint32_t index);

/* ---- delta_checkpoint.c ---- */

/** Read the parts of a checkpoint into the state. */
NODISCARD int delta_checkpoint_read(const char *path, const struct delta_log_part *parts,
				    uint32_t count, struct duck *duck, struct delta_state *state,
				    struct delta_error *error);
/** Whether a version is to have a checkpoint, by the settings the table had `before`; NULL: it was not there. */
bool delta_checkpoint_is_due(const struct delta_snapshot *before, int64_t version);
/** Write the checkpoint of a version and tell readers of it. @return 0; -errno or error */
NODISCARD int delta_checkpoint_write(const char *path, int64_t version, struct duck *duck,
				     struct delta_error *error);

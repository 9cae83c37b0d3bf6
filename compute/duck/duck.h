/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * DuckDB, the SQL engine: the one place that knows its C API (loaded with dlopen; version checked).
 *
 * A `struct duck` is one database instance in memory with one connection: its memory limit, threads, spill
 * folder and poisoning are its own. SQL that takes the instance down (DUCK_POISONED) harms no other.
 * Settings of every instance: preserve_insertion_order=false,
 * disabled_optimizers=top_n_window_elimination, TimeZone=UTC, no extensions installed or loaded from
 * outside, external threads that are ours and pinned.
 *
 * Context: one thread per instance, but duck_interrupt() from any.
 * Memory: DuckDB's own allocator within memory_limit (in practice up to 1.6 times that).
 */
#pragma once

#include "base/defs.h"
#include "storage/partitions.h"

#include "compute/column.h"

struct duck;
struct duck_result;

enum duck_status {
	DUCK_OK = 0,
	DUCK_USER,        /* the SQL or its data are at fault: the same again fails again */
	DUCK_MEMORY,      /* over memory_limit, or the spill folder is full */
	DUCK_IO,          /* a file could not be read or written */
	DUCK_INTERRUPTED, /* duck_interrupt() */
	DUCK_POISONED,    /* the instance is unusable: close it, open another */
};

struct duck_config {
	int64_t memory_limit; /* bytes */
	uint32_t threads;     /* in all, the caller's among them */
	const uint32_t
		*cpus; /* [cpu_count] that extra threads are pinned to, in turn; NULL: not pinned */
	uint32_t cpu_count;
	const char *
		spill_dir; /* of this instance alone; made when missing, emptied at close; NULL: no spill */
	int64_t spill_max; /* bytes; 0: no limit */
	const char *const
		*dirs; /* [dir_count] folders that SQL may read and write; NULL: no limits */
	uint32_t dir_count;
};

/**
 * Load libduckdb once for the process: from MILLRACE_DUCKDB, beside the program (../lib), the source
 * tree's .cache/duckdb, or the system.
 *
 * @param[out] reterr  [reterr_size] what was looked for and the remedy
 * @return 0; -ENOENT; ERR_UNSUPPORTED version or a symbol
 */
NODISCARD int duck_load(char *reterr, size_t reterr_size);
const char *duck_version(void);

NODISCARD int duck_open(const struct duck_config *config, struct duck **ret_duck, char *reterr,
			size_t reterr_size);
void duck_close(struct duck *duck);
DEFINE_CLEANUP(struct duck, duck_close);

/**
 * Run statements to their end; several may be given, the result is the last one's. Results are held in memory:
 * LIMIT what is only looked at.
 *
 * @param[out] ret_result  NULL: not wanted; else freed with duck_result_free()
 * @param[out] reterr      [reterr_size] DuckDB's message
 */
NODISCARD enum duck_status duck_run(struct duck *duck, const char *sql,
				    struct duck_result **ret_result, char *reterr,
				    size_t reterr_size);
/** As duck_run() with SQL made by printf. */
NODISCARD enum duck_status duck_runf(struct duck *duck, struct duck_result **ret_result,
				     char *reterr, size_t reterr_size, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
/** End the statement under way, or the next one, with DUCK_INTERRUPTED. */
void duck_interrupt(struct duck *duck);

/* ---- results: chunks of rows; to be freed before the instance is closed ---- */

void duck_result_free(struct duck_result *result);
DEFINE_CLEANUP(struct duck_result, duck_result_free);
uint32_t duck_result_columns(const struct duck_result *result);
const char *duck_result_name(const struct duck_result *result, uint32_t column);
/** @return DuckDB's name of the type: "BIGINT", "DECIMAL(10,2)", "STRUCT(a INTEGER)" */
const char *duck_result_type(const struct duck_result *result, uint32_t column);
/** Load the next chunk. @return its rows; 0: the end */
uint32_t duck_result_chunk(struct duck_result *result);
/**
 * A value of the present chunk as text in the form of CAST(x AS VARCHAR).
 *
 * @param[out] ret_size  bytes
 * @return NULL for null; else borrowed until the next call on this result
 */
const char *duck_result_text(struct duck_result *result, uint32_t column, uint32_t row,
			     size_t *ret_size);
bool duck_result_is_null(struct duck_result *result, uint32_t column, uint32_t row);
/** @return value of an integer or boolean column; 0 for null and other types */
int64_t duck_result_integer(struct duck_result *result, uint32_t column, uint32_t row);
/** @return rows changed by COPY, INSERT; 0 for others */
int64_t duck_result_changed(const struct duck_result *result);

/* ---- names in SQL ---- */

/**
 * Names of the tables that statements read, qualified as written but without quotes ("bronze.flights"), each
 * once. Nothing is bound: tables need not exist. Of statements that the parser cannot show (PIVOT, UPDATE) any
 * name with dots is taken, so there may be more names than tables.
 *
 * @param[out] ret_names  [*ret_count] caller frees with duck_names_free()
 */
NODISCARD enum duck_status duck_table_names(struct duck *duck, const char *sql, char ***ret_names,
					    uint32_t *ret_count, char *reterr, size_t reterr_size);
void duck_names_free(char **names, uint32_t count);
/**
 * Of several statements the first and the last one.
 *
 * @param[out] ret_size  its bytes, without the semicolon; 0: there is no statement
 * @return where it begins in `sql`
 */
const char *duck_first_statement(const char *sql, size_t *ret_size);
const char *duck_last_statement(const char *sql, size_t *ret_size);
/** Write `text` as an SQL string literal with quotes to out [size >= 2 * strlen(text) + 3]. @return out */
char *duck_quote(const char *text, char *out, size_t size);
/** The same for an identifier. */
char *duck_quote_name(const char *name, char *out, size_t size);

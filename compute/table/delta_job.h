/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One write under way: what delta_write() and its parts share.
 *
 * Context: as delta.h. Memory: the job's values belong to it.
 */
#pragma once

#include "compute/table/delta_impl.h"

struct delta_job {
	struct duck *duck;
	const struct delta_write *write;
	struct delta_snapshot *snapshot; /* NULL: the table is new */
	enum duck_status status;
	struct delta_error error;
	char prefix[DELTA_ID_SIZE + sizeof(DELTA_PART)]; /* of this write's data files */
	json_t *query;                                   /* struct type of the query's columns */
	json_t *schema;     /* struct type of the table after this write */
	json_t *partitions; /* array of names */
	bool is_grown;
	json_t *paths;     /* data files written, below the table */
	json_t *adds;      /* array of add */
	json_t *removes;   /* array of remove */
	json_t *kept;      /* files that go and have rows that stay: {plain path: add} */
	bool is_committed; /* the data files belong to the table */
	int64_t rows;
	int64_t bytes;
};

/* ---- delta_plan.c: what the query gives, and whether that fits the table ---- */

/** Run SQL, which is freed; NULL: out of memory. @return 0; error by the engine's status, with its message */
NODISCARD int delta_plan_run(struct delta_job *job, char *sql, struct duck_result **ret_result);
/** Write a query as a table in brackets. */
void delta_plan_put_query(FILE *out, const char *query);
/** Fill in `query`. */
NODISCARD int delta_plan_describe(struct delta_job *job);
/** Fill in `schema`, `partitions`, `is_grown`. @return 0; ERR_CONFIG; ERR_UNSUPPORTED */
NODISCARD int delta_plan_fit(struct delta_job *job);

/* ---- delta_copy.c: rows into data files ---- */

typedef int (*delta_copy_put)(struct delta_job *job, FILE *out);

/** Write a SELECT of the table's columns FROM; the columns of `source` by name, null for others. */
NODISCARD int delta_copy_put_rows(struct delta_job *job, FILE *out, const json_t *source);
/** The rows that the write's query adds to the table. */
NODISCARD int delta_copy_put_source(struct delta_job *job, FILE *out);
/** Write a SELECT's rows into data files; adds to `paths`, `adds`, `bytes`. @return rows; an error */
NODISCARD int64_t delta_copy_files(struct delta_job *job, delta_copy_put put);

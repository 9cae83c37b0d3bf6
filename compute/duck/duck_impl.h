/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The inside of an instance, for the files of this folder.
 *
 * Context: as duck.h. Memory: as duck.h.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "compute/column.h"
#include "compute/duck/duck.h"
#include "compute/duck/duck_api.h"

#define DUCK_ERROR_MAX 1024

struct topics;

struct duck {
	duckdb_handle database;
	duckdb_handle connection;
	duckdb_handle side; /* connection that casts results to text */
	duckdb_handle tasks;
	pthread_t *workers; /* [worker_count] */
	uint32_t worker_count;
	char *spill_dir;
	atomic_bool is_interrupted;
	struct duck_result *shown; /* what duck_result_function() presents */
	struct topics *topics;     /* NULL: not registered */
};

/** @param message  DuckDB's, which begins with the kind of error */
enum duck_status duck_classify(const struct duck *duck, const char *message);

/** @return whether all of it is SQL by its syntax */
enum duck_status duck_check(struct duck *duck, const char *sql, char *reterr, size_t reterr_size);

/** Take over `*result`. @return NULL: no memory, result destroyed */
struct duck_result *duck_result_new(struct duck *duck, struct duckdb_result *result);
/** Register the function by which a chunk of a result is read again, to be cast. @return 0; ERR_UNSUPPORTED */
NODISCARD int duck_result_register(struct duck *duck);

/* ---- of topics.c ---- */

/** The statement that begins has no error of a topic yet. */
void topics_begin(struct topics *topics);
/**
 * @param[out] reterr  [reterr_size] the sentence of the first error within topic(), unless there was none
 * @return its class; DUCK_OK: there was none
 */
enum duck_status topics_error(struct topics *topics, char *reterr, size_t reterr_size);
void topics_free(struct topics *topics);

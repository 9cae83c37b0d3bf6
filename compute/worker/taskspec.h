/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A start message (compute/task.h), judged and made typed.
 *
 * Context: any thread. Memory: heap; texts are the message's own.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "compute/table/delta.h"

#define TASKSPEC_LIST_MAX 64 /* columns of a key, of partitions */

enum taskspec_kind {
	TASKSPEC_SQL,
	TASKSPEC_CHECK,
	TASKSPEC_QUERY,
	TASKSPEC_TABLES,
	TASKSPEC_TABLE,
};

enum taskspec_read { TASKSPEC_ALL, TASKSPEC_CHANGED, TASKSPEC_NEW };

struct taskspec {
	json_t *message; /* reference */
	int64_t attempt;
	enum taskspec_kind kind;
	const char *dag, *task, *run; /* "" for ad-hoc work */
	int64_t try_number;
	const char *log, *fence;             /* NULL: none */
	const json_t *mask;                  /* array; NULL: none */
	int64_t memory, threads, timeout_ms; /* 0: the worker's defaults */
	const json_t *topics;                /* object; NULL: none */
	const char *sql;                     /* of SQL, QUERY; with ".sql" read from there */
	const json_t *reads;                 /* object of text; NULL: none */
	const char *writes;                  /* NULL: none */
	enum delta_mode mode;
	const char *key[TASKSPEC_LIST_MAX];
	const char *partition_by[TASKSPEC_LIST_MAX];
	uint32_t key_count, partition_count;
	const char *replace_where; /* NULL: none */
	bool merge_schema;
	bool skips_lost;  /* "on_lost": "skip": go on behind what retention took */
	const char *hash; /* "" none */
	int64_t limit;
	const json_t *checks; /* array, of CHECK */
	const char *table;    /* of TABLE */
};

/**
 * @param message      borrowed: the specification takes a reference
 * @param[out] reterr  [reterr_size] which field is wrong and what is allowed
 * @return 0; ERR_CONFIG; -ENOMEM
 */
NODISCARD int taskspec_parse(json_t *message, struct taskspec **ret_spec, char *reterr,
			     size_t reterr_size);
void taskspec_free(struct taskspec *spec);
DEFINE_CLEANUP(struct taskspec, taskspec_free);

/** How an input is read; names that are not listed: TASKSPEC_ALL. */
enum taskspec_read taskspec_read(const struct taskspec *spec, const char *name);

/** @return whether it is "schema.table", each a letter or _, then letters, digits, _ or - */
bool taskspec_is_table(const char *name);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The inside of topic(): what an instance knows of topics, for topics.c, topics_bind.c and topics_fill.c.
 *
 * Context: the lock covers what several threads of a query write: bad records, the error, scans that are
 * opened. Memory: as topics.h.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "compute/decode/json.h"
#include "compute/duck/duck_impl.h"
#include "compute/duck/topics.h"

#define TOPICS_SENTENCE_MAX 1024

/** Columns that every topic has, in this order; those of its schema follow. */
enum topics_own {
	TOPICS_OFFSET, /* first: count(*) asks for the first column */
	TOPICS_PARTITION,
	TOPICS_TIMESTAMP,
	TOPICS_TOPIC,
	TOPICS_KEY,
	TOPICS_HEADERS,
	TOPICS_VALUE,
	TOPICS_OWN_COUNT,
};

struct topics_entry {
	struct topics_entry *next;
	char name[PARTITIONS_TOPIC_MAX];
	struct schema *schema;          /* NULL: none declared */
	struct topicscan_range *ranges; /* [range_count] */
	uint32_t range_count;
	bool keep_bad;
	struct topicscan *scan; /* NULL: not used so far */
};

struct topics {
	struct duck *duck;
	char *log_dir;
	const struct partitions *table;
	struct topics_entry *entries;
	pthread_mutex_t lock;
	int error; /* of the statement under way; 0: none */
	char sentence[TOPICS_SENTENCE_MAX];
	struct topics_bad *bad; /* [bad_count] */
	uint32_t bad_count, bad_room;
	uint64_t bad_size; /* bytes */
	_Atomic int64_t records, bytes, bads, records_total;
};

/** One topic() of a statement. */
struct topics_table {
	struct topics *topics;
	char name[PARTITIONS_TOPIC_MAX];
	const struct schema *schema; /* NULL: no columns of its own */
	struct schema *own_schema;   /* by the parameter `columns` */
	const struct topicscan *scan;
	struct topicscan *own_scan; /* with bounds of its own, or not declared */
	bool keep_bad;
};

/** Note the statement's first error. */
void topics_fail(struct topics *topics, int error, const char *sentence);
/** @return 0; ERR_TOO_LARGE more than TOPICS_BAD_MAX; -ENOMEM */
NODISCARD int topics_keep(struct topics *topics, const char *topic,
			  const struct topicscan_record *record, const char *reason);
/** @return what is declared of a topic; NULL: nothing */
struct topics_entry *topics_find(struct topics *topics, const char *name);

/* callbacks of the table function */
void topics_bind(duckdb_handle info);
void topics_init(duckdb_handle info);
void topics_init_local(duckdb_handle info);
void topics_fill(duckdb_handle info, duckdb_handle chunk);

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "orchestrate/store_impl.h"

struct query {
	sqlite3_stmt *statement;
	int bound;
};

static void query_close(struct query *query)
{
	(void)sqlite3_finalize(query->statement);
}

static struct query query_begin(struct store *store, const char *sql)
{
	struct query query = { 0 };

	(void)sqlite3_prepare_v2(store->reader, sql, -1, &query.statement, NULL);
	return query;
}

static void query_text(struct query *query, const char *value)
{
	(void)sqlite3_bind_text(query->statement, ++query->bound, value, -1, SQLITE_TRANSIENT);
}

static void query_integer(struct query *query, int64_t value)
{
	(void)sqlite3_bind_int64(query->statement, ++query->bound, value);
}

/** @return 1 a row; 0 the end; ERR_CORRUPT, -EIO */
static int query_step(struct query *query)
{
	int result = query->statement != NULL ? sqlite3_step(query->statement) : SQLITE_ERROR;

	if (result == SQLITE_ROW)
		return 1;
	if (result == SQLITE_DONE)
		return 0;
	result &= 0xff;
	return result == SQLITE_CORRUPT || result == SQLITE_NOTADB ? ERR_CORRUPT : -EIO;
}

static const char *column(const struct query *query, int at)
{
	return (const char *)sqlite3_column_text(query->statement, at);
}

static int64_t number(const struct query *query, int at)
{
	return sqlite3_column_int64(query->statement, at);
}

static json_t *column_json(const struct query *query, int at)
{
	const char *value = column(query, at);

	return value != NULL ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
}

int store_each_dag(struct store *store, int (*visit)(void *context, const struct store_dag *dag),
		   void *context)
{
	CLEANUP(query_close)
	struct query query = query_begin(
		store, "SELECT id,version,folder,is_paused,last_logical IS NOT NULL,last_logical,"
		       "last_begin,last_end,last_run_after FROM dag WHERE version<>'' ORDER BY id");
	int result;

	while ((result = query_step(&query)) == 1) {
		const struct store_dag dag = {
			.id = column(&query, 0),
			.version = column(&query, 1),
			.folder = column(&query, 2),
			.is_paused = number(&query, 3) != 0,
			.has_last = number(&query, 4) != 0,
			.last = { number(&query, 5), number(&query, 6), number(&query, 7),
				  number(&query, 8) },
		};

		result = visit(context, &dag);
		if (result != 0)
			return result;
	}
	return result;
}

static void free_run(struct store_run *run)
{
	for (uint32_t i = 0; i < run->ti_count; i++) {
		free((void *)(uintptr_t)run->tis[i].task);
		free(run->tis[i].ti.message);
		json_decref(run->tis[i].ti.result);
	}
	free(run->tis);
	free(run->run.note);
	json_decref(run->run.conf);
}

static char *copy(const char *value)
{
	return value != NULL ? strdup(value) : NULL;
}

static void read_ti(const struct query *query, struct store_ti *ret)
{
	*ret = (struct store_ti){
		.task = copy(column(query, 0)),
		.ti = {
			.state = (enum ti_state)number(query, 1),
			.try_number = (uint32_t)number(query, 2),
			.max_tries = (uint32_t)number(query, 3),
			.lost = (uint32_t)number(query, 4),
			.attempt = number(query, 5),
			.scheduled_us = number(query, 6),
			.queued_us = number(query, 7),
			.start_us = number(query, 8),
			.end_us = number(query, 9),
			.next_us = number(query, 10),
			.first_poke_us = number(query, 11),
			.is_cancelling = number(query, 12) != 0,
			.is_clearing = number(query, 13) != 0,
			.message = copy(column(query, 14)),
			.result = column_json(query, 15),
		},
	};
}

static int read_tis(struct store *store, struct store_run *run)
{
	CLEANUP(query_close)
	struct query query = query_begin(
		store,
		"SELECT task,state,try,max_tries,lost,attempt,scheduled_us,queued_us,start_us,"
		"end_us,next_us,first_poke_us,is_cancelling,is_clearing,message,result FROM ti"
		" WHERE dag_id=?1 AND run_id=?2");
	uint32_t capacity = 0;
	int result;

	query_text(&query, run->dag_id);
	query_text(&query, run->run.id);
	while ((result = query_step(&query)) == 1) {
		if (run->ti_count == capacity) {
			uint32_t wanted = MAX(16U, capacity * 2);
			struct store_ti *grown = reallocarray(run->tis, wanted, sizeof(*grown));

			if (grown == NULL)
				return -ENOMEM;
			run->tis = grown;
			capacity = wanted;
		}
		read_ti(&query, &run->tis[run->ti_count]);
		if (run->tis[run->ti_count++].task == NULL)
			return -ENOMEM;
	}
	return result;
}

#define RUN_COLUMNS                                                                                \
	"SELECT dag_id,id,version,type,state,logical_us,begin_us,until_us,run_after_us,queued_us," \
	"start_us,end_us,is_stopping,conf,note FROM run AS r "

static int visit_run(struct store *store, const struct query *query,
		     int (*visit)(void *context, const struct store_run *run), void *context)
{
	CLEANUP(free_run) struct store_run run = {
		.dag_id = column(query, 0),
		.version = column(query, 2),
		.run = {
			.type = (enum run_type)number(query, 3),
			.state = (enum run_state)number(query, 4),
			.slot = { number(query, 5), number(query, 6), number(query, 7),
				  number(query, 8) },
			.queued_us = number(query, 9),
			.start_us = number(query, 10),
			.end_us = number(query, 11),
			.is_stopping = number(query, 12) != 0,
			.conf = column_json(query, 13),
			.note = copy(column(query, 14)),
		},
	};
	int error;

	(void)snprintf(run.run.id, sizeof(run.run.id), "%s", column(query, 1));
	error = read_tis(store, &run);
	return error != 0 ? error : visit(context, &run);
}

static int visit_runs(struct store *store, struct query *query,
		      int (*visit)(void *context, const struct store_run *run), void *context)
{
	int result;

	while ((result = query_step(query)) == 1) {
		result = visit_run(store, query, visit, context);
		if (result != 0)
			return result;
	}
	return result;
}

int store_each_run(struct store *store, const char *dag_id, uint32_t newest,
		   int (*visit)(void *context, const struct store_run *run), void *context)
{
	CLEANUP(query_close)
	struct query query = query_begin(
		store, RUN_COLUMNS
		"WHERE dag_id=?1 AND (state<2 OR number IN (SELECT number FROM run WHERE dag_id=?1"
		" ORDER BY queued_us DESC, number DESC LIMIT ?2)) ORDER BY queued_us DESC, number DESC");

	query_text(&query, dag_id);
	query_integer(&query, newest);
	return visit_runs(store, &query, visit, context);
}

int store_each_expired(struct store *store, int64_t before_us,
		       int (*visit)(void *context, const struct store_run *run), void *context)
{
	CLEANUP(query_close)
	struct query query = query_begin(store, RUN_COLUMNS "WHERE state>=2 AND end_us<?1");

	query_integer(&query, before_us);
	return visit_runs(store, &query, visit, context);
}

int store_find_run(struct store *store, const char *dag_id, const char *run_id,
		   int (*visit)(void *context, const struct store_run *run), void *context)
{
	CLEANUP(query_close)
	struct query query = query_begin(store, RUN_COLUMNS "WHERE dag_id=?1 AND id=?2");
	int result;

	query_text(&query, dag_id);
	query_text(&query, run_id);
	result = query_step(&query);
	if (result != 1)
		return result == 0 ? -ENOENT : result;
	return visit_run(store, &query, visit, context);
}

int store_each_try(struct store *store, const char *dag_id, const char *run_id, const char *task,
		   int (*visit)(void *context, const struct store_try *try), void *context)
{
	CLEANUP(query_close)
	struct query query =
		query_begin(store, "SELECT try,attempt,state,start_us,end_us,message FROM ti_try"
				   " WHERE dag_id=?1 AND run_id=?2 AND task=?3 ORDER BY try");
	int result;

	query_text(&query, dag_id);
	query_text(&query, run_id);
	query_text(&query, task);
	while ((result = query_step(&query)) == 1) {
		const struct store_try try = {
			.try_number = (uint32_t)number(&query, 0),
			.attempt = number(&query, 1),
			.state = (enum ti_state)number(&query, 2),
			.start_us = number(&query, 3),
			.end_us = number(&query, 4),
			.message = column(&query, 5),
		};

		result = visit(context, &try);
		if (result != 0)
			return result;
	}
	return result;
}

int store_each_pool(struct store *store,
		    int (*visit)(void *context, const char *name, uint32_t slots), void *context)
{
	CLEANUP(query_close)
	struct query query = query_begin(store, "SELECT name,slots FROM pool ORDER BY name");
	int result;

	while ((result = query_step(&query)) == 1) {
		result = visit(context, column(&query, 0), (uint32_t)number(&query, 1));
		if (result != 0)
			return result;
	}
	return result;
}

int store_each_secret(struct store *store, const char *kind,
		      int (*visit)(void *context, const char *name, const void *bytes, size_t size),
		      void *context)
{
	CLEANUP(query_close)
	struct query query =
		query_begin(store, "SELECT name,bytes FROM secret WHERE kind=?1 ORDER BY name");
	int result;

	query_text(&query, kind);
	while ((result = query_step(&query)) == 1) {
		result = visit(context, column(&query, 0), sqlite3_column_blob(query.statement, 1),
			       (size_t)sqlite3_column_bytes(query.statement, 1));
		if (result != 0)
			return result;
	}
	return result;
}

int store_each_version(struct store *store, const char *dag_id,
		       int (*visit)(void *context, const char *version, int64_t applied_us),
		       void *context)
{
	CLEANUP(query_close)
	struct query query =
		query_begin(store, "SELECT version,applied_us FROM dag_version WHERE dag_id=?1"
				   " ORDER BY applied_us DESC, number DESC");
	int result;

	query_text(&query, dag_id);
	while ((result = query_step(&query)) == 1) {
		result = visit(context, column(&query, 0), number(&query, 1));
		if (result != 0)
			return result;
	}
	return result;
}

int store_files(struct store *store, const char *dag_id, const char *version, json_t **ret_files)
{
	CLEANUP(query_close)
	struct query query =
		query_begin(store, "SELECT files FROM dag_version WHERE dag_id=?1 AND version=?2");
	json_t *files;
	int result;

	query_text(&query, dag_id);
	query_text(&query, version);
	result = query_step(&query);
	if (result != 1)
		return result == 0 ? -ENOENT : result;
	files = column_json(&query, 0);
	if (files == NULL)
		return ERR_CORRUPT;
	*ret_files = files;
	return 0;
}

int64_t store_next_attempt(struct store *store)
{
	CLEANUP(query_close)
	struct query query = query_begin(store, "SELECT value FROM counter WHERE name='attempt'");

	return query_step(&query) == 1 ? number(&query, 0) + 1 : 1;
}

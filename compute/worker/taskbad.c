/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/taskbad.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/scan/topicscan.h"
#include "compute/worker/taskplan.h"

#define TABLE           "millrace_bad"
#define STATEMENT_BYTES (512U << 10) /* of records in one INSERT */

/** Bad records of one topic on their way into one table. */
struct batch_out {
	struct taskjob *job;
	const char *topic;
	const char *table;
	struct uuid topic_id;
	const struct delta_snapshot *snapshot; /* NULL: the table does not exist yet */
	struct delta_txn *txns; /* [txn_count] one for each partition with bad records */
	int64_t *before;
	uint32_t *partitions;
	uint32_t txn_count;
	FILE *sql;
	char *sql_text;
	size_t sql_size;
	uint64_t rows, statement_rows;
};

static int out_of_memory(struct batch_out *out)
{
	(void)taskjob_fail(out->job, "memory", "no memory for the bad records of %s", out->topic);
	return -ENOMEM;
}

/** The txn of a partition, made at its first bad record. @return NULL: no memory */
static struct delta_txn *find_txn(struct batch_out *out, uint32_t partition, int64_t *ret_before)
{
	struct delta_txn *txn;

	for (uint32_t i = 0; i < out->txn_count; i++) {
		if (out->partitions[i] == partition) {
			*ret_before = out->before[i];
			return &out->txns[i];
		}
	}
	if (out->txn_count % 64 == 0) {
		const size_t room = out->txn_count + 64;
		struct delta_txn *txns = reallocarray(out->txns, room, sizeof(*txns));
		int64_t *before = reallocarray(out->before, room, sizeof(*before));
		uint32_t *partitions = reallocarray(out->partitions, room, sizeof(*partitions));

		out->txns = txns != NULL ? txns : out->txns;
		out->before = before != NULL ? before : out->before;
		out->partitions = partitions != NULL ? partitions : out->partitions;
		if (txns == NULL || before == NULL || partitions == NULL)
			return NULL;
	}
	txn = &out->txns[out->txn_count];
	taskplan_app_id(out->job->spec, &out->topic_id, partition, txn->app_id);
	txn->version = out->snapshot != NULL ? delta_txn(out->snapshot, txn->app_id) : -1;
	out->before[out->txn_count] = txn->version;
	out->partitions[out->txn_count++] = partition;
	*ret_before = txn->version;
	return txn;
}

/* ---- into a temporary table ---- */

static int run_statement(struct batch_out *out)
{
	int result = 0;

	if (out->statement_rows == 0)
		return 0;
	if (fclose(out->sql) != 0 || out->sql_text == NULL) {
		out->sql = NULL;
		return out_of_memory(out);
	}
	out->sql = NULL;
	out->statement_rows = 0;
	result = taskjob_sql(out->job, out->sql_text, NULL);
	free(out->sql_text);
	out->sql_text = NULL;
	return result == 0 ? 0 : ERR_MALFORMED;
}

static void put_quoted(FILE *file, const char *text)
{
	(void)fputc('\'', file);
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			(void)fputc('\'', file);
		(void)fputc(*text, file);
	}
	(void)fputc('\'', file);
}

static void put_row(struct batch_out *out, const struct topics_bad *bad)
{
	static const char digits[] = "0123456789ABCDEF";

	(void)fprintf(out->sql, "%s(%u,%" PRId64 ",%" PRId64 ",",
		      out->statement_rows > 0 ? "," : "INSERT INTO temp." TABLE " VALUES ",
		      bad->partition, bad->offset, bad->timestamp_ms);
	put_quoted(out->sql, bad->reason);
	if (bad->value == NULL) {
		(void)fputs(",NULL)", out->sql);
	} else {
		(void)fputs(",unhex('", out->sql);
		for (uint32_t i = 0; i < bad->value_size; i++) {
			(void)fputc(digits[bad->value[i] >> 4], out->sql);
			(void)fputc(digits[bad->value[i] & 15], out->sql);
		}
		(void)fputs("'))", out->sql);
	}
	out->statement_rows++;
	out->rows++;
}

static int add_record(struct batch_out *out, const struct topics_bad *bad)
{
	int64_t before;
	struct delta_txn *txn = find_txn(out, bad->partition, &before);

	if (txn == NULL)
		return out_of_memory(out);
	if (bad->offset < before)
		return 0; /* there already */
	txn->version = MAX(txn->version, bad->offset + 1);
	if (out->sql == NULL) {
		out->sql = open_memstream(&out->sql_text, &out->sql_size);
		if (out->sql == NULL)
			return out_of_memory(out);
	}
	put_row(out, bad);
	return ftell(out->sql) > (long)STATEMENT_BYTES ? run_statement(out) : 0;
}

/* ---- into the table ---- */

static int commit(struct batch_out *out, const char *path)
{
	char query[2048], topic[2 * PARTITIONS_TOPIC_MAX + 8], dag[2 * 256 + 8], run[2 * 256 + 8];
	char message[TASKJOB_MESSAGE_MAX] = "", dag_name[256], run_name[256];
	enum duck_status status = DUCK_OK;
	struct delta_written written;
	struct delta_write write = {
		.path = path,
		.query = query,
		.mode = DELTA_APPEND,
		.txns = out->txns,
		.txns_before = out->before,
		.txn_count = out->txn_count,
		.operation = "WRITE",
	};
	int error;

	(void)snprintf(dag_name, sizeof(dag_name), "%s", out->job->spec->dag);
	(void)snprintf(run_name, sizeof(run_name), "%s", out->job->spec->run);
	(void)snprintf(query, sizeof(query),
		       "SELECT %s::VARCHAR AS topic, \"partition\", \"offset\", "
		       "epoch_ms(\"timestamp\")::TIMESTAMPTZ AS \"timestamp\", reason, \"value\", "
		       "%s::VARCHAR AS dag, %s::VARCHAR AS run_id FROM temp." TABLE,
		       duck_quote(out->topic, topic, sizeof(topic)),
		       duck_quote(dag_name, dag, sizeof(dag)),
		       duck_quote(run_name, run, sizeof(run)));
	error = delta_write(out->job->duck, &write, &written, &status, message, sizeof(message));
	if (error == ERR_DUPLICATE || error == -EBUSY)
		return error;
	if (error != 0)
		(void)taskjob_fail_delta(out->job, error, status, out->table, message);
	return error;
}

static int write_topic(struct batch_out *out, const struct topics_bad *bad, uint32_t count)
{
	CLEANUP(delta_closep) struct delta_snapshot *snapshot = NULL;
	char path[PATH_MAX], message[TASKJOB_MESSAGE_MAX] = "";
	int error;

	if (!taskjob_table_path(out->job->config, out->table, path, sizeof(path)) ||
	    taskplan_topic_id(out->job->table, out->topic, &out->topic_id) != 0) {
		(void)taskjob_fail(out->job, "io", "topic %s is gone", out->topic);
		return ERR_UNKNOWN;
	}
	error = delta_open(path, DELTA_VERSION_NEWEST, out->job->duck, &snapshot, message,
			   sizeof(message));
	if (error != 0 && error != -ENOENT) {
		(void)taskjob_fail_delta(out->job, error, DUCK_OK, out->table, message);
		return error;
	}
	error = 0;
	out->snapshot = snapshot;
	if (taskjob_sql(out->job,
			"CREATE OR REPLACE TEMP TABLE " TABLE
			" (\"partition\" INTEGER, \"offset\" BIGINT, \"timestamp\" BIGINT, "
			"reason VARCHAR, \"value\" BLOB)",
			NULL) != 0)
		return ERR_MALFORMED;
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(bad[i].topic, out->topic) != 0)
			continue;
		error = add_record(out, &bad[i]);
		if (error != 0)
			return error;
	}
	error = run_statement(out);
	if (error == 0 && out->rows > 0)
		error = commit(out, path);
	if (error == 0 && out->rows > 0)
		attemptlog_line(out->job->log, "warning",
				"%" PRIu64 " bad records of %s are in table %s", out->rows,
				out->topic, out->table);
	return error;
}

int taskbad_write(struct taskjob *job)
{
	uint32_t count;
	const struct topics_bad *kept = topics_bad(job->duck, &count);
	struct topics_bad *bad; /* the list is good until the next statement, its records longer */
	const json_t *topic;
	const char *name;
	int error = 0;

	if (count == 0)
		return 0;
	bad = calloc(count, sizeof(*bad));
	if (bad == NULL) {
		(void)taskjob_fail(job, "memory", "no memory for %u bad records", count);
		return -ENOMEM;
	}
	memcpy(bad, kept, count * sizeof(*bad));
	json_object_foreach((json_t *)(uintptr_t)job->spec->topics, name, topic)
	{
		struct batch_out out = {
			.job = job,
			.topic = name,
			.table = json_string_value(json_object_get(topic, "quarantine")),
		};

		if (out.table == NULL || error != 0)
			continue;
		error = write_topic(&out, bad, count);
		if (out.sql != NULL)
			(void)fclose(out.sql);
		free(out.sql_text);
		free(out.txns);
		free(out.before);
		free(out.partitions);
	}
	free(bad);
	return error;
}

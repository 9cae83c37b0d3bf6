/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The task interface: what control says to a worker, and hears.
 *
 * The worker listens on the unix stream socket task_socket_path(); control connects. Each side sends JSON
 * objects, one a line (compact, no newline inside), at most TASK_LINE_MAX bytes. Unknown fields are
 * ignored; an unknown op is answered {"op":"error"}. Attempts outlive the connection: after a reconnect the hello
 * tells which run and which ended unacknowledged.
 *
 * Control to worker:
 *   {"op":"hello","version":1}
 *   {"op":"start","attempt":17,"kind":"sql|check|query|tables|table", ...}   attempt: unique number, see below;
 *       of query, tables and table a negative one, forgotten with the connection
 *   {"op":"cancel","attempt":17}        ends at once with outcome "cancelled"
 *   {"op":"forget","attempt":17}        the outcome was taken over and is durable
 * Worker to control:
 *   {"op":"hello","version":1,"pid":99,"slots":2,"duckdb":"v1.5.6","attempts":[
 *       {"attempt":17,"state":"running"},{"attempt":16,"state":"done", ...as in done}]}
 *   {"op":"progress","attempt":17,"records":n,"total":n,"bytes":n,"bad":n}    at most once a second
 *   {"op":"done","attempt":17,"outcome":"success|failed|cancelled","reason":"user|memory|io|worker|
 *       conflict|fenced|retention|schema|check|timeout","message":"for people: what, and what to do",
 *       "seconds":0.12,"result":{...}}
 *   {"op":"error","message":"..."}
 *
 * Common to all kinds of start:
 *   "dag","task","run" text, "try" number           for logs and commitInfo; absent for ad-hoc queries
 *   "log": path                                      NDJSON lines {"timestamp","level","event"} are appended
 *   "fence": path                                    see task_fence_*(); absent: none
 *   "mask": [text]                                   secrets, shown as *** in the log and in messages
 *   "memory": bytes, "threads": n, "timeout_ms": n   0 or absent: the worker's defaults
 *   "topics": {"raw.flights": {"columns": {...as in decode/schema.h}, "quarantine": "bronze.bad"}}
 *
 * kind sql:
 *   "sql": text (templates already rendered; several statements allowed, the last is the query)
 *   "reads": {"raw.flights":"new","silver.x":"all|changed|new"}
 *       new      topic: offsets after those of the target's txn, up to the watermark; table: files that commits
 *                after that of the target's txn added (inserts only; else reason "schema" tells)
 *       changed  the whole table, but when no `new` or `changed` input moved there is nothing to do
 *       all      the whole, whenever; the default for names that are not listed
 *   "writes": "silver.flights", "mode": "append|overwrite|replace_where|merge", "key": [..],
 *   "partition_by": [..], "replace_where": text, "merge_schema": bool
 *   "hash": text of the task's definition: `changed` inputs count as moved when it is another one
 *   "limit": n   records of a topic per attempt (0: none)
 *   "on_lost": "skip"   go on behind records that retention took before they were read; else reason "retention"
 *   Without "writes" the query's first rows (up to 100) become the result.
 *   result: {"rows":n,"bytes":n,"version":n,"nothing_new":bool,"bad":n,"read":{"raw.flights":
 *       {"records":n,"ranges":[[partition,begin,end],..]},"bronze.flights":{"from":v,"to":v,"rows":n}}}
 *       or {"columns":[{"name","type"}],"data":[[..]],"rows":n}
 * kind check:
 *   "checks":[{"name":text,"sql":text,"expect":"> 0|= 0|between 1 and 9|none|...","severity":"error|warn"}]
 *       expect with a comparison: the query's one value; "none": the query's rows are the offenders
 *   result: {"checks":[{"name","passed":bool,"severity","value","message","rows":[[..]]}]}
 *   A check of severity error that does not hold: outcome failed, reason check, message names rule and rows.
 * kind query:
 *   "sql", "limit": rows; reads everything, writes nothing
 *   result: {"columns":[{"name","type"}],"data":[[text or null]],"rows":n,"truncated":bool}
 * kind tables: no fields. Every Delta table below tables.dir
 *   result: {"tables":[{"name":"bronze.flights","version":n,"rows":n or null,"bytes":n,"files":n,
 *       "updated_at":"2026-01-01T00:00:00.000000Z"}]}   a damaged one: {"name","error"}
 * kind table:
 *   "table":"bronze.flights"
 *   result: as one of `tables`, and "schema":[{"name","type","nullable"}], "partition_columns":[text],
 *       "history":[{"version","timestamp","operation","parameters","metrics"}] newest first, up to 100
 *
 * Exactly once: the txn of a topic partition has appId "<dag>/<task>/<topic id>/<partition>", version = next
 * offset; of a table "<dag>/<task>/table/<table id>" version = last version read. They are committed with
 * the rows. The quarantine table takes the same in a commit of its own, before.
 *
 * Tables: "bronze.flights" is the folder <tables.dir>/bronze/flights; SQL names it so.
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

#define TASK_LINE_MAX   (8U << 20)
#define TASK_VERSION    1
#define TASK_NAME_MAX   250
#define TASK_RESULT_MAX (1U << 20) /* bytes of a result */

/** "<run_dir>/worker.sock". @return 0; ERR_TOO_LARGE */
NODISCARD int task_socket_path(const char *run_dir, char *ret_path, size_t size);

/**
 * The fence of a task instance: a file that holds the number of its newest attempt. The engine writes it before it
 * starts an attempt; whoever commits on an attempt's behalf holds the lock of the file while it
 * compares and commits, so an attempt that was given up can never commit later.
 */

/** Make `attempt` the newest; waits for a commit under way. @return 0; -errno */
NODISCARD int task_fence_set(const char *path, int64_t attempt);
/**
 * @param[out] ret_lock  descriptor to close after the commit
 * @return 0 the attempt is the newest, and stays it until the descriptor is closed; ERR_FENCED; -errno
 */
NODISCARD int task_fence_hold(const char *path, int64_t attempt, int *ret_lock);

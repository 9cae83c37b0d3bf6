/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include "orchestrate/store_impl.h"

#define APPLICATION_ID 0x4d724f72 /* "MrOr" */
#define VALUES_MAX     24
#define BUSY_MS        5000
#define RETRY_S        2 /* at most, cut to a whole second */

static const char schema[] =
	"CREATE TABLE dag(id TEXT PRIMARY KEY, version TEXT NOT NULL DEFAULT '', folder TEXT,"
	" is_paused INTEGER NOT NULL DEFAULT 0, last_logical INTEGER, last_begin INTEGER,"
	" last_end INTEGER, last_run_after INTEGER) STRICT, WITHOUT ROWID;"
	"CREATE TABLE dag_version(number INTEGER PRIMARY KEY, dag_id TEXT NOT NULL,"
	" version TEXT NOT NULL, files TEXT NOT NULL, applied_us INTEGER NOT NULL,"
	" UNIQUE(dag_id, version)) STRICT;"
	"CREATE TABLE run(number INTEGER PRIMARY KEY, dag_id TEXT NOT NULL, id TEXT NOT NULL,"
	" version TEXT NOT NULL, type INTEGER NOT NULL, state INTEGER NOT NULL,"
	" logical_us INTEGER NOT NULL, begin_us INTEGER NOT NULL, until_us INTEGER NOT NULL,"
	" run_after_us INTEGER NOT NULL, queued_us INTEGER NOT NULL, start_us INTEGER NOT NULL,"
	" end_us INTEGER NOT NULL, is_stopping INTEGER NOT NULL, conf TEXT, note TEXT,"
	" UNIQUE(dag_id, id)) STRICT;"
	"CREATE INDEX run_newest ON run(dag_id, queued_us);"
	"CREATE INDEX run_ended ON run(end_us);"
	"CREATE TABLE ti(dag_id TEXT NOT NULL, run_id TEXT NOT NULL, task TEXT NOT NULL,"
	" state INTEGER NOT NULL, try INTEGER NOT NULL, max_tries INTEGER NOT NULL,"
	" lost INTEGER NOT NULL, attempt INTEGER NOT NULL, scheduled_us INTEGER NOT NULL,"
	" queued_us INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL,"
	" next_us INTEGER NOT NULL, first_poke_us INTEGER NOT NULL, is_cancelling INTEGER NOT NULL,"
	" is_clearing INTEGER NOT NULL, message TEXT, result TEXT,"
	" PRIMARY KEY(dag_id, run_id, task)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE ti_try(dag_id TEXT NOT NULL, run_id TEXT NOT NULL, task TEXT NOT NULL,"
	" try INTEGER NOT NULL, attempt INTEGER NOT NULL, state INTEGER NOT NULL,"
	" start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, message TEXT,"
	" PRIMARY KEY(dag_id, run_id, task, try)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE pool(name TEXT PRIMARY KEY, slots INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE secret(kind TEXT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,"
	" PRIMARY KEY(kind, name)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

enum statement {
	SAVE_VERSION,
	SAVE_VERSION_OF_DAG,
	SAVE_DAG,
	SAVE_RUN,
	SAVE_TI,
	SAVE_TRY,
	SAVE_ATTEMPT,
	SAVE_POOL,
	SAVE_SECRET,
	DELETE_SECRET,
	DELETE_DAG,
	DELETE_DAG_VERSIONS,
	DELETE_DAG_RUNS,
	DELETE_DAG_TIS,
	DELETE_DAG_TRIES,
	EXPIRE_TIS,
	EXPIRE_TRIES,
	EXPIRE_RUNS,
	EXPIRE_VERSIONS,
	STATEMENT_COUNT
};

_Static_assert(STATEMENT_COUNT <= STORE_STATEMENTS, "room for each");

#define OLD_RUNS                                                                                   \
	"SELECT 1 FROM run WHERE run.dag_id=t.dag_id AND run.id=t.run_id AND state>=2 AND end_us<?1"

static const char *const texts[STATEMENT_COUNT] = {
	[SAVE_VERSION] =
		"INSERT INTO dag_version(dag_id,version,files,applied_us) VALUES(?1,?2,?3,?4)"
		" ON CONFLICT DO UPDATE SET applied_us=excluded.applied_us",
	[SAVE_VERSION_OF_DAG] =
		"INSERT INTO dag(id,version,folder) VALUES(?1,?2,?3)"
		" ON CONFLICT DO UPDATE SET version=excluded.version, folder=excluded.folder",
	[SAVE_DAG] = "INSERT INTO dag(id,is_paused,last_logical,last_begin,last_end,last_run_after)"
		     " VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT DO UPDATE SET"
		     " is_paused=excluded.is_paused, last_logical=excluded.last_logical,"
		     " last_begin=excluded.last_begin, last_end=excluded.last_end,"
		     " last_run_after=excluded.last_run_after",
	[SAVE_RUN] = "INSERT INTO run(dag_id,id,version,type,state,logical_us,begin_us,until_us,"
		     "run_after_us,queued_us,start_us,end_us,is_stopping,conf,note)"
		     " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)"
		     " ON CONFLICT(dag_id,id) DO UPDATE SET state=excluded.state,"
		     " start_us=excluded.start_us, end_us=excluded.end_us,"
		     " is_stopping=excluded.is_stopping, note=excluded.note",
	[SAVE_TI] =
		"INSERT OR REPLACE INTO ti VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,"
		"?15,?16,?17,?18)",
	[SAVE_TRY] = "INSERT OR REPLACE INTO ti_try VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)",
	[SAVE_ATTEMPT] = "INSERT INTO counter VALUES('attempt',?1)"
			 " ON CONFLICT DO UPDATE SET value=max(value,excluded.value)",
	[SAVE_POOL] = "INSERT OR REPLACE INTO pool VALUES(?1,?2)",
	[SAVE_SECRET] = "INSERT OR REPLACE INTO secret VALUES(?1,?2,?3)",
	[DELETE_SECRET] = "DELETE FROM secret WHERE kind=?1 AND name=?2",
	[DELETE_DAG] = "DELETE FROM dag WHERE id=?1",
	[DELETE_DAG_VERSIONS] = "DELETE FROM dag_version WHERE dag_id=?1",
	[DELETE_DAG_RUNS] = "DELETE FROM run WHERE dag_id=?1",
	[DELETE_DAG_TIS] = "DELETE FROM ti WHERE dag_id=?1",
	[DELETE_DAG_TRIES] = "DELETE FROM ti_try WHERE dag_id=?1",
	[EXPIRE_TIS] = "DELETE FROM ti AS t WHERE EXISTS(" OLD_RUNS ")",
	[EXPIRE_TRIES] = "DELETE FROM ti_try AS t WHERE EXISTS(" OLD_RUNS ")",
	[EXPIRE_RUNS] = "DELETE FROM run WHERE state>=2 AND end_us<?1",
	[EXPIRE_VERSIONS] =
		"DELETE FROM dag_version AS v WHERE applied_us<?1"
		" AND NOT EXISTS(SELECT 1 FROM dag WHERE id=v.dag_id AND version=v.version)"
		" AND NOT EXISTS(SELECT 1 FROM run WHERE dag_id=v.dag_id AND version=v.version)",
};

enum value_kind { VALUE_NULL, VALUE_INTEGER, VALUE_TEXT, VALUE_BLOB };

struct value {
	enum value_kind kind;
	int64_t integer;
	const char *bytes; /* [size] of text and blob */
	size_t size;
};

/** One statement to run, with all it needs in one block. */
struct op {
	struct op *next;
	enum statement statement;
	uint64_t turn;
	uint32_t count;
	struct value values[]; /* [count], then their bytes */
};

/* ---- the writer's thread ---- */

static int bind(sqlite3_stmt *statement, const struct op *op)
{
	int result = SQLITE_OK;

	for (uint32_t i = 0; i < op->count && result == SQLITE_OK; i++) {
		const struct value *value = &op->values[i];
		int at = (int)i + 1, size = (int)value->size;

		if (value->kind == VALUE_INTEGER)
			result = sqlite3_bind_int64(statement, at, value->integer);
		else if (value->kind == VALUE_TEXT)
			result =
				sqlite3_bind_text(statement, at, value->bytes, size, SQLITE_STATIC);
		else if (value->kind == VALUE_BLOB)
			result =
				sqlite3_bind_blob(statement, at, value->bytes, size, SQLITE_STATIC);
		else
			result = sqlite3_bind_null(statement, at);
	}
	return result;
}

static int execute(struct store *store, const struct op *op)
{
	sqlite3_stmt **statement = &store->statements[op->statement];
	int result = SQLITE_OK;

	if (*statement == NULL)
		result = sqlite3_prepare_v3(store->writer, texts[op->statement], -1,
					    SQLITE_PREPARE_PERSISTENT, statement, NULL);
	if (result == SQLITE_OK)
		result = bind(*statement, op);
	if (result == SQLITE_OK)
		result = sqlite3_step(*statement);
	if (*statement != NULL) {
		(void)sqlite3_reset(*statement);
		(void)sqlite3_clear_bindings(*statement);
	}
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

/** All of it or nothing. */
static int commit(struct store *store, const struct op *first)
{
	int result = sqlite3_exec(store->writer, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (const struct op *op = first; op != NULL && result == SQLITE_OK; op = op->next)
		result = execute(store, op);
	if (result == SQLITE_OK)
		result = sqlite3_exec(store->writer, "COMMIT", NULL, NULL, NULL);
	return result;
}

static void tell(struct store *store)
{
	const uint64_t one = 1;

	(void)!write(store->event, &one, sizeof(one)); /* full only when it is readable anyway */
}

static void free_ops(struct op *op)
{
	while (op != NULL) {
		struct op *next = op->next;

		free(op);
		op = next;
	}
}

/** Try to write what is queued; called and left with the lock held. */
static void write_queued(struct store *store)
{
	struct op *first = store->first;
	struct timespec until;
	uint64_t turn = 0;
	int result;

	store->first = NULL;
	store->last = &store->first;
	(void)pthread_mutex_unlock(&store->lock);
	for (;;) {
		result = commit(store, first);
		(void)pthread_mutex_lock(&store->lock);
		if (result == SQLITE_OK)
			break;
		(void)snprintf(store->error, sizeof(store->error), "%s",
			       sqlite3_errmsg(store->writer));
		tell(store);
		(void)sqlite3_exec(store->writer, "ROLLBACK", NULL, NULL, NULL);
		until = (struct timespec){ .tv_sec = clock_wall_us() / 1000000 + RETRY_S };
		if (!store->is_ending)
			(void)pthread_cond_timedwait(&store->wake, &store->lock, &until);
		if (store->is_ending)
			break;
		(void)pthread_mutex_unlock(&store->lock);
	}
	for (const struct op *op = first; op != NULL; op = op->next)
		turn = op->turn;
	free_ops(first);
	if (result != SQLITE_OK)
		return;
	store->durable = turn;
	store->error[0] = '\0';
	tell(store);
}

static void *write_all(void *context)
{
	struct store *store = context;

	(void)pthread_mutex_lock(&store->lock);
	for (;;) {
		if (store->first != NULL)
			write_queued(store);
		else if (store->is_ending)
			break;
		else
			(void)pthread_cond_wait(&store->wake, &store->lock);
	}
	(void)pthread_mutex_unlock(&store->lock);
	return NULL;
}

/* ---- changes ---- */

static struct value integer(int64_t value)
{
	return (struct value){ .kind = VALUE_INTEGER, .integer = value };
}

static struct value text(const char *value)
{
	if (value == NULL)
		return (struct value){ .kind = VALUE_NULL };
	return (struct value){ .kind = VALUE_TEXT, .bytes = value, .size = strlen(value) };
}

static void push(struct store *store, enum statement statement, const struct value *values,
		 uint32_t count)
{
	size_t size = sizeof(struct op) + count * sizeof(*values);
	struct op *op;
	char *at;

	CHECK(count <= VALUES_MAX);
	for (uint32_t i = 0; i < count; i++)
		size += values[i].size;
	op = malloc(size);
	/* Memory and disk would go apart: a restart brings them together. */
	CHECK(op != NULL);
	*op = (struct op){ .statement = statement, .count = count };
	at = (char *)&op->values[count];
	for (uint32_t i = 0; i < count; i++) {
		op->values[i] = values[i];
		if (values[i].size == 0)
			continue;
		memcpy(at, values[i].bytes, values[i].size);
		op->values[i].bytes = at;
		at += values[i].size;
	}
	*store->open_last = op;
	store->open_last = &op->next;
}

#define PUSH(store, statement, ...)                                                                \
	push(store, statement, (const struct value[]){ __VA_ARGS__ },                              \
	     sizeof((const struct value[]){ __VA_ARGS__ }) / sizeof(struct value))

uint64_t store_seal(struct store *store)
{
	if (store->open_first == NULL)
		return store->turn;
	store->turn++;
	for (struct op *op = store->open_first; op != NULL; op = op->next)
		op->turn = store->turn;
	(void)pthread_mutex_lock(&store->lock);
	*store->last = store->open_first;
	store->last = store->open_last;
	(void)pthread_cond_signal(&store->wake);
	(void)pthread_mutex_unlock(&store->lock);
	store->open_first = NULL;
	store->open_last = &store->open_first;
	return store->turn;
}

void store_save_version(struct store *store, const struct dag *dag, const char *files,
			int64_t now_us)
{
	PUSH(store, SAVE_VERSION, text(dag->id), text(dag->version), text(files), integer(now_us));
	PUSH(store, SAVE_VERSION_OF_DAG, text(dag->id), text(dag->version), text(dag->folder));
}

static void save_dag(struct store *store, const struct engine_change *change)
{
	const struct timetable_slot *slot = change->last_slot;
	const struct value none = { .kind = VALUE_NULL };

	PUSH(store, SAVE_DAG, text(change->dag_id), integer(change->is_paused),
	     slot != NULL ? integer(slot->logical_us) : none,
	     slot != NULL ? integer(slot->begin_us) : none,
	     slot != NULL ? integer(slot->end_us) : none,
	     slot != NULL ? integer(slot->run_after_us) : none);
}

static void save_run(struct store *store, const struct run *run)
{
	char *conf = run->conf != NULL ? json_dumps(run->conf, JSON_COMPACT) : NULL;

	PUSH(store, SAVE_RUN, text(run->dag->id), text(run->id), text(run->dag->version),
	     integer(run->type), integer(run->state), integer(run->slot.logical_us),
	     integer(run->slot.begin_us), integer(run->slot.end_us),
	     integer(run->slot.run_after_us), integer(run->queued_us), integer(run->start_us),
	     integer(run->end_us), integer(run->is_stopping), text(conf), text(run->note));
	free(conf);
}

static void save_ti(struct store *store, const struct ti *ti)
{
	const struct run *run = ti->run;
	const char *task = run->dag->tasks[ti->task].name;
	char *result =
		ti->result != NULL ? json_dumps(ti->result, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	PUSH(store, SAVE_TI, text(run->dag->id), text(run->id), text(task), integer(ti->state),
	     integer(ti->try_number), integer(ti->max_tries), integer(ti->lost),
	     integer(ti->attempt), integer(ti->scheduled_us), integer(ti->queued_us),
	     integer(ti->start_us), integer(ti->end_us), integer(ti->next_us),
	     integer(ti->first_poke_us), integer(ti->is_cancelling), integer(ti->is_clearing),
	     text(ti->message), text(result));
	free(result);
	if (ti->start_us != 0 && ti->end_us != 0 && ti->try_number > 0)
		PUSH(store, SAVE_TRY, text(run->dag->id), text(run->id), text(task),
		     integer(ti->try_number), integer(ti->attempt), integer(ti->state),
		     integer(ti->start_us), integer(ti->end_us), text(ti->message));
	if (ti->attempt > store->attempt_saved) {
		store->attempt_saved = ti->attempt;
		PUSH(store, SAVE_ATTEMPT, integer(ti->attempt));
	}
}

void store_save_change(struct store *store, const struct engine_change *change)
{
	switch (change->kind) {
	case CHANGE_DAG:
		save_dag(store, change);
		break;
	case CHANGE_RUN:
		save_run(store, change->run);
		break;
	case CHANGE_TI:
		save_ti(store, change->ti);
		break;
	}
}

void store_delete_dag(struct store *store, const char *dag_id)
{
	for (int statement = DELETE_DAG; statement <= DELETE_DAG_TRIES; statement++)
		PUSH(store, (enum statement)statement, text(dag_id));
}

void store_save_pool(struct store *store, const char *name, uint32_t slots)
{
	PUSH(store, SAVE_POOL, text(name), integer(slots));
}

void store_save_secret(struct store *store, const char *kind, const char *name, const void *bytes,
		       size_t size)
{
	struct value value = { .kind = VALUE_BLOB, .bytes = bytes, .size = size };

	if (bytes == NULL)
		PUSH(store, DELETE_SECRET, text(kind), text(name));
	else
		PUSH(store, SAVE_SECRET, text(kind), text(name), value);
}

void store_expire(struct store *store, int64_t before_us)
{
	for (int statement = EXPIRE_TIS; statement <= EXPIRE_VERSIONS; statement++)
		PUSH(store, (enum statement)statement, integer(before_us));
}

uint64_t store_durable(struct store *store)
{
	uint64_t turn;

	(void)pthread_mutex_lock(&store->lock);
	turn = store->durable;
	(void)pthread_mutex_unlock(&store->lock);
	return turn;
}

bool store_error(struct store *store, char *ret, size_t size)
{
	bool is_failing;

	(void)pthread_mutex_lock(&store->lock);
	is_failing = store->error[0] != '\0';
	(void)snprintf(ret, size, "%s", store->error);
	(void)pthread_mutex_unlock(&store->lock);
	return is_failing;
}

int store_fd(const struct store *store)
{
	return store->event;
}

void store_drain(struct store *store)
{
	uint64_t count;

	(void)!read(store->event, &count, sizeof(count));
}

/* ---- opening ---- */

static int user_version(sqlite3 *db, const char *pragma, int *ret)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL);

	if (result == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		*ret = sqlite3_column_int(statement, 0);
	(void)sqlite3_finalize(statement);
	return result;
}

static int make_schema(sqlite3 *db)
{
	char end[128];
	int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	(void)snprintf(end, sizeof(end), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
		       APPLICATION_ID, STORE_VERSION);
	if (result == SQLITE_OK)
		result = sqlite3_exec(db, schema, NULL, NULL, NULL);
	return result == SQLITE_OK ? sqlite3_exec(db, end, NULL, NULL, NULL) : result;
}

/** @param[in,out] reterr  told when the version is another one. @return SQLite's result, or ERR_UNSUPPORTED */
static int check_schema(sqlite3 *db, char *reterr, size_t size)
{
	int version = 0, application = 0, tables = 0;
	int result = user_version(db, "PRAGMA user_version", &version);

	if (result == SQLITE_OK)
		result = user_version(db, "PRAGMA application_id", &application);
	if (result == SQLITE_OK)
		result = user_version(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (result != SQLITE_OK)
		return result;
	if (version == 0 && application == 0 && tables == 0)
		return make_schema(db);
	if (version == STORE_VERSION && application == APPLICATION_ID)
		return SQLITE_OK;
	(void)snprintf(
		reterr, size,
		"it has version %d, this program knows version %d: use the program that wrote "
		"it, or move the file away",
		version, STORE_VERSION);
	return ERR_UNSUPPORTED;
}

static int open_connection(const char *path, sqlite3 **ret_db)
{
	int result = sqlite3_open_v2(
		path, ret_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		NULL);

	if (result != SQLITE_OK)
		return result;
	(void)sqlite3_busy_timeout(*ret_db, BUSY_MS);
	(void)sqlite3_extended_result_codes(*ret_db, 1);
	return sqlite3_exec(*ret_db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL, NULL,
			    NULL);
}

static int open_database(struct store *store, const char *path, char *reterr, size_t size)
{
	int result = open_connection(path, &store->writer);

	if (result == SQLITE_OK)
		result = check_schema(store->writer, reterr, size);
	if (result == ERR_UNSUPPORTED)
		return result;
	if (result == SQLITE_OK)
		result = open_connection(path, &store->reader);
	if (result == SQLITE_OK)
		return 0;
	(void)snprintf(reterr, size, "%s", sqlite3_errmsg(store->writer));
	result &= 0xff;
	if (result == SQLITE_NOTADB || result == SQLITE_CORRUPT)
		return ERR_CORRUPT;
	return result == SQLITE_CANTOPEN || result == SQLITE_PERM ? -EACCES : -EIO;
}

int store_open(const char *path, struct store **ret_store, char *reterr, size_t reterr_size)
{
	CLEANUP(store_closep) struct store *store = calloc(1, sizeof(*store));
	int error;

	if (store == NULL)
		return -ENOMEM;
	/* Nothing is waited for yet: what comes before the first change is durable at once. */
	store->turn = store->durable = 1;
	store->last = &store->first;
	store->open_last = &store->open_first;
	(void)pthread_mutex_init(&store->lock, NULL);
	(void)pthread_cond_init(&store->wake, NULL);
	store->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (store->event < 0)
		return -errno;
	error = open_database(store, path, reterr, reterr_size);
	if (error == 0)
		error = -pthread_create(&store->thread, NULL, write_all, store);
	if (error != 0)
		return error;
	store->has_thread = true;
	*ret_store = TAKE_PTR(store);
	return 0;
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	(void)pthread_mutex_lock(&store->lock);
	store->is_ending = true;
	(void)pthread_cond_signal(&store->wake);
	(void)pthread_mutex_unlock(&store->lock);
	if (store->has_thread)
		(void)pthread_join(store->thread, NULL);
	for (int i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(store->statements[i]);
	(void)sqlite3_close(store->reader);
	(void)sqlite3_close(store->writer);
	free_ops(store->first);
	free_ops(store->open_first);
	if (store->event >= 0)
		(void)close(store->event);
	(void)pthread_cond_destroy(&store->wake);
	(void)pthread_mutex_destroy(&store->lock);
	free(store);
}

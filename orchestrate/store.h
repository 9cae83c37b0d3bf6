/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the scheduler remembers: pipelines and their versions, runs, task instances and their tries,
 * pools, variables, connections, in one SQLite database.
 *
 * The loop hands over changes (store_save_*), closes a turn with store_seal() and goes on; one thread
 * of the store's own writes all sealed turns that wait as one transaction and makes store_fd() readable.
 * Nothing counts before store_durable() has reached its turn. When the disk refuses, the same turns are tried
 * again every second: nothing is lost, nothing goes on.
 *
 * Context: control's loop and the store's thread; functions are for the loop. Memory: heap.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/engine.h"

#define STORE_VERSION 1

struct store;

/** @param[out] reterr  [reterr_size] what is wrong and what to do. @return 0; ERR_CORRUPT, ERR_UNSUPPORTED; -errno */
NODISCARD int store_open(const char *path, struct store **ret_store, char *reterr,
			 size_t reterr_size);
/** Writes what was sealed, once, and ends. NULL is accepted. */
void store_close(struct store *store);
DEFINE_CLEANUP(struct store, store_close);

/* ---- writing ---- */

/** Close the turn. @return its number; that of the last one when nothing changed since */
uint64_t store_seal(struct store *store);
/** @return number of the newest durable turn */
uint64_t store_durable(struct store *store);
/** @return descriptor that is readable when store_durable() or store_error() may have changed */
int store_fd(const struct store *store);
/** Takes the readiness of store_fd() back. */
void store_drain(struct store *store);
/** Why turns are not becoming durable. @param ret  [size]. @return false: they are */
bool store_error(struct store *store, char *ret, size_t size);

/** @param files  JSON text as of manifest_read_folder() */
void store_save_version(struct store *store, const struct dag *dag, const char *files,
			int64_t now_us);
void store_save_change(struct store *store, const struct engine_change *change);
/** Its runs and versions too. */
void store_delete_dag(struct store *store, const char *dag_id);
void store_save_pool(struct store *store, const char *name, uint32_t slots);
/** @param kind  of a secret: "variable", "connection". @param bytes  [size] encrypted; NULL: delete */
void store_save_secret(struct store *store, const char *kind, const char *name, const void *bytes,
		       size_t size);
/** Forget finished runs older than that and the versions nobody uses. */
void store_expire(struct store *store, int64_t before_us);

/* ---- reading: what is durable ---- */

struct store_dag {
	const char *id, *version, *folder; /* folder: NULL when not known */
	bool is_paused, has_last;
	struct timetable_slot last;
};

struct store_ti {
	const char *task;
	struct ti ti; /* run and task unset */
};

struct store_run {
	const char *dag_id, *version;
	struct run run;       /* tis and dag unset */
	struct store_ti *tis; /* [ti_count] */
	uint32_t ti_count;
};

struct store_try {
	uint32_t try_number;
	int64_t attempt;
	enum ti_state state;
	int64_t start_us, end_us;
	const char *message; /* NULL: none */
};

/** Visitors stop at the first result but 0 and return it. What they are given is borrowed. */
int store_each_dag(struct store *store, int (*visit)(void *context, const struct store_dag *dag),
		   void *context);
/** Unfinished runs and the newest `newest` of all, newest first. */
int store_each_run(struct store *store, const char *dag_id, uint32_t newest,
		   int (*visit)(void *context, const struct store_run *run), void *context);
/** Finished runs that store_expire() would forget. */
int store_each_expired(struct store *store, int64_t before_us,
		       int (*visit)(void *context, const struct store_run *run), void *context);
/** One run. @return -ENOENT; else as above */
int store_find_run(struct store *store, const char *dag_id, const char *run_id,
		   int (*visit)(void *context, const struct store_run *run), void *context);
int store_each_try(struct store *store, const char *dag_id, const char *run_id, const char *task,
		   int (*visit)(void *context, const struct store_try *try), void *context);
int store_each_pool(struct store *store,
		    int (*visit)(void *context, const char *name, uint32_t slots), void *context);
int store_each_secret(struct store *store, const char *kind,
		      int (*visit)(void *context, const char *name, const void *bytes, size_t size),
		      void *context);
/** Newest first. */
int store_each_version(struct store *store, const char *dag_id,
		       int (*visit)(void *context, const char *version, int64_t applied_us),
		       void *context);
/** @param[out] ret_files  caller frees. @return 0; -ENOENT; ERR_CORRUPT */
NODISCARD int store_files(struct store *store, const char *dag_id, const char *version,
			  json_t **ret_files);
/** @return first number no attempt has had */
int64_t store_next_attempt(struct store *store);

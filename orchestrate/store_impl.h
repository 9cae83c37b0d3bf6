/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside the store: what store.c (writing) and store_load.c (reading) share.
 *
 * Context: as store.h.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "orchestrate/store.h"

#define STORE_STATEMENTS 24

struct op;

struct store {
	sqlite3 *writer; /* of the thread */
	sqlite3_stmt *statements[STORE_STATEMENTS];
	sqlite3 *reader; /* of the loop */
	int event;
	pthread_t thread;
	bool has_thread;
	/* of the loop: the open turn */
	struct op *open_first, **open_last;
	uint64_t turn; /* number of the newest sealed one */
	int64_t attempt_saved;
	/* shared, under lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct op *first, **last;
	uint64_t durable;
	char error[256]; /* "": none */
	bool is_ending;
};

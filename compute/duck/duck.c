/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/duck/duck.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/duck/duck_impl.h"

#define PATH_SIZE 4096

/* ---- the spill folder ---- */

/** DuckDB removes what it knows of; what a killed process left is removed here. */
static void empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;

	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL)
		if (strncmp(entry->d_name, "duckdb_temp", strlen("duckdb_temp")) == 0)
			(void)unlinkat(dirfd(folder), entry->d_name, 0);
	(void)closedir(folder);
}

static int prepare_spill(struct duck *duck, const char *path, char *reterr, size_t reterr_size)
{
	duck->spill_dir = strdup(path);
	if (duck->spill_dir == NULL)
		return -ENOMEM;
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		const int error = -errno;

		(void)snprintf(reterr, reterr_size, "spill folder %s: %s", path, err_str(error));
		return error;
	}
	empty_folder(path);
	return 0;
}

/* ---- settings ---- */

static int configure(duckdb_handle handle, const struct duck_config *config)
{
	char memory[32], threads[16];
	const struct {
		const char *name, *value;
	} settings[] = {
		{ "memory_limit", memory },
		{ "threads", threads },
		{ "external_threads", threads }, /* all of them: DuckDB starts none */
		{ "temp_directory", config->spill_dir != NULL ? config->spill_dir : "" },
		/* Or a table function feeds COPY by one thread. */
		{ "preserve_insertion_order", "false" },
		{ "autoinstall_known_extensions", "false" },
		{ "autoload_known_extensions", "false" },
		{ "allow_community_extensions", "false" },
		{ "allow_persistent_secrets", "false" },
		{ "extension_directory", "/dev/null" }, /* INSTALL finds no place */
	};

	(void)snprintf(memory, sizeof(memory), "%" PRId64 "B", config->memory_limit);
	(void)snprintf(threads, sizeof(threads), "%" PRIu32, MAX(config->threads, 1U));
	for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
		if (duck_api.set_config(handle, settings[i].name, settings[i].value) != 0)
			return ERR_UNSUPPORTED;
	return 0;
}

static int open_database(struct duck *duck, const struct duck_config *config, char *reterr,
			 size_t reterr_size)
{
	duckdb_handle handle = NULL;
	char *message = NULL;
	int error = duck_api.create_config(&handle) == 0 ? configure(handle, config) : -ENOMEM;

	if (error != 0) {
		(void)snprintf(reterr, reterr_size, "DuckDB %s refuses a setting", duck_version());
	} else if (duck_api.open_ext(NULL, &duck->database, handle, &message) != 0) {
		(void)snprintf(reterr, reterr_size, "%s", message != NULL ? message : "no memory");
		duck_api.free(message);
		error = ERR_CONFIG;
	}
	duck_api.destroy_config(&handle);
	return error;
}

/** What can only be set on a running instance; the last closes the door behind it. */
static int set_running(struct duck *duck, const struct duck_config *config, char *reterr,
		       size_t reterr_size)
{
	char quoted[2 * PATH_SIZE];
	char list[2 * PATH_SIZE] = "";
	size_t used = 0;
	enum duck_status status;

	status = duck_run(duck,
			  /* Its states cannot spill: de-duplication would run out of memory. */
			  "SET GLOBAL disabled_optimizers='top_n_window_elimination';"
			  "SET GLOBAL TimeZone='UTC'",
			  NULL, reterr, reterr_size);
	for (uint32_t i = 0; i < config->dir_count && config->dirs != NULL; i++) {
		if (2 * strlen(config->dirs[i]) + 8 > sizeof(list) - used) {
			(void)snprintf(reterr, reterr_size, "too many folders for SQL to use");
			return ERR_TOO_LARGE;
		}
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? "," : "",
					 duck_quote(config->dirs[i], quoted, sizeof(quoted)));
	}
	/* The limit counts only when it is set on a running instance. */
	if (status == DUCK_OK && config->spill_max > 0)
		status = duck_runf(duck, NULL, reterr, reterr_size,
				   "SET GLOBAL max_temp_directory_size='%" PRId64 "B'",
				   config->spill_max);
	if (status == DUCK_OK && config->dirs != NULL)
		status = duck_runf(duck, NULL, reterr, reterr_size,
				   "SET GLOBAL allowed_directories=[%s];"
				   "SET GLOBAL enable_external_access=false",
				   list);
	if (status == DUCK_OK)
		status = duck_run(duck, "SET GLOBAL lock_configuration=true", NULL, reterr,
				  reterr_size);
	return status == DUCK_OK ? 0 : ERR_UNSUPPORTED;
}

/* ---- our threads ---- */

static void *work(void *state)
{
	duck_api.execute_tasks_state(state);
	return NULL;
}

/** Signals are for the program's own threads. */
static int start_workers(struct duck *duck, const struct duck_config *config)
{
	sigset_t all, before;
	int error = 0;

	if (config->threads <= 1)
		return 0;
	duck->workers = calloc(config->threads - 1, sizeof(*duck->workers));
	duck->tasks = duck_api.create_task_state(duck->database);
	if (duck->workers == NULL || duck->tasks == NULL)
		return -ENOMEM;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (error == 0 && duck->worker_count < config->threads - 1) {
		const uint32_t index = duck->worker_count;
		pthread_t *worker = &duck->workers[index];

		error = -pthread_create(worker, NULL, work, duck->tasks);
		if (error != 0)
			break;
		duck->worker_count++;
		(void)pthread_setname_np(*worker, "duck");
		if (config->cpus != NULL && config->cpu_count > 0) {
			cpu_set_t cpus;

			CPU_ZERO(&cpus);
			CPU_SET(config->cpus[index % config->cpu_count], &cpus);
			/* A CPU that is not ours to use leaves the thread where it is. */
			(void)pthread_setaffinity_np(*worker, sizeof(cpus), &cpus);
		}
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void stop_workers(struct duck *duck)
{
	if (duck->tasks == NULL)
		return;
	duck_api.finish_execution(duck->tasks);
	for (uint32_t i = 0; i < duck->worker_count; i++)
		CHECK(pthread_join(duck->workers[i], NULL) == 0);
	duck_api.destroy_task_state(duck->tasks);
}

/* ---- open and close ---- */

int duck_open(const struct duck_config *config, struct duck **ret_duck, char *reterr,
	      size_t reterr_size)
{
	CLEANUP(duck_closep) struct duck *duck = NULL;
	int error = duck_load(reterr, reterr_size);

	if (error != 0)
		return error;
	(void)snprintf(reterr, reterr_size, "no memory for an instance of DuckDB");
	duck = calloc(1, sizeof(*duck));
	if (duck == NULL)
		return -ENOMEM;
	if (config->spill_dir != NULL)
		error = prepare_spill(duck, config->spill_dir, reterr, reterr_size);
	if (error == 0)
		error = open_database(duck, config, reterr, reterr_size);
	if (error == 0 && (duck_api.connect(duck->database, &duck->connection) != 0 ||
			   duck_api.connect(duck->database, &duck->side) != 0))
		error = -ENOMEM;
	if (error == 0)
		error = duck_result_register(duck);
	if (error == 0)
		error = set_running(duck, config, reterr, reterr_size);
	if (error == 0)
		error = start_workers(duck, config);
	if (error == 0)
		*ret_duck = TAKE_PTR(duck);
	return error;
}

void duck_close(struct duck *duck)
{
	if (duck == NULL)
		return;
	stop_workers(duck);
	if (duck->side != NULL)
		duck_api.disconnect(&duck->side);
	if (duck->connection != NULL)
		duck_api.disconnect(&duck->connection);
	if (duck->database != NULL)
		duck_api.close(&duck->database);
	topics_free(duck->topics);
	if (duck->spill_dir != NULL)
		empty_folder(duck->spill_dir);
	free(duck->spill_dir);
	free(duck->workers);
	free(duck);
}

/* ---- running ---- */

enum duck_status duck_classify(const struct duck *duck, const char *message)
{
	static const struct {
		const char *prefix;
		enum duck_status status;
	} kinds[] = {
		{ "INTERNAL Error", DUCK_POISONED },     { "FATAL Error", DUCK_POISONED },
		{ "Out of Memory Error", DUCK_MEMORY },  { "IO Error", DUCK_IO },
		{ "INTERRUPT Error", DUCK_INTERRUPTED },
	};

	if (strstr(message, "database has been invalidated") != NULL)
		return DUCK_POISONED;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (strncmp(message, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
			continue;
		/* A spill folder on a full disk is memory that ran out. */
		if (kinds[i].status == DUCK_IO && duck->spill_dir != NULL &&
		    strstr(message, duck->spill_dir) != NULL)
			return DUCK_MEMORY;
		return kinds[i].status;
	}
	return DUCK_USER;
}

static enum duck_status fail(struct duck *duck, const char *message, char *reterr,
			     size_t reterr_size)
{
	enum duck_status status;

	if (message == NULL)
		message = "no memory";
	(void)snprintf(reterr, reterr_size, "%s", message);
	status = duck_classify(duck, message);
	if (status == DUCK_POISONED)
		return status;
	if (atomic_exchange(&duck->is_interrupted, false)) {
		(void)snprintf(reterr, reterr_size, "the query was interrupted");
		return DUCK_INTERRUPTED;
	}
	if (duck->topics != NULL) {
		const enum duck_status of_topic = topics_error(duck->topics, reterr, reterr_size);

		if (of_topic != DUCK_OK)
			return of_topic;
	}
	return status;
}

static enum duck_status run_prepared(struct duck *duck, duckdb_handle prepared,
				     struct duckdb_result *ret_result, char *reterr,
				     size_t reterr_size)
{
	duckdb_handle pending = NULL;
	enum duck_status status = DUCK_OK;

	if (duck_api.pending_prepared(prepared, &pending) != 0) {
		status = fail(duck, duck_api.pending_error(pending), reterr, reterr_size);
	} else if (atomic_exchange(&duck->is_interrupted, false)) {
		/* DuckDB forgets interrupts that come before this point. */
		(void)snprintf(reterr, reterr_size, "the query was interrupted");
		status = DUCK_INTERRUPTED;
	} else if (duck_api.execute_pending(pending, ret_result) != 0) {
		status = fail(duck, duck_api.result_error(ret_result), reterr, reterr_size);
		duck_api.destroy_result(ret_result);
	}
	duck_api.destroy_pending(&pending);
	return status;
}

static enum duck_status run_statement(struct duck *duck, duckdb_handle statements, uint64_t index,
				      struct duckdb_result *ret_result, char *reterr,
				      size_t reterr_size)
{
	duckdb_handle prepared = NULL;
	enum duck_status status;

	if (duck->topics != NULL)
		topics_begin(duck->topics);
	if (duck_api.prepare_extracted_statement(duck->connection, statements, index, &prepared) !=
	    0)
		status = fail(duck, duck_api.prepare_error(prepared), reterr, reterr_size);
	else
		status = run_prepared(duck, prepared, ret_result, reterr, reterr_size);
	duck_api.destroy_prepare(&prepared);
	return status;
}

enum duck_status duck_run(struct duck *duck, const char *sql, struct duck_result **ret_result,
			  char *reterr, size_t reterr_size)
{
	duckdb_handle statements = NULL;
	struct duckdb_result result;
	enum duck_status status = DUCK_OK;
	const uint64_t count = duck_api.extract_statements(duck->connection, sql, &statements);

	if (count == 0) {
		const char *message = duck_api.extract_statements_error(statements);

		status = fail(duck, message != NULL ? message : "there is no statement", reterr,
			      reterr_size);
	}
	for (uint64_t i = 0; i < count && status == DUCK_OK; i++) {
		memset(&result, 0, sizeof(result));
		status = run_statement(duck, statements, i, &result, reterr, reterr_size);
		if (status != DUCK_OK)
			break;
		if (i + 1 < count || ret_result == NULL) {
			duck_api.destroy_result(&result);
			continue;
		}
		*ret_result = duck_result_new(duck, &result);
		if (*ret_result == NULL)
			status = fail(duck, "Out of Memory Error", reterr, reterr_size);
	}
	duck_api.destroy_extracted(&statements);
	return status;
}

enum duck_status duck_check(struct duck *duck, const char *sql, char *reterr, size_t reterr_size)
{
	duckdb_handle statements = NULL;
	enum duck_status status = DUCK_OK;

	if (duck_api.extract_statements(duck->connection, sql, &statements) == 0) {
		const char *message = duck_api.extract_statements_error(statements);

		status = fail(duck, message != NULL ? message : "there is no statement", reterr,
			      reterr_size);
	}
	duck_api.destroy_extracted(&statements);
	return status;
}

enum duck_status duck_runf(struct duck *duck, struct duck_result **ret_result, char *reterr,
			   size_t reterr_size, const char *fmt, ...)
{
	enum duck_status status;
	char *sql = NULL;
	va_list args;
	int size;

	va_start(args, fmt);
	size = vasprintf(&sql, fmt, args);
	va_end(args);
	if (size < 0) {
		(void)snprintf(reterr, reterr_size, "no memory for the statement");
		return DUCK_MEMORY;
	}
	status = duck_run(duck, sql, ret_result, reterr, reterr_size);
	free(sql);
	return status;
}

void duck_interrupt(struct duck *duck)
{
	atomic_store(&duck->is_interrupted, true);
	duck_api.interrupt(duck->connection);
}

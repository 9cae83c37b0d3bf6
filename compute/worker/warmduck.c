/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/warmduck.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"

#include "compute/worker/background.h"

#define FOLDERS_OPEN_MAX 16
#define PREFIX           "attempt-"
#define FOLDER           "%s/" PREFIX "%d-%" PRIu64

struct warmduck {
	const struct config *config;
	const uint32_t *cpus; /* [cpu_count] */
	uint32_t cpu_count;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct warmduck_engine spare;
	struct warmduck_engine *used; /* [used_count] to be closed */
	uint32_t used_count, used_room;
	uint64_t next_number;
	bool is_stopping;
	bool has_failed; /* the last spare could not be opened: do not try again and again */
};

/** All below the folder, not itself. */
static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat;
	(void)kind;
	if (where->level > 0)
		(void)remove(path);
	return 0;
}

static void remove_folder(const char *path)
{
	(void)nftw(path, remove_entry, FOLDERS_OPEN_MAX, FTW_PHYS | FTW_DEPTH);
	(void)rmdir(path);
}

/** What attempts of earlier processes left. */
static int clean_spill_dir(const char *path)
{
	struct dirent *entry;
	char folder[PATH_MAX];
	DIR *dir;

	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return -errno;
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 &&
		    (size_t)snprintf(folder, sizeof(folder), "%s/%s", path, entry->d_name) <
			    sizeof(folder))
			remove_folder(folder);
	}
	(void)closedir(dir);
	return 0;
}

static int open_engine(struct warmduck *warm, uint64_t number, int64_t memory, uint32_t threads,
		       struct warmduck_engine *ret_engine, char *reterr, size_t reterr_size)
{
	const struct config *config = warm->config;
	const char *dirs[] = { config->tables_dir, NULL };
	char spill[PATH_MAX];
	const struct duck_config duck = {
		.memory_limit = memory,
		.threads = threads,
		.cpus = warm->cpu_count > 0 ? warm->cpus : NULL,
		.cpu_count = warm->cpu_count,
		.spill_dir = spill,
		.spill_max = config->worker_spill_max,
		.dirs = dirs,
		.dir_count = ARRAY_COUNT(dirs),
	};

	(void)snprintf(spill, sizeof(spill), FOLDER, config->worker_spill_dir, getpid(), number);
	dirs[1] = spill;
	*ret_engine = (struct warmduck_engine){ .number = number };
	return duck_open(&duck, &ret_engine->duck, reterr, reterr_size);
}

static void close_engine(const struct warmduck *warm, const struct warmduck_engine *engine)
{
	char spill[PATH_MAX];

	if (engine->duck == NULL)
		return;
	duck_close(engine->duck);
	partitions_close(engine->table);
	(void)snprintf(spill, sizeof(spill), FOLDER, warm->config->worker_spill_dir, getpid(),
		       engine->number);
	remove_folder(spill);
}

/** With the lock held, let go of it meanwhile. */
static void open_spare(struct warmduck *warm)
{
	const uint64_t number = warm->next_number++;
	struct warmduck_engine engine = { 0 };
	char message[512];
	int error;

	(void)pthread_mutex_unlock(&warm->lock);
	error = open_engine(warm, number, warm->config->worker_memory,
			    (uint32_t)warm->config->worker_threads, &engine, message,
			    sizeof(message));
	(void)pthread_mutex_lock(&warm->lock);
	if (error == 0)
		warm->spare = engine;
	else
		log_warn("no SQL engine: %s: %s", message, err_str(error));
	warm->has_failed = error != 0;
}

/** Opens and closes behind the attempts' backs: a spare first, as the next attempt may come at once. */
static void *serve(void *context)
{
	struct warmduck *warm = context;

	background_enter(warm->config);
	(void)pthread_mutex_lock(&warm->lock);
	for (;;) {
		if (warm->spare.duck == NULL && !warm->has_failed && !warm->is_stopping) {
			open_spare(warm);
		} else if (warm->used_count > 0) {
			const struct warmduck_engine used = warm->used[--warm->used_count];

			(void)pthread_mutex_unlock(&warm->lock);
			close_engine(warm, &used);
			(void)pthread_mutex_lock(&warm->lock);
		} else if (warm->is_stopping) {
			break;
		} else {
			(void)pthread_cond_wait(&warm->changed, &warm->lock);
		}
	}
	(void)pthread_mutex_unlock(&warm->lock);
	return NULL;
}

int warmduck_new(const struct config *config, const uint32_t *cpus, uint32_t cpu_count,
		 struct warmduck **ret_warm)
{
	int error = clean_spill_dir(config->worker_spill_dir);
	struct warmduck *warm = calloc(1, sizeof(*warm));

	if (warm == NULL || error != 0) {
		free(warm);
		return error != 0 ? error : -ENOMEM;
	}
	warm->config = config;
	warm->cpus = cpus;
	warm->cpu_count = cpu_count;
	warm->next_number = 1;
	CHECK(pthread_mutex_init(&warm->lock, NULL) == 0);
	CHECK(pthread_cond_init(&warm->changed, NULL) == 0);
	error = pthread_create(&warm->thread, NULL, serve, warm);
	if (error != 0) {
		free(warm);
		return -error;
	}
	*ret_warm = warm;
	return 0;
}

void warmduck_free(struct warmduck *warm)
{
	if (warm == NULL)
		return;
	(void)pthread_mutex_lock(&warm->lock);
	warm->is_stopping = true;
	(void)pthread_cond_signal(&warm->changed);
	(void)pthread_mutex_unlock(&warm->lock);
	(void)pthread_join(warm->thread, NULL);
	close_engine(warm, &warm->spare);
	free(warm->used);
	(void)pthread_cond_destroy(&warm->changed);
	(void)pthread_mutex_destroy(&warm->lock);
	free(warm);
}

/** A dataplane that started anew has made a new table; one that stopped has retired its. */
static struct partitions *open_table(const struct config *config)
{
	char path[CONFIG_TEXT_MAX + 16];
	struct partitions *table;

	(void)snprintf(path, sizeof(path), "%s/partitions", config->run_dir);
	if (partitions_open(path, false, &table) != 0)
		return NULL;
	if (!partitions_is_retired(table))
		return table;
	partitions_close(table);
	return NULL;
}

int warmduck_take(struct warmduck *warm, int64_t memory, uint32_t threads,
		  struct warmduck_engine *ret_engine, char *reterr, size_t reterr_size)
{
	const struct config *config = warm->config;
	int error = 0;
	const bool is_usual = (memory == 0 || memory == config->worker_memory) &&
			      (threads == 0 || threads == config->worker_threads);
	uint64_t number;

	(void)pthread_mutex_lock(&warm->lock);
	*ret_engine = (struct warmduck_engine){ 0 };
	if (is_usual) {
		*ret_engine = warm->spare;
		warm->spare = (struct warmduck_engine){ 0 };
	}
	warm->has_failed = false;
	number = warm->next_number++;
	(void)pthread_cond_signal(&warm->changed);
	(void)pthread_mutex_unlock(&warm->lock);
	if (ret_engine->duck == NULL)
		error = open_engine(warm, number, memory != 0 ? memory : config->worker_memory,
				    threads != 0 ? threads : (uint32_t)config->worker_threads,
				    ret_engine, reterr, reterr_size);
	if (error == 0)
		ret_engine->table = open_table(config);
	return error;
}

void warmduck_give_back(struct warmduck *warm, const struct warmduck_engine *engine)
{
	struct warmduck_engine *bigger = NULL;

	if (engine->duck == NULL)
		return;
	(void)pthread_mutex_lock(&warm->lock);
	if (warm->used_count == warm->used_room) {
		bigger = reallocarray(warm->used, warm->used_room + 16, sizeof(*bigger));
		if (bigger != NULL) {
			warm->used = bigger;
			warm->used_room += 16;
		}
	}
	if (warm->used_count < warm->used_room) {
		warm->used[warm->used_count++] = *engine;
		(void)pthread_cond_signal(&warm->changed);
		(void)pthread_mutex_unlock(&warm->lock);
		return;
	}
	(void)pthread_mutex_unlock(&warm->lock);
	close_engine(warm, engine);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/warmduck.h"

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

#define FOLDERS_OPEN_MAX 16
#define FOLDER           "%s/attempt-%d-%" PRIu64

struct warmduck {
	const struct config *config;
	const uint32_t *cpus; /* [cpu_count] */
	uint32_t cpu_count;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct warmduck_engine spare;
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

static int clean_spill_dir(const char *path)
{
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return -errno;
	(void)nftw(path, remove_entry, FOLDERS_OPEN_MAX, FTW_PHYS | FTW_DEPTH);
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
	ret_engine->number = number;
	return duck_open(&duck, &ret_engine->duck, reterr, reterr_size);
}

static void *keep_spare(void *context)
{
	struct warmduck *warm = context;
	struct warmduck_engine engine;
	char message[512];
	uint64_t number;
	int error;

	(void)pthread_mutex_lock(&warm->lock);
	while (!warm->is_stopping) {
		if (warm->spare.duck != NULL || warm->has_failed) {
			(void)pthread_cond_wait(&warm->changed, &warm->lock);
			continue;
		}
		number = warm->next_number++;
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
	error = pthread_create(&warm->thread, NULL, keep_spare, warm);
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
	warmduck_give_back(warm, &warm->spare);
	(void)pthread_cond_destroy(&warm->changed);
	(void)pthread_mutex_destroy(&warm->lock);
	free(warm);
}

int warmduck_take(struct warmduck *warm, int64_t memory, uint32_t threads,
		  struct warmduck_engine *ret_engine, char *reterr, size_t reterr_size)
{
	const struct config *config = warm->config;
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
	if (ret_engine->duck != NULL)
		return 0;
	return open_engine(warm, number, memory != 0 ? memory : config->worker_memory,
			   threads != 0 ? threads : (uint32_t)config->worker_threads, ret_engine,
			   reterr, reterr_size);
}

void warmduck_give_back(struct warmduck *warm, const struct warmduck_engine *engine)
{
	char spill[PATH_MAX];

	if (engine->duck == NULL)
		return;
	duck_close(engine->duck);
	(void)snprintf(spill, sizeof(spill), FOLDER, warm->config->worker_spill_dir, getpid(),
		       engine->number);
	(void)nftw(spill, remove_entry, FOLDERS_OPEN_MAX, FTW_PHYS | FTW_DEPTH);
	(void)rmdir(spill);
}

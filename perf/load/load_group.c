/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_group.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#include "perf/load/load_plan.h"

#define BLOCK 4096U
#define ROOM  (1U << 20) /* bytes of a commit at most */
#define SPAN  (16U << 20)

struct committer {
	const struct load_group_options *options;
	struct load_group_result result;
	struct load_plan plan;
	pthread_t thread;
	uint8_t *bytes; /* [ROOM] */
	int fd;         /* -1: none */
	int error;
};

static int open_file(struct committer *committer, uint32_t index)
{
	char path[4096];

	committer->fd = -1;
	committer->bytes = aligned_alloc(BLOCK, ROOM);
	if (committer->bytes == NULL)
		return -ENOMEM;
	memset(committer->bytes, 0x5a, ROOM);
	if (snprintf(path, sizeof(path), "%s/.millrace-load-%d-%u", committer->options->folder,
		     (int)getpid(), index) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	committer->fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (committer->fd < 0)
		return -errno;
	(void)unlink(path);
	for (off_t at = 0; at < (off_t)SPAN; at += ROOM) {
		if (pwrite(committer->fd, committer->bytes, ROOM, at) != (ssize_t)ROOM)
			return -EIO;
	}
	return fsync(committer->fd) == 0 ? 0 : -errno;
}

static void sleep_until(int64_t at_ns)
{
	const struct timespec at = { at_ns / NS_PER_S, at_ns % NS_PER_S };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* Make what is due durable. @return 0; -errno */
static int commit(struct committer *committer, off_t *at)
{
	const uint32_t most = ROOM / committer->options->record_size;
	int64_t begin_ns = clock_now_ns(), end_ns;
	struct load_plan plan = committer->plan;
	uint32_t count = 0, size;

	while (count < most && load_plan_due_ns(&plan, begin_ns) <= begin_ns) {
		load_plan_take(&plan);
		count++;
	}
	size = ALIGN_UP(count * committer->options->record_size, BLOCK);
	if (*at + size > (off_t)SPAN)
		*at = 0;
	if (pwrite(committer->fd, committer->bytes, size, *at) != (ssize_t)size ||
	    fdatasync(committer->fd) != 0)
		return errno != 0 ? -errno : -EIO;
	*at += size;
	end_ns = clock_now_ns();
	hist_add(&committer->result.commit, (uint64_t)(end_ns - begin_ns));
	for (uint32_t i = 0; i < count; i++) {
		int64_t due_ns = load_plan_due_ns(&committer->plan, begin_ns);

		hist_add(&committer->result.latency, (uint64_t)(end_ns - due_ns));
		load_plan_take(&committer->plan);
	}
	return 0;
}

static void *run_committer(void *argument)
{
	struct committer *committer = argument;
	int64_t end_ns = clock_now_ns() + (int64_t)(committer->options->seconds * (double)NS_PER_S);
	off_t at = 0;

	(void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	while (committer->error == 0) {
		int64_t now_ns = clock_now_ns();
		int64_t due_ns = load_plan_due_ns(&committer->plan, now_ns);

		if (due_ns >= end_ns)
			break;
		if (due_ns > now_ns)
			sleep_until(due_ns);
		else
			committer->error = commit(committer, &at);
	}
	return NULL;
}

static int run_all(struct committer *committers, uint32_t count)
{
	int64_t now_ns = clock_now_ns();
	uint32_t started;
	int r = 0;

	for (started = 0; r == 0 && started < count; started++) {
		struct committer *committer = &committers[started];

		load_plan_init(&committer->plan, committer->options->rate, started, count, now_ns);
		r = -pthread_create(&committer->thread, NULL, run_committer, committer);
		if (r != 0)
			break;
	}
	for (uint32_t i = 0; i < started; i++) {
		(void)pthread_join(committers[i].thread, NULL);
		r = r == 0 ? committers[i].error : r;
	}
	return r;
}

int load_group_run(const struct load_group_options *options, struct load_group_result *ret_result)
{
	struct committer *committers;
	int r = 0;

	if (options->files < 1 || options->files > LOAD_GROUP_FILES || !(options->rate > 0) ||
	    options->record_size < 1 || options->record_size > ROOM)
		return -EINVAL;
	committers = calloc(options->files, sizeof(*committers));
	if (committers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < options->files; i++)
		committers[i].fd = -1;
	for (uint32_t i = 0; r == 0 && i < options->files; i++) {
		committers[i].options = options;
		r = open_file(&committers[i], i);
	}
	if (r == 0)
		r = run_all(committers, options->files);
	memset(ret_result, 0, sizeof(*ret_result));
	for (uint32_t i = 0; i < options->files; i++) {
		hist_merge(&ret_result->latency, &committers[i].result.latency);
		hist_merge(&ret_result->commit, &committers[i].result.commit);
		if (committers[i].fd >= 0)
			(void)close(committers[i].fd);
		free(committers[i].bytes);
	}
	free(committers);
	return r;
}

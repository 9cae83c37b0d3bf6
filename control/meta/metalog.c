/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/metalog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "storage/batch.h"

#define FOLDER           "__cluster_metadata-0"
#define FILE_NAME        "00000000000000000000.log"
#define RECORD_SIZE_OVER 32 /* bytes around a record's value: length, deltas, counts */

struct metalog {
	int fd;
	int64_t size;
	int64_t next_offset;
};

struct replay {
	metalog_replay_fn *fn;
	void *context;
};

static int flush_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = fsync(fd) == 0 ? 0 : -errno;
	(void)close(fd); /* read-only */
	return error;
}

static int open_file(const char *dir, int *ret_fd)
{
	char path[PATH_MAX];
	int fd;
	int error;

	if (snprintf(path, sizeof(path), "%s/" FOLDER, dir) >= (int)sizeof(path) - 32)
		return -ENAMETOOLONG;
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/" FOLDER "/" FILE_NAME, dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/" FOLDER, dir);
	error = flush_folder(path);
	if (error == 0)
		error = flush_folder(dir);
	if (error != 0) {
		(void)close(fd); /* nothing was written */
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static int read_all(int fd, uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, bytes + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* shorter than fstat() said: somebody else writes it */
		done += (size_t)n;
	}
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static int replay_records(const struct batch *batch, const uint8_t *bytes,
			  const struct replay *replay)
{
	struct reader reader;

	if ((batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0)
		return 0;
	if ((batch->attributes & BATCH_ATTRIBUTE_CODEC) != 0)
		return ERR_UNSUPPORTED;
	reader_init(&reader, bytes + BATCH_HEADER_SIZE, batch->size - BATCH_HEADER_SIZE);
	for (int32_t i = 0; i < batch->record_count; i++) {
		struct batch_record record;
		int error = batch_record_next(&reader, &record);

		if (error != 0)
			return error;
		if (record.value == NULL)
			return ERR_MALFORMED;
		error = replay->fn(replay->context, batch->base_offset + record.offset_delta,
				   record.value, (uint32_t)record.value_size);
		if (error != 0)
			return error;
	}
	return 0;
}

/** @return true when [left] bytes start with a whole batch at `offset` whose checksum is right */
static bool is_batch(const uint8_t *bytes, size_t left, int64_t offset, struct batch *ret_batch)
{
	if (left < BATCH_HEADER_SIZE || batch_decode(bytes, ret_batch) != 0)
		return false;
	if (ret_batch->size < BATCH_HEADER_SIZE || ret_batch->size > left ||
	    ret_batch->magic != BATCH_MAGIC || ret_batch->base_offset != offset)
		return false;
	return crc32c_extend(CRC32C_INIT, bytes + BATCH_CRC_BEGIN,
			     ret_batch->size - BATCH_CRC_BEGIN) == ret_batch->crc;
}

/** A bad batch may be the torn end of the last append only: nothing but zeros may follow it. */
static bool is_torn_tail(const uint8_t *bytes, size_t left)
{
	struct batch batch;

	if (left < BATCH_HEADER_SIZE || batch_decode(bytes, &batch) != 0)
		return is_zero(bytes + MIN(left, (size_t)BATCH_HEADER_SIZE),
			       left - MIN(left, (size_t)BATCH_HEADER_SIZE));
	return batch.size >= left || is_zero(bytes + batch.size, left - batch.size);
}

static int replay_all(struct metalog *log, const uint8_t *bytes, size_t size,
		      const struct replay *replay)
{
	size_t at = 0;
	struct batch batch;

	while (at < size && is_batch(bytes + at, size - at, log->next_offset, &batch)) {
		int error = replay_records(&batch, bytes + at, replay);

		if (error != 0)
			return error;
		log->next_offset = batch_last_offset(&batch) + 1;
		at += batch.size;
	}
	log->size = (int64_t)at;
	if (at == size)
		return 0;
	if (!is_torn_tail(bytes + at, size - at))
		return ERR_CORRUPT;
	if (ftruncate(log->fd, (off_t)at) != 0 || fdatasync(log->fd) != 0)
		return -errno;
	return 0;
}

static int replay_file(struct metalog *log, const struct replay *replay)
{
	struct stat stat;
	uint8_t *bytes;
	int error;

	if (fstat(log->fd, &stat) != 0)
		return -errno;
	if (stat.st_size > METALOG_SIZE_MAX)
		return ERR_TOO_LARGE;
	bytes = malloc(stat.st_size > 0 ? (size_t)stat.st_size : 1);
	if (bytes == NULL)
		return -ENOMEM;
	error = read_all(log->fd, bytes, (size_t)stat.st_size);
	if (error == 0)
		error = replay_all(log, bytes, (size_t)stat.st_size, replay);
	free(bytes);
	return error;
}

int metalog_open(const char *dir, metalog_replay_fn *replay, void *context,
		 struct metalog **ret_log)
{
	CLEANUP(metalog_closep) struct metalog *log = calloc(1, sizeof(*log));
	struct replay how = { replay, context };
	int error;

	if (log == NULL)
		return -ENOMEM;
	log->fd = -1;
	error = open_file(dir, &log->fd);
	if (error != 0)
		return error;
	error = replay_file(log, &how);
	if (error != 0)
		return error;
	*ret_log = TAKE_PTR(log);
	return 0;
}

void metalog_close(struct metalog *log)
{
	if (log == NULL)
		return;
	if (log->fd >= 0)
		(void)close(log->fd); /* every append was flushed */
	free(log);
}

int64_t metalog_next_offset(const struct metalog *log)
{
	return log->next_offset;
}

static int write_all(int fd, const uint8_t *bytes, size_t size, int64_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, bytes, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes += n;
		at += n;
		size -= (size_t)n;
	}
	return fdatasync(fd) == 0 ? 0 : -errno;
}

int metalog_append(struct metalog *log, const struct metalog_record *records, uint32_t count,
		   int64_t now_ms)
{
	struct batch_builder builder;
	size_t room = BATCH_HEADER_SIZE;
	uint8_t *bytes;
	int64_t size;
	int error;

	CHECK(count > 0);
	for (uint32_t i = 0; i < count; i++)
		room += records[i].size + RECORD_SIZE_OVER;
	if (log->size + (int64_t)room > METALOG_SIZE_MAX)
		return ERR_TOO_LARGE;
	bytes = malloc(room);
	if (bytes == NULL)
		return -ENOMEM;
	batch_builder_init(&builder, bytes, room, now_ms, 0);
	for (uint32_t i = 0; i < count; i++)
		batch_builder_add(&builder, NULL, 0, records[i].bytes, records[i].size);
	size = batch_builder_end(&builder, log->next_offset, METALOG_LEADER_EPOCH);
	error = size < 0 ? (int)size : write_all(log->fd, bytes, (size_t)size, log->size);
	free(bytes);
	if (error != 0)
		return error;
	log->size += size;
	log->next_offset += count;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "logbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "storage/retain.h"

#define NOW_MS INT64_C(1700000000000)

static void on_durable(void *ctx, struct seglog *log)
{
	struct logbox *box = ctx;

	CHECK(log == box->log);
	box->durable_calls++;
}

static void on_housekeep(void *ctx, struct seglog *log)
{
	struct logbox *box = ctx;

	(void)log;
	CHECK(!box->wants_housekeep);
	box->wants_housekeep = true;
}

struct logbox *logbox_new(uint64_t ring_size)
{
	struct logbox *box = calloc(1, sizeof(*box));

	CHECK(box != NULL);
	temp_dir_make(box->dir);
	/* io_uring registers memory of tmpfs, not of files on a disk. */
	CHECK(snprintf(box->ring, TEMP_PATH_SIZE, "/dev/shm/%s", strrchr(box->dir, '/') + 1) > 0);
	box->log_dir_fd = open(box->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(box->log_dir_fd >= 0);
	box->ring_size = ring_size;
	box->now_ms = NOW_MS;
	box->seed = 1;
	memset(box->identity.directory_id.bytes, 7, UUID_SIZE);
	(void)snprintf(box->identity.boot_id, sizeof(box->identity.boot_id), "this boot");
	box->args = (struct seglog_open_args){
		.log_dir_fd = box->log_dir_fd,
		.topic = LOGBOX_TOPIC,
		.partition = 3,
		.leader_epoch = 4,
		.settings = { .segment_size = 64 * 1024 * 1024,
			      .segment_ms = INT64_C(604800000),
			      .retention_ms = -1,
			      .retention_size = -1,
			      .message_size_max = 1024 * 1024 },
	};
	memset(box->args.topic_id.bytes, 9, UUID_SIZE);
	box->core = (struct seglog_core){ .counters = &box->counters,
					  .ctx = box,
					  .on_durable = on_durable,
					  .on_housekeep = on_housekeep };
	return box;
}

void logbox_free(struct logbox *box)
{
	if (box->uring != NULL)
		logbox_kill(box);
	(void)close(box->log_dir_fd);
	(void)unlink(box->ring);
	temp_dir_remove(box->dir);
	free(box);
}

static int salvage(void *ctx, const struct chunk_remains *remains)
{
	struct logbox *box = ctx;
	int error = seglog_salvage_write(box->log_dir_fd, LOGBOX_TOPIC, remains);

	return error == -ENOENT ? 0 : error;
}

int logbox_open(struct logbox *box, bool was_clean, int64_t checkpoint)
{
	const struct uring_config config = { .entries = 256, .files_max = 64 };
	const struct iovec *buffers;
	uint32_t count;
	int error;

	CHECK(chunk_salvage(box->ring, &box->identity, salvage, box) == 0);
	CHECK(chunk_pool_open(box->ring, box->ring_size, &box->identity, &box->chunks) == 0);
	CHECK(uring_open(&config, &box->uring) == 0);
	count = chunk_pool_buffers(box->chunks, &buffers);
	CHECK(uring_buffers_register(box->uring, buffers, count) == 0);
	box->core.chunks = box->chunks;
	box->core.uring = box->uring;
	seglog_core_init(&box->core);
	box->args.was_clean = was_clean;
	box->args.checkpoint_offset = checkpoint;
	box->args.now_ms = box->now_ms;
	box->wants_housekeep = false;
	box->found = (struct seglog_recovery){ 0 };
	error = seglog_open(&box->args, &box->log, &box->found);
	if (error == 0 || error == ERR_CORRUPT)
		CHECK(seglog_attach(box->log, &box->core, box) == 0);
	return error;
}

static void close_rest(struct logbox *box)
{
	uring_close(box->uring);
	chunk_pool_close(box->chunks);
	box->uring = NULL;
	box->chunks = NULL;
	box->log = NULL;
}

int logbox_close(struct logbox *box)
{
	int error;

	while (!seglog_detach(box->log)) {
		logbox_housekeep(box);
		(void)uring_wait(box->uring, NS_PER_MS);
	}
	error = seglog_close(box->log);
	close_rest(box);
	return error;
}

void logbox_kill(struct logbox *box)
{
	if (box->log != NULL) {
		uring_close(TAKE_PTR(box->uring)); /* it waits for what is in flight */
		LIST_EACH_SAFE(&box->log->chunks, node)
		list_remove(node);
		box->log->core = NULL;
		retain_free(box->log);
	}
	close_rest(box);
}

void logbox_lose_ring(struct logbox *box)
{
	logbox_kill(box);
	(void)unlink(box->ring);
}

void logbox_housekeep(struct logbox *box)
{
	box->wants_housekeep = false;
	(void)seglog_housekeep(box->log, box->now_ms);
	(void)seglog_flush(box->log);
}

void logbox_settle(struct logbox *box)
{
	do {
		if (box->wants_housekeep)
			logbox_housekeep(box);
		(void)seglog_flush(box->log);
		(void)uring_wait(box->uring, NS_PER_MS);
	} while (box->wants_housekeep || box->log->flush.segment != NULL);
}

uint32_t logbox_make(struct logbox *box, const struct logbox_spec *spec)
{
	static uint8_t value[2 * 1024 * 1024];
	int32_t records = spec->records > 0 ? spec->records : 1;
	uint32_t value_size = spec->value_size > 0 ? spec->value_size : 100;
	struct batch_builder builder;
	uint8_t *header = box->scratch;
	int64_t size;

	CHECK(value_size <= sizeof(value));
	batch_builder_init(&builder, box->scratch, sizeof(box->scratch),
			   spec->timestamp != 0 ? spec->timestamp : box->now_ms, 0);
	for (int32_t i = 0; i < records; i++) {
		for (uint32_t j = 0; j < value_size; j++) {
			box->seed = box->seed * 1664525 + 1013904223;
			value[j] = (uint8_t)(box->seed >> 24);
		}
		batch_builder_add(&builder, &i, sizeof(i), value, value_size);
	}
	size = batch_builder_end(&builder, 0, -1);
	CHECK(size > 0);
	if (spec->producer_id > 0) {
		bytes_store_u64(header + 43, (uint64_t)spec->producer_id);
		bytes_store_u16(header + 51, (uint16_t)spec->epoch);
		bytes_store_u32(header + 53, (uint32_t)spec->sequence);
		bytes_store_u32(header + 17, crc32c_extend(CRC32C_INIT, header + BATCH_CRC_BEGIN,
							   (size_t)size - BATCH_CRC_BEGIN));
	}
	return (uint32_t)size;
}

int logbox_fill(struct logbox *box, uint32_t size)
{
	int error = seglog_reserve(box->log, size, box->now_ms);

	for (uint32_t at = 0; error == 0 && at < size;) {
		uint32_t room;
		uint8_t *to = seglog_room(box->log, at, &room);

		CHECK(room >= 1 && room <= size - at);
		memcpy(to, box->scratch + at, room);
		at += room;
	}
	return error;
}

int64_t logbox_append(struct logbox *box, const struct logbox_spec *spec)
{
	uint32_t size = logbox_make(box, spec);
	struct seglog_appended appended;
	struct batch batch;
	int error = batch_decode(box->scratch, &batch);

	CHECK(error == 0);
	error = logbox_fill(box, size);
	if (error == 0)
		error = seglog_commit(box->log, &batch, box->now_ms, &appended);
	if (error != 0)
		return error;
	CHECK(box->batch_count < LOGBOX_BATCHES_MAX);
	box->batches[box->batch_count++] = (struct logbox_batch){
		.base_offset = appended.base_offset,
		.count = batch.record_count,
		.size = size,
		.crc = batch.crc,
	};
	return appended.base_offset;
}

void logbox_append_many(struct logbox *box, uint32_t count, uint32_t value_size)
{
	for (uint32_t i = 0; i < count; i++) {
		int64_t offset;

		while ((offset = logbox_append(
				box, &(struct logbox_spec){ .value_size = value_size })) == -EAGAIN)
			logbox_settle(box);
		CHECK(offset >= 0);
	}
}

struct waiting {
	struct seglog_read *read;
	int error;
};

static void on_read(struct seglog_read *read, int error)
{
	struct waiting *waiting = read->owner;

	CHECK(waiting->read == read);
	waiting->error = error;
}

int logbox_read(struct logbox *box, int64_t offset, uint32_t size_max, int64_t limit,
		struct seglog_read *ret_read)
{
	struct waiting waiting = { .read = ret_read, .error = -EINPROGRESS };
	int error;

	*ret_read = (struct seglog_read){ .offset = offset,
					  .size_max = size_max,
					  .limit = limit,
					  .done = on_read,
					  .owner = &waiting };
	error = seglog_read(box->log, ret_read);
	if (error != -EINPROGRESS)
		return error;
	while (waiting.error == -EINPROGRESS)
		(void)uring_wait(box->uring, NS_PER_MS);
	return waiting.error;
}

static const struct logbox_batch *noted(const struct logbox *box, int64_t offset)
{
	for (uint32_t low = 0, high = box->batch_count; low < high;) {
		uint32_t middle = (low + high) / 2;
		const struct logbox_batch *at = &box->batches[middle];

		if (at->base_offset == offset)
			return at;
		if (at->base_offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int64_t logbox_verify(struct logbox *box, const struct seglog_read *read)
{
	uint32_t size = 0;
	int64_t next = -1;

	for (uint32_t i = 0; i < read->slice_count; i++) {
		CHECK(size + read->slices[i].size <= sizeof(box->scratch));
		memcpy(box->scratch + size, read->slices[i].bytes, read->slices[i].size);
		size += read->slices[i].size;
	}
	CHECK(size == read->size);
	for (uint32_t at = 0; at < size;) {
		const struct logbox_batch *expected;
		struct batch batch;

		CHECK(size - at >= BATCH_HEADER_SIZE);
		CHECK(batch_decode(box->scratch + at, &batch) == 0);
		CHECK(batch.size <= size - at);
		CHECK(next < 0 || batch.base_offset == next);
		CHECK(next >= 0 || batch_last_offset(&batch) >= read->offset);
		CHECK(next >= 0 || batch.base_offset <= read->offset);
		CHECK(batch_last_offset(&batch) < read->limit);
		expected = noted(box, batch.base_offset);
		CHECK(expected != NULL);
		CHECK(batch.size == expected->size && batch.crc == expected->crc);
		CHECK(crc32c_extend(CRC32C_INIT, box->scratch + at + BATCH_CRC_BEGIN,
				    batch.size - BATCH_CRC_BEGIN) == batch.crc);
		next = batch_last_offset(&batch) + 1;
		at += batch.size;
	}
	return next;
}

uint32_t logbox_verify_range(struct logbox *box, int64_t from, int64_t to, uint32_t size_max)
{
	uint32_t reads = 0;

	while (from < to) {
		struct seglog_read read;

		CHECK(logbox_read(box, from, size_max, INT64_MAX, &read) == 0);
		CHECK(read.size > 0);
		from = logbox_verify(box, &read);
		seglog_read_release(&read);
		reads++;
	}
	CHECK(from == to);
	return reads;
}

void logbox_path(const struct logbox *box, int64_t base, const char *suffix, char *ret_path)
{
	char name[SEGFILE_NAME_MAX];

	segfile_name(base, suffix, name);
	CHECK(snprintf(ret_path, TEMP_PATH_SIZE, "%s/" LOGBOX_FOLDER "/%s", box->dir, name) <
	      TEMP_PATH_SIZE);
}

int64_t logbox_load(struct logbox *box, int64_t base, const char *suffix)
{
	char path[TEMP_PATH_SIZE];
	ssize_t size;
	int fd;

	logbox_path(box, base, suffix, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size = read(fd, box->scratch, sizeof(box->scratch));
	(void)close(fd);
	return size;
}

void logbox_damage(const struct logbox *box, int64_t base, const char *suffix, int64_t pos,
		   const void *bytes, size_t size)
{
	char path[TEMP_PATH_SIZE];
	int fd;

	logbox_path(box, base, suffix, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, bytes, size, pos) == (ssize_t)size);
	(void)close(fd);
}

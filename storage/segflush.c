/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit round: plain O_DIRECT writes of prepared space, all awaited with their full length, then
 * one fsync; only then do the durable end and the high watermark move. At most one round per log is
 * under way; the next takes all that gathered meanwhile.
 *
 * Rounds of one segment begin at the durable position rounded down to a block, so the block that both
 * rounds share is written again whole from the same memory: its older bytes are the same.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/hist.h"
#include "storage/seglog_impl.h"

void seglog_poison(struct seglog *log)
{
	__atomic_store_n(&log->error, ERR_POISONED, __ATOMIC_RELEASE);
	counters_inc(log->core->counters, COUNTER_SEGLOG_FLUSH_FAILURES);
}

static bool is_flushed(const struct segment *segment)
{
	return segment->durable == segment->size;
}

/* Rolled segments that are durable leave the ring's file table; the housekeeper finishes them. */
static void retire_flushed(struct seglog *log)
{
	while (log->unflushed != log->tail && is_flushed(log->unflushed)) {
		struct segment *segment = log->unflushed;

		seglog_clean(log, segment);
		if (segment->slot >= 0)
			uring_file_remove(log->core->uring, segment->slot);
		segment->slot = -1;
		log->unflushed = segment->next;
		__atomic_store_n(&segment->is_done, true, __ATOMIC_RELEASE);
		seglog_ask(log);
	}
}

static void finish(struct seglog *log)
{
	struct seglog_flush *flush = &log->flush;
	struct segment *segment = flush->segment;

	flush->segment = NULL;
	flush->chunk = NULL;
	if (flush->error != 0) {
		seglog_poison(log);
	} else {
		__atomic_store_n(&segment->durable, flush->to_pos, __ATOMIC_RELEASE);
		__atomic_store_n(&log->high_watermark, flush->to_offset, __ATOMIC_RELEASE);
		seglog_clean(log, segment);
		retire_flushed(log);
		list_remove(&log->quiet);
		list_push_back(&log->core->quiet, &log->quiet);
		if (log->core->flush_ns != NULL)
			hist_add(log->core->flush_ns, (uint64_t)(clock_now_ns() - flush->begin_ns));
		counters_inc(log->core->counters, COUNTER_SEGLOG_FLUSHES);
	}
	seglog_publish(log);
	log->core->on_durable(log->core->ctx, log);
}

static bool step(struct seglog *log);

static void on_synced(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct seglog_flush *flush = CONTAINER_OF(event, struct seglog_flush, sync_event);
	struct seglog *log = CONTAINER_OF(flush, struct seglog, flush);

	(void)flags;
	CHECK_OBJ(log, SEGLOG_MAGIC);
	CHECK(flush->is_syncing);
	flush->is_syncing = false;
	flush->pending--;
	if (result < 0)
		flush->error = result;
	finish(log);
	(void)seglog_flush(log); /* a full queue: the core's next turn tries again */
}

static void on_written(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct seglog_write *write = CONTAINER_OF(event, struct seglog_write, event);
	struct seglog *log = write->log;

	(void)flags;
	CHECK_OBJ(log, SEGLOG_MAGIC);
	CHECK(write->size > 0);
	CHECK(log->flush.pending > 0);
	if (result < 0)
		log->flush.error = result;
	else if ((uint32_t)result != write->size)
		log->flush.error = -EIO;
	write->size = 0;
	log->flush.pending--;
	(void)step(log);
}

static struct seglog_write *free_write(struct seglog_flush *flush)
{
	for (uint32_t i = 0; i < SEGLOG_FLUSH_WRITES; i++) {
		if (flush->writes[i].size == 0)
			return &flush->writes[i];
	}
	return NULL;
}

/* Submit the writes that still fit. @return false: the queue is full, come back */
static bool submit_writes(struct seglog *log)
{
	struct seglog_flush *flush = &log->flush;

	while (flush->cursor < flush->end && flush->error == 0) {
		struct seglog_write *write = free_write(flush);
		struct chunk *chunk = flush->chunk;
		uint32_t size;

		if (write == NULL)
			return true; /* a completion goes on */
		CHECK(chunk->segment_base == flush->segment->base);
		CHECK(chunk->pos <= flush->cursor);
		size = MIN(chunk->end, flush->end) - flush->cursor;
		CHECK(size > 0);
		CHECK(flush->cursor + size <=
		      __atomic_load_n(&flush->segment->prepared, __ATOMIC_RELAXED));
		if (uring_write(log->core->uring, flush->segment->slot, chunk->buffer,
				chunk->mem + (flush->cursor - chunk->pos), size, flush->cursor,
				&write->event) != 0)
			return false;
		write->size = size;
		flush->pending++;
		flush->cursor += size;
		counters_inc(log->core->counters, COUNTER_SEGLOG_FLUSH_WRITES);
		counters_add(log->core->counters, COUNTER_SEGLOG_FLUSH_BYTES, size);
		if (flush->cursor < flush->end)
			flush->chunk = LIST_ENTRY(chunk->node.next, struct chunk, node);
	}
	return true;
}

/* A round of a log that writes nothing: it ends as others do, with the completion of an operation. */
static bool pass(struct seglog *log)
{
	struct seglog_flush *flush = &log->flush;

	if (uring_nop(log->core->uring, &flush->sync_event) != 0)
		return false;
	flush->is_syncing = true;
	flush->pending++;
	return true;
}

/* Move the round on. @return false: the queue is full, come back */
static bool step(struct seglog *log)
{
	struct seglog_flush *flush = &log->flush;

	if (flush->is_syncing)
		return true;
	if (unlikely(log->is_discarded))
		return pass(log);
	if (!submit_writes(log))
		return flush->pending > 0; /* a completion goes on */
	if (flush->pending > 0)
		return true;
	if (flush->error != 0) {
		finish(log);
		return true;
	}
	if (uring_fsync(log->core->uring, flush->segment->slot, &flush->sync_event) != 0)
		return false;
	flush->is_syncing = true;
	flush->pending++;
	return true;
}

/* The segment's file, in the ring's table. @return false: not there yet */
static bool have_slot(struct seglog *log, struct segment *segment)
{
	int fd = __atomic_load_n(&segment->fd, __ATOMIC_ACQUIRE);

	if (segment->slot < 0 && fd >= 0) {
		segment->slot = uring_file_add(log->core->uring, fd);
		if (segment->is_recycled && segment->slot >= 0)
			counters_inc(log->core->counters, COUNTER_SEGLOG_RECYCLED);
	}
	return segment->slot >= 0;
}

static struct chunk *chunk_at(struct seglog *log, const struct segment *segment, uint32_t pos)
{
	for (struct list *node = log->chunks.prev; node != &log->chunks; node = node->prev) {
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);

		if (chunk->segment_base == segment->base && chunk->pos <= pos)
			return chunk;
	}
	WRONG("bytes that are not durable are in the ring");
}

/* Up to where a round writes that makes `end` durable, a multiple of the block: over what a recycled file has in the
   place of the next header there have to be zeroes. */
static uint32_t written_end(const struct segment *segment, uint32_t end)
{
	uint32_t prepared = __atomic_load_n(&segment->prepared, __ATOMIC_ACQUIRE);

	if (!segment->is_recycled)
		return end;
	return MIN(ALIGN_UP(segment->size + BATCH_HEADER_SIZE, SEGFILE_ALIGN), prepared);
}

/* Begin a round for the oldest segment that has bytes to flush, when its file has room for them. */
static bool begin(struct seglog *log)
{
	struct seglog_flush *flush = &log->flush;
	struct segment *segment = log->unflushed;
	uint32_t end = ALIGN_UP(segment->size, SEGFILE_ALIGN);

	if (is_flushed(segment))
		return false;
	if (__atomic_load_n(&segment->prepared, __ATOMIC_ACQUIRE) < end ||
	    !have_slot(log, segment)) {
		counters_inc(log->core->counters, COUNTER_SEGLOG_FLUSH_UNPREPARED);
		seglog_ask(log);
		return false;
	}
	CHECK(flush->pending == 0);
	flush->segment = segment;
	flush->cursor = ALIGN_DOWN(segment->durable, SEGFILE_ALIGN);
	flush->end = written_end(segment, end);
	flush->to_pos = segment->size;
	flush->to_offset = segment->end_offset;
	flush->chunk = chunk_at(log, segment, flush->cursor);
	flush->error = 0;
	flush->begin_ns = clock_now_ns();
	return true;
}

bool seglog_flush(struct seglog *log)
{
	CHECK_OBJ(log, SEGLOG_MAGIC);
	if (log->error != 0 && log->flush.segment == NULL)
		return false;
	seglog_sync(log);
	if (log->flush.segment == NULL) {
		retire_flushed(log);
		if (!begin(log))
			return false;
	}
	return !step(log);
}

int seglog_attach(struct seglog *log, struct seglog_core *core, void *owner)
{
	CHECK_OBJ(log, SEGLOG_MAGIC);
	CHECK(log->core == NULL);
	log->owner = owner;
	log->core = core;
	core->log_count++;
	if (log->error != 0) {
		seglog_publish(log);
		return 0;
	}
	log->flush.sync_event.fn = on_synced;
	for (uint32_t i = 0; i < SEGLOG_FLUSH_WRITES; i++)
		log->flush.writes[i] = (struct seglog_write){ .event.fn = on_written, .log = log };
	if (!have_slot(log, log->tail)) {
		core->log_count--;
		log->core = NULL;
		return -ENFILE;
	}
	seglog_publish(log);
	return 0;
}

/* Bytes that wait for a flush which can still come. */
static bool is_flush_due(const struct seglog *log)
{
	return log->error == 0 && !is_flushed(log->unflushed) &&
	       __atomic_load_n(&log->prepare_error, __ATOMIC_ACQUIRE) == 0;
}

/* Chunks with bytes that never became durable (a poisoned log, a full disk) stay bound, so that the
   ring file outlives the process and the next start salvages them. */
static void drop_chunks(struct seglog *log)
{
	while (!list_is_empty(&log->chunks)) {
		struct chunk *chunk = LIST_ENTRY(log->chunks.next, struct chunk, node);
		const struct segment *segment = log->unflushed;

		list_remove(&chunk->node);
		while (segment != NULL && segment->base != chunk->segment_base)
			segment = segment->next;
		if (chunk->on_evict != NULL || segment == NULL ||
		    (is_flushed(segment) || chunk->pos >= segment->size))
			chunk_drop(chunk); /* a slice under way keeps the bytes, nobody the log */
	}
}

bool seglog_detach(struct seglog *log)
{
	if (log->core == NULL)
		return true;
	seglog_abandon(log);
	(void)seglog_flush(log); /* acks=1 answers were given for what is only in the ring */
	if (log->flush.segment != NULL || is_flush_due(log))
		return false;
	seglog_read_forget(log, NULL);
	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++) {
		if (log->cold[i].segment != NULL)
			return false;
	}
	for (struct segment *segment = log->first; segment != NULL; segment = segment->next) {
		if (segment->slot >= 0)
			uring_file_remove(log->core->uring, segment->slot);
		segment->slot = -1;
	}
	drop_chunks(log);
	list_remove(&log->quiet);
	log->core->log_count--;
	log->core = NULL;
	return true;
}

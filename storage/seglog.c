/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/seglog.h"

#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/seglog_impl.h"

#define CHUNK_GROW_MS   100  /* a chunk filled faster than this: the next one is larger */
#define CHUNK_SHRINK_MS 5000 /* slower than this: back to the smallest */

/* When memory is short, logs without an append for so long give their tail chunks; any log when it is out. */
#define QUIET_MS       1000
#define QUIET_GIVE_MAX 8  /* logs that do so at once */
#define QUIET_LOOK_MAX 64 /* logs looked at */

/* Wiped in a taken chunk: a partly filled block, and a header that begins at its end. */
#define TAKEN_WIPE_SIZE (2 * SEGFILE_ALIGN)

/* ---- what other threads and processes see ---- */

void seglog_publish(struct seglog *log)
{
	struct partition_view view = {
		.topic_id = log->topic_id,
		.partition = log->partition,
		.leader_epoch = log->leader_epoch,
		.error = log->error,
		.start_offset = log->start_offset,
		.high_watermark = log->high_watermark,
		.last_stable_offset = log->high_watermark,
		.next_offset = log->next_offset,
		.size = log->total_size,
	};

	if (log->cell == NULL)
		return;
	if (log->unflushed != NULL) {
		view.segment_base = log->unflushed->base;
		view.file_end = log->unflushed->durable;
	}
	partition_cell_write(log->cell, &view);
}

void seglog_ask(struct seglog *log)
{
	if (log->core == NULL || __atomic_exchange_n(&log->is_asked, true, __ATOMIC_ACQ_REL))
		return;
	log->core->on_housekeep(log->core->ctx, log);
}

static void on_evict(void *owner, struct chunk *chunk)
{
	(void)owner; /* the list node is all the log knows of it */
	list_remove(&chunk->node);
	chunk_unref(chunk);
}

/* Chunks of `segment` (all of them, or those that end at or below its durable position) need no ring
   memory any more: let them be evicted. */
void seglog_clean(struct seglog *log, const struct segment *segment)
{
	bool is_whole = segment->is_rolled && segment->durable == segment->size;

	LIST_EACH_SAFE(&log->chunks, node)
	{
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);

		if (chunk->segment_base < segment->base || chunk->on_evict != NULL)
			continue;
		if (chunk->segment_base > segment->base ||
		    (!is_whole && chunk->pos + chunk->size > segment->durable))
			break;
		chunk_set_clean(chunk, on_evict, log);
	}
}

/* ---- what the housekeeper asked for ---- */

void seglog_doom(struct seglog *log, struct segment *segment)
{
	struct segment *head = __atomic_load_n(&log->doomed, __ATOMIC_ACQUIRE);

	do {
		segment->doomed_next = head;
	} while (!__atomic_compare_exchange_n(&log->doomed, &head, segment, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	seglog_ask(log);
}

/* The log's start moves past its first segment. */
static void drop_first(struct seglog *log)
{
	struct segment *first = log->first;
	struct segment *next = first->next;

	CHECK(first != log->tail);
	CHECK(first->is_done);
	LIST_EACH_SAFE(&log->chunks, node)
	{
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);

		if (chunk->segment_base != first->base)
			break;
		list_remove(&chunk->node);
		chunk_drop(chunk); /* an answer that is being sent keeps its bytes */
	}
	next->prev = NULL;
	__atomic_store_n(&log->start_offset, next->base, __ATOMIC_RELEASE);
	__atomic_store_n(&log->total_size, log->total_size - first->size, __ATOMIC_RELEASE);
	__atomic_store_n(&log->first, next, __ATOMIC_RELEASE);
	seglog_publish(log); /* before the file loses its name */
	seglog_read_forget(log, first);
	first->is_doomed = true;
	if (first->reads == 0)
		seglog_doom(log, first);
}

/* @return newest chunk of the tail segment; NULL none */
static struct chunk *last_chunk(const struct seglog *log)
{
	struct chunk *chunk = LIST_ENTRY(log->chunks.prev, struct chunk, node);

	if (list_is_empty(&log->chunks) || chunk->segment_base != log->tail->base)
		return NULL;
	return chunk;
}

/* A quiet log gives its last chunk back: the one block that later flushes write again is kept aside.
   @return false: it has none, or is not quiet */
static bool clean_tail(struct seglog *log)
{
	struct segment *tail = log->tail;
	struct chunk *chunk;
	uint32_t begin = ALIGN_DOWN(tail->size, SEGFILE_ALIGN);

	if (log->reserved > 0 || log->flush.segment != NULL || tail->durable != tail->size ||
	    log->is_tail_clean || log->tail_end == 0)
		return false;
	/* Further chunks were taken for a reservation that was given up: they are empty. */
	while ((chunk = last_chunk(log)) != NULL && chunk->pos > begin) {
		list_remove(&chunk->node);
		chunk_unref(chunk);
	}
	if (begin < tail->size) {
		CHECK(chunk != NULL);
		memcpy(log->tail_block, chunk->mem + (begin - chunk->pos), tail->size - begin);
	}
	if (chunk != NULL && chunk->on_evict == NULL)
		chunk_set_clean(chunk, on_evict, log);
	log->is_tail_clean = true;
	return true;
}

/* Memory is short: the tails that are quiet for longest. A log comes back to the list with its next commit. */
static void give_tails(void *ctx, bool is_last)
{
	struct seglog_core *core = ctx;
	uint32_t given = 0;
	int64_t newest_ms;

	if (list_is_empty(&core->quiet))
		return;
	newest_ms = LIST_ENTRY(core->quiet.prev, struct seglog, quiet)->append_ms;
	for (uint32_t i = 0; i < QUIET_LOOK_MAX && given < QUIET_GIVE_MAX; i++) {
		struct seglog *log = LIST_ENTRY(core->quiet.next, struct seglog, quiet);

		if (list_is_empty(&core->quiet) ||
		    (!is_last && newest_ms - log->append_ms < QUIET_MS))
			break;
		list_remove(&log->quiet);
		if (clean_tail(log))
			given++;
	}
	counters_add(core->counters, COUNTER_SEGLOG_TAILS_GIVEN, given);
}

void seglog_core_init(struct seglog_core *core)
{
	core->log_count = 0;
	list_init(&core->quiet);
	chunk_pool_on_short(core->chunks, give_tails, core);
}

/* ---- reservation ---- */

static bool must_roll(const struct seglog *log, uint32_t size, int64_t now_ms)
{
	const struct segment *tail = log->tail;

	if (tail->size == 0)
		return false;
	/* A record takes more than a byte, so `size` bounds the offsets of the batch. */
	return (uint64_t)tail->size + size > log->settings.segment_size ||
	       log->next_offset - tail->base > (int64_t)INT32_MAX - size ||
	       now_ms - tail->first_ms >= log->settings.segment_ms;
}

static int roll(struct seglog *log)
{
	struct segment *old = log->tail;
	struct segment *segment = __atomic_exchange_n(&log->spare, NULL, __ATOMIC_ACQ_REL);
	int64_t snapshot_size;

	seglog_ask(log); /* for the next spare, the new file, and the end of the old one */
	if (segment == NULL)
		return -EAGAIN;
	segindex_end(&old->index);
	segment->base = log->next_offset;
	segment->end_offset = log->next_offset;
	segment->prev = old;
	segindex_begin(&segment->index, segment->base);
	/* Too many producers for the room there is: recovery then reads one segment more. */
	snapshot_size = producers_encode(&log->producers, segment->snapshot, segment->snapshot_max);
	segment->snapshot_size = snapshot_size > 0 ? (uint32_t)snapshot_size : 0;
	__atomic_store_n(&old->is_rolled, true, __ATOMIC_RELEASE);
	__atomic_store_n(&old->next, segment, __ATOMIC_RELEASE);
	log->tail = segment;
	log->tail_end = 0;
	log->wiped_end = 0;
	log->is_tail_clean = false;
	counters_inc(log->core->counters, COUNTER_SEGLOG_ROLLS);
	return 0;
}

/* The tail was due as a whole when the housekeeper looked; an append since then keeps it. */
static void roll_when_due(struct seglog *log)
{
	int64_t end = __atomic_exchange_n(&log->roll_offset, 0, __ATOMIC_ACQ_REL);

	if (end == log->next_offset && log->tail->size > 0 && log->reserved == 0 && log->error == 0)
		(void)roll(log); /* without a spare: the next round asks again */
}

void seglog_sync(struct seglog *log)
{
	int64_t retain = __atomic_load_n(&log->retain_offset, __ATOMIC_ACQUIRE);

	while (log->start_offset < retain && log->first != log->tail &&
	       log->first->end_offset <= retain)
		drop_first(log);
	if (__atomic_load_n(&log->roll_offset, __ATOMIC_ACQUIRE) != 0)
		roll_when_due(log);
	if (__atomic_load_n(&log->is_idle, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&log->is_idle, false, __ATOMIC_RELEASE);
		(void)clean_tail(log);
	}
}

static uint32_t next_chunk_size(struct seglog *log, int64_t now_ms)
{
	uint64_t limit = chunk_pool_size(log->core->chunks) / 32;
	uint64_t share = chunk_pool_size(log->core->chunks) / log->core->log_count;
	uint32_t size = log->chunk_size;

	if (now_ms - log->chunk_ms < CHUNK_GROW_MS && size < CHUNK_SIZE_MAX && size * 2 <= limit)
		size *= 2;
	else if (now_ms - log->chunk_ms > CHUNK_SHRINK_MS)
		size = CHUNK_SIZE_MIN;
	/* A chunk is for several batches, where the log's share has room for it. */
	while (size < CHUNK_SIZE_MAX && size < 2 * log->reserved && size * 2 <= MIN(share, limit))
		size *= 2;
	log->chunk_ms = now_ms;
	return log->chunk_size = size;
}

/* A chunk for the tail segment's bytes from `pos` on, with `block` [block_size] in front. It comes as
   its last owner left it, so what recovery reads first is made right before the directory shows it:
   the block's bytes, and zeroes where a batch header may come to stand behind them. */
static struct chunk *take_chunk(struct seglog *log, uint32_t pos, const uint8_t *block,
				uint32_t block_size, int64_t now_ms)
{
	uint32_t size = next_chunk_size(log, now_ms);
	struct chunk *chunk = chunk_take(log->core->chunks, size), *before;

	while (chunk == NULL && size > CHUNK_SIZE_MIN) {
		size /= 2;
		chunk = chunk_take(log->core->chunks, size);
	}
	if (chunk == NULL)
		return NULL;
	/* What an older one has there counts no more: it may outlive this one, when an answer of it is
	   still being sent. */
	before = last_chunk(log);
	if (before != NULL)
		before->end = MIN(before->end, pos);
	memcpy(chunk->mem, block, block_size);
	memset(chunk->mem + block_size, 0, TAKEN_WIPE_SIZE - block_size);
	chunk_bind(chunk, &log->topic_id, log->partition, log->tail->base, pos);
	list_push_back(&log->chunks, &chunk->node);
	log->tail_end = pos + chunk->size;
	return chunk;
}

/* Have chunks for tail bytes up to `end`. */
static int cover(struct seglog *log, uint32_t end, int64_t now_ms)
{
	struct segment *tail = log->tail;
	uint32_t begin = ALIGN_DOWN(tail->size, SEGFILE_ALIGN);

	if (log->is_tail_clean || log->tail_end == 0) {
		if (take_chunk(log, begin, log->tail_block, tail->size - begin, now_ms) == NULL)
			return -EAGAIN;
		log->is_tail_clean = false;
		log->wiped_end = begin + TAKEN_WIPE_SIZE;
	}
	while (log->tail_end < end) {
		if (take_chunk(log, log->tail_end, log->tail_block, 0, now_ms) == NULL)
			return -EAGAIN;
	}
	return 0;
}

/*
 * Zeroes from `end`, where the batch about to be received will end, to the end of the block that the
 * next header reaches into. Recovery takes them for the clean end; without them an older batch could
 * follow the tail, of this log or another, with the very offset that comes next. A flush writes whole
 * blocks, so no stranger's bytes get into a file either. What lies in chunks to come is theirs.
 */
static void wipe(struct seglog *log, uint32_t end)
{
	uint32_t to = MIN(ALIGN_UP(end + BATCH_HEADER_SIZE, SEGFILE_ALIGN), log->tail_end);
	uint32_t from = MAX(end, log->wiped_end);

	if (from >= to)
		return;
	log->wiped_end = to;
	for (struct list *node = log->chunks.prev; node != &log->chunks; node = node->prev) {
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);
		uint32_t first = MAX(from, chunk->pos);

		if (first < to)
			memset(chunk->mem + (first - chunk->pos), 0, to - first);
		to = MIN(to, chunk->pos);
		if (to <= from)
			break;
	}
}

int seglog_reserve(struct seglog *log, uint32_t size, int64_t now_ms)
{
	struct list *node;
	uint32_t end;
	int error;

	CHECK_OBJ(log, SEGLOG_MAGIC);
	if (log->error != 0)
		return log->error;
	if (log->reserved > 0)
		return -EBUSY;
	if (size < BATCH_HEADER_SIZE || size > SEGLOG_BATCH_SIZE_MAX)
		return ERR_TOO_LARGE;
	seglog_sync(log);
	error = __atomic_load_n(&log->prepare_error, __ATOMIC_ACQUIRE);
	if (error != 0) {
		seglog_ask(log);
		return error;
	}
	if (must_roll(log, size, now_ms)) {
		error = roll(log);
		if (error != 0)
			return error;
		(void)seglog_flush(log); /* the old segment may be durable already */
	}
	/* With the next header: it is zeroes in the ring, and in the file of a recycled segment. */
	end = log->tail->size + size + BATCH_HEADER_SIZE;
	if (log->tail_end < end)
		(void)clean_tail(log); /* in two chunks it would be two writes */
	log->reserved = size;          /* its own tail is not given while chunks are taken for it */
	error = cover(log, end, now_ms);
	if (error != 0) {
		log->reserved = 0;
		counters_inc(log->core->counters, COUNTER_SEGLOG_NO_MEMORY);
		return error;
	}
	wipe(log, log->tail->size + size);
	for (node = log->chunks.prev;; node = node->prev) {
		log->room = LIST_ENTRY(node, struct chunk, node);
		if (log->room->pos <= log->tail->size)
			break;
	}
	return 0;
}

uint8_t *seglog_room(struct seglog *log, uint32_t at, uint32_t *ret_size)
{
	uint32_t pos = log->tail->size + at;
	struct chunk *chunk = log->room;

	CHECK(at < log->reserved);
	/* Writers move forward, so this is a step or none. */
	while (pos < chunk->pos)
		chunk = LIST_ENTRY(chunk->node.prev, struct chunk, node);
	while (pos - chunk->pos >= chunk->size)
		chunk = LIST_ENTRY(chunk->node.next, struct chunk, node);
	CHECK(chunk->segment_base == log->tail->base);
	CHECK(pos >= chunk->pos);
	log->room = chunk;
	*ret_size = MIN(chunk->size - (pos - chunk->pos), log->reserved - at);
	return chunk->mem + (pos - chunk->pos);
}

/* Copy over the edges of chunks. */
static void put(struct seglog *log, uint32_t at, const void *bytes, uint32_t size)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		uint32_t room;
		uint8_t *to = seglog_room(log, at, &room);

		room = MIN(room, size);
		memcpy(to, from, room);
		from += room;
		at += room;
		size -= room;
	}
}

void seglog_abandon(struct seglog *log)
{
	static const uint8_t zeros[BATCH_HEADER_SIZE];

	if (log->reserved == 0)
		return;
	/* A whole batch left in the ring could pass for an appended one when it is salvaged. */
	put(log, 0, zeros, MIN(log->reserved, (uint32_t)BATCH_HEADER_SIZE));
	log->wiped_end = log->tail->size + MIN(log->reserved, (uint32_t)BATCH_HEADER_SIZE);
	log->reserved = 0;
}

bool seglog_is_reserved(const struct seglog *log)
{
	return log->reserved > 0;
}

/* ---- commit ---- */

/* LogAppendTime: time type and largest timestamp are ours, so the checksum is too. */
static void stamp(struct seglog *log, struct batch *batch, int64_t now_ms)
{
	uint32_t crc = CRC32C_INIT;
	uint8_t bytes[8];

	batch->attributes |= BATCH_ATTRIBUTE_APPEND_TIME;
	batch->max_timestamp = now_ms;
	bytes_store_u16(bytes, batch->attributes);
	put(log, 21, bytes, 2);
	bytes_store_u64(bytes, (uint64_t)now_ms);
	put(log, 35, bytes, 8);
	for (uint32_t at = BATCH_CRC_BEGIN; at < batch->size;) {
		uint32_t size;
		const uint8_t *piece = seglog_room(log, at, &size);

		crc = crc32c_extend(crc, piece, size);
		at += size;
	}
	batch->crc = crc;
	bytes_store_u32(bytes, crc);
	put(log, 17, bytes, 4);
}

static void advance(struct seglog *log, const struct batch *batch, int64_t now_ms)
{
	struct segment *tail = log->tail;
	uint32_t pos = tail->size;
	uint32_t wanted;

	segindex_add(&tail->index, pos, batch->size, batch_last_offset(batch),
		     batch->max_timestamp);
	if (tail->first_ms == 0)
		tail->first_ms = now_ms;
	__atomic_store_n(&tail->end_offset, batch_last_offset(batch) + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&tail->size, pos + batch->size, __ATOMIC_RELEASE);
	__atomic_store_n(&log->total_size, log->total_size + batch->size, __ATOMIC_RELEASE);
	__atomic_store_n(&log->append_ms, now_ms, __ATOMIC_RELAXED);
	log->next_offset = batch_last_offset(batch) + 1;
	log->reserved = 0;
	wanted = MIN(tail->size + __atomic_load_n(&log->ahead, __ATOMIC_RELAXED) / 2,
		     tail->prepare_max);
	if (__atomic_load_n(&tail->prepared, __ATOMIC_ACQUIRE) < MAX(wanted, tail->size) ||
	    producers_is_wanting(&log->producers))
		seglog_ask(log);
}

int seglog_commit(struct seglog *log, const struct batch *batch, int64_t now_ms,
		  struct seglog_appended *ret_appended)
{
	static const enum counter reasons[] = { COUNTER_SEGLOG_DUPLICATES,
						COUNTER_SEGLOG_OUT_OF_ORDER,
						COUNTER_SEGLOG_FENCED };
	struct batch appended = *batch;
	int64_t timestamp = -1;
	uint8_t bytes[8];
	int error;

	CHECK_OBJ(log, SEGLOG_MAGIC);
	CHECK(log->reserved > 0);
	CHECK(batch->size == log->reserved);
	CHECK(batch->last_offset_delta >= 0);
	error = log->error;
	if (error == 0) {
		error = producers_check(&log->producers, batch, &appended.base_offset, &timestamp);
		if (error != 0)
			counters_inc(log->core->counters, reasons[ERR_DUPLICATE - error]);
	}
	if (error != 0) {
		seglog_abandon(log);
		if (error == ERR_DUPLICATE)
			*ret_appended = (struct seglog_appended){
				.base_offset = appended.base_offset,
				.append_time = log->settings.append_time ? timestamp : -1,
			};
		return error;
	}
	appended.base_offset = log->next_offset;
	appended.leader_epoch = log->leader_epoch;
	if (log->settings.append_time)
		stamp(log, &appended, now_ms);
	bytes_store_u64(bytes, (uint64_t)appended.base_offset);
	put(log, 0, bytes, 8);
	bytes_store_u32(bytes, (uint32_t)appended.leader_epoch);
	put(log, BATCH_LEADER_EPOCH_AT, bytes, 4);
	producers_note(&log->producers, &appended, now_ms);
	advance(log, &appended, now_ms);
	counters_inc(log->core->counters, COUNTER_SEGLOG_APPENDS);
	counters_add(log->core->counters, COUNTER_SEGLOG_APPEND_BYTES, appended.size);
	*ret_appended = (struct seglog_appended){
		.base_offset = appended.base_offset,
		.append_time = log->settings.append_time ? now_ms : -1,
	};
	return 0;
}

_Static_assert(ERR_DUPLICATE - ERR_OUT_OF_ORDER == 1, "order of the reasons in seglog_commit()");
_Static_assert(ERR_DUPLICATE - ERR_FENCED == 2, "order of the reasons in seglog_commit()");

/* ---- positions ---- */

int64_t seglog_start_offset(const struct seglog *log)
{
	return __atomic_load_n(&log->start_offset, __ATOMIC_ACQUIRE);
}

int64_t seglog_high_watermark(const struct seglog *log)
{
	return __atomic_load_n(&log->high_watermark, __ATOMIC_ACQUIRE);
}

int64_t seglog_last_stable_offset(const struct seglog *log)
{
	return seglog_high_watermark(log); /* no transactions, so nothing is undecided */
}

int64_t seglog_next_offset(const struct seglog *log)
{
	return log->next_offset;
}

int32_t seglog_leader_epoch(const struct seglog *log)
{
	return log->leader_epoch;
}

int64_t seglog_size(const struct seglog *log)
{
	return __atomic_load_n(&log->total_size, __ATOMIC_ACQUIRE);
}

int seglog_error(const struct seglog *log)
{
	return __atomic_load_n(&log->error, __ATOMIC_ACQUIRE);
}

void *seglog_owner(const struct seglog *log)
{
	return log->owner;
}

const struct seglog_settings *seglog_settings(const struct seglog *log)
{
	return &log->settings;
}

void seglog_configure(struct seglog *log, const struct seglog_settings *settings)
{
	bool keeps = settings->is_compacted;

	log->settings = *settings;
	log->settings.segment_size = MIN(settings->segment_size, (uint32_t)INT32_MAX);
	__atomic_store_n(&log->segment_size, log->settings.segment_size, __ATOMIC_RELAXED);
	__atomic_store_n(&log->retention_ms, keeps ? -1 : settings->retention_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&log->retention_size, keeps ? -1 : settings->retention_size,
			 __ATOMIC_RELAXED);
}

int64_t seglog_epoch_end(const struct seglog *log, int32_t epoch, int32_t *ret_epoch)
{
	return epochs_end(&log->epochs, epoch, log->high_watermark, ret_epoch);
}

int64_t seglog_find_time(const struct seglog *log, int64_t timestamp)
{
	for (const struct segment *segment = log->first; segment != NULL; segment = segment->next) {
		if (segment->index.max_timestamp >= timestamp)
			return segindex_find_time(&segment->index, timestamp);
	}
	return log->next_offset;
}

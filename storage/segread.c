/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of a log: "hot" from the ring's chunks, else "cold" by one direct read into a scratch chunk,
 * repeated at the right place or larger when the first batch wanted is not whole in it.
 *
 * What a cold read leaves over is kept, as who reads on begins there. Where nothing is left over and its
 * reader went on from where another read ended, the next chunk is read ahead, so that the disk works while
 * an answer is being sent.
 *
 * Both start from the index, which names a batch at or before the wanted offset, walk batch headers to
 * the first batch that ends at or above it, and from there to the last whole batch that fits.
 */
#include <errno.h>
#include <string.h>

#include "storage/seglog_impl.h"

#define PEEK_SIZE 27 /* a batch's header up to the last offset delta */

struct peeked {
	uint32_t size;
	int64_t last_offset;
};

/* @return false when these are not the bytes of a batch header */
static bool peek_decode(const uint8_t *header, struct peeked *ret_peeked)
{
	int64_t base = (int64_t)bytes_load_u64(header);
	uint32_t length = bytes_load_u32(header + 8);
	uint32_t delta = bytes_load_u32(header + 23);

	if (length < BATCH_HEADER_SIZE - BATCH_LENGTH_END || length > INT32_MAX / 2 ||
	    header[16] != BATCH_MAGIC || base < 0 || delta > INT32_MAX)
		return false;
	ret_peeked->size = length + BATCH_LENGTH_END;
	ret_peeked->last_offset = base + delta;
	return true;
}

static struct segment *segment_of(const struct seglog *log, int64_t offset)
{
	struct segment *segment = log->tail;

	while (segment->base > offset && segment->prev != NULL)
		segment = segment->prev;
	return segment;
}

/* ---- hot ---- */

/* A place in the chunks of one segment. */
struct place {
	const struct seglog *log;
	struct chunk *chunk;
	uint32_t pos;
};

/* Bytes that lie in one piece from here on; 0 where the chunks end or one was evicted. */
static uint32_t place_room(struct place *place)
{
	for (;;) {
		struct chunk *chunk = place->chunk;
		struct chunk *next = LIST_ENTRY(chunk->node.next, struct chunk, node);
		bool has_next = chunk->node.next != &place->log->chunks &&
				next->segment_base == chunk->segment_base;

		if (place->pos < chunk->end)
			return chunk->end - place->pos;
		if (!has_next || next->pos != place->pos)
			return 0;
		place->chunk = next;
	}
}

static bool place_init(struct place *place, const struct seglog *log, const struct segment *segment,
		       uint32_t pos)
{
	for (struct list *node = log->chunks.prev; node != &log->chunks; node = node->prev) {
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);

		if (chunk->segment_base < segment->base)
			return false;
		if (chunk->segment_base > segment->base || chunk->pos > pos)
			continue;
		*place = (struct place){ .log = log, .chunk = chunk, .pos = pos };
		return place_room(place) > 0;
	}
	return false;
}

/* Header of the batch at a place. @return false: not all in the ring */
static bool place_peek(const struct place *at, struct peeked *ret_peeked)
{
	struct place place = *at;
	uint8_t header[PEEK_SIZE];
	bool is_batch;

	for (uint32_t got = 0; got < PEEK_SIZE;) {
		uint32_t room = MIN(place_room(&place), PEEK_SIZE - got);

		if (room == 0)
			return false;
		memcpy(header + got, place.chunk->mem + (place.pos - place.chunk->pos), room);
		place.pos += room;
		got += room;
	}
	is_batch = peek_decode(header, ret_peeked);
	CHECK(is_batch); /* the ring holds what seglog_commit() put there */
	return true;
}

/* Step over `size` bytes. @return false: they are not all in the ring */
static bool place_skip(struct place *place, uint32_t size)
{
	while (size > 0) {
		uint32_t room = MIN(place_room(place), size);

		if (room == 0)
			return false;
		place->pos += room;
		size -= room;
	}
	return true;
}

/* Chunk pieces of [place, end) as slices. @return position reached: less than `end` when there are more
   than SEGLOG_SLICES_MAX */
static uint32_t take_slices(struct place place, uint32_t end, struct seglog_read *read)
{
	while (place.pos < end && read->slice_count < SEGLOG_SLICES_MAX) {
		uint32_t size = MIN(place_room(&place), end - place.pos);

		CHECK(size > 0);
		read->slices[read->slice_count++] = (struct seglog_slice){
			.bytes = place.chunk->mem + (place.pos - place.chunk->pos),
			.size = size,
			.chunk = chunk_ref(place.chunk),
		};
		place.pos += size;
	}
	return place.pos;
}

/* Bytes that as many slices hold at least as there may be: no piece but the first and the last is
   smaller than a chunk, and overlapped chunks are rare enough to be caught by take_slices(). */
#define HOT_SIZE_MAX ((SEGLOG_SLICES_MAX / 2) * CHUNK_SIZE_MIN)

/* @return 0 done; -ENOENT not in the ring: read the files */
static int read_hot(struct seglog *log, const struct segment *segment, struct seglog_read *read)
{
	uint32_t size_max = MIN(read->size_max, HOT_SIZE_MAX);
	struct place place, begin;
	struct peeked peeked;
	uint32_t skipped;

	if (!place_init(&place, log, segment, segindex_find(&segment->index, read->offset)))
		return -ENOENT;
	for (;;) {
		if (place.pos >= segment->durable || !place_peek(&place, &peeked))
			return -ENOENT;
		if (peeked.last_offset >= read->offset)
			break;
		if (!place_skip(&place, peeked.size))
			return -ENOENT;
	}
	begin = place;
	if (peeked.last_offset >= read->limit)
		return 0;
	if (!place_skip(&place, peeked.size))
		return -ENOENT;
	/* The index spares walking over most headers. */
	skipped = segindex_skip(&segment->index, begin.pos + size_max, read->limit);
	if (skipped > place.pos)
		(void)place_skip(&place, skipped - place.pos);
	if (skipped > place.pos)
		return -ENOENT; /* a chunk in between was evicted */
	while (place.pos < segment->durable && place_peek(&place, &peeked) &&
	       peeked.last_offset < read->limit &&
	       place.pos + peeked.size - begin.pos <= size_max) {
		struct place before = place;

		if (!place_skip(&place, peeked.size)) {
			place = before;
			break;
		}
	}
	if (take_slices(begin, place.pos, read) != place.pos) {
		seglog_read_release(read);
		return -ENOENT;
	}
	read->size = place.pos - begin.pos;
	return 0;
}

/* ---- cold ---- */

static void cold_free(struct seglog_cold *cold)
{
	struct segment *segment = cold->segment;

	if (cold->chunk != NULL)
		chunk_drop(cold->chunk);
	cold->chunk = NULL;
	cold->segment = NULL;
	cold->is_kept = false;
	segment->reads--;
	if (segment->is_doomed && segment->reads == 0)
		seglog_doom(cold->log, segment);
}

/* Read `size` bytes from batch boundary `pos` on, into a chunk of the needed size. */
static int cold_submit(struct seglog_cold *cold, uint32_t pos, uint32_t size)
{
	struct seglog *log = cold->log;
	uint32_t read_pos = ALIGN_DOWN(pos, SEGFILE_ALIGN);
	uint32_t file_end = ALIGN_UP(cold->segment->durable, SEGFILE_ALIGN);
	uint32_t wanted = MIN(pos - read_pos + size, file_end - read_pos);
	uint32_t chunk_size = CHUNK_SIZE_MIN;
	bool is_first = cold->chunk == NULL;

	while (chunk_size < wanted && chunk_size < CHUNK_SIZE_MAX)
		chunk_size *= 2;
	if (cold->chunk != NULL && cold->chunk->size < chunk_size) {
		chunk_unref(cold->chunk);
		cold->chunk = NULL;
	}
	if (cold->chunk == NULL)
		cold->chunk = chunk_borrow(log->core->chunks, chunk_size, CHUNK_FOR_READS);
	if (cold->chunk == NULL && is_first) /* less than was asked for will do, too */
		cold->chunk = chunk_borrow(log->core->chunks, CHUNK_SIZE_MIN, CHUNK_FOR_READS);
	if (cold->chunk == NULL)
		return -EAGAIN;
	cold->pos = pos;
	cold->read_pos = read_pos;
	return uring_read(log->core->uring, __atomic_load_n(&cold->segment->fd, __ATOMIC_ACQUIRE),
			  cold->chunk->buffer, cold->chunk->mem,
			  MIN(cold->chunk->size, file_end - read_pos), read_pos, &cold->event);
}

/* What the bytes read so far amount to. */
struct walk {
	uint32_t begin; /* first batch wanted */
	uint32_t end;   /* end of the whole batches below the limit */
	uint32_t need;  /* > 0: the batch at `begin` takes this much and is not whole */
	int64_t offset; /* behind the last of them */
	bool is_over;   /* the segment has no batch at or above the offset */
};

/* Walk the headers in bytes [pos, end) of the segment. @return 0; ERR_CORRUPT */
static int walk(const struct seglog_cold *cold, uint32_t end, struct walk *ret_walk)
{
	const struct seglog_read *read = cold->read;
	struct walk result = { .begin = cold->pos, .end = cold->pos, .offset = read->offset };
	uint32_t pos = cold->pos;
	bool is_found = false;
	struct peeked peeked;

	for (;;) {
		uint32_t left = end - pos;

		if (left < PEEK_SIZE) {
			result.need = is_found ? 0 : BATCH_HEADER_SIZE;
			result.is_over = !is_found && pos >= cold->segment->durable;
			break;
		}
		if (!peek_decode(cold->chunk->mem + (pos - cold->read_pos), &peeked) ||
		    peeked.size > cold->segment->durable - pos)
			return ERR_CORRUPT;
		if (!is_found && peeked.last_offset >= read->offset) {
			if (peeked.last_offset >= read->limit)
				break;
			is_found = true;
			result.need = left < peeked.size ? peeked.size : 0;
			result.begin = result.end = pos;
		} else if (is_found && (peeked.last_offset >= read->limit ||
					pos + peeked.size - result.begin > read->size_max)) {
			break;
		}
		if (left < peeked.size) {
			if (!is_found) {
				/* Skip a batch that reaches past what was read. */
				pos += peeked.size;
				result.need = BATCH_HEADER_SIZE;
				result.is_over = pos >= cold->segment->durable;
			}
			break;
		}
		pos += peeked.size;
		if (is_found) {
			result.end = pos;
			result.offset = peeked.last_offset + 1;
		}
	}
	if (!is_found)
		result.begin = result.end = pos;
	*ret_walk = result;
	return 0;
}

/* ---- what is left over, and reading ahead ---- */

static bool is_whole_at(const struct seglog_cold *cold, uint32_t pos)
{
	struct peeked peeked;

	return cold->end >= pos + PEEK_SIZE &&
	       peek_decode(cold->chunk->mem + (pos - cold->read_pos), &peeked) &&
	       peeked.size <= cold->end - pos;
}

/* Memory is short. */
static void on_kept_evicted(void *owner, struct chunk *chunk)
{
	struct seglog_cold *cold = owner;

	CHECK(cold->is_kept);
	cold->chunk = NULL;
	cold_free(cold);
	chunk_unref(chunk);
}

static void keep(struct seglog_cold *cold)
{
	cold->is_ahead = false;
	if (cold->is_kept)
		return;
	cold->is_kept = true;
	chunk_keep(cold->chunk, on_kept_evicted, cold);
}

static void note_end(struct seglog *log, int64_t offset)
{
	log->cold_ends[log->cold_ends_next] = offset;
	log->cold_ends_next = (log->cold_ends_next + 1) % SEGLOG_COLD_READS;
}

/* Whether a read ended at an offset. Who begins with the first record of all will read on as well. */
static bool is_end(const struct seglog *log, int64_t offset)
{
	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++) {
		if (log->cold_ends[i] == offset)
			return true;
	}
	return false;
}

/* The chunk has nothing more. @return false: there is nothing to read ahead, or no memory */
static bool read_ahead(struct seglog_cold *cold)
{
	struct seglog *log = cold->log;
	uint32_t pos = cold->pos;
	struct place place;

	if (!cold->is_stream || pos >= cold->segment->durable || cold->segment->is_doomed ||
	    place_init(&place, log, cold->segment, pos))
		return false;
	chunk_drop(cold->chunk);
	cold->is_kept = false;
	cold->chunk = chunk_borrow(log->core->chunks, CHUNK_SIZE_MAX, CHUNK_FOR_READS);
	if (cold->chunk == NULL || cold_submit(cold, pos, CHUNK_SIZE_MAX - SEGFILE_ALIGN) != 0)
		return false;
	cold->is_ahead = true;
	counters_inc(log->core->counters, COUNTER_SEGLOG_READS_AHEAD);
	return true;
}

/* A read had batches up to `pos`, behind which `offset` comes: keep, read ahead, or let go. */
static void go_on(struct seglog_cold *cold, uint32_t pos, int64_t offset)
{
	cold->read = NULL;
	cold->pos = pos;
	cold->offset = offset;
	if (!cold->segment->is_doomed && is_whole_at(cold, pos)) {
		keep(cold);
	} else if (!read_ahead(cold)) {
		note_end(cold->log, offset);
		cold_free(cold);
	}
}

/* The batches that a walk found, of a chunk that others hold, too. */
static void give(const struct seglog_cold *cold, const struct walk *found, struct seglog_read *read)
{
	read->slices[0] = (struct seglog_slice){
		.bytes = cold->chunk->mem + (found->begin - cold->read_pos),
		.size = found->end - found->begin,
		.chunk = chunk_ref(cold->chunk),
	};
	read->slice_count = 1;
	read->size = found->end - found->begin;
}

/* What was kept begins with what is wanted. @return false: it has nothing for this reader */
static bool read_kept(struct seglog_cold *cold, struct seglog_read *read)
{
	struct walk found;

	cold->read = read;
	if (walk(cold, cold->end, &found) != 0 || found.begin == found.end) {
		cold_free(cold);
		return false;
	}
	counters_inc(cold->log->core->counters, COUNTER_SEGLOG_READS_KEPT);
	give(cold, &found, read);
	cold->is_stream = true;
	go_on(cold, found.end, found.offset);
	return true;
}

void seglog_read_forget(struct seglog *log, const struct segment *segment)
{
	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++) {
		struct seglog_cold *cold = &log->cold[i];

		if (cold->is_kept && (segment == NULL || cold->segment == segment))
			cold_free(cold);
	}
}

/* ---- steps of a cold read ---- */

static void cold_done(struct seglog_cold *cold, int error)
{
	struct seglog_read *read = cold->read;
	struct seglog *log = cold->log;

	if (error != 0 && error != -EAGAIN)
		counters_inc(log->core->counters, COUNTER_SEGLOG_READ_FAILURES);
	cold_free(cold);
	if (read == NULL)
		return;
	read->cold = NULL;
	read->done(read, error);
}

/* The offset lies in a gap at the segment's end (a compacted log): go on in the next one. */
static int cold_next_segment(struct seglog_cold *cold)
{
	struct segment *segment = cold->segment;
	struct segment *next = segment->next;

	if (next == NULL || next->durable == 0)
		return 0;
	if (segment->is_doomed)
		return ERR_OFFSET_RANGE;
	segment->reads--;
	cold->segment = next;
	next->reads++;
	return cold_submit(cold, 0, cold->read->size_max) == 0 ? -EINPROGRESS : -EAGAIN;
}

/* @return 0 nothing is there; 1 the result is, and the read is over; -EINPROGRESS read again; -EAGAIN;
   ERR_CORRUPT; -errno */
static int cold_step(struct seglog_cold *cold, int32_t result)
{
	struct seglog_read *read = cold->read;
	uint32_t end;
	struct walk found;
	int error;

	if (result < 0)
		return result;
	counters_add(cold->log->core->counters, COUNTER_SEGLOG_READ_COLD_BYTES, (uint64_t)result);
	end = cold->end = MIN(cold->read_pos + (uint32_t)result, cold->segment->durable);
	if (end <= cold->pos)
		return cold->pos >= cold->segment->durable ? cold_next_segment(cold) : ERR_CORRUPT;
	error = walk(cold, end, &found);
	if (error != 0)
		return error;
	if (found.is_over)
		return cold_next_segment(cold);
	if (found.need > 0) {
		/* Each turn begins later or reads more: a batch that no chunk can hold is refused. */
		if (found.need > SEGLOG_BATCH_SIZE_MAX)
			return ERR_TOO_LARGE;
		if (found.begin == cold->pos &&
		    found.need <= cold->chunk->size - (cold->pos - cold->read_pos))
			return -EIO; /* the file is shorter than it was */
		error = cold_submit(cold, found.begin, MAX(found.need, read->size_max));
		return error == 0 ? -EINPROGRESS : error;
	}
	if (found.end == found.begin)
		return 0;
	give(cold, &found, read);
	go_on(cold, found.end, found.offset);
	read->cold = NULL;
	read->done(read, 0); /* may read on at once */
	return 1;
}

/* Nobody waits, or not any more. */
static void on_read_for_nobody(struct seglog_cold *cold, int32_t result)
{
	if (cold->is_ahead && result > 0 && !cold->segment->is_doomed) {
		counters_add(cold->log->core->counters, COUNTER_SEGLOG_READ_COLD_BYTES,
			     (uint64_t)result);
		cold->end = MIN(cold->read_pos + (uint32_t)result, cold->segment->durable);
		if (is_whole_at(cold, cold->pos)) {
			keep(cold);
			return;
		}
	}
	cold_free(cold);
}

static void on_read(struct uring_event *event, int32_t result, uint32_t flags)
{
	struct seglog_cold *cold = CONTAINER_OF(event, struct seglog_cold, event);
	int error;

	(void)flags;
	CHECK_OBJ(cold->log, SEGLOG_MAGIC);
	if (cold->read == NULL) {
		on_read_for_nobody(cold, result);
		return;
	}
	error = cold_step(cold, result);
	if (error <= 0 && error != -EINPROGRESS)
		cold_done(cold, error);
}

/* What is kept, or being read, for who reads on from an offset. */
static struct seglog_cold *find_next(struct seglog *log, const struct segment *segment,
				     int64_t offset)
{
	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++) {
		struct seglog_cold *cold = &log->cold[i];

		if (cold->segment == segment && cold->offset == offset && cold->read == NULL &&
		    (cold->is_kept || cold->is_ahead))
			return cold;
	}
	return NULL;
}

/* @return one that is not in use; NULL: all wait for the disk */
static struct seglog_cold *take_cold(struct seglog *log)
{
	struct seglog_cold *kept = NULL;

	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++) {
		struct seglog_cold *cold = &log->cold[i];

		if (cold->segment == NULL)
			return cold;
		if (cold->is_kept && (kept == NULL || cold->offset < kept->offset))
			kept = cold;
	}
	if (kept != NULL)
		cold_free(kept);
	return kept;
}

static int read_cold(struct seglog *log, struct segment *segment, struct seglog_read *read)
{
	struct seglog_cold *cold = find_next(log, segment, read->offset);
	int error;

	if (cold != NULL && cold->is_ahead) {
		cold->read = read;
		read->cold = cold;
		return -EINPROGRESS;
	}
	if (cold != NULL && read_kept(cold, read))
		return 0;
	cold = take_cold(log);
	if (cold == NULL)
		return -EAGAIN;
	*cold = (struct seglog_cold){ .event.fn = on_read,
				      .log = log,
				      .read = read,
				      .segment = segment,
				      .is_stream = is_end(log, read->offset) };
	segment->reads++;
	error = cold_submit(cold, segindex_find(&segment->index, read->offset),
			    read->size_max + SEGINDEX_INTERVAL);
	if (error != 0) {
		cold->read = NULL;
		cold_free(cold);
		return -EAGAIN;
	}
	read->cold = cold;
	counters_inc(log->core->counters, COUNTER_SEGLOG_READS_COLD);
	return -EINPROGRESS;
}

int seglog_read(struct seglog *log, struct seglog_read *read)
{
	struct segment *segment;

	CHECK_OBJ(log, SEGLOG_MAGIC);
	read->slice_count = 0;
	read->size = 0;
	read->cold = NULL;
	if (log->error == ERR_OFFLINE)
		return ERR_OFFLINE;
	seglog_sync(log); /* a poisoned log still serves what is durable */
	if (read->offset < log->start_offset || read->offset > log->next_offset)
		return ERR_OFFSET_RANGE;
	read->limit = MIN(read->limit, log->high_watermark);
	if (read->offset >= read->limit)
		return 0;
	read->size_max = MIN(read->size_max, SEGLOG_BATCH_SIZE_MAX);
	segment = segment_of(log, read->offset);
	if (read_hot(log, segment, read) == 0) {
		counters_inc(log->core->counters, COUNTER_SEGLOG_READS_HOT);
		return 0;
	}
	return read_cold(log, segment, read);
}

void seglog_read_release(struct seglog_read *read)
{
	for (uint32_t i = 0; i < read->slice_count; i++)
		chunk_unref(read->slices[i].chunk);
	read->slice_count = 0;
	read->size = 0;
}

void seglog_read_cancel(struct seglog_read *read)
{
	if (read->cold != NULL)
		read->cold->read = NULL;
	read->cold = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/check.h"

#include "dataplane/core/fetch.h"
#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

/* The response is written around its records: a cut says where in the written bytes they go. */
struct cut {
	size_t at;
	const struct fetch_read *read;
};

struct build {
	struct fetch *fetch;
	struct writer writer;
	int16_t version;
	bool is_flexible;
	uint32_t cut_count;
	uint64_t records_size;
	struct cut cuts[FETCH_READS_PER_ANSWER];
};

/* KIP-227: an incremental answer names only what has something new. */
static bool is_wanted(const struct fetch *fetch, const struct fetch_entry *entry)
{
	if (!fetch->is_incremental)
		return true;
	return (entry->read != NULL && entry->read->size > 0) || entry->error != KAFKA_NONE ||
	       entry->error != entry->sent_error ||
	       entry->high_watermark != entry->sent_watermark ||
	       entry->start_offset != entry->sent_start;
}

static bool same_topic(const struct fetch_entry *a, const struct fetch_entry *b)
{
	if (!uuid_equal(&a->topic_id, &b->topic_id))
		return false;
	return !uuid_is_zero(&a->topic_id) || a->name == b->name;
}

static struct wire_string name_of(const struct core *core, const struct fetch_entry *entry)
{
	const struct topic *topic;

	if (entry->name != NULL)
		return (struct wire_string){ entry->name, entry->name_size };
	topic = topics_find_id(core->topics, &entry->topic_id);
	return topic != NULL ? wire_string_from(topic->info->name) : WIRE_STRING_NULL;
}

static void write_partition(struct build *build, const struct fetch_entry *entry)
{
	struct writer *writer = &build->writer;
	uint32_t size = entry->read != NULL ? entry->read->size : 0;

	writer_i32(writer, entry->index);
	writer_i16(writer, entry->error);
	writer_i64(writer, entry->high_watermark);
	writer_i64(writer, entry->high_watermark); /* last stable offset: no transactions yet */
	if (build->version >= 5)
		writer_i64(writer, entry->start_offset);
	wire_write_count(writer, build->is_flexible, true, -1); /* no aborted transactions */
	if (build->version >= 11)
		writer_i32(writer, -1); /* no other replica to read from */
	wire_write_count(writer, build->is_flexible, true, (int32_t)size);
	if (size > 0) {
		CHECK(build->cut_count < FETCH_READS_PER_ANSWER);
		build->cuts[build->cut_count++] = (struct cut){ writer_size(writer), entry->read };
		build->records_size += size;
	}
	if (build->is_flexible)
		writer_u8(writer, 0);
}

/* The next answered entry from `from` on. @return count when there is none */
static uint32_t next_answered(const struct fetch *fetch, uint32_t from)
{
	const struct fetch_entry *entries = fetch_entries(fetch);

	while (from < fetch->count && !entries[from].is_answered)
		from++;
	return from;
}

/* Entries [first, ret) of one topic that are answered, and how many. */
static uint32_t run_of_topic(const struct fetch *fetch, uint32_t first, int32_t *ret_count)
{
	const struct fetch_entry *entries = fetch_entries(fetch);
	uint32_t at = first;
	int32_t count = 0;

	while (at < fetch->count && same_topic(&entries[first], &entries[at])) {
		count++;
		at = next_answered(fetch, at + 1);
	}
	*ret_count = count;
	return at;
}

static int write_topics(struct build *build)
{
	const struct fetch *fetch = build->fetch;
	const struct fetch_entry *entries = fetch_entries(fetch);
	const struct core *core = fetch->request->core;
	uint32_t at = next_answered(fetch, 0);

	while (at < fetch->count) {
		int32_t count;
		uint32_t end = run_of_topic(fetch, at, &count);

		if (build->version >= 13) {
			wire_write_uuid(&build->writer, &entries[at].topic_id);
		} else {
			struct wire_string name = name_of(core, &entries[at]);

			if (name.size < 0)
				return -ENOENT; /* deleted, and only its id was remembered */
			wire_write_string(&build->writer, build->is_flexible, false, name);
		}
		wire_write_count(&build->writer, build->is_flexible, false, count);
		for (; at < end; at = next_answered(fetch, at + 1))
			write_partition(build, &entries[at]);
		if (build->is_flexible)
			writer_u8(&build->writer, 0);
	}
	return 0;
}

static int32_t topics_answered(const struct fetch *fetch)
{
	int32_t topics = 0;

	for (uint32_t at = next_answered(fetch, 0); at < fetch->count; topics++) {
		int32_t count;

		at = run_of_topic(fetch, at, &count);
	}
	return topics;
}

static void choose(struct fetch *fetch)
{
	struct fetch_entry *entries = fetch_entries(fetch);

	for (uint32_t i = 0; i < fetch->count; i++)
		entries[i].is_answered =
			fetch->error == KAFKA_NONE && is_wanted(fetch, &entries[i]);
}

static int write_answer(struct build *build)
{
	struct fetch *fetch = build->fetch;
	struct writer *writer = &build->writer;
	int error;

	*writer = request_begin(fetch->request);
	build->cut_count = 0;
	build->records_size = 0;
	writer_i32(writer, 0); /* throttle time */
	if (build->version >= 7) {
		writer_i16(writer, fetch->error);
		writer_i32(writer, fetch->error == KAFKA_NONE ? fetch->session_id : 0);
	}
	wire_write_count(writer, build->is_flexible, false, topics_answered(fetch));
	error = write_topics(build);
	if (error != 0)
		return error;
	if (build->is_flexible)
		writer_u8(writer, 0);
	return writer->error != 0 ? -ENOBUFS : 0;
}

/* ---- output ---- */

static int push_foreign(struct outq *out, const struct fetch_read *read)
{
	const struct stage *stage = &read->op->stage;
	uint32_t size;

	for (uint32_t at = 0; at < read->size; at += size) {
		const uint8_t *bytes = stage_room(stage, at, &size);
		struct chunk *chunk = stage->chunks[at / CHUNK_SIZE_MAX];

		size = MIN(size, read->size - at);
		if (outq_push_chunk(out, bytes, size, chunk_ref(chunk)) != 0) {
			chunk_unref(chunk);
			return -ENOBUFS;
		}
	}
	return 0;
}

static int push_records(struct outq *out, const struct fetch_read *read)
{
	if (read->op != NULL)
		return push_foreign(out, read);
	for (uint32_t i = 0; i < read->read.slice_count; i++) {
		const struct seglog_slice *slice = &read->read.slices[i];

		if (outq_push_chunk(out, slice->bytes, slice->size, chunk_ref(slice->chunk)) != 0) {
			chunk_unref(slice->chunk);
			return -ENOBUFS;
		}
	}
	return 0;
}

static int push(struct build *build)
{
	struct outq *out = &build->fetch->request->session->link->out;
	const uint8_t *bytes = build->writer.begin;
	size_t size = writer_size(&build->writer);
	size_t done = 0;

	if (out->size + size + build->records_size > OUTQ_SIZE_MAX)
		return -ENOBUFS;
	bytes_store_u32(build->writer.begin, (uint32_t)(size - 4 + build->records_size));
	for (uint32_t i = 0; i < build->cut_count; i++) {
		const struct cut *cut = &build->cuts[i];

		if (outq_push_copy(out, bytes + done, cut->at - done) != 0 ||
		    push_records(out, cut->read) != 0)
			return -ENOBUFS;
		done = cut->at;
	}
	return outq_push_copy(out, bytes + done, size - done);
}

static void remember(struct fetch *fetch)
{
	struct fetch_entry *entries = fetch_entries(fetch);

	if (fetch->session == NULL)
		return;
	for (uint32_t i = 0; i < fetch->count; i++) {
		struct fetch_entry *entry = &entries[i];

		if (!entry->is_answered)
			continue;
		entry->sent_error = entry->error;
		entry->sent_watermark = entry->high_watermark;
		entry->sent_start = entry->start_offset;
		if (entry->read != NULL)
			fetch->session->turn = i + 1;
	}
}

int fetch_answer(struct fetch *fetch)
{
	struct core *core = fetch->request->core;
	struct build build = { .fetch = fetch,
			       .version = fetch->request->api_version,
			       .is_flexible = fetch->request->api_version >= 12 };
	int error;

	choose(fetch);
	error = write_answer(&build);
	if (error == -ENOENT) {
		/* The client starts over with a full request, which names the topics. */
		fetchsession_drop(core, fetch->session);
		fetch->error = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
		choose(fetch);
		error = write_answer(&build);
	}
	if (error == 0)
		error = push(&build);
	if (error != 0)
		return error;
	counters_add(core->counters, COUNTER_FETCH_BYTES, build.records_size);
	remember(fetch);
	return 0;
}

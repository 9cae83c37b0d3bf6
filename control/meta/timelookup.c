/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/timelookup.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "storage/segreader.h"

#include "control/meta/boxlink.h"

#define REPLY_MAX    (BOXLINK_RECORD_MAX - sizeof(struct command_reply))
#define MEMORY_MAX   (64U * 1024 * 1024) /* of all requests that are being looked up */
#define ACTIVE_MAX   16           /* requests with a reader each, in turns; the others wait */
#define SLICE_SIZE   (256 * 1024) /* bytes read for one request before the next has its go */
#define STEP_COST    (16 * 1024)  /* what opening a file counts, in bytes */
#define RESTARTS_MAX 8            /* when retention takes what is being read */

typedef struct wire_list_offsets_response_topics_partitions partition_answer;

struct result {
	int64_t offset;    /* -1: none */
	int64_t timestamp; /* -1: none */
	int32_t leader_epoch;
};

static const struct result no_result = { -1, -1, -1 };

/** One partition to be read. */
struct search {
	struct uuid topic_id;
	uint32_t partition;
	uint32_t restarts;
	int64_t timestamp;
	partition_answer *answer;
	struct segreader *reader; /* NULL: to be opened */
	int64_t since;            /* what is older is of no interest */
	int64_t read;             /* bytes */
	bool is_hinted;           /* `since` is what time indexes say */
	bool may_hint;
	struct result result;
};

/** One request; a single block of memory. */
struct lookup {
	struct list link;
	uint64_t token;
	uint64_t connection;
	size_t size; /* of the block */
	int16_t version;
	struct wire_list_offsets_response response;
	uint32_t at;    /* search that is under way */
	uint32_t count; /* of searches */
	struct search searches[];
};

struct timelookup {
	const struct meta *meta;
	const struct timelookup_ops *ops;
	void *context;
	const char *log_dir;
	const struct partitions *table; /* NULL: not connected */
	struct list active;             /* the next one to have its go in front */
	struct list waiting;
	uint32_t active_count;
	size_t memory;
	uint8_t reply[REPLY_MAX];
};

/* ---- batches ---- */

/** The first record of an uncompressed batch at or after the time. */
static bool find_record(const struct batch *batch, const uint8_t *bytes, int64_t timestamp,
			struct result *result)
{
	struct reader reader;

	reader_init(&reader, bytes + BATCH_HEADER_SIZE, batch->size - BATCH_HEADER_SIZE);
	for (int32_t i = 0; i < batch->record_count; i++) {
		struct batch_record record;
		int64_t at;

		if (batch_record_next(&reader, &record) != 0)
			return false;
		at = (batch->attributes & BATCH_ATTRIBUTE_APPEND_TIME) != 0
			     ? batch->max_timestamp
			     : batch->base_timestamp + record.timestamp_delta;
		if (at >= timestamp) {
			result->offset = batch->base_offset + record.offset_delta;
			result->timestamp = at;
			return true;
		}
	}
	return false;
}

/** @return true when the batch holds the answer */
static bool look_at(const struct batch *batch, const uint8_t *bytes, int64_t timestamp,
		    struct result *result)
{
	if (batch->max_timestamp < timestamp || (batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0)
		return false;
	result->leader_epoch = batch->leader_epoch;
	if ((batch->attributes & BATCH_ATTRIBUTE_CODEC) == 0)
		return find_record(batch, bytes, timestamp, result);
	result->offset = batch->base_offset;
	result->timestamp = batch->max_timestamp;
	return true;
}

static enum kafka_err kafka_error(int error)
{
	if (error == ERR_UNKNOWN)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	return error == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR;
}

/* ---- one search ---- */

static int open_reader(const struct timelookup *timelookup, struct search *search)
{
	int error = segreader_open(timelookup->log_dir, timelookup->table, &search->topic_id,
				   search->partition, -2, &search->reader);

	if (error != 0)
		return error;
	search->result = no_result;
	search->since = search->timestamp;
	if (search->timestamp == TIMELOOKUP_MAX_TIMESTAMP) {
		/* One batch at least is as new, so the newest is not before it. */
		int64_t newest = search->may_hint ? segreader_newest(search->reader) : -1;

		search->is_hinted = newest > 0;
		search->since = MAX(newest, 0);
	}
	return 0;
}

static void close_reader(struct search *search)
{
	segreader_close(search->reader);
	search->reader = NULL;
}

/* @return true when the batch ends the search */
static bool take_batch(struct search *search, const struct batch *batch, const uint8_t *bytes)
{
	struct result result = no_result;
	bool is_found = false;

	search->read += batch->size;
	if (search->timestamp != TIMELOOKUP_MAX_TIMESTAMP) {
		is_found = look_at(batch, bytes, search->timestamp, &result);
		if (is_found)
			search->result = result;
	} else if (batch->max_timestamp >= search->since &&
		   look_at(batch, bytes, batch->max_timestamp, &result)) {
		search->result = result;
		if (batch->max_timestamp < INT64_MAX)
			search->since = batch->max_timestamp + 1;
	}
	if (is_found || search->read < TIMELOOKUP_READ_MAX)
		return is_found;
	/* Not all was looked at: what was not may hold the record, so reading begins there. */
	if (search->result.offset < 0)
		search->result.offset = batch_last_offset(batch) + 1;
	return true;
}

/* The log's end. @return true when the search is over */
static bool take_end(struct search *search)
{
	if (!search->is_hinted || search->result.offset >= 0)
		return true;
	/* No batch is that new: a time index is damaged. */
	search->may_hint = false;
	close_reader(search);
	return false;
}

/**
 * One batch, or one step towards it.
 *
 * @param[in,out] size  grows by what it cost
 * @return 1 more to do; 0 over, the result is there; error
 */
static int step(const struct timelookup *timelookup, struct search *search, int64_t *size)
{
	const uint8_t *bytes;
	struct batch batch;
	int got;

	if (search->reader == NULL) {
		*size += STEP_COST;
		got = open_reader(timelookup, search);
		return got == 0 ? 1 : got;
	}
	got = segreader_next_since(search->reader, search->since, &batch, &bytes);
	if (got == 1) {
		*size += batch.size;
		return take_batch(search, &batch, bytes) ? 0 : 1;
	}
	*size += STEP_COST;
	if (got == -EAGAIN)
		return 1;
	if (got == 0)
		return take_end(search) ? 0 : 1;
	if (got != ERR_RETENTION || search->restarts == RESTARTS_MAX)
		return got;
	search->restarts++;
	close_reader(search);
	return 1;
}

static void answer_search(struct search *search, enum kafka_err error)
{
	struct result result = error == KAFKA_NONE ? search->result : no_result;

	close_reader(search);
	search->answer->error_code = (int16_t)error;
	search->answer->offset = result.offset;
	search->answer->timestamp = result.timestamp;
	search->answer->leader_epoch = result.leader_epoch;
}

/* ---- requests under way ---- */

static void lookup_free(struct timelookup *timelookup, struct lookup *lookup)
{
	for (uint32_t i = lookup->at; i < lookup->count; i++)
		segreader_close(lookup->searches[i].reader);
	timelookup->memory -= lookup->size;
	free(lookup);
}

/* Answer it, the searches that are not over with a retriable error, and free it. */
static void lookup_end(struct timelookup *timelookup, struct lookup *lookup)
{
	struct writer writer;

	for (; lookup->at < lookup->count; lookup->at++)
		answer_search(&lookup->searches[lookup->at], KAFKA_LEADER_NOT_AVAILABLE);
	writer_init(&writer, timelookup->reply, REPLY_MAX);
	wire_encode_list_offsets_response(&writer, lookup->version, &lookup->response);
	timelookup->ops->reply(timelookup->context, lookup->token,
			       writer.error == 0 ? timelookup->reply : NULL,
			       (uint32_t)writer_size(&writer));
	lookup_free(timelookup, lookup);
}

/** Work on it for a slice. @return bytes it cost; lookup->at == count: it is over */
static int64_t lookup_run(const struct timelookup *timelookup, struct lookup *lookup,
			  int64_t deadline_ns)
{
	int64_t size = 0;

	do {
		struct search *search = &lookup->searches[lookup->at];
		int got = step(timelookup, search, &size);

		if (got == 1)
			continue;
		answer_search(search, got == 0 ? KAFKA_NONE : kafka_error(got));
		lookup->at++;
	} while (lookup->at < lookup->count && size < SLICE_SIZE && clock_now_ns() < deadline_ns);
	return size;
}

static void activate(struct timelookup *timelookup)
{
	while (timelookup->active_count < ACTIVE_MAX && !list_is_empty(&timelookup->waiting)) {
		list_push_back(&timelookup->active, list_pop_front(&timelookup->waiting));
		timelookup->active_count++;
	}
}

int64_t timelookup_run(struct timelookup *timelookup, int64_t now_ns)
{
	int64_t deadline_ns;
	int64_t size = 0;

	activate(timelookup);
	if (list_is_empty(&timelookup->active))
		return INT64_MAX;
	/* The turn began before other work; what that took is not taken from lookups. */
	deadline_ns = clock_now_ns() + TIMELOOKUP_TURN_NS;
	do {
		struct lookup *lookup =
			LIST_ENTRY(list_pop_front(&timelookup->active), struct lookup, link);

		size += lookup_run(timelookup, lookup, deadline_ns);
		if (lookup->at < lookup->count) {
			list_push_back(&timelookup->active, &lookup->link);
			continue;
		}
		timelookup->active_count--;
		lookup_end(timelookup, lookup);
		activate(timelookup);
	} while (!list_is_empty(&timelookup->active) && size < TIMELOOKUP_TURN_SIZE &&
		 clock_now_ns() < deadline_ns);
	return list_is_empty(&timelookup->active) ? INT64_MAX : now_ns;
}

/* ---- requests ---- */

/* @return true when the partition has to be read; else the answer is there */
static bool needs_search(const struct timelookup *timelookup, const struct uuid *topic_id,
			 int64_t timestamp, partition_answer *answer)
{
	struct partition_view view;

	answer->error_code = KAFKA_LEADER_NOT_AVAILABLE;
	if (timelookup->table == NULL)
		return false;
	answer->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (partitions_find(timelookup->table, topic_id, (uint32_t)answer->partition_index,
			    &view) != 0)
		return false;
	answer->error_code = KAFKA_KAFKA_STORAGE_ERROR;
	if (view.error != 0)
		return false;
	answer->error_code = KAFKA_NONE;
	if (timestamp == TIMELOOKUP_LATEST || timestamp == TIMELOOKUP_EARLIEST) {
		answer->offset =
			timestamp == TIMELOOKUP_LATEST ? view.high_watermark : view.start_offset;
		answer->leader_epoch = view.leader_epoch;
		return false;
	}
	/* Negative times name tiers of remote storage, which this box has not. */
	return timestamp >= TIMELOOKUP_MAX_TIMESTAMP;
}

/* The request outlives the call's memory, so all of it is copied. @return NULL out of memory */
static struct lookup *lookup_new(const struct wire_list_offsets_request *request)
{
	size_t topics = (size_t)MAX(request->topics_count, 0);
	size_t names = 0, partitions = 0, size;
	struct lookup *lookup;
	partition_answer *answers;
	char *text;

	for (size_t i = 0; i < topics; i++) {
		names += (size_t)MAX(request->topics[i].name.size, 0);
		partitions += (size_t)MAX(request->topics[i].partitions_count, 0);
	}
	size = sizeof(*lookup) + partitions * (sizeof(*lookup->searches) + sizeof(*answers)) +
	       topics * sizeof(*lookup->response.topics) + names;
	lookup = calloc(1, size);
	if (lookup == NULL)
		return NULL;
	list_init(&lookup->link);
	lookup->size = size;
	wire_default_list_offsets_response(&lookup->response);
	lookup->response.topics = (void *)&lookup->searches[partitions];
	lookup->response.topics_count = (int32_t)topics;
	answers = (void *)&lookup->response.topics[topics];
	text = (void *)&answers[partitions];
	for (size_t i = 0; i < topics; i++) {
		struct wire_list_offsets_response_topics *topic = &lookup->response.topics[i];

		topic->name = (struct wire_string){ text, request->topics[i].name.size };
		topic->partitions = answers;
		topic->partitions_count = MAX(request->topics[i].partitions_count, 0);
		if (topic->name.size > 0)
			memcpy(text, request->topics[i].name.bytes, (size_t)topic->name.size);
		text += MAX(topic->name.size, 0);
		answers += topic->partitions_count;
	}
	return lookup;
}

static void fill_topic(const struct timelookup *timelookup, struct lookup *lookup,
		       const struct wire_list_offsets_request_topics *wanted,
		       struct wire_list_offsets_response_topics *topic)
{
	const struct metaimage_topic *known =
		metaimage_topic(meta_image(timelookup->meta), wanted->name);

	for (int32_t i = 0; i < topic->partitions_count; i++) {
		partition_answer *answer = &topic->partitions[i];

		*answer = (partition_answer){
			.partition_index = wanted->partitions[i].partition_index,
			.error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
			.timestamp = -1,
			.offset = -1,
			.leader_epoch = -1,
		};
		if (known == NULL ||
		    !needs_search(timelookup, &known->id, wanted->partitions[i].timestamp, answer))
			continue;
		lookup->searches[lookup->count++] = (struct search){
			.topic_id = known->id,
			.partition = (uint32_t)answer->partition_index,
			.timestamp = wanted->partitions[i].timestamp,
			.answer = answer,
			.may_hint = true,
			.result = no_result,
		};
	}
}

enum call_result timelookup_list_offsets(struct timelookup *timelookup, struct call *call)
{
	struct wire_list_offsets_request request;
	struct lookup *lookup;
	bool is_full;

	if (wire_decode_list_offsets_request(&call->body, call->version, &call->scratch,
					     &request) != 0)
		return CALL_BAD;
	lookup = lookup_new(&request);
	if (lookup == NULL)
		return CALL_BAD;
	lookup->token = call->token;
	lookup->connection = call->connection;
	lookup->version = call->version;
	for (int32_t i = 0; i < lookup->response.topics_count; i++)
		fill_topic(timelookup, lookup, &request.topics[i], &lookup->response.topics[i]);
	timelookup->memory += lookup->size;
	is_full = timelookup->memory > MEMORY_MAX;
	if (lookup->count > 0 && !is_full) {
		list_push_back(&timelookup->waiting, &lookup->link);
		return CALL_LATER;
	}
	for (uint32_t i = 0; i < lookup->count; i++)
		answer_search(&lookup->searches[i], KAFKA_LEADER_NOT_AVAILABLE);
	wire_encode_list_offsets_response(&call->reply, call->version, &lookup->response);
	lookup_free(timelookup, lookup);
	return call_end(call, CALL_DONE);
}

/* ---- life cycle ---- */

struct timelookup *timelookup_new(const struct meta *meta, const struct timelookup_ops *ops,
				  void *context)
{
	struct timelookup *timelookup = calloc(1, sizeof(*timelookup));

	if (timelookup == NULL)
		return NULL;
	timelookup->meta = meta;
	timelookup->ops = ops;
	timelookup->context = context;
	list_init(&timelookup->active);
	list_init(&timelookup->waiting);
	return timelookup;
}

static void forget(struct timelookup *timelookup, struct list *lookups, uint64_t connection)
{
	LIST_EACH_SAFE(lookups, node)
	{
		struct lookup *lookup = LIST_ENTRY(node, struct lookup, link);

		if (lookup->connection != connection)
			continue;
		list_remove(&lookup->link);
		if (lookups == &timelookup->active)
			timelookup->active_count--;
		timelookup->ops->forget(timelookup->context, lookup->token);
		lookup_free(timelookup, lookup);
	}
}

void timelookup_gone(struct timelookup *timelookup, uint64_t connection)
{
	CHECK(connection != 0);
	forget(timelookup, &timelookup->active, connection);
	forget(timelookup, &timelookup->waiting, connection);
}

void timelookup_start(struct timelookup *timelookup, const char *log_dir,
		      const struct partitions *table)
{
	CHECK(list_is_empty(&timelookup->active));
	CHECK(list_is_empty(&timelookup->waiting));
	timelookup->log_dir = log_dir;
	timelookup->table = table;
}

static struct lookup *take_any(struct timelookup *timelookup)
{
	struct list *node = list_pop_front(&timelookup->active);

	if (node == NULL)
		node = list_pop_front(&timelookup->waiting);
	return node != NULL ? LIST_ENTRY(node, struct lookup, link) : NULL;
}

void timelookup_stop(struct timelookup *timelookup)
{
	struct lookup *lookup;

	timelookup->table = NULL; /* whoever asks again on the answer is refused */
	timelookup->active_count = 0;
	while ((lookup = take_any(timelookup)) != NULL)
		lookup_end(timelookup, lookup);
}

void timelookup_free(struct timelookup *timelookup)
{
	struct lookup *lookup;

	if (timelookup == NULL)
		return;
	while ((lookup = take_any(timelookup)) != NULL)
		lookup_free(timelookup, lookup);
	free(timelookup);
}

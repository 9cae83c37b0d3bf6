/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/produce.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c_copy.h"
#include "base/err.h"

#include "dataplane/core/hogs.h"
#include "dataplane/core/produce_impl.h"
#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

#define ROOM_SIZE_MIN 2048 /* below this a direct receive is not worth asking for */
/* Batches from here on do not stay in the caches until somebody reads them. */
#define COLD_SIZE_MIN (32U * 1024)

/* ---- the response, built while parsing ---- */

/* Room for `size` more bytes. @return false: the session is blocked or closing */
static bool response_room(struct session *session, struct request *request, uint32_t size)
{
	struct buffers *buffers = session->core->sessions->buffers;
	uint32_t want = request->response_size + size;
	struct buffer *larger;

	if (request->acks == 0 || (request->response != NULL && want <= request->response->size))
		return true;
	if (want > BUFFER_SIZE_MAX) {
		session_fail(session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		return false;
	}
	larger = buffer_take(buffers, want);
	if (larger == NULL) {
		session_block(session, SESSION_BLOCK_MEMORY);
		return false;
	}
	if (request->response != NULL)
		memcpy(larger->mem, request->response->mem, request->response_size);
	buffer_give(buffers, request->response);
	request->response = larger;
	return true;
}

static struct writer response_writer(struct request *request)
{
	struct writer writer;

	CHECK(request->response != NULL);
	writer_init(&writer, request->response->mem + request->response_size,
		    request->response->size - request->response_size);
	return writer;
}

static void response_written(struct request *request, const struct writer *writer)
{
	CHECK(writer->error == 0);
	request->response_size += (uint32_t)writer_size(writer);
}

bool produce_response_room(struct session *session, uint32_t size)
{
	return response_room(session, session->request, size);
}

void produce_response_count(struct session *session, uint32_t count)
{
	struct request *request = session->request;
	struct writer writer;

	if (request->acks == 0)
		return;
	writer = response_writer(request);
	wire_write_count(&writer, session->parser.is_flexible, false, (int32_t)count);
	response_written(request, &writer);
}

static void respond_topic(struct request *request, bool is_flexible, const uint8_t *name,
			  uint32_t size)
{
	struct writer writer;

	if (request->acks == 0)
		return;
	writer = response_writer(request);
	if (request->api_version >= 13)
		writer_bytes(&writer, name, UUID_SIZE);
	else
		wire_write_string(&writer, is_flexible, false,
				  (struct wire_string){ (const char *)name, (int32_t)size });
	response_written(request, &writer);
}

/* index 4, error 2, base offset 8, append time 8, from v5 start offset 8, from v8 no record errors
   and no message, from v9 no tags */
static void respond_partition(struct request *request, struct produce_parser *parser)
{
	int16_t version = request->api_version;
	struct writer writer;

	if (request->acks == 0)
		return;
	parser->response_at = request->response_size;
	writer = response_writer(request);
	writer_i32(&writer, parser->index);
	writer_i16(&writer, 0);
	writer_i64(&writer, -1);
	writer_i64(&writer, -1);
	if (version >= 5)
		writer_i64(&writer, -1);
	if (version >= 8) {
		wire_write_count(&writer, parser->is_flexible, false, 0);
		wire_write_string(&writer, parser->is_flexible, true, WIRE_STRING_NULL);
	}
	if (parser->is_flexible)
		writer_u8(&writer, 0);
	response_written(request, &writer);
}

void produce_response_tags(struct session *session)
{
	struct request *request = session->request;
	struct writer writer;

	if (request->acks == 0)
		return;
	writer = response_writer(request);
	writer_u8(&writer, 0);
	response_written(request, &writer);
}

/* Put an outcome where respond_partition() kept its place. */
static void patch(struct request *request, uint32_t at, int16_t error,
		  const struct partition_op *op)
{
	uint8_t *place;

	if (error != KAFKA_NONE)
		counters_inc(request->core->counters, COUNTER_PRODUCE_REFUSED);
	if (request->acks == 0) {
		/* There is no answer that could carry the error, so the connection ends (as in Kafka). */
		if (error != KAFKA_NONE && request->session != NULL)
			session_fail(request->session, COUNTER_SESSION_CLOSE_ACKS0, false);
		return;
	}
	place = request->response->mem + at + 4;
	bytes_store_u16(place, (uint16_t)error);
	if (error != KAFKA_NONE)
		return;
	bytes_store_u64(place + 2, (uint64_t)op->base_offset);
	bytes_store_u64(place + 10, (uint64_t)op->append_time);
	if (request->api_version >= 5)
		bytes_store_u64(place + 18, (uint64_t)op->start_offset);
}

void produce_answer(struct request *request)
{
	struct writer writer;

	if (request->acks == 0)
		return;
	writer = response_writer(request);
	writer_i32(&writer, 0); /* throttle time */
	if (request->api_version >= 9)
		writer_u8(&writer, 0);
	response_written(request, &writer);
	request_send(request, request->response->mem, request->response_size);
}

/* ---- outcomes ---- */

static void op_done(struct core *core, struct partition_op *op)
{
	struct request *request = op->owner;
	struct session *session = request->session;

	if (session != NULL)
		patch(request, op->response_at, session_err_from(op->error), op);
	partition_op_free(core, op);
	if (!request_op_back(request))
		return;
	if (request->is_gathered && request->pending == 0 && !request->is_done) {
		request->is_done = true;
		session_advance(session);
	}
}

static void let_go(struct session *session)
{
	struct produce_parser *parser = &session->parser;
	struct partition_op *op = parser->op;

	parser->op = NULL;
	if (op == NULL)
		return;
	if (parser->is_reserved) {
		parser->is_reserved = false;
		list_remove(&parser->reserving);
		seglog_abandon(parser->partition->log);
		partition_abandoned(session->core, parser->partition);
	}
	partition_op_free(session->core, op);
}

/* The rest of the partition's bytes is dropped; it gets `error`. */
static void refuse(struct session *session, int16_t error)
{
	struct produce_parser *parser = &session->parser;

	let_go(session);
	patch(session->request, parser->response_at, error, NULL);
	parser->skip = parser->records_size - parser->at;
	parser->state = PRODUCE_SKIP;
}

void produce_abort(struct session *session, bool is_gone)
{
	if (session->parser.is_lent && !is_gone)
		return;
	session->parser.is_lent = false;
	let_go(session);
}

/* ---- judging ---- */

static int16_t judge(const struct request *request, const struct batch *batch, uint32_t size,
		     uint32_t size_max)
{
	uint32_t codec = batch->attributes & BATCH_ATTRIBUTE_CODEC;

	switch (batch_check(batch, size, size_max)) {
	case BATCH_OK:
		break;
	case BATCH_BAD_SIZE:
		/* More than one batch is forbidden, less than one is damage. */
		return batch->size < size ? KAFKA_INVALID_RECORD : KAFKA_CORRUPT_MESSAGE;
	case BATCH_TOO_LARGE:
		return KAFKA_MESSAGE_TOO_LARGE;
	case BATCH_BAD_MAGIC:
		return KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT;
	case BATCH_BAD_CODEC:
		return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
	case BATCH_BAD_COUNT:
	case BATCH_BAD_CONTROL:
	case BATCH_BAD_PRODUCER:
		return KAFKA_INVALID_RECORD;
	}
	if (batch->attributes & BATCH_ATTRIBUTE_TRANSACTIONAL)
		return KAFKA_INVALID_TXN_STATE;
	if (codec == BATCH_CODEC_ZSTD && request->api_version < 7)
		return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
	return KAFKA_NONE;
}

static const struct topic *topic_now(struct session *session)
{
	struct produce_parser *parser = &session->parser;
	const struct topics *table = session->core->topics;

	if (parser->topic != NULL && parser->table != table)
		parser->topic = topics_find_id(table, &parser->topic_id);
	parser->table = table;
	return parser->topic;
}

void produce_topic_named(struct session *session, const uint8_t *name, uint32_t size)
{
	struct produce_parser *parser = &session->parser;
	const struct topics *table = session->core->topics;
	struct uuid id;

	if (session->request->api_version >= 13) {
		memcpy(id.bytes, name, UUID_SIZE);
		parser->topic = topics_find_id(table, &id);
	} else {
		parser->topic = topics_find(table, (const char *)name, size);
	}
	if (parser->topic != NULL)
		parser->topic_id = parser->topic->info->id;
	parser->table = table;
	respond_topic(session->request, parser->is_flexible, name, size);
}

void produce_partition_named(struct session *session, int32_t index)
{
	struct produce_parser *parser = &session->parser;
	const struct topic *topic = topic_now(session);

	parser->index = index;
	parser->at = 0;
	parser->partition = NULL;
	parser->error = parser->forced_error;
	respond_partition(session->request, parser);
	if (parser->error != KAFKA_NONE)
		return;
	if (topic == NULL) {
		parser->error = session->request->api_version >= 13
					? KAFKA_UNKNOWN_TOPIC_ID
					: KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	parser->partition = topics_partition(topic, index);
	if (parser->partition == NULL)
		parser->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

void produce_records_sized(struct session *session, int32_t size)
{
	struct produce_parser *parser = &session->parser;

	parser->at = 0;
	parser->got = 0;
	parser->records_size = size > 0 ? (uint32_t)size : 0;
	if (parser->error != KAFKA_NONE)
		refuse(session, parser->error);
	else if (size <= 0)
		refuse(session, KAFKA_INVALID_RECORD);
	else
		parser->state = PRODUCE_BATCH_HEADER;
}

void produce_header_read(struct session *session, const uint8_t *header, uint32_t size)
{
	struct produce_parser *parser = &session->parser;
	const struct topic *topic = topic_now(session);
	int16_t error;

	parser->at = size;
	if (size < BATCH_HEADER_SIZE) {
		/* Message sets of magic 0 and 1 may be that short; they have the magic at the same place. */
		bool is_old = size > 16 && header[16] < BATCH_MAGIC;

		refuse(session,
		       is_old ? KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT : KAFKA_CORRUPT_MESSAGE);
		return;
	}
	if (header[16] < BATCH_MAGIC) {
		refuse(session, KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT);
		return;
	}
	if (topic == NULL) {
		refuse(session, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
		return;
	}
	if (batch_decode(header, &parser->batch) != 0) {
		refuse(session, KAFKA_CORRUPT_MESSAGE);
		return;
	}
	error = judge(session->request, &parser->batch, parser->records_size,
		      (uint32_t)topic->info->message_size_max);
	if (error != KAFKA_NONE) {
		refuse(session, error);
		return;
	}
	if (header != parser->scratch)
		memcpy(parser->scratch, header, BATCH_HEADER_SIZE);
	parser->state = PRODUCE_PLACE;
}

/* ---- receiving ---- */

static uint8_t *room_at(const struct produce_parser *parser, uint32_t at, uint32_t *ret_size)
{
	if (parser->is_reserved)
		return seglog_room(parser->partition->log, at, ret_size);
	return stage_room(&parser->op->stage, at, ret_size);
}

static void put(struct produce_parser *parser, const uint8_t *bytes, uint32_t size)
{
	while (size > 0) {
		uint32_t room;
		uint8_t *to = room_at(parser, parser->at, &room);
		uint32_t n = MIN(room, size);

		if (parser->records_size >= COLD_SIZE_MIN)
			crc32c_copy_put_cold(&parser->copy, to, bytes, n);
		else
			crc32c_copy_put(&parser->copy, to, bytes, n);
		parser->at += n;
		bytes += n;
		size -= n;
	}
}

/* The first 21 bytes are not under the checksum. */
static void put_header(struct produce_parser *parser)
{
	parser->at = 0;
	put(parser, parser->scratch, BATCH_CRC_BEGIN);
	crc32c_copy_begin(&parser->copy);
	put(parser, parser->scratch + BATCH_CRC_BEGIN, BATCH_HEADER_SIZE - BATCH_CRC_BEGIN);
}

/* @return 0; -EAGAIN; Kafka's error for the partition > 0 */
static int find_place(struct session *session)
{
	struct produce_parser *parser = &session->parser;
	struct core *core = session->core;
	struct partition *partition = parser->partition;
	int error = -EBUSY;

	if (partition->owner == core->index) {
		if (partition->log == NULL)
			return KAFKA_LEADER_NOT_AVAILABLE;
		if (!partition_is_contended(partition))
			error = seglog_reserve(partition->log, parser->records_size, core->now_ms);
	}
	if (error == 0) {
		parser->is_reserved = true;
		parser->progress_ns = core->now_ns;
		list_push_back(&core->sessions->reserving, &parser->reserving);
		return 0;
	}
	if (error != -EBUSY)
		return error == -EAGAIN ? -EAGAIN : session_err_from(error);
	error = stage_take(&parser->op->stage, core->chunks, parser->records_size);
	if (error == 0)
		counters_inc(core->counters, COUNTER_PRODUCE_STAGED_BATCHES);
	return error == ERR_TOO_LARGE ? KAFKA_MESSAGE_TOO_LARGE : error;
}

bool produce_place(struct session *session)
{
	struct produce_parser *parser = &session->parser;
	int error;

	if (parser->op == NULL)
		parser->op = partition_op_take(session->core);
	if (parser->op == NULL) {
		session_block(session, SESSION_BLOCK_MEMORY);
		return false;
	}
	parser->is_reserved = false;
	error = find_place(session);
	/* The operation is kept: giving it back would look like freed memory and wake this session. */
	if (error == -EAGAIN) {
		session_block(session, SESSION_BLOCK_MEMORY);
		return false;
	}
	if (error != 0) {
		refuse(session, (int16_t)error);
		return true;
	}
	put_header(parser);
	parser->state = PRODUCE_BATCH;
	return true;
}

static void batch_complete(struct session *session)
{
	struct produce_parser *parser = &session->parser;
	struct request *request = session->request;
	struct partition_op *op = parser->op;

	if (crc32c_copy_end(&parser->copy) != parser->batch.crc) {
		counters_inc(session->core->counters, COUNTER_PRODUCE_CORRUPT);
		refuse(session, KAFKA_CORRUPT_MESSAGE);
		return;
	}
	op->kind = PARTITION_APPEND;
	op->partition = parser->partition;
	op->batch = parser->batch;
	op->is_acks_all = request->acks == -1;
	op->response_at = parser->response_at;
	op->owner = request;
	op->done = op_done;
	parser->op = NULL;
	parser->state = PRODUCE_PARTITION_TAGS;
	request->pending++;
	if (parser->is_reserved) {
		parser->is_reserved = false;
		list_remove(&parser->reserving);
		partition_commit(session->core, op);
	} else {
		partition_run(session->core, op);
	}
}

void produce_receive(struct session *session, const uint8_t *bytes, uint32_t size)
{
	struct produce_parser *parser = &session->parser;

	CHECK(size <= parser->records_size - parser->at);
	put(parser, bytes, size);
	parser->progress_ns = session->core->now_ns;
	if (parser->at == parser->records_size)
		batch_complete(session);
}

bool produce_room(struct session *session, struct iovec *ret_room)
{
	struct produce_parser *parser = &session->parser;
	uint32_t left;
	uint32_t room;
	uint8_t *to;

	if (parser->state != PRODUCE_BATCH)
		return false;
	left = parser->records_size - parser->at;
	if (left < ROOM_SIZE_MIN)
		return false;
	to = room_at(parser, parser->at, &room);
	ret_room->iov_base = to;
	ret_room->iov_len = MIN(room, left);
	parser->is_lent = true;
	return true;
}

void produce_filled(struct session *session, uint32_t size)
{
	struct produce_parser *parser = &session->parser;
	uint32_t room;
	uint8_t *at;

	CHECK(parser->state == PRODUCE_BATCH);
	CHECK(size <= parser->records_size - parser->at);
	at = room_at(parser, parser->at, &room);
	CHECK(size <= room);
	crc32c_copy_filled(&parser->copy, at, size);
	parser->at += size;
	parser->progress_ns = session->core->now_ns;
	if (parser->at == parser->records_size)
		batch_complete(session);
	/* The last bytes of a partition may be the last of the request. */
	if (session->state == SESSION_PRODUCE)
		(void)produce_input(session, NULL, 0); /* takes nothing, moves on */
}

/* ---- contention ---- */

/* Move what has come of a stalled batch out of the ring, so that others can use the tail. */
static bool demote(struct core *core, struct produce_parser *parser)
{
	struct seglog *log = parser->partition->log;
	uint32_t at = 0;

	if (stage_take(&parser->op->stage, core->chunks, parser->records_size) != 0)
		return false;
	while (at < parser->at) {
		uint32_t from_size;
		uint32_t to_size;
		const uint8_t *from = seglog_room(log, at, &from_size);
		uint8_t *to = stage_room(&parser->op->stage, at, &to_size);
		uint32_t n = MIN(from_size, to_size);

		n = MIN(n, parser->at - at);
		memcpy(to, from, n);
		at += n;
	}
	counters_inc(core->counters, COUNTER_PRODUCE_DEMOTIONS);
	parser->is_reserved = false;
	list_remove(&parser->reserving);
	seglog_abandon(log);
	partition_abandoned(core, parser->partition);
	return true;
}

static bool is_stalled(const struct produce_parser *parser, int64_t now_ns)
{
	return !list_is_empty(&parser->partition->blocked) && !parser->is_lent &&
	       now_ns - parser->progress_ns >= SESSION_RETRY_NS;
}

/* @return NULL: nobody stalls */
static struct produce_parser *find_stalled(struct sessions *sessions, int64_t now_ns)
{
	LIST_EACH(&sessions->reserving, node)
	{
		struct produce_parser *parser = LIST_ENTRY(node, struct produce_parser, reserving);

		if (is_stalled(parser, now_ns))
			return parser;
	}
	return NULL;
}

void produce_check_contention(struct core *core, int64_t now_ns)
{
	struct sessions *sessions = core->sessions;
	struct produce_parser *parser;
	struct session *session;

	/* From the start again after each: what follows a demotion may end other reservations too. */
	while ((parser = find_stalled(sessions, now_ns)) != NULL) {
		if (demote(core, parser))
			continue;
		/* There is no memory to move it to, and others wait behind it. */
		session = CONTAINER_OF(parser, struct session, parser);
		sessions_memory_short(core);
		if (now_ns - parser->progress_ns < hogs_stall_ns(session))
			break;
		session_fail(session, COUNTER_SESSION_CLOSE_HOG, true);
	}
	LIST_EACH(&sessions->reserving, node)
	{
		parser = LIST_ENTRY(node, struct produce_parser, reserving);
		if (!list_is_empty(&parser->partition->blocked)) {
			timer_arm(&core->timers, &sessions->contention, now_ns + SESSION_RETRY_NS);
			return;
		}
	}
}

/* A partition has one open reservation at most. */
void produce_give_up(struct core *core, struct partition *partition)
{
	LIST_EACH(&core->sessions->reserving, node)
	{
		struct produce_parser *parser = LIST_ENTRY(node, struct produce_parser, reserving);
		struct session *session = CONTAINER_OF(parser, struct session, parser);

		if (parser->partition != partition)
			continue;
		if (parser->is_lent)
			session_fail(session, COUNTER_SESSION_CLOSE_DETACHED, true);
		parser->is_lent = false;
		refuse(session, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
		return;
	}
}

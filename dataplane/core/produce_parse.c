/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/check.h"

#include "dataplane/core/produce_impl.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

#define UVARINT_BITS_MAX 35 /* five bytes of seven bits */
/* What one field adds to the response at most: a name with its size and a count, or a partition. */
#define RESPONSE_FIELD_MAX (PRODUCE_NAME_MAX + 64)

struct input {
	const uint8_t *at;
	uint32_t left;       /* bytes here */
	uint32_t frame_left; /* bytes of the frame from here on */
};

static void malformed(struct session *session)
{
	session_fail(session, COUNTER_SESSION_CLOSE_MALFORMED, false);
}

static void advance(struct input *in, uint32_t size)
{
	in->at += size;
	in->left -= size;
	in->frame_left -= size;
}

/*
 * The next `size` bytes in one piece: in place when they are all here, else gathered in scratch over
 * several calls. NULL: not all here yet, or the frame is shorter than that (the session is closing).
 */
static const uint8_t *take(struct session *session, struct input *in, uint32_t size)
{
	struct produce_parser *parser = &session->parser;
	const uint8_t *at = in->at;
	uint32_t n = MIN(size - parser->got, in->left);

	CHECK(size <= PRODUCE_SCRATCH_MAX);
	if (size - parser->got > in->frame_left) {
		malformed(session);
		return NULL;
	}
	advance(in, n);
	if (n == size)
		return at;
	memcpy(parser->scratch + parser->got, at, n);
	parser->got += n;
	if (parser->got < size)
		return NULL;
	parser->got = 0;
	return parser->scratch;
}

static bool take_uvarint(struct session *session, struct input *in, uint32_t *ret_value)
{
	struct produce_parser *parser = &session->parser;

	for (;;) {
		const uint8_t *byte = take(session, in, 1);

		if (byte == NULL)
			return false;
		parser->varint |= (uint64_t)(*byte & 0x7f) << parser->varint_bits;
		parser->varint_bits += 7;
		if (!(*byte & 0x80))
			break;
		if (parser->varint_bits >= UVARINT_BITS_MAX) {
			malformed(session);
			return false;
		}
	}
	if (parser->varint > UINT32_MAX) {
		malformed(session);
		return false;
	}
	*ret_value = (uint32_t)parser->varint;
	parser->varint = 0;
	parser->varint_bits = 0;
	return true;
}

/* A size or count in its classic (`width` bytes) or flexible form; -1: null. */
static bool take_size(struct session *session, struct input *in, uint32_t width, int32_t *ret_size)
{
	const uint8_t *bytes;
	uint32_t value;

	if (session->parser.is_flexible) {
		if (!take_uvarint(session, in, &value))
			return false;
		*ret_size = (int32_t)(value - 1);
	} else {
		bytes = take(session, in, width);
		if (bytes == NULL)
			return false;
		*ret_size = width == 2 ? (int16_t)bytes_load_u16(bytes)
				       : (int32_t)bytes_load_u32(bytes);
	}
	/* Whatever it counts takes at least a byte each. */
	if (*ret_size < -1 || (*ret_size > 0 && (uint32_t)*ret_size > in->frame_left)) {
		malformed(session);
		return false;
	}
	return true;
}

static bool take_skip(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;
	uint32_t n = MIN(parser->skip, in->left);

	if (parser->skip > in->frame_left) {
		malformed(session);
		return false;
	}
	advance(in, n);
	parser->skip -= n;
	return parser->skip == 0;
}

/* Tagged fields (KIP-482), none of which Produce defines for requests. Phases: 0 their number,
   1 the next tag, 2 its size, 3 its bytes. */
static bool skip_tags(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;
	uint32_t tag;

	if (!parser->is_flexible)
		return true;
	if (parser->tag_phase == 0) {
		if (!take_uvarint(session, in, &parser->tags_left))
			return false;
		parser->tag_phase = 1;
	}
	while (parser->tags_left > 0) {
		if (parser->tag_phase == 1) {
			if (!take_uvarint(session, in, &tag))
				return false;
			parser->tag_phase = 2;
		}
		if (parser->tag_phase == 2) {
			if (!take_uvarint(session, in, &parser->skip))
				return false;
			parser->tag_phase = 3;
		}
		if (!take_skip(session, in))
			return false;
		parser->tags_left--;
		parser->tag_phase = 1;
	}
	parser->tag_phase = 0;
	return true;
}

void produce_begin(struct session *session, struct request *request)
{
	struct produce_parser *parser = &session->parser;

	CHECK(parser->op == NULL);
	CHECK(!list_is_linked(&parser->reserving));
	memset(parser, 0, offsetof(struct produce_parser, scratch));
	list_init(&parser->reserving);
	/* Header v1 is not flexible: the client id is a classic string in header v2 too. */
	parser->is_flexible = false;
	request->acks = -1;
}

static bool parse_client(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;
	struct request *request = session->request;
	const uint8_t *bytes;
	int32_t size;

	switch ((int)parser->state) {
	case PRODUCE_CORRELATION:
		bytes = take(session, in, 4);
		if (bytes == NULL)
			return false;
		request->correlation_id = (int32_t)bytes_load_u32(bytes);
		parser->state = PRODUCE_CLIENT_SIZE;
		return true;
	case PRODUCE_CLIENT_SIZE:
		if (!take_size(session, in, 2, &size))
			return false;
		parser->skip = size > 0 ? (uint32_t)size : 0;
		parser->state = PRODUCE_CLIENT;
		return true;
	case PRODUCE_CLIENT:
		if (!take_skip(session, in))
			return false;
		parser->is_flexible = request->api_version >= 9;
		parser->state = PRODUCE_HEADER_TAGS;
		return true;
	case PRODUCE_HEADER_TAGS:
		if (!skip_tags(session, in))
			return false;
		parser->state = PRODUCE_TXN_SIZE;
		return true;
	default:
		WRONG("produce state");
	}
}

static bool parse_body(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;
	struct request *request = session->request;
	const uint8_t *bytes;
	int32_t size;

	switch ((int)parser->state) {
	case PRODUCE_TXN_SIZE:
		if (!take_size(session, in, 2, &size))
			return false;
		if (size >= 0)
			parser->forced_error = KAFKA_INVALID_TXN_STATE;
		parser->skip = size > 0 ? (uint32_t)size : 0;
		parser->state = PRODUCE_TXN;
		return true;
	case PRODUCE_TXN:
		if (!take_skip(session, in))
			return false;
		parser->state = PRODUCE_ACKS;
		return true;
	case PRODUCE_ACKS: /* and the timeout, which has no meaning without replicas to wait for */
		bytes = take(session, in, 6);
		if (bytes == NULL)
			return false;
		request->acks = (int16_t)bytes_load_u16(bytes);
		if (request->acks < -1 || request->acks > 1)
			parser->forced_error = KAFKA_INVALID_REQUIRED_ACKS;
		parser->state = PRODUCE_TOPICS;
		return true;
	case PRODUCE_TOPICS:
		if (!produce_response_room(session, RESPONSE_FIELD_MAX) ||
		    !take_size(session, in, 4, &size))
			return false;
		parser->topics_left = size > 0 ? (uint32_t)size : 0;
		produce_response_count(session, parser->topics_left);
		parser->state = PRODUCE_TOPIC;
		return true;
	default:
		WRONG("produce state");
	}
}

static bool parse_topic(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;
	const uint8_t *bytes;
	int32_t size;

	switch ((int)parser->state) {
	case PRODUCE_TOPIC:
		if (parser->topics_left == 0) {
			parser->state = PRODUCE_END_TAGS;
			return true;
		}
		if (!produce_response_room(session, RESPONSE_FIELD_MAX))
			return false;
		parser->topics_left--;
		parser->state = session->request->api_version >= 13 ? PRODUCE_TOPIC_ID
								    : PRODUCE_TOPIC_NAME_SIZE;
		return true;
	case PRODUCE_TOPIC_ID:
		bytes = take(session, in, UUID_SIZE);
		if (bytes == NULL)
			return false;
		produce_topic_named(session, bytes, UUID_SIZE);
		parser->state = PRODUCE_PARTITIONS;
		return true;
	case PRODUCE_TOPIC_NAME_SIZE:
		if (!take_size(session, in, 2, &size))
			return false;
		if (size < 0 || size > PRODUCE_NAME_MAX) {
			malformed(session);
			return false;
		}
		parser->name_size = (uint32_t)size;
		parser->state = PRODUCE_TOPIC_NAME;
		return true;
	case PRODUCE_TOPIC_NAME:
		bytes = take(session, in, parser->name_size);
		if (bytes == NULL)
			return false;
		produce_topic_named(session, bytes, parser->name_size);
		parser->state = PRODUCE_PARTITIONS;
		return true;
	case PRODUCE_PARTITIONS:
		if (!take_size(session, in, 4, &size))
			return false;
		parser->partitions_left = size > 0 ? (uint32_t)size : 0;
		produce_response_count(session, parser->partitions_left);
		parser->state = PRODUCE_PARTITION;
		return true;
	case PRODUCE_TOPIC_TAGS:
		if (!skip_tags(session, in))
			return false;
		if (parser->is_flexible)
			produce_response_tags(session);
		parser->state = PRODUCE_TOPIC;
		return true;
	default:
		WRONG("produce state");
	}
}

static bool parse_partition(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;
	const uint8_t *bytes;
	uint32_t n;
	int32_t size;

	switch ((int)parser->state) {
	case PRODUCE_PARTITION:
		if (parser->partitions_left == 0) {
			/* The topic's tag byte was counted into the room its name asked for. */
			parser->state = PRODUCE_TOPIC_TAGS;
			return true;
		}
		if (!produce_response_room(session, RESPONSE_FIELD_MAX))
			return false;
		parser->partitions_left--;
		parser->state = PRODUCE_INDEX;
		return true;
	case PRODUCE_INDEX:
		bytes = take(session, in, 4);
		if (bytes == NULL)
			return false;
		produce_partition_named(session, (int32_t)bytes_load_u32(bytes));
		parser->state = PRODUCE_RECORDS_SIZE;
		return true;
	case PRODUCE_RECORDS_SIZE:
		if (!take_size(session, in, 4, &size))
			return false;
		produce_records_sized(session, size);
		return true;
	case PRODUCE_BATCH_HEADER:
		n = MIN(parser->records_size, (uint32_t)BATCH_HEADER_SIZE);
		bytes = take(session, in, n);
		if (bytes == NULL)
			return false;
		produce_header_read(session, bytes, n);
		return true;
	case PRODUCE_PLACE:
		return produce_place(session);
	case PRODUCE_BATCH:
		n = MIN(parser->records_size - parser->at, in->left);
		if (n == 0)
			return false;
		bytes = in->at;
		advance(in, n);
		produce_receive(session, bytes, n);
		return true;
	case PRODUCE_SKIP:
		if (!take_skip(session, in))
			return false;
		parser->state = PRODUCE_PARTITION_TAGS;
		return true;
	case PRODUCE_PARTITION_TAGS:
		if (!skip_tags(session, in))
			return false;
		parser->state = PRODUCE_PARTITION;
		return true;
	default:
		WRONG("produce state");
	}
}

/* One step. @return false: more bytes are needed, or the session is blocked or closing */
static bool parse(struct session *session, struct input *in)
{
	struct produce_parser *parser = &session->parser;

	if (parser->state <= PRODUCE_HEADER_TAGS)
		return parse_client(session, in);
	if (parser->state <= PRODUCE_TOPICS)
		return parse_body(session, in);
	if (parser->state <= PRODUCE_PARTITIONS || parser->state == PRODUCE_TOPIC_TAGS)
		return parse_topic(session, in);
	if (parser->state <= PRODUCE_PARTITION_TAGS)
		return parse_partition(session, in);
	CHECK(parser->state == PRODUCE_END_TAGS);
	if (!skip_tags(session, in) || !produce_response_room(session, RESPONSE_FIELD_MAX))
		return false;
	parser->state = PRODUCE_COMPLETE;
	return true;
}

uint32_t produce_input(struct session *session, const uint8_t *bytes, uint32_t size)
{
	struct produce_parser *parser = &session->parser;
	struct input in = { .at = bytes, .left = size, .frame_left = session->frame_left };

	while (session->state == SESSION_PRODUCE && parser->state != PRODUCE_COMPLETE)
		if (!parse(session, &in))
			break;
	if (session->state == SESSION_PRODUCE && parser->state == PRODUCE_COMPLETE &&
	    in.frame_left > 0)
		malformed(session);
	return size - in.left;
}

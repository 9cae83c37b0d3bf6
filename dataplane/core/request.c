/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/request.h"

#include <string.h>

#include "base/check.h"

#include "dataplane/core/answers.h"
#include "dataplane/core/fetch.h"
#include "dataplane/core/forward.h"
#include "dataplane/core/metadata.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/frame.h"

#include "dataplane/core/hot.h"

void request_free(struct request *request)
{
	struct sessions *sessions = request->core->sessions;
	struct list *node;

	CHECK_OBJ(request, REQUEST_MAGIC);
	CHECK(request->pending == 0);
	CHECK(!list_is_linked(&request->node));
	if (request->fetch != NULL)
		fetch_free(request);
	if (request->is_parked)
		forward_unpark(request);
	while ((node = list_pop_front(&request->ops)) != NULL)
		partition_op_free(request->core, LIST_ENTRY(node, struct partition_op, node));
	buffer_give(sessions->buffers, request->frame);
	buffer_give(sessions->buffers, request->response);
	request->frame = NULL;
	request->response = NULL;
	request->magic = 0;
	sessions->memory_freed = true;
	list_push_front(&sessions->requests_idle, &request->node);
}

void request_orphan(struct request *request)
{
	request->session = NULL;
	if (request->fetch != NULL)
		fetch_cancel(request);
	if (request->is_parked)
		forward_unpark(request);
	if (request->pending == 0)
		request_free(request);
}

bool request_op_back(struct request *request)
{
	CHECK_OBJ(request, REQUEST_MAGIC);
	CHECK(request->pending > 0);
	request->pending--;
	if (request->session != NULL)
		return true;
	if (request->pending == 0)
		request_free(request);
	return false;
}

struct reader request_body(const struct request *request)
{
	struct reader reader;
	struct wire_request_header header;

	reader_init(&reader, request->frame->mem, request->frame_size);
	if (wire_decode_request_header(&reader, &header) != 0)
		reader_fail(&reader, ERR_MALFORMED);
	return reader;
}

struct wire_string request_client_id(const struct request *request)
{
	struct reader reader;
	struct wire_request_header header;

	reader_init(&reader, request->frame->mem, request->frame_size);
	if (wire_decode_request_header(&reader, &header) != 0)
		return WIRE_STRING_NULL;
	return header.client_id;
}

struct wire_scratch request_scratch(const struct request *request)
{
	struct wire_scratch scratch;
	const struct sessions *sessions = request->core->sessions;

	wire_scratch_init(&scratch, sessions->scratch, sessions->scratch_size);
	return scratch;
}

void *request_alloc(struct wire_scratch *scratch, size_t size)
{
	uint8_t *at = (uint8_t *)ALIGN_UP((uintptr_t)scratch->at, (uintptr_t)16);

	if (at > scratch->end || (size_t)(scratch->end - at) < size)
		return NULL;
	memset(at, 0, size);
	scratch->at = at + size;
	return at;
}

struct writer request_begin(struct request *request)
{
	struct sessions *sessions = request->core->sessions;
	struct writer writer;

	writer_init(&writer, sessions->out, sessions->out_size);
	writer_i32(&writer, 0);
	wire_encode_response_header(&writer, request->api_key, request->api_version,
				    request->correlation_id);
	return writer;
}

/* Queue header and body; the size in front of them is known only now. */
static void push_framed(struct request *request, struct writer *writer, const void *body,
			uint32_t size)
{
	struct session *session = request->session;
	struct outq *out = &session->link->out;

	bytes_store_u32(writer->begin, (uint32_t)(writer_size(writer) - 4 + size));
	if (outq_push_copy(out, writer->begin, writer_size(writer)) != 0 ||
	    (size > 0 && outq_push_copy(out, body, size) != 0)) {
		session_fail(session, COUNTER_SESSION_CLOSE_OUTPUT, true);
		return;
	}
	session->link->ops->send(session->link);
}

void request_end(struct request *request, struct writer *writer)
{
	CHECK(request->session != NULL);
	if (writer->error != 0) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_OUTPUT, true);
		return;
	}
	push_framed(request, writer, NULL, 0);
	request_done(request);
}

void request_send(struct request *request, const void *body, uint32_t size)
{
	struct writer writer = request_begin(request);

	push_framed(request, &writer, body, size);
}

void request_answer(struct request *request, const void *body, uint32_t size)
{
	request_send(request, body, size);
	request_done(request);
}

void request_done(struct request *request)
{
	CHECK(!request->is_done);
	request->is_done = true;
}

void request_start(struct request *request)
{
	const struct wire_api_info *info = wire_api_info(request->api_key);
	struct reader reader;
	struct wire_request_header header;

	reader_init(&reader, request->frame->mem, request->frame_size);
	if (wire_decode_request_header(&reader, &header) != 0) {
		session_fail(request->session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		return;
	}
	request->correlation_id = header.correlation_id;
	switch (request->api_key) {
	case WIRE_API_FETCH:
		fetch_start(request);
		break;
	case WIRE_API_METADATA:
		metadata_answer(request);
		break;
	case WIRE_API_DESCRIBE_CLUSTER:
		metadata_describe_cluster(request);
		break;
	case WIRE_API_FIND_COORDINATOR:
		metadata_find_coordinator(request);
		break;
	case WIRE_API_API_VERSIONS:
		answers_api_versions(request);
		break;
	case WIRE_API_INIT_PRODUCER_ID:
		answers_init_producer_id(request);
		break;
	case WIRE_API_LIST_OFFSETS:
		answers_list_offsets(request);
		break;
	case WIRE_API_OFFSET_FOR_LEADER_EPOCH:
		answers_epoch_end(request);
		break;
	default:
		CHECK(info->in_control);
		forward_request(request);
		break;
	}
}

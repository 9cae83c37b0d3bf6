/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/forward.h"

#include <string.h>

#include "base/check.h"

#include "dataplane/core/away.h"
#include "dataplane/core/channel.h"
#include "dataplane/core/metadata.h"
#include "dataplane/core/request.h"
#include "dataplane/core/upcall.h"
#include "dataplane/wire/api.h"

#include "dataplane/core/hot.h"

#define TIMEOUT_NS        INT64_C(60000000000)
#define TIMEOUT_REJOIN_NS INT64_C(1800000000000) /* a rebalance waits for its slowest member */
#define CLIENT_ID_NULL    0xffff
#define HOST_SIZE_MAX     16

static uint64_t cookie_of(const struct request *request)
{
	const struct sessions *sessions = request->core->sessions;

	return ((uint64_t)request->generation << 32) |
	       (uint64_t)(request - sessions->request_memory);
}

/* @return NULL: nobody waits for it any more */
static struct request *request_of(struct sessions *sessions, uint64_t cookie)
{
	uint32_t index = (uint32_t)cookie;
	struct request *request;

	if (index >= sessions->request_max)
		return NULL;
	request = &sessions->request_memory[index];
	if (request->generation != cookie >> 32 || !request->is_parked)
		return NULL;
	return request;
}

static void refuse(struct request *request)
{
	counters_inc(request->core->counters, COUNTER_FORWARD_AWAY);
	if (request->api_key == WIRE_API_METADATA) {
		request->is_second_run = true;
		metadata_answer(request);
	} else {
		away_answer(request);
	}
}

static void on_timeout(struct timer *timer, int64_t now_ns)
{
	struct request *request = CONTAINER_OF(timer, struct request, timer);
	struct session *session = request->session;

	(void)now_ns; /* due is due */
	counters_inc(request->core->counters, COUNTER_FORWARD_TIMEOUTS);
	forward_unpark(request);
	refuse(request);
	session_advance(session);
}

static void park(struct request *request)
{
	bool may_rejoin =
		request->api_key == WIRE_API_JOIN_GROUP || request->api_key == WIRE_API_SYNC_GROUP;
	struct core *core = request->core;

	request->is_parked = true;
	timer_init(&request->timer, on_timeout);
	timer_arm(&core->timers, &request->timer,
		  core->now_ns + (may_rejoin ? TIMEOUT_REJOIN_NS : TIMEOUT_NS));
}

void forward_unpark(struct request *request)
{
	CHECK(request->is_parked);
	request->is_parked = false;
	timer_disarm(&request->core->timers, &request->timer);
}

static uint32_t host_format(uint32_t address, char *ret_host)
{
	uint32_t size = 0;

	for (int shift = 24; shift >= 0; shift -= 8) {
		uint32_t byte = (address >> shift) & 0xff;

		if (byte >= 100)
			ret_host[size++] = (char)('0' + byte / 100);
		if (byte >= 10)
			ret_host[size++] = (char)('0' + byte / 10 % 10);
		ret_host[size++] = (char)('0' + byte % 10);
		if (shift > 0)
			ret_host[size++] = '.';
	}
	return size;
}

static bool publish_request(struct request *request)
{
	struct core *core = request->core;
	struct session *session = request->session;
	struct reader body = request_body(request);
	struct wire_string client_id = request_client_id(request);
	struct wire_string listener = wire_string_from(session->link->host);
	size_t client_size = client_id.size > 0 ? (size_t)client_id.size : 0;
	size_t body_size = reader_left(&body);
	char host[HOST_SIZE_MAX];
	uint32_t host_size = host_format(session->link->peer_address, host);
	size_t size = sizeof(struct upcall_request) + (size_t)listener.size + client_size +
		      host_size + body_size;
	struct upcall_request *upcall = channel_claim(core, (uint32_t)size);
	uint8_t *at;

	if (upcall == NULL)
		return false;
	upcall->header.kind = UPCALL_REQUEST;
	upcall->cookie = cookie_of(request);
	upcall->connection = session->connection;
	upcall->api_key = request->api_key;
	upcall->api_version = request->api_version;
	upcall->listener_size = (uint16_t)listener.size;
	upcall->client_id_size = client_id.size < 0 ? CLIENT_ID_NULL : (uint16_t)client_size;
	upcall->host_size = (uint16_t)host_size;
	upcall->reserved = 0;
	upcall->body_size = (uint32_t)body_size;
	at = upcall->bytes;
	memcpy(at, listener.bytes, (size_t)listener.size);
	at += listener.size;
	if (client_size > 0)
		memcpy(at, client_id.bytes, client_size);
	at += client_size;
	memcpy(at, host, host_size);
	at += host_size;
	if (body_size > 0)
		memcpy(at, body.at, body_size);
	channel_publish(core, (uint32_t)size);
	session->has_forwarded = true;
	return true;
}

void forward_request(struct request *request)
{
	if (!publish_request(request)) {
		refuse(request);
		return;
	}
	counters_inc(request->core->counters, COUNTER_FORWARD_REQUESTS);
	park(request);
}

bool forward_create(struct core *core, struct request *request, const struct forward_names *names)
{
	size_t bytes_size = 0;
	struct upcall_create *upcall;
	uint8_t *at;

	for (uint32_t i = 0; i < names->count; i++)
		bytes_size += sizeof(uint16_t) + (size_t)names->names[i].size;
	if (bytes_size > CHANNEL_RING_SIZE / 8)
		return false;
	upcall = channel_claim(core, (uint32_t)(sizeof(*upcall) + bytes_size));
	if (upcall == NULL)
		return false;
	upcall->header.kind = UPCALL_CREATE;
	upcall->cookie = request != NULL ? cookie_of(request) : 0;
	upcall->topic_count = names->count;
	upcall->bytes_size = (uint32_t)bytes_size;
	at = upcall->bytes;
	for (uint32_t i = 0; i < names->count; i++) {
		uint16_t size = (uint16_t)names->names[i].size;

		memcpy(at, &size, sizeof(size));
		memcpy(at + sizeof(size), names->names[i].bytes, size);
		at += sizeof(size) + size;
	}
	channel_publish(core, (uint32_t)(sizeof(*upcall) + bytes_size));
	if (request != NULL)
		park(request);
	return true;
}

void forward_gone(struct core *core, uint64_t connection)
{
	struct upcall_gone *upcall = channel_claim(core, sizeof(*upcall));

	/* Without it control keeps the member until its session times out. */
	if (upcall == NULL)
		return;
	upcall->header.kind = UPCALL_GONE;
	upcall->connection = connection;
	channel_publish(core, sizeof(*upcall));
}

bool forward_appended(struct core *core, uint64_t cookie, int error, int64_t base_offset)
{
	struct upcall_appended *upcall = channel_claim(core, sizeof(*upcall));

	if (upcall == NULL)
		return false;
	upcall->header.kind = UPCALL_APPENDED;
	upcall->cookie = cookie;
	upcall->error = error;
	upcall->reserved = 0;
	upcall->base_offset = base_offset;
	channel_publish(core, sizeof(*upcall));
	return true;
}

void forward_producer_ids(struct core *core)
{
	struct upcall_header *upcall = channel_claim(core, sizeof(*upcall));

	if (upcall == NULL)
		return;
	upcall->kind = UPCALL_PRODUCER_IDS;
	channel_publish(core, sizeof(*upcall));
}

/* ---- what control says ---- */

void sessions_reply(struct core *core, const struct command_reply *reply)
{
	struct request *request = request_of(core->sessions, reply->cookie);
	struct session *session;

	if (request == NULL) {
		counters_inc(core->counters, COUNTER_SESSION_REPLIES_STALE);
		return;
	}
	session = request->session;
	forward_unpark(request);
	if (reply->error != 0) {
		session_fail(session, COUNTER_SESSION_CLOSE_CONTROL, false);
		return;
	}
	if (request->api_key == WIRE_API_METADATA) {
		request->is_second_run = true;
		metadata_answer(request);
	} else {
		request_answer(request, reply->body, reply->body_size);
	}
	session_advance(session);
}

void sessions_control_lost(struct core *core)
{
	struct sessions *sessions = core->sessions;

	for (uint32_t i = 0; i < sessions->request_max; i++) {
		struct request *request = &sessions->request_memory[i];
		struct session *session = request->session;

		if (!request->is_parked)
			continue;
		forward_unpark(request);
		refuse(request);
		session_advance(session);
	}
	LIST_EACH(&sessions->sessions_open, node)
	LIST_ENTRY(node, struct session, node)->has_forwarded = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/session.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include "dataplane/core/fetch.h"
#include "dataplane/core/forward.h"
#include "dataplane/core/hogs.h"
#include "dataplane/core/request.h"
#include "dataplane/wire/api.h"
#include "dataplane/wire/kafka_err.h"

#include "dataplane/core/hot.h"

#define FRAME_SIZE_MIN 8   /* api key, version, correlation id */
#define READY_MAX      256 /* fetches tried again in one turn */
#define UNBLOCK_MAX    256 /* sessions that wait, looked at in one turn */

int16_t session_err_from(int error)
{
	switch (error) {
	case 0:
		return KAFKA_NONE;
	case ERR_CORRUPT:
		return KAFKA_CORRUPT_MESSAGE;
	case ERR_OFFSET_RANGE:
	case ERR_RETENTION:
		return KAFKA_OFFSET_OUT_OF_RANGE;
	case ERR_OUT_OF_ORDER:
		return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
	case ERR_FENCED:
		return KAFKA_INVALID_PRODUCER_EPOCH;
	case ERR_POISONED:
	case ERR_OFFLINE:
	case -EIO:
	case -ENOSPC:
		return KAFKA_KAFKA_STORAGE_ERROR;
	case ERR_UNKNOWN:
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	case ERR_TOO_LARGE:
		return KAFKA_MESSAGE_TOO_LARGE;
	case -EAGAIN:
	case -EBUSY:
		return KAFKA_REQUEST_TIMED_OUT;
	default:
		return KAFKA_UNKNOWN_SERVER_ERROR;
	}
}

static struct sessions *sessions_of(const struct session *session)
{
	return session->core->sessions;
}

static void on_idle(struct timer *timer, int64_t now_ns)
{
	struct session *session = CONTAINER_OF(timer, struct session, idle_timer);
	int64_t limit_ns = session->core->config->connection_idle_ms * 1000000;

	/* A request in flight (a long poll, a slow coordinator) is not idleness, but nobody else ends
	   a connection that its client has given up. */
	if (session->request_count > 0 && session->request == NULL && !session->is_ended)
		session->active_ns = now_ns;
	if (now_ns - session->active_ns < limit_ns) {
		timer_arm(&session->core->timers, timer, session->active_ns + limit_ns);
		return;
	}
	session_fail(session, COUNTER_SESSION_CLOSE_IDLE, true);
}

int session_open(struct core *core, struct link *link, int64_t now_ns)
{
	struct sessions *sessions = core->sessions;
	struct list *node = list_pop_front(&sessions->sessions_idle);
	struct session *session;

	CHECK(link->session == NULL);
	if (node == NULL) {
		counters_inc(core->counters, COUNTER_SESSION_REFUSED);
		return -ENOBUFS;
	}
	session = LIST_ENTRY(node, struct session, node);
	memset(session, 0, sizeof(*session));
	session->magic = SESSION_MAGIC;
	session->core = core;
	session->link = link;
	session->connection = ((uint64_t)core->index << 48) | ++sessions->next_connection;
	session->active_ns = now_ns;
	list_init(&session->node);
	list_init(&session->blocked);
	list_init(&session->requests);
	list_init(&session->parser.reserving);
	timer_init(&session->idle_timer, on_idle);
	timer_arm(&core->timers, &session->idle_timer,
		  now_ns + core->config->connection_idle_ms * 1000000);
	list_push_back(&sessions->sessions_open, &session->node);
	sessions->open_count++;
	counters_inc(core->counters, COUNTER_SESSION_OPENED);
	link->session = session;
	return 0;
}

void session_close(struct link *link)
{
	struct session *session = link->session;
	struct sessions *sessions;
	struct list *node;

	if (session == NULL)
		return;
	CHECK_OBJ(session, SESSION_MAGIC);
	sessions = sessions_of(session);
	session->state = SESSION_CLOSING;
	produce_abort(session, true);
	if (session->has_forwarded)
		forward_gone(session->core, session->connection);
	while ((node = list_pop_front(&session->requests)) != NULL)
		request_orphan(LIST_ENTRY(node, struct request, node));
	list_remove(&session->blocked);
	timer_disarm(&session->core->timers, &session->idle_timer);
	list_remove(&session->node);
	session->magic = 0;
	list_push_front(&sessions->sessions_idle, &session->node);
	sessions->open_count--;
	sessions->memory_freed = true;
	counters_inc(session->core->counters, COUNTER_SESSION_CLOSED);
	link->session = NULL;
}

void session_fail(struct session *session, enum counter reason, bool is_abort)
{
	if (session->state == SESSION_CLOSING)
		return;
	counters_inc(session->core->counters, reason);
	session->state = SESSION_CLOSING;
	produce_abort(session, false);
	session->link->ops->close(session->link, is_abort);
}

void session_block(struct session *session, enum session_block why)
{
	if (session->block == why)
		return;
	session->block = why;
	list_remove(&session->blocked);
	if (why == SESSION_BLOCK_MEMORY || why == SESSION_BLOCK_OUTPUT)
		list_push_back(&sessions_of(session)->blocked, &session->blocked);
	if (why == SESSION_BLOCK_MEMORY) {
		counters_inc(session->core->counters, COUNTER_SESSION_BLOCKED_MEMORY);
		sessions_memory_short(session->core);
	}
}

void session_unblock(struct session *session)
{
	if (session->block == SESSION_BLOCK_NONE)
		return;
	session->block = SESSION_BLOCK_NONE;
	list_remove(&session->blocked);
	if (session->state != SESSION_CLOSING)
		session->link->ops->resume(session->link);
}

struct request *request_take(struct session *session)
{
	struct list *node = list_pop_front(&sessions_of(session)->requests_idle);
	struct request *request;
	uint32_t generation;

	if (node == NULL)
		return NULL;
	request = LIST_ENTRY(node, struct request, node);
	generation = request->generation + 1;
	memset(request, 0, sizeof(*request));
	request->magic = REQUEST_MAGIC;
	request->generation = generation;
	request->core = session->core;
	request->session = session;
	list_init(&request->node);
	list_init(&request->ops);
	list_push_back(&session->requests, &request->node);
	session->request_count++;
	return request;
}

/* A request that the client did not finish gets no answer. */
static bool is_owing(const struct session *session)
{
	return session->request_count > (session->request != NULL ? 1U : 0U);
}

bool session_eof(struct session *session)
{
	CHECK_OBJ(session, SESSION_MAGIC);
	session->is_ended = true;
	if (session->state == SESSION_CLOSING)
		return false;
	if (is_owing(session))
		return true;
	session_fail(session, COUNTER_SESSION_CLOSE_ENDED, false);
	return false;
}

void session_advance(struct session *session)
{
	if (session->is_advancing)
		return;
	session->is_advancing = true;
	while (!list_is_empty(&session->requests) && session->state != SESSION_CLOSING) {
		struct request *request = LIST_ENTRY(session->requests.next, struct request, node);

		if (!request->is_done) {
			if (!request->is_gathered || request->is_started || request->frame == NULL)
				break;
			request->is_started = true;
			request_start(request);
			continue;
		}
		if (request->api_key == WIRE_API_PRODUCE)
			produce_answer(request);
		list_remove(&request->node);
		session->request_count--;
		request_free(request);
		if (session->block == SESSION_BLOCK_REQUEST)
			session_unblock(session);
	}
	if (session->is_ended && !is_owing(session))
		session_fail(session, COUNTER_SESSION_CLOSE_ENDED, false);
	session->is_advancing = false;
}

/* ---- frames ---- */

/* Gather `want` bytes of scratch. @return whether they are all there */
static bool gather(struct session *session, const uint8_t **at, size_t *left, uint32_t want)
{
	size_t n = MIN((size_t)(want - session->got), *left);

	memcpy(session->scratch + session->got, *at, n);
	session->got = (uint8_t)(session->got + n);
	*at += n;
	*left -= n;
	return session->got == want;
}

static void frame_size_complete(struct session *session)
{
	int64_t size = (int32_t)bytes_load_u32(session->scratch);

	session->got = 0;
	if (size < FRAME_SIZE_MIN) {
		session_fail(session, COUNTER_SESSION_CLOSE_FRAME_SIZE, false);
		return;
	}
	if (size > session->core->config->request_size_max) {
		session_fail(session, COUNTER_SESSION_CLOSE_FRAME_TOO_LARGE, false);
		return;
	}
	session->frame_left = (uint32_t)size;
	session->state = SESSION_API;
}

/* Whether another request may begin now; else the session is blocked. */
static bool may_begin(struct session *session)
{
	if (session->request_count >= SESSION_REQUESTS_MAX) {
		session_block(session, SESSION_BLOCK_REQUEST);
		return false;
	}
	if (session->request_count > 0) {
		const struct request *last =
			LIST_ENTRY(session->requests.prev, struct request, node);

		if (last->api_key != WIRE_API_PRODUCE) {
			session_block(session, SESSION_BLOCK_REQUEST);
			return false;
		}
	}
	if (session->link->out.size > hogs_output_max(session)) {
		session_block(session, SESSION_BLOCK_OUTPUT);
		return false;
	}
	if (list_is_empty(&sessions_of(session)->requests_idle)) {
		session_block(session, SESSION_BLOCK_MEMORY);
		return false;
	}
	return true;
}

static bool version_is_served(struct session *session, int16_t key, int16_t version)
{
	if (wire_api_info(key) == NULL) {
		session_fail(session, COUNTER_SESSION_CLOSE_API_KEY, false);
		return false;
	}
	/* KIP-511: a client that is newer than we are learns our versions from an answer it can read. */
	if (key != WIRE_API_API_VERSIONS && !wire_api_is_served(key, version)) {
		session_fail(session, COUNTER_SESSION_CLOSE_API_VERSION, false);
		return false;
	}
	return true;
}

/* Api key and version are in scratch. @return false: the session is blocked or closing */
static bool begin_request(struct session *session)
{
	int16_t key = (int16_t)bytes_load_u16(session->scratch);
	int16_t version = (int16_t)bytes_load_u16(session->scratch + 2);
	struct buffer *frame = NULL;
	struct request *request;

	if (!version_is_served(session, key, version))
		return false;
	if (key != WIRE_API_PRODUCE) {
		if (session->frame_left > SESSION_FRAME_MAX) {
			session_fail(session, COUNTER_SESSION_CLOSE_FRAME_TOO_LARGE, false);
			return false;
		}
		if (hogs_has_room(session->core))
			frame = buffer_take(sessions_of(session)->buffers, session->frame_left);
		if (frame == NULL) {
			session_block(session, SESSION_BLOCK_MEMORY);
			return false;
		}
	}
	request = request_take(session);
	CHECK(request != NULL);
	request->api_key = key;
	request->api_version = version;
	request->frame = frame;
	request->frame_size = session->frame_left;
	session->request = request;
	session->got = 0;
	session->frame_left -= 4;
	counters_inc(session->core->counters, COUNTER_SESSION_REQUESTS);
	if (frame == NULL) {
		produce_begin(session, request);
		session->state = SESSION_PRODUCE;
	} else {
		memcpy(frame->mem, session->scratch, 4);
		request->frame_got = 4;
		session->state = SESSION_FRAME;
	}
	return true;
}

static void frame_complete(struct session *session)
{
	struct request *request = session->request;

	session->request = NULL;
	session->state = SESSION_SIZE;
	request->is_gathered = true;
	session_advance(session);
}

static void take_frame(struct session *session, const uint8_t **at, size_t *left)
{
	struct request *request = session->request;
	size_t n = MIN(*left, (size_t)session->frame_left);

	memcpy(request->frame->mem + request->frame_got, *at, n);
	request->frame_got += (uint32_t)n;
	session->frame_left -= (uint32_t)n;
	*at += n;
	*left -= n;
	if (session->frame_left == 0)
		frame_complete(session);
}

/* The Produce parser has read its whole frame (or failed). */
static void produce_progress(struct session *session)
{
	if (session->state != SESSION_PRODUCE || session->frame_left > 0)
		return;
	if (session->parser.state != PRODUCE_COMPLETE) {
		if (session->block == SESSION_BLOCK_NONE)
			session_fail(session, COUNTER_SESSION_CLOSE_MALFORMED, false);
		return;
	}

	struct request *request = session->request;

	session->request = NULL;
	session->state = SESSION_SIZE;
	request->is_gathered = true;
	if (request->pending == 0)
		request->is_done = true;
	session_advance(session);
}

static void take_produce(struct session *session, const uint8_t **at, size_t *left)
{
	uint32_t n = (uint32_t)MIN(*left, (size_t)session->frame_left);
	uint32_t taken = produce_input(session, *at, n);

	CHECK(taken <= n);
	if (session->state != SESSION_CLOSING)
		session->frame_left -= taken;
	*at += taken;
	*left -= taken;
	produce_progress(session);
}

/* One step of the state machine. @return whether anything happened */
static bool step(struct session *session, const uint8_t **at, size_t *left)
{
	switch (session->state) {
	case SESSION_SIZE:
		if (*left == 0 || !may_begin(session))
			return false;
		if (gather(session, at, left, 4))
			frame_size_complete(session);
		return true;
	case SESSION_API:
		if (session->got < 4 && *left == 0)
			return false;
		if (gather(session, at, left, 4))
			return may_begin(session) && begin_request(session);
		return true;
	case SESSION_FRAME:
		if (*left == 0)
			return false;
		take_frame(session, at, left);
		return true;
	case SESSION_PRODUCE:
		if (*left == 0 && session->parser.state != PRODUCE_PLACE)
			return false;
		take_produce(session, at, left);
		return true;
	case SESSION_CLOSING:
		*left = 0;
		return false;
	case SESSION_STATE_COUNT:
		break;
	}
	WRONG("session state");
}

size_t session_input(struct session *session, const uint8_t *bytes, size_t size, int64_t now_ns)
{
	const uint8_t *at = bytes;
	size_t left = size;

	CHECK_OBJ(session, SESSION_MAGIC);
	session->active_ns = now_ns;
	/* What blocked it may be over without anybody having said so: it just tries again. */
	if (session->block == SESSION_BLOCK_REQUEST && session->state != SESSION_CLOSING)
		return 0;
	if (session->block != SESSION_BLOCK_NONE) {
		session->block = SESSION_BLOCK_NONE;
		list_remove(&session->blocked);
	}
	while (session->block == SESSION_BLOCK_NONE && step(session, &at, &left))
		;
	if (session->state == SESSION_CLOSING)
		left = 0;
	session->moved += size - left;
	return size - left;
}

bool session_room(struct session *session, struct iovec *ret_room)
{
	if (session->state != SESSION_PRODUCE || session->block != SESSION_BLOCK_NONE)
		return false;
	return produce_room(session, ret_room);
}

void session_filled(struct session *session, size_t size, int64_t now_ns)
{
	session->active_ns = now_ns;
	session->parser.is_lent = false;
	/* The session may have failed while the transport was receiving. */
	if (session->state != SESSION_PRODUCE) {
		produce_abort(session, false);
		return;
	}
	if (size == 0)
		return;
	CHECK(size <= session->frame_left);
	session->frame_left -= (uint32_t)size;
	session->moved += size;
	produce_filled(session, (uint32_t)size);
	produce_progress(session);
}

uint32_t session_credit(const struct session *session)
{
	if (session->block != SESSION_BLOCK_NONE)
		return 0;
	return 1U << 20;
}

/* ---- the core's turn ---- */

static void on_retry(struct timer *timer, int64_t now_ns)
{
	struct sessions *sessions = CONTAINER_OF(timer, struct sessions, retry);

	if (sessions->is_memory_short)
		(void)hogs_visit(sessions->core, now_ns);
	sessions->is_memory_short = false; /* who still waits says so again */
	sessions->memory_freed = true;     /* the turn's end looks */
}

static void on_contention(struct timer *timer, int64_t now_ns)
{
	struct sessions *sessions = CONTAINER_OF(timer, struct sessions, contention);

	produce_check_contention(sessions->core, now_ns);
}

void sessions_timers_init(struct sessions *sessions)
{
	timer_init(&sessions->retry, on_retry);
	timer_init(&sessions->contention, on_contention);
}

static void look_again(struct sessions *sessions)
{
	if (!timer_is_armed(&sessions->retry))
		timer_arm(&sessions->core->timers, &sessions->retry,
			  sessions->core->now_ns + SESSION_RETRY_NS);
}

void sessions_memory_short(struct core *core)
{
	core->sessions->is_memory_short = true;
	look_again(core->sessions);
}

/* Some of those that wait, each in its turn: there may be as many as connections. */
static uint32_t unblock_sessions(struct sessions *sessions)
{
	struct list *end = sessions->blocked.prev;
	uint32_t work = 0;

	for (uint32_t i = 0; i < UNBLOCK_MAX; i++) {
		struct list *node = sessions->blocked.next;
		struct session *session = LIST_ENTRY(node, struct session, blocked);
		bool is_last = node == end;

		list_remove(node);
		list_push_back(&sessions->blocked, node);
		if (session->block == SESSION_BLOCK_MEMORY
			    ? sessions->memory_freed
			    : session->link->out.size <= hogs_output_max(session)) {
			session_unblock(session);
			work++;
		}
		if (is_last)
			return work;
	}
	look_again(sessions); /* for the others */
	return work;
}

uint32_t sessions_turn_end(struct core *core)
{
	struct sessions *sessions = core->sessions;
	uint32_t work = fetch_retry_ready(core, READY_MAX);

	if (!list_is_empty(&sessions->starved) && sessions->memory_freed)
		work += partition_retry_starved(core);
	if (unlikely(!list_is_empty(&sessions->unsent)))
		work += partition_send_outcomes(core);
	if (!list_is_empty(&sessions->blocked))
		work += unblock_sessions(sessions);
	sessions->memory_freed = false;
	if (!list_is_empty(&sessions->starved))
		sessions_memory_short(core);
	return work;
}

uint32_t sessions_count(const struct core *core)
{
	return core->sessions->open_count;
}

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the session side: the connection state machine, shared by session.c, request.c,
 * produce.c, fetch.c and their kin. Transports see link.h, the loop sees sessions.h.
 *
 * Requests of one connection are answered in order. Produce requests are parsed as a stream and may
 * overlap (SESSION_REQUESTS_MAX); any other request waits until it is the oldest, and nothing is
 * read behind it until it is answered, as Kafka does.
 *
 * Context: owning core. Memory: session_pool.c.
 */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "base/timers.h"

#include "dataplane/core/buffer.h"
#include "dataplane/core/core.h"
#include "dataplane/core/partition.h"
#include "dataplane/core/produce.h"
#include "dataplane/core/sessions.h"
#include "dataplane/wire/wire.h"

#define SESSION_MAGIC        0x53455353
#define REQUEST_MAGIC        0x52455155
#define SESSION_REQUESTS_MAX 64                /* in flight on one connection */
#define SESSION_FRAME_MAX    (1024U * 1024)    /* a request other than Produce */
#define SESSION_OUTPUT_SOFT  (1024U * 1024)    /* queued output that stops further requests */
#define SESSION_FETCHES_MAX  1000              /* fetch sessions of one core (KIP-227) */
#define SESSION_RETRY_NS     INT64_C(10000000) /* short memory is looked at again */

enum session_state {
	SESSION_SIZE,    /* the 4-byte frame size */
	SESSION_API,     /* api key and version, which say how the rest is read */
	SESSION_FRAME,   /* gathering a whole frame */
	SESSION_PRODUCE, /* parsing a Produce request as it comes */
	SESSION_CLOSING, /* a protocol error: what still comes is dropped */
	SESSION_STATE_COUNT
};

enum session_block {
	SESSION_BLOCK_NONE,
	SESSION_BLOCK_REQUEST, /* until a request in flight is answered */
	SESSION_BLOCK_OUTPUT,  /* until queued output drains */
	SESSION_BLOCK_MEMORY,  /* until a flush or an answer frees memory */
};

struct session {
	uint32_t magic;
	enum session_state state;
	enum session_block block;
	bool is_advancing;  /* session_advance() is on the stack */
	bool has_forwarded; /* control knows the connection */
	bool is_ended;      /* the client sends no more */
	uint8_t got;        /* bytes in scratch */
	uint8_t scratch[8]; /* frame size, then api key and version */
	struct core *core;
	struct link *link;
	uint64_t connection;  /* never used again */
	struct list node;     /* sessions->idle or sessions->open */
	struct list blocked;  /* sessions->blocked: OUTPUT and MEMORY */
	struct list requests; /* struct request.node, oldest first */
	uint32_t request_count;
	uint32_t frame_left;     /* bytes of the frame still to come */
	struct request *request; /* whose frame is coming; NULL between frames */
	struct produce_parser parser;
	struct timer idle_timer;
	int64_t active_ns;
	uint64_t moved; /* bytes taken, ever */
	/* hogs.c */
	uint64_t hog_moved;   /* bytes both ways when the wait for more began */
	int64_t hog_since_ns; /* 0: it holds nothing much */
};

struct fetch;

struct request {
	uint32_t magic;
	int16_t api_key;
	int16_t api_version;
	int32_t correlation_id;
	struct core *core;
	struct session *session; /* NULL: the connection closed while operations were out */
	struct list node;
	struct buffer *frame; /* gathered frame, header included; NULL for Produce */
	uint32_t frame_size;
	uint32_t frame_got;
	struct buffer *response; /* Produce: response body under construction */
	uint32_t response_size;
	int16_t acks;
	uint32_t pending;    /* partition operations out */
	bool is_gathered;    /* all bytes of the frame were taken */
	bool is_started;     /* its handler ran */
	bool is_done;        /* answered, or nothing to answer */
	bool is_second_run;  /* Metadata: after the topics were asked for */
	bool is_rerun;       /* answers from operations that came back: `ops` */
	uint32_t generation; /* of the cookie: stale replies miss */
	bool is_parked;      /* control owes a reply */
	struct list ops;     /* struct partition_op.node: finished, in the order they were asked */
	struct fetch *fetch;
	struct timer timer;
};

struct sessions {
	struct core *core;
	struct buffers *buffers;
	struct session *session_memory;
	struct request *request_memory;
	struct partition_op *op_memory;
	uint32_t session_max;
	uint32_t request_max;
	uint32_t op_max;
	uint32_t open_count;
	struct list sessions_idle;
	struct list sessions_open;
	struct list requests_idle;
	struct list ops_idle;
	struct list blocked;     /* struct session.blocked */
	struct list reserving;   /* struct produce_parser.reserving: holds an open reservation */
	struct list starved;     /* struct partition_op.starved */
	struct list unsent;      /* struct partition_op.node: outcomes for a full upcall ring */
	struct list ready;       /* struct fetch.ready: woken, to be tried again */
	struct timer contention; /* looks after reservations that others wait for */
	struct timer retry;      /* short memory without any event */
	bool memory_freed;       /* since the last turn's end */
	bool is_memory_short;    /* somebody waited for memory since the last retry */
	uint64_t next_connection;
	uint8_t *scratch; /* [scratch_size] decoded arrays of the request being handled */
	size_t scratch_size;
	uint8_t *out; /* [out_size] response being encoded */
	size_t out_size;
	struct fetch_pool *fetches;
	struct fetchsession_cache *fetchsessions;
};

/** Set up what runs by time. @context sessions_new() */
void sessions_timers_init(struct sessions *sessions);

/** The one mapping from our errors to Kafka's. @return KAFKA_NONE for 0 */
int16_t session_err_from(int error);

/** Close after a protocol error, counted; queued answers are sent first unless `is_abort`. */
void session_fail(struct session *session, enum counter reason, bool is_abort);

/** Stop taking input until `why` ends. */
void session_block(struct session *session, enum session_block why);
/** Take input again. */
void session_unblock(struct session *session);

/** Send what is done, start what is next. Re-entrant calls return at once. */
void session_advance(struct session *session);

/** @return NULL: the pool is empty */
struct request *request_take(struct session *session);

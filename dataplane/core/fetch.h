/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Fetch: finds what is readable below the high watermarks, waits for more without polling, and sends
 * record batches as references into the ring.
 *
 * A fetch tries, and answers when it has min_bytes, an error, or its time is over; else it links a
 * waiter at every partition and sleeps until one's watermark moves. Partitions of other cores are
 * read by their owners, copied (partition.h).
 *
 * Context: owning core. Memory: fetches and reads from pools made at start, partitions in a buffer.
 * Limits: FETCH_RESPONSE_MAX bytes and FETCH_READS_PER_ANSWER partitions with data in one answer.
 * Source: Kafka protocol, Fetch 4 to 18; KIP-227, KIP-320, KIP-516.
 */
#pragma once

#include "dataplane/core/fetchsession.h"
#include "dataplane/core/session.h"

#define FETCH_RESPONSE_MAX     (8U * 1024 * 1024)
#define FETCH_READS_PER_ANSWER 64
#define FETCH_READS_MAX        512 /* of one core, all fetches */

/** One partition's records on their way into an answer. */
struct fetch_read {
	struct list node; /* pool */
	struct fetch *fetch;
	struct fetch_entry *entry;
	struct partition_op *op; /* the partition is another core's */
	bool is_out;             /* files or another core are asked */
	int error;
	uint32_t size; /* bytes */
	struct seglog_read read;
};

struct fetch {
	struct list node;  /* pool */
	struct list ready; /* sessions->ready: to be tried again */
	struct request *request;
	struct fetchsession *session; /* NULL: none */
	struct buffer *buffer;        /* without session: struct fetch_entry[] */
	uint32_t count;
	bool is_incremental;
	bool is_trying;     /* attempt() is on the stack */
	bool has_error;     /* some partition has one: answer at once */
	bool is_short;      /* memory for reads was short */
	bool is_waiting;    /* waiters are linked */
	int16_t error;      /* of the whole answer */
	int32_t session_id; /* of the answer */
	int32_t max_wait_ms;
	int32_t min_bytes;
	uint32_t max_bytes;
	int64_t deadline_ns;
	uint32_t out;        /* reads not back yet */
	uint32_t read_count; /* entries with a read */
	struct timer timer;
};

struct fetch_pool {
	struct list fetches;
	struct list reads;
	struct fetch *fetch_memory;
	struct fetch_read *read_memory;
};

/** @return NULL out of memory */
struct fetch_pool *fetch_pool_new(uint32_t connections);
/** @return bytes that it takes */
uint64_t fetch_pool_size(uint32_t connections);
void fetch_pool_free(struct fetch_pool *pool);

/** Run a gathered Fetch request. */
void fetch_start(struct request *request);

/** The connection is gone: forget what is waited for. */
void fetch_cancel(struct request *request);

/** Give back the fetch of a request that is over. */
void fetch_free(struct request *request);

/** Try woken fetches again, at most `max`. @return their number */
uint32_t fetch_retry_ready(struct core *core, uint32_t max);

/* ---- between fetch.c and its parts ---- */

/** Entries of the fetch. */
static inline struct fetch_entry *fetch_entries(const struct fetch *fetch)
{
	const struct buffer *buffer =
		fetch->session != NULL ? fetch->session->buffer : fetch->buffer;

	return buffer != NULL ? (struct fetch_entry *)(void *)buffer->mem : NULL;
}

/** Fill entries and limits from the request (fetch_setup.c). @return 0; ERR_MALFORMED; -EAGAIN no memory */
NODISCARD int fetch_setup(struct fetch *fetch);

/** Find an entry's partition and judge offset and epoch; sets error, watermark, start (fetch_setup.c). */
void fetch_judge(struct core *core, struct fetch_entry *entry, bool uses_ids);

/** Encode and queue the answer (fetch_answer.c). @return 0; -ENOBUFS */
NODISCARD int fetch_answer(struct fetch *fetch);

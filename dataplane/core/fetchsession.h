/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Fetch sessions (KIP-227): what a consumer fetches is kept here, so that its requests name only
 * what changed and answers carry only partitions with something new.
 *
 * A full cache gives a slot to the newcomer when the session unused for longest has been idle for
 * FETCHSESSION_EVICT_NS; else the fetch is served without a session, as Kafka does.
 *
 * Context: owning core. Memory: slots at start, partitions in buffers of the pool.
 * Source: KIP-227; Kafka's FetchSession.scala.
 */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "base/uuid.h"

#include "dataplane/core/buffer.h"
#include "dataplane/core/partition.h"

#define FETCHSESSION_EVICT_NS INT64_C(120000000000)

struct fetch;
struct fetch_read;

/** One partition of a fetch; kept in the session's buffer, or the request's own. */
struct fetch_entry {
	struct uuid topic_id;        /* zero: unknown name, see `error` */
	struct partition *partition; /* NULL: unknown; never freed while the process lives */
	int32_t index;
	int32_t leader_epoch; /* -1: not checked */
	int64_t offset;
	uint32_t size_max;
	int16_t error;      /* of this answer */
	bool is_forgotten;  /* to be dropped */
	bool is_answered;   /* goes into this answer */
	int16_t sent_error; /* session: of the last answer */
	int64_t sent_watermark;
	int64_t sent_start;
	int64_t high_watermark; /* of this answer; -1 with an error */
	int64_t start_offset;
	struct fetch_read *read;        /* of this answer; NULL: no records */
	struct partition_op *wait;      /* foreign partition being waited for */
	struct fetch *fetch;            /* whose waiter is linked */
	struct partition_waiter waiter; /* own partition being waited for */
	const char *name;               /* unknown name: in the request's frame */
	int32_t name_size;
};

struct fetchsession {
	struct list node; /* free, or by last use */
	int32_t id;       /* > 0 */
	int32_t epoch;    /* expected next */
	bool uses_ids;    /* made by a request with topic ids */
	bool is_busy;     /* a fetch is using its entries */
	bool is_dropped;  /* free it when the fetch is over */
	int64_t used_ns;
	struct buffer *buffer; /* struct fetch_entry[] */
	uint32_t count;
	uint32_t turn; /* entry that is served first next time */
};

struct fetchsession_cache;

/** @return NULL out of memory */
struct fetchsession_cache *fetchsession_cache_new(uint32_t slots);
/** @return bytes that it takes */
uint64_t fetchsession_cache_size(uint32_t slots);
void fetchsession_cache_free(struct fetchsession_cache *cache, struct buffers *buffers);

/** Make a session that takes over `buffer` with `count` entries. @return NULL: no slot */
struct fetchsession *fetchsession_add(struct core *core, struct buffer *buffer, uint32_t count);

/** @return NULL unknown */
struct fetchsession *fetchsession_find(struct core *core, int32_t id);

/** Note its use. */
void fetchsession_touch(struct core *core, struct fetchsession *session);

/** Drop it, when the fetch that uses it is over. */
void fetchsession_drop(struct core *core, struct fetchsession *session);

/** Entry of a partition. @return NULL not in the session */
struct fetch_entry *fetchsession_entry(struct core *core, struct fetchsession *session,
				       const struct uuid *topic_id, int32_t index);

/** Add an entry, moving to a larger buffer when needed. @return NULL: memory is short or too many */
struct fetch_entry *fetchsession_append(struct core *core, struct buffer **buffer, uint32_t *count);

/** Remove forgotten entries, keeping the order of the others. */
void fetchsession_compact(struct fetchsession *session);

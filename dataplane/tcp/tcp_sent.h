/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What is out: ranges of sequence numbers sent and not acknowledged, each with the time it was last
 * sent and what is known of its fate. Segments sent at the same time share a range; a report of the
 * peer or a retransmission splits it.
 *
 * The ranges are ascending, follow each other without a gap from the oldest unacknowledged number to
 * the next one to send, and are each in one of three states: in flight, reported to have arrived
 * (sacked), or thought lost and not sent again yet.
 *
 * Context: owning core. Memory: nodes of a pool shared by all connections of a stack, in which one
 * node for each connection is reserved. Limits: TCP_SENT_RANGES_MAX nodes of one connection. When there
 * is none, neighbours are merged on the side of doubt: as sent at the later time, by which no round
 * trip is measured, and as not reported. That delays a retransmission or costs a needless one; nothing
 * fails.
 * Source: RFC 8985 section 5.1, RFC 6675 section 3 (the scoreboard).
 */
#pragma once

#include "base/list.h"

#include "dataplane/tcp/tcp_seq.h"

#define TCP_SENT_RANGES_MAX 256U

struct tcp_sent_range {
	struct list node; /* of the pool, or of sent.ranges */
	int64_t xmit_ns;  /* last sent */
	uint32_t start, end;
	bool is_sacked; /* the peer reported it */
	bool is_lost;   /* thought lost, not sent again since; never with is_sacked */
	bool is_resent; /* sent more than once: an answer may be to any of them */
	bool is_vague;  /* sent at several times up to xmit_ns */
};

struct tcp_sent_pool {
	struct list spare;
	uint32_t spare_count;
	uint32_t reserved; /* of them, for connections that have none */
};

struct tcp_sent {
	struct list ranges;
	uint32_t count;
	uint32_t size;    /* bytes of all */
	uint32_t sacked;  /* bytes reported to have arrived */
	uint32_t lost;    /* bytes thought lost */
	uint32_t resent;  /* bytes of ranges sent more than once and not reported */
	int64_t again_ns; /* when something was sent again last */
};

/** One transmission. */
struct tcp_sent_stamp {
	int64_t xmit_ns; /* 0: none */
	uint32_t end;
};

/** What one acknowledgement told for the first time; all zero before it. */
struct tcp_sent_news {
	uint32_t delivered;          /* bytes that arrived */
	uint32_t lowest, highest;    /* of what `first` is of: the first byte; of all: the end */
	struct tcp_sent_stamp first; /* the last sent of those sent once, at a known time */
	struct tcp_sent_stamp again; /* the last sent of all others */
	int64_t oldest_ns;           /* the first sent of what `first` is the last of; 0: none */
};

/** @param ranges  [count], borrowed for life; count >= holders. @param holders  connections */
void tcp_sent_pool_init(struct tcp_sent_pool *pool, struct tcp_sent_range *ranges, uint32_t count,
			uint32_t holders);

void tcp_sent_init(struct tcp_sent *sent);
/** Forget everything. */
void tcp_sent_clear(struct tcp_sent *sent, struct tcp_sent_pool *pool);

/**
 * [start, end) was sent: it begins where all before it ends.
 *
 * @param is_resent  not the first time
 * @param slack_ns   so much later still counts as the time of the range before it, unless something
 *                   was sent again in between: the order of transmissions is kept
 */
void tcp_sent_push(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_range range,
		   bool is_resent, int64_t now_ns, int64_t slack_ns);
/** [start, end) was sent again; all of it is out. */
void tcp_sent_again(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_range range,
		    int64_t now_ns);
/** Everything before `una` is acknowledged. */
void tcp_sent_acked(struct tcp_sent *sent, struct tcp_sent_pool *pool, uint32_t una,
		    struct tcp_sent_news *news);
/** The peer reported [start, end); what of it is not out is ignored. */
void tcp_sent_sacked(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_range range,
		     struct tcp_sent_news *news);
/** The peer dropped what it had reported (RFC 2018 section 8). */
void tcp_sent_renege(struct tcp_sent *sent);

/** A range is thought lost. @return bytes of it that were not before */
uint32_t tcp_sent_lose(struct tcp_sent *sent, struct tcp_sent_range *range);
/** What of [start, end) is in flight is thought lost. @return bytes */
uint32_t tcp_sent_lose_part(struct tcp_sent *sent, struct tcp_sent_pool *pool,
			    struct tcp_range range);
/** Nothing is thought lost. */
void tcp_sent_unlose(struct tcp_sent *sent);

/** @return true: the oldest number that is out was reported to have arrived */
bool tcp_sent_has_oldest(const struct tcp_sent *sent);

/** @return the first range thought lost; NULL: none */
struct tcp_sent_range *tcp_sent_first_lost(const struct tcp_sent *sent);

/** @return the last range that was not reported to have arrived; NULL: none */
const struct tcp_sent_range *tcp_sent_last_missing(const struct tcp_sent *sent);

/** @return bytes thought to be in the network (RFC 6675 section 4, "pipe") */
static inline uint32_t tcp_sent_flight(const struct tcp_sent *sent)
{
	return sent->size - sent->sacked - sent->lost;
}

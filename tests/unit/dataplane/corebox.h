/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Cores with real logs on the fake ring and clients of their sessions, all in the test's thread: no
 * transport, no loop, no control (the channel's two calls are doubles that note what was sent).
 *
 * Topic "t" has COREBOX_PARTITIONS partitions; partition 0 is owned by core 0, and with two cores
 * partition 1 by core 1, and so on in turn.
 */
#pragma once

#include "dataplane/core/channel.h"
#include "dataplane/core/partition.h"
#include "dataplane/core/session.h"
#include "dataplane/core/upcall.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/kafka_err.h"

#define COREBOX_CORES_MAX  2
#define COREBOX_PARTITIONS 4
#define COREBOX_TOPIC      "t"
#define COREBOX_OUT_MAX    (4U * 1024 * 1024)

struct corebox;

struct client {
	struct link link;
	struct corebox *box;
	uint8_t *kept; /* bytes the session did not take yet */
	size_t kept_size;
	bool is_closed; /* the session asked for it */
	uint8_t *out;   /* [out_size] received and not yet read by the test */
	size_t out_size;
};

struct corebox {
	char dir[512];
	struct config config;
	uint32_t count;
	struct core *cores[COREBOX_CORES_MAX];
	struct mesh *mesh;
	struct topics *topics;
	struct partitions *cells;
	int log_dir_fd;
	struct partition *wants_housekeep[64];
	uint32_t housekeep_count;
	bool is_connected; /* control is there */
	bool is_full;      /* the upcall ring has no room */
	uint64_t connection;
	bool is_poisoned; /* a log cannot be closed cleanly */
	CACHELINE uint8_t upcall[1024 * 1024 + 4096];
	uint32_t upcall_size;
	uint32_t upcall_count;
};

struct corebox *corebox_new(uint32_t cores);
void corebox_free(struct corebox *box);

/** One turn of every core without disk completions: they wait in the fake ring. */
void corebox_turn(struct corebox *box);
/** Turns, with everything on disk performed, until nothing moves. */
void corebox_settle(struct corebox *box);
/** Let time pass. */
void corebox_sleep(struct corebox *box, int64_t ms);

struct client *client_new(struct corebox *box, uint32_t core);
void client_free(struct client *client);
/** Hand over bytes in pieces of at most `piece`; what is not taken is kept for later turns. */
void client_send(struct client *client, const void *bytes, size_t size, size_t piece);
/** Move what the session queued into client->out. */
void client_receive(struct client *client);
/** Take one response. @param[out] ret_body at the body. @return false: none complete */
bool client_response(struct client *client, int16_t api_key, int16_t version, int32_t correlation,
		     struct reader *ret_body);
/** Start a request frame: size place and header. */
struct writer client_begin(int16_t api_key, int16_t version, int32_t correlation);
/** Finish it and send it in pieces. */
void client_end(struct client *client, struct writer *writer, size_t piece);

struct corebox_batch {
	int64_t producer_id; /* -1: none */
	int32_t sequence;
	int32_t records;
	uint32_t value_size;
	bool is_corrupt;
};

/** Encode a batch. @return its bytes; static memory, valid until the next call */
struct wire_bytes corebox_batch(const struct corebox_batch *spec);
/** Encode a Produce request with one batch; the size in front is still 0. */
struct writer produce_frame(int16_t version, int32_t correlation, int16_t acks, int32_t partition,
			    struct wire_bytes batch);
/** Send one. */
void client_produce(struct client *client, int16_t version, int32_t correlation, int16_t acks,
		    int32_t partition, struct wire_bytes batch, size_t piece);

/** Send the first `part` bytes of such a frame (acks=all, partition 0). @param[out] ret_at what was sent */
void client_produce_part(struct client *client, int16_t version, int32_t correlation,
			 struct wire_bytes batch, size_t part, size_t *ret_at);
/** Send the rest of it. */
void client_produce_rest(struct client *client, size_t at);

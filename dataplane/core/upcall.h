/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the dataplane asks of control: records in the upcall ring of each core, the core producing,
 * control consuming. The core never waits: the request it parked is completed when COMMAND_REPLY
 * with its cookie arrives, or failed with a retriable error when the channel is gone.
 *
 * Context: see storage/bytering.h. Source: DESIGN section 5.
 */
#pragma once

#include "base/defs.h"

enum upcall_kind {
	UPCALL_REQUEST = 1, /* a client's request that control answers */
	UPCALL_CREATE,      /* a Metadata request wants these topics created; reply body is empty */
	UPCALL_APPENDED,    /* outcome of COMMAND_APPEND */
	UPCALL_SNAPSHOT,    /* every core serves the generation */
	UPCALL_PRODUCER_IDS, /* the block of producer ids runs low */
	UPCALL_GONE,         /* the connection of a parked request closed: no reply is wanted */
	UPCALL_KIND_COUNT
};

struct upcall_header {
	uint16_t kind; /* enum upcall_kind */
	uint16_t core;
	uint32_t size; /* of the whole record */
};

struct upcall_request {
	struct upcall_header header;
	uint64_t cookie;     /* to be echoed in command_reply */
	uint64_t connection; /* the same for all requests of one connection; never used again */
	int16_t api_key;
	int16_t api_version;
	uint16_t listener_size;  /* bytes of the address the client reached us at, "10.77.0.2" */
	uint16_t client_id_size; /* bytes; 0xffff: null */
	uint16_t host_size;      /* bytes of the client's address, "10.77.0.1" */
	uint16_t reserved;
	uint32_t body_size;
	uint8_t bytes[]; /* listener, client id, host, request body (after the request header) */
};

struct upcall_create {
	struct upcall_header header;
	uint64_t cookie;
	uint32_t topic_count;
	uint32_t bytes_size;
	uint8_t bytes[]; /* topic_count times: u16 size, name */
};

struct upcall_appended {
	struct upcall_header header;
	uint64_t cookie;
	int32_t error; /* 0 or `enum err` / -errno */
	uint32_t reserved;
	int64_t base_offset;
};

struct upcall_snapshot {
	struct upcall_header header;
	uint64_t cookie;
	uint64_t generation;
};

struct upcall_gone {
	struct upcall_header header;
	uint64_t connection;
};

_Static_assert(sizeof(struct upcall_header) == 8, "shared layout");
_Static_assert(sizeof(struct upcall_request) == 40, "shared layout");
_Static_assert(sizeof(struct upcall_appended) == 32, "shared layout");

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What control tells the dataplane: records in the command ring of each core (storage/bytering.h),
 * control producing, the core consuming. Plain structs, machine byte order, `size` covers the record.
 *
 * The channel: control connects to <run>/dataplane.sock (SOCK_SEQPACKET) and sends one CHANNEL_HELLO
 * with 2 + cores descriptors (SCM_RIGHTS): a memfd, an eventfd that the dataplane writes when there
 * are upcalls, then one eventfd per core that control writes after it published commands for that
 * core (always: the core may sleep). The memfd, sealed against shrinking, holds for core 0, 1, ... a
 * command ring then an upcall ring, each of bytering_memory_size(CHANNEL_RING_SIZE) bytes rounded up
 * to CHANNEL_RING_ALIGN, formatted by control. The dataplane answers one CHANNEL_WELCOME. A new
 * connection replaces the old one: its rings are dropped whole, and pending upcalls get retriable
 * errors. Either side may die at any time; a ring that breaks its format ends the connection.
 *
 * Context: see storage/bytering.h. Source: DESIGN section 5.
 */
#pragma once

#include "base/defs.h"
#include "base/uuid.h"

#define CHANNEL_RING_SIZE  (4U * 1024 * 1024)
#define CHANNEL_RING_ALIGN 4096U
#define CHANNEL_CORES_MAX  64
#define CHANNEL_VERSION    1

/** control > dataplane on the socket, with the descriptors */
struct channel_hello {
	uint32_t version;
	uint32_t
		cores; /* must equal the dataplane's; learnt from the run directory's `cores` file */
	uint64_t epoch; /* of this control process */
};

/** dataplane > control on the socket */
struct channel_welcome {
	uint32_t version;
	int32_t error; /* 0; -EPROTO wrong version; -EINVAL wrong number of cores */
	uint32_t cores;
	uint32_t is_unclean_start;    /* 1: recovered after a crash */
	uint64_t snapshot_generation; /* loaded so far; 0: none */
};

enum command_kind {
	COMMAND_REPLY = 1, /* the answer to an upcall */
	COMMAND_SNAPSHOT, /* cluster.snapshot has a new generation; core 0 passes it to the housekeeper */
	COMMAND_APPEND, /* append one batch durably; answered by UPCALL_APPENDED */
	COMMAND_KIND_COUNT
};

struct command_header {
	uint16_t kind; /* enum command_kind */
	uint16_t reserved;
	uint32_t size; /* of the whole record */
};

struct command_reply {
	struct command_header header;
	uint64_t cookie; /* upcall_request.cookie */
	int32_t error;   /* 0; else close the connection (request undecodable) */
	uint32_t body_size;
	uint8_t body[]; /* response body: all after the response header */
};

struct command_snapshot {
	struct command_header header;
	uint64_t generation;
	uint64_t cookie; /* echoed in UPCALL_SNAPSHOT once every core serves it */
};

struct command_append {
	struct command_header header;
	uint64_t cookie;
	struct uuid topic_id;
	uint32_t partition;
	uint32_t batch_size;
	uint8_t batch[]; /* one record batch, base offset 0, checksum right */
};

_Static_assert(sizeof(struct command_header) == 8, "shared layout");
_Static_assert(sizeof(struct command_reply) == 24, "shared layout");
_Static_assert(sizeof(struct command_append) == 40, "shared layout");

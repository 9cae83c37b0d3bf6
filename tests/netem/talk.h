/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What one end of a connection says and hears, whichever stack carries it: talk_own.c over own TCP,
 * talk_kernel.c over sockets. Bytes are a pattern of their stream and position, so that each end
 * knows what the other one has to have sent.
 *
 * Context: one thread. Memory: the caller's.
 */
#pragma once

#include "base/defs.h"

#define TALK_CONNECTIONS_MAX 64
#define TALK_ECHO_MAX        (256U * 1024) /* read ahead of what was sent back */

struct talk_plan {
	char address[16];        /* connects there; "": listens */
	uint16_t port;           /* to connect or listen to */
	uint16_t local_port;     /* to connect from; 0: any */
	int64_t start_at_ms;     /* of the calendar: not before */
	uint32_t connections;    /* so many, and then it is over */
	uint64_t send;           /* bytes */
	int64_t send_ns;         /* stops sending after; 0: never */
	bool is_echo;            /* sends what it received instead */
	bool is_from_echo;       /* its peer is an echo */
	bool sends_after_eof;    /* not before the peer ended */
	bool shuts_after_eof;    /* ends when the peer did; else when all is sent */
	int64_t shut_ns;         /* not before it was open so long */
	uint64_t reset_after;    /* received bytes; 0: never */
	uint64_t stall_at;       /* received bytes where it stops reading; 0: nowhere */
	int64_t stall_ns;        /* and for how long */
	uint32_t write_max;      /* bytes of one write */
	uint32_t read_max;       /* bytes of one read */
	uint32_t window_max;     /* own TCP: bytes, a power of two; 0: 1 MiB */
	uint32_t mtu;            /* own TCP */
	const char *nic;         /* own TCP: nic_config.port */
	const char *own_address; /* own TCP */
	const char *congestion;  /* name of an algorithm; NULL: the stack's default */
	bool has_ecn;            /* own TCP: asks for it, else it accepts it */
	bool is_unpaced;         /* own TCP */
	int64_t limit_ns;        /* whatever is open then is reported so */
};

struct talk {
	const struct talk_plan *plan;
	uint64_t out_stream, in_stream;
	uint64_t sent, received;
	int64_t mismatch_at; /* position; -1: none */
	int64_t begin_ns, open_ns, last_ns, eof_ns, end_ns;
	int64_t stalled_ns; /* until; 0: not yet, INT64_MIN: over */
	bool is_open, has_eof, is_shut, is_over;
	const char *end; /* "normal", "reset", "refused", "timeout", "abort", "limit" */
};

/** @return false: wrong use, and it is said */
bool talk_read_options(struct talk_plan *plan, int argc, char **argv);

void talk_init(struct talk *talk, const struct talk_plan *plan, uint32_t index, int64_t now_ns);
void talk_open(struct talk *talk, int64_t now_ns);

/** @return bytes it would read now */
size_t talk_room(struct talk *talk, int64_t now_ns);
/** Read them: [size] at most talk_room(). */
void talk_take(struct talk *talk, const uint8_t *bytes, size_t size, int64_t now_ns);
void talk_eof(struct talk *talk, int64_t now_ns);

/** @return bytes it wants to write now, written to `to` [room] */
size_t talk_give(struct talk *talk, uint8_t *to, size_t room, int64_t now_ns);
/** `size` of them went. */
void talk_gave(struct talk *talk, size_t size);

bool talk_wants_shutdown(const struct talk *talk, int64_t now_ns);
bool talk_wants_reset(const struct talk *talk);
void talk_end(struct talk *talk, const char *end, int64_t now_ns);

/** One JSON object in one line; `more`: further members with a comma in front, or "". */
void talk_print(const struct talk *talk, const char *more);

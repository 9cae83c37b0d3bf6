/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the kernel-socket transport, shared by sock.c (every turn) and sock_new.c (set-up).
 *
 * Context: owning core. Memory: one block per core.
 */
#pragma once

#include <sys/socket.h>

#include "base/timers.h"
#include "storage/uring.h"

#include "dataplane/core/link.h"
#include "dataplane/sock/sock.h"

#define SOCK_RECEIVE_SIZE (32U * 1024)
#define SOCK_KEPT_MAX     64U /* blocks of SOCK_RECEIVE_SIZE, of all connections of a core */
#define SOCK_IOVECS_MAX   32
#define SOCK_SENDS_MAX    256 /* between two submissions */

/** Blocks given back are linked through their own first bytes. */
struct sock_block {
	struct sock_block *next;
};

/** What a send names: the kernel has read it when the operation is submitted. */
struct sock_send {
	struct msghdr message;
	struct iovec iovecs[SOCK_IOVECS_MAX];
};

struct sock_conn {
	struct link link;
	struct sock *sock;
	int fd;
	struct uring_event readable; /* multishot poll */
	struct uring_event sent;
	struct timer linger; /* bounds the wait for a peer that does not read its last answer */
	struct list node;    /* of sock->idle or sock->open */
	struct list ready;   /* of sock->ready: to be visited by sock_poll() */
	struct list to_send; /* of sock->to_send: output to be submitted */
	bool is_polling;     /* `readable` is in flight */
	bool is_sending;     /* `sent` is in flight */
	bool is_readable;    /* the socket may hold bytes */
	bool is_hung_up;     /* the peer's end was seen: receive until it is reached */
	bool is_ended;       /* the peer sends no more; answers are still owed */
	bool is_paused;      /* the session took less than it was given */
	bool is_closing;     /* close once the output is sent */
	bool is_aborting;    /* close now */
	bool is_ending;      /* session gone; waiting for operations in flight */
	bool is_cancelling;  /* the cancel of `readable` is submitted */
	uint32_t kept_size;
	uint8_t *kept; /* [kept_size] received and not taken by the session; a block, or NULL */
};

struct sock {
	struct core *core;
	int listen_fd;
	uint16_t port;
	struct uring_event accepted; /* multishot accept */
	bool is_accepting;           /* `accepted` is in flight */
	bool is_cancelling;
	struct timer backoff; /* armed while accepting waits for descriptors */
	bool is_stopping;
	int64_t stop_ns; /* connections end then */
	struct list idle, open, ready, to_send;
	uint32_t open_count;
	uint32_t turn_size; /* bytes received in this turn */
	uint32_t connections_max;
	struct sock_conn *connections;
	uint8_t *receive; /* [SOCK_RECEIVE_SIZE] */
	uint8_t *blocks;  /* [block_count * SOCK_RECEIVE_SIZE], touched when used */
	uint32_t block_count;
	uint32_t blocks_used; /* those behind were never given */
	struct sock_block *free_blocks;
	struct sock_send *sends; /* [SOCK_SENDS_MAX] */
	uint32_t sends_used;     /* that the kernel may not have read */
};

void sock_on_linger(struct timer *timer, int64_t now_ns);
void sock_on_backoff(struct timer *timer, int64_t now_ns);

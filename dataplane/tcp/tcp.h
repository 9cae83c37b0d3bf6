/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * TCP as a function of packets: a segment comes in, segments and events go out, `now` is an argument.
 * No sockets, no clock, no packet library: the stack runs in unit tests, in the simulator, under the
 * fuzzer and on a poll core alike.
 *
 * One `struct tcp_stack` per core, shared with nobody. Received payload stays in the caller's packet
 * buffers: in-order bytes are offered to on_data() in place; out-of-order or refused bytes are kept
 * by holding the buffer. Sent bytes stay in the owner's output queue: the stack names ranges of it by
 * position and the owner copies them into packets, again for a retransmission.
 *
 * Context: owning core. Memory: control blocks, held-piece nodes and table sized at tcp_stack_new().
 * Limits: struct tcp_config. Source: RFC 9293, 7323, 2018, 6298, 5681, 9438, 9406,
 * 3168, 5961, 6528, 1122.
 */
#pragma once

#include "base/counters.h"
#include "base/defs.h"
#include "base/siphash.h"

struct tcp_stack;
struct tcb; /* one connection */

/** Addresses and ports in host byte order; local is ours. */
struct tcp_tuple {
	uint32_t local_address;
	uint32_t peer_address;
	uint16_t local_port;
	uint16_t peer_port;
};

/** Payload of a received segment behind its first buffer. */
struct tcp_segment_piece {
	const uint8_t *bytes; /* [size] */
	uint32_t size;
	void *buffer; /* that holds them, as in struct tcp_segment_in */
};

/** A received segment, IP header taken off, checksum verified. */
struct tcp_segment_in {
	uint32_t source_address;      /* host byte order */
	uint32_t destination_address; /* host byte order */
	const uint8_t *bytes;         /* [size] TCP header, options, payload */
	uint32_t size;
	void *buffer; /* the packet buffer that holds `bytes`; counted by hold/release; NULL: its
			 payload is refused unless it is in order and taken at once */
	uint8_t ecn;  /* two bits of the IP header */
	/* Of one that a port put together from several: what is in its further buffers. */
	const struct tcp_segment_piece *pieces; /* [piece_count] */
	uint32_t piece_count;
};

/** A segment to send. The owner writes IP and Ethernet headers, payload and checksums. */
struct tcp_segment_out {
	struct tcp_tuple tuple;
	struct tcb *tcb;       /* NULL: a reset or cookie for no connection */
	uint8_t header[60];    /* TCP header with options; checksum field zero */
	uint8_t ecn;           /* two bits for the IP header */
	uint16_t header_size;  /* bytes of it, multiple of 4 */
	uint16_t payload_size; /* bytes to copy from the output queue */
	uint16_t mss; /* payload beyond it goes as several segments of so much, in order: the number
			 rises from one to the next, FIN and PSH are the last one's; 0: it is one */
	uint64_t
		payload_pos; /* their position in the output queue (0: oldest unacknowledged byte) */
};

enum tcp_close_reason {
	TCP_CLOSED_NORMAL,  /* both sides finished */
	TCP_CLOSED_RESET,   /* the peer reset it */
	TCP_CLOSED_TIMEOUT, /* retransmission, keepalive or user timeout */
	TCP_CLOSED_ABORT,   /* we reset it */
	TCP_CLOSED_REASON_COUNT
};

/**
 * What the stack calls; every member is set. All calls happen inside tcp_input(), tcp_poll(),
 * tcp_burst_end() or the tcp_* call that caused them.
 *
 * From inside on_accept, on_connect, on_data, on_eof, on_acked and on_close the owner may call
 * tcp_connect(), tcp_send(), tcp_resume(), tcp_set_credit(), tcp_shutdown() and tcp_abort(), for the
 * connection at hand or another one: output waits for tcp_burst_end(), and the memory of a connection
 * that ended is reused only after the outermost call returned. It may not call tcp_input(),
 * tcp_poll() or tcp_burst_end() there. emit, hold and release call nothing of the stack.
 */
struct tcp_ops {
	/** Send one segment. @return false: no buffer; the stack tries again on its timers. */
	bool (*emit)(void *ctx, const struct tcp_segment_out *segment);
	/** A passive open completed. @return owner pointer for the connection; NULL: reset it (there
	    is no on_close then, nor when it was aborted from inside) */
	void *(*on_accept)(void *ctx, struct tcb *tcb);
	/** An active open completed (or failed: on_close only). */
	void (*on_connect)(void *owner, struct tcb *tcb);
	/** In-order payload. @return bytes consumed; the rest is kept, the window shrinks by it as the
	    peer sends on, and all that is kept is offered again after tcp_resume(), piece by piece. A
	    tcp_resume() from inside counts only when at least one byte is consumed. */
	size_t (*on_data)(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size);
	/** The peer will send nothing more; everything before it was delivered. */
	void (*on_eof)(void *owner, struct tcb *tcb);
	/** The peer acknowledged `size` more bytes: pop them off the output queue. */
	void (*on_acked)(void *owner, struct tcb *tcb, uint64_t size);
	/** The connection is gone; the tcb is invalid after this returns. Called once for each owner
	    that on_accept() gave or tcp_connect() took. Bytes kept and not consumed are dropped when
	    the reason is not TCP_CLOSED_NORMAL. */
	void (*on_close)(void *owner, enum tcp_close_reason reason);
	/** Keep the packet buffer beyond tcp_input(); at most once for each segment. */
	void (*hold)(void *ctx, void *buffer);
	/** Done with a held buffer. */
	void (*release)(void *ctx, void *buffer);
};

/** Congestion control. */
enum tcp_cc_algorithm {
	TCP_CC_CUBIC,   /* RFC 9438 */
	TCP_CC_NEWRENO, /* RFC 5681, RFC 6582 */
	TCP_CC_ALGORITHM_COUNT
};

/** Explicit congestion notification (RFC 3168). */
enum tcp_ecn_policy {
	TCP_ECN_OFF,
	TCP_ECN_ACCEPT,  /* when the peer asks for it */
	TCP_ECN_REQUEST, /* ... and ask for it in active opens */
	TCP_ECN_POLICY_COUNT
};

struct tcp_config {
	uint32_t connections_max;
	uint32_t held_pieces_max;       /* out-of-order and refused pieces, all connections */
	uint16_t mss;                   /* MTU - 40 */
	uint32_t window_max;            /* bytes of receive window offered at most */
	uint32_t rto_min_ms;            /* 200 */
	uint32_t time_wait_ms;          /* 2 MSL */
	uint32_t syn_backlog_max;       /* half-open connections */
	uint32_t keepalive_ms;          /* idle time before probes; 0: off */
	uint32_t keepalive_interval_ms; /* between unanswered probes; 0: 10 s */
	uint32_t keepalive_probes;      /* unanswered ones that end a connection; 0: 5 */
	uint32_t user_timeout_ms;  /* bytes out without progress for this long end it; 0: off */
	uint8_t congestion;        /* enum tcp_cc_algorithm */
	uint8_t ecn;               /* enum tcp_ecn_policy */
	bool has_pacing;           /* large windows are spread over the round trip */
	uint16_t tso_size;         /* payload handed to emit() at once; 0: a segment at a time */
	struct siphash_key secret; /* initial sequence numbers and table hash */
};

/** @param counters  borrowed for life. @return NULL out of memory */
struct tcp_stack *tcp_stack_new(const struct tcp_config *config, const struct tcp_ops *ops,
				void *ctx, struct counters *counters, int64_t now_ns);
/** @return bytes that such a stack takes; counts only are read */
uint64_t tcp_stack_size(const struct tcp_config *config);
/** Releases held buffers; calls no on_close. NULL is fine. */
void tcp_stack_free(struct tcp_stack *stack);

/** Accept connections on a port. @return 0; -EINVAL port 0 */
NODISCARD int tcp_listen(struct tcp_stack *stack, uint16_t port);

/** Active open. @return 0, ret_tcb set and a SYN emitted; -EADDRINUSE; -ENOBUFS */
NODISCARD int tcp_connect(struct tcp_stack *stack, const struct tcp_tuple *tuple, void *owner,
			  int64_t now_ns, struct tcb **ret_tcb);

/** One received segment; anything malformed is counted and dropped. */
void tcp_input(struct tcp_stack *stack, const struct tcp_segment_in *segment, int64_t now_ns);

/** End of a receive burst: send the acknowledgements and data it gave rise to. Segments out of order
    are acknowledged at once, inside tcp_input(). */
void tcp_burst_end(struct tcp_stack *stack, int64_t now_ns);

/** Run due timers. @return timers run */
uint32_t tcp_poll(struct tcp_stack *stack, int64_t now_ns);

/** @return time of the next timer, INT64_MAX: none */
int64_t tcp_next_timer_ns(const struct tcp_stack *stack);

/** `size` more bytes are at the end of the connection's output queue: send what the windows allow.
    Not after tcp_shutdown(). A short segment goes at once, unless tcp_set_nodelay() says no. */
void tcp_send(struct tcb *tcb, uint64_t size, int64_t now_ns);

/** The owner can consume again: offers kept bytes, then reopens the window. */
void tcp_resume(struct tcb *tcb, int64_t now_ns);

/** Bytes the owner could take now, those kept by the stack included; bounds the offered window (never
    shrinks one already offered) and stands until set again. At first: config.window_max. */
void tcp_set_credit(struct tcb *tcb, uint32_t credit);

/** Whether short segments go at once, as they do at first. When not, they wait while another short
    one is unacknowledged (Nagle's algorithm in Minshall's variant). */
void tcp_set_nodelay(struct tcb *tcb, bool is_nodelay);

/** No more output after what is queued: FIN follows it. */
void tcp_shutdown(struct tcb *tcb, int64_t now_ns);

/** Reset at once; on_close(TCP_CLOSED_ABORT) is called before it returns. */
void tcp_abort(struct tcb *tcb, int64_t now_ns);

const struct tcp_tuple *tcp_tuple(const struct tcb *tcb);
void *tcp_owner(const struct tcb *tcb);
/** @return connections in any state but closed and TIME-WAIT */
uint32_t tcp_connection_count(const struct tcp_stack *stack);

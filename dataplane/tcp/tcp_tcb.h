/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the stack: one connection (struct tcb), one stack, and their life cycle. Only files of
 * this folder and its tests include it.
 *
 * Work is done in two steps. Input, timers and the owner's calls change the state and mark the
 * connection dirty; tcp_output_flush() sends what a dirty connection owes, at the end of the burst.
 * A connection that ends is unlinked at once, and its memory is reused only after the outermost call
 * into the stack returned, so callbacks may end connections.
 *
 * Context: owning core. Memory: made by tcp_stack_new().
 */
#pragma once

#include "base/check.h"
#include "base/list.h"
#include "base/timers.h"

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_cookie.h"
#include "dataplane/tcp/tcp_ecn.h"
#include "dataplane/tcp/tcp_frto.h"
#include "dataplane/tcp/tcp_limit.h"
#include "dataplane/tcp/tcp_options.h"
#include "dataplane/tcp/tcp_pace.h"
#include "dataplane/tcp/tcp_prr.h"
#include "dataplane/tcp/tcp_rack.h"
#include "dataplane/tcp/tcp_ranges.h"
#include "dataplane/tcp/tcp_rtt.h"
#include "dataplane/tcp/tcp_sack.h"
#include "dataplane/tcp/tcp_sent.h"
#include "dataplane/tcp/tcp_table.h"
#include "dataplane/tcp/tcp_tlp.h"
#include "dataplane/tcp/tcp_undo.h"

#define TCP_DELAYED_ACK_NS        (40 * NS_PER_MS)
#define TCP_SEND_RETRY_NS         (2 * NS_PER_MS) /* after emit() had no buffer */
#define TCP_KEEPALIVE_INTERVAL_MS 10000           /* unless configured */
#define TCP_KEEPALIVE_PROBES      5               /* unless configured */
#define TCP_FIN_WAIT_IDLE_NS                                                                       \
	(60 * NS_PER_S)    /* half-closed and silent: probe even when keepalive is off */
#define TCP_RETRIES_MAX 12 /* data; from 200 ms about five minutes */
#define TCP_SILENCE_NS                                                                             \
	(100 * NS_PER_S) /* they last so long at least (RFC 9293 section 3.8.3, R2) */
#define TCP_SYN_RETRIES_MAX  5
#define TCP_PEER_MSS_DEFAULT 536   /* RFC 9293 section 3.7.1 */
#define TCP_PEER_MSS_MIN     88    /* below it headers would outweigh data */
#define TCP_PIECES_MAX       1024U /* held by one connection */
#define TCP_DUPLICATE_ACKS   3
#define TCP_CHALLENGE_GAP_NS (100 * NS_PER_MS) /* per connection: ten a second */
#define TCP_ANSWERS_PER_S    1000 /* challenges, and resets for no connection: each, all peers */
#define TCP_PAWS_IDLE_NS     (24 * 24 * 3600 * NS_PER_S) /* RFC 7323 section 5.5 */

enum tcp_state {
	TCP_STATE_CLOSED,       /* unlinked; waits for its memory to be reused */
	TCP_STATE_SYN_SENT,     /* active open, nothing heard yet */
	TCP_STATE_SYN_RECEIVED, /* SYN answered, its acknowledgement missing */
	TCP_STATE_ESTABLISHED,  /* both may send */
	TCP_STATE_FIN_WAIT_1,   /* we are done, our FIN is not acknowledged */
	TCP_STATE_FIN_WAIT_2,   /* we are done and the peer knows; it may send */
	TCP_STATE_CLOSE_WAIT,   /* the peer is done; we may send */
	TCP_STATE_CLOSING,      /* both done, our FIN is not acknowledged */
	TCP_STATE_LAST_ACK,     /* the peer was done first, our FIN is not acknowledged */
	TCP_STATE_DRAINING,     /* both done and acknowledged; the owner has bytes to take yet */
	TCP_STATE_COUNT
};

enum tcp_recovery {
	TCP_RECOVERY_NONE, /* nothing known lost */
	TCP_RECOVERY_FAST, /* what acknowledgements show to be lost is being sent again */
	TCP_RECOVERY_LOSS, /* so is what a timeout makes think lost */
};

enum tcp_timer_kind {
	TCP_TIMER_ACK,        /* delayed acknowledgement */
	TCP_TIMER_SEND,       /* another try after emit() had no buffer */
	TCP_TIMER_PACE,       /* the window allows more than the pace does */
	TCP_TIMER_REORDER,    /* what may only be late is lost then */
	TCP_TIMER_PROBE,      /* tail loss probe; it moves the next one, so it stands before it */
	TCP_TIMER_RETRANSMIT, /* something is out */
	TCP_TIMER_PERSIST,    /* nothing is out, something is queued, the window is shut */
	TCP_TIMER_IDLE,       /* keepalive */
	TCP_TIMER_USER,       /* what is out has made no progress for too long */
	TCP_TIMER_COUNT
};

struct tcb {
	struct tcp_stack *stack;
	void *owner;
	struct tcp_tuple tuple;
	uint8_t state;      /* enum tcp_state */
	uint8_t recovery;   /* enum tcp_recovery */
	bool has_owner;     /* on_close is due */
	bool is_active;     /* we opened it */
	bool has_ts;        /* timestamps agreed */
	bool has_sack;      /* SACK agreed */
	bool has_wscale;    /* window scaling agreed */
	bool is_shut;       /* tcp_shutdown() was called: FIN at snd_una + queued */
	bool fin_acked;     /* the peer acknowledged our FIN */
	bool has_peer_fin;  /* rcv_fin is valid */
	bool fin_taken;     /* rcv_nxt is past the peer's FIN */
	bool fin_first;     /* we sent FIN before the peer's came: TIME-WAIT is ours */
	bool eof_told;      /* on_eof was called */
	bool is_blocked;    /* on_data took less than offered; until tcp_resume() */
	bool is_offering;   /* inside on_data */
	bool is_resumed;    /* tcp_resume() was called inside on_data */
	bool was_syn_sent;  /* more than one makes its answer ambiguous */
	bool ack_now;       /* an acknowledgement is owed at the end of the burst */
	bool must_resend;   /* recovery: the first lost segment goes whatever the window says */
	bool is_slowing;    /* the window goes down for a mark, until slow_end is acknowledged */
	bool is_nodelay;    /* no Nagle: a short segment goes at once */
	struct list dirty;  /* on stack->dirty: tcp_output_flush() is due */
	struct list link;   /* on stack->spare, ->dead or ->embryos */
	struct timer timer; /* earliest deadline or before it */
	int64_t deadline_ns[TCP_TIMER_COUNT]; /* 0: off */

	/* send side */
	uint32_t iss;
	uint32_t snd_una; /* oldest unacknowledged */
	uint32_t snd_nxt; /* next to send: `sent` ends there */
	uint32_t snd_max; /* highest ever sent, end: beyond snd_nxt after a probe of a shut
					  window, or when one was shut over what was out */
	uint32_t snd_wnd, snd_wnd_max; /* offered by the peer, scaled; the largest ever */
	uint32_t snd_wl1, snd_wl2;     /* seq and ack of the last window update */
	uint32_t recover;        /* snd_nxt when the last recovery began, or less than snd_una */
	uint32_t slow_end;       /* snd_nxt when the mark was told */
	uint32_t snd_small;      /* end of the last short segment sent */
	uint32_t duplicate_acks; /* that reported nothing */
	uint32_t duplicate_size; /* without SACK: bytes that duplicates say have left the network */
	uint32_t arrived;        /* bytes known to have arrived since output had its last turn */
	uint64_t queued;         /* bytes in the owner's output queue, from snd_una */
	uint16_t snd_mss;        /* header options not taken off */
	uint8_t snd_wscale;
	uint8_t retries;   /* timeouts, probes or keepalives in a row without an answer */
	int64_t silent_ns; /* when the first of them went */
	int64_t timed_ns;  /* when our SYN was sent; 0: not at all, or several times */
	int64_t sent_ns;   /* last data */
	struct tcp_rtt rtt;
	struct tcp_cc cc;
	struct tcp_ecn ecn;
	struct tcp_pace pace;
	struct tcp_sent sent;
	struct tcp_rack rack;
	struct tcp_tlp tlp;
	struct tcp_prr prr;
	struct tcp_undo undo;
	struct tcp_frto frto;
	int64_t prompted_ns; /* when a timer of ours made us send last; 0: never */

	/* receive side */
	uint32_t irs;
	uint32_t rcv_nxt;
	uint32_t rcv_edge;           /* end of the offered window; never goes back */
	uint32_t rcv_acked;          /* rcv_nxt of the last acknowledgement sent */
	uint32_t rcv_fin;            /* sequence number of the peer's FIN */
	uint32_t kept;               /* bytes on ranges.ready */
	uint32_t credit, credit_max; /* bytes the owner can take; the largest ever */
	uint16_t rcv_mss;            /* largest segment seen */
	uint8_t rcv_wscale;
	uint32_t ts_recent;
	uint32_t ts_offset;
	int64_t ts_recent_ns;
	int64_t heard_ns;     /* last valid segment */
	int64_t challenge_ns; /* last challenge or like answer */
	struct tcp_sack sack;
	struct tcp_ranges ranges;
};

/** What is left of a connection in TIME-WAIT. */
struct tcp_timewait {
	struct tcp_tuple tuple;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent, ts_offset;
	bool has_ts;
	int64_t due_ns;
	int64_t answered_ns;
	struct list link; /* on timewaits or timewaits_spare; oldest first */
};

struct tcp_stack {
	struct tcp_config config;
	struct tcp_ops ops;
	void *ctx;
	struct counters *counters;
	int64_t now_ns; /* of the call under way */
	uint32_t depth; /* calls into the stack on the C stack */
	uint32_t count; /* tcbs in use */
	uint32_t embryo_count;
	uint32_t timewait_max;
	uint32_t pieces_max;                     /* per connection */
	struct list spare, dead, dirty, embryos; /* struct tcb */
	struct list timewaits, timewaits_spare;
	struct timers timers;
	struct timer timewait_timer;
	struct tcp_table table; /* id below connections_max: tcb; above: TIME-WAIT */
	struct tcp_piece_pool pieces;
	struct tcp_sent_pool sent_pool;
	struct tcp_limit challenges, resets;
	struct tcp_cookies cookies;
	int64_t cookies_until_ns; /* some may come back before */
	struct tcb *tcbs;
	struct tcp_timewait *timewait_nodes;
	struct tcp_piece *piece_nodes;
	struct tcp_sent_range *sent_ranges;
	struct tcp_table_slot *slots;
	uint64_t listening[65536 / 64]; /* bit per port */
};

static inline void tcp_tcb_count(struct tcb *tcb, enum counter which)
{
	counters_inc(tcb->stack->counters, which);
}

/** Every public call is bracketed by these; the outermost leave reuses dead connections' memory. */
void tcp_tcb_enter(struct tcp_stack *stack, int64_t now_ns);
void tcp_tcb_leave(struct tcp_stack *stack);

/** @return the smallest scale that lets a header's 16 bits say `window` */
uint8_t tcp_tcb_scale_for(uint32_t window);

/** @return a blank tcb in the flow table; NULL: none is free */
struct tcb *tcp_tcb_new(struct tcp_stack *stack, const struct tcp_tuple *tuple);

/** End a connection: unlink it everywhere, tell the owner. The state is CLOSED afterwards. */
void tcp_tcb_close(struct tcb *tcb, enum tcp_close_reason reason);

/** The handshake is complete. */
void tcp_tcb_establish(struct tcb *tcb);

/** Take up what both sides offered in their SYNs. `packet_options` are the peer's. */
void tcp_tcb_agree(struct tcb *tcb, const struct tcp_options *packet_options);

/** Owe a tcp_output_flush() at the end of the burst. */
void tcp_tcb_dirty(struct tcb *tcb);

/** Close it when both directions are done and all bytes were taken. */
void tcp_tcb_finish(struct tcb *tcb);

/** @return our side's timestamp clock */
static inline uint32_t tcp_tcb_ts_now(uint32_t offset, int64_t now_ns)
{
	return (uint32_t)(now_ns / NS_PER_MS) + offset;
}

/** @return payload of a full segment with the usual options: what is counted against windows that
    move in such steps */
static inline uint32_t tcp_tcb_payload_max(const struct tcb *tcb)
{
	return tcb->snd_mss - (tcb->has_ts ? TCP_OPTIONS_TS_SIZE : 0U);
}

/** @return where our FIN goes, once it is known that nothing follows */
static inline uint32_t tcp_tcb_fin_seq(const struct tcb *tcb)
{
	return tcb->snd_una + (uint32_t)tcb->queued;
}

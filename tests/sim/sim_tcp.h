/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Two TCP stacks, their applications and strangers on a simulated network: what the files of sim_tcp
 * share. sim_tcp.c runs seeds, sim_tcp_plan.c draws what a seed does, sim_tcp_world.c moves packets,
 * clocks and time, sim_tcp_app.c is the owner of connections, sim_tcp_judge.c says what must hold,
 * sim_tcp_stranger.c attacks, sim_tcp_trace.c prints, sim_tcp_lesson.c
 * loses what it wants to, sim_tcp_report.c measures goodput.
 *
 * Context: tests.
 */
#pragma once

#include "base/check.h"
#include "base/timers.h"

#include "dataplane/tcp/tcp_packet.h"
#include "dataplane/tcp/tcp_tcb.h"

#include "sim_net.h"

#define SIM_CONNECTIONS_MAX  64U
#define SIM_SERVER_PORT      9092
#define SIM_PORT_FIRST       40000U
#define SIM_PORT_BOTH        50000U /* the other side's, when both open at once */
#define SIM_ADDRESS(side)    (0x0a4d0001U + (uint32_t)(side))
#define SIM_STRANGER_ADDRESS 0xc6120000U /* 198.18.0.0/15 */
#define SIM_STRANGER         UINT32_MAX  /* owner of packets of no connection of ours */
#define SIM_DISTURBANCES_MAX 6U
#define SIM_PATTERN_MAX      9216U
#define SIM_CLIENT           0
#define SIM_SERVER           1

/** One end of one connection. */
struct sim_app {
	struct sim_side *side;
	struct sim_pair *pair;
	struct tcb *tcb;        /* NULL: not open yet, or closed */
	uint64_t size, rest_at; /* bytes of its output; it rests after so many of them */
	uint64_t sent, acked;   /* bytes queued, acknowledged */
	uint64_t received;      /* bytes of input taken */
	bool is_slow, is_stubborn, is_shrinking, has_nagle, sends_all, aborts, waits_for_eof;
	bool is_shut, was_open, has_eof, is_over;
	enum tcp_close_reason reason;
	struct timer wake;     /* its next own action, world's time */
	int64_t deaf_until_ns; /* it takes nothing and offers nothing */

	/* of the judge */
	uint32_t isn, edge; /* first number; end of the window offered */
	uint32_t snd_high;  /* end of what was sent */
	bool has_edge;
	uint64_t allowed;       /* window that may still be in flight after it was reduced */
	uint64_t window;        /* congestion window seen last */
	uint32_t allowed_until; /* until this is acknowledged */
	bool is_reducing;
	bool owes_echo; /* a mark came, the answer to its report did not */
	bool is_told;   /* a mark was reported: up to told_end there is time to slow down */
	uint32_t told_end, told_reductions;
	uint64_t in_network; /* payload bytes between the two stacks */
	uint32_t resent, resent_needless, reductions, dropped_data;
	uint32_t drops_unheard; /* drops of the pair since this end heard anything */
	int64_t heard_ns;       /* world's time; of the last segment that arrived */
	uint32_t sent_in_rest, runs_max, mss;
	uint64_t delivered_high; /* stream position: in order at the peer */
};

struct sim_pair {
	struct sim *sim;
	struct sim_app apps[2];
	uint32_t index, generation, generations;
	bool is_simultaneous, is_resting;
	struct timer rest; /* ends the rest */
	int64_t rest_since_ns, progress_ns;
	uint32_t drops_since_progress, drops;
	bool is_reset_lost; /* a reset, or anything after one end was over */
};

struct sim_side {
	struct sim *sim;
	struct tcp_stack *stack;
	struct tcp_config config;
	struct counters counters;
	uint32_t held, held_max; /* buffers kept by the stack */
	int index;
	int64_t offset_ns;       /* its clock less the world's */
	int64_t frozen_ns;       /* its clock stands at this; 0: it runs */
	int64_t asleep_until_ns; /* suspended until then; 0: not */
	bool keeps_time;         /* its clock runs on while it is suspended */
	uint32_t waiting;        /* packets in its ring while suspended */
};

enum sim_disturbance_kind {
	SIM_SLEEP,     /* one side is suspended; its clock runs on, or not */
	SIM_JUMP,      /* one side's clock jumps forward */
	SIM_FREEZE,    /* one side's clock stands still while packets come and go */
	SIM_NO_BUFFER, /* emit() fails all the time */
	SIM_DRY,       /* received packets come in buffers that cannot be kept */
	SIM_DISTURBANCE_COUNT
};

struct sim_disturbance {
	struct timer timer;
	struct sim *sim;
	enum sim_disturbance_kind kind;
	int side;
	bool flag, is_on;
	int64_t for_ns;
};

/** What a seed does; drawn by sim_tcp_plan(). */
struct sim_plan {
	uint32_t connections;
	uint32_t no_buffer;                /* of a thousand emit() calls that fail */
	uint32_t burst;                    /* packets taken in before a burst ends, at most */
	int64_t poll_ns[2];                /* a side looks at its port that often; 0: at once */
	int64_t start_ns;                  /* connections open within it */
	int64_t rest_ns;                   /* idle time in the middle; 0: none */
	uint32_t flood, intruders, ghosts; /* segments of strangers that are left */
	uint32_t flood_size;               /* at first */
	int64_t stranger_gap_ns;
	bool has_keepalive, has_tiny_pool, has_slow_apps, has_aborts, has_reopen;
	bool blanks_ts; /* something on the way takes timestamps out of SYNs */
	/** Nothing but losses disturbs, so the judge can count. */
	bool is_calm;
	struct sim_disturbance disturbances[SIM_DISTURBANCES_MAX];
	uint32_t disturbance_count;
};

struct sim {
	uint64_t seed, digest;
	struct prng prng;
	int64_t now_ns, begin_ns, end_ns; /* end: of the fault that ends last */
	struct sim_plan plan;
	struct sim_side sides[2];
	struct sim_pair pairs[SIM_CONNECTIONS_MAX];
	struct sim_net *net;
	struct timers timers; /* world's time */
	struct timer stranger;
	bool is_emit_dead[2], is_dry[2], is_traced, is_measured;
	uint64_t events, drops, stranger_answers;
	const char *failure;
	uint32_t failed_pair;
};

/** What a run of seeds adds up to. */
struct sim_totals {
	uint64_t seeds, failures, events, virtual_ns;
	uint64_t segments, retransmits, recoveries, timeouts, drops;
	uint64_t calm_drops, calm_retransmits, calm_timeouts, calm_needless;
};

/* sim_tcp_plan.c */
void sim_tcp_plan(struct sim *sim);
void sim_tcp_plan_side(struct sim *sim, int index);
void sim_tcp_plan_pair(struct sim *sim, struct sim_pair *pair);
uint64_t sim_tcp_pick(struct sim *sim, uint64_t low, uint64_t high);
bool sim_tcp_chance(struct sim *sim, uint32_t per_mille);

/* sim_tcp_world.c */
int64_t sim_tcp_clock(const struct sim_side *side);
void sim_tcp_open(struct sim *sim, struct sim_net *net, uint64_t seed);
void sim_tcp_start(struct sim *sim);
void sim_tcp_run(struct sim *sim);
void sim_tcp_close(struct sim *sim);
bool sim_tcp_emit(void *ctx, const struct tcp_segment_out *segment);
/** The pair a tuple of `side` belongs to; NULL: a stranger's */
struct sim_pair *sim_tcp_pair_of(const struct sim_side *side, const struct tcp_tuple *tuple);

/* sim_tcp_app.c */
extern const struct tcp_ops sim_tcp_app_ops;
void sim_tcp_app_start(struct sim_pair *pair);
void sim_tcp_app_wake(struct timer *timer, int64_t now_ns);
void sim_tcp_app_rest_over(struct timer *timer, int64_t now_ns);
/** Bytes of a stream at a position: any mix-up of positions or streams shows. */
void sim_tcp_app_pattern(const struct sim_app *app, uint64_t pos, uint8_t *bytes, size_t size);

/* sim_tcp_judge.c */
void sim_tcp_fail(struct sim *sim, const struct sim_pair *pair, const char *why);
void sim_tcp_judge_emit(struct sim_app *app, const struct tcp_segment_out *segment);
void sim_tcp_judge_sent(struct sim_app *app, const struct tcp_segment_out *segment);
void sim_tcp_judge_arrival(struct sim *sim, const struct sim_net_packet *packet);
/** A segment of a connection is lost, on the way or before it was sent. */
void sim_tcp_judge_lost(struct sim_pair *pair, uint8_t flags);
void sim_tcp_judge_drop(void *ctx, const struct sim_net_packet *packet, enum sim_net_fate fate);
void sim_tcp_judge_progress(struct sim_app *app);
void sim_tcp_judge_closed(struct sim_app *app, enum tcp_close_reason reason);
void sim_tcp_judge_pair_over(struct sim_pair *pair);
void sim_tcp_judge_time(struct sim *sim);
void sim_tcp_judge_end(struct sim *sim);

/* sim_tcp_stranger.c */
void sim_tcp_stranger_wake(struct timer *timer, int64_t now_ns);

/* sim_tcp_trace.c */
void sim_tcp_trace_segment(const struct sim *sim, const struct sim_net_packet *packet,
			   const char *what);
void sim_tcp_trace_note(const struct sim *sim, const struct sim_app *app, const char *what,
			uint64_t number);
void sim_tcp_trace_plan(const struct sim *sim);
void sim_tcp_trace_end(const struct sim *sim);

/* sim_tcp_lesson.c */
/** @return lessons that failed, each told on stdout with its segments */
uint32_t sim_tcp_lesson(struct sim_net *net);

/* sim_tcp_report.c */
int sim_tcp_report(struct sim_net *net);

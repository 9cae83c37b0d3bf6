/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Was a reduction of the window a mistake? It was when an acknowledgement is to something sent before
 * the first retransmission (Eifel: its timestamp says so), when the peer reports every retransmission
 * to have come twice (D-SACK), or when all that was thought lost arrives before any is sent again.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 3522, RFC 4015, RFC 3708.
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

struct tcp_undo {
	uint32_t una;    /* snd_una when the window was reduced */
	uint32_t nxt;    /* snd_nxt when the recovery ended: later reports belong to others */
	uint32_t resent; /* bytes sent again and not reported to have come twice */
	uint32_t ts;     /* our timestamp on the first retransmission */
	bool is_armed;   /* a reduction can be undone */
	bool has_resent; /* something was sent again; `ts` is valid */
	bool is_over;    /* the recovery ended; `nxt` is valid */
};

/** The window was reduced for a loss. */
void tcp_undo_begin(struct tcp_undo *undo, uint32_t una);
/** `size` bytes were sent again. @param ts  the timestamp they went with */
void tcp_undo_resent(struct tcp_undo *undo, uint32_t size, uint32_t ts);
/** The recovery ended with everything acknowledged. */
void tcp_undo_end(struct tcp_undo *undo, uint32_t nxt);
/** `una` is acknowledged now. */
void tcp_undo_advance(struct tcp_undo *undo, uint32_t una);
/** @param lost  bytes still thought lost. @return true: undo the reduction */
bool tcp_undo_by_arrival(struct tcp_undo *undo, uint32_t lost);
/** @param echo  timestamp echoed by an acknowledgement of new data. @return true: undo the reduction */
bool tcp_undo_by_echo(struct tcp_undo *undo, uint32_t echo);
/** The peer got [start, end) twice. @return true: undo the reduction */
bool tcp_undo_by_duplicate(struct tcp_undo *undo, struct tcp_range duplicate);

/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_undo.h"

#include "dataplane/core/hot.h"

void tcp_undo_begin(struct tcp_undo *undo, uint32_t una)
{
	*undo = (struct tcp_undo){ .una = una, .is_armed = true };
}

void tcp_undo_resent(struct tcp_undo *undo, uint32_t size, uint32_t ts)
{
	if (!undo->has_resent)
		undo->ts = ts;
	undo->has_resent = true;
	undo->resent += size;
}

void tcp_undo_end(struct tcp_undo *undo, uint32_t nxt)
{
	undo->is_over = true;
	undo->nxt = nxt;
}

void tcp_undo_advance(struct tcp_undo *undo, uint32_t una)
{
	/* The answers to all that was sent during the recovery are in. */
	if (undo->is_over && tcp_seq_lt(undo->nxt, una))
		undo->is_armed = false;
}

bool tcp_undo_by_arrival(struct tcp_undo *undo, uint32_t lost)
{
	if (!undo->is_armed || undo->has_resent || undo->is_over || lost > 0)
		return false;
	undo->is_armed = false;
	return true;
}

bool tcp_undo_by_echo(struct tcp_undo *undo, uint32_t echo)
{
	if (!undo->is_armed || !undo->has_resent || undo->is_over || !tcp_seq_lt(echo, undo->ts))
		return false;
	undo->is_armed = false;
	return true;
}

bool tcp_undo_by_duplicate(struct tcp_undo *undo, struct tcp_range duplicate)
{
	if (!undo->is_armed || !undo->has_resent || tcp_seq_lt(duplicate.start, undo->una))
		return false;
	undo->resent -= MIN(undo->resent, duplicate.end - duplicate.start);
	if (undo->resent > 0)
		return false;
	undo->is_armed = false;
	return true;
}

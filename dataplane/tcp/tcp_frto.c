/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_frto.h"

#include "dataplane/core/hot.h"

void tcp_frto_begin(struct tcp_frto *frto, uint32_t recover)
{
	*frto = (struct tcp_frto){ .step = TCP_FRTO_WAITS, .recover = recover };
}

void tcp_frto_stop(struct tcp_frto *frto)
{
	frto->step = TCP_FRTO_OFF;
}

/** Step 2: the first answer. */
static void judge_first(struct tcp_frto *frto, const struct tcp_frto_ack *ack)
{
	if (ack->is_advance)
		frto->step = tcp_seq_lt(ack->una, frto->recover) ? TCP_FRTO_ASKS : TCP_FRTO_OFF;
	else if (ack->is_repetition)
		frto->step = TCP_FRTO_OFF; /* what came after the oldest arrived: it is lost */
}

/** Step 3. @return true: it tells of something that was on its way all the time */
static bool judge_second(struct tcp_frto *frto, const struct tcp_frto_ack *ack)
{
	frto->step = TCP_FRTO_OFF;
	return ack->has_original && tcp_seq_lt(ack->original, frto->recover);
}

bool tcp_frto_on_ack(struct tcp_frto *frto, const struct tcp_frto_ack *ack)
{
	if (frto->step == TCP_FRTO_WAITS)
		judge_first(frto, ack);
	else if (frto->step == TCP_FRTO_ASKS &&
		 (ack->is_advance || ack->is_repetition || ack->has_report))
		return judge_second(frto, ack);
	return false;
}

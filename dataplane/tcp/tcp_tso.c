/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_tso.h"

#include "dataplane/tcp/tcp_recovery.h"

#include "dataplane/core/hot.h"

uint32_t tcp_tso_size(const struct tcb *tcb, uint32_t size)
{
	uint32_t full = tcp_tcb_payload_max(tcb), out = tcb->snd_nxt - tcb->snd_una;
	uint64_t room = MIN((uint64_t)tcb->stack->config.tso_size, tcb->queued - out);
	uint64_t window = tcp_recovery_window(tcb);
	uint32_t flight = tcp_recovery_flight(tcb);

	if (size < full || room < 2U * full || tcb->snd_nxt != tcb->snd_max || window <= flight)
		return size;
	room = MIN(room, (uint64_t)(tcb->snd_wnd - out));
	room = MIN(room, window - flight);
	room = MIN(room, (uint64_t)tcp_pace_burst(&tcb->pace));
	return MAX((uint32_t)room / full * full, size);
}

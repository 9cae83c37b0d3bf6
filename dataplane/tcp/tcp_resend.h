/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Sends again what is thought lost, oldest first, as the window allows; and tail loss probes.
 *
 * Context: owning core. Limits: TCP_SEGMENTS_PER_FLUSH segments a call.
 * Source: RFC 6675 section 4 (NextSeg), RFC 8985 section 7.3.
 */
#pragma once

#include "dataplane/tcp/tcp_tcb.h"

enum tcp_resend {
	TCP_RESEND_DONE,    /* nothing is thought lost any more */
	TCP_RESEND_BLOCKED, /* no window or no buffer: something else goes on with it */
	TCP_RESEND_MORE,    /* more could go at once */
};

enum tcp_resend tcp_resend_lost(struct tcb *tcb, int64_t now_ns);

/** The last segment of what was not reported once more, as a probe. @param[out] ret_end  where it ends.
    @return false: no buffer, or nothing */
bool tcp_resend_last(struct tcb *tcb, int64_t now_ns, uint32_t *ret_end);

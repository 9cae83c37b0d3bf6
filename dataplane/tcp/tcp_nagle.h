/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Nagle's algorithm: one short segment unacknowledged at a time, so that many small writes make few
 * packets. In Minshall's variant only another short segment holds one back: the short end of a large
 * write follows its full segments at once, instead of waiting for their delayed acknowledgement.
 *
 * Context: owning core. Source: RFC 9293 section 3.7.4, RFC 896; Minshall, "A proposed modification
 * to Nagle's algorithm", 1999.
 */
#pragma once

#include "dataplane/tcp/tcp_tcb.h"

/**
 * May the last bytes of the queue go now?
 *
 * @param size  bytes of the segment; all that is unsent when it is short
 * @return false: they wait for an acknowledgement or for company
 */
bool tcp_nagle_allows(const struct tcb *tcb, uint32_t size);

/** New data was sent: `size` bytes up to `end`. */
void tcp_nagle_sent(struct tcb *tcb, uint32_t size, uint32_t end);

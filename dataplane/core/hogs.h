/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Connections that hold what others wait for. A client may stop in the middle of a large batch, or ask
 * for much and read nothing; what it holds of ring and output is then missing to all. While memory is
 * short, whoever leaves more answers unread than a connection's own share, and moves less than
 * HOGS_MOVE_SIZE bytes in HOGS_PATIENCE_NS, is closed (counted). So is who began something large and
 * sends nothing of it: a stranger, who never moved so much, after HOGS_STRANGER_NS, others after
 * HOGS_FRIEND_NS. While memory is not short, nobody asks.
 *
 * Context: owning core. Memory: none. Limits: HOGS_VISIT_MAX connections a visit.
 */
#pragma once

#include "base/clock.h"
#include "base/defs.h"

#define HOGS_STRANGER_NS (2 * NS_PER_S)
#define HOGS_FRIEND_NS   (60 * NS_PER_S) /* retransmission timeouts back off that far */
#define HOGS_PATIENCE_NS (5 * NS_PER_S)
#define HOGS_MOVE_SIZE   (64U * 1024) /* in that time, either way: 105 kbit/s */
#define HOGS_VISIT_MAX   1024U

struct core;
struct session;

/** Look at some of the connections, each in its turn. @return connections closed */
uint32_t hogs_visit(struct core *core, int64_t now_ns);

/** @return how long nothing may come of a batch that has begun while others wait for its place */
int64_t hogs_stall_ns(const struct session *session);

/**
 * Bytes of answers that a connection may leave unread before its next request waits: less, the less
 * room all have together, so that no crowd of them takes the last of it.
 */
uint64_t hogs_output_max(const struct session *session);

/** @return whether there is room for a large answer beside the small ones of producers */
bool hogs_has_room(const struct core *core);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Initial sequence numbers and timestamp offsets that strangers cannot guess and that only grow for
 * one four-tuple.
 *
 * Context: any thread. Memory: none. Source: RFC 6528; RFC 7323 section 5.4 and appendix A.
 */
#pragma once

#include "base/siphash.h"

#include "dataplane/tcp/tcp.h"

/** @return hash of the tuple plus a clock of 4 microseconds */
uint32_t tcp_isn(const struct siphash_key *secret, const struct tcp_tuple *tuple, int64_t now_ns);

/** @return what is added to the millisecond clock in timestamps of this tuple; the same each time,
    so that timestamps grow from one incarnation to the next */
uint32_t tcp_isn_ts_offset(const struct siphash_key *secret, const struct tcp_tuple *tuple);

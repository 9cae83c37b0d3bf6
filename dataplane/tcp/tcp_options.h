/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * TCP options, parsed and built: maximum segment size, window scale, SACK, timestamps.
 *
 * Context: any thread. Memory: none. Limits: 40 bytes of options.
 * Source: RFC 9293 section 3.1, RFC 7323, RFC 2018.
 */
#pragma once

#include "dataplane/tcp/tcp_seq.h"

#define TCP_OPTIONS_SIZE_MAX 40
#define TCP_OPTIONS_SACK_MAX 4
#define TCP_OPTIONS_TS_SIZE  12 /* with its padding */
#define TCP_WSCALE_MAX       14 /* RFC 7323 section 2.3 */

struct tcp_options {
	bool has_mss, has_wscale, has_ts, sack_permitted;
	uint8_t wscale;     /* 0 .. TCP_WSCALE_MAX */
	uint8_t sack_count; /* 0 .. TCP_OPTIONS_SACK_MAX */
	uint16_t mss;
	uint32_t ts_value, ts_echo;
	struct tcp_range sack[TCP_OPTIONS_SACK_MAX];
};

/**
 * Parse the option bytes of a header. Unknown kinds are skipped.
 *
 * @return 0; ERR_MALFORMED a length lies: what ret_options holds then means nothing
 */
NODISCARD int tcp_options_parse(const uint8_t *bytes, size_t size, struct tcp_options *ret_options);

/**
 * Build what the struct says. SACK blocks that do not fit are left off the end.
 *
 * @param bytes  [TCP_OPTIONS_SIZE_MAX]
 * @return bytes written, a multiple of 4
 */
size_t tcp_options_build(uint8_t *bytes, const struct tcp_options *options);
